"""A thread whose run is alive is resumed by nobody else, however late it is: it was not started by a wake-up, or its waker holds it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from bridge.backends.local import LocalBackend
from bridge.errors import BridgeError
from bridge.interactions import Interaction, meaning_of
from bridge.jobs import SqliteJobStore
from bridge.langgraph import InteractionsState, Sweeper, interactions_node, wake
from tests.langgraph.background.crashes import Gated
from tests.langgraph.conftest import Service, reached

Graph = CompiledStateGraph[Any, Any, Any, Any]
THREAD: RunnableConfig = {"configurable": {"thread_id": "thread"}}
# More than a lease.
LATER = 40.0


class Scene:
    """A thread whose node behind runs as long as it is told to, over the embedded service and a store whose clock can be put forward."""

    def __init__(self, service: Service, gate: Gated, folder: Path) -> None:
        self.service = service
        self.gate = gate
        self.later = 0.0
        self.jobs = SqliteJobStore(folder / "jobs.sqlite", clock=lambda: time.time() + self.later)
        self.behind = 0
        self.goes_on = asyncio.Event()

    def graph(self, saver: Any, jobs: Any = None, backend: Any = None) -> Graph:
        async def behind(state: InteractionsState) -> dict[str, Any]:
            self.behind += 1
            await asyncio.wait_for(self.goes_on.wait(), 20)
            return {}

        backend = backend or _With(self.service.backend, create=self._create)
        node = interactions_node(model="gemini-3.8-flash", name="work", backend=backend, jobs=jobs or self.jobs)
        graph = StateGraph(InteractionsState).add_node("work", node).add_node("behind", behind)
        return graph.add_edge(START, "work").add_edge("work", "behind").compile(saver)

    async def _create(self, **fields: Any) -> Interaction:
        """While interactions may end, a start is not answered before it has: its wait does not park."""
        backend = self.service.backend
        made = await backend.create(**fields)
        while self.gate.open.is_set() and not meaning_of((await backend.get(made.id)).status).ends_wait:
            await asyncio.sleep(0.002)
        return made


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """The service, and a thread's surroundings."""
    gate = Gated()
    async with LocalBackend(responder=gate) as local:
        with reached("http", local) as service:
            scene = Scene(service, gate, tmp_path)
            yield scene
            gate.open.set()
            await scene.jobs.aclose()
            await service.backend.aclose()


@pytest.fixture
async def saver(tmp_path: Path) -> AsyncIterator[AsyncSqliteSaver]:
    """A checkpointer on disk."""
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.sqlite")) as saver:
        yield saver


def asked(text: str = "What is 6 * 7?") -> Any:
    return {"messages": [HumanMessage(text)]}


async def until(holds: Callable[[], bool]) -> None:
    """Returns once it holds."""
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.002)


@pytest.mark.covers("jobs:wake:alive")
async def test_a_run_that_never_parked_is_left_alone_in_the_node_behind(scene: Scene, saver: AsyncSqliteSaver) -> None:
    """Its interaction had ended at the first look. The sweeper that comes long after settles the job, and runs nothing."""
    scene.gate.open.set()
    graph = scene.graph(saver)
    run = asyncio.create_task(graph.ainvoke(asked(), THREAD))
    await until(lambda: scene.behind == 1)
    scene.later = LATER
    assert await Sweeper(graph, scene.jobs).run_once() == {"settled": 1}
    scene.goes_on.set()
    await run
    assert (scene.behind, len(scene.service.sent)) == (1, 1)


@pytest.mark.covers("jobs:wake:alive")
async def test_a_start_that_takes_longer_than_a_lease_is_left_alone(
    scene: Scene, saver: AsyncSqliteSaver, tmp_path: Path
) -> None:
    """While the call is under way its process gives signs of life, and no sweeper starts it again."""
    scene.goes_on.set()
    jobs = SqliteJobStore(tmp_path / "short.sqlite", lease=0.3)
    called = asyncio.Event()
    create = scene.service.backend.create

    async def slow(**fields: Any) -> Interaction:
        await asyncio.wait_for(called.wait(), 20)
        return await create(**fields)

    graph = scene.graph(saver, jobs=jobs, backend=_With(scene.service.backend, create=slow))
    run = asyncio.create_task(graph.ainvoke(asked(), THREAD))
    sweeper, rounds = Sweeper(graph, jobs), 0
    async with asyncio.timeout(20):
        while rounds < 3:  # each is a lease after the one before
            counts = await sweeper.run_once()
            assert set(counts) <= {"not_ended"}
            rounds += bool(counts)
            await asyncio.sleep(0.005)
    called.set()
    assert "__interrupt__" in await run
    assert len(scene.service.sent) == 1
    await jobs.aclose()


@pytest.mark.covers("jobs:wake:alive")
async def test_a_waker_keeps_its_thread_for_as_long_as_it_works(
    scene: Scene, saver: AsyncSqliteSaver, tmp_path: Path
) -> None:
    """Beyond one lease, which it renews; another is told that the thread is held."""
    jobs = SqliteJobStore(tmp_path / "short.sqlite", lease=0.5)
    graph = scene.graph(saver, jobs=jobs)
    await graph.ainvoke(asked(), THREAD)
    scene.gate.open.set()
    made = (await jobs.list())[0].interaction_id or ""
    waker = asyncio.create_task(_woken(graph, jobs, made))
    await until(lambda: scene.behind == 1)
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        assert await wake(graph, jobs, made) == "held"
    scene.goes_on.set()
    assert await waker == "resumed"
    assert scene.behind == 1
    await jobs.aclose()


async def _woken(graph: Graph, jobs: Any, made: str) -> str:
    """What came of a wake-up once the interaction has ended."""
    async with asyncio.timeout(20):
        while (told := await wake(graph, jobs, made)) == "not_ended":
            await asyncio.sleep(0.002)
    return told


@pytest.mark.covers("jobs:wake:alive")
async def test_the_next_turn_of_a_thread_is_not_taken_for_the_one_that_was_woken(
    scene: Scene, saver: AsyncSqliteSaver
) -> None:
    """A waker that died before it settled its job: its thread's next turn, which a user runs, is resumed by nobody."""
    scene.goes_on.set()
    graph = scene.graph(saver)
    await graph.ainvoke(asked(), THREAD)
    scene.gate.open.set()

    async def lost(token: str) -> None:
        raise BridgeError("the store is away")

    with pytest.raises(BridgeError, match="the store is away"):
        await _woken(graph, _With(scene.jobs, settle=lost), (await scene.jobs.list())[0].interaction_id or "")
    assert [job.state for job in await scene.jobs.list()] == ["running"]
    scene.goes_on.clear()
    run = asyncio.create_task(graph.ainvoke(asked("And 6 * 8?"), THREAD))
    await until(lambda: scene.behind == 2)
    scene.later = LATER
    counts = await Sweeper(graph, scene.jobs).run_once()
    assert set(counts) <= {"settled", "held"}  # the two jobs' thread is looked at by one at a time
    scene.goes_on.set()
    await run
    assert scene.behind == 2


@pytest.mark.covers("jobs:wake:alive")
async def test_a_job_that_waits_for_its_usage_runs_its_thread_no_more(scene: Scene, saver: AsyncSqliteSaver) -> None:
    """Its thread has gone on: a task that is open later is somebody else's, and runs once."""
    scene.goes_on.set()

    async def without_usage(made: str) -> Interaction:
        return (await scene.service.backend.get(made)).model_copy(update={"usage": None})

    graph = scene.graph(saver, backend=_With(scene.service.backend, get=without_usage))
    await graph.ainvoke(asked(), THREAD)
    scene.gate.open.set()
    made = (await scene.jobs.list())[0].interaction_id or ""
    assert await _woken(graph, scene.jobs, made) == "resumed"
    assert [job.state for job in await scene.jobs.list()] == ["running"]
    scene.later = 100.0
    assert await Sweeper(graph, scene.jobs).run_once() == {"settled": 1}
    assert [job.state for job in await scene.jobs.list()] == ["settled"]
    assert scene.behind == 1


class _With:
    """An object with other methods in place of some."""

    def __init__(self, wrapped: Any, **methods: Any) -> None:
        self._wrapped = wrapped
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._wrapped, name)
