"""Background work: what a parked job costs, how fast threads are woken, and how many polls a job takes."""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import tempfile
import time
import tracemalloc
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from bridge.backend import Capabilities
from bridge.interactions import Interaction
from bridge.jobs import JobStore, SqliteJobStore
from bridge.langgraph import InteractionsState, interactions_node, wake

__all__ = ["Canned", "parked_cost", "wake_rate"]

Graph = CompiledStateGraph[Any, Any, Any, Any]


class Canned:
    """A service in this process that answers at once, so that what is measured is ours: its interactions end when they are told to."""

    name, identity, capabilities = "canned", "canned", Capabilities()

    def __init__(self) -> None:
        self.gets = 0
        self._answers: dict[str, Interaction] = {}
        self._running = Interaction.parse({"id": "", "status": "in_progress", "steps": []})

    def end(self) -> None:
        """Every interaction so far is over."""
        for id in self._answers:
            self._answers[id] = _completed(id)

    async def create(self, request: Any = None, /, **fields: Any) -> Interaction:
        running = self._running.replace(id=f"v1_{uuid.uuid4().hex}")
        self._answers[running.id] = running
        return running

    async def get(self, id: str, *, include_input: bool = False) -> Interaction:
        self.gets += 1
        return self._answers[id]


def _completed(id: str) -> Interaction:
    said = {"type": "model_output", "content": [{"type": "text", "text": "Done."}]}
    usage = {"total_input_tokens": 10, "total_output_tokens": 5, "total_tokens": 15}
    return Interaction.parse({"id": id, "status": "completed", "steps": [said], "usage": usage, "model": "canned"})


def _graph(backend: Any, jobs: JobStore, checkpointer: BaseCheckpointSaver[Any]) -> Graph:
    node = interactions_node(model="canned", backend=backend, name="work", jobs=jobs)
    return StateGraph(InteractionsState).add_node("work", node).add_edge(START, "work").compile(checkpointer=checkpointer)


@asynccontextmanager
async def _stores(kind: str, folder: Path) -> AsyncIterator[tuple[JobStore, BaseCheckpointSaver[Any]]]:
    async with AsyncExitStack() as stack:
        saver = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(folder / "checkpoints.sqlite")))
        jobs = SqliteJobStore(folder / "jobs.sqlite")
        stack.push_async_callback(jobs.aclose)
        yield jobs, saver


async def _park(graph: Graph, count: int) -> list[tuple[Any, str, str]]:
    """So many parked threads: config, interrupt, interaction."""
    parked = []
    for _ in range(count):
        config: Any = {"configurable": {"thread_id": uuid.uuid4().hex}}
        state = await graph.ainvoke({"messages": [HumanMessage("x" * 500)]}, config)
        interrupt = state["__interrupt__"][0]
        parked.append((config, interrupt.id, interrupt.value["interaction_id"]))
    return parked


async def main() -> None:
    folder = Path(tempfile.mkdtemp())
    async with _stores("sqlite", folder) as (jobs, saver):
        backend = Canned()
        graph = _graph(backend, jobs, saver)
        t = time.process_time()
        parked = await _park(graph, 600)
        print("park/s", 600 / (time.process_time() - t))
        backend.end()
        ratios = []
        for n in range(0, 600, 100):
            half = parked[n : n + 50]
            t = time.process_time()
            for config, interrupt, _ in half:
                await graph.ainvoke(Command(resume={interrupt: True}), config)
            plain = time.process_time() - t
            t = time.process_time()
            for _, _, id in parked[n + 50 : n + 100]:
                assert await wake(graph, jobs, id) == "resumed"
            ours = time.process_time() - t
            ratios.append(plain / ours)
            print(f"plain {50/plain:.0f}/s wake {50/ours:.0f}/s ratio {plain/ours:.2f}")
        print(statistics.median(ratios))
        if os.environ.get("PROFILE"):
            parked = await _park(graph, 300)
            backend.end()
            import cProfile, pstats
            p = cProfile.Profile(); p.enable()
            for _, _, id in parked: await wake(graph, jobs, id)
            p.disable(); pstats.Stats(p).sort_stats("cumtime").print_stats(45)
if __name__ == "__main__":
    asyncio.run(main())
