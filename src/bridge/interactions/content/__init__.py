"""Content: what a user says and a model answers with, text and media.

Source: Interactions API reference, "Content". Steps, which hold content, are beside this module.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from .._open import Model, Number, OpenUnion, Unknown

if TYPE_CHECKING:
    from .annotations import Annotation
else:
    Annotation = Annotated[Any, OpenUnion("annotation", "content.annotations:KINDS")]

__all__ = [
    "AudioContent",
    "Content",
    "DocumentContent",
    "ImageContent",
    "StaticProcessing",
    "TextContent",
    "VideoContent",
]


class StaticProcessing(Model):
    """Which part of a medium is looked at: offsets as durations ("10.5s"), frames per second, pages."""

    type: Literal["static"] = "static"
    start_offset: str | None = None
    end_offset: str | None = None
    fps: Number | None = None
    page_options: dict[str, Any] | None = None
    spreadsheet_options: dict[str, Any] | None = None


class TextContent(Model):
    """A text."""

    type: Literal["text"] = "text"
    text: str
    annotations: list[Annotation] | None = None


class _Media(Model):
    """Exactly one of `data` (base64) and `uri` is meant; the API, not this type, refuses both or neither."""

    data: str | None = None
    uri: str | None = None
    mime_type: str | None = None


class ImageContent(_Media):
    """A picture. `resolution`: low, medium, high or ultra_high."""

    type: Literal["image"] = "image"
    resolution: str | None = None


class AudioContent(_Media):
    """A sound. `sample_rate` in hertz."""

    type: Literal["audio"] = "audio"
    sample_rate: int | None = None
    channels: int | None = None
    processing: str | StaticProcessing | None = None


class VideoContent(_Media):
    """A film. `processing` is "static", "agentic" or a `StaticProcessing`."""

    type: Literal["video"] = "video"
    resolution: str | None = None
    name: str | None = None
    processing: str | StaticProcessing | None = None


class DocumentContent(_Media):
    """A document: PDF, CSV, office formats."""

    type: Literal["document"] = "document"
    resolution: str | None = None
    processing: str | StaticProcessing | None = None


KINDS: dict[str, type[Model]] = {
    "text": TextContent,
    "image": ImageContent,
    "audio": AudioContent,
    "video": VideoContent,
    "document": DocumentContent,
}
CONTENT = OpenUnion("content", KINDS)

if TYPE_CHECKING:
    Content: TypeAlias = TextContent | ImageContent | AudioContent | VideoContent | DocumentContent | Unknown
else:
    Content = Annotated[Any, CONTENT]
