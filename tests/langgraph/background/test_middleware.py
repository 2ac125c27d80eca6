"""`BackgroundAgentsMiddleware`: what a chat agent of any vendor can do with background agents, and what it cannot do twice."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command, interrupt

import bridge.langgraph
from bridge.backends.local import LocalBackend, ScriptedResponder
from bridge.errors import ConnectionFailed, InvalidRequest, NotConfigured
from bridge.jobs import SqliteJobStore
from bridge.langgraph import BackgroundAgentsMiddleware, Sweeper

from ..conftest import Recording, Service

AGENT = "antigravity-preview-09-2026"
SLOW = {"local-delay-ms": "600000"}
CSV = "city,sales\nOslo,5\nRome,7\n"
SANDBOX = {"type": "remote", "sources": [{"type": "inline", "target": "/workspace/sales.csv", "content": CSV}]}


class Scripted(GenericFakeChatModel):
    """A model of no vendor, which says what it is told to say."""

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


def calls(*pairs: tuple[str, dict[str, Any]], id: str = "c") -> AIMessage:
    """A message that calls tools."""
    listed = [
        {"type": "tool_call", "name": name, "args": args, "id": f"{id}{number}"}
        for number, (name, args) in enumerate(pairs)
    ]
    return AIMessage("", tool_calls=listed)


def begin(agent: str = "research", task: str = "Write a report.") -> tuple[str, dict[str, Any]]:
    return "start_background_agent", {"agent": agent, "task": task}


class Chat:
    """A chat agent over one thread after another, whose model is told what to call."""

    def __init__(self, middleware: Sequence[AgentMiddleware[Any, Any, Any]], saver: Any = None, **more: Any) -> None:
        self.script: list[AIMessage] = []
        model = Scripted(messages=self._messages())
        self.agent = create_agent(model, middleware=middleware, checkpointer=saver or InMemorySaver(), **more)

    def _messages(self) -> Iterator[AIMessage]:
        while True:
            yield self.script.pop(0) if self.script else AIMessage("Done.")

    async def does(self, *pairs: tuple[str, dict[str, Any]], thread: str = "1") -> list[ToolMessage]:
        """What the tools answer to one message of calls, after which the model ends its turn."""
        self.script = [calls(*pairs)]
        state = await self.agent.ainvoke(
            {"messages": [HumanMessage("Go on.")]}, {"configurable": {"thread_id": thread}}
        )
        return answers(state)[-len(pairs) :]

    async def ended(self, key: str) -> dict[str, Any]:
        """What a check says once the agent has ended."""
        async with asyncio.timeout(20):
            while True:
                (message,) = await self.does(("check_background_agent", {"id": key}))
                if (told := read(message))["status"] not in ("queued", "in_progress"):
                    return told


def answers(state: Any) -> list[ToolMessage]:
    return [message for message in state["messages"] if isinstance(message, ToolMessage)]


def read(message: ToolMessage) -> dict[str, Any]:
    assert message.status == "success", message.content
    told: dict[str, Any] = json.loads(message.text)
    return told


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    """The record of what was started."""
    store = SqliteJobStore(tmp_path / "jobs.sqlite")
    yield store
    await store.aclose()


def middleware(service: Service, jobs: Any, limit: int = 20_000, **research: Any) -> BackgroundAgentsMiddleware:
    settings = {"agent": AGENT, "description": "Finds things out.", **research}
    return BackgroundAgentsMiddleware({"research": settings}, backend=service.backend, jobs=jobs, answer_limit=limit)


@pytest.mark.covers("langgraph:background:middleware")
async def test_an_agent_is_started_goes_on_by_itself_and_is_checked(service: Service, jobs: SqliteJobStore) -> None:
    """The start gives an id at once; a check gives the status, and at the end the answer and the files, and what a program needs beside."""
    chat = Chat([middleware(service, jobs, environment=SANDBOX)])
    (started,) = await chat.does(begin(task="Analyse /workspace/sales.csv: what is the sum of sales per city?"))
    told = read(started)
    assert (told["agent"], told["status"]) == ("research", "in_progress")
    assert service.sent[0]["background"] is True
    done = await chat.ended(told["id"])
    assert done["status"] == "completed"
    assert "Oslo" in done["answer"]
    assert {"workspace/report.md", "workspace/summary.csv"} <= {file["path"] for file in done["files"]}
    (checked,) = await chat.does(("check_background_agent", {"id": told["id"]}))
    stored = await service.backend.get(checked.artifact["interaction_id"])
    assert checked.artifact["environment_id"] == stored.environment_id
    assert checked.artifact["usage"]["total_tokens"] > 0
    assert stored.output_text == done["answer"]
    assert len(service.sent) == 1
    job = await jobs.get(told["id"])
    assert job is not None
    assert job.state == "settled"


@pytest.mark.covers("langgraph:background:middleware")
async def test_a_model_of_the_service_uses_it_too(service: Service, jobs: SqliteJobStore) -> None:
    """The tools are ones that a chat model can be given."""
    agent = create_agent(service.chat(), middleware=[middleware(service, jobs)], checkpointer=InMemorySaver())
    state = await agent.ainvoke(
        {"messages": [HumanMessage("Which agents run? Call list_background_agents.")]},
        {"configurable": {"thread_id": "1"}},
    )
    names = [declared["name"] for declared in service.sent[0]["tools"]]
    assert names == [
        "start_background_agent",
        "check_background_agent",
        "cancel_background_agent",
        "list_background_agents",
    ]
    start = service.sent[0]["tools"][0]
    assert start["parameters"]["properties"].keys() == {"agent", "task"}
    assert "research: Finds things out." in start["description"]
    assert state["messages"]


@pytest.mark.covers("langgraph:background:middleware-once")
async def test_parallel_starts_are_one_each(service: Service, jobs: SqliteJobStore) -> None:
    """Also where they ask the same."""
    chat = Chat([middleware(service, jobs, labels=SLOW)])
    started = await chat.does(begin(), begin(), begin(task="Another."))
    ids = [read(message)["id"] for message in started]
    assert len(set(ids)) == len(service.sent) == 3
    (listing,) = await chat.does(("list_background_agents", {}))
    assert {agent["id"] for agent in read(listing)["agents"]} == set(ids)
    assert {agent["status"] for agent in read(listing)["agents"]} == {"in_progress"}


class Trips(AgentMiddleware[Any, Any, Any]):
    """Lets a call of a tool run, and then fails or stops, so often."""

    def __init__(self, times: int, how: str) -> None:
        super().__init__()
        self.left, self.how = times, how

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        answer = await handler(request)
        if request.tool_call["name"] != "start_background_agent":
            return answer
        if self.how == "interrupt":
            interrupt("Go on?")
            return answer
        if self.left:
            self.left -= 1
            if self.how == "retry":
                return await handler(request)
            raise RuntimeError("the process died")
        return answer


@pytest.mark.covers("langgraph:background:middleware-once")
@pytest.mark.parametrize("how", ["retry", "crash", "interrupt"])
async def test_a_call_that_is_run_again_finds_its_start(service: Service, jobs: SqliteJobStore, how: str) -> None:
    """One paid start each, over a retry in the same task, a task that failed and runs again, and one that stopped for a human."""
    chat = Chat([Trips(1, how), middleware(service, jobs, labels=SLOW)])
    config: Any = {"configurable": {"thread_id": "1"}}
    chat.script = [calls(begin(), begin(task="Another."))]
    state: Any
    try:
        state = await chat.agent.ainvoke({"messages": [HumanMessage("Go.")]}, config)
    except RuntimeError:
        state = await chat.agent.ainvoke(None, config)
    if how == "interrupt":
        waiting = (await chat.agent.aget_state(config)).interrupts
        state = await chat.agent.ainvoke(Command(resume={one.id: True for one in waiting}), config)
    ids = {read(message)["id"] for message in answers(state)}
    assert len(ids) == len(service.sent) == len(await jobs.list()) == 2


@pytest.mark.covers("langgraph:background:middleware-thread")
async def test_an_id_counts_in_its_own_thread_only(service: Service, jobs: SqliteJobStore) -> None:
    """Elsewhere it is as unknown as any other, to each tool; and a node's own job is no agent of the model's."""
    chat = Chat([middleware(service, jobs, labels=SLOW)])
    (started,) = await chat.does(begin())
    key = read(started)["id"]
    for name in ("check_background_agent", "cancel_background_agent"):
        (foreign,) = await chat.does((name, {"id": key}), thread="2")
        (unknown,) = await chat.does((name, {"id": "x"}), thread="2")
        assert foreign.status == unknown.status == "error"
        assert foreign.text.replace(key, "x") == unknown.text
        assert "list_background_agents" in foreign.text
    (listing,) = await chat.does(("list_background_agents", {}), thread="2")
    assert read(listing) == {"agents": []}
    (own,) = await chat.does(("check_background_agent", {"id": key}))
    assert read(own)["steps_so_far"] >= 0


@pytest.mark.covers("langgraph:background:middleware-cancel")
async def test_an_agent_is_stopped_at_the_service(service: Service, jobs: SqliteJobStore) -> None:
    """Verified there; stopping it again says that it had ended."""
    chat = Chat([middleware(service, jobs, labels=SLOW)])
    (started,) = await chat.does(begin())
    key = read(started)["id"]
    (stopped,) = await chat.does(("cancel_background_agent", {"id": key}))
    assert (read(stopped)["status"], read(stopped)["stopped_because"]) == ("cancelled", "abandoned")
    assert (await service.backend.get(stopped.artifact["interaction_id"])).status == "cancelled"
    (again,) = await chat.does(("cancel_background_agent", {"id": key}))
    assert "ended before" in read(again)["note"]
    (checked,) = await chat.does(("check_background_agent", {"id": key}))
    assert read(checked)["status"] == "cancelled"


@pytest.mark.covers("langgraph:background:middleware-cut")
async def test_a_long_answer_is_read_in_pieces(service: Service, jobs: SqliteJobStore) -> None:
    """Each says where the next begins; together they are the answer."""
    chat = Chat([middleware(service, jobs, limit=40)])
    (started,) = await chat.does(begin())
    told = await chat.ended(read(started)["id"])
    pieces = [told["answer"]]
    while "next_offset" in told:
        assert len(told["answer"]) == 40
        (checked,) = await chat.does(
            ("check_background_agent", {"id": told["id"], "offset": told["next_offset"]}),
        )
        told = read(checked)
        pieces.append(told["answer"])
    assert len(pieces) > 1
    stored = await service.backend.get(checked.artifact["interaction_id"])
    assert "".join(pieces) == stored.output_text


@pytest.mark.covers("langgraph:background:middleware-cut")
async def test_all_that_an_agent_said_and_many_files_are_told(jobs: SqliteJobStore) -> None:
    """What it said before its last tool too; of files the first hundred, with a word that there are more."""
    texts = [{"type": "model_output", "content": [{"type": "text", "text": text}]} for text in ("First.", "Last.")]
    between = {"type": "thought", "signature": "c2ln"}
    async with LocalBackend(responder=ScriptedResponder([[texts[0], between, texts[1]]])) as backend:
        environment = await backend.environments.create()
        for number in range(101):
            await backend.files.write(environment.id, f"/workspace/{number:03}.txt", b"x")
        settings = {"agent": AGENT, "environment": environment.id}
        chat = Chat([BackgroundAgentsMiddleware({"research": settings}, backend=backend, jobs=jobs)])
        (started,) = await chat.does(begin())
        told = await chat.ended(read(started)["id"])
        assert told["answer"] == "First.\n\nLast."
        assert len(told["files"]) == 100
        assert told["more_files"] is True


@pytest.mark.covers("langgraph:background:middleware-errors")
async def test_what_the_service_refuses_is_an_error_of_the_tool(service: Service, jobs: SqliteJobStore) -> None:
    """The model reads it and goes on; nothing is left of a start that surely was none."""
    chat = Chat([middleware(service, jobs, labels={"local-http": "400"})])
    (refused,) = await chat.does(begin())
    assert refused.status == "error"
    assert "400" in refused.text
    assert list(await jobs.list()) == []
    (wrong,) = await chat.does(begin(agent="nobody"))
    assert wrong.status == "error"
    assert "research" in wrong.text


@pytest.mark.covers("langgraph:background:middleware-errors")
async def test_an_agent_that_failed_says_so(service: Service, jobs: SqliteJobStore) -> None:
    """As its status; that is an answer, not an error of the check."""
    chat = Chat([middleware(service, jobs, labels={"local-status": "failed"})])
    (started,) = await chat.does(begin())
    told = await chat.ended(read(started)["id"])
    assert told["status"] == "failed"
    assert told["errors"]


@pytest.mark.covers("langgraph:background:middleware-errors")
async def test_an_agent_that_the_service_lost_is_named_as_such(service: Service, jobs: SqliteJobStore) -> None:
    """While it may only be hidden the check tells of the problem."""
    chat = Chat([middleware(service, jobs)])
    (started,) = await chat.does(begin())
    told = await chat.ended(read(started)["id"])
    (checked,) = await chat.does(("check_background_agent", {"id": told["id"]}))
    await service.backend.delete(checked.artifact["interaction_id"])
    (gone,) = await chat.does(("check_background_agent", {"id": told["id"]}))
    assert "404" in read(gone)["problem"]


class Deaf(Recording):
    """A backend that loses the answer of a create, or hears no cancel."""

    def __init__(self, backend: Any, *, lost: bool = False) -> None:
        super().__init__(backend, [])
        self._lost = lost

    async def create(self, request: Any = None, /, **fields: Any) -> Any:
        made = await super().create(request, **fields)
        if self._lost:
            raise ConnectionFailed("the connection broke", sent=True)
        return made

    async def cancel(self, id: str) -> Any:
        raise ConnectionFailed("nobody answers", sent=True)


@pytest.mark.covers("langgraph:background:middleware-errors")
async def test_a_start_whose_answer_was_lost_is_said_to_be_unknown(jobs: SqliteJobStore) -> None:
    """It stays on record: it is listed, and cannot be stopped before somebody knows which interaction it is."""
    async with LocalBackend(test_controls=True) as local:
        chat = Chat([middleware(Service(Deaf(local, lost=True), local), jobs, labels=SLOW)])
        (lost,) = await chat.does(begin())
        assert (lost.status, lost.text) == ("error", "the connection broke")
        (listing,) = await chat.does(("list_background_agents", {}))
        (agent,) = read(listing)["agents"]
        assert agent["status"] == "unknown"
        (stopped,) = await chat.does(("cancel_background_agent", {"id": agent["id"]}))
        assert stopped.status == "error"
        assert "Nothing tells" in stopped.text
        await jobs.note(agent["id"], due=0.0)
        assert dict(await Sweeper(chat.agent, jobs, backend=local).run_once()) == {"not_ended": 1}


@pytest.mark.covers("langgraph:background:middleware-cancel")
async def test_a_cancel_that_could_not_be_verified_is_an_error(
    jobs: SqliteJobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is told that the agent may still run."""
    monkeypatch.setattr("bridge.jobs.looking.STOP_WITHIN", 0.1)
    async with LocalBackend(test_controls=True) as local:
        chat = Chat([middleware(Service(Deaf(local), local), jobs, labels=SLOW)])
        (started,) = await chat.does(begin())
        (stopped,) = await chat.does(("cancel_background_agent", {"id": read(started)["id"]}))
        assert stopped.status == "error"
        assert "may still run: nobody answers" in stopped.text


@pytest.mark.covers("langgraph:background:middleware-sweeper")
async def test_a_sweeper_keeps_its_terms_and_wakes_nothing(service: Service, jobs: SqliteJobStore) -> None:
    """Past its deadline the agent is stopped; the thread, which may be at work, is left alone."""
    chat = Chat([middleware(service, jobs, labels=SLOW, deadline=0.01)])
    (started,) = await chat.does(begin())
    key = read(started)["id"]
    before = await chat.agent.aget_state({"configurable": {"thread_id": "1"}})
    job = await jobs.get(key)
    assert job is not None
    await jobs.note(key, due=0.0)
    sweeper = Sweeper(chat.agent, jobs, backend=service.backend)
    assert dict(await sweeper.run_once()) == {"settled": 1}
    assert (await service.backend.get(job.interaction_id or "")).status == "cancelled"
    after = await chat.agent.aget_state({"configurable": {"thread_id": "1"}})
    assert after.config == before.config
    (checked,) = await chat.does(("check_background_agent", {"id": key}))
    assert read(checked)["stopped_because"] == "deadline"


@pytest.mark.covers("langgraph:background:middleware-setup")
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"approve": True}, "approve"),
        ({"wait": "await"}, "wait"),
        ({"background": False}, "background"),
        ({"tools": [tool(len)]}, "tools"),
    ],
)
async def test_an_agent_that_cannot_run_so_is_refused(
    service: Service, jobs: SqliteJobStore, settings: dict[str, Any], named: str
) -> None:
    """By name, when it is made."""
    with pytest.raises(InvalidRequest, match=named) as refused:
        middleware(service, jobs, **settings)
    assert refused.value.field == named


@pytest.mark.covers("langgraph:background:middleware-setup")
async def test_what_is_set_up_wrongly_is_raised(service: Service, jobs: SqliteJobStore) -> None:
    """No agents, no limit, no thread to belong to: the model could do nothing about it, and nothing is paid."""
    with pytest.raises(InvalidRequest, match="at least one"):
        BackgroundAgentsMiddleware({}, backend=service.backend, jobs=jobs)
    with pytest.raises(InvalidRequest, match="answer_limit"):
        middleware(service, jobs, limit=0)
    model = Scripted(messages=iter([calls(begin())]))
    agent = create_agent(model, middleware=[middleware(service, jobs)])
    with pytest.raises(InvalidRequest, match="checkpointer"):
        await agent.ainvoke({"messages": [HumanMessage("Go.")]})
    chat = Chat([middleware(service, jobs)])
    chat.script = [calls(begin())]
    with pytest.raises(InvalidRequest, match="durability"):
        await chat.agent.ainvoke(
            {"messages": [HumanMessage("Go.")]}, {"configurable": {"thread_id": "1"}}, durability="exit"
        )
    assert service.sent == []


@pytest.mark.covers("langgraph:background:middleware-setup")
def test_it_runs_without_an_event_loop(service_in_thread: Service, tmp_path: Path) -> None:
    """The same tools in a plain `invoke`."""
    service, jobs = service_in_thread, SqliteJobStore(tmp_path / "record.sqlite")
    with SqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
        chat = Chat([middleware(service, jobs, labels=SLOW)], saver)
        chat.script = [calls(begin())]
        config: Any = {"configurable": {"thread_id": "1"}}
        state = chat.agent.invoke({"messages": [HumanMessage("Go.")]}, config)
        key = read(answers(state)[-1])["id"]
        chat.script = [calls(("check_background_agent", {"id": key}))]
        state = chat.agent.invoke({"messages": [HumanMessage("And?")]}, config)
        assert read(answers(state)[-1])["status"] == "in_progress"
        chat.script = [calls(("cancel_background_agent", {"id": key}))]
        state = chat.agent.invoke({"messages": [HumanMessage("Stop.")]}, config)
        assert read(answers(state)[-1])["status"] == "cancelled"
    asyncio.run(jobs.aclose())


@contextmanager
def _without_langchain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "langchain.agents.middleware", None)
    monkeypatch.delitem(sys.modules, "bridge.langgraph.background.middleware")
    monkeypatch.delitem(vars(bridge.langgraph), "BackgroundAgentsMiddleware")
    yield
    monkeypatch.undo()
    importlib.import_module("bridge.langgraph.background.middleware")


@pytest.mark.covers("langgraph:background:middleware-setup")
def test_without_langchain_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else of the room needs it."""
    with _without_langchain(monkeypatch):
        assert callable(bridge.langgraph.interactions_node)
        with pytest.raises(NotConfigured, match="pip install langchain"):
            _ = bridge.langgraph.BackgroundAgentsMiddleware
