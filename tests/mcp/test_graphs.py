"""Graphs of one's own, served: a thread for each conversation, interrupts as calls, over restarts."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from bridge.errors import ApiError, Conflict, InvalidRequest, NotFound, UnsupportedCapability
from bridge.jobs import Job, JobStore
from bridge.langgraph import as_agent
from tests.mcp.calling import ERAS, calling

pytestmark = pytest.mark.timeout(90)


class Bindable(GenericFakeChatModel):
    """A model that is told what to answer, and takes tools."""

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


def thread_of(job: Job) -> Any:
    """The thread of a graph's turn."""
    return {"configurable": {"thread_id": str(job.interaction_id).rpartition(":")[0]}}


def counting(checkpointer: Any, gate: asyncio.Event | None = None, ran: list[str] | None = None) -> Any:
    """A graph that counts the messages of its thread, asks before it answers where it is told to, and fails where it is told to."""

    async def begin(state: MessagesState) -> dict[str, Any]:
        if ran is not None:
            ran.append("begin")
        return {}

    async def answer(state: MessagesState) -> dict[str, Any]:
        words = str(state["messages"][-1].content)
        if gate is not None:
            await gate.wait()
        if words == "fail":
            raise ValueError("password hunter2")
        if words == "ask":
            words = f"told {interrupt({'question': 'May I?'})!r}"
        return {"messages": [AIMessage(f"{len(state['messages'])}: {words}")]}

    graph = StateGraph(MessagesState)
    graph.add_node("begin", begin)
    graph.add_node("answer", answer)
    graph.add_edge(START, "begin")
    graph.add_edge("begin", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer, name="counter")


@pytest.mark.covers("mcp:graphs")
@pytest.mark.parametrize("era", ERAS)
async def test_a_graph_is_run_answered_and_followed_up(era: str, jobs: JobStore, serving: Callable[..., Any]) -> None:
    """What LangGraph's own endpoint cannot: a second turn on the same thread, and an answer to an interrupt."""
    agent = as_agent(counting(InMemorySaver()), description="Counts.", jobs=jobs)
    async with calling(serving(None, {"counter": agent}), era) as call:
        (tool,) = [tool for tool in (await call.client.list_tools()).tools if tool.name == "agent_run"]
        assert "counter: Counts." in tool.input_schema["properties"]["agent"]["description"]
        first = await call("agent_run", input="hello")
        assert (first["status"], first["output_text"]) == ("completed", "1: hello")
        asked = await call("agent_run", input="ask", previous_run_id=first["run_id"])
        assert asked["status"] == "requires_action"
        (pending,) = asked["pending_calls"]
        assert (pending["name"], pending["arguments"]) == ("interrupt", {"value": {"question": "May I?"}})
        await call("agent_respond", run_id=asked["run_id"], call_id=pending["call_id"], decision="approve")
        assert (await call("agent_wait", run_id=asked["run_id"]))["output_text"] == "3: told True"
        third = await call("agent_run", input="bye", previous_run_id=asked["run_id"])
        assert third["output_text"] == "5: bye"
        assert (await call("agent_run", input="hello"))["output_text"] == "1: hello"


@pytest.mark.covers("mcp:graphs")
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"decision": "reject"}, "False"),
        ({"result": "later"}, "'later'"),
        ({"result": {"result": [1, 2]}}, "[1, 2]"),
        ({"result": 5}, "5"),
        ({"result": {"a": 1}}, "{'a': 1}"),
    ],
)
async def test_an_interrupt_returns_what_it_was_answered(
    given: dict[str, Any], told: str, jobs: JobStore, serving: Callable[..., Any]
) -> None:
    """A decision as True or False, anything else as it is."""
    async with calling(serving(None, {"counter": as_agent(counting(InMemorySaver()), jobs=jobs)})) as call:
        run = await call("agent_run", input="ask")
        await call("agent_respond", run_id=run["run_id"], call_id=run["pending_calls"][0]["call_id"], **given)
        assert (await call("agent_wait", run_id=run["run_id"]))["output_text"] == f"1: told {told}"


@pytest.mark.covers("mcp:graphs:approvals")
@pytest.mark.parametrize("mode", ["batched", "per_call"])
@pytest.mark.parametrize("given", [{"decision": "approve"}, {"decision": "reject"}, {"result": "Not today."}])
async def test_an_agent_of_langchain_gets_its_approvals_in_its_own_form(
    mode: Any, given: dict[str, Any], jobs: JobStore, serving: Callable[..., Any]
) -> None:
    """Two calls of one turn are approved, rejected, or told why not."""
    paid: list[str] = []

    def pay(to: str) -> str:
        """Pays somebody."""
        paid.append(to)
        return f"Paid {to}."

    calls = [{"name": "pay", "args": {"to": to}, "id": to, "type": "tool_call"} for to in ("Ann", "Bob")]
    model = Bindable(messages=iter([AIMessage("", tool_calls=calls), AIMessage("Done.")]))
    approving = HumanInTheLoopMiddleware({"pay": True}, interrupt_mode=mode)
    graph = create_agent(model, [pay], middleware=[approving], checkpointer=InMemorySaver())
    async with calling(serving(None, {"payer": as_agent(graph, jobs=jobs)})) as call:
        run = await call("agent_run", input="Pay them.")
        assert len(run["pending_calls"]) == (1 if mode == "batched" else 2)
        for pending in run["pending_calls"]:
            run = await call("agent_respond", run_id=run["run_id"], call_id=pending["call_id"], **given)
        assert (await call("agent_wait", run_id=run["run_id"]))["output_text"] == "Done."
        steps = (await call("agent_get", run_id=run["run_id"], include_steps=True))["steps"]
        (job, *_) = await jobs.list()
    kinds = [step["type"] for step in steps if step["type"] != "function_result" or step["name"] != "interrupt"]
    assert [step["arguments"] for step in steps if step.get("name") == "pay" and "arguments" in step] == [
        {"to": "Ann"},
        {"to": "Bob"},
    ]
    assert kinds[-5:] == ["function_call", "function_result"] * 2 + ["model_output"]
    results = [m for m in graph.get_state(thread_of(job)).values["messages"] if m.type == "tool"]
    assert sorted(paid) == (["Ann", "Bob"] if given == {"decision": "approve"} else [])
    assert len(results) == 2
    if "result" in given:
        assert all("Not today." in message.text for message in results)


@pytest.mark.covers("mcp:graphs:approvals")
async def test_words_respond_where_rejecting_is_not_allowed(jobs: JobStore, serving: Callable[..., Any]) -> None:
    """As for a tool that asks the person: their words are what it gives."""

    def ask_user(question: str) -> str:
        """Asks the person."""
        raise AssertionError(question)

    asking = {"name": "ask_user", "args": {"question": "Tea?"}, "id": "1", "type": "tool_call"}
    model = Bindable(messages=iter([AIMessage("", tool_calls=[asking]), AIMessage("Done.")]))
    approving = HumanInTheLoopMiddleware({"ask_user": {"allowed_decisions": ["respond"]}})
    graph = create_agent(model, [ask_user], middleware=[approving], checkpointer=InMemorySaver())
    async with calling(serving(None, {"host": as_agent(graph, jobs=jobs)})) as call:
        run = await call("agent_run", input="Ask.")
        (pending,) = run["pending_calls"]
        await call("agent_respond", run_id=run["run_id"], call_id=pending["call_id"], result="Yes, please.")
        assert (await call("agent_wait", run_id=run["run_id"]))["output_text"] == "Done."
        steps = (await call("agent_get", run_id=run["run_id"], include_steps=True))["steps"]
    assert [step["result"] for step in steps if step.get("name") == "ask_user" and "result" in step] == ["Yes, please."]


@pytest.mark.covers("mcp:graphs")
@pytest.mark.parametrize("asked", [{"review_configs": 5}, {"review_configs": [None]}, {"action_requests": 1}, None])
async def test_an_interrupt_that_only_looks_like_an_approval_returns_the_words(
    asked: Any, jobs: JobStore, serving: Callable[..., Any]
) -> None:
    """Whatever a graph of one's own asks with."""
    graph = StateGraph(MessagesState)
    graph.add_node("ask", lambda state: {"messages": [AIMessage(f"told {interrupt(asked)!r}")]})
    graph.add_edge(START, "ask")
    agent = as_agent(graph.compile(checkpointer=InMemorySaver()), name="asker", jobs=jobs)
    async with calling(serving(None, {"asker": agent})) as call:
        run = await call("agent_run", input="Go.")
        (pending,) = run["pending_calls"]
        await call("agent_respond", run_id=run["run_id"], call_id=pending["call_id"], result="words")
        assert (await call("agent_wait", run_id=run["run_id"]))["output_text"] == "told 'words'"


@pytest.mark.covers("mcp:graphs:steps")
async def test_a_graph_tells_what_it_did(jobs: JobStore, serving: Callable[..., Any]) -> None:
    """While it runs, and in each turn its own: what was said on the way and the calls that were answered."""
    looked, gate = asyncio.Event(), asyncio.Event()

    async def look_up(what: str) -> str:
        """Looks something up."""
        looked.set()
        await gate.wait()
        return f"{what}: 3"

    call_it = {"name": "look_up", "args": {"what": "tea"}, "id": "1", "type": "tool_call"}
    answers = [AIMessage("Let me see.", tool_calls=[call_it]), AIMessage("It is 3."), AIMessage("You are welcome.")]
    graph = create_agent(Bindable(messages=iter(answers)), [look_up], checkpointer=InMemorySaver())
    async with calling(serving(None, {"seller": as_agent(graph, jobs=jobs)})) as call:

        async def steps(run: str) -> list[dict[str, Any]]:
            return list((await call("agent_get", run_id=run, include_steps=True))["steps"])

        first = (await call("agent_run", input="Tea?", wait_s=0))["run_id"]
        await looked.wait()
        (thought,) = await steps(first)
        assert thought["summary"][0]["text"] == "Let me see."
        gate.set()
        assert (await call("agent_wait", run_id=first))["output_text"] == "It is 3."
        said = await steps(first)
        assert [step["type"] for step in said] == ["thought", "function_call", "function_result", "model_output"]
        assert said[2]["result"] == "tea: 3"
        second = await call("agent_run", input="Thanks.", previous_run_id=first)
        assert [step["type"] for step in await steps(second["run_id"])] == ["model_output"]


@pytest.mark.covers("mcp:graphs")
async def test_a_graph_that_fails_or_is_stopped_says_so(jobs: JobStore, serving: Callable[..., Any]) -> None:
    """Without the text of its error, which may hold anything."""
    gate = asyncio.Event()
    gate.set()
    async with calling(serving(None, {"counter": as_agent(counting(InMemorySaver(), gate), jobs=jobs)})) as call:
        failed = await call.failed("agent_run", input="fail")
        assert (failed["status"], failed["error"]) == (
            "failed",
            "the graph raised an error; its server's log says more",
        )
        gate.clear()
        running = await call("agent_run", input="hello", wait_s=0.2)
        assert running["status"] == "in_progress"
        assert (await call("agent_cancel", run_id=running["run_id"]))["status"] == "cancelled"
        gate.set()
        assert (await call("agent_get", run_id=running["run_id"]))["status"] == "cancelled"
        environment = await call.refused("agent_run", input="x", environment_id="x~y")
        assert "works in no environment" in environment
        with_file = await call("agent_run", input="x", files=[{"path": "a.txt", "content": "A"}])
        assert with_file["output_text"] == "1: x\n\nFile a.txt:\n\nA"


@pytest.mark.covers("mcp:graphs:restart")
async def test_a_graph_goes_on_where_its_process_died(
    tmp_path: Path, jobs: JobStore, serving: Callable[..., Any]
) -> None:
    """From its last checkpoint, in the first process that asks once the lease is over, and in no other."""
    path, ran = str(tmp_path / "threads.sqlite"), list[str]()
    async with AsyncSqliteSaver.from_conn_string(path) as saver:
        never = asyncio.Event()
        async with calling(serving(None, {"counter": as_agent(counting(saver, never, ran), jobs=jobs)})) as call:
            run = await call("agent_run", input="hello", wait_s=0.2)
            assert run["status"] == "in_progress"
            # Another process: while the first one lives it only looks.
            other = as_agent(counting(saver, None, ran), jobs=jobs)
            (job,) = await jobs.list()
            assert (await other.get(str(job.interaction_id))).status == "in_progress"
            await asyncio.sleep(0)
            with pytest.raises(Conflict, match="another process"):
                await other.cancel(str(job.interaction_id))
            assert ran == ["begin"]
            (work,) = [task for task in asyncio.all_tasks() if "_GraphAgent._work" in repr(task)]
            work.cancel()  # as the end of a process does
            await asyncio.wait({work})
        async with calling(serving(None, {"counter": as_agent(counting(saver, None, ran), jobs=jobs)})) as call:
            done = await call("agent_wait", run_id=run["run_id"])
            assert (done["status"], done["output_text"]) == ("completed", "1: hello")
    assert ran == ["begin"]


class Plain(TypedDict):
    """A state without messages."""

    words: Annotated[list[str], operator.add]


@pytest.mark.covers("mcp:graphs")
async def test_any_graph_will_do(jobs: JobStore) -> None:
    """Its input is made of the words, its answer of the values; without a checkpointer it is refused."""
    graph = StateGraph(Plain)
    graph.add_node("shout", lambda state: {"words": [state["words"][-1].upper()]})
    graph.add_edge(START, "shout")
    with pytest.raises(InvalidRequest, match="compile the graph with a checkpointer"):
        as_agent(graph.compile())
    compiled = graph.compile(checkpointer=InMemorySaver())
    agent = as_agent(compiled, input=lambda words: {"words": [words]}, name="shouter", jobs=jobs)

    async def done(**fields: Any) -> Any:
        turn = await agent.create(**fields)
        while turn.status == "in_progress":
            await asyncio.sleep(0)
            turn = await agent.get(turn.id)
        return turn

    first = await done(input="hello")
    assert first.output_text == '{"words":["hello","HELLO"]}'
    second = await done(input="bye", previous_interaction_id=first.id)
    assert second.output_text.endswith('"bye","BYE"]}')
    assert (await agent.get(first.id)).output_text == first.output_text
    assert (await agent.cancel(second.id)).status == "completed"
    with pytest.raises(Conflict, match="not the last turn"):
        await agent.create(input="again", previous_interaction_id=first.id)
    for unknown in ("x", "x:1"):
        with pytest.raises(NotFound):
            await agent.get(unknown)
    with pytest.raises(UnsupportedCapability, match="environment"):
        await agent.create(input="x", environment="remote")
    with pytest.raises(UnsupportedCapability, match="input of that kind"):
        await agent.create(input=[{"type": "image", "data": "eA=="}])
    with pytest.raises(UnsupportedCapability, match="look at the turn again"):
        async for _ in agent.watch(first.id):
            pass
    told = as_agent(
        compiled, input=lambda words: {"words": [words]}, output=lambda values: values["words"][-1], jobs=jobs
    )
    assert (await told.get(first.id)).output_text == "HELLO"
    assert issubclass(Conflict, ApiError)
