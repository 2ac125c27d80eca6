"""Every block of every vendor's answer into every other vendor's request: over a socket, through the real packages, against the SDKs' types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import permutations
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.content import create_image_block

from bridge.langgraph import LeftOut, to_portable
from tests.langgraph.portable.accepting import faults
from tests.langgraph.portable.speakers import DATA, QUIET, SPEAKERS, TARGETS, Speakers, history_after
from tests.receivers import served

GOLDEN: dict[str, dict[str, list[str]]] = json.loads((DATA / "golden.json").read_text())
PNG = json.loads((DATA / "responses.json").read_text())["output"][7]["result"]
pytestmark = QUIET


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


def asked(speakers: Speakers, url: str, name: str, messages: list[BaseMessage], **settings: Any) -> dict[str, Any]:
    """The request that the real package makes of these messages."""
    speakers.model(name, url, **settings).invoke(messages)
    return speakers.sent[-1][1]


def without(speakers: Speakers, url: str, name: str, message: AIMessage) -> list[str]:
    """What the vendor's types do not take of a history with this answer, as it stands."""
    return faults(name, asked(speakers, url, name, [HumanMessage("x"), message, HumanMessage("y")]))


def with_portable(speakers: Speakers, url: str, name: str, message: AIMessage) -> tuple[dict[str, Any], list[LeftOut]]:
    """The request for the same history made portable, which the vendor's types take; and the report."""
    report: list[LeftOut] = []
    history = to_portable([HumanMessage("x"), message, HumanMessage("y")], TARGETS[name], report=report)
    body = asked(speakers, url, name, history)
    assert faults(name, body) == []
    return body, report


def _words(value: Any) -> str:
    """Every text of a request, one after the other."""
    if isinstance(value, dict | list):
        return "\n".join(map(_words, value.values() if isinstance(value, dict) else value))
    return str(value)


def said_by_gemini(*blocks: Any, **fields: Any) -> AIMessage:
    """An answer of ours in standard blocks."""
    facts = {"model_provider": "google_interactions", "model_name": "gemini-9", "output_version": "v1"}
    return AIMessage([*blocks], response_metadata=facts, **fields)


@pytest.mark.covers("portable:matrix", "portable:reasoning", "portable:report")
@pytest.mark.parametrize("version", ["", "v1"])
@pytest.mark.parametrize(("speaker", "target"), [*permutations(SPEAKERS, 2)])
def test_every_block_is_accepted_or_reported(
    speakers: Speakers, url: str, speaker: str, version: str, target: str
) -> None:
    """The wire fits the SDK's types, carries every word once and no foreign thought; the report is the golden one."""
    answer = speakers.model(speaker, url, **({"output_version": version} if version else {})).invoke(
        "When is high tide?"
    )
    report: list[LeftOut] = []
    history = to_portable(history_after(answer), TARGETS[target], report=report)
    body = asked(speakers, url, target, history)
    assert faults(target, body) == []
    wire = json.dumps(body, ensure_ascii=False)
    assert "SECRET" not in wire
    assert "U0VDUkVU" not in wire
    results = [f"Sunny, says call {n}." for n in range(len(answer.tool_calls) + len(answer.invalid_tool_calls))]
    for words in ("When is high tide?", "High tide is at noon.", "And the day after?", *results):
        assert wire.count(words) == 1, words
    beside = {"responses": ["More I may not say."], "chat": ["More I may not say.", "Spoken words."]}
    for words in beside.get(speaker, []):
        # Of what Chat Completions say beside the content OpenAI's own package and a session take no notice.
        assert wire.count(words) == 1 or (speaker == "chat" and target in ("responses", "interactions")), words
    kinds = sorted({f"{row.kind}{'' if row.noted else ' -'}" for row in report})
    assert kinds == GOLDEN[f"{speaker} {version}".strip()].get(target, [])


@pytest.mark.covers("portable:crash:server-tools")
@pytest.mark.parametrize("tool", ["google_search", "google_maps", "url_context", "web_fetch", "file_search_store"])
def test_a_server_tool_that_openai_does_not_name_crashes_responses_and_portable_it_does_not(
    speakers: Speakers, url: str, tool: str
) -> None:
    """langchain#36140: `UnboundLocalError: collapsed`. What the tool was asked stands in a note, its result does not leave."""
    call = {"type": "server_tool_call", "id": "s1", "name": tool, "args": {"queries": ["tides"]}}
    result = {"type": "server_tool_result", "tool_call_id": "s1", "status": "success", "output": "SECRET"}
    message = said_by_gemini(call, result, {"type": "text", "text": "Noon."})
    with pytest.raises(UnboundLocalError, match="collapsed"):
        without(speakers, url, "responses", message)
    body, report = with_portable(speakers, url, "responses", message)
    assert "SECRET" not in json.dumps(body)
    assert f'[Left out: {tool} {{"queries": ["tides"]}}; run by another vendor, as is its result]\nNoon.' in _words(
        body
    )
    assert [row.kind for row in report] == ["server_tool_call", "server_tool_result"]


@pytest.mark.covers("portable:crash:server-tools")
@pytest.mark.parametrize(
    ("tool", "item"), [("web_search", "web_search_call"), ("code_interpreter", "code_interpreter_call")]
)
def test_a_server_tool_that_openai_names_is_sent_as_its_own_and_portable_it_is_not(
    speakers: Speakers, url: str, tool: str, item: str
) -> None:
    """OpenAI would look for an item of this id among its own."""
    call = {"type": "server_tool_call", "id": "s1", "name": tool, "args": {"code": "print(1)"}}
    result = {"type": "server_tool_result", "tool_call_id": "s1", "status": "success", "output": []}
    message = said_by_gemini(call, result, {"type": "text", "text": "Noon."})
    body = asked(speakers, url, "responses", [HumanMessage("x"), message, HumanMessage("y")])
    assert item in [entry["type"] for entry in body["input"]]
    body, _ = with_portable(speakers, url, "responses", message)
    assert {entry["type"] for entry in body["input"]} == {"message"}


@pytest.mark.covers("portable:crash:server-tools")
@pytest.mark.parametrize("name", ["claude", "chat"])
def test_a_server_tool_is_sent_as_it_stands_and_portable_it_is_not(speakers: Speakers, url: str, name: str) -> None:
    """Claude and Chat Completions answer 400 to a block of LangChain's."""
    message = said_by_gemini({"type": "server_tool_call", "id": "s1", "name": "web_search", "args": {}})
    assert without(speakers, url, name, message)
    with_portable(speakers, url, name, message)


@pytest.mark.covers("portable:crash:media")
def test_sound_crashes_claude_and_portable_it_does_not(speakers: Speakers, url: str) -> None:
    """`ValueError: Block of type audio is not supported`, of an assistant and of the user."""
    sound = {"type": "audio", "base64": "UklGRg==", "mime_type": "audio/wav"}
    message = said_by_gemini({"type": "text", "text": "Listen."}, sound)
    with pytest.raises(ValueError, match="audio"):
        without(speakers, url, "claude", message)
    body, report = with_portable(speakers, url, "claude", message)
    assert "Listen.\n[Left out: audio (audio/wav); Anthropic takes no audio in a message]" in _words(body)
    assert [str(row) for row in report] == ["messages[1]: audio (audio/wav): Anthropic takes no audio in a message"]
    with pytest.raises(ValueError, match="audio"):
        asked(speakers, url, "claude", [HumanMessage([sound])])
    assert faults("claude", asked(speakers, url, "claude", to_portable([HumanMessage([sound])], "anthropic"))) == []


@pytest.mark.covers("portable:crash:media")
@pytest.mark.parametrize("name", ["claude", "chat", "responses"])
def test_a_picture_of_an_assistant_is_lost_or_in_the_wrong_place_and_portable_it_is_seen(
    speakers: Speakers, url: str, name: str
) -> None:
    """It follows in a message of its own under the header of quotations; no assistant says a picture."""
    message = said_by_gemini({"type": "text", "text": "See."}, create_image_block(base64=PNG, mime_type="image/png"))
    body = asked(speakers, url, name, [HumanMessage("x"), message, HumanMessage("y")])
    said = [entry for entry in body["input" if name == "responses" else "messages"] if entry.get("role") == "assistant"]
    assert (PNG in str(said)) is (name != "responses")
    body, report = with_portable(speakers, url, name, message)
    entries = body["input" if name == "responses" else "messages"]
    shown = [entry["role"] for entry in entries if PNG in str(entry)]
    assert shown == ["user"]
    header = "[Quoted: gemini-9 (google_interactions) said this in the same conversation. It is not from the user.]"
    assert header in str(body)
    assert not report


@pytest.mark.covers("portable:crash:reasoning")
def test_a_thought_is_sent_to_openai_with_a_foreign_signature_and_portable_it_stays_behind(
    speakers: Speakers, url: str
) -> None:
    """As an item of reasoning with a field that OpenAI does not know."""
    thought = {"type": "reasoning", "reasoning": "SECRET", "extras": {"signature": "SECRET"}}
    message = said_by_gemini(thought, {"type": "text", "text": "Noon."})
    assert any("signature" in fault for fault in without(speakers, url, "responses", message))
    body, report = with_portable(speakers, url, "responses", message)
    assert "SECRET" not in str(body)
    assert [(row.kind, row.noted) for row in report] == [("reasoning", False)]


@pytest.mark.covers("portable:crash:reasoning")
def test_a_thought_of_gemini_reaches_claude_as_its_own_and_portable_it_stays_behind(
    speakers: Speakers, url: str
) -> None:
    """langchain-google-genai names it as Claude does, and Claude refuses the signature."""
    answer = speakers.model("genai", url).invoke("x")
    body = asked(speakers, url, "claude", history_after(answer))
    (thinking,) = [block for block in body["messages"][1]["content"] if block["type"] == "thinking"]
    assert thinking["signature"] == "U0VDUkVU"
    body = asked(speakers, url, "claude", to_portable(history_after(answer), "anthropic"))
    assert "thinking" not in str(body["messages"])


@pytest.mark.covers("portable:crash:unknown")
@pytest.mark.parametrize("name", ["claude", "chat"])
def test_a_block_of_one_vendor_alone_is_sent_as_it_stands_and_portable_it_is_noted(
    speakers: Speakers, url: str, name: str
) -> None:
    """LangChain's `non_standard`, which no API knows."""
    message = said_by_gemini({"type": "text", "text": "x"}, {"type": "non_standard", "value": {"type": "dream_step"}})
    assert without(speakers, url, name, message)
    body, report = with_portable(speakers, url, name, message)
    assert "[Left out: dream_step; only its own vendor knows it]" in str(body)
    assert [row.kind for row in report] == ["dream_step"]


@pytest.mark.covers("portable:ids")
@pytest.mark.parametrize("given", ["call:gem/1", "a" * 41, "", "täg", "functions.look:0"])
@pytest.mark.parametrize("name", ["claude", "chat", "responses"])
def test_ids_of_calls_are_such_as_every_vendor_takes(speakers: Speakers, url: str, name: str, given: str) -> None:
    """The same in the call and in its result, and the same in every turn."""
    call = {"name": "look.up", "args": {"at": "moon"}, "id": given}
    message = AIMessage("", tool_calls=[call], response_metadata={"model_provider": "google_genai"})
    results = [ToolMessage("full", tool_call_id=given)] if given else []
    history = to_portable([HumanMessage("x"), message, *results, HumanMessage("y")], TARGETS[name])
    assert (
        history
        == to_portable([HumanMessage("x"), message, *results, HumanMessage("y"), HumanMessage("z")], TARGETS[name])[:-1]
    )
    body = asked(speakers, url, name, history)
    assert faults(name, body) == []
    (made,) = history[1].tool_calls  # type: ignore[attr-defined]
    assert made["name"] == "look_up"
    assert len(made["id"]) <= 40
    assert set(made["id"]) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert str(body).count(made["id"]) == 2
    assert history[2].tool_call_id == made["id"]  # type: ignore[attr-defined]


@pytest.mark.covers("portable:own")
@pytest.mark.parametrize(
    ("name", "version"),
    # Not Responses in v1: LangChain's core does not go on a picture in the form that its package for OpenAI gives it there.
    [("claude", ""), ("claude", "v1"), ("responses", ""), ("chat", ""), ("interactions", ""), ("interactions", "v1")],
)
def test_a_vendors_own_answer_goes_back_as_it_came(speakers: Speakers, url: str, name: str, version: str) -> None:
    """With its signatures and server tools: the request is the same with and without."""
    answer = speakers.model(name, url, **({"output_version": version} if version else {})).invoke("x")
    plain = asked(speakers, url, name, history_after(answer))
    signature = {"claude": "SECRET-signature", "responses": "SECRET-reasoning", "interactions": "U0VDUkVU"}
    assert signature.get(name, "") in str(plain)
    assert asked(speakers, url, name, to_portable(history_after(answer), TARGETS[name])) == plain
