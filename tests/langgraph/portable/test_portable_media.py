"""In which form each vendor gets what the user or a tool shows: accepted by its types, over a socket, or left out with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from bridge.langgraph import LeftOut, to_portable
from tests.langgraph.portable.accepting import faults
from tests.langgraph.portable.speakers import QUIET, TARGETS, Speakers
from tests.receivers import served

PNG = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}
PDF = {"type": "file", "base64": "JVBERi0=", "mime_type": "application/pdf"}
SOUND = {"type": "audio", "base64": "UklGRg==", "mime_type": "audio/mpeg"}
pytestmark = QUIET
# What is shown, and the reason why it is left out: for Claude, Responses, Chat Completions.
SHOWN: dict[str, tuple[dict[str, Any], tuple[str | None, str | None, str | None]]] = {
    "picture": (PNG, (None, None, None)),
    "picture without a type": ({"type": "image", "base64": "iVBORw0KGgo="}, (None, None, None)),
    "picture of no known type": ({"type": "image", "base64": "AAAA"}, ("mime_type",) * 3),
    "picture under another name": ({**PNG, "base64": "/9j/", "mime_type": "image/jpg"}, (None, None, None)),
    "picture of a type": ({**PNG, "mime_type": "image/tiff"}, ("takes no image/tiff",) * 3),
    "picture at an address": ({"type": "image", "url": "https://example.org/a.png"}, (None, None, None)),
    "picture in its address": ({"type": "image", "url": "data:image/png;base64,iVBORw0KGgo="}, (None, None, None)),
    "picture in a bucket": ({"type": "image", "url": "gs://bucket/a.png"}, ("cannot open",) * 3),
    "picture with OpenAI": ({"type": "image_url", "image_url": "https://example.org/a.png"}, (None, None, None)),
    "picture with Claude": (
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        (None, None, None),
    ),
    "picture of Responses": ({"type": "input_image", "image_url": "https://example.org/a.png"}, (None, None, None)),
    "picture of Gemini's files": (
        {"type": "image", "uri": "https://generativelanguage.googleapis.com/v1beta/files/a", "mime_type": "image/png"},
        ("cannot open",) * 3,
    ),
    "file": (PDF, (None, None, None)),
    "file at an address": ({"type": "file", "url": "https://example.org/a.pdf"}, (None, "no address", "no address")),
    "file with Claude": ({"type": "file", "file_id": "file_011abc"}, (None, "lie with", "lie with")),
    "file with OpenAI": ({"type": "file", "file_id": "file-abc"}, ("lie with", None, None)),
    "file of Responses": ({"type": "input_file", "file_url": "https://example.org/a.pdf"}, (None, None, "no address")),
    "file of text": ({"type": "file", "base64": "d29yZHM=", "mime_type": "text/csv"}, (None, None, None)),
    "file of no text": ({"type": "file", "base64": "/w==", "mime_type": "text/csv"}, ("takes no text/csv",) * 3),
    "text as a file": ({"type": "text-plain", "text": "words", "mime_type": "text/plain", "title": "T"}, (None,) * 3),
    "sound": (SOUND, ("takes no audio", "takes no audio", None)),
    "film": ({"type": "video", "base64": "AAAA", "mime_type": "video/mp4"}, ("takes no video",) * 3),
    "dream": ({"type": "dream", "of": "the sea"}, ("only its own vendor",) * 3),
    "broken": ({"type": "audio", "source_type": "url"}, ("",) * 3),
    "text of Responses": ({"type": "input_text", "text": "words"}, (None, None, None)),
}


@pytest.fixture(scope="module")
def speakers() -> Iterator[Speakers]:
    """Five chat models' service."""
    with ExitStack() as opened:
        yield Speakers(opened)


@pytest.fixture(scope="module")
def url(speakers: Speakers) -> Iterator[str]:
    """Its address."""
    with served(speakers.app) as address:
        yield address


@pytest.mark.covers("portable:media", "portable:report")
@pytest.mark.parametrize("name", ["claude", "responses", "chat"])
@pytest.mark.parametrize("what", SHOWN)
def test_what_the_user_shows_is_taken_or_left_out_with_the_reason(
    speakers: Speakers, url: str, what: str, name: str
) -> None:
    """In its place stands a note with the reason, for the model to read."""
    block, reasons = SHOWN[what]
    reason = reasons[("claude", "responses", "chat").index(name)]
    report: list[LeftOut] = []
    (message,) = to_portable([HumanMessage(["Look.", block])], TARGETS[name], report=report)
    speakers.model(name, url).invoke([message])
    body = speakers.sent[-1][1]
    assert faults(name, body) == []
    assert len(report) == (reason is not None)
    if reason is not None:
        assert reason in report[0].why
        assert report[0].why in message.text
        assert "[Left out: " in str(body)
    else:
        shown = (body["input"] if name == "responses" else body["messages"])[0]["content"]
        assert len(shown) == 2


@pytest.mark.covers("portable:media", "portable:pairs")
@pytest.mark.parametrize("name", ["claude", "responses", "chat"])
def test_what_a_tool_shows_stands_in_its_result_or_behind_all_results(speakers: Speakers, url: str, name: str) -> None:
    """Never between a call and its result, and under the header of quotations where it is not in the result."""
    calls = [{"name": "draw", "args": {}, "id": f"call_{n}"} for n in range(2)]
    history = [
        HumanMessage("x"),
        AIMessage("", tool_calls=calls),
        ToolMessage([{"type": "text", "text": "Drawn."}, PNG, SOUND, {"some": "data"}], tool_call_id="call_0"),
        ToolMessage("other", tool_call_id="call_1"),
    ]
    portable = to_portable(history, TARGETS[name])
    speakers.model(name, url).invoke(portable)
    body = speakers.sent[-1][1]
    assert faults(name, body) == []
    result = portable[2].text
    assert "Drawn." in result
    assert '{"some": "data"}' in result
    if name == "claude":
        assert PNG in portable[2].content
        assert len(portable) == 4
    else:
        assert "[image: in a message after the results]" in result
        assert "the tool draw, in the result of call call_0, said this" in portable[4].text
        assert PNG in portable[4].content


@pytest.mark.covers("portable:pairs")
@pytest.mark.parametrize("name", ["claude", "responses", "chat"])
def test_results_in_claudes_form_and_calls_without_results_are_mended(speakers: Speakers, url: str, name: str) -> None:
    """A call in the content only, its result in a user's message; one that nobody answered; a result of a trimmed call."""
    used = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "moon"}}
    answered = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "full", "is_error": True}
    history = [
        ToolMessage("trimmed words", tool_call_id="gone", name="dig"),
        AIMessage(["See.", used], response_metadata={"model_provider": "google_genai"}),
        HumanMessage([answered]),
        HumanMessage([{"type": "tool_result", "tool_use_id": "again", "content": "once more"}, "And?"]),
        AIMessage(
            "", tool_calls=[{"name": "look", "args": {}, "id": "same"}, {"name": "look", "args": {}, "id": "same"}]
        ),
        ToolMessage("first", tool_call_id="same"),
        HumanMessage("Go on."),
    ]
    portable = to_portable(history, TARGETS[name])
    speakers.model(name, url).invoke(portable)
    assert faults(name, speakers.sent[-1][1]) == []
    assert [message.type for message in portable] == [
        "human",
        "ai",
        "tool",
        "human",
        "human",
        "ai",
        "tool",
        "tool",
        "human",
    ]
    assert "the tool dig said this" in portable[0].text
    assert "trimmed words" in portable[0].text
    assert portable[2].status == "error"  # type: ignore[attr-defined]
    assert "once more" in portable[3].text
    first, second = portable[5].tool_calls  # type: ignore[attr-defined]
    assert first["id"] == "same" != second["id"]
    assert [m.tool_call_id for m in portable[6:8]] == ["same", second["id"]]  # type: ignore[attr-defined]
    assert "went on without it" in portable[7].text


@pytest.mark.covers("portable:own")
def test_the_vendors_own_inputs_stay_as_they_are() -> None:
    """Documents with citations, marks of caches, results of OpenAI's computer."""
    document = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "words"},
        "citations": {"enabled": True},
    }
    marked = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    for message in (HumanMessage([document, marked]), SystemMessage([marked])):
        assert to_portable([message], "anthropic") == [message]
    (other,) = to_portable([HumanMessage([document, marked])], "openai")
    assert other.content == [{"type": "text", "text": "words"}, {"type": "text", "text": "x"}]
    screen = {"type": "computer_call", "id": "cu_1", "call_id": "call_c", "action": {"type": "screenshot"}}
    seen: list[str | dict[Any, Any]] = [{"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}]
    history = [
        AIMessage([screen], response_metadata={"model_provider": "openai"}),
        ToolMessage(seen, tool_call_id="call_c", additional_kwargs={"type": "computer_call_output"}),
    ]
    assert to_portable(history, "openai") == history
    quoted = to_portable(history, "anthropic")
    assert [message.type for message in quoted] == ["ai", "human"]
    assert quoted[1].content[1]["base64"] == "iVBORw0KGgo="  # type: ignore[index]
