"""`interactions_node`, followed in its run: what it leaves, what it shows, and what becomes of it when the graph's run ends early."""

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
from bridge.jobs import JobStore, looking, tasks
from bridge.langgraph import InteractionsState, interactions_node
from bridge.langgraph.background import files
from bridge.langgraph.state import merge_interactions
from tests.langgraph.conftest import Service

from .working import AGENT, CSV, SOURCE, Faulty, Slow, asked, graph_of


def node_of(backend: Any, jobs: JobStore, **settings: Any) -> Any:
    """A node that is followed in its run."""
    return interactions_node(agent=AGENT, backend=backend, jobs=jobs, wait="await", **settings)


async def shown_by(graph: Any) -> list[Any]:
    """What a run tells the custom stream."""
    return [part async for _, part in graph.astream(asked(), stream_mode="custom", subgraphs=True)]


@pytest.mark.covers("langgraph:node:result")
@pytest.mark.parametrize("background", [True, False])
async def test_a_run_leaves_text_environment_files_and_usage(
    service: Service, background: bool, jobs: JobStore
) -> None:
    """As plain data beside a message of the node's own."""
    node = node_of(service.backend, jobs, name="analyst", environment=SOURCE, background=background)
    state = await graph_of(node, checkpointer=InMemorySaver()).ainvoke(asked(), {"configurable": {"thread_id": "1"}})
    message, entry = state["messages"][-1], state["interactions"]["analyst"]
    assert isinstance(message, AIMessage)
    assert "Oslo" in message.content
    assert message.name == "analyst"
    assert message.id == message.response_metadata["id"] == entry["id"]
    assert entry["status"] == "completed"
    assert entry["environment_id"] == message.response_metadata["environment_id"]
    assert entry["usage"]["total_tokens"] > 0
    sizes = {file["path"]: file["size_bytes"] for file in entry["files"]}
    assert sizes["workspace/sales.csv"] == len(CSV)
    assert {"workspace/summary.csv", "workspace/report.md"} <= sizes.keys()
    assert json.loads(json.dumps(state["interactions"])) == state["interactions"]
    stored = await service.backend.get(entry["id"])
    assert stored.agent == AGENT
    assert (service.sent[0].get("background") is True) == background


@pytest.mark.covers("langgraph:node:live")
@pytest.mark.parametrize("background", [True, False])
async def test_every_step_is_shown_once_and_in_order(service: Service, background: bool, jobs: JobStore) -> None:
    """On the graph's custom stream: that it began, each step when it is done, that it ended."""
    node = node_of(service.backend, jobs, name="analyst", environment=SOURCE, background=background)
    shown = await shown_by(graph_of(node))
    assert [part["type"] for part in (shown[0], shown[-1])] == ["interaction", "interaction"]
    assert (shown[0]["status"], shown[-1]["status"]) == ("in_progress", "completed")
    began = shown[0]["interaction_id"]
    assert all((part["name"], part["interaction_id"]) == ("analyst", began) for part in shown)
    stored = await service.backend.get(began)
    steps = shown[1:-1]
    assert [part["step"] for part in steps] == [step.to_wire() for step in stored.steps or []]
    assert [part["index"] for part in steps] == list(range(len(steps)))
    assert {"code_execution_call", "code_execution_result", "model_output"} <= {part["step"]["type"] for part in steps}


@pytest.mark.covers("langgraph:node:live")
async def test_a_step_is_shown_while_the_run_goes_on(jobs: JobStore) -> None:
    """Not at its end."""
    slow = Slow()
    async with LocalBackend(responder=slow) as backend:
        graph = graph_of(node_of(backend, jobs))
        stream: Any = graph.astream(asked(), stream_mode="custom", subgraphs=True)
        parts = [(await anext(stream))[1], (await anext(stream))[1]]
        assert parts[1]["step"]["type"] == "thought"
        assert (await backend.get(parts[0]["interaction_id"])).status == "in_progress"
        await stream.aclose()


@pytest.mark.covers("langgraph:node:sync")
def test_it_runs_without_an_event_loop(service_in_thread: Service, jobs: JobStore) -> None:
    """The same node in a plain `invoke` and a plain `stream`."""
    graph = graph_of(node_of(service_in_thread.backend, jobs, environment=SOURCE))
    state = graph.invoke(asked())
    assert "Oslo" in state["messages"][-1].content
    stream: Any = graph.stream(asked(), stream_mode="custom", subgraphs=True)
    shown = [part for _, part in stream]
    assert [part["type"] for part in (shown[0], shown[1], shown[-1])] == ["interaction", "step", "interaction"]


@pytest.mark.covers("langgraph:node:alone")
async def test_it_runs_outside_of_a_graph(service: Service, jobs: JobStore) -> None:
    """As a runnable like any other; then nobody listens to its steps."""
    state = await node_of(service.backend, jobs, environment=SOURCE).ainvoke(asked())
    assert "Oslo" in state["messages"][-1].content


@pytest.mark.covers("langgraph:node:input")
async def test_its_input_is_the_conversation_or_what_a_callable_makes_of_the_state(
    service: Service, jobs: JobStore
) -> None:
    """System messages instruct it, what models said is quoted; an environment may come from the state too."""
    messages = [SystemMessage("Be brief."), HumanMessage("hello"), AIMessage("I am another.", name="other")]
    await graph_of(node_of(service.backend, jobs, labels={"team": "a"})).ainvoke({"messages": messages})
    assert service.sent[0]["system_instruction"] == "Be brief."
    assert service.sent[0]["labels"].items() >= {"team": "a"}.items()
    assert [step["type"] for step in service.sent[0]["input"]] == ["user_input", "user_input"]
    assert "[Quoted: other" in service.texts()[0][1]
    node = node_of(
        service.backend,
        jobs,
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


@pytest.mark.covers("langgraph:node:session")
async def test_a_session_is_told_the_agents_answer_once_as_a_quotation(service: Service, jobs: JobStore) -> None:
    """A chat model before and after the agent sends only what is new."""
    model = service.chat()

    async def talk(state: InteractionsState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    node = node_of(service.backend, jobs, name="analyst", environment=SOURCE)
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


@pytest.mark.covers("langgraph:node:status")
@pytest.mark.parametrize("status", ["incomplete", "budget_exceeded"])
async def test_a_partial_run_gives_what_there_is(service: Service, status: str, jobs: JobStore) -> None:
    """With its status."""
    node = node_of(service.backend, jobs, environment=SOURCE, labels={"local-status": status})
    state = await graph_of(node).ainvoke(asked())
    assert state["interactions"][AGENT]["status"] == status
    assert state["messages"][-1].content


@pytest.mark.covers("langgraph:node:status")
@pytest.mark.parametrize("status", ["failed", "cancelled", "requires_action"])
@pytest.mark.parametrize("background", [True, False])
async def test_a_run_without_an_answer_raises_with_its_id(
    service: Service, status: str, background: bool, jobs: JobStore
) -> None:
    """Failed, cancelled by somebody, or waiting for somebody to act."""
    node = node_of(service.backend, jobs, environment=SOURCE, labels={"local-status": status}, background=background)
    with pytest.raises(InteractionFailed, match=status) as failure:
        await graph_of(node).ainvoke(asked())
    assert failure.value.interaction.id in str(failure.value)


@pytest.mark.covers("langgraph:node:status")
async def test_an_agent_that_wants_a_function_called_is_told_of_by_name(jobs: JobStore) -> None:
    """This node has nobody to call it."""
    call = {"type": "function_call", "id": "k", "name": "ask_boss", "arguments": {}}
    async with LocalBackend(responder=ScriptedResponder([[call]])) as backend:
        node = node_of(backend, jobs, tools=[{"type": "function", "name": "ask_boss"}])
        with pytest.raises(InteractionFailed, match="ask_boss"):
            await graph_of(node).ainvoke(asked())


@pytest.mark.covers("langgraph:node:abandoned")
@pytest.mark.parametrize(("on_abandon", "status"), [("cancel", "cancelled"), ("detach", "in_progress")])
async def test_a_cancelled_graph_run_cancels_the_interaction_or_lets_it_go_on(
    on_abandon: Any, status: str, jobs: JobStore
) -> None:
    """As the node was told; when the graph's run is over, so is the interaction."""
    slow = Slow()
    async with LocalBackend(responder=slow) as backend:
        graph = graph_of(node_of(backend, jobs, on_abandon=on_abandon))
        ids: list[str] = []

        async def follow() -> None:
            stream: Any = graph.astream(asked(), stream_mode="custom", subgraphs=True)
            async for _, part in stream:
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


@pytest.mark.covers("langgraph:node:abandoned")
async def test_a_start_whose_answer_is_still_under_way_is_cancelled_too(jobs: JobStore) -> None:
    """What was paid for gets an id before it is given up."""
    async with Late(responder=Slow()) as backend:
        run = asyncio.create_task(graph_of(node_of(backend, jobs)).ainvoke(asked()))
        await backend.asked.wait()
        run.cancel()
        asyncio.get_running_loop().call_soon(backend.let.set)
        with pytest.raises(asyncio.CancelledError):
            await run
        assert (await backend.get(backend.made[0].id)).status == "cancelled"
        (job,) = await jobs.list()
        assert (job.verdict, job.ended is not None) == ("abandoned", True)


@pytest.mark.covers("langgraph:node:abandoned")
async def test_a_cancel_that_gets_no_answer_is_given_up_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, jobs: JobStore
) -> None:
    """The wait is bounded, and the log names what may still run."""
    monkeypatch.setattr(tasks, "WITHIN", 0.01)
    async with Late(responder=Slow()) as backend:
        run = asyncio.create_task(graph_of(node_of(backend, jobs)).ainvoke(asked()))
        await backend.asked.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert any("is still being started" in record.message for record in caplog.records)
        backend.let.set()
        await asyncio.gather(*tasks._work, return_exceptions=True)


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


@pytest.mark.covers("langgraph:node:abandoned")
async def test_that_it_stopped_is_verified(jobs: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancel that comes too late is none, and what is said to be stopped is asked for until it is."""
    slow = Slow()
    monkeypatch.setattr(looking, "_STOP_PAUSE", 0.0)
    async with Ending(responder=slow) as backend:
        run = asyncio.create_task(graph_of(node_of(backend, jobs)).ainvoke(asked()))
        await slow.began.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert backend.reads >= 3
        (job,) = await jobs.list()
        assert (job.verdict, job.status) == ("abandoned", "cancelled")


@pytest.mark.covers("langgraph:node:errors")
async def test_an_error_at_the_start_and_a_timeout_of_somebody_else_pass_as_they_are(jobs: JobStore) -> None:
    """Neither is a deadline of ours, and there is no interaction to name."""

    class Failing(LocalBackend):
        error: Exception = BadRequest("no", status=400)

        async def create(self, request: Any = None, /, **fields: Any) -> Interaction:
            raise self.error

    async with Failing() as backend:
        graph = graph_of(node_of(backend, jobs))
        with pytest.raises(BadRequest) as refusal:
            await graph.ainvoke(asked())
        assert not any("waited for interaction" in note for note in getattr(refusal.value, "__notes__", ()))
        backend.error = TimeoutError("theirs")
        with pytest.raises(TimeoutError, match="theirs"):
            await graph.ainvoke(asked())


@pytest.mark.covers("langgraph:node:deadline")
async def test_past_its_deadline_a_run_is_given_up_by_id(jobs: JobStore) -> None:
    """It is cancelled, and the error says so."""
    async with LocalBackend(responder=Slow()) as backend:
        with pytest.raises(DeadlineExceeded, match=r"deadline of 0\.2 s and was cancelled") as late:
            await graph_of(node_of(backend, jobs, deadline=0.2)).ainvoke(asked())
        assert late.value.interaction_id is not None
        assert (await backend.get(late.value.interaction_id)).status == "cancelled"


@pytest.mark.covers("langgraph:node:deadline")
async def test_a_run_that_cannot_be_cancelled_is_named_as_one_that_may_still_run(
    jobs: JobStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The service says that it does not know the interaction: in the error and in the log stands that it may still run."""
    monkeypatch.setattr(looking, "STOP_WITHIN", 0.05)
    gone = NotFound("not here", status=404)
    async with Faulty(responder=Slow()) as backend:
        backend.faults["cancel"] = [gone]
        with pytest.raises(DeadlineExceeded, match="could not be cancelled and may still run") as late:
            await graph_of(node_of(backend, jobs, deadline=0.2)).ainvoke(asked())
        assert f"{late.value.interaction_id} could not be cancelled and may still run" in caplog.text
        assert "not here" in caplog.text


class Broken(LocalBackend):
    """A backend whose streams of stored turns break off, and that can be asked for how things stand."""

    async def watch(self, id: str, *, after: str | None = None) -> AsyncIterator[Event]:
        stream = super().watch(id, after=after)
        yield await anext(stream)
        raise ConnectionFailed("the connection broke", sent=True)


class Relisting(LocalBackend):
    """A backend that cannot resume a stream."""

    capabilities = Capabilities(stream_resume="none")


@pytest.mark.covers("langgraph:node:polling")
@pytest.mark.parametrize("kind", [Broken, Relisting])
async def test_where_streams_break_the_run_is_looked_at_until_it_ends(
    kind: type[LocalBackend], jobs: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step is lost, none is shown twice."""
    monkeypatch.setattr(looking, "_FIRST_PAUSE", 0.01)
    async with kind() as backend:
        node = node_of(backend, jobs, environment=SOURCE)
        shown = await shown_by(graph_of(node))
        steps = [part["step"] for part in shown if part["type"] == "step"]
        stored = await backend.get(shown[0]["interaction_id"])
        assert steps == [step.to_wire() for step in stored.steps or []]


class Fileless(LocalBackend):
    """A backend whose list of files cannot be had."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.files = self  # type: ignore[assignment]

    async def list(self, environment_id: str, path: str = "", *, recursive: bool = False) -> AsyncIterator[Any]:
        raise NotFound("gone", status=404)
        yield


@pytest.mark.covers("langgraph:node:files")
async def test_files_that_cannot_be_listed_do_not_cost_the_answer(
    caplog: pytest.LogCaptureFixture, jobs: JobStore
) -> None:
    """The entry says why they are missing."""
    async with Fileless() as backend:
        with caplog.at_level(logging.WARNING, "bridge.langgraph"):
            state = await graph_of(node_of(backend, jobs, environment=SOURCE)).ainvoke(asked())
    entry = state["interactions"][AGENT]
    assert entry["files"] == []
    assert "gone" in entry["files_error"]
    assert state["messages"][-1].content
    assert "gone" in caplog.text


@pytest.mark.covers("langgraph:node:files")
async def test_a_long_list_of_files_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch, jobs: JobStore) -> None:
    """State stays small."""
    monkeypatch.setattr(files, "MAX_FILES", 1)
    async with LocalBackend() as backend:
        state = await graph_of(node_of(backend, jobs, environment=SOURCE)).ainvoke(asked())
    assert len(state["interactions"][AGENT]["files"]) == 1
    assert state["interactions"][AGENT]["more_files"] is True


@pytest.mark.covers("langgraph:node:errors")
async def test_an_error_while_waiting_names_the_interaction(jobs: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what goes on at the service can be found."""
    monkeypatch.setattr(looking, "_VISIBLE_WITHIN", 0.0)
    async with Faulty(responder=Slow()) as backend:
        backend.faults["get"] = [NotFound("gone", status=404)]
        with pytest.raises(NotFound, match="gone") as failure:
            await graph_of(node_of(backend, jobs, name="analyst")).ainvoke(asked())
    assert any(note.startswith("while analyst waited for interaction v1_") for note in failure.value.__notes__)


@pytest.mark.covers("langgraph:node:setup")
@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"agent": None}, "model"),
        ({"model": "gemini-3.8-flash"}, "model"),
        ({"deadline": 0}, "deadline"),
        ({"deadline": -1}, "deadline"),
        ({"stall_after": 0}, "stall_after"),
        ({"on_abandon": "forget"}, "on_abandon"),
        ({"wait": "poll"}, "wait"),
        ({"on_incomplete": "drop"}, "on_incomplete"),
        ({"on_unknown_start": "hope"}, "on_unknown_start"),
        ({"approve": "everything"}, "approve"),
        ({"approve": ["calls", "money"]}, "approve"),
        ({"budget": {"tokens": 0}}, "budget"),
        ({"budget": {"euros": 3}}, "budget"),
        ({"background": False, "wait": "interrupt"}, "background"),
        ({"background": False, "webhook": "https://example.com/hook"}, "background"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], field: str, jobs: JobStore) -> None:
    """When the node is made, not when it runs, with the name of the parameter."""
    with pytest.raises(InvalidRequest) as refusal:
        interactions_node(**{"agent": AGENT, "backend": LocalBackend(), "jobs": jobs, **settings})
    assert refusal.value.field == field


@pytest.mark.covers("langgraph:node:setup")
@pytest.mark.parametrize(("missing", "named"), [({"agents": False}, "agents"), ({"background": False}, "background")])
def test_a_backend_that_cannot_is_refused_by_capability(missing: dict[str, bool], named: str, jobs: JobStore) -> None:
    """Nothing is silently done otherwise."""
    backend = LocalBackend()
    backend.capabilities = Capabilities(**missing)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedCapability, match=named):
        node_of(backend, jobs)


@pytest.mark.covers("langgraph:node:setup")
async def test_a_node_that_parks_needs_a_checkpointer(jobs: JobStore) -> None:
    """Without one nothing could be woken; it is said before anything is paid."""
    async with Faulty() as backend:
        node = interactions_node(agent=AGENT, backend=backend, jobs=jobs, wait="interrupt")
        with pytest.raises(InvalidRequest, match="checkpointer"):
            await graph_of(node).ainvoke(asked())
        assert await jobs.list() == []


@pytest.mark.covers("langgraph:state")
def test_the_latest_interaction_of_each_name_is_kept() -> None:
    """What other nodes left stays."""
    assert merge_interactions({"a": {"id": "1"}, "b": {"id": "2"}}, {"a": {"id": "3"}}) == {
        "a": {"id": "3"},
        "b": {"id": "2"},
    }
    assert merge_interactions(None, {"a": {"id": "1"}}) == {"a": {"id": "1"}}
    assert merge_interactions({"a": {"id": "1"}}, None) == {"a": {"id": "1"}}


@pytest.mark.covers("langgraph:node:setup")
@pytest.mark.parametrize("approve", ["calls", "plan"])
async def test_a_node_that_asks_a_human_needs_a_checkpointer(jobs: JobStore, approve: Any) -> None:
    """Without one nobody could answer; it is said before anything is paid."""
    async with LocalBackend() as backend:
        with pytest.raises(InvalidRequest, match=r"approve.*checkpointer"):
            await graph_of(node_of(backend, jobs, approve=approve)).ainvoke(asked())
        assert await jobs.list() == []
