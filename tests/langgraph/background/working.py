"""Graphs with a node of ours and answers for it, for the tests of the node and of what wakes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from bridge.backends.local import LocalBackend
from bridge.errors import BridgeError
from bridge.interactions import Interaction, Thought
from bridge.langgraph import InteractionsState

AGENT = "antigravity-preview-09-2026"
RESEARCH = "deep-research-preview-04-2026"
MODEL = "gemini-3.8-flash"
CSV = "city,sales\nOslo,5\nRome,7\nOslo,1\n"
SOURCE = {"type": "remote", "sources": [{"type": "inline", "target": "/workspace/sales.csv", "content": CSV}]}
QUESTION = "Analyse /workspace/sales.csv: what is the sum of sales per city?"

Graph = CompiledStateGraph[Any, Any, Any, Any]


def graph_of(node: Any, name: str = "work", **options: Any) -> Graph:
    """A graph of one node."""
    return StateGraph(InteractionsState).add_node(name, node).add_edge(START, name).compile(**options)


def asked(text: str = QUESTION) -> Any:
    """An input that asks something."""
    return {"messages": [HumanMessage(text)]}


def on(thread: str) -> Any:
    """The config of a thread."""
    return {"configurable": {"thread_id": thread}}


async def until(true: Callable[[], Any]) -> None:
    """Waits until something holds, which may be asked of a coroutine."""
    async with asyncio.timeout(20):
        while True:
            value = true()
            if await value if asyncio.iscoroutine(value) else value:
                return
            await asyncio.sleep(0.005)


async def ended(local: LocalBackend, id: str) -> Interaction:
    """An interaction once it has ended."""
    async with asyncio.timeout(20):
        async for _ in local.watch(id):
            pass
    return await local.get(id)


class Slow:
    """A responder that works until it is told to stop, and tells when it began."""

    def __init__(self) -> None:
        self.began = asyncio.Event()

    async def respond(self, turn: Any) -> AsyncIterator[Any]:
        yield Thought(signature="c2ln")
        self.began.set()
        await asyncio.Event().wait()


class Faulty(LocalBackend):
    """A backend whose methods raise what they are told to, by name: each error once, None for a call that passes."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.faults: dict[str, list[BridgeError | None]] = {}

    def _raise(self, name: str) -> None:
        faults = self.faults.get(name)
        if faults and (error := faults.pop(0)) is not None:
            raise error

    async def create(self, request: Any = None, /, **fields: Any) -> Interaction:
        self._raise("create")
        return await super().create(request, **fields)

    async def get(self, id: str, *, include_input: bool = False) -> Interaction:
        self._raise("get")
        return await super().get(id, include_input=include_input)

    async def cancel(self, id: str) -> Interaction:
        self._raise("cancel")
        return await super().cancel(id)
