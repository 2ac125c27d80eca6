"""The chain: which answer a turn may follow, and what makes it follow none."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from bridge.langgraph._chain import ANCHOR, NOTHING_SAID, PROVIDER, digest_after, plan, steps_of

SESSION = "here/gemini"


def digest(*messages: BaseMessage) -> str:
    value = NOTHING_SAID
    for message in messages:
        value = digest_after(value, message)
    return value


def answered(
    *before: BaseMessage, id: str, said: Any = "Noted.", session: str = SESSION, **fields: Any
) -> list[BaseMessage]:
    """A history and an answer of ours to it, with its anchor."""
    message = AIMessage(said, response_metadata={"model_provider": PROVIDER, "id": id}, **fields)
    message.additional_kwargs[ANCHOR] = {"session": session, "id": id, "digest": digest(*before, message)}
    return [*before, message]


@pytest.mark.covers("langgraph:chain:follows")
def test_a_turn_follows_the_latest_answer_and_sends_what_came_after() -> None:
    """Two answers: the later one is the parent."""
    history = answered(HumanMessage("a"), id="v1_1")
    history = answered(*history, HumanMessage("b"), id="v1_2")
    result = plan([*history, HumanMessage("c")], SESSION)
    assert (result.parent, result.start) == ("v1_2", 4)


@pytest.mark.covers("langgraph:chain:follows")
def test_a_first_turn_follows_nothing() -> None:
    """No anchor, no parent."""
    result = plan([HumanMessage("a"), AIMessage("b"), HumanMessage("c")], SESSION)
    assert (result.parent, result.start, result.reason) == (None, 0, "a new chain")


@pytest.mark.covers("langgraph:chain:edited")
@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda history: [HumanMessage("A"), *history[1:]], id="text"),
        pytest.param(lambda history: history[1:], id="removed"),
        pytest.param(lambda history: [HumanMessage("before"), *history], id="inserted"),
        pytest.param(
            lambda history: [history[0], history[1].model_copy(update={"content": "Other."}), *history[2:]],
            id="the answer itself",
        ),
        pytest.param(
            lambda history: [
                history[0],
                history[1].model_copy(update={"tool_calls": [{"name": "f", "args": {}, "id": "z"}]}),
                *history[2:],
            ],
            id="a call",
        ),
        pytest.param(
            lambda history: [
                HumanMessage([{"type": "text", "text": "a"}, {"type": "image", "url": "u"}]),
                *history[1:],
            ],
            id="a picture",
        ),
    ],
)
def test_an_edited_history_is_never_followed(edit: Any) -> None:
    """Whatever differs from what the server was told makes a new chain of everything."""
    history = answered(HumanMessage("a"), id="v1_1")
    result = plan([*edit(history), HumanMessage("b")], SESSION)
    assert (result.parent, result.start, result.reason) == (None, 0, "the history was changed")


@pytest.mark.covers("langgraph:chain:edited")
def test_an_edit_after_an_older_answer_goes_back_to_that_one() -> None:
    """The latest anchor that still fits is the parent, so only what was edited is sent again."""
    history = answered(HumanMessage("a"), id="v1_1")
    history = answered(*history, HumanMessage("b"), id="v1_2")
    history[2] = HumanMessage("B")
    assert (plan([*history, HumanMessage("c")], SESSION).parent, plan(history, SESSION).start) == ("v1_1", 2)


@pytest.mark.covers("langgraph:chain:session")
@pytest.mark.parametrize("session", ["elsewhere/gemini", "here/other"])
def test_an_answer_of_another_session_is_not_followed(session: str) -> None:
    """Another account or place, or another name in the graph, is another conversation."""
    assert plan([*answered(HumanMessage("a"), id="v1_1", session=session), HumanMessage("b")], SESSION).parent is None


@pytest.mark.covers("langgraph:chain:digest")
def test_the_digest_sees_meaning_and_not_form() -> None:
    """A text and a list of texts are the same, ids, indexes, cache marks and system messages are nothing."""
    plain = [HumanMessage("ab"), AIMessage("c", tool_calls=[{"name": "f", "args": {"x": 1, "y": 2}, "id": "1"}])]
    other = [
        SystemMessage("Be brief."),
        HumanMessage([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, "b"], id="m1", name="Ann"),
        AIMessage(
            [
                {"type": "reasoning", "reasoning": "hm"},
                {"type": "text", "text": "c", "index": 1},
                {"type": "tool_call", "id": "1"},
            ],
            tool_calls=[{"name": "f", "args": {"y": 2, "x": 1}, "id": "1"}],
            usage_metadata={"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
        ),
    ]
    assert digest(*plain) == digest(*other)


@pytest.mark.covers("langgraph:chain:digest")
def test_the_digest_sees_who_spoke_and_in_which_order() -> None:
    """The same words from another mouth, in another order or split otherwise are another history."""
    histories: list[list[BaseMessage]] = [
        [HumanMessage("a"), HumanMessage("b")],
        [HumanMessage("b"), HumanMessage("a")],
        [HumanMessage("ab")],
        [AIMessage("a"), HumanMessage("b")],
        [ToolMessage("a", tool_call_id="1"), HumanMessage("b")],
        [ToolMessage("a", tool_call_id="2"), HumanMessage("b")],
        [ToolMessage("a", tool_call_id="1", status="error"), HumanMessage("b")],
        [HumanMessage("a")],
        [],
    ]
    assert len({digest(*history) for history in histories}) == len(histories)


@pytest.mark.covers("langgraph:chain:steps")
@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, True),
        ({"content": "Other."}, False),
        ({"content": [{"type": "text", "text": "Hi."}]}, True),
        ({"content": [{"type": "text", "text": "Hi."}, {"type": "image", "url": "u"}]}, False),
        ({"tool_calls": []}, False),
        ({"tool_calls": [{"name": "f", "args": {"x": 2}, "id": "1", "type": "tool_call"}]}, False),
    ],
)
def test_the_steps_of_an_answer_hold_while_it_shows_what_they_say(change: dict[str, Any], kept: bool) -> None:
    """An edited answer is not sent back as the steps it once was."""
    steps = [
        {"type": "thought", "signature": "s"},
        {"type": "model_output", "content": [{"type": "text", "text": "Hi."}]},
        {"type": "function_call", "id": "0", "name": "read_file", "arguments": {}},
        {"type": "function_result", "call_id": "0", "result": "x"},
        {"type": "function_call", "id": "1", "name": "f", "arguments": {"x": 1}},
    ]
    message = AIMessage(
        "Hi.", tool_calls=[{"name": "f", "args": {"x": 1}, "id": "1"}], additional_kwargs={ANCHOR: {"steps": steps}}
    )
    assert steps_of(message) == steps
    assert (steps_of(message.model_copy(update=change)) is not None) == kept
    assert steps_of(AIMessage("Hi.")) is None
