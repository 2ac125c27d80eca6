"""Background work: what a parked job costs, how fast threads are woken, and how many looks a job takes."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import tracemalloc
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from benchmarks.rounds import Row
from bridge.backend import Capabilities
from bridge.interactions import Interaction, meaning_of
from bridge.jobs import JobStore, PostgresJobStore, SqliteJobStore
from bridge.langgraph import InteractionsState, Sweeper, interactions_node, wake
from tests.postgres import schema_of, server

__all__ = ["background"]

Graph = CompiledStateGraph[Any, Any, Any, Any]
_BATCH = 50
_POLL = 5.0  # seconds, of the node that polls


class Canned:
    """A service in this process that answers at once, so that what is measured is ours: its interactions end when they are told to."""

    name, identity, capabilities = "canned", "canned", Capabilities()

    def __init__(self) -> None:
        self.gets = 0
        self._answers: dict[str, Interaction] = {}
        self._running = Interaction.parse({"id": "", "status": "in_progress", "steps": []})

    def end(self) -> None:
        """Every interaction so far is over."""
        for key in self._answers:
            self._answers[key] = _completed(key)

    async def create(self, request: Any = None, /, **fields: Any) -> Interaction:
        running = self._running.replace(id=f"v1_{uuid.uuid4().hex}")
        self._answers[running.id] = running
        return running

    async def get(self, key: str, *, include_input: bool = False) -> Interaction:
        self.gets += 1
        return self._answers[key]


def _completed(key: str) -> Interaction:
    said = {"type": "model_output", "content": [{"type": "text", "text": "Done."}]}
    usage = {"total_input_tokens": 10, "total_output_tokens": 5, "total_tokens": 15}
    return Interaction.parse({"id": key, "status": "completed", "steps": [said], "usage": usage, "model": "canned"})


def _graph(backend: Any, jobs: JobStore, checkpointer: BaseCheckpointSaver[Any]) -> Graph:
    node = interactions_node(model="canned", backend=backend, name="work", jobs=jobs)
    return (
        StateGraph(InteractionsState).add_node("work", node).add_edge(START, "work").compile(checkpointer=checkpointer)
    )


class _Kept:
    """A job store and a checkpointer on one kind of database, and how many bytes each has written."""

    def __init__(self, jobs: JobStore, saver: BaseCheckpointSaver[Any], sizes: Any) -> None:
        self.jobs = jobs
        self.saver = saver
        self.sizes = sizes


@asynccontextmanager
async def _sqlite() -> AsyncIterator[_Kept]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        saver = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(folder / "checkpoints.sqlite")))
        jobs = SqliteJobStore(folder / "jobs.sqlite")
        stack.push_async_callback(jobs.aclose)

        async def sizes() -> tuple[int, int]:
            def written(name: str) -> int:
                return sum(file.stat().st_size for file in folder.glob(f"{name}.sqlite*"))

            return written("jobs"), written("checkpoints")

        yield _Kept(jobs, saver, sizes)


@asynccontextmanager
async def _postgres() -> AsyncIterator[_Kept]:
    async with AsyncExitStack() as stack:
        url = stack.enter_context(schema_of(stack.enter_context(server())))
        saver = await stack.enter_async_context(AsyncPostgresSaver.from_conn_string(url))
        await saver.setup()
        jobs = PostgresJobStore(url)
        stack.push_async_callback(jobs.aclose)

        async def sizes() -> tuple[int, int]:
            size = "select coalesce(sum(pg_total_relation_size(c.oid)), 0) from pg_class c where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' and c.relname like %s"
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await connection.execute("vacuum full")
                found = []
                for like in (r"bridge\_%", "checkpoint%"):
                    row = await (await connection.execute(size, [like])).fetchone()
                    found.append(int(row[0]) if row else 0)
                return found[0], found[1]

        yield _Kept(jobs, saver, sizes)


async def _park(graph: Graph, count: int) -> list[tuple[Any, str, str]]:
    """So many parked threads: config, interrupt, interaction."""
    parked = []
    for _ in range(count):
        config: Any = {"configurable": {"thread_id": uuid.uuid4().hex}}
        state = await graph.ainvoke({"messages": [HumanMessage("x" * 500)]}, config)
        interrupt = state["__interrupt__"][0]
        parked.append((config, interrupt.id, interrupt.value["interaction_id"]))
    return parked


async def _costs(kind: str, opened: Any, count: int) -> list[Row]:
    """Bytes on disk and in this process for each parked job."""
    async with opened() as kept:
        backend = Canned()
        graph = _graph(backend, kept.jobs, kept.saver)
        await _park(graph, 20)
        before, tracing = await kept.sizes(), count // 10
        began = time.perf_counter()
        await _park(graph, count - tracing)
        rate = (count - tracing) / (time.perf_counter() - began)
        tracemalloc.start()
        first = tracemalloc.get_traced_memory()[0]
        held = len(backend._answers)
        await _park(graph, tracing)
        traced = (tracemalloc.get_traced_memory()[0] - first) / tracing
        tracemalloc.stop()
        assert len(backend._answers) == held + tracing
        after = await kept.sizes()
    store, saver = ((b - a) / count for a, b in zip(before, after, strict=True))
    detail = f"job store {store:,.0f}, checkpoints {saver:,.0f}, in this process {traced:,.0f}; parked {rate:,.0f}/s"
    return [Row(f"bytes for each of {count:,} parked jobs, {kind}", store + saver, "none set", True, detail)]


async def _wakes(kind: str, opened: Any, rounds: int) -> Row:
    """CPU of a wake against that of resuming by hand, in batches that alternate."""
    ratios, plain_rate, wake_rate = [], 0.0, 0.0
    async with opened() as kept:
        backend = Canned()
        graph = _graph(backend, kept.jobs, kept.saver)
        for _ in range(rounds + 1):
            parked = await _park(graph, 2 * _BATCH)
            backend.end()
            began = time.process_time()
            for config, interrupt, _ in parked[:_BATCH]:
                await graph.ainvoke(Command(resume={interrupt: True}), config)
            plain = time.process_time() - began
            began = time.process_time()
            for _, _, interaction in parked[_BATCH:]:
                assert await wake(graph, kept.jobs, interaction) == "resumed"
            woken = time.process_time() - began
            ratios.append(plain / woken)
            plain_rate, wake_rate = _BATCH / plain, _BATCH / woken
    share = statistics.median(ratios[1:])
    detail = f"plain resume {plain_rate:,.0f}, wake {wake_rate:,.0f} for a second of CPU"
    return Row(f"wakes / plain `ainvoke(Command(resume=...))`, {kind}", share, "≥ 0.7", share >= 0.7, detail)


async def _looks() -> list[Row]:
    """Requests for jobs of some lengths, as a sweeper makes them and as a node that polls every five seconds."""
    found = []
    for minutes in (20, 120):
        with tempfile.TemporaryDirectory() as folder:
            now = [1_000_000.0]
            jobs = SqliteJobStore(Path(folder) / "jobs.sqlite", clock=lambda: now[0])  # noqa: B023 - used in this round
            backend = Canned()
            graph = _graph(backend, jobs, InMemorySaver())
            parked = await _park(graph, 1)
            job = await jobs.find(parked[0][2])
            assert job is not None
            await jobs.note(job.token, due=now[0])
            backend.gets, looked = 0, 0
            sweeper = Sweeper(graph, jobs)
            end = now[0] + 60 * minutes
            while True:
                now[0] += _POLL
                if now[0] >= end:
                    backend.end()
                looked += sum((await sweeper.run_once()).values())
                job = await jobs.find(parked[0][2])
                if job is not None and job.state == "settled":
                    break
            late = now[0] - end
            await jobs.aclose()
        polls = await _polls(60 * minutes)
        detail = f"{backend.gets} requests in all, against {polls} of a node that polls every {_POLL:g} s and holds its run all the time; seen {late:.0f} s after its end"
        found.append(
            Row(
                f"looks at a parked job of {minutes} minutes / polls of a naive node",
                looked / polls,
                "< 1",
                looked < polls,
                detail,
            )
        )
    return found


async def _polls(seconds: float) -> int:
    """How often a node asks that polls until the end."""
    backend, passed = Canned(), 0.0

    async def poll(state: MessagesState) -> dict[str, Any]:
        nonlocal passed
        interaction = await backend.create()
        while not meaning_of(interaction.status).ends_wait:
            passed += _POLL
            if passed >= seconds:
                backend.end()
            interaction = await backend.get(interaction.id)
        return {}

    graph = StateGraph(MessagesState).add_node("poll", poll).add_edge(START, "poll").compile()
    await graph.ainvoke({"messages": [HumanMessage("x")]})
    return backend.gets


def background(rounds: int, parked: int) -> Sequence[Row]:
    """The rows of background work."""

    async def all_of() -> list[Row]:
        found: list[Row] = []
        for kind, opened in (("SQLite", _sqlite), ("Postgres", _postgres)):
            found.append(await _wakes(kind, opened, rounds))
            found += await _costs(kind, opened, parked)
        return [*found, *await _looks()]

    return asyncio.run(all_of())
