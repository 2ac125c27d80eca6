"""Graphs with a node of ours and answers for it, for the tests of the node and of what wakes it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from bridge.backends.local import LocalBackend
from bridge.errors import BridgeError, ConnectionFailed
from bridge.interactions import Interaction, ModelOutput, TextContent, Thought
from bridge.jobs import Arrival, Job, JobStore, SqliteJobStore
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


class Behind:
    """A node behind the node of ours: counts its runs, by thread, and can be told to wait or to fail."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def __call__(self, state: Any, config: RunnableConfig) -> dict[str, Any]:
        self.runs[config["configurable"]["thread_id"]] += 1
        self.reached.set()
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return {"messages": [HumanMessage("behind")]}


def flow(node: Any, behind: Any, **options: Any) -> Graph:
    """A graph of a node of ours and one behind it."""
    graph = StateGraph(InteractionsState).add_node("work", node).add_node("behind", behind)
    graph.add_edge(START, "work").add_edge("work", "behind")
    return graph.compile(**{"checkpointer": InMemorySaver(), **options})


def parked_id(state: Any) -> str:
    """The interaction that a state is parked for."""
    (interrupt,) = state["__interrupt__"]
    name: str = interrupt.value["interaction_id"]
    return name


class Together:
    """A responder all of whose turns end when they are let go."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def respond(self, turn: Any) -> AsyncIterator[Any]:
        yield Thought(signature="c2ln")
        await self.open.wait()
        yield ModelOutput(content=[TextContent(text="Together.")])


class Shaky(SqliteJobStore):
    """A store whose calls fail as they are told, by name: True for one that does, False for one that passes."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.failing: dict[str, list[bool]] = {}

    def _fail(self, name: str) -> None:
        failing = self.failing.get(name)
        if failing and failing.pop(0):
            raise ConnectionFailed("the store is away", sent=False)

    async def get(self, token: str) -> Job | None:
        self._fail("get")
        return await super().get(token)

    async def deliver(self, arrival: Arrival) -> bool:
        self._fail("deliver")
        return await super().deliver(arrival)

    async def take_due(self, limit: int = 100, *, backends: Any = None, names: str = "") -> Any:
        self._fail("take_due")
        return await super().take_due(limit, backends=backends, names=names)


async def settled(jobs: JobStore, count: int) -> bool:
    """Whether so many jobs are over."""
    return len(await jobs.list(state="settled", limit=10_000)) == count
