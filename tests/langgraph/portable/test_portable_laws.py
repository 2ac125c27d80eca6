"""`to_portable` on any history: what holds whatever stands there."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from bridge.langgraph import LeftOut, to_portable
from bridge.langgraph.messages import ANCHOR, to_history
from bridge.sessions.history import Digest

TARGETS = [None, "anthropic", "openai", "openai-chat", "interactions"]
_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12).map(lambda text: f"w{text}")
_IDS = st.sampled_from(["call_0", "call_1", "toolu_2", "call:gem/1", "é", "x" * 50, ""])
_NAMES = st.sampled_from(["look", "look.up", "3d", "n" * 80])
_VENDORS = st.sampled_from(["anthropic", "openai", "google_genai", "google_interactions", "mistralai", None])
_DATA = st.sampled_from(
    [
        {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"},
        {"type": "image", "base64": "iVBORw0KGgo="},
        {"type": "image", "base64": "AAAA", "mime_type": "image/tiff"},
        {"type": "image", "url": "https://example.org/a.png"},
        {"type": "image", "url": "data:image/jpg;base64,/9j/4A=="},
        {"type": "image", "file_id": "file_011"},
        {"type": "image_url", "image_url": "https://example.org/a.png"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        {"type": "image", "source_type": "base64", "data": "iVBORw0KGgo=", "mime_type": "image/png"},
        {"type": "image", "data": "iVBORw0KGgo=", "mime_type": "image/png"},
        {"type": "audio", "base64": "UklGRg==", "mime_type": "audio/x-wav"},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}},
        {"type": "video", "uri": "https://generativelanguage.googleapis.com/v1beta/files/a", "mime_type": "video/mp4"},
        {"type": "file", "base64": "JVBERi0=", "mime_type": "application/pdf"},
        {"type": "file", "base64": "d29yZHM=", "mime_type": "text/csv"},
        {"type": "file", "base64": "no base64", "mime_type": "text/csv"},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}},
        {"type": "file", "file": {}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
        {"type": "text-plain", "text": "words", "mime_type": "text/plain"},
        {"type": "non_standard", "value": {"type": "dream", "of": "the sea"}},
        {"type": "search_result", "source": "x", "title": "y", "content": []},
        {"some": "data"},
    ]
)
_TEXTS = st.one_of(
    _WORDS,
    _WORDS.map(lambda text: {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}, "id": "lc_1"}),
)
_SAID = st.one_of(
    _TEXTS,
    _DATA,
    st.sampled_from(
        [
            {"type": "reasoning", "reasoning": "SECRET", "extras": {"signature": "SECRET"}},
            {"type": "thinking", "thinking": "SECRET", "signature": "SECRET"},
            {"type": "redacted_thinking", "data": "SECRET"},
            {"type": "server_tool_call", "id": "s", "name": "web_search", "args": {"query": "x"}},
            {"type": "server_tool_result", "tool_call_id": "s", "status": "success", "output": "SECRET"},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "tool_use", "id": "toolu_9", "name": "look", "input": {"at": "x"}},
            {"type": "refusal", "refusal": "no"},
            {"type": "compaction", "content": "a summary"},
        ]
    ),
)
_CALLS = st.lists(
    st.builds(lambda given, name: {"name": name, "args": {"at": "x"}, "id": given}, _IDS, _NAMES), max_size=3
)
_INVALID = st.lists(
    st.builds(lambda given, name: {"name": name, "args": "{", "id": given, "error": None}, _IDS, _NAMES), max_size=1
)


def _answer(content: Any, calls: Any, invalid: Any, vendor: str | None, version: str | None) -> AIMessage:
    facts = {name: value for name, value in {"model_provider": vendor, "output_version": version}.items() if value}
    if isinstance(content, str):
        facts.pop("output_version", None)
    return AIMessage(content, tool_calls=calls, invalid_tool_calls=invalid, response_metadata=facts)


_MESSAGES: st.SearchStrategy[BaseMessage] = st.one_of(
    st.builds(HumanMessage, st.one_of(_WORDS, st.lists(st.one_of(_TEXTS, _DATA), max_size=4))),
    st.builds(
        HumanMessage, _IDS.map(lambda given: [{"type": "tool_result", "tool_use_id": given, "content": "wresult"}])
    ),
    st.builds(SystemMessage, st.one_of(_WORDS, st.lists(_TEXTS, max_size=2))),
    st.builds(
        _answer,
        st.one_of(_WORDS, st.lists(_SAID, max_size=4)),
        _CALLS,
        _INVALID,
        _VENDORS,
        st.sampled_from(["v1", None]),
    ),
    st.builds(
        ToolMessage,
        st.one_of(_WORDS, st.lists(st.one_of(_TEXTS, _DATA), max_size=3)),
        tool_call_id=_IDS,
        status=st.sampled_from(["success", "error"]),
    ),
)
_HISTORIES = st.lists(_MESSAGES, max_size=8)


def texts(content: Any) -> str:
    """All words of a content."""
    if isinstance(content, str):
        return content
    return "\n".join(
        block if isinstance(block, str) else str(block.get("text", block.get("content", ""))) for block in content
    )


def words_of_users(messages: list[BaseMessage]) -> list[str]:
    """Every text that a user or a tool gave."""
    given = []
    for message in messages:
        if message.type in ("human", "system", "tool"):
            blocks = [message.content] if isinstance(message.content, str) else message.content
            given += [block if isinstance(block, str) else block.get("text") for block in blocks]
    return [text for text in given if isinstance(text, str)]


@pytest.mark.covers("portable:laws")
@pytest.mark.parametrize("target", TARGETS)
@given(history=_HISTORIES)
def test_twice_is_once_and_the_input_stays_as_it_was(target: str | None, history: list[BaseMessage]) -> None:
    """The second time changes nothing and reports nothing that is noted already."""
    before = deepcopy(history)
    once = to_portable(history, target)
    assert history == before
    report: list[LeftOut] = []
    assert to_portable(once, target, report=report) == once
    assert not [row for row in report if row.noted]


@pytest.mark.covers("portable:laws")
@pytest.mark.parametrize("target", TARGETS)
@given(history=_HISTORIES)
def test_every_word_of_users_and_tools_is_kept(target: str | None, history: list[BaseMessage]) -> None:
    """In the order in which they were given."""
    whole = "\n".join(texts(message.content) for message in to_portable(history, target))
    for words in words_of_users(history):
        assert words in whole


@pytest.mark.covers("portable:laws", "portable:pairs")
@pytest.mark.parametrize("target", TARGETS[:-1])
@given(history=_HISTORIES)
def test_calls_and_results_stand_in_pairs(target: str | None, history: list[BaseMessage]) -> None:
    """A result answers a call of the answer before it, once; a call that the conversation went on without is answered."""
    waiting: list[str] = []
    optional: set[str] = set()
    for message in to_portable(history, target):
        if isinstance(message, ToolMessage):
            if message.tool_call_id in waiting:
                waiting.remove(message.tool_call_id)
            else:
                assert message.tool_call_id in optional
            continue
        assert not waiting
        if isinstance(message, AIMessage):
            waiting = [str(call["id"]) for call in (*message.tool_calls, *message.invalid_tool_calls)]
            optional = {str(b.get("id")) for b in message.content if isinstance(b, dict)}
    assert "SECRET" not in str([m.content for m in to_portable(history, None)])


@pytest.mark.covers("portable:session")
@given(history=_HISTORIES)
def test_what_a_session_can_be_sent_is_not_touched(history: list[BaseMessage]) -> None:
    """So its anchors fit with the middleware and without: the digest of every message is the same.

    (A picture without a type LangChain itself goes on with nobody.)
    """
    untyped = [m for m in history if "'iVBORw0KGgo='}" in str(m.content)]
    history = [message for message in history if message not in untyped]
    portable = to_portable(history, "interactions")
    for ours, theirs in zip(to_history(portable), to_history(history), strict=True):
        if not any(type(part).__name__ == "Refused" for part in theirs.content if not isinstance(theirs.content, str)):
            one, other = Digest(), Digest()
            one.add(ours)
            other.add(theirs)
            assert one.value == other.value
    assert not any(
        type(part).__name__ == "Refused"
        for message in to_history(portable)
        if not isinstance(message.content, str)
        for part in message.content
    )


@pytest.mark.covers("portable:session")
def test_anchors_stay_in_the_messages() -> None:
    """Also where the rest of what stands beside the content goes."""
    beside = {ANCHOR: {"session": "s", "id": "v1_1"}, "other": 1}
    for target in TARGETS:
        (message,) = to_portable([AIMessage("x", additional_kwargs=beside)], target)
        assert message.additional_kwargs[ANCHOR] == beside[ANCHOR]


@pytest.mark.covers("portable:report")
def test_sound_beside_the_content_is_noted_where_nobody_wrote_it_down() -> None:
    """Chat Completions say it there, mostly with a transcript."""
    report: list[LeftOut] = []
    spoken = AIMessage("x", additional_kwargs={"audio": {"id": "a", "data": "UklGRg=="}})
    (message,) = to_portable([spoken], "anthropic", report=report)
    assert message.content == "x\n[Left out: audio; Anthropic takes no audio in a message]"
    assert [row.kind for row in report] == ["audio"]
