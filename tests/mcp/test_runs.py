"""The life of a run as clients see it: started, waited for, answered, read, followed up, cancelled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from bridge.backends.local import LocalBackend, ScriptedResponder
from bridge.backends.local.responders.base import Ending
from bridge.errors import ConnectionFailed
from bridge.interactions import Interaction
from bridge.jobs import JobStore
from bridge.mcp import servers
from bridge.mcp.agents import runs as runs_module
from bridge.tools import Tools
from tests.mcp.calling import ASKING, ERAS, FUNCTION, Held, calling, function_call, output

pytestmark = pytest.mark.timeout(90)


@pytest.mark.covers("mcp:life")
@pytest.mark.parametrize("era", ERAS)
async def test_a_run_is_started_answered_read_followed_up_and_cancelled(
    era: str, scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Every tool, by one client, in both eras of the protocol."""
    held = Held()
    backend = scripted(
        [function_call("look_up", what="the price")],
        lambda turn: [output(f"It costs {turn.input[-1].result}.")],
        [output("You are welcome.")],
        lambda turn: held(turn),
    )
    async with calling(serving(backend, ASKING), era) as call:
        asked = await call("agent_run", input="What does it cost?")
        assert asked["status"] == "requires_action"
        assert asked["pending_calls"] == [{"call_id": "call_1", "name": "look_up", "arguments": {"what": "the price"}}]
        assert f"agent_respond(run_id='{asked['run_id']}', call_id='call_1'" in asked["next"]
        await call("agent_respond", run_id=asked["run_id"], call_id="call_1", result="12 euros")
        done = await call("agent_wait", run_id=asked["run_id"])
        assert (done["run_id"], done["status"]) == (asked["run_id"], "completed")
        assert done["output_text"] == "It costs 12 euros."
        assert done["usage"]["total_tokens"] > 0
        thanks = await call("agent_run", input="Thanks!", previous_run_id=done["run_id"])
        assert thanks["output_text"] == "You are welcome."
        assert thanks["previous_run_id"] == done["run_id"]
        running = await call("agent_run", input="Think.", wait_s=0)
        assert running["status"] in ("queued", "in_progress")
        assert running["next"].startswith(f"agent_wait(run_id='{running['run_id']}')")
        stopped = await call("agent_cancel", run_id=running["run_id"])
        assert stopped["status"] == "cancelled"
        assert (await call("agent_get", run_id=running["run_id"]))["status"] == "cancelled"
        listed = await call("agent_list")
        assert [run["run_id"] for run in listed["runs"]] == [run["run_id"] for run in (running, thanks, done)]


@pytest.mark.covers("mcp:defaults")
async def test_without_a_configuration_there_are_three_agents(
    backend: LocalBackend, serving: Callable[..., Any]
) -> None:
    """The first runs where none is named; each is stored and in the background."""
    seen: list[dict[str, Any]] = []

    class Watched(LocalBackend):
        async def create(self, request: Any = None, /, **fields: Any) -> Interaction:
            seen.append(fields)
            return await super().create(request, **fields)

    async with Watched() as local, calling(serving(local)) as call:
        (tool,) = [tool for tool in (await call.client.list_tools()).tools if tool.name == "agent_run"]
        assert tool.input_schema["properties"]["agent"]["enum"] == ["gemini", "antigravity", "deep-research"]
        assert (await call("agent_run", input="The budget is 500."))["agent"] == "gemini"
        for agent in ("antigravity", "deep-research"):
            assert (await call("agent_run", input="Find out.", agent=agent))["status"] == "completed"
    assert [fields.get("model") or fields["agent"] for fields in seen] == [
        "gemini-3.8-flash",
        "antigravity-preview-09-2026",
        "deep-research-preview-04-2026",
    ]
    assert all(fields["store"] and fields["background"] for fields in seen)
    assert [fields.get("environment") for fields in seen] == [None, "remote", None]


@pytest.mark.covers("mcp:wait")
async def test_a_wait_is_bounded_and_tells_how_it_goes(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress is strictly increasing, comes more often than every 10 s, and has words; the run is not touched by it."""
    assert runs_module.BEAT <= 10
    monkeypatch.setattr(runs_module, "BEAT", 0.1)
    held = Held()
    async with calling(serving(scripted(held), ASKING)) as call:
        run = await call("agent_run", input="Think.", wait_s=0.5)
        assert run["status"] == "in_progress"
        numbers = [number for number, _ in call.told]
        assert numbers == sorted(set(numbers))
        assert len(numbers) >= 4
        assert any("in_progress" in words for _, words in call.told)
        assert any("thought" in words for _, words in call.told)
        held.let.set()
        done = await call("agent_wait", run_id=run["run_id"])
        assert (done["status"], done["step"], held.begun) == ("completed", 2, 1)


@pytest.mark.covers("mcp:failed")
@pytest.mark.parametrize("status", ["failed", "incomplete", "budget_exceeded"])
async def test_a_run_that_ended_badly_is_an_error_with_the_whole_run(
    status: str, scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """What it had so far is there, and what went wrong."""
    errors = (("api_error", "The pipes are broken."),) if status == "failed" else ()
    async with calling(serving(scripted([output("So far."), Ending(status=status, errors=errors)]), ASKING)) as call:
        run = await call.failed("agent_run", input="Go.")
        assert (run["status"], run["output_text"]) == (status, "So far.")
        assert run["error"] == ("The pipes are broken." if errors else f"it ended {status}")
        assert (await call.failed("agent_get", run_id=run["run_id"]))["run_id"] == run["run_id"]


@pytest.mark.covers("mcp:respond")
async def test_a_run_goes_on_once_all_its_calls_are_answered(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """In any order, by results of any kind or decisions; an answer given twice counts once, one to another call is refused."""
    seen: list[Any] = []

    def answer(turn: Any) -> Any:
        seen.extend((step.call_id, step.result, step.is_error) for step in turn.input if step.type == "function_result")
        return [output("Thanks.")]

    calls = [function_call("look_up", f"call_{number}") for number in range(4)]
    async with calling(serving(scripted(calls, answer), ASKING)) as call:
        run = (await call("agent_run", input="Go."))["run_id"]
        assert "give a result or a decision" in await call.refused("agent_respond", run_id=run, call_id="call_1")
        assert "no call 'call_9' waits" in await call.refused("agent_respond", run_id=run, call_id="call_9", result=1)
        for number, given in ((3, {"result": {"a": 1}}), (1, {"result": 12}), (1, {"result": "again"})):
            half = await call("agent_respond", run_id=run, call_id=f"call_{number}", **given)
            assert half["status"] == "requires_action"
        assert [one["call_id"] for one in half["pending_calls"]] == ["call_0", "call_2"]
        follow_up = await call.refused("agent_run", input="And?", previous_run_id=run)
        assert "waits for an answer" in follow_up
        await call("agent_respond", run_id=run, call_id="call_0", decision="approve")
        await call("agent_respond", run_id=run, call_id="call_2", decision="reject")
        assert (await call("agent_wait", run_id=run))["output_text"] == "Thanks."
        steps = (await call("agent_get", run_id=run, include_steps=True))["steps"]
    assert sorted(seen) == [
        ("call_0", {"decision": "approve"}, None),
        ("call_1", {"result": 12}, None),
        ("call_2", {"decision": "reject"}, True),
        ("call_3", {"a": 1}, None),
    ]
    assert [step["type"] for step in steps] == ["function_call"] * 4 + ["function_result"] * 4 + ["model_output"]


@pytest.mark.covers("mcp:respond:held")
async def test_a_function_that_the_server_holds_is_run_by_it(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Beside one that it does not hold, which waits for the caller."""
    ran: list[str] = []

    def price(of: str) -> str:
        """The price of something."""
        ran.append(of)
        return f"12 euros for {of}"

    def answer(turn: Any) -> Any:
        results = [step.result for step in turn.input if step.type == "function_result"]
        return [output("; ".join(results))]

    agents = {"helper": {"description": "Helps.", "model": "m", "tools": [price, FUNCTION]}}
    both = [function_call("price", "call_1", of="tea"), function_call("look_up", "call_2")]
    backend = scripted([function_call("price", of="bread")], answer, both, answer)
    async with calling(serving(backend, agents)) as call:
        run = await call("agent_run", input="What is bread?")
        assert (run["status"], run["output_text"]) == ("completed", "12 euros for bread")
        run = await call("agent_run", input="What is tea?")
        assert [one["call_id"] for one in run["pending_calls"]] == ["call_2"]
        await call("agent_respond", run_id=run["run_id"], call_id="call_2", result="green")
        run = await call("agent_wait", run_id=run["run_id"])
        assert sorted(run["output_text"].split("; ")) == ["12 euros for tea", "green"]
    assert ran == ["bread", "tea"]
    assert serving(backend, {"helper": {"model": "m", "tools": Tools([price])}})


@pytest.mark.covers("mcp:continuation")
async def test_a_turn_that_the_service_ends_in_several_goes_is_one_run(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """It is continued by the server, and its steps are one list."""
    first = [{"type": "thought"}, output("One, "), Ending(status="requires_continuation")]
    async with calling(serving(scripted(first, [output("two.")]), ASKING)) as call:
        run = await call("agent_run", input="Count.")
        assert (run["status"], run["output_text"]) == ("completed", "One, two.")


@pytest.mark.covers("mcp:idempotency")
async def test_t24_an_idempotency_key_never_starts_twice(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """At once, later, and by another server; for another request it is refused."""
    held = Held()
    backend = scripted(held, [output("other")])
    arguments = {"input": "Go.", "idempotency_key": "monday", "wait_s": 0}
    async with calling(serving(backend, ASKING)) as call:
        runs = await asyncio.gather(*(call("agent_run", **arguments) for _ in range(5)))
        held.let.set()
    async with calling(serving(backend, ASKING)) as call:
        runs.append(await call("agent_run", **{**arguments, "wait_s": 20}))
        assert "another request" in await call.refused("agent_run", **{**arguments, "input": "Go on."})
    assert len({run["run_id"] for run in runs}) == 1
    assert (runs[-1]["status"], held.begun) == ("completed", 1)


@pytest.mark.covers("mcp:disconnect")
@pytest.mark.parametrize("era", ERAS)
async def test_t25_a_client_that_gives_up_cancels_nothing(
    era: str, scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Neither a time-out nor a connection that ends stops a run, which goes on and is found again."""
    held = Held()
    server = serving(scripted(held), ASKING)
    async with calling(server, era) as call:
        with pytest.raises(Exception, match=r"(?i)timed out"):
            await call.client.call_tool("agent_run", {"input": "Think."}, read_timeout_seconds=0.3)
    async with calling(server, era) as call:
        (run,) = (await call("agent_list"))["runs"]
        assert run["status"] == "in_progress"
        held.let.set()
        assert (await call("agent_wait", run_id=run["run_id"]))["output_text"] == "done"
    assert held.begun == 1


@pytest.mark.covers("mcp:disconnect")
async def test_a_client_that_gives_up_during_the_start_costs_nothing(
    jobs: JobStore, serving: Callable[..., Any]
) -> None:
    """The call to the service is made to its end, and its run is found."""
    let = asyncio.Event()

    class Late(LocalBackend):
        async def create(self, request: Any = None, /, **fields: Any) -> Interaction:
            await let.wait()
            return await super().create(request, **fields)

    async with Late() as backend, calling(serving(backend)) as call:
        with pytest.raises(Exception, match=r"(?i)timed out"):
            await call.client.call_tool("agent_run", {"input": "Hello"}, read_timeout_seconds=0.3)
        (run,) = (await call("agent_list"))["runs"]
        assert run["status"] == "queued"
        let.set()
        assert (await call("agent_wait", run_id=run["run_id"]))["status"] == "completed"


@pytest.mark.covers("mcp:cancel")
async def test_t25_a_cancel_reaches_the_service_exactly_once(serving: Callable[..., Any]) -> None:
    """However often it is asked for; and one that waits for an answer is over without the service."""
    cancels: list[str] = []
    held = Held()

    class Counting(LocalBackend):
        async def cancel(self, id: str) -> Interaction:
            cancels.append(id)
            return await super().cancel(id)

    async with (
        Counting(responder=ScriptedResponder([held, [function_call("look_up")]])) as backend,
        calling(serving(backend, ASKING)) as call,
    ):
        run = (await call("agent_run", input="Think.", wait_s=0))["run_id"]
        both = await asyncio.gather(*(call("agent_cancel", run_id=run) for _ in range(3)))
        assert {one["status"] for one in (*both, await call("agent_cancel", run_id=run))} == {"cancelled"}
        assert len(cancels) == 1
        waiting = (await call("agent_run", input="Ask."))["run_id"]
        assert (await call("agent_cancel", run_id=waiting))["status"] == "cancelled"
        assert "no call 'call_1' waits" in await call.refused(
            "agent_respond", run_id=waiting, call_id="call_1", result=1
        )
    assert len(cancels) == 1


@pytest.mark.covers("mcp:unknown")
async def test_a_start_of_which_nothing_is_known_is_told_and_not_repeated(serving: Callable[..., Any]) -> None:
    """The connection broke after the request was sent: it may be paid, so the run is named and nobody starts it again."""
    asked = 0

    class Broken(LocalBackend):
        async def create(self, request: Any = None, /, **fields: Any) -> Interaction:
            nonlocal asked
            asked += 1
            raise ConnectionFailed("the connection broke", sent=asked == 1)

    async with Broken() as backend, calling(serving(backend)) as call:
        run = await call.failed("agent_run", input="Hello", idempotency_key="k")
        assert (run["status"], run["error"]) == ("unknown", "the connection broke")
        assert asked == 1
        again = await call.failed("agent_run", input="Hello", idempotency_key="k", wait_s=0)
        assert (again["run_id"], asked) == (run["run_id"], 1)
        assert "the connection broke" in await call.refused("agent_run", input="Hello", idempotency_key="other")
        assert len((await call("agent_list"))["runs"]) == 1
        unknown = await call.failed("agent_get", run_id=run["run_id"])
        assert unknown["status"] == "unknown"
        assert "may pay twice" in unknown["next"]


@pytest.mark.covers("mcp:terms")
async def test_a_run_that_nobody_waits_for_is_kept_to_its_deadline(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, jobs: JobStore
) -> None:
    """The server looks after it, and tells later what became of it."""
    monkeypatch.setattr(servers, "TEND_EVERY", 0.05)
    held = Held()
    agents = {"helper": {**ASKING["helper"], "deadline": 0.3}}
    async with calling(serving(scripted(held), agents)) as call:
        # A slow machine may be beyond the deadline already.
        run = (await call.result("agent_run", input="Think.", wait_s=0)).structured_content["run_id"]
        (job,) = await jobs.list()
        async with asyncio.timeout(20):
            while job.ended is None:
                await jobs.note(job.token, due=jobs.now())
                await asyncio.sleep(0.05)
                (job,) = await jobs.list()
        late = await call.failed("agent_get", run_id=run)
    assert (late["status"], late["error"]) == ("cancelled", "it passed its deadline and was cancelled")


@pytest.mark.covers("mcp:list")
async def test_runs_are_listed_page_by_page_newest_first(backend: LocalBackend, serving: Callable[..., Any]) -> None:
    """Each once; a cursor that is none is refused."""
    async with calling(serving(backend)) as call:
        ids = [(await call("agent_run", input=f"Number {number}."))["run_id"] for number in range(5)]
        found: list[str] = []
        cursor: str | None = None
        for _ in range(3):
            page = await call("agent_list", limit=2, **({"cursor": cursor} if cursor else {}))
            found += [run["run_id"] for run in page["runs"]]
            cursor = page["next_cursor"]
        assert (found, cursor) == (ids[::-1], None)
        assert page["runs"][0]["input"] == "Number 0."
        assert "cursor" in await call.refused("agent_list", cursor="x~y")


@pytest.mark.covers("mcp:steps")
async def test_steps_are_read_page_by_page_and_long_ones_are_cut(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """By agent_get and by the resource."""
    thoughts = [
        {"type": "thought", "signature": "c2lnbmVk", "summary": [{"type": "text", "text": str(n)}]} for n in range(60)
    ]
    async with calling(serving(scripted([*thoughts, output("x" * 9_000)]), ASKING)) as call:
        run = await call("agent_run", input="Go.")
        first = await call("agent_get", run_id=run["run_id"], include_steps=True)
        assert (len(first["steps"]), first["next_after_step"]) == (50, 50)
        assert "signature" not in first["steps"][0]
        rest = await call("agent_get", run_id=run["run_id"], include_steps=True, after_step=50)
        assert (len(rest["steps"]), rest["next_after_step"]) == (11, None)
        assert rest["steps"][-1]["chars"] > 9_000 > len(rest["steps"][-1]["beginning"])
        read = await call.client.read_resource(f"agent://runs/{run['run_id']}/steps?after=50")
        assert json.loads(read.contents[0].text)["steps"] == rest["steps"]  # type: ignore[union-attr]


@pytest.mark.covers("mcp:life")
async def test_what_ended_while_nobody_looked_is_seen_before_it_is_acted_on(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any], jobs: JobStore
) -> None:
    """A run that is over can be followed up at once; one that asks for an answer can be stopped."""
    held = Held("Done.")
    backend = scripted(held, [output("Again.")], [function_call("look_up")])
    async with calling(serving(backend, ASKING)) as call:
        first = await call("agent_run", input="Think.", wait_s=0)
        assert "still goes on" in await call.refused("agent_run", input="And?", previous_run_id=first["run_id"])
        (job,) = await jobs.list()
        held.let.set()
        async with asyncio.timeout(20):
            while (await backend.get(str(job.interaction_id))).status != "completed":
                await asyncio.sleep(0)
        again = await call("agent_run", input="And?", previous_run_id=first["run_id"])
        assert again["output_text"] == "Again."
        asking = await call("agent_run", input="Ask.", wait_s=0)
        stopped = await call("agent_cancel", run_id=asking["run_id"])
        assert (stopped["status"], stopped["pending_calls"]) == ("cancelled", [])
        assert "there are agent_run" in await call.refused("agent_stop")


@pytest.mark.covers("mcp:cancel")
async def test_a_run_that_is_being_started_is_stopped_once_it_was(serving: Callable[..., Any]) -> None:
    """The start is waited for: what is paid for is known, and then stopped."""
    asked, let = asyncio.Event(), asyncio.Event()

    class Late(LocalBackend):
        async def create(self, request: Any = None, /, **fields: Any) -> Interaction:
            asked.set()
            await let.wait()
            return await super().create(request, **fields)

    async with Late(responder=ScriptedResponder([Held()])) as backend, calling(serving(backend, ASKING)) as call:
        starting = asyncio.create_task(call.client.call_tool("agent_run", {"input": "Think."}))
        await asked.wait()
        (run,) = (await call("agent_list"))["runs"]
        stopping = asyncio.create_task(call("agent_cancel", run_id=run["run_id"]))
        asyncio.get_running_loop().call_soon(let.set)
        assert (await stopping)["status"] == "cancelled"
        started = await starting
        assert started.structured_content["status"] == "cancelled"


@pytest.mark.covers("mcp:cancel")
async def test_what_cannot_be_stopped_says_why(
    jobs: JobStore, scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """An agent that the server does not have any more, and a start of which nobody knows."""
    async with calling(serving(scripted(Held()), ASKING)) as call:
        run = (await call("agent_run", input="Think.", wait_s=0))["run_id"]
    async with calling(serving(scripted(), {"other": {"model": "m"}})) as call:
        assert "no agent 'helper' any more" in await call.refused("agent_cancel", run_id=run)
        assert "cannot ask how its run stands" in (await call("agent_wait", run_id=run))["error"]

    class Broken(LocalBackend):
        async def create(self, request: Any = None, /, **fields: Any) -> Interaction:
            raise ConnectionFailed("the connection broke", sent=True)

    async with Broken() as backend, calling(serving(backend)) as call:
        lost = (await call.failed("agent_run", input="x"))["run_id"]
        assert "nothing tells whether this run was started" in await call.refused("agent_cancel", run_id=lost)


@pytest.mark.covers("mcp:respond")
async def test_two_answers_at_once_are_taken_one_after_the_other(
    jobs: JobStore, scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Where another server is at it, the caller is asked to give it again."""
    async with calling(serving(scripted([function_call("look_up")], [output("Thanks.")]), ASKING)) as call:
        run = (await call("agent_run", input="Ask."))["run_id"]
        (job,) = await jobs.list()
        assert await jobs.hold(job.thread, "another")
        answer = {"run_id": run, "call_id": "call_1", "result": "12"}
        assert "give this one again" in await call.refused("agent_respond", **answer)
        await jobs.release(job.thread, "another")
        await call("agent_respond", **answer)
        assert (await call("agent_wait", run_id=run))["output_text"] == "Thanks."
        again = await call("agent_respond", **answer)
        assert again["status"] == "completed"
