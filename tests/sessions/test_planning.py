"""The plan: which answer a turn follows, what it sends, and what makes it follow none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bridge.backend import Capabilities
from bridge.errors import HistoryDiverged, InvalidRequest
from bridge.sessions import Anchor, Call, Message, Plan, plan

SESSION = "here/gemini"


def user(text: Any) -> Message:
    return Message("user", text)


def planned(history: Sequence[Message], session: str = SESSION, **options: Any) -> Plan:
    return plan(history, session, Capabilities(**options.pop("capabilities", {})), **options)


def answered(*before: Message, id: str, said: Any = "Noted.", session: str = SESSION, **fields: Any) -> list[Message]:
    """A history and an answer of ours to it, with the anchor that its turn gave it."""
    answer = Message("model", said, **fields)
    steps = [{"type": "model_output", "content": [{"type": "text", "text": said}]}] if isinstance(said, str) else []
    anchor = planned(before, session).anchor(answer, id=id, steps=steps)
    return [*before, answer._replace(anchor=anchor, interaction=id)]


def texts(plan: Plan) -> list[str]:
    return [step["content"][0]["text"] for step in plan.steps]


TWO_TURNS = answered(*answered(user("a"), id="v1_1"), user("b"), id="v1_2")


@pytest.mark.covers("sessions:follows")
def test_a_turn_follows_the_latest_answer_and_sends_what_came_after() -> None:
    """Two answers: the later one is the parent."""
    result = planned([*TWO_TURNS, user("c")])
    assert (result.parent, texts(result), result.reason) == ("v1_2", ["c"], "follows")


@pytest.mark.covers("sessions:follows")
def test_a_first_turn_sends_everything() -> None:
    """No anchor, no parent."""
    result = planned([user("a"), Message("model", "b"), user("c")])
    assert (result.parent, texts(result), result.reason) == (None, ["a", "b", "c"], "new")


@pytest.mark.covers("sessions:changed")
@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda history: [user("A"), *history[1:]], id="text"),
        pytest.param(lambda history: history[1:], id="removed"),
        pytest.param(lambda history: [user("before"), *history], id="inserted"),
        pytest.param(lambda history: [history[0], history[1]._replace(content="Other.")], id="the answer itself"),
        pytest.param(lambda history: [history[0], history[1]._replace(calls=[Call("z", "f", {})])], id="a call"),
        pytest.param(
            lambda history: [user([{"type": "text", "text": "a"}, {"type": "image", "uri": "u"}]), history[1]],
            id="a picture",
        ),
        pytest.param(lambda history: [Message("tool", "a", call_id="x"), history[1]], id="another speaker"),
    ],
)
def test_a_changed_history_is_never_followed(edit: Any) -> None:
    """Whatever differs from what the server was told makes a new chain of everything, or is refused."""
    history = [*edit(answered(user("a"), id="v1_1")), user("b")]
    result = planned(history)
    assert (result.parent, result.reason, len(result.steps) >= 2) == (None, "changed", True)
    with pytest.raises(HistoryDiverged, match="v1_1") as refusal:
        planned(history, on_divergence="raise")
    assert refusal.value.interaction_id == "v1_1"


@pytest.mark.covers("sessions:changed")
def test_a_change_after_an_older_answer_goes_back_to_that_one() -> None:
    """The latest anchor that still fits is the parent, so only what was changed is sent again."""
    history = [*TWO_TURNS[:2], user("B"), TWO_TURNS[3], user("c")]
    result = planned(history)
    assert (result.parent, texts(result)) == ("v1_1", ["B", "Noted.", "c"])
    with pytest.raises(HistoryDiverged, match=r"messages\[0\] \(ai\).*v1_2"):
        planned(history, on_divergence="raise")


@pytest.mark.covers("sessions:fork")
def test_a_fork_follows_the_answer_it_forked_from() -> None:
    """Time travel: the later answer is not among the messages, and its interaction is no parent."""
    assert planned([*TWO_TURNS[:2], user("other")]).parent == "v1_1"


@pytest.mark.covers("sessions:branches")
def test_of_parallel_branches_one_is_followed_and_the_other_is_the_models_own_words() -> None:
    """Two nodes of one session answered the same messages; neither is lost, nothing is told twice."""
    before = answered(user("a"), id="v1_1")
    left = answered(*before, user("b"), id="v1_left", said="Left.")
    right = answered(*before, user("b"), id="v1_right", said="Right.")
    history = [*left, right[-1], user("c")]
    for on_divergence in ("replay", "raise"):
        result = planned(history, on_divergence=on_divergence)
        assert result.parent == "v1_left"
        assert [step["type"] for step in result.steps] == ["model_output", "user_input"]
        assert texts(result) == ["Right.", "c"]
    after = planned([*answered(*history, id="v1_3"), user("d")])
    assert (after.parent, texts(after)) == ("v1_3", ["d"])


@pytest.mark.covers("sessions:branches")
def test_a_branch_of_several_turns_is_no_divergence() -> None:
    """A branch with a tool loop of its own was given its own messages, which stand one after the other."""
    before = [user("a")]
    left = answered(*before, id="v1_left", said="Left.")
    right = answered(*before, id="v1_right", said="", calls=[Call("1", "f", {})])
    right = answered(*right, Message("tool", "2", call_id="1"), id="v1_right2", said="Right.")
    history = [*left, *right[1:], user("c")]
    result = planned(history, on_divergence="raise")
    assert result.parent == "v1_left"
    assert [step["type"] for step in result.steps] == [
        *("thought", "function_call", "function_result"),
        *("model_output", "user_input"),
    ]


@pytest.mark.covers("sessions:branches")
def test_an_answer_behind_that_of_a_parallel_node_of_another_session_is_told_anew() -> None:
    """It was not given what stands before it now: the server learns the order that the graph shows. That is no divergence."""
    asked = user("a")
    other = answered(asked, id="v1_other", session="here/other", author="Ann", said="Theirs.")[-1]
    own = answered(asked, id="v1_own", said="Ours.")[-1]
    result = planned([asked, other, own, user("b")], on_divergence="raise")
    assert (result.parent, result.reason, result.replays) == (None, "changed", 1)
    assert planned([asked, own, other, user("b")]).parent == "v1_own"


@pytest.mark.covers("sessions:changed", "sessions:branches")
def test_a_change_that_the_server_was_told_of_is_not_refused_again() -> None:
    """Answers before the one that is followed were replayed with it; parallel branches after it are no reason to look at them."""
    edited = [user("A"), *answered(user("a"), id="v1_1")[1:], user("b")]
    before = [*answered(*edited, id="v1_2"), user("c")]
    left, right = answered(*before, id="v1_left", said="Left."), answered(*before, id="v1_right", said="Right.")
    result = planned([*left, right[-1], user("d")], on_divergence="raise")
    assert (result.parent, texts(result)) == ("v1_left", ["Right.", "d"])


@pytest.mark.covers("sessions:session")
@pytest.mark.parametrize("session", ["elsewhere/gemini", "here/other"])
def test_an_answer_of_another_session_is_quoted_and_not_followed(session: str) -> None:
    """Another account or place, or another name in the graph, is another conversation."""
    result = planned([*answered(user("a"), id="v1_1", session=session, author="Ann"), user("b")])
    assert (result.parent, result.reason) == (None, "new")
    assert "Ann" in texts(result)[1]


@pytest.mark.covers("sessions:version")
def test_an_anchor_of_another_version_of_the_rendering_is_not_followed() -> None:
    """What that version told the server may not be what this one believes; it is no divergence either."""
    history = answered(user("a"), id="v1_1")
    older = history[1]._replace(anchor=Anchor(**{**history[1].anchor, "version": 1}))
    result = planned([history[0], older, user("b")], on_divergence="raise")
    assert (result.parent, result.reason, result.replays) == (None, "other version", 0)


@pytest.mark.covers("sessions:given")
def test_a_given_parent_is_followed_from_its_answer_on() -> None:
    """Where no message is its answer, everything is sent after it."""
    assert (planned([*TWO_TURNS, user("c")], parent="v1_1").parent) == "v1_1"
    assert texts(planned([*TWO_TURNS, user("c")], parent="v1_1")) == ["b", "Noted.", "c"]
    unknown = planned([Message("tool", "4", call_id="x"), user("c")], parent="v1_9")
    assert (unknown.parent, unknown.reason) == ("v1_9", "given")
    assert [step["type"] for step in unknown.steps] == ["function_result", "user_input"]


@pytest.mark.covers("sessions:given")
def test_a_given_parent_of_another_session_is_answered() -> None:
    """Its calls wait for results, whoever made them."""
    history = answered(user("a"), id="v1_1", session="here/other", calls=[Call("1", "f", {})], said="")
    result = planned([*history, Message("tool", "2", call_id="1")], parent="v1_1")
    assert [step["type"] for step in result.steps] == ["function_result"]


@pytest.mark.covers("sessions:whole")
def test_without_following_everything_is_sent_with_the_sessions_own_steps() -> None:
    """For a service that keeps nothing."""
    result = planned([*TWO_TURNS, user("c")], follow=False)
    assert (result.parent, result.reason, texts(result)) == (None, "whole", ["a", "Noted.", "b", "Noted.", "c"])
    assert "id" not in result.anchor(Message("model", "x"), id=None, steps=[])


@pytest.mark.covers("sessions:nothing-new")
def test_nothing_to_send_is_refused() -> None:
    """The API needs an input; the error says what to do."""
    for history in (TWO_TURNS, []):
        with pytest.raises(InvalidRequest, match=r"nothing is .*; add a message"):
            planned(history)


@pytest.mark.covers("sessions:mutable")
def test_a_server_without_forks_is_only_followed_from_its_last_state() -> None:
    """An earlier state is gone there, so a change after it makes a new chain."""
    history = [*TWO_TURNS[:2], user("B"), TWO_TURNS[3], user("c")]
    mutable = {"handle": "mutable", "fork": False}
    assert planned(history, capabilities=mutable).parent is None
    assert planned([*TWO_TURNS, user("c")], capabilities=mutable).parent == "v1_2"


@pytest.mark.covers("sessions:replays")
def test_replays_in_a_row_are_counted_in_the_anchors() -> None:
    """A window that slides before every turn is told by the third; a turn that follows starts anew."""
    history: list[Message] = []
    counts = []
    for number in range(4):
        history = answered(*history, user(f"turn {number}"), id=f"v1_{number}")[-3:]
        counts.append(history[-1].anchor["replays"])
    assert counts == [0, 0, 1, 2]
    assert planned([*history, user("x")]).replays == 3
    assert planned([*answered(*history, user("x"), id="v1_x"), user("y")]).replays == 0
