"""Deltas: what one `step.delta` event adds to a step.

Texts and arguments come in pieces, everything else whole. How they are put together is `assembly`'s business.
Source: Interactions API reference, "StepDelta".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from ._open import Model, OpenUnion, Unknown
from .content import (
    Annotation,
    AudioContent,
    Content,
    DocumentContent,
    ImageContent,
    VideoContent,
)
from .steps import (
    CodeExecutionArguments,
    GoogleMapsPlaces,
    Queries,
    ResultValue,
    SearchSuggestions,
    UrlContextArguments,
    UrlStatus,
)

__all__ = [
    "ArgumentsDelta",
    "AudioDelta",
    "CodeExecutionCallDelta",
    "CodeExecutionResultDelta",
    "Delta",
    "FileSearchCallDelta",
    "FileSearchResultDelta",
    "FunctionResultDelta",
    "GoogleMapsCallDelta",
    "GoogleMapsResultDelta",
    "GoogleSearchCallDelta",
    "GoogleSearchResultDelta",
    "McpServerToolCallDelta",
    "McpServerToolResultDelta",
    "ProcessingCallDelta",
    "ProcessingResultDelta",
    "RetrievalCallDelta",
    "RetrievalResultDelta",
    "TextAnnotationDelta",
    "TextDelta",
    "ThoughtSignatureDelta",
    "ThoughtSummaryDelta",
    "ToolSearchCallDelta",
    "ToolSearchResultDelta",
    "UrlContextCallDelta",
    "UrlContextResultDelta",
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


class CodeExecutionCallDelta(_Whole):
    """The program to run."""

    type: Literal["code_execution_call"] = "code_execution_call"
    arguments: CodeExecutionArguments | None = None


class CodeExecutionResultDelta(_Whole):
    """What the program printed."""

    type: Literal["code_execution_result"] = "code_execution_result"
    result: str | list[Content] | None = None
    is_error: bool | None = None


class UrlContextCallDelta(_Whole):
    """The pages to read."""

    type: Literal["url_context_call"] = "url_context_call"
    arguments: UrlContextArguments | None = None


class UrlContextResultDelta(_Whole):
    """How the reading ended."""

    type: Literal["url_context_result"] = "url_context_result"
    result: list[UrlStatus] | None = None
    is_error: bool | None = None


class GoogleSearchCallDelta(_Whole):
    """What is searched for."""

    type: Literal["google_search_call"] = "google_search_call"
    arguments: Queries | None = None


class GoogleSearchResultDelta(_Whole):
    """What the search gave to show."""

    type: Literal["google_search_result"] = "google_search_result"
    result: list[SearchSuggestions] | None = None
    is_error: bool | None = None


class GoogleMapsCallDelta(_Whole):
    """What is searched for on the map."""

    type: Literal["google_maps_call"] = "google_maps_call"
    arguments: Queries | None = None


class GoogleMapsResultDelta(_Whole):
    """Places found."""

    type: Literal["google_maps_result"] = "google_maps_result"
    result: list[GoogleMapsPlaces] | None = None


class FileSearchCallDelta(_Whole):
    """A file search begins."""

    type: Literal["file_search_call"] = "file_search_call"


class FileSearchResultDelta(_Whole):
    """A file search ends."""

    type: Literal["file_search_result"] = "file_search_result"
    result: list[dict[str, Any]] | None = None


class McpServerToolCallDelta(_Whole):
    """A remote MCP tool is called."""

    type: Literal["mcp_server_tool_call"] = "mcp_server_tool_call"
    name: str | None = None
    server_name: str | None = None
    arguments: dict[str, Any] | None = None


class McpServerToolResultDelta(_Whole):
    """What the remote MCP tool answered."""

    type: Literal["mcp_server_tool_result"] = "mcp_server_tool_result"
    name: str | None = None
    server_name: str | None = None
    result: ResultValue | None = None


class RetrievalCallDelta(_Whole):
    """What is retrieved."""

    type: Literal["retrieval_call"] = "retrieval_call"
    arguments: Queries | None = None
    retrieval_type: str | None = None


class RetrievalResultDelta(_Whole):
    """A retrieval ends."""

    type: Literal["retrieval_result"] = "retrieval_result"
    is_error: bool | None = None


class ProcessingCallDelta(_Whole):
    """An analysis of media begins."""

    type: Literal["processing_call"] = "processing_call"


class ProcessingResultDelta(_Whole):
    """An analysis of media ends."""

    type: Literal["processing_result"] = "processing_result"


class ToolSearchCallDelta(_Whole):
    """Deferred tool definitions are loaded."""

    type: Literal["tool_search_call"] = "tool_search_call"
    arguments: dict[str, Any] | None = None


class ToolSearchResultDelta(_Whole):
    """The definitions loaded."""

    type: Literal["tool_search_result"] = "tool_search_result"
    result: list[dict[str, Any]] | None = None


_ALL: tuple[type[Model], ...] = (
    TextDelta,
    TextAnnotationDelta,
    ImageContent,  # media deltas are content blocks as they are
    AudioDelta,
    VideoContent,
    DocumentContent,
    ThoughtSummaryDelta,
    ThoughtSignatureDelta,
    ArgumentsDelta,
    FunctionResultDelta,
    CodeExecutionCallDelta,
    CodeExecutionResultDelta,
    UrlContextCallDelta,
    UrlContextResultDelta,
    GoogleSearchCallDelta,
    GoogleSearchResultDelta,
    GoogleMapsCallDelta,
    GoogleMapsResultDelta,
    FileSearchCallDelta,
    FileSearchResultDelta,
    McpServerToolCallDelta,
    McpServerToolResultDelta,
    RetrievalCallDelta,
    RetrievalResultDelta,
    ProcessingCallDelta,
    ProcessingResultDelta,
    ToolSearchCallDelta,
    ToolSearchResultDelta,
)
KINDS: dict[str, type[Model]] = {
    model.__kind__[1]: model for model in _ALL if model.__kind__
}

if TYPE_CHECKING:
    Delta = (
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
    Delta = Annotated[Any, OpenUnion("delta", KINDS)]
