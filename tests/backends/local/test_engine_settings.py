"""Test controls and switches: how a test of a client steers the service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bridge import assemble
from bridge.backends.local import Switches
from bridge.backends.local.settings import Controls
from bridge.errors import ApiError, BadRequest, ConnectionFailed, InvalidRequest, NotFound
from bridge.interactions import STATUSES, Event

from .service import THOUGHT, call, function, text

Service = Callable[..., Any]
ENDING = [status for status, meaning in STATUSES.items() if meaning.ends_wait]


@pytest.mark.covers("local:controls:off")
async def test_without_test_controls_the_labels_mean_nothing(service: Service) -> None:
    """A label of a user must never change a turn."""
    backend = service([text("ok")])
    labels = {
        "local-status": "failed",
        "local-http": "500",
        "local-steps": "9",
        "local-drop-after": "0",
        "local-delay-ms": "x",
    }
    turn = await backend.create(model="m", input="x", labels=labels)
    assert (turn.status, len(turn.steps)) == ("completed", 1)


@pytest.mark.covers("local:controls:status")
@pytest.mark.parametrize("status", ENDING)
async def test_a_label_sets_the_status_a_turn_ends_with(service: Service, status: str) -> None:
    """Any that ends a wait; the stream closes in `interaction.completed`; a failed one carries errors."""
    backend = service(*([THOUGHT, text("ok")] for _ in range(3)), test_controls=True)
    labels = {"local-status": status}
    turn = await backend.create(model="m", input="x", labels=labels, tools=[function("f")])
    events = [event async for event in backend.stream(model="m", input="x", labels=labels)]
    assert turn.status == assemble(events).status == status
    assert events[-1].event_type == "interaction.completed"
    assert bool(turn.to_wire().get("errors")) == (status == "failed")
    assert [pending.name for pending in turn.pending_calls] == (["f"] if status == "requires_action" else [])
    assert (turn.continuation_token is not None) == (status == "requires_continuation")
    started = await backend.create(model="m", input="x", labels=labels, background=True)
    assert started.status == "in_progress"
    assert assemble([event async for event in backend.watch(started.id)]).status == status


@pytest.mark.covers("local:controls:status")
async def test_a_call_that_is_there_needs_no_other_for_requires_action(service: Service) -> None:
    """And where no function was declared there is one to answer all the same."""
    backend = service([call("mine")], [text("x")], test_controls=True)
    labels = {"local-status": "requires_action"}
    assert [c.name for c in (await backend.create(model="m", input="x", labels=labels)).pending_calls] == ["mine"]
    assert [c.name for c in (await backend.create(model="m", input="x", labels=labels)).pending_calls] == [
        "local_action"
    ]


@pytest.mark.covers("local:controls:continuation")
@pytest.mark.parametrize("stored", [True, False])
async def test_a_turn_that_requires_continuation_is_continued_with_its_token(service: Service, stored: bool) -> None:
    """The next hop has the same labels and ends; with a stored hop before it, it needs no input."""
    backend = service([THOUGHT, text("ok")], [THOUGHT, text("ok")], [text("later")], test_controls=True)
    responder: Any = backend.engine._responder
    request: dict[str, Any] = {"model": "m", "labels": {"local-status": "requires_continuation"}, "store": stored}
    first = await backend.create(input="the question", **request)
    assert first.to_wire()["steps"] == [THOUGHT]
    more = {"previous_interaction_id": first.id} if stored else {"input": "the question"}
    with pytest.raises(BadRequest, match="continuation_token"):
        await backend.create(continuation_token="another", **more, **request)
    last = await backend.create(continuation_token=first.continuation_token, **more, **request)
    assert (last.status, last.output_text) == ("completed", "ok")
    assert [step.content[0].text for step in responder.turns[-1].input] == ["the question"]
    assert responder.turns[-1].history == ()
    if stored:
        await backend.create(model="m", input="and then", previous_interaction_id=last.id)
        assert [step.type for step in responder.turns[-1].history] == [
            "user_input",
            "thought",
            "thought",
            "model_output",
        ]


@pytest.mark.covers("local:controls:steps")
@pytest.mark.parametrize("number", [1, 2, 7])
async def test_a_label_sets_how_many_steps_a_turn_has(service: Service, number: int) -> None:
    """The answer is the last of them."""
    backend = service([THOUGHT, text("ok")], [THOUGHT, text("ok")], test_controls=True)
    turn = await backend.create(model="m", input="x", labels={"local-steps": str(number)})
    assert (len(turn.steps), turn.output_text) == (number, "ok")
    labels = {"local-steps": str(number), "local-status": "requires_action"}
    turn = await backend.create(model="m", input="x", labels=labels)
    assert (len(turn.steps), len(turn.pending_calls)) == (number, 1)


@pytest.mark.covers("local:controls:delay")
async def test_a_label_delays_a_turn_spread_over_its_steps(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """In milliseconds, in sum; a turn without steps is delayed too."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    backend = service([THOUGHT, text("ok")], [], test_controls=True)
    await backend.create(model="m", input="x", labels={"local-delay-ms": "300", "local-steps": "3"})
    assert slept == pytest.approx([0.1, 0.1, 0.1])
    await backend.create(model="m", input="x", labels={"local-delay-ms": "200"})
    assert slept[3:] == [0.2]


@pytest.mark.covers("local:controls:delay")
async def test_a_delayed_turn_can_be_cancelled(service: Service) -> None:
    """At once, with an hour still to go."""
    backend = service([text("ok")], test_controls=True)
    started = await backend.create(model="m", input="x", background=True, labels={"local-delay-ms": "3600000"})
    assert (await backend.cancel(started.id)).status == "cancelled"


@pytest.mark.covers("local:controls:drop")
@pytest.mark.parametrize("background", [True, False])
async def test_a_label_cuts_the_first_stream_and_the_turn_goes_on(service: Service, background: bool) -> None:
    """After so many events; a resumed stream has the rest."""
    backend = service([THOUGHT, text("One two three.")], test_controls=True)
    seen: list[Event] = []

    async def follow() -> None:
        async for event in backend.stream(
            model="m", input="x", background=background, labels={"local-drop-after": "4"}
        ):
            seen.append(event)  # noqa: PERF401 - what came before the cut counts

    with pytest.raises(ConnectionFailed, match="local-drop-after"):
        await follow()
    assert len(seen) == 4
    turn = assemble(seen).id
    rest = [event async for event in backend.watch(turn, after=seen[-1].event_id)]
    assert assemble([*seen, *rest]).output_text == "One two three."


@pytest.mark.covers("local:controls:http")
@pytest.mark.parametrize(
    ("status", "code"), [(429, "rate_limit_exceeded"), (500, "api_error"), (418, "invalid_request")]
)
async def test_a_label_answers_the_first_of_equal_requests_with_a_status(
    service: Service, status: int, code: str
) -> None:
    """The second is answered as if nothing had been; another request starts anew."""
    backend = service([text("ok")], [text("ok")], test_controls=True)
    request: dict[str, Any] = {"model": "m", "labels": {"local-http": str(status)}}
    for words in ("one", "two"):
        with pytest.raises(ApiError) as refused:
            await backend.create(input=words, **request)
        assert (refused.value.status, refused.value.code) == (status, code)
        assert (await backend.create(input=words, **request)).status == "completed"


@pytest.mark.covers("local:controls:refused")
@pytest.mark.parametrize(
    "labels",
    [
        {"local-status": "in_progress"},
        {"local-status": "unheard-of"},
        {"local-http": "200"},
        {"local-steps": "0"},
        {"local-steps": "many"},
        {"local-drop-after": ""},
        {"local-delay-ms": "9999999999"},
    ],
)
async def test_a_control_that_makes_no_sense_is_refused(service: Service, labels: dict[str, str]) -> None:
    """By name: a test that asks for nothing must not pass by accident."""
    with pytest.raises(InvalidRequest, match=next(iter(labels))):
        await service([text("ok")], test_controls=True).create(model="m", input="x", labels=labels)
    assert Controls.of(None) == Controls()


@pytest.mark.covers("local:switches:background-stream")
@pytest.mark.parametrize("allowed", [True, False])
async def test_whether_one_create_may_ask_for_background_and_stream_is_a_switch(
    service: Service, allowed: bool
) -> None:
    """Where it is refused, a background turn is watched instead."""
    backend = service([text("a")], switches=Switches(background_stream=allowed))
    if allowed:
        assert [e async for e in backend.stream(model="m", input="x", background=True)]
        return
    with pytest.raises(BadRequest, match="stream=true"):
        await anext(backend.stream(model="m", input="x", background=True))
    started = await backend.create(model="m", input="x", background=True)
    assert assemble([e async for e in backend.watch(started.id)]).status == "completed"


@pytest.mark.covers("local:switches:hidden-reads")
async def test_a_background_turn_may_be_invisible_for_its_first_reads(service: Service) -> None:
    """404 so many times, then there; a foreground turn is there at once."""
    backend = service([text("a")], [text("b")], switches=Switches(hidden_reads=2))
    started = await backend.create(model="m", input="x", background=True)
    for _ in range(2):
        with pytest.raises(NotFound):
            await backend.get(started.id)
    assert (await backend.get(started.id)).id == started.id
    foreground = await backend.create(model="m", input="x")
    assert await backend.get(foreground.id) == foreground


@pytest.mark.covers("local:switches:texts")
def test_switches_are_read_from_texts() -> None:
    """As the command line gives them; what is possible is named where it is not."""
    assert Switches.parse([]) == Switches()
    assert Switches.parse(["hidden_reads=3", "environment_reuse=fork", "background_stream=false"]) == Switches(
        hidden_reads=3, environment_reuse="fork", background_stream=False
    )
    for wrong in (
        "nothing=true",
        "hidden_reads=some",
        "hidden_reads=NUMBER",
        "environment_reuse=copy",
        "background_stream",
    ):
        with pytest.raises(InvalidRequest, match=r"environment_reuse=mutable\|fork"):
            Switches.parse([wrong])
