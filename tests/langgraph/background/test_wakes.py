"""`wake`, `Sweeper` and `webhook_app`: deliveries of the embedded service over real sockets, and what they resume.

What a wake-up costs, and what a kill at each point leaves, is tested elsewhere.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command

from bridge.backends.local import LocalBackend, ScriptedResponder
from bridge.errors import BridgeError, ConnectionFailed, InteractionFailed, NotConfigured
from bridge.interactions import ModelOutput, TextContent, Thought
from bridge.jobs import JobStore, SqliteJobStore
from bridge.langgraph import InteractionsState, Sweeper, interactions_node, wake
from tests.backends.local.service import Clock, Gate, text

from .working import MODEL, Behind, Graph, Shaky, Together, asked, ended, flow, graph_of, on, parked_id, settled, until

THREADS = 1_000 if os.environ.get("BRIDGE_CAMPAIGN") else 100


@pytest.fixture
def gate() -> Gate:
    """What the interaction waits at."""
    return Gate()


@pytest.fixture
async def local(gate: Gate) -> AsyncIterator[LocalBackend]:
    """A service whose first interaction waits at the gate."""
    async with LocalBackend(responder=ScriptedResponder([gate.script, *[[text("Later.")]] * 10])) as local:
        yield local


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture
def graph(local: LocalBackend, jobs: JobStore, behind: Behind) -> Graph:
    """A graph that parks at the gate."""
    return flow(interactions_node(model=MODEL, backend=local, jobs=jobs, name="work"), behind)


async def opened(gate: Gate, local: LocalBackend, name: str) -> None:
    """Lets an interaction end."""
    gate.open.set()
    await ended(local, name)


@pytest.mark.covers("langgraph:wake:once")
async def test_of_five_wakes_at_a_time_one_resumes(
    graph: Graph, jobs: JobStore, local: LocalBackend, gate: Gate, behind: Behind
) -> None:
    """The others are told that the thread is held, or that the job is over."""
    name = parked_id(await graph.ainvoke(asked(), on("1")))
    await opened(gate, local, name)
    woken = await asyncio.gather(*(wake(graph, jobs, name) for _ in range(5)))
    assert Counter(woken)["resumed"] == 1
    assert {*woken} <= {"resumed", "held", "settled"}
    assert behind.runs == {"1": 1}
    assert await wake(graph, jobs, name) == "settled"
    assert behind.runs == {"1": 1}
    answers = [message for message in (await graph.aget_state(on("1"))).values["messages"] if message.type == "ai"]
    assert len(answers) == 1


@pytest.mark.covers("langgraph:wake:hint")
async def test_an_early_wake_resumes_nothing(
    graph: Graph, jobs: JobStore, local: LocalBackend, gate: Gate, behind: Behind
) -> None:
    """The service is asked first."""
    name = parked_id(await graph.ainvoke(asked(), on("1")))
    assert await wake(graph, jobs, name) == "not_ended"
    assert await wake(graph, jobs, "v1_nobody") == "unknown"
    assert not behind.runs
    assert len((await graph.aget_state(on("1"))).interrupts) == 1
    await opened(gate, local, name)
    assert await wake(graph, jobs, name) == "resumed"


@pytest.mark.covers("langgraph:wake:hint")
async def test_a_job_of_a_thread_that_is_gone_is_given_up_after_a_week(
    graph: Graph, jobs: JobStore, local: LocalBackend, gate: Gate, tmp_path: Path
) -> None:
    """The thread may be another graph's that shares the store; no run is begun on it."""
    name = parked_id(await graph.ainvoke(asked(), on("1")))
    assert isinstance(graph.checkpointer, InMemorySaver)
    await graph.checkpointer.adelete_thread("1")
    await opened(gate, local, name)
    assert await wake(graph, jobs, name) == "gone"
    assert (await graph.aget_state(on("1"))).created_at is None
    late = SqliteJobStore(tmp_path / "jobs.sqlite", clock=lambda: time.time() + 8 * 24 * 3600)
    assert await Sweeper(graph, late).run_once() == {"settled": 1}
    assert (await graph.aget_state(on("1"))).created_at is None
    await late.aclose()


@pytest.mark.covers("langgraph:wake:hint")
async def test_a_graph_without_the_node_is_told_to_name_a_backend(jobs: JobStore, local: LocalBackend) -> None:
    """A node that a tool calls is not seen."""
    other = graph_of(lambda state: {}, checkpointer=InMemorySaver())
    with pytest.raises(NotConfigured, match=r"backend=\.\.\."):
        Sweeper(other, jobs)
    assert await Sweeper(other, jobs, backend=local).run_once() == {}


@pytest.mark.covers("langgraph:wake:errors")
async def test_an_error_behind_the_node_surfaces_once(
    graph: Graph, jobs: JobStore, local: LocalBackend, gate: Gate, behind: Behind
) -> None:
    """The result is taken, so the job is over; the thread keeps the error and can be run again by its owner."""
    name = parked_id(await graph.ainvoke(asked(), on("1")))
    await opened(gate, local, name)
    behind.error = ValueError("the user's own")
    with pytest.raises(ValueError, match="the user's own"):
        await wake(graph, jobs, name)
    assert await wake(graph, jobs, name) == "settled"
    assert behind.runs == {"1": 1}
    behind.error = None
    state = await graph.ainvoke(None, on("1"))
    assert state["messages"][-1].text == "behind"


@pytest.mark.covers("langgraph:wake:errors")
async def test_an_interaction_without_an_answer_surfaces_once(jobs: JobStore, behind: Behind) -> None:
    """As the graph's own error, from the wake-up."""
    async with LocalBackend(test_controls=True) as local:
        labels = {"local-delay-ms": "100", "local-status": "failed"}
        node = interactions_node(model=MODEL, backend=local, jobs=jobs, labels=labels)
        graph = flow(node, behind)
        name = parked_id(await graph.ainvoke(asked(), on("1")))
        await ended(local, name)
        with pytest.raises(InteractionFailed, match=name):
            await wake(graph, jobs, name)
        assert await wake(graph, jobs, name) == "settled"
        assert not behind.runs


@pytest.mark.covers("langgraph:wake:errors", "langgraph:node:root")
async def test_a_failure_of_a_graph_that_is_the_node_alone_surfaces_once(tmp_path: Path) -> None:
    """In the run that waited for it; the sweeper only notes that the job is over."""
    clock = Clock(time.time())
    jobs = SqliteJobStore(tmp_path / "jobs.sqlite", clock=clock)
    async with LocalBackend(test_controls=True) as local:
        node = interactions_node(model=MODEL, backend=local, jobs=jobs, wait="await", labels={"local-status": "failed"})
        node.checkpointer = InMemorySaver()
        with pytest.raises(InteractionFailed):
            await node.ainvoke(asked(), on("1"))
        clock.advance(1_000)
        assert await Sweeper(node, jobs).run_once() == {"settled": 1}
    await jobs.aclose()


@pytest.fixture
async def shaky(tmp_path: Path) -> AsyncIterator[Shaky]:
    """A store that can be told to fail."""
    store = Shaky(tmp_path / "shaky.sqlite")
    yield store
    await store.aclose()


@pytest.mark.covers("langgraph:wake:errors")
@pytest.mark.parametrize("failing", [[True], [False, True]], ids=["outside of the graph", "in the node"])
async def test_a_store_that_fails_during_a_wake_costs_no_thread_its_result(
    shaky: Shaky, local: LocalBackend, gate: Gate, behind: Behind, failing: list[bool]
) -> None:
    """The job is not over before its result is taken: the next wake resumes it."""
    graph = flow(interactions_node(model=MODEL, backend=local, jobs=shaky), behind)
    name = parked_id(await graph.ainvoke(asked(), on("1")))
    await opened(gate, local, name)
    shaky.failing["get"] = failing
    with pytest.raises(ConnectionFailed):
        await wake(graph, shaky, name)
    assert shaky.failing["get"] == []
    assert await wake(graph, shaky, name) == "resumed"
    assert behind.runs == {"1": 1}


class Held(LocalBackend):
    """A backend whose create answers once the interaction has ended, and whose first read then waits to be let through."""

    def __init__(self) -> None:
        super().__init__()
        self.reading, self.let = asyncio.Event(), asyncio.Event()
        self.reads = 0

    async def create(self, request: Any = None, /, **fields: Any) -> Any:
        interaction = await super().create(request, **fields)
        await ended(self, interaction.id)
        return interaction

    async def get(self, id: str, *, include_input: bool = False) -> Any:
        self.reads += 1
        if self.reads == 2:  # `ended` has read it once
            self.reading.set()
            await self.let.wait()
        return await super().get(id, include_input=include_input)


@pytest.mark.covers("langgraph:wake:alive", "langgraph:wake:hint")
async def test_a_thread_that_goes_on_by_itself_is_not_run_beside_its_run(jobs: JobStore, behind: Behind) -> None:
    """A wake that comes before the thread parks, and one while its run is in the node behind, do nothing."""
    behind.open.clear()
    async with Held() as backend:
        graph = flow(interactions_node(model=MODEL, backend=backend, jobs=jobs), behind)
        run = asyncio.create_task(graph.ainvoke(asked(), on("1")))
        await backend.reading.wait()
        (job,) = await jobs.list()
        assert job.interaction_id is not None
        assert await wake(graph, jobs, job.interaction_id) == "not_parked"
        backend.let.set()
        await behind.reached.wait()
        assert await wake(graph, jobs, job.interaction_id) == "settled"
        behind.open.set()
        assert (await run)["messages"][-1].text == "behind"
    assert behind.runs == {"1": 1}


@pytest.mark.covers("langgraph:wake:alive", "langgraph:sweep:terms")
async def test_a_job_whose_usage_is_not_known_yet_runs_nothing_of_its_thread_again(
    tmp_path: Path, behind: Behind
) -> None:
    """It is looked at once more after a minute; meanwhile its thread may have gone on to a run of its owner's."""

    class Frugal(LocalBackend):
        async def get(self, id: str, *, include_input: bool = False) -> Any:
            return (await super().get(id, include_input=include_input)).replace(usage=None)

    clock = Clock(time.time())
    jobs = SqliteJobStore(tmp_path / "jobs.sqlite", clock=clock)
    async with Frugal(test_controls=True) as backend:
        node = interactions_node(model=MODEL, backend=backend, jobs=jobs, labels={"local-delay-ms": "100"})
        graph = flow(node, behind)
        name = parked_id(await graph.ainvoke(asked(), on("1")))
        await ended(backend, name)
        assert await wake(graph, jobs, name) == "resumed"
        (job,) = await jobs.list()
        assert job.state == "running"
        behind.reached.clear()
        behind.open.clear()
        run = asyncio.create_task(graph.ainvoke(Command(goto="behind"), on("1")))
        await behind.reached.wait()
        clock.advance(61)
        assert await Sweeper(graph, jobs).run_once() == {"settled": 1}
        behind.open.set()
        await run
        assert behind.runs == {"1": 2}
    await jobs.aclose()


@pytest.mark.covers("langgraph:wake:died")
async def test_a_run_that_died_behind_the_node_is_gone_on_with(
    graph: Graph, jobs: JobStore, local: LocalBackend, gate: Gate, behind: Behind
) -> None:
    """The node's result is on disk: the next wake runs what is behind it, and nothing before it."""
    name = parked_id(await graph.ainvoke(asked(), on("1")))
    await opened(gate, local, name)
    behind.open.clear()
    run = asyncio.create_task(wake(graph, jobs, name))
    await behind.reached.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    behind.open.set()
    assert await wake(graph, jobs, name) == "resumed"
    state = await graph.aget_state(on("1"))
    assert [message.type for message in state.values["messages"]] == ["human", "ai", "human"]
    assert not state.tasks
    assert behind.runs == {"1": 2}


@pytest.mark.covers("langgraph:wake:sync")
async def test_a_graph_with_a_checkpointer_without_an_event_loop_is_woken(jobs: JobStore, tmp_path: Path) -> None:
    """In a thread; one wake at a time, also where the one who waits for it goes away."""
    import threading

    reached, go_on, runs = threading.Event(), threading.Event(), []

    def behind(state: Any) -> dict[str, Any]:
        runs.append(1)
        reached.set()
        assert go_on.wait(20)
        return {"messages": [HumanMessage("behind")]}

    async with LocalBackend(tmp_path / "data", test_controls=True) as local:
        with SqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
            node = interactions_node(model=MODEL, backend=local, jobs=jobs, labels={"local-delay-ms": "300"})
            graph = flow(node, behind, checkpointer=saver)
            name = parked_id(await asyncio.to_thread(graph.invoke, asked(), on("1")))
            await ended(local, name)
            run = asyncio.create_task(wake(graph, jobs, name))
            await asyncio.to_thread(reached.wait, 20)
            run.cancel()
            await asyncio.sleep(0)
            assert await wake(graph, jobs, name) == "held"
            go_on.set()
            await asyncio.wait([run])
            assert await wake(graph, jobs, name) in ("settled", "resumed")
            assert (await asyncio.to_thread(graph.get_state, on("1"))).values["messages"][-1].text == "behind"
    assert runs == [1]


@pytest.mark.covers("langgraph:wake:hint")
async def test_a_job_is_asked_for_at_the_service_that_runs_it(jobs: JobStore, behind: Behind) -> None:
    """Of two nodes of the same name at two services, and where a service's identity has changed since."""
    async with LocalBackend(test_controls=True) as one, LocalBackend(test_controls=True) as other:
        nodes = [
            interactions_node(model=MODEL, backend=backend, jobs=jobs, labels={"local-delay-ms": "100"})
            for backend in (one, other)
        ]
        graph = StateGraph(InteractionsState).add_node("one", nodes[0]).add_node("other", nodes[1])
        graph.add_edge(START, "one").add_edge("one", "other")
        both = graph.compile(checkpointer=InMemorySaver())
        first = parked_id(await both.ainvoke(asked(), on("1")))
        await ended(one, first)
        assert await wake(both, jobs, first) == "resumed"
        second = parked_id({"__interrupt__": (await both.aget_state(on("1"))).interrupts})
        await ended(other, second)
        assert await wake(both, jobs, second) == "resumed"


@pytest.mark.covers("langgraph:sweep:away")
async def test_a_sweeper_goes_on_where_a_round_fails(shaky: Shaky, local: LocalBackend, gate: Gate) -> None:
    """The store may be back."""
    graph = graph_of(interactions_node(model=MODEL, backend=local, jobs=shaky), checkpointer=InMemorySaver())
    shaky.failing["take_due"] = [True]
    with pytest.raises(ConnectionFailed):
        await Sweeper(graph, shaky).run_once()
    shaky.failing["take_due"] = [True] * 20
    name = parked_id(await graph.ainvoke(asked(), on("1")))
    await shaky.note((await shaky.list())[0].token, due=0.0)
    await opened(gate, local, name)
    sweeping = asyncio.create_task(Sweeper(graph, shaky, interval=0.01).run())
    await until(lambda: settled(shaky, 1))
    assert not sweeping.done()
    sweeping.cancel()
    await asyncio.wait([sweeping])


@pytest.mark.covers("langgraph:sweep:away")
async def test_a_job_that_fails_costs_the_others_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What its graph raises is logged and counted."""

    async def behind(state: Any, config: RunnableConfig) -> dict[str, Any]:
        if config["configurable"]["thread_id"] == "1":
            raise ValueError("the user's own")
        return {}

    clock = Clock(time.time())
    jobs = SqliteJobStore(tmp_path / "jobs.sqlite", clock=clock)
    async with LocalBackend(test_controls=True) as local:
        node = interactions_node(model=MODEL, backend=local, jobs=jobs, labels={"local-delay-ms": "200"})
        graph = flow(node, behind)
        names = [parked_id(await graph.ainvoke(asked(), on(str(thread)))) for thread in range(3)]
        for name in names:
            await ended(local, name)
        clock.advance(40)
        assert await Sweeper(graph, jobs).run_once() == {"resumed": 2, "failed": 1}
        assert caplog.text.count("the user's own") == 1
        clock.advance(1_000)
        assert await Sweeper(graph, jobs).run_once() == {}
    await jobs.aclose()


@pytest.mark.timeout(600)
@pytest.mark.covers("langgraph:sweep:lost")
async def test_where_all_webhooks_are_lost_the_sweeper_resumes_every_thread(tmp_path: Path, behind: Behind) -> None:
    """Each once, with one request while it runs and one at its end."""
    clock, together = Clock(time.time()), Together()
    jobs = SqliteJobStore(tmp_path / "jobs.sqlite", clock=clock)
    async with LocalBackend(responder=together, test_controls=True) as local:
        node = interactions_node(
            model=MODEL,
            backend=local,
            jobs=jobs,
            webhook="http://127.0.0.1:9/hook",
            labels={"local-webhook": "lost"},
        )
        graph = flow(node, behind)
        names = [parked_id(await graph.ainvoke(asked(), on(str(thread)))) for thread in range(THREADS)]
        sweeper = Sweeper(graph, jobs)
        assert await sweeper.run_once() == {}
        clock.advance(31)
        assert await sweeper.run_once() == {"not_ended": THREADS}
        together.open.set()
        for name in names:
            await ended(local, name)
        clock.advance(600)
        assert await sweeper.run_once() == {"resumed": THREADS}
        assert behind.runs == {str(thread): 1 for thread in range(THREADS)}
        assert await settled(jobs, THREADS)
        assert all(job.looks <= 4 for job in await jobs.list(limit=THREADS))
    await jobs.aclose()


class Leasing(SqliteJobStore):
    """A store that counts renewals, fails the first, and can lose a lease."""

    renewals, lost = 0, False

    async def renew(self, thread: str, holder: str) -> bool:
        self.renewals += 1
        if self.renewals == 1:
            raise ConnectionFailed("the store is away", sent=False)
        return not self.lost and await super().renew(thread, holder)


@pytest.fixture
async def leasing(tmp_path: Path) -> AsyncIterator[Leasing]:
    """A store with short leases."""
    store = Leasing(tmp_path / "leasing.sqlite", lease=1.5)
    yield store
    await store.aclose()


@pytest.mark.covers("langgraph:wake:once")
async def test_a_long_run_keeps_its_lease(
    leasing: Leasing, local: LocalBackend, gate: Gate, behind: Behind, caplog: pytest.LogCaptureFixture
) -> None:
    """It is renewed while the run goes on, though one renewal fails."""
    graph = flow(interactions_node(model=MODEL, backend=local, jobs=leasing), behind)
    name = parked_id(await graph.ainvoke(asked(), on("1")))
    await opened(gate, local, name)
    behind.open.clear()
    run = asyncio.create_task(wake(graph, leasing, name))
    await behind.reached.wait()
    began = time.time()
    await until(lambda: leasing.renewals >= 3 and time.time() > began + leasing.lease)
    assert await wake(graph, leasing, name) == "held"
    behind.open.set()
    assert await run == "resumed"
    assert behind.runs == {"1": 1}
    assert "could not be renewed: the store is away" in caplog.text


@pytest.mark.covers("langgraph:wake:once", "langgraph:wake:died")
async def test_a_run_that_lost_its_lease_is_stopped(
    leasing: Leasing, local: LocalBackend, gate: Gate, behind: Behind
) -> None:
    """Another may be at it; who has the lease then goes on."""
    graph = flow(interactions_node(model=MODEL, backend=local, jobs=leasing), behind)
    name = parked_id(await graph.ainvoke(asked(), on("1")))
    await opened(gate, local, name)
    behind.open.clear()
    leasing.lost = True
    with pytest.raises(BridgeError, match="lease was lost"):
        await wake(graph, leasing, name)
    leasing.lost = False
    behind.open.set()
    assert await wake(graph, leasing, name) == "resumed"
    state = await graph.aget_state(on("1"))
    assert [message.type for message in state.values["messages"]] == ["human", "ai", "human"]


class Sides:
    """A responder whose turns end when what they were asked is let go."""

    def __init__(self) -> None:
        self.open = {"left": asyncio.Event(), "right": asyncio.Event()}

    async def respond(self, turn: Any) -> AsyncIterator[Any]:
        (asked_for,) = turn.input
        yield Thought(signature="c2ln")
        await self.open[asked_for.content[0].text].wait()
        yield ModelOutput(content=[TextContent(text="Over.")])


def said(side: str, state: Any) -> str:
    """An input that names a node."""
    return side


@pytest.mark.covers("langgraph:wake:once")
@pytest.mark.parametrize("at_once", [False, True])
async def test_of_two_nodes_that_wait_beside_each_other_each_is_resumed_once(jobs: JobStore, at_once: bool) -> None:
    """One after the other, the other staying parked; or both at once, where one wake may take both."""
    sides = Sides()
    async with LocalBackend(responder=sides) as local:
        graph = StateGraph(InteractionsState)
        for side in ("left", "right"):
            node = interactions_node(model=MODEL, backend=local, jobs=jobs, name=side, input=partial(said, side))
            graph.add_node(side, node).add_edge(START, side)
        both = graph.compile(checkpointer=InMemorySaver())
        state = await both.ainvoke(asked(), on("1"))
        names = {each.value["name"]: each.value["interaction_id"] for each in state["__interrupt__"]}
        assert {*names} == {"left", "right"}
        sides.open["right"].set()
        await ended(local, names["right"])
        if not at_once:
            assert await wake(both, jobs, names["right"]) == "resumed"
            (rest,) = (await both.aget_state(on("1"))).interrupts
            assert rest.value["interaction_id"] == names["left"]
        sides.open["left"].set()
        await ended(local, names["left"])
        if at_once:
            woken = await asyncio.gather(*(wake(both, jobs, name) for name in names.values()))
            assert sorted(woken) in (["held", "resumed"], ["resumed", "settled"])
        for name in names.values():
            assert await wake(both, jobs, name) in ("settled", "resumed")
        state = await both.aget_state(on("1"))
        assert not state.tasks
        assert {name: entry["id"] for name, entry in state.values["interactions"].items()} == names
        assert [message.type for message in state.values["messages"]] == ["human", "ai", "ai"]
        assert [job.state for job in await jobs.list()] == ["settled"] * 2


@pytest.mark.covers("langgraph:wake:alive")
async def test_a_thread_with_a_node_at_work_beside_the_parked_one_is_left_alone(tmp_path: Path) -> None:
    """Nobody knows whether its process is alive: it is given time, and then taken for dead."""
    clock, together, beside = Clock(time.time()), Together(), Behind()
    jobs = SqliteJobStore(tmp_path / "jobs.sqlite", clock=clock)
    beside.open.clear()
    async with LocalBackend(responder=together) as local:
        graph = StateGraph(InteractionsState)
        graph.add_node("work", interactions_node(model=MODEL, backend=local, jobs=jobs)).add_edge(START, "work")
        graph.add_node("beside", beside).add_edge(START, "beside")
        both = graph.compile(checkpointer=InMemorySaver())
        run = asyncio.create_task(both.ainvoke(asked(), on("1")))
        await beside.reached.wait()
        await until(lambda: parked(both))
        (job,) = await jobs.list()
        together.open.set()
        await ended(local, job.interaction_id or "")
        assert await wake(both, jobs, job.interaction_id or "") == "not_parked"
        clock.advance(100)
        assert await Sweeper(both, jobs).run_once() == {"not_parked": 1}
        assert beside.runs == {"1": 1}
        run.cancel()  # its process dies
        await asyncio.wait([run])
        beside.open.set()
        clock.advance(10_000)
        assert await Sweeper(both, jobs).run_once() == {"resumed": 1}
        assert beside.runs == {"1": 2}
        assert not (await both.aget_state(on("1"))).tasks
    await jobs.aclose()


async def parked(graph: Graph) -> bool:
    """Whether a thread waits for somebody."""
    return bool((await graph.aget_state(on("1"))).interrupts)


@pytest.mark.covers("langgraph:sweep:away")
async def test_a_job_of_another_application_in_the_same_store_is_left_to_it(tmp_path: Path, behind: Behind) -> None:
    """Neither its node nor its service is this graph's: it is not looked at, and not over."""
    clock, together = Clock(time.time()), Together()
    jobs = SqliteJobStore(tmp_path / "jobs.sqlite", clock=clock)
    async with LocalBackend(responder=together) as theirs, LocalBackend() as ours:
        other = flow(interactions_node(model=MODEL, backend=theirs, jobs=jobs, name="theirs"), behind)
        name = parked_id(await other.ainvoke(asked(), on("1")))
        graph = graph_of(
            interactions_node(model=MODEL, backend=ours, jobs=jobs, name="ours"), checkpointer=InMemorySaver()
        )
        together.open.set()
        await ended(theirs, name)
        clock.advance(1_000)
        assert await Sweeper(graph, jobs).run_once() == {}
        with pytest.raises(NotConfigured, match="theirs"):
            await wake(graph, jobs, name)
        clock.advance(1_000)
        assert await Sweeper(other, jobs).run_once() == {"resumed": 1}
    await jobs.aclose()
