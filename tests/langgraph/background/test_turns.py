"""`interactions_node` over several turns: parked, followed up, with tools and approvals, in environments, continued by the service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from bridge.backends.local import LocalBackend, ScriptedResponder
from bridge.errors import DeadlineExceeded, InteractionFailed, InvalidRequest, PermissionDenied
from bridge.jobs import JobStore
from bridge.langgraph import Sweeper, interactions_node, wake
from bridge.langgraph.background.acting import GO_AHEAD
from tests.backends.local.service import call, function, text
from tests.langgraph.conftest import Recording, Service

from .working import AGENT, MODEL, RESEARCH, Faulty, Graph, Slow, asked, ended, graph_of, on

SLOWLY = {"local-delay-ms": "150"}  # so that it runs still when the thread looks at it


def parking(service: Service, jobs: JobStore, **settings: Any) -> Graph:
    """A graph of a node that parks, with a checkpointer of its own."""
    settings = {"model": MODEL, "name": "work", "labels": SLOWLY, **settings}
    return graph_of(interactions_node(backend=service.backend, jobs=jobs, **settings), checkpointer=InMemorySaver())


def awaiting(service: Service, jobs: JobStore, **settings: Any) -> Graph:
    """The same, of a node that waits in its run."""
    return parking(service, jobs, **{"wait": "await", "labels": {}, **settings})


def scripted(*scripts: Any, data: Path | None = None) -> Service:
    """A service in this process that answers what it is told, one script for each turn."""
    local = LocalBackend(data, responder=ScriptedResponder(scripts), test_controls=True)
    sent: list[dict[str, Any]] = []
    return Service(Recording(local, sent), local, sent)


def parked_at(state: Any) -> dict[str, Any]:
    """The value of the one interrupt that a state was left with."""
    (interrupt,) = state["__interrupt__"]
    value: dict[str, Any] = interrupt.value
    return value


@pytest.mark.covers("langgraph:node:parked")
async def test_a_thread_is_parked_and_resumed(service: Service, jobs: JobStore) -> None:
    """Its interrupt is a plain dict; nothing is said before the wake-up, and one start was paid."""
    graph = parking(service, jobs)
    state = await graph.ainvoke(asked("hello"), on("1"))
    value = parked_at(state)
    assert value == {
        "type": "interaction",
        "interaction_id": value["interaction_id"],
        "name": "work",
        "status": "in_progress",
    }
    assert [message.type for message in state["messages"]] == ["human"]
    await ended(service.local, value["interaction_id"])
    assert await wake(graph, jobs, value["interaction_id"]) == "resumed"
    state = (await graph.aget_state(on("1"))).values
    assert state["messages"][-1].id == value["interaction_id"]
    assert state["interactions"]["work"]["status"] == "completed"
    assert len(service.sent) == 1
    (job,) = await jobs.list()
    assert (job.state, job.thread, job.interaction_id) == ("settled", "1", value["interaction_id"])


@pytest.mark.covers("langgraph:node:parked")
async def test_a_parked_thread_that_somebody_resumes_early_parks_again(jobs: JobStore) -> None:
    """A wake-up is a hint: what the service says counts."""
    slow = Slow()
    local = LocalBackend(responder=slow)
    service = Service(local, local)
    async with local:
        graph = parking(service, jobs)
        value = parked_at(await graph.ainvoke(asked(), on("1")))
        for _ in range(3):
            state = await graph.ainvoke(Command(resume="done"), on("1"))
            assert parked_at(state)["interaction_id"] == value["interaction_id"]
        assert len(await jobs.list()) == 1


@pytest.mark.covers("langgraph:node:follow-up")
@pytest.mark.parametrize("target", ["model", "agent"])
async def test_later_turns_send_only_what_is_new(service: Service, jobs: JobStore, target: str) -> None:
    """Each names the one before it as its parent."""
    graph = awaiting(service, jobs, **({"model": MODEL} if target == "model" else {"model": None, "agent": AGENT}))
    ids = []
    for words in ("first words", "second words", "third words"):
        state = await graph.ainvoke(asked(words), on("1"))
        ids.append(state["interactions"]["work"]["id"])
    assert [request.get("previous_interaction_id") for request in service.sent] == [None, *ids[:2]]
    assert service.texts() == [["first words"], ["second words"], ["third words"]]


@pytest.mark.covers("langgraph:node:follow-up")
async def test_a_parent_that_is_gone_is_one_replay(service: Service, jobs: JobStore) -> None:
    """The whole conversation as a new chain, once; the turn after that follows it."""
    graph = awaiting(service, jobs)
    state = await graph.ainvoke(asked("first words"), on("1"))
    await service.local.delete(state["interactions"]["work"]["id"])
    await graph.ainvoke(asked("second words"), on("1"))
    refused, replay = service.sent[1:]
    assert refused["previous_interaction_id"] == state["interactions"]["work"]["id"]
    assert "previous_interaction_id" not in replay
    assert [words for words in service.texts()[2] if words.endswith("words")] == ["first words", "second words"]
    assert refused["labels"] == replay["labels"]
    await graph.ainvoke(asked("third words"), on("1"))
    assert service.texts()[3] == ["third words"]
    assert len(await jobs.list()) == 3


@pytest.mark.covers("langgraph:node:root")
async def test_a_graph_that_is_the_node_alone_keeps_a_conversation(
    service: Service, jobs: JobStore, tmp_path: Path
) -> None:
    """Compiled by itself, with a checkpointer given by its caller."""
    node = interactions_node(model=MODEL, backend=service.backend, jobs=jobs, name="work", labels=SLOWLY)
    node.checkpointer = InMemorySaver()
    for turn in ("first words", "second words"):
        value = parked_at(await node.ainvoke(asked(turn), on("1")))
        await ended(service.local, value["interaction_id"])
        assert await wake(node, jobs, value["interaction_id"]) == "resumed"
    assert service.texts() == [["first words"], ["second words"]]
    assert [job.state for job in await jobs.list()] == ["settled", "settled"]


@pytest.mark.covers("langgraph:node:root")
async def test_a_turn_that_failed_leaves_nothing_to_the_next(jobs: JobStore) -> None:
    """Neither the token of a continuation nor a job in the place of the input."""
    from bridge.backends.local.responders import Ending

    service = scripted(
        [text("One"), Ending(status="requires_continuation")], Ending(status="failed"), [text("Two")], [text("Three")]
    )
    async with service.local:
        node = interactions_node(
            model=MODEL,
            backend=service.backend,
            jobs=jobs,
            wait="await",
            input=lambda state: f"Say {len(state['messages'])}",
        )
        node.checkpointer = InMemorySaver()
        with pytest.raises(InteractionFailed):
            await node.ainvoke(asked("a"), on("1"))
        state = await node.ainvoke(asked("b"), on("1"))
        assert state["messages"][-1].text == "Two"
        assert "continuation_token" not in service.sent[2]
        assert service.sent[2]["input"] == "Say 2"


@pytest.mark.covers("langgraph:node:root")
async def test_new_words_on_a_parked_thread_give_up_what_it_waited_for(jobs: JobStore) -> None:
    """Nobody waits for it any more."""
    slow = Slow()
    async with LocalBackend(responder=slow) as local:
        node = interactions_node(model=MODEL, backend=local, jobs=jobs)
        node.checkpointer = InMemorySaver()
        first = parked_at(await node.ainvoke(asked("a"), on("1")))["interaction_id"]
        second = parked_at(await node.ainvoke(asked("b"), on("1")))["interaction_id"]
        assert first != second
        assert (await local.get(first)).status == "cancelled"
        latest, earlier = await jobs.list()
        assert (earlier.state, earlier.verdict) == ("settled", "abandoned")
        assert (latest.state, latest.interaction_id) == ("running", second)


class Weather:
    """Tools that count their runs."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.broken = {"Rome"}

    @property
    def tools(self) -> list[Any]:
        @tool
        async def weather(city: str) -> str:
            """The weather of a city."""
            self.runs.append(city)
            if city in self.broken:
                raise ValueError(f"no station in {city}")
            return f"sun in {city}"

        return [weather]


CALLS = [call("weather", "call0001", city="Oslo"), call("weather", "call0002", city="Rome")]


@pytest.mark.covers("langgraph:node:tools")
@pytest.mark.parametrize("wait", ["await", "interrupt"])
async def test_calls_are_run_each_by_itself_and_answered_together(jobs: JobStore, wait: Any) -> None:
    """A tool's error is its answer; the next interaction follows the one that asked and sends the results alone."""
    weather = Weather()
    service = scripted(CALLS, [text("Sun and nothing.")])
    async with service.local:
        graph = parking(service, jobs, wait=wait, tools=weather.tools)
        state = await graph.ainvoke(asked(), on("1"))
        for _ in range(2 if wait == "interrupt" else 0):
            waited = parked_at(state)["interaction_id"]
            await ended(service.local, waited)
            assert await wake(graph, jobs, waited) == "resumed"
            snapshot = await graph.aget_state(on("1"))
            state = {**snapshot.values, "__interrupt__": snapshot.interrupts}
        assert state["messages"][-1].text == "Sun and nothing."
        assert sorted(weather.runs) == ["Oslo", "Rome"]
        first, second = service.sent
        assert second["previous_interaction_id"] == (await jobs.list())[1].interaction_id
        assert [step["type"] for step in second["input"]] == ["function_result", "function_result"]
        assert {step["call_id"]: bool(step.get("is_error")) for step in second["input"]} == {
            "call0001": False,
            "call0002": True,
        }
        assert "no station in Rome" in str(second["input"])
        assert first["tools"] == second["tools"]
        answers = [message for message in state["messages"] if isinstance(message, ToolMessage)]
        assert {message.tool_call_id for message in answers} == {"call0001", "call0002"}
        assert [job.state for job in await jobs.list()][1] == "settled"


@pytest.mark.covers("langgraph:node:tools")
async def test_a_call_that_was_run_is_not_run_again_because_of_another(jobs: JobStore) -> None:
    """One waits for a human in the tool itself: its siblings have their results on disk."""
    from langgraph.types import interrupt

    runs: list[str] = []

    @tool
    async def weather(city: str) -> str:
        """The weather of a city."""
        runs.append(city)
        return str(interrupt({"ask": city})) if city == "Rome" else f"sun in {city}"

    service = scripted(CALLS, [text("Done.")])
    async with service.local:
        graph = awaiting(service, jobs, tools=[weather])
        state = await graph.ainvoke(asked(), on("1"))
        assert parked_at(state) == {"ask": "Rome"}
        state = await graph.ainvoke(Command(resume="rain in Rome"), on("1"))
        assert state["messages"][-1].text == "Done."
        assert sorted(runs) == ["Oslo", "Rome", "Rome"]
        assert "rain in Rome" in str(service.sent[1]["input"])
        assert len(service.sent) == 2


@pytest.mark.covers("langgraph:node:tools")
async def test_a_tool_may_answer_with_a_command(jobs: JobStore) -> None:
    """As in any graph of LangGraph's."""

    @tool
    async def weather(city: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> Any:
        """The weather of a city."""
        return Command(update={"messages": [ToolMessage(f"fog in {city}", tool_call_id=tool_call_id)]})

    service = scripted(CALLS[:1], [text("Fog.")])
    async with service.local:
        state = await awaiting(service, jobs, tools=[weather]).ainvoke(asked(), on("1"))
    assert state["messages"][-1].text == "Fog."
    assert "fog in Oslo" in str(service.sent[1]["input"])


@pytest.mark.covers("langgraph:node:tools")
async def test_a_call_of_a_tool_that_is_not_held_is_an_error_that_names_it(jobs: JobStore) -> None:
    """Before any call is run or asked about: a schema alone cannot be run."""
    weather = Weather()
    service = scripted([CALLS[0], call("ask_boss", "call0003")])
    async with service.local:
        graph = awaiting(service, jobs, tools=[*weather.tools, function("ask_boss")], approve=True)
        with pytest.raises(InteractionFailed, match=r"ask_boss.*holds weather.*tools="):
            await graph.ainvoke(asked(), on("1"))
    assert weather.runs == []


@pytest.mark.covers("langgraph:node:tools", "langgraph:node:sync")
def test_tools_are_run_without_an_event_loop(jobs: JobStore) -> None:
    """By the same node."""
    from bridge.connect import sync_backend

    @tool
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"sun in {city}"

    service = scripted(CALLS, [text("Sun.")])
    graph = parking(service, jobs, wait="await", tools=[weather])
    state = graph.invoke(asked(), on("1"))
    assert state["messages"][-1].text == "Sun."
    sync_backend(service.local).close()


ALLOWED = [("call0001", "Oslo", False), ("call0002", "Rome", False)]


@pytest.mark.covers("langgraph:node:approve-calls")
@pytest.mark.parametrize(
    ("word", "runs", "answers"),
    [
        (True, ["Oslo", "Rome"], ["sun in Oslo", "sun in Rome"]),
        (False, [], ["did not allow", "did not allow"]),
        ("Too costly.", [], ["Too costly.", "Too costly."]),
        ({"call0001": {"city": "Bern"}, "call0002": "Not there."}, ["Bern"], ["sun in Bern", "Not there."]),
        ({"call0001": False, "call0002": True}, ["Rome"], ["did not allow", "sun in Rome"]),
    ],
)
async def test_a_human_s_word_about_calls(jobs: JobStore, word: Any, runs: list[str], answers: list[str]) -> None:
    """The interrupt shows them; a call that is refused is answered with why, and the agent goes on."""
    weather = Weather()
    weather.broken = set()
    service = scripted(CALLS, [text("Done.")])
    async with service.local:
        graph = awaiting(service, jobs, tools=weather.tools, approve="calls")
        value = parked_at(await graph.ainvoke(asked(), on("1")))
        assert value["type"] == "approval"
        assert value["name"] == "work"
        assert [(row["id"], row["name"], row["args"]) for row in value["calls"]] == [
            ("call0001", "weather", {"city": "Oslo"}),
            ("call0002", "weather", {"city": "Rome"}),
        ]
        assert weather.runs == []
        state = await graph.ainvoke(Command(resume=word), on("1"))
        assert state["messages"][-1].text == "Done."
    assert sorted(weather.runs) == runs
    results = {step["call_id"]: str(step["result"]) for step in service.sent[1]["input"]}
    for place, answer in zip(("call0001", "call0002"), answers, strict=True):
        assert answer in results[place]
    assert len(service.sent) == 2


@pytest.mark.covers("langgraph:node:approve-calls", "langgraph:wake:hint")
async def test_a_thread_that_waits_for_a_human_is_left_alone_by_the_sweeper(jobs: JobStore) -> None:
    """Nothing of it is run again; the human's word still leads on."""
    weather = Weather()
    weather.broken = set()
    service = scripted(CALLS, [text("Done.")])
    async with service.local:
        graph = awaiting(service, jobs, tools=weather.tools, approve="calls")
        await graph.ainvoke(asked(), on("1"))
        before = await graph.aget_state(on("1"))
        (job,) = await jobs.list()
        await jobs.note(job.token, due=0.0, busy=0.0)
        assert await Sweeper(graph, jobs, backend=service.backend).run_once() == {"settled": 1}
        assert (await graph.aget_state(on("1"))).config == before.config
        assert (await graph.aget_state(on("1"))).metadata == before.metadata
        assert (await graph.ainvoke(Command(resume=True), on("1")))["messages"][-1].text == "Done."
    assert len(service.sent) == 2


@pytest.mark.covers("langgraph:node:approve-calls")
@pytest.mark.parametrize(
    ("word", "named"),
    [
        ({"call0001": True}, "call0002"),
        ({"call0001": True, "call0002": 3}, "call0002"),
        (None, "call0001"),
        (7, "call0001"),
    ],
)
async def test_a_word_that_leads_nowhere_is_asked_for_again(jobs: JobStore, word: Any, named: str) -> None:
    """With what was wrong about it, at no cost."""
    weather = Weather()
    service = scripted(CALLS, [text("Done.")])
    async with service.local:
        graph = awaiting(service, jobs, tools=weather.tools, approve=True)
        first = parked_at(await graph.ainvoke(asked(), on("1")))
        resume = {(await graph.aget_state(on("1"))).interrupts[0].id: word}
        again = parked_at(await graph.ainvoke(Command(resume=resume), on("1")))
        assert named in again.pop("error")
        assert again == first
        assert weather.runs == []
        state = await graph.ainvoke(Command(resume=False), on("1"))
        assert state["messages"][-1].text == "Done."


@pytest.mark.covers("langgraph:node:approve-plan")
async def test_a_plan_is_revised_until_it_is_approved_and_then_followed(service: Service, jobs: JobStore) -> None:
    """The service is told to plan together until the word, and not after it; each word is a turn of the same session."""
    graph = awaiting(service, jobs, model=None, agent=RESEARCH, approve="plan")
    value = parked_at(await graph.ainvoke(asked("How do tides work?"), on("1")))
    assert value["type"] == "approval"
    assert value["plan"]
    assert "calls" not in value
    bad = parked_at(await graph.ainvoke(Command(resume=" "), on("1")))
    assert "True" in bad["error"]
    second = parked_at(await graph.ainvoke(Command(resume="Leave out the moon."), on("1")))
    assert second["interaction_id"] != value["interaction_id"]
    state = await graph.ainvoke(Command(resume=True), on("1"))
    assert "__interrupt__" not in state
    assert [request["agent_config"]["collaborative_planning"] for request in service.sent] == [True, True, False]
    assert all(request["agent_config"]["type"] == "deep-research" for request in service.sent)
    assert service.texts() == [["How do tides work?"], ["Leave out the moon."], [GO_AHEAD]]
    assert service.sent[2]["previous_interaction_id"] == second["interaction_id"]
    # The next question is planned again.
    again = parked_at(await graph.ainvoke(asked("And the wind?"), on("1")))
    assert again["plan"]
    assert service.sent[3]["agent_config"]["collaborative_planning"] is True


@pytest.mark.covers("langgraph:node:budget")
@pytest.mark.parametrize("budget", [{"tokens": 50_000}, {"usd": 0.5}])
async def test_a_budget_holds_over_all_interactions_of_a_turn(jobs: JobStore, budget: dict[str, Any]) -> None:
    """What the first one used is left out of the limit that the next one gets; where nothing is left nothing is started."""
    weather = Weather()
    weather.broken = set()
    service = scripted(CALLS, [text("Done.")])
    priced = {"model": None, "agent": AGENT, "agent_config": {"model": "gemini-3.8-flash"}, "environment": "remote"}
    async with service.local:
        graph = awaiting(service, jobs, tools=weather.tools, budget=budget, **priced)
        await graph.ainvoke(asked(), on("1"))
        first, second = (request["agent_config"]["max_total_tokens"] for request in service.sent)
        used = (await jobs.list())[-1].usage or {}
        assert 0 < used["total_tokens"] < 5_000
        assert 0 < first - second <= used["total_tokens"]
        if "tokens" in budget:
            assert first - second == used["total_tokens"]


@pytest.mark.covers("langgraph:node:budget")
async def test_a_turn_that_has_used_up_its_budget_does_not_go_on(jobs: JobStore) -> None:
    """Where the service keeps no limit itself, what was used is known at an interaction's end; then nothing more is paid for."""
    weather = Weather()
    weather.broken = set()
    service = scripted(CALLS, [text("Done.")])
    async with service.local:
        await service.local.agents.create(id="codemender-mine", base_agent=AGENT)
        graph = awaiting(
            service,
            jobs,
            model=None,
            agent="codemender-mine",
            tools=weather.tools,
            budget={"tokens": 1, "observe": True},
        )
        with pytest.raises(DeadlineExceeded, match="used up its budget of tokens"):
            await graph.ainvoke(asked(), on("1"))
        assert len(service.sent) == 1


@pytest.mark.covers("langgraph:node:environment")
async def test_without_an_environment_none_is_asked_for(service: Service, jobs: JobStore) -> None:
    """It is the default."""
    for settings in ({}, {"environment": "none"}, {"environment": lambda state: None}):
        await awaiting(service, jobs, model=None, agent=AGENT, **settings).ainvoke(asked("hello"), on("1"))
    assert all("environment" not in request for request in service.sent)


@pytest.mark.covers("langgraph:node:environment")
async def test_a_named_environment_is_used_as_it_is(service: Service, jobs: JobStore) -> None:
    """An id, or what a callable makes of the state."""
    environment = (await service.local.environments.create()).id
    graph = awaiting(service, jobs, model=None, agent=AGENT, environment=lambda state: environment)
    state = await graph.ainvoke(asked("hello"), on("1"))
    assert service.sent[0]["environment"] == environment
    assert state["interactions"]["work"]["environment_id"] == environment


@pytest.mark.covers("langgraph:node:environment")
async def test_a_thread_keeps_its_environment_and_a_fork_gets_a_new_one(service: Service, jobs: JobStore) -> None:
    """Another thread has its own; "remote" is a new one each time."""
    graph = awaiting(service, jobs, model=None, agent=AGENT, environment="per_thread")
    first = (await graph.ainvoke(asked("one"), on("1")))["interactions"]["work"]["environment_id"]
    fork = (await graph.aget_state(on("1"))).config
    second = (await graph.ainvoke(asked("two"), on("1")))["interactions"]["work"]["environment_id"]
    assert first == second
    assert [request["environment"] for request in service.sent] == ["remote", first]
    forked = (await graph.ainvoke(asked("another two"), fork))["interactions"]["work"]["environment_id"]
    assert forked != first
    assert (await graph.ainvoke(asked("another three"), on("1")))["interactions"]["work"]["environment_id"] == forked
    assert (await graph.ainvoke(asked("one"), on("2")))["interactions"]["work"]["environment_id"] not in (first, forked)
    remote = awaiting(service, jobs, model=None, agent=AGENT, environment="remote")
    ids = [(await remote.ainvoke(asked(words), on("3")))["interactions"]["work"]["environment_id"] for words in "ab"]
    assert len({*ids}) == 2


@pytest.mark.covers("langgraph:node:continuation")
@pytest.mark.parametrize("background", [True, False])
async def test_a_turn_that_is_continued_is_one_message(service: Service, jobs: JobStore, background: bool) -> None:
    """The next hop carries the token and no input; what comes after follows the last hop."""
    graph = awaiting(
        service,
        jobs,
        model=None,
        agent=AGENT,
        background=background,
        labels={"local-status": "requires_continuation"},
    )
    state = await graph.ainvoke(asked("How do tides work?"), on("1"))
    first, second = service.sent
    assert second["continuation_token"]
    assert "input" not in second
    assert (first.get("background"), second.get("background")) == ((True, True) if background else (None, None))
    (answer,) = [message for message in state["messages"] if isinstance(message, AIMessage)]
    assert answer.id == state["interactions"]["work"]["id"] != second["previous_interaction_id"]
    assert state["interactions"]["work"]["status"] == "completed"
    hops = [await service.local.get(str(hop)) for hop in (second["previous_interaction_id"], answer.id)]
    assert answer.text == "".join(interaction.output_text or "" for interaction in hops)
    service.sent.clear()
    await graph.ainvoke(asked("And storms?"), on("1"))
    assert service.sent[0]["previous_interaction_id"] == answer.id
    assert service.texts()[0] == ["And storms?"]


@pytest.mark.covers("langgraph:node:follow-up")
async def test_an_edited_conversation_is_told_anew(service: Service, jobs: JobStore) -> None:
    """A digest that does not match is no parent."""
    graph = awaiting(service, jobs)
    state = await graph.ainvoke(asked("first words"), on("1"))
    await graph.aupdate_state(on("1"), {"messages": [RemoveMessage(id=state["messages"][0].id)]})
    await graph.ainvoke({"messages": [HumanMessage("second words")]}, on("1"))
    assert "previous_interaction_id" not in service.sent[1]


@pytest.mark.covers("langgraph:node:parked")
async def test_an_in_memory_checkpointer_is_said_to_be_one_once(
    jobs: JobStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its threads are gone with the process; a graph that writes at its end only is refused before anything is paid."""
    from bridge.langgraph.background import places

    monkeypatch.setattr(places, "_warned", False)
    service = scripted([text("a")], [text("b")])
    async with service.local:
        graph = awaiting(service, jobs)
        await graph.ainvoke(asked(), on("1"))
        await graph.ainvoke(asked(), on("2"))
        assert sum("in memory" in record.message for record in caplog.records) == 1
        with pytest.raises(InvalidRequest, match="durability"):
            await graph.ainvoke(asked(), on("3"), durability="exit")
    assert len(service.sent) == 2


@pytest.mark.covers("langgraph:node:follow-up")
@pytest.mark.parametrize("gone", [True, False])
async def test_a_refusal_that_may_mean_a_lost_parent_is_looked_into(jobs: JobStore, gone: bool) -> None:
    """Where the parent is there, the refusal is of something else: it is raised, and leaves no row."""
    async with Faulty() as local:
        service = Service(local, local)
        graph = awaiting(service, jobs)
        state = await graph.ainvoke(asked("first words"), on("1"))
        if gone:
            await local.delete(state["interactions"]["work"]["id"])
        local.faults["create"] = [PermissionDenied("not yours", status=403)]
        if gone:
            state = await graph.ainvoke(asked("second words"), on("1"))
            assert state["interactions"]["work"]["status"] == "completed"
            assert len(await jobs.list()) == 2
        else:
            with pytest.raises(PermissionDenied):
                await graph.ainvoke(asked("second words"), on("1"))
            assert len(await jobs.list()) == 1
