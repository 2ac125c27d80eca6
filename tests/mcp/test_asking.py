"""What a run waits for is asked of the person at the client, where the client shows forms; by every way there is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitResult, InputRequiredResult, InputResponses

from bridge.backends.local import LocalBackend
from bridge.jobs import JobStore, SqliteJobStore
from bridge.mcp import agent_server
from tests.mcp.calling import ASKING, ERAS, KEY, Caller, function_call, output, over_http
from tests.mcp.test_tasks import Polling, ask

pytestmark = pytest.mark.timeout(90)


class Person:
    """Answers forms one after the other, as told; None puts a form away. `shown` has the forms' messages and fields."""

    def __init__(self, *answers: ElicitResult | dict[str, Any] | None) -> None:
        self._answers = list(answers)
        self.shown: list[Any] = []

    async def __call__(self, context: Any, params: Any) -> ElicitResult:
        self.shown.append(params)
        answer = self._answers.pop(0)
        if isinstance(answer, ElicitResult):
            return answer
        return ElicitResult(action="cancel") if answer is None else ElicitResult(action="accept", content=answer)


@asynccontextmanager
async def with_forms(server: Any, person: Person, era: str) -> AsyncIterator[Caller]:
    """A client whose user is asked."""
    async with Client(server, mode=era, elicitation_callback=person) as client:
        yield Caller(client)


class Told:
    """A turn that says what it was answered. `answers` has the results as the service got them."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []

    async def __call__(self, turn: Any) -> AsyncIterator[Any]:
        self.answers += [step.to_wire() for step in turn.input if step.type == "function_result"]
        yield output("Done.")


@pytest.mark.covers("mcp:asked")
@pytest.mark.parametrize("way", ["memory", "http"])
@pytest.mark.parametrize("era", ERAS)
async def test_a_person_answers_and_the_call_goes_on(
    era: str, way: str, scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """In the same call, which starts nothing twice; several calls at once are all asked, and the form shows the call as it is."""
    told, person = Told(), Person({"result": "It is blue."}, {"decision": "approve"}, {"result": "Yes."})
    both = [function_call("look_up", what="the sky"), function_call("pay", "call_2", to="Ann", amount=3)]
    backend = scripted(both, [function_call("look_up", "call_3", what="more")], told)
    async with AsyncExitStack() as stack:
        server = serving(backend, ASKING)
        target = server if way == "memory" else await stack.enter_async_context(over_http(server))
        call = await stack.enter_async_context(with_forms(target, person, era))
        run = await call("agent_run", input="Look.", idempotency_key="k")
        assert (run["status"], run["output_text"], run["pending_calls"]) == ("completed", "Done.", [])
        assert len((await call("agent_list"))["runs"]) == 1
    assert [params.message for params in person.shown] == [
        "helper asks: look_up\nwhat: the sky",
        "helper asks: pay\nto: Ann\namount: 3",
        "helper asks: look_up\nwhat: more",
    ]
    assert [answer["result"] for answer in told.answers] == ["Yes."]


@pytest.mark.covers("mcp:asked:again")
async def test_a_start_that_may_not_be_made_again_asks_nothing(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """In the protocol whose clients make the call again to answer: one that begins anew would pay twice. Waiting asks."""
    told, person = Told(), Person({"result": "Blue."})
    async with with_forms(serving(scripted([function_call("look_up")], told), ASKING), person, "auto") as call:
        run = await call("agent_run", input="Look.")
        assert [pending["name"] for pending in run["pending_calls"]] == ["look_up"]
        assert run["next"].startswith(f"agent_wait(run_id='{run['run_id']}') asks the user")
        assert person.shown == []
        assert (await call("agent_wait", run_id=run["run_id"]))["output_text"] == "Done."
        assert len((await call("agent_list"))["runs"]) == 1


@pytest.mark.covers("mcp:asked")
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ({"result": "Blue."}, {"result": "Blue."}),
        ({"decision": "approve"}, {"result": {"decision": "approve"}}),
        ({"decision": "reject"}, {"result": {"decision": "reject"}, "is_error": True}),
        (ElicitResult(action="decline"), {"result": {"decision": "reject"}, "is_error": True}),
    ],
)
async def test_what_a_person_answers_is_what_the_agent_gets(
    era: str, answer: Any, result: Any, scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Words, a decision, or a refusal."""
    told = Told()
    server = serving(scripted([function_call("look_up")], told), ASKING)
    async with with_forms(server, Person(answer), era) as call:
        run = await call("agent_run", input="Look.", wait_s=0)
        assert len(run["pending_calls"]) <= 1
        assert (await call("agent_wait", run_id=run["run_id"]))["output_text"] == "Done."
    (got,) = told.answers
    assert {name: got[name] for name in ("result", "is_error") if got.get(name)} == result


@pytest.mark.covers("mcp:asked:left")
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("answer", [None, {}, {"result": ""}])
async def test_what_a_person_does_not_answer_is_left_to_the_caller(
    era: str, answer: Any, scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """They are not asked again; the caller answers."""
    person, told = Person(answer), Told()
    async with with_forms(serving(scripted([function_call("look_up")], told), ASKING), person, era) as call:
        run = await call("agent_run", input="Look.", idempotency_key="k")
        (pending,) = run["pending_calls"]
        assert (await call("agent_wait", run_id=run["run_id"]))["pending_calls"] == [pending]
        assert len(person.shown) == 1
        done = await call("agent_respond", run_id=run["run_id"], call_id=pending["call_id"], result="Blue.")
        assert (await call("agent_wait", run_id=done["run_id"]))["output_text"] == "Done."


@pytest.mark.covers("mcp:asked:left")
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("name", ["at once", "no forms", "not asked", "secret", "argument", "too long"])
async def test_t31_what_no_form_may_ask_for_is_a_pending_call(
    era: str, name: str, scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Secrets, and what would be answered without being seen whole; nor is anything asked of a client that does not wait, or shows no forms."""
    called = {
        "secret": function_call("enter_password"),
        "argument": function_call("look_up", what="your API key"),
        "too long": function_call("look_up", what="x" * 5_000),
    }.get(name, function_call("look_up"))
    agents = {"helper": {**ASKING["helper"], "ask_user": name != "not asked"}}
    server, person = serving(scripted([called]), agents), Person()
    async with Client(server, mode=era, elicitation_callback=None if name == "no forms" else person) as client:
        call = Caller(client)
        run = await call("agent_run", input="Look.", wait_s=0 if name == "at once" else 20)
        while run["status"] != "requires_action":
            run = await call("agent_wait", run_id=run["run_id"], wait_s=0)
        assert [pending["name"] for pending in run["pending_calls"]] == [called["name"]]
    assert person.shown == []


@pytest.mark.covers("mcp:asked:restart")
async def test_an_answer_reaches_a_server_that_was_started_meanwhile(
    tmp_path: Path, scripted: Callable[..., LocalBackend]
) -> None:
    """What the client carries is sealed by the key that servers share, for this caller and this call; the run is not started again."""
    backend = scripted([function_call("look_up")], [output("Done.")], [output("never asked for")])

    def server(jobs: JobStore, key: bytes = KEY) -> Any:
        return agent_server(ASKING, backend, jobs=jobs, handle_key=key)

    arguments = {"input": "Look.", "idempotency_key": "k"}
    one, two = SqliteJobStore(tmp_path / "jobs.sqlite"), SqliteJobStore(tmp_path / "jobs.sqlite")
    async with Client(server(one), elicitation_callback=Person()) as client:
        asked = await client.session.call_tool("agent_run", arguments, allow_input_required=True)
        assert isinstance(asked, InputRequiredResult)
    (key,) = asked.input_requests or {}
    answers: InputResponses = {key: ElicitResult(action="accept", content={"result": "x"})}
    async with Client(server(two, b"another key of these tests, 32 b"), elicitation_callback=Person()) as client:
        with pytest.raises(MCPError, match="Invalid or expired requestState"):
            await client.call_tool("agent_run", arguments, input_responses=answers, request_state=asked.request_state)
    async with Client(server(two), elicitation_callback=Person()) as client:
        lost = await client.call_tool("agent_run", arguments, input_responses=answers)
        assert "inputResponses came without their requestState" in lost.content[0].text  # type: ignore[union-attr]
        with pytest.raises(MCPError, match="Invalid or expired requestState"):
            await client.call_tool(
                "agent_run",
                {**arguments, "input": "Other."},
                input_responses=answers,
                request_state=asked.request_state,
            )
        done = await client.call_tool(
            "agent_run", arguments, input_responses=answers, request_state=asked.request_state
        )
        assert done.structured_content["output_text"] == "Done."
        assert len((await client.call_tool("agent_list", {})).structured_content["runs"]) == 1
    await one.aclose()
    await two.aclose()


@pytest.mark.covers("mcp:tasks:asked")
async def test_a_task_asks_and_is_answered(scripted: Callable[..., LocalBackend], serving: Callable[..., Any]) -> None:
    """A part of the answers keeps it asking for the rest; one that is put away leaves the calls to the caller."""
    both = [function_call("look_up"), function_call("look_up", "call_2")]
    backend = scripted(both, [output("Done.")], [function_call("look_up", "call_3")])
    extension, person = Polling(), Person()
    async with Client(serving(backend, ASKING), extensions=[extension], elicitation_callback=person) as client:

        async def begun() -> str:
            task = await client.session.call_tool("agent_run", {"input": "Look."}, allow_claimed=True)
            return str(task.task_id)  # type: ignore[union-attr]

        async def seen(id: str, *statuses: str) -> dict[str, Any]:
            while (state := await ask(client.session, "tasks/get", id))["status"] == "working":
                assert "inputRequests" not in state
            assert state["status"] in statuses
            return state

        async def update(id: str, key: str, **answer: Any) -> None:
            ack = await ask(client.session, "tasks/update", id, inputResponses={key: answer})
            assert {name for name in ack if name != "_meta"} == {"resultType"}

        first = await begun()
        state = await seen(first, "input_required")
        assert set(state["inputRequests"]) == {"call_1", "call_2"}
        assert state["inputRequests"]["call_1"]["method"] == "elicitation/create"
        await update(first, "call_1", action="accept", content={"result": "x"})
        await update(first, "no such call", action="accept", content={"result": "x"})
        await update(first, "call_1", action="accept", content=[1])  # it was answered: that stays
        assert set((await seen(first, "input_required"))["inputRequests"]) == {"call_2"}
        await update(first, "call_2", action="decline")
        done = (await seen(first, "completed"))["result"]
        assert done["structuredContent"]["output_text"] == "Done."

        second = await begun()
        await seen(second, "input_required")
        await update(second, "call_3", action="accept", content=[1])  # no answer that a form could have given
        left = (await seen(second, "completed"))["result"]["structuredContent"]
        assert [call["call_id"] for call in left["pending_calls"]] == ["call_3"]
    assert person.shown == []
