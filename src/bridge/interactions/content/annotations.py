"""Annotations: what a stretch of a text rests on, or says about its speech.

Source: Interactions API reference, "Annotation". The texts they stand on are in `content`.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from .._open import Model, OpenUnion, Unknown

__all__ = [
    "Annotation",
    "FileCitation",
    "PlaceCitation",
    "ReviewSnippet",
    "SpeechAnnotation",
    "UrlCitation",
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


KINDS: dict[str, type[Model]] = {
    "url_citation": UrlCitation,
    "file_citation": FileCitation,
    "place_citation": PlaceCitation,
    "word_info": WordInfo,
    "speech_metadata": SpeechAnnotation,
}

if TYPE_CHECKING:
    Annotation: TypeAlias = UrlCitation | FileCitation | PlaceCitation | WordInfo | SpeechAnnotation | Unknown
else:
    Annotation = Annotated[Any, OpenUnion("annotation", KINDS)]
