"""Content: what a user says and a model answers with (text and media), and the annotations on a text.

Source: Interactions API reference, "Content". Steps, which hold content, are beside this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from ._open import Model, OpenUnion, Unknown

__all__ = [
    "Annotation",
    "AudioContent",
    "Content",
    "DocumentContent",
    "FileCitation",
    "ImageContent",
    "PlaceCitation",
    "ReviewSnippet",
    "SpeechAnnotation",
    "StaticProcessing",
    "TextContent",
    "UrlCitation",
    "VideoContent",
    "WordInfo",
]


class _Span(Model):
    """Byte offsets into the UTF-8 text; the end is exclusive."""

    start_index: int | None = None
    end_index: int | None = None


class UrlCitation(_Span):
    """A web page a text rests on."""

    type: Literal["url_citation"] = "url_citation"
    url: str | None = None
    title: str | None = None


class FileCitation(_Span):
    """A file a text rests on."""

    type: Literal["file_citation"] = "file_citation"
    file_name: str | None = None
    document_uri: str | None = None
    source: str | None = None
    page_number: int | None = None
    media_id: str | None = None
    custom_metadata: dict[str, Any] | None = None


class ReviewSnippet(Model):
    """A review quoted for a place."""

    title: str | None = None
    url: str | None = None
    review_id: str | None = None


class PlaceCitation(_Span):
    """A place on the map a text rests on."""

    type: Literal["place_citation"] = "place_citation"
    name: str | None = None
    place_id: str | None = None
    url: str | None = None
    review_snippets: list[ReviewSnippet] | None = None


class WordInfo(_Span):
    """A transcribed word: its text, its speaker, and its offsets as durations ("1.5s")."""

    type: Literal["word_info"] = "word_info"
    text: str | None = None
    speaker: str | None = None
    start_offset: str | None = None
    end_offset: str | None = None


class SpeechAnnotation(_Span):
    """Who speaks a stretch of text, and how."""

    type: Literal["speech_metadata"] = "speech_metadata"
    speaker: str | None = None
    style: str | None = None


class StaticProcessing(Model):
    """Which part of a medium is looked at: offsets as durations ("10.5s"), frames per second, pages."""

    type: Literal["static"] = "static"
    start_offset: str | None = None
    end_offset: str | None = None
    fps: float | None = None
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
ANNOTATION_KINDS: dict[str, type[Model]] = {
    "url_citation": UrlCitation,
    "file_citation": FileCitation,
    "place_citation": PlaceCitation,
    "word_info": WordInfo,
    "speech_metadata": SpeechAnnotation,
}
CONTENT = OpenUnion("content", KINDS)

if TYPE_CHECKING:
    Annotation = (
        UrlCitation
        | FileCitation
        | PlaceCitation
        | WordInfo
        | SpeechAnnotation
        | Unknown
    )
    Content = (
        TextContent
        | ImageContent
        | AudioContent
        | VideoContent
        | DocumentContent
        | Unknown
    )
else:
    Annotation = Annotated[Any, OpenUnion("annotation", ANNOTATION_KINDS)]
    Content = Annotated[Any, CONTENT]
