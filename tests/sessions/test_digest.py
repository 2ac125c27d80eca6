"""The digest: it sees meaning and order, and not the form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sessions import Call, Message, Refused
from bridge.sessions.history import Digest


def digest(*messages: Message) -> str:
    value = Digest()
    for message in messages:
        value.add(message)
    return value.value


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


@pytest.mark.covers("sessions:digest")
def test_it_sees_meaning_and_not_form() -> None:
    """A text and a list of texts are the same; authors, anchors and the order of keys are nothing."""
    plain = [Message("user", "ab"), Message("model", "c", [Call("1", "f", {"x": 1, "y": 2})])]
    other = [
        Message("user", [text("a"), text(""), text("b")], author="Ann", number=7),
        Message("model", [text("c")], [Call("1", "f", {"y": 2, "x": 1})], anchor={"session": "s"}, interaction="v1"),
    ]
    assert digest(*plain) == digest(*other)


@pytest.mark.covers("sessions:digest")
def test_it_sees_who_spoke_what_in_which_order() -> None:
    """The same words from another mouth, in another order, split otherwise, or spelling out a list are another history."""
    histories: list[list[Message]] = [
        [Message("user", "a"), Message("user", "b")],
        [Message("user", "b"), Message("user", "a")],
        [Message("user", "ab")],
        [Message("user", "a\nuser text 1 b")],
        [Message("model", "a"), Message("user", "b")],
        [Message("model", "a", [Call("1", "f", {})]), Message("user", "b")],
        [Message("model", "a", [Call("1", "f", {}, invalid=True)]), Message("user", "b")],
        [Message("tool", "a", call_id="1"), Message("user", "b")],
        [Message("tool", "a", call_id="2"), Message("user", "b")],
        [Message("tool", "a", call_id="1", is_error=True), Message("user", "b")],
        [Message("user", [text("a"), {"type": "image", "uri": "u"}])],
        [Message("user", [{"type": "image", "uri": "u"}, text("a")])],
        [Message("user", '["a",{"type":"image","uri":"u"}]')],
        [Message("user", [Refused("no", {"type": "image", "uri": "u"})])],
        [Message("user", "a")],
        [],
    ]
    assert len({digest(*history) for history in histories}) == len(histories)


@pytest.mark.covers("sessions:digest")
@given(st.lists(st.text(st.characters(), max_size=5), max_size=5), st.lists(st.text(max_size=5), max_size=5))
def test_only_equal_histories_have_equal_digests(one: list[str], other: list[str]) -> None:
    """Any texts, surrogates that UTF-8 cannot encode among them."""
    messages = [[Message("user", words) for words in history] for history in (one, other)]
    assert (digest(*messages[0]) == digest(*messages[1])) == (one == other)


@pytest.mark.covers("sessions:digest")
def test_a_copy_goes_on_by_itself() -> None:
    """The plan's digest is not changed by an answer's."""
    first = Digest()
    first.add(Message("user", "a"))
    before, copy = first.value, first.copy()
    copy.add(Message("user", "b"))
    assert (first.value, copy.value) == (before, digest(Message("user", "a"), Message("user", "b")))
