"""A start that is still being made when a run comes by again: it is waited for, and not taken for one whose outcome nobody knows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from bridge.backends.local import LocalBackend
from bridge.jobs import SqliteJobStore
from bridge.langgraph import InteractionsState, interactions_node

from ..conftest import Recording


class Held(Recording):
    """A backend whose create waits, before anything of it is sent."""

    def __init__(self, backend: Any, sent: list[dict[str, Any]]) -> None:
        super().__init__(backend, sent)
        self.began, self.go = asyncio.Event(), asyncio.Event()

    async def create(self, request: Any = None, /, **fields: Any) -> Any:
        self.began.set()
        await self.go.wait()
        return await super().create(request, **fields)


@pytest.mark.covers("langgraph:background:under-way")
@pytest.mark.parametrize("unknown", ["fail", "recreate"])
async def test_a_start_under_way_is_waited_for_by_a_run_that_comes_by_again(tmp_path: Path, unknown: Any) -> None:
    """A sibling fails while the call is made; the thread is run again at once: one paid start, and its job is found."""
    sent: list[dict[str, Any]] = []
    jobs = SqliteJobStore(tmp_path / "jobs.sqlite")
    async with LocalBackend(test_controls=True) as local:
        backend = Held(local, sent)
        node = interactions_node(
            agent="antigravity-preview-09-2026",
            backend=backend,
            jobs=jobs,
            on_abandon="detach",
            on_unknown_start=unknown,
            labels={"local-delay-ms": "600000"},
        )
        failures = [RuntimeError("a sibling failed")]

        async def sibling(state: InteractionsState) -> dict[str, Any]:
            await backend.began.wait()
            if failures:
                raise failures.pop()
            return {}

        graph = (
            StateGraph(InteractionsState)
            .add_node("work", node)
            .add_node("sibling", sibling)
            .add_edge(START, "work")
            .add_edge(START, "sibling")
            .compile(checkpointer=InMemorySaver())
        )
        config: Any = {"configurable": {"thread_id": "1"}}
        with pytest.raises(RuntimeError, match="sibling"):
            await graph.ainvoke({"messages": [HumanMessage("Write a report.")]}, config)
        again = asyncio.create_task(graph.ainvoke(None, config))
        waited, _ = await asyncio.wait({again}, timeout=0.5)  # it must not come to an end by itself
        backend.go.set()
        assert not waited
        async with asyncio.timeout(20):
            state = await again
        (job,) = await jobs.list()
        assert len(sent) == 1
        assert state["__interrupt__"][0].value["interaction_id"] == job.interaction_id
    await jobs.aclose()
