"""Deltas: what one `step.delta` event adds to a step.

Texts and arguments come in pieces, everything else whole. How they are put together is `assembly`'s business.
Source: Interactions API reference, "StepDelta". The deltas of the server's own tools are in `server_tools`.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from .._open import Model, OpenUnion, Unknown
from ..content import AudioContent, Content, DocumentContent, ImageContent, VideoContent
from . import ResultValue

if TYPE_CHECKING:
    from ..content.annotations import Annotation
    from .server_tools import (
        CodeExecutionCallDelta,
        CodeExecutionResultDelta,
        FileSearchCallDelta,
        FileSearchResultDelta,
        GoogleMapsCallDelta,
        GoogleMapsResultDelta,
        GoogleSearchCallDelta,
        GoogleSearchResultDelta,
        McpServerToolCallDelta,
        McpServerToolResultDelta,
        ProcessingCallDelta,
        ProcessingResultDelta,
        RetrievalCallDelta,
        RetrievalResultDelta,
        ToolSearchCallDelta,
        ToolSearchResultDelta,
        UrlContextCallDelta,
        UrlContextResultDelta,
    )
else:
    Annotation = Annotated[Any, OpenUnion("annotation", "content.annotations:KINDS")]

__all__ = [
    "ArgumentsDelta",
    "AudioDelta",
    "Delta",
    "FunctionResultDelta",
    "TextAnnotationDelta",
    "TextDelta",
    "ThoughtSignatureDelta",
    "ThoughtSummaryDelta",
]


class TextDelta(Model):
    """A piece of text."""

    type: Literal["text"] = "text"
    text: str


class TextAnnotationDelta(Model):
    """Annotations on the text so far."""

    type: Literal["text_annotation_delta"] = "text_annotation_delta"
    annotations: list[Annotation] | None = None


class AudioDelta(AudioContent):
    """A piece of sound, base64 on its own. `rate` is the old name of `sample_rate`."""

    rate: int | None = None


class ThoughtSummaryDelta(Model):
    """One item of a thought's summary."""

    type: Literal["thought_summary"] = "thought_summary"
    content: Content | None = None


class ThoughtSignatureDelta(Model):
    """A thought's signature; empty where there is none."""

    type: Literal["thought_signature"] = "thought_signature"
    signature: str | None = None


class ArgumentsDelta(Model):
    """A piece of the JSON text of a function call's arguments."""

    type: Literal["arguments_delta"] = "arguments_delta"
    arguments: str | None = None


class _Whole(Model):
    """The rest of a step, at once: these fields go onto the step as they are."""

    signature: str | None = None


class FunctionResultDelta(_Whole):
    """A function's result, made by the server (agents' own tools)."""

    type: Literal["function_result"] = "function_result"
    call_id: str | None = None
    name: str | None = None
    result: ResultValue | None = None
    is_error: bool | None = None


KINDS: dict[str, type[Model]] = {
    "text": TextDelta,
    "text_annotation_delta": TextAnnotationDelta,
    "image": ImageContent,  # media deltas are content blocks as they are
    "audio": AudioDelta,
    "video": VideoContent,
    "document": DocumentContent,
    "thought_summary": ThoughtSummaryDelta,
    "thought_signature": ThoughtSignatureDelta,
    "arguments_delta": ArgumentsDelta,
    "function_result": FunctionResultDelta,
}
DELTA = OpenUnion("delta", KINDS, "steps.server_tools:DELTA_KINDS")

if TYPE_CHECKING:
    Delta: TypeAlias = (
        TextDelta
        | TextAnnotationDelta
        | ImageContent
        | AudioDelta
        | VideoContent
        | DocumentContent
        | ThoughtSummaryDelta
        | ThoughtSignatureDelta
        | ArgumentsDelta
        | FunctionResultDelta
        | CodeExecutionCallDelta
        | CodeExecutionResultDelta
        | UrlContextCallDelta
        | UrlContextResultDelta
        | GoogleSearchCallDelta
        | GoogleSearchResultDelta
        | GoogleMapsCallDelta
        | GoogleMapsResultDelta
        | FileSearchCallDelta
        | FileSearchResultDelta
        | McpServerToolCallDelta
        | McpServerToolResultDelta
        | RetrievalCallDelta
        | RetrievalResultDelta
        | ProcessingCallDelta
        | ProcessingResultDelta
        | ToolSearchCallDelta
        | ToolSearchResultDelta
        | Unknown
    )
else:
    Delta = Annotated[Any, DELTA]
