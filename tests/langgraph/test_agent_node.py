"""`managed_agent_node`: what it leaves, what it shows while it runs, and what becomes of the run when the graph's ends early."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from bridge.backend import Capabilities
from bridge.backends.local import LocalBackend, ScriptedResponder
from bridge.errors import (
    BadRequest,
    ConnectionFailed,
    DeadlineExceeded,
    InteractionFailed,
    InvalidRequest,
    NotFound,
    UnsupportedCapability,
)
from bridge.interactions import Event, Interaction
from bridge.langgraph import InteractionsState, managed_agent_node
from bridge.langgraph import agent_node as module
from bridge.langgraph.state import merge_interactions

from .conftest import Service

AGENT = "antigravity-preview-09-2026"
CSV = "city,sales\nOslo,5\nRome,7\nOslo,1\n"
SOURCE = {"type": "remote", "sources": [{"type": "inline", "target": "/workspace/sales.csv", "content": CSV}]}
QUESTION = "Analyse /workspace/sales.csv: what is the sum of sales per city?"


def graph_of(node: Any, name: str = "work", **options: Any) -> CompiledStateGraph[Any, Any, Any, Any]:
    return StateGraph(InteractionsState).add_node(name, node).add_edge(START, name).compile(**options)


def asked(text: str = QUESTION) -> Any:
    return {"messages": [HumanMessage(text)]}


class Slow:
    """A responder that works until it is told to stop, and tells when it began."""

    def __init__(self) -> None:
        self.began = asyncio.Event()

    async def respond(self, turn: Any) -> AsyncIterator[Any]:
        from bridge.interactions import Thought

        yield Thought(signature="c2ln")
        self.began.set()
        await asyncio.Event().wait()


@pytest.mark.covers("langgraph:agent-node:result")
@pytest.mark.parametrize("background", [True, False])
async def test_a_run_leaves_text_environment_files_and_usage(service: Service, background: bool) -> None:
    """As plain data beside a message of the node's own."""
    node = managed_agent_node(AGENT, backend=service.backend, name="analyst", environment=SOURCE, background=background)
    state = await graph_of(node, checkpointer=InMemorySaver()).ainvoke(asked(), {"configurable": {"thread_id": "1"}})
    message, entry = state["messages"][-1], state["interactions"]["analyst"]
    assert isinstance(message, AIMessage)
    assert "Oslo" in message.content
    assert message.name == "analyst"
    assert message.id == message.response_metadata["id"] == entry["id"]
    assert entry["status"] == "completed"
    assert entry["environment_id"] == message.response_metadata["environment_id"]
    assert entry["usage"]["total_tokens"] > 0
    files = {file["path"]: file["size_bytes"] for file in entry["files"]}
    assert files["workspace/sales.csv"] == len(CSV)
    assert {"workspace/summary.csv", "workspace/report.md"} <= files.keys()
    assert json.loads(json.dumps(state["interactions"])) == state["interactions"]
    stored = await service.backend.get(entry["id"])
    assert stored.agent == AGENT
    assert (service.sent[0].get("background") is True) == background


@pytest.mark.covers("langgraph:agent-node:live")
@pytest.mark.parametrize("background", [True, False])
async def test_every_step_is_shown_once_and_in_order(service: Service, background: bool) -> None:
    """On the graph's custom stream: that it began, each step when it is done, that it ended."""
    node = managed_agent_node(AGENT, backend=service.backend, name="analyst", environment=SOURCE, background=background)
    shown = [part async for part in graph_of(node).astream(asked(), stream_mode="custom")]
    assert [part["type"] for part in (shown[0], shown[-1])] == ["interaction", "interaction"]
    assert (shown[0]["status"], shown[-1]["status"]) == ("in_progress", "completed")
    began = shown[0]["interaction_id"]
    assert all((part["name"], part["interaction_id"]) == ("analyst", began) for part in shown)
    stored = await service.backend.get(began)
    steps = shown[1:-1]
    assert [part["step"] for part in steps] == [step.to_wire() for step in stored.steps or []]
    assert [part["index"] for part in steps] == list(range(len(steps)))
    assert {"code_execution_call", "code_execution_result", "model_output"} <= {part["step"]["type"] for part in steps}


@pytest.mark.covers("langgraph:agent-node:live")
async def test_a_step_is_shown_while_the_run_goes_on() -> None:
    """Not at its end."""
    slow = Slow()
    async with LocalBackend(responder=slow) as backend:
        graph = graph_of(managed_agent_node(AGENT, backend=backend))
        stream: Any = graph.astream(asked(), stream_mode="custom")
        parts = [await anext(stream), await anext(stream)]
        assert parts[1]["step"]["type"] == "thought"
        assert (await backend.get(parts[0]["interaction_id"])).status == "in_progress"
        await stream.aclose()


@pytest.mark.covers("langgraph:agent-node:sync")
def test_it_runs_without_an_event_loop(service_in_thread: Service) -> None:
    """The same node in a plain `invoke` and a plain `stream`."""
    graph = graph_of(managed_agent_node(AGENT, backend=service_in_thread.backend, environment=SOURCE))
    state = graph.invoke(asked())
    assert "Oslo" in state["messages"][-1].content
    shown = list(graph.stream(asked(), stream_mode="custom"))
    assert [part["type"] for part in (shown[0], shown[1], shown[-1])] == ["interaction", "step", "interaction"]


@pytest.mark.covers("langgraph:agent-node:alone")
async def test_it_runs_outside_of_a_graph(service: Service) -> None:
    """As a runnable like any other; then nobody listens to its steps."""
    state = await managed_agent_node(AGENT, backend=service.backend, environment=SOURCE).ainvoke(asked())
    assert "Oslo" in state["messages"][-1].content


@pytest.mark.covers("langgraph:agent-node:input")
async def test_its_input_is_the_conversation_or_what_a_callable_makes_of_the_state(service: Service) -> None:
    """System messages instruct it, what models said is quoted; an environment may come from the state too."""
    messages = [SystemMessage("Be brief."), HumanMessage("hello"), AIMessage("I am another.", name="other")]
    await graph_of(managed_agent_node(AGENT, backend=service.backend, labels={"team": "a"})).ainvoke(
        {"messages": messages}
    )
    assert service.sent[0]["system_instruction"] == "Be brief."
    assert service.sent[0]["labels"] == {"team": "a"}
    assert [step["type"] for step in service.sent[0]["input"]] == ["user_input", "user_input"]
    assert "[Quoted: other" in service.texts()[0][1]
    node = managed_agent_node(
        AGENT,
        backend=service.backend,
        input=lambda state: f"Say: {state['messages'][0].content}",
        environment=lambda state: SOURCE,
        agent_config={"type": "antigravity", "max_total_tokens": 100_000},
        tools=[{"type": "code_execution"}],
    )
    await graph_of(node).ainvoke(asked("hi"))
    assert service.sent[1]["input"] == "Say: hi"
    assert service.sent[1]["environment"] == SOURCE
    assert service.sent[1]["tools"] == [{"type": "code_execution"}]
    assert int(service.sent[1]["agent_config"]["max_total_tokens"]) == 100_000


@pytest.mark.covers("langgraph:agent-node:session")
async def test_a_session_is_told_the_agents_answer_once_as_a_quotation(service: Service) -> None:
    """A chat model before and after the agent sends only what is new."""
    model = service.chat()

    async def talk(state: InteractionsState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    node = managed_agent_node(AGENT, backend=service.backend, name="analyst", environment=SOURCE)
    graph = (
        StateGraph(InteractionsState)
        .add_node("ask", talk)
        .add_node("work", node)
        .add_node("answer", talk)
        .add_edge(START, "ask")
        .add_edge("ask", "work")
        .add_edge("work", "answer")
        .compile()
    )
    state = await graph.ainvoke(asked())
    assert service.sent[2]["previous_interaction_id"] == state["messages"][1].id
    assert len(service.sent[2]["input"]) == 1
    assert "[Quoted: analyst" in service.texts()[2][0]
    assert state["messages"][2].content in service.texts()[2][0]


@pytest.mark.covers("langgraph:agent-node:status")
@pytest.mark.parametrize("status", ["incomplete", "budget_exceeded"])
async def test_a_partial_run_gives_what_there_is(service: Service, status: str) -> None:
    """With its status."""
    node = managed_agent_node(AGENT, backend=service.backend, environment=SOURCE, labels={"local-status": status})
    state = await graph_of(node).ainvoke(asked())
    assert state["interactions"][AGENT]["status"] == status
    assert state["messages"][-1].content


@pytest.mark.covers("langgraph:agent-node:status")
@pytest.mark.parametrize("status", ["failed", "cancelled", "requires_action"])
@pytest.mark.parametrize("background", [True, False])
async def test_a_run_without_an_answer_raises_with_its_id(service: Service, status: str, background: bool) -> None:
    """Failed, cancelled by somebody, or waiting for somebody to act."""
    node = managed_agent_node(
        AGENT, backend=service.backend, environment=SOURCE, labels={"local-status": status}, background=background
    )
    with pytest.raises(InteractionFailed, match=status) as failure:
        await graph_of(node).ainvoke(asked())
    assert failure.value.interaction.id in str(failure.value)


@pytest.mark.covers("langgraph:agent-node:status")
async def test_an_agent_that_wants_a_function_called_is_told_of_by_name() -> None:
    """This node has nobody to call it."""
    call = {"type": "function_call", "id": "k", "name": "ask_boss", "arguments": {}}
    async with LocalBackend(responder=ScriptedResponder([[call]])) as backend:
        node = managed_agent_node(AGENT, backend=backend, tools=[{"type": "function", "name": "ask_boss"}])
        with pytest.raises(InteractionFailed, match="ask_boss"):
            await graph_of(node).ainvoke(asked())


@pytest.mark.covers("langgraph:agent-node:abandoned")
@pytest.mark.parametrize(("on_abandon", "status"), [("cancel", "cancelled"), ("detach", "in_progress")])
async def test_a_cancelled_graph_run_cancels_the_interaction_or_lets_it_go_on(on_abandon: Any, status: str) -> None:
    """As the node was told; when the graph's run is over, so is the interaction."""
    slow = Slow()
    async with LocalBackend(responder=slow) as backend:
        graph = graph_of(managed_agent_node(AGENT, backend=backend, on_abandon=on_abandon))
        ids: list[str] = []

        async def follow() -> None:
            async for part in graph.astream(asked(), stream_mode="custom"):
                ids[:] = [part["interaction_id"]]

        run = asyncio.create_task(follow())
        await slow.began.wait()
        while not ids:
            await asyncio.sleep(0)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert (await backend.get(ids[0])).status == status


class Late(LocalBackend):
    """A backend whose answer to a start comes only when it is let through."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.asked = asyncio.Event()
        self.let = asyncio.Event()
        self.made: list[Interaction] = []

    async def create(self, request: Any = None, /, **fields: Any) -> Interaction:
        interaction = await super().create(request, **fields)
        self.made.append(interaction)
        self.asked.set()
        await self.let.wait()
        return interaction


@pytest.mark.covers("langgraph:agent-node:abandoned")
async def test_a_start_whose_answer_is_still_under_way_is_cancelled_too() -> None:
    """What was paid for gets an id before it is given up."""
    async with Late(responder=Slow()) as backend:
        run = asyncio.create_task(graph_of(managed_agent_node(AGENT, backend=backend)).ainvoke(asked()))
        await backend.asked.wait()
        run.cancel()
        asyncio.get_running_loop().call_soon(backend.let.set)
        with pytest.raises(asyncio.CancelledError):
            await run
        assert (await backend.get(backend.made[0].id)).status == "cancelled"


@pytest.mark.covers("langgraph:agent-node:abandoned")
async def test_a_cancel_that_gets_no_answer_is_given_up_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The wait is bounded, and the log names what may still run."""
    monkeypatch.setattr(module, "_ABANDON_TIMEOUT", 0.01)
    async with Late(responder=Slow()) as backend:
        run = asyncio.create_task(graph_of(managed_agent_node(AGENT, backend=backend)).ainvoke(asked()))
        await backend.asked.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert any("may still run" in record.message for record in caplog.records)
        backend.let.set()
        await asyncio.gather(*module._stopping, return_exceptions=True)


class Ending(LocalBackend):
    """A backend whose turns end by themselves just before they can be cancelled, and that takes a while to say so."""

    reads = 0

    async def cancel(self, id: str) -> Interaction:
        await super().cancel(id)
        raise BadRequest("it has ended", status=400)

    async def get(self, id: str, *, include_input: bool = False) -> Interaction:
        interaction = await super().get(id, include_input=include_input)
        self.reads += 1
        return interaction.replace(status="in_progress") if self.reads < 3 else interaction


@pytest.mark.covers("langgraph:agent-node:abandoned")
async def test_that_it_stopped_is_verified() -> None:
    """A cancel that comes too late is none, and what is said to be stopped is asked for until it is."""
    slow = Slow()
    async with Ending(responder=slow) as backend:

        async def sleep(_: float) -> None:
            await asyncio.sleep(0)

        run = asyncio.create_task(graph_of(managed_agent_node(AGENT, backend=backend, sleep=sleep)).ainvoke(asked()))
        await slow.began.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert backend.reads == 3


@pytest.mark.covers("langgraph:agent-node:errors")
async def test_an_error_at_the_start_and_a_timeout_of_somebody_else_pass_as_they_are() -> None:
    """Neither is a deadline of ours, and there is no interaction to name."""

    class Failing(LocalBackend):
        error: Exception = BadRequest("no", status=400)

        async def create(self, request: Any = None, /, **fields: Any) -> Interaction:
            raise self.error

    async with Failing() as backend:
        graph = graph_of(managed_agent_node(AGENT, backend=backend))
        with pytest.raises(BadRequest) as refusal:
            await graph.ainvoke(asked())
        assert not any("waited for interaction" in note for note in getattr(refusal.value, "__notes__", ()))
        backend.error = TimeoutError("theirs")
        with pytest.raises(TimeoutError, match="theirs"):
            await graph.ainvoke(asked())


@pytest.mark.covers("langgraph:agent-node:deadline")
@pytest.mark.parametrize(
    ("on_abandon", "fate", "status"),
    [("cancel", "was cancelled", "cancelled"), ("detach", "may still run", "in_progress")],
)
async def test_past_its_deadline_a_run_is_given_up_by_id(on_abandon: Any, fate: str, status: str) -> None:
    """The error says what became of it."""
    async with LocalBackend(responder=Slow()) as backend:
        node = managed_agent_node(AGENT, backend=backend, deadline=0.2, on_abandon=on_abandon)
        with pytest.raises(DeadlineExceeded, match=fate) as late:
            await graph_of(node).ainvoke(asked())
        assert late.value.interaction_id is not None
        assert (await backend.get(late.value.interaction_id)).status == status


class Broken(LocalBackend):
    """A backend whose streams of stored turns break off, and that can be asked for how things stand."""

    async def watch(self, id: str, *, after: str | None = None) -> AsyncIterator[Event]:
        stream = super().watch(id, after=after)
        yield await anext(stream)
        raise ConnectionFailed("the connection broke", sent=True)


class Relisting(LocalBackend):
    """A backend that cannot resume a stream."""

    capabilities = Capabilities(stream_resume="none")


@pytest.mark.covers("langgraph:agent-node:polling")
@pytest.mark.parametrize("kind", [Broken, Relisting])
async def test_where_streams_break_the_run_is_looked_at_until_it_ends(kind: type[LocalBackend]) -> None:
    """No step is lost, none is shown twice, and the pauses grow."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    async with kind() as backend:
        node = managed_agent_node(AGENT, backend=backend, environment=SOURCE, sleep=sleep)
        shown = [part async for part in graph_of(node).astream(asked(), stream_mode="custom")]
        steps = [part["step"] for part in shown if part["type"] == "step"]
        stored = await backend.get(shown[0]["interaction_id"])
        assert steps == [step.to_wire() for step in stored.steps or []]
    assert slept
    assert slept == [min(2.0 ** min(count, 9), 15.0) for count in range(len(slept))]


class Fileless(LocalBackend):
    """A backend whose list of files cannot be had."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.files = self  # type: ignore[assignment]

    async def list(self, environment_id: str, path: str = "", *, recursive: bool = False) -> AsyncIterator[Any]:
        raise NotFound("gone", status=404)
        yield


@pytest.mark.covers("langgraph:agent-node:files")
async def test_files_that_cannot_be_listed_do_not_cost_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    """The entry says why they are missing."""
    async with Fileless() as backend:
        with caplog.at_level(logging.WARNING, "bridge.langgraph"):
            state = await graph_of(managed_agent_node(AGENT, backend=backend, environment=SOURCE)).ainvoke(asked())
    entry = state["interactions"][AGENT]
    assert entry["files"] == []
    assert "gone" in entry["files_error"]
    assert state["messages"][-1].content
    assert "gone" in caplog.text


@pytest.mark.covers("langgraph:agent-node:files")
async def test_a_long_list_of_files_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """State stays small."""
    monkeypatch.setattr(module, "MAX_FILES", 1)
    async with LocalBackend() as backend:
        state = await graph_of(managed_agent_node(AGENT, backend=backend, environment=SOURCE)).ainvoke(asked())
    assert len(state["interactions"][AGENT]["files"]) == 1
    assert state["interactions"][AGENT]["more_files"] is True


@pytest.mark.covers("langgraph:agent-node:errors")
async def test_an_error_while_waiting_names_the_interaction() -> None:
    """So that what goes on at the service can be found."""

    class Gone(Relisting):
        async def get(self, id: str, *, include_input: bool = False) -> Interaction:
            raise NotFound("gone", status=404)

    async with Gone(responder=Slow()) as backend:
        with pytest.raises(NotFound) as failure:
            await graph_of(managed_agent_node(AGENT, backend=backend, name="analyst")).ainvoke(asked())
    assert any(note.startswith("while analyst waited for interaction v1_") for note in failure.value.__notes__)


@pytest.mark.covers("langgraph:agent-node:setup")
@pytest.mark.parametrize("settings", [{"deadline": 0}, {"deadline": -1}, {"on_abandon": "forget"}])
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    """When the node is made, not when it runs."""
    with pytest.raises(InvalidRequest):
        managed_agent_node(AGENT, backend=LocalBackend(), **settings)


@pytest.mark.covers("langgraph:agent-node:setup")
@pytest.mark.parametrize(("missing", "named"), [({"agents": False}, "agents"), ({"background": False}, "background")])
def test_a_backend_that_cannot_is_refused_by_capability(missing: dict[str, bool], named: str) -> None:
    """Nothing is silently done otherwise."""
    backend = LocalBackend()
    backend.capabilities = Capabilities(**missing)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedCapability, match=named):
        managed_agent_node(AGENT, backend=backend)


@pytest.mark.covers("langgraph:state")
def test_the_latest_interaction_of_each_name_is_kept() -> None:
    """What other nodes left stays."""
    assert merge_interactions({"a": {"id": "1"}, "b": {"id": "2"}}, {"a": {"id": "3"}}) == {
        "a": {"id": "3"},
        "b": {"id": "2"},
    }
    assert merge_interactions(None, {"a": {"id": "1"}}) == {"a": {"id": "1"}}
    assert merge_interactions({"a": {"id": "1"}}, None) == {"a": {"id": "1"}}
