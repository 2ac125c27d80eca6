"""What ends a wait of `interactions_node`: every status, deadlines, budgets, stalls, and services that fail meanwhile."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from bridge.backend import Capabilities
from bridge.backends.local import LocalBackend, ScriptedResponder, Switches
from bridge.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    InteractionFailed,
    InvalidRequest,
    NotConfigured,
    NotFound,
    OutcomeUnknown,
    ServiceFailed,
    UnsupportedCapability,
)
from bridge.interactions import STATUSES, Interaction, Thought, meaning_of
from bridge.jobs import Budget, JobStore, SqliteJobStore, looking
from bridge.jobs.prices import usd_of
from bridge.jobs.terms import tokens_of
from bridge.langgraph import Sweeper, interactions_node
from tests.backends.local.service import Clock, Gate, text
from tests.langgraph.conftest import Service

from .working import AGENT, MODEL, RESEARCH, Faulty, Graph, Slow, asked, graph_of, on

PRICED = "gemini-2.5-flash"
AWAY = ConnectionFailed("the service is away", sent=True)


@pytest.fixture
def clock() -> Clock:
    """The store's clock."""
    return Clock(time.time())


@pytest.fixture
async def clocked(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteJobStore]:
    """A store with that clock."""
    store = SqliteJobStore(tmp_path / "clocked.sqlite", clock=clock)
    yield store
    await store.aclose()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow each other at once, and a stop is given up soon."""
    monkeypatch.setattr(looking, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(looking, "_SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(looking, "_STOP_PAUSE", 0.01)
    monkeypatch.setattr(looking, "STOP_WITHIN", 0.2)
    monkeypatch.setattr(looking, "_EVENTS_WITHIN", 0.3)


def awaiting(backend: Any, jobs: JobStore, **settings: Any) -> Graph:
    """A graph of a node that waits in its run."""
    settings = {"model": MODEL, "name": "work", "wait": "await", **settings}
    return graph_of(interactions_node(backend=backend, jobs=jobs, **settings), checkpointer=InMemorySaver())


class Standing(LocalBackend):
    """A backend that shows a status for its first reads, and then how things are."""

    def __init__(self, status: str, reads: int = 3) -> None:
        super().__init__()
        self.status, self.reads = status, reads

    async def get(self, id: str, *, include_input: bool = False) -> Interaction:
        interaction = await super().get(id, include_input=include_input)
        self.reads -= 1
        return interaction if self.reads < 0 else interaction.replace(status=self.status)


@pytest.mark.covers("langgraph:node:status")
@pytest.mark.parametrize("status", [name for name, meaning in STATUSES.items() if meaning.ends_wait])
async def test_each_status_that_ends_a_wait_has_one_meaning(service: Service, jobs: JobStore, status: str) -> None:
    """An answer, a part of one, a next step, or an error that names the interaction and how it ended."""
    graph = awaiting(service.backend, jobs, labels={"local-status": status})
    outcome = meaning_of(status).outcome
    if outcome in ("error", "cancelled", "calls"):
        with pytest.raises(InteractionFailed, match=status) as failure:
            await graph.ainvoke(asked("hello"), on("1"))
        assert failure.value.interaction.id in str(failure.value)
        assert failure.value.interaction.status == status
        return
    state = await graph.ainvoke(asked("hello"), on("1"))
    assert state["messages"][-1].text
    assert state["interactions"]["work"]["status"] == ("completed" if outcome == "more" else status)
    assert len(service.sent) == (2 if outcome == "more" else 1)


@pytest.mark.covers("langgraph:node:status")
@pytest.mark.parametrize("status", [*(name for name, meaning in STATUSES.items() if not meaning.ends_wait), "napping"])
async def test_each_other_status_and_an_unknown_one_is_waited_through(jobs: JobStore, status: str) -> None:
    """Until the service says more."""
    async with Standing(status) as backend:
        state = await awaiting(backend, jobs).ainvoke(asked("hello"), on("1"))
        assert state["interactions"]["work"]["status"] == "completed"
        assert backend.reads < 0


@pytest.mark.covers("langgraph:node:status", "langgraph:node:deadline")
async def test_an_unknown_status_ends_with_the_deadline(jobs: JobStore) -> None:
    """And never by a guess."""
    async with Standing("napping", 1_000_000) as backend:
        with pytest.raises(DeadlineExceeded, match=r"deadline of 0\.1 s"):
            await awaiting(backend, jobs, deadline=0.1).ainvoke(asked("hello"), on("1"))


@pytest.mark.covers("langgraph:node:incomplete")
@pytest.mark.parametrize("status", ["incomplete", "budget_exceeded"])
async def test_a_partial_answer_is_an_error_where_it_is_wanted_so(
    service: Service, jobs: JobStore, status: str
) -> None:
    """With what there is of it."""
    graph = awaiting(service.backend, jobs, labels={"local-status": status}, on_incomplete="raise")
    with pytest.raises(InteractionFailed, match=f"{status}.*on_incomplete='keep'") as failure:
        await graph.ainvoke(asked("hello"), on("1"))
    assert failure.value.interaction.output_text


@pytest.mark.covers("langgraph:node:errors")
async def test_an_interaction_that_cannot_be_found_yet_is_waited_for(jobs: JobStore) -> None:
    """The service may answer 404 for a while after a create."""
    async with LocalBackend(switches=Switches(hidden_reads=5)) as backend:
        state = await awaiting(backend, jobs).ainvoke(asked("hello"), on("1"))
        assert state["interactions"]["work"]["status"] == "completed"
        assert len(await jobs.list()) == 1


@pytest.mark.covers("langgraph:node:errors")
async def test_a_service_that_is_away_for_a_while_is_waited_for(jobs: JobStore) -> None:
    """Its errors are none of the run's."""
    async with Faulty() as backend:
        backend.faults["get"] = [AWAY, ServiceFailed("busy", status=503), NotFound("where?", status=404), AWAY]
        state = await awaiting(backend, jobs).ainvoke(asked("hello"), on("1"))
        assert state["interactions"]["work"]["status"] == "completed"
        assert backend.faults["get"] == []


@pytest.mark.covers("langgraph:node:errors", "langgraph:node:deadline")
async def test_a_service_that_stays_away_ends_with_the_deadline(
    jobs: JobStore, caplog: pytest.LogCaptureFixture
) -> None:
    """What may still run is named."""
    async with Faulty(responder=Slow()) as backend:
        backend.faults["get"], backend.faults["cancel"] = [AWAY] * 1_000_000, [AWAY]
        with pytest.raises(DeadlineExceeded, match="could not be cancelled and may still run"):
            await awaiting(backend, jobs, deadline=0.1).ainvoke(asked("hello"), on("1"))
        assert "the service is away" in caplog.text


@pytest.mark.covers("langgraph:node:polling")
async def test_a_stream_cut_at_any_point_loses_and_doubles_no_step(service: Service, jobs: JobStore) -> None:
    """Each cut in a run of its own."""

    async def steps(cut: int) -> None:
        labels = {"local-drop-after": str(cut), "local-steps": "4", "local-delay-ms": "200"}
        stream: Any = awaiting(service.backend, jobs, labels=labels).astream(
            asked("hello"), on(str(cut)), stream_mode="custom", subgraphs=True
        )
        shown = [part async for _, part in stream]
        told = [(part["index"], part["step"]) for part in shown if part["type"] == "step"]
        stored = await service.local.get(shown[0]["interaction_id"])
        assert told == [*enumerate(step.to_wire() for step in stored.steps or [])], cut

    await asyncio.gather(*(steps(cut) for cut in range(16)))


@pytest.mark.covers("langgraph:node:abandoned")
async def test_a_run_that_was_abandoned_and_is_run_again_starts_anew(jobs: JobStore) -> None:
    """What was given up is not waited for, and not taken for an answer."""
    slow = Slow()

    async def first(turn: Any) -> AsyncIterator[Any]:
        async for step in slow.respond(turn):
            yield step

    async with LocalBackend(responder=ScriptedResponder([first, [text("Anew.")]])) as backend:
        graph = awaiting(backend, jobs)
        run = asyncio.create_task(graph.ainvoke(asked("hello"), on("1")))
        await slow.began.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        (job,) = await jobs.list()
        assert (job.verdict, job.status) == ("abandoned", "cancelled")
        state = await graph.ainvoke(None, on("1"))
        assert state["messages"][-1].text == "Anew."
        assert [job.verdict for job in await jobs.list()] == [None, "abandoned"]


@pytest.mark.covers("langgraph:node:unknown-start")
async def test_a_start_of_which_nothing_is_known_is_not_paid_again(jobs: JobStore) -> None:
    """The error names the row and the three ways on."""
    async with Faulty() as backend:
        backend.faults["create"] = [AWAY]
        graph = awaiting(backend, jobs)
        with pytest.raises(ConnectionFailed):
            await graph.ainvoke(asked("hello"), on("1"))
        (job,) = await jobs.list(state="intended")
        with pytest.raises(OutcomeUnknown, match=rf"{job.token}.*bind.*'wait'.*'recreate'"):
            await graph.ainvoke(None, on("1"))
        made = await backend.create(model=MODEL, input="hello", background=True)
        await jobs.bind(job.token, made.id)
        state = await graph.ainvoke(None, on("1"))
        assert state["messages"][-1].id == made.id


@pytest.mark.covers("langgraph:node:unknown-start")
async def test_a_start_of_which_nothing_is_known_is_made_again_where_that_is_wanted(
    jobs: JobStore, caplog: pytest.LogCaptureFixture
) -> None:
    """And logged; its row stays the same."""
    async with Faulty() as backend:
        backend.faults["create"] = [AWAY]
        graph = awaiting(backend, jobs, on_unknown_start="recreate")
        with pytest.raises(ConnectionFailed):
            await graph.ainvoke(asked("hello"), on("1"))
        await graph.ainvoke(None, on("1"))
        (job,) = await jobs.list()
        assert job.token in caplog.text
        assert job.status == "completed"


@pytest.mark.covers("langgraph:node:unknown-start")
async def test_a_start_of_which_nothing_is_known_may_be_waited_for(jobs: JobStore) -> None:
    """To its deadline at most."""
    async with Faulty() as backend:
        backend.faults["create"] = [AWAY]
        graph = awaiting(backend, jobs, on_unknown_start="wait", deadline=0.2)
        with pytest.raises(ConnectionFailed):
            await graph.ainvoke(asked("hello"), on("1"))
        with pytest.raises(OutcomeUnknown, match="recreate"):
            await graph.ainvoke(None, on("1"))


@pytest.mark.covers("langgraph:node:unknown-start")
async def test_a_start_that_was_refused_leaves_no_row(jobs: JobStore) -> None:
    """Nothing was started, so the next run starts."""
    async with Faulty() as backend:
        backend.faults["create"] = [ConnectionFailed("no route", sent=False)]
        graph = awaiting(backend, jobs)
        with pytest.raises(ConnectionFailed):
            await graph.ainvoke(asked("hello"), on("1"))
        assert await jobs.list() == []
        assert (await graph.ainvoke(None, on("1")))["messages"][-1].text


def sent_limit(service: Service, config: str, name: str) -> int:
    """A limit as it stands in the only request; 64-bit integers are texts on the wire."""
    (request,) = service.sent
    return int(request[config][name])


@pytest.mark.covers("langgraph:node:budget")
@pytest.mark.parametrize(
    ("settings", "config", "name", "limit"),
    [
        ({"agent": AGENT}, "agent_config", "max_total_tokens", 50_000),
        ({"agent": AGENT, "agent_config": {"max_total_tokens": 900}}, "agent_config", "max_total_tokens", 900),
        ({"model": MODEL}, "generation_config", "max_output_tokens", 50_000),
        (
            {"model": MODEL, "generation_config": {"max_output_tokens": 90_000}},
            "generation_config",
            "max_output_tokens",
            50_000,
        ),
    ],
)
async def test_a_budget_of_tokens_is_the_service_s_own_limit(
    service: Service, jobs: JobStore, settings: dict[str, Any], config: str, name: str, limit: int
) -> None:
    """Of an agent all tokens, of a model those of the answer; a lower one of the caller's own stays."""
    settings = {"model": None, **settings}
    state = await awaiting(service.backend, jobs, budget={"tokens": 50_000}, **settings).ainvoke(
        asked("hello"), on("1")
    )
    assert sent_limit(service, config, name) == limit
    assert "overrun" not in state["interactions"]["work"]


@pytest.mark.covers("langgraph:node:budget")
async def test_a_budget_that_ends_a_turn_is_a_partial_answer(service: Service, jobs: JobStore) -> None:
    """As the service counts it."""
    graph = awaiting(service.backend, jobs, budget=Budget(tokens=5))
    state = await graph.ainvoke(asked("Tell me a long story of many words."), on("1"))
    assert state["interactions"]["work"]["status"] == "incomplete"


@pytest.mark.covers("langgraph:node:budget")
@pytest.mark.parametrize("budget", [{"tokens": 1}, {"tokens": 1, "seconds": 60}])
async def test_a_limit_that_nobody_keeps_is_refused_or_observed(
    service: Service, jobs: JobStore, budget: dict[str, Any]
) -> None:
    """Deep research has none; where it is observed the overrun stands beside the answer."""
    with pytest.raises(UnsupportedCapability, match=r"deep-research.*observe.*seconds"):
        awaiting(service.backend, jobs, model=None, agent=RESEARCH, budget=budget)
    graph = awaiting(service.backend, jobs, model=None, agent=RESEARCH, budget={**budget, "observe": True})
    state = await graph.ainvoke(asked("How do tides work?"), on("1"))
    entry = state["interactions"]["work"]
    assert entry["overrun"] == {"tokens": entry["usage"]["total_tokens"] - 1}
    assert "max_total_tokens" not in service.sent[0].get("agent_config", {})


@pytest.mark.covers("langgraph:node:budget")
async def test_a_budget_of_seconds_is_kept_by_the_node(jobs: JobStore) -> None:
    """Whatever the service can do."""
    async with LocalBackend(responder=Slow()) as backend:
        graph = awaiting(backend, jobs, model=None, agent=RESEARCH, budget={"seconds": 0.1})
        with pytest.raises(DeadlineExceeded, match=r"budget of 0\.1 seconds and was cancelled"):
            await graph.ainvoke(asked("hello"), on("1"))
        (job,) = await jobs.list()
        assert job.verdict == "budget"


@pytest.mark.covers("langgraph:node:budget")
async def test_a_budget_of_money_is_tokens_at_the_highest_price(service: Service, jobs: JobStore) -> None:
    """Those of genai-prices; what was spent beyond it is recorded."""
    from genai_prices import Usage, calc_price

    price = float(calc_price(Usage(output_tokens=1_000_000), PRICED, provider_id="google").output_price)
    state = await awaiting(service.backend, jobs, model=PRICED, budget={"usd": 0.5}).ainvoke(asked("hello"), on("1"))
    assert sent_limit(service, "generation_config", "max_output_tokens") == int(0.5 / price * 1_000_000)
    assert "overrun" not in state["interactions"]["work"]
    state = await awaiting(service.backend, jobs, model=PRICED, budget={"usd": 1e-9}).ainvoke(asked("hello"), on("2"))
    entry = state["interactions"]["work"]
    assert entry["overrun"] == {"usd": pytest.approx(usd_of(entry["usage"], PRICED) - 1e-9)}  # type: ignore[operator]


@pytest.mark.covers("langgraph:node:budget")
def test_a_price_that_is_not_known_is_refused(jobs: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model, of an agent that does not say which it uses; and where nothing knows prices."""
    for settings in ({"model": "gemini-of-tomorrow"}, {"model": None, "agent": AGENT}):
        with pytest.raises(InvalidRequest, match="price of"):
            awaiting(LocalBackend(), jobs, budget={"usd": 1}, **settings)
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(NotConfigured, match=r"interactions-bridge\[prices\]"):
        awaiting(LocalBackend(), jobs, model=PRICED, budget={"usd": 1})


@pytest.mark.covers("langgraph:node:budget")
def test_usage_that_is_not_known_is_not_zero() -> None:
    """Nor is what it costs."""
    assert tokens_of(None) is None
    assert tokens_of({}) is None
    assert tokens_of({"total_tokens": 0}) == 0
    assert tokens_of({"total_output_tokens": 3, "total_thought_tokens": 4, "total_tokens": 9}, answer_only=True) == 7
    assert tokens_of({"total_tokens": 9}, answer_only=True) is None
    assert usd_of(None, PRICED) is None


def parking(backend: Any, jobs: JobStore, **settings: Any) -> Graph:
    """A graph of a node that parks."""
    return awaiting(backend, jobs, **{"wait": "interrupt", **settings})


@pytest.mark.covers("langgraph:node:stall", "langgraph:sweep:terms")
async def test_a_zombie_is_given_up(clocked: SqliteJobStore, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of it changes, and no event comes: it is cancelled, and its thread told."""
    slow = Slow()
    async with LocalBackend(responder=slow) as backend:
        graph = parking(backend, clocked, stall_after=100)
        await graph.ainvoke(asked("hello"), on("1"))
        await slow.began.wait()
        sweeper = Sweeper(graph, clocked)
        for _ in range(2):  # its first events are found now
            clock.advance(60)
            assert await sweeper.run_once() == {"not_ended": 1}
        clock.advance(101)
        assert await sweeper.run_once() == {"failed": 1}
        assert "showed no progress for 100 s and was cancelled" in caplog.text
        (job,) = await clocked.list()
        assert (job.verdict, job.status) == ("stalled", "cancelled")


@pytest.mark.covers("langgraph:node:stall")
async def test_events_that_still_flow_are_progress(clocked: SqliteJobStore, clock: Clock) -> None:
    """Also where the interaction itself looks the same all the time."""
    ticks: asyncio.Queue[str] = asyncio.Queue()
    told = 0

    async def ticking(turn: Any) -> AsyncIterator[Any]:
        nonlocal told
        while True:
            yield Thought(signature=await ticks.get())
            told += 1

    class Frozen(LocalBackend):
        async def get(self, id: str, *, include_input: bool = False) -> Interaction:
            return (await super().get(id)).replace(steps=[], usage=None)

    async with Frozen(responder=ScriptedResponder([ticking])) as backend:
        graph = parking(backend, clocked, stall_after=100)
        await graph.ainvoke(asked("hello"), on("1"))
        sweeper = Sweeper(graph, clocked)
        for count in range(1, 6):
            ticks.put_nowait("MA==")
            async with asyncio.timeout(20):
                while told < count:
                    await asyncio.sleep(0.005)
            clock.advance(90)
            assert await sweeper.run_once() == {"not_ended": 1}
        clock.advance(101)
        assert await sweeper.run_once() == {"failed": 1}


@pytest.mark.covers("langgraph:node:stall")
def test_a_backend_that_shows_no_progress_refuses_a_stall_detector(jobs: JobStore) -> None:
    """The deadline does the work."""
    backend = LocalBackend()
    backend.capabilities = Capabilities(stream_resume="relist")
    with pytest.raises(UnsupportedCapability, match="deadline"):
        awaiting(backend, jobs, stall_after=10)


@pytest.mark.covers("langgraph:node:deadline", "langgraph:sweep:terms")
async def test_a_parked_thread_is_told_of_its_deadline(
    clocked: SqliteJobStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """By the sweeper, once; the thread keeps the error and the job is over."""
    async with LocalBackend(responder=Slow()) as backend:
        graph = parking(backend, clocked, deadline=500)
        value = (await graph.ainvoke(asked("hello"), on("1")))["__interrupt__"][0].value
        sweeper = Sweeper(graph, clocked)
        clock.advance(499)
        assert await sweeper.run_once() == {"not_ended": 1}
        clock.advance(2)
        assert await sweeper.run_once() == {"failed": 1}
        assert caplog.text.count("deadline of 500 s and was cancelled") == 1
        assert (await backend.get(value["interaction_id"])).status == "cancelled"
        (task,) = (await graph.aget_state(on("1"))).tasks
        assert "DeadlineExceeded" in str(task.error)
        clock.advance(100_000)
        await sweeper.run_once()
        clock.advance(100_000)
        assert await sweeper.run_once() == {}
        assert caplog.text.count("deadline of 500 s and was cancelled") == 1
        (job,) = await clocked.list()
        assert job.state == "settled"


@pytest.mark.covers("langgraph:node:errors", "langgraph:sweep:terms")
async def test_an_interaction_that_the_service_lost_is_an_error(
    clocked: SqliteJobStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Once it is old enough to be found."""
    async with LocalBackend(responder=Slow()) as backend:
        graph = parking(backend, clocked)
        value = (await graph.ainvoke(asked("hello"), on("1")))["__interrupt__"][0].value
        await backend.delete(value["interaction_id"])
        sweeper = Sweeper(graph, clocked)
        clock.advance(60)
        assert await sweeper.run_once() == {"not_ended": 1}
        clock.advance(100)
        assert await sweeper.run_once() == {"failed": 1}
        assert f"{value['interaction_id']} not found" in caplog.text
        (job,) = await clocked.list()
        assert (job.state, job.verdict) == ("settled", "lost")


@pytest.mark.covers("langgraph:node:deadline")
@pytest.mark.parametrize("limit", [{"deadline": 0.1}, {"budget": {"seconds": 0.1}}])
async def test_a_foreground_run_has_a_deadline_too(jobs: JobStore, limit: dict[str, Any]) -> None:
    """The service cannot cancel it: the error names it, and says that it may still run."""
    async with LocalBackend(responder=Slow()) as backend:
        graph = awaiting(backend, jobs, background=False, **limit)
        with pytest.raises(DeadlineExceeded, match="may still run") as late:
            await graph.ainvoke(asked("hello"), on("1"))
        (job,) = await jobs.list()
        assert job.interaction_id == late.value.interaction_id is not None


@pytest.mark.covers("langgraph:node:errors")
async def test_a_foreground_run_whose_stream_broke_is_found_again(jobs: JobStore) -> None:
    """Its id is on record before its end."""

    class Cut(LocalBackend):
        async def stream(self, request: Any = None, /, **fields: Any) -> AsyncIterator[Any]:
            async for event in super().stream(request, **fields):
                yield event
                raise OutcomeUnknown("the connection broke")

    async with Cut() as backend:
        graph = awaiting(backend, jobs, background=False)
        with pytest.raises(OutcomeUnknown):
            await graph.ainvoke(asked("hello"), on("1"))
        assert (await graph.ainvoke(None, on("1")))["messages"][-1].text
        assert len(await jobs.list()) == 1


@pytest.mark.covers("langgraph:node:abandoned")
async def test_a_run_that_was_detached_and_is_run_again_takes_up_what_goes_on(jobs: JobStore) -> None:
    """It was not given up."""
    gate = Gate()
    async with LocalBackend(responder=ScriptedResponder([gate.script])) as backend:
        graph = awaiting(backend, jobs, on_abandon="detach")
        run = asyncio.create_task(graph.ainvoke(asked("hello"), on("1")))
        await gate.reached.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        gate.open.set()
        state = await graph.ainvoke(None, on("1"))
        (job,) = await jobs.list()
        assert state["messages"][-1].id == job.interaction_id
