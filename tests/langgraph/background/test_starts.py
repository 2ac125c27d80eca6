"""A background interaction is paid for once, however its node comes by again; a fork of the thread is another one."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, RetryPolicy, Send
from psycopg.rows import dict_row

from bridge.backend import Backend
from bridge.backends.local import LocalBackend
from bridge.errors import InvalidRequest
from bridge.interactions import meaning_of
from bridge.jobs import Job, SqliteJobStore
from bridge.langgraph import InteractionsState, interactions_node, wake
from bridge.langgraph.background import places
from tests.langgraph.background.crashes import Gated
from tests.langgraph.conftest import Service, reached

Graph = CompiledStateGraph[Any, Any, Any, Any]
QUESTION = "What is 6 * 7?"
THREAD: RunnableConfig = {"configurable": {"thread_id": "thread"}}


class Paid:
    """What is paid for: the embedded service over HTTP, whose interactions end once they may, and a job store."""

    def __init__(self, service: Service, gate: Gated, jobs: SqliteJobStore) -> None:
        self._service = service
        self._gate = gate
        self.jobs = jobs
        self.looks = 0
        self.failing: set[int] = set()
        """Which looks fail, counted from 1, in a way that only a RetryPolicy helps against."""

    @property
    def starts(self) -> int:
        """The interactions that were created."""
        return len(self._service.sent)

    def node(self, **settings: Any) -> Graph:
        return interactions_node(
            **{"model": "gemini-3.8-flash", "name": "work", "backend": self, "jobs": self.jobs, **settings}
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service.backend, name)

    async def get(self, id: str, **options: Any) -> Any:
        self.looks += 1
        if self.looks in self.failing:
            raise RuntimeError("this look fails")
        return await self._service.backend.get(id, **options)

    async def ended(self) -> Sequence[Job]:
        """The jobs that wait, once their interactions have ended."""
        self.open()
        jobs = await self.jobs.list(state="running")
        async with asyncio.timeout(20):
            for job in jobs:
                while not meaning_of((await self._service.backend.get(job.interaction_id or "")).status).ends_wait:
                    await asyncio.sleep(0.002)
        self._gate.open.clear()
        return jobs[::-1]

    async def woken(self, graph: Graph) -> list[str]:
        """What came of waking all threads that wait, twice each."""
        backend, told = cast(Backend, self), list[str]()
        for job in await self.ended():
            told += [await wake(graph, self.jobs, job.interaction_id or "", backend=backend) for _ in range(2)]
        return told

    def open(self) -> None:
        """Interactions end from now on."""
        self._gate.open.set()


@contextmanager
def _paid(folder: Path) -> Iterator[Paid]:
    gate = Gated()
    local = LocalBackend(folder / "service", responder=gate)
    with reached("http", local) as service:
        yield Paid(service, gate, SqliteJobStore(folder / "jobs.sqlite"))
        gate.open.set()


@pytest.fixture
async def paid(tmp_path: Path) -> AsyncIterator[Paid]:
    """The service, and what is paid for there."""
    with _paid(tmp_path) as paid:
        yield paid
        await paid.jobs.aclose()
        await paid.aclose()


@pytest.fixture
async def saver(tmp_path: Path) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """A checkpointer on disk."""
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.sqlite")) as saver:
        yield saver


def graph_of(node: Any, saver: Any = None, **options: Any) -> Graph:
    return StateGraph(InteractionsState).add_node("work", node, **options).add_edge(START, "work").compile(saver)


def asked(text: str = QUESTION) -> Any:
    return {"messages": [HumanMessage(text)]}


def answers(values: Any) -> list[AnyMessage]:
    return [message for message in values["messages"] if message.name == "work"]


async def values_of(graph: Graph) -> Any:
    state = await graph.aget_state(THREAD)
    assert not state.tasks
    return state.values


def once(node: Graph) -> Any:
    return node


def in_function(node: Graph) -> Any:
    async def work(state: InteractionsState) -> Any:
        result = await node.ainvoke(state)
        return {"messages": result["messages"], "interactions": result["interactions"]}

    return work


def two_deep(node: Graph) -> Any:
    return graph_of(graph_of(node))


@pytest.mark.covers("jobs:start:once")
@pytest.mark.parametrize("around", [once, in_function, two_deep])
async def test_a_thread_that_is_parked_and_resumed_starts_once(
    around: Callable[[Graph], Any], paid: Paid, saver: BaseCheckpointSaver[Any]
) -> None:
    """As a node, called from a function, and in subgraphs two deep; waking it once more changes nothing."""
    graph = graph_of(around(paid.node()), saver)
    parked = await graph.ainvoke(asked(), THREAD)
    assert [interrupt.value["type"] for interrupt in parked["__interrupt__"]] == ["interaction"]
    assert await paid.woken(graph) == ["resumed", "settled"]
    assert len(answers(await values_of(graph))) == 1
    assert paid.starts == 1


@pytest.mark.covers("jobs:start:retried")
@pytest.mark.parametrize("around", [once, in_function, two_deep])
@pytest.mark.parametrize("failing", [{1}, {1, 2}], ids=str)
async def test_a_retry_policy_on_the_node_starts_nothing_again(
    failing: set[int], around: Callable[[Graph], Any], paid: Paid, saver: BaseCheckpointSaver[Any]
) -> None:
    """The whole subgraph is done again, and finds what it started."""
    policy = RetryPolicy(initial_interval=0.0, jitter=False, retry_on=RuntimeError)
    graph = graph_of(around(paid.node()), saver, retry_policy=policy)
    paid.failing = failing
    await graph.ainvoke(asked(), THREAD)
    assert paid.looks == len(failing) + 1
    assert await paid.woken(graph) == ["resumed", "settled"]
    assert len(answers(await values_of(graph))) == 1
    assert (paid.starts, len(await paid.jobs.list())) == (1, 1)


def fan_out(state: Any) -> list[Send]:
    return [Send("work", asked()) for _ in range(3)]


@pytest.mark.covers("jobs:start:siblings")
@pytest.mark.parametrize("deeper", [False, True])
@pytest.mark.parametrize("failing", [set(), {1}, {3}], ids=str)
async def test_siblings_that_ask_the_same_start_one_each(
    failing: set[int], deeper: bool, paid: Paid, saver: BaseCheckpointSaver[Any]
) -> None:
    """As many starts as there are Sends, of the same input too, and where one of them is retried; each has its own answer."""
    policy = RetryPolicy(initial_interval=0.0, jitter=False, retry_on=RuntimeError)
    fan = StateGraph(InteractionsState).add_node("work", paid.node(), retry_policy=policy)
    fan.add_conditional_edges(START, fan_out, ["work"])
    graph = graph_of(fan.compile(), saver) if deeper else fan.compile(saver)
    paid.failing = failing
    parked = await graph.ainvoke(asked(), THREAD)
    assert len(parked["__interrupt__"]) == 3
    assert len({interrupt.value["interaction_id"] for interrupt in parked["__interrupt__"]}) == 3
    assert await paid.woken(graph) == ["resumed", *["settled"] * 5]  # all have ended: the first takes the others along
    assert len({answer.id for answer in answers(await values_of(graph))}) == 3
    assert (paid.starts, len(await paid.jobs.list(state="settled"))) == (3, 3)


class Calling(GenericFakeChatModel):
    """A model that says what it was told to say, whatever its tools."""

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


def calling(name: str, *arguments: dict[str, Any]) -> Calling:
    calls = [{"name": name, "args": given, "id": f"call-{number}"} for number, given in enumerate(arguments)]
    return Calling(messages=iter([AIMessage("", tool_calls=calls), AIMessage("Done.")]))


@pytest.mark.covers("jobs:start:tools")
async def test_parallel_calls_of_a_tool_start_one_each(paid: Paid, saver: BaseCheckpointSaver[Any]) -> None:
    """A node behind a tool of create_agent: a call that is resumed starts neither itself nor its siblings again."""
    node = paid.node()

    @tool
    async def research(question: str) -> str:
        """Looks a question up."""
        return str((await node.ainvoke(asked(question)))["messages"][-1].text)

    agent = create_agent(
        calling("research", {"question": QUESTION}, {"question": QUESTION}), [research], checkpointer=saver
    )
    parked = await agent.ainvoke(asked(), THREAD)
    assert len(parked["__interrupt__"]) == 2
    assert await paid.woken(agent) == ["resumed", *["settled"] * 3]
    assert (await values_of(agent))["messages"][-1].text == "Done."
    assert paid.starts == 2


@pytest.mark.covers("jobs:start:deepagents")
async def test_a_node_is_a_subagent_of_deepagents(paid: Paid, saver: BaseCheckpointSaver[Any]) -> None:
    """A CompiledSubAgent parks its whole agent, and starts once."""
    from deepagents import CompiledSubAgent, create_deep_agent

    researcher: CompiledSubAgent = {"name": "researcher", "description": "Looks things up.", "runnable": paid.node()}
    model = calling("task", {"description": QUESTION, "subagent_type": "researcher"})
    agent = create_deep_agent(model=model, subagents=[researcher], checkpointer=saver)
    parked = await agent.ainvoke(asked(), THREAD)
    assert [interrupt.value["name"] for interrupt in parked["__interrupt__"]] == ["work"]
    assert await paid.woken(agent) == ["resumed", "settled"]
    assert (await values_of(agent))["messages"][-1].text == "Done."
    assert paid.starts == 1


@pytest.mark.covers("jobs:start:replay")
async def test_an_old_wait_parks_again_and_starts_nothing(paid: Paid, saver: BaseCheckpointSaver[Any]) -> None:
    """Going back to the checkpoint at which a thread waits: while the interaction runs, and after it has ended."""
    graph = paid.node()
    graph.checkpointer = saver
    await graph.ainvoke(asked(), THREAD)
    waits = await graph.aget_state(THREAD)
    assert waits.next == ("wait",)
    again = await graph.ainvoke(None, waits.config)
    assert len(again["__interrupt__"]) == 1
    assert await paid.woken(graph) == ["resumed", "settled"]
    await graph.ainvoke(None, waits.config)
    assert len(answers(await values_of(graph))) == 1
    assert paid.starts == 1


@pytest.mark.covers("jobs:start:replay")
async def test_an_old_interrupt_that_is_answered_once_more_starts_nothing(
    paid: Paid, saver: BaseCheckpointSaver[Any]
) -> None:
    """The thread has moved on; its old checkpoint is resumed with what it was resumed with before."""
    graph = graph_of(paid.node(), saver)
    parked = await graph.ainvoke(asked(), THREAD)
    waits = (await graph.aget_state(THREAD)).config
    assert await paid.woken(graph) == ["resumed", "settled"]
    answer = answers(await values_of(graph))[0].id
    values = await graph.ainvoke(Command(resume={parked["__interrupt__"][0].id: "go on"}), waits)
    assert [message.id for message in answers(values)] == [answer]
    assert paid.starts == 1


@pytest.mark.covers("jobs:start:fork")
@pytest.mark.parametrize("edited", [False, True])
async def test_a_fork_from_before_the_start_is_a_new_start(
    edited: bool, paid: Paid, saver: BaseCheckpointSaver[Any]
) -> None:
    """Going back to before the start, as it was or with another question, asks anew and is paid anew."""
    graph = graph_of(paid.node(), saver)
    await graph.ainvoke(asked(), THREAD)
    assert await paid.woken(graph) == ["resumed", "settled"]
    before = next(iter([state.config async for state in graph.aget_state_history(THREAD) if state.next == ("work",)]))
    if edited:
        before = await graph.aupdate_state(before, asked("What is 6 * 8?"))
    await graph.ainvoke(None, before)
    assert await paid.woken(graph) == ["resumed", "settled"]
    assert len({answer.id for answer in answers(await values_of(graph))}) == 1
    assert paid.starts == 2


@pytest.mark.covers("jobs:start:again")
async def test_a_thread_that_is_run_again_in_another_process_starts_nothing(paid: Paid, tmp_path: Path) -> None:
    """Another graph over the same files: while the interaction runs it parks again, afterwards it takes the answer."""
    for parks in (True, True, False):
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "again.sqlite")) as saver:
            graph = graph_of(paid.node(), saver)
            begun = (await graph.aget_state(THREAD)).created_at is not None
            if not parks:
                await paid.ended()
            assert ("__interrupt__" in await graph.ainvoke(None if begun else asked(), THREAD)) == parks
            if not parks:
                assert len(answers(await values_of(graph))) == 1
    assert paid.starts == 1


@pytest.mark.covers("jobs:start:exit")
@pytest.mark.parametrize("around", [once, in_function, two_deep])
async def test_a_run_that_keeps_its_checkpoints_to_its_end_is_refused_before_anything_is_paid(
    around: Callable[[Graph], Any], paid: Paid, saver: BaseCheckpointSaver[Any]
) -> None:
    """durability='exit' would pay twice after a crash."""
    graph = graph_of(around(paid.node()), saver)
    with pytest.raises(InvalidRequest, match="use durability='async' or 'sync'"):
        await graph.ainvoke(asked(), THREAD, durability="exit")
    assert (paid.starts, len(await paid.jobs.list())) == (0, 0)


@pytest.mark.covers("jobs:start:memory")
async def test_a_checkpointer_in_memory_is_named_once(
    paid: Paid, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It works, and a process is told once that nothing outlives it."""
    monkeypatch.setattr(places, "_warned", False)
    graph = graph_of(paid.node(), InMemorySaver())
    with caplog.at_level(logging.WARNING, "bridge.langgraph"):
        for thread in ("one", "other"):
            await graph.ainvoke(asked(), {"configurable": {"thread_id": thread}})
    assert [record.message for record in caplog.records] == [
        "the graph's checkpointer is in memory: its threads, parked ones too, are gone with this process"
    ]
    assert await paid.woken(graph) == ["resumed", "settled"] * 2
    assert paid.starts == 2


@pytest.mark.covers("jobs:start:await")
@pytest.mark.parametrize("wait", ["await", "auto"])
async def test_without_a_checkpointer_the_run_waits(wait: str, paid: Paid) -> None:
    """Nothing could be parked, so the interaction is followed to its end."""
    paid.open()
    values = await graph_of(paid.node(wait=wait)).ainvoke(asked())
    assert len(answers(values)) == 1
    assert paid.starts == 1


@contextmanager
def _sync_saver(database: str, folder: Path, postgres: str) -> Iterator[BaseCheckpointSaver[Any]]:
    if database == "sqlite":
        connection = sqlite3.connect(folder / "sync.sqlite", check_same_thread=False)
        try:
            yield SqliteSaver(connection)
        finally:
            connection.close()
    else:
        with psycopg.connect(postgres, autocommit=True, prepare_threshold=0, row_factory=dict_row) as other:
            saver = PostgresSaver(other)
            saver.setup()
            yield saver


@pytest.mark.covers("jobs:start:sync")
@pytest.mark.parametrize("failing", [set(), {1}], ids=str)
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_graph_without_an_event_loop_starts_once(
    database: str, failing: set[int], tmp_path: Path, postgres: str
) -> None:
    """`invoke` over the checkpointers that have no async form; it is woken from an event loop, and retried as well."""
    policy = RetryPolicy(initial_interval=0.0, jitter=False, retry_on=RuntimeError)
    with _paid(tmp_path) as paid, _sync_saver(database, tmp_path, postgres) as saver:
        graph = graph_of(paid.node(), saver, retry_policy=policy)
        paid.failing = failing
        assert len(graph.invoke(asked(), THREAD)["__interrupt__"]) == 1

        async def woken() -> list[str]:
            try:
                return await paid.woken(graph)
            finally:
                await paid.jobs.aclose()
                await paid.aclose()

        assert asyncio.run(woken()) == ["resumed", "settled"]
        state = graph.get_state(THREAD)
        assert not state.tasks
        assert len(answers(state.values)) == 1
        assert paid.starts == 1
