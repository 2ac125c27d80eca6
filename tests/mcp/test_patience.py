"""A service that is slow, does not answer, or is asked for two things at once: calls end in time, and nothing is done twice or forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bridge.backends.local import LocalBackend, ScriptedResponder
from bridge.errors import ConnectionFailed
from bridge.interactions import Interaction
from bridge.jobs import looking
from bridge.mcp.agents import files as files_module
from bridge.mcp.agents import runs as runs_module
from bridge.tools import Tools
from tests.mcp.calling import ASKING, Held, calling, function_call, output

pytestmark = pytest.mark.timeout(60)


class Stalled(LocalBackend):
    """A service whose answers to some calls come only once they are let."""

    def __init__(self, *scripts: Any, stalls: str) -> None:
        super().__init__(responder=ScriptedResponder(scripts))
        self._stalls = stalls
        self.let, self.asked = asyncio.Event(), asyncio.Event()
        self.calls: list[str] = []

    async def _called(self, name: str) -> None:
        self.calls.append(name)
        if name == self._stalls:
            self.asked.set()
            await self.let.wait()

    async def create(self, request: Any = None, /, **fields: Any) -> Interaction:
        await self._called("create")
        return await super().create(request, **fields)

    async def get(self, id: str, **options: Any) -> Interaction:
        await self._called("get")
        return await super().get(id, **options)

    async def cancel(self, id: str) -> Interaction:
        await self._called("cancel")
        return await super().cancel(id)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds takes a part of one."""
    for name in ("BEAT", "PATIENCE", "STARTED_WITHIN"):
        monkeypatch.setattr(runs_module, name, 0.3)
    monkeypatch.setattr(looking, "SHOWN_WITHIN", 0.6)
    monkeypatch.setattr(looking, "STOP_WITHIN", 0.3)


@pytest.mark.covers("mcp:wait:stalled")
@pytest.mark.usefixtures("impatient")
async def test_a_service_that_does_not_answer_keeps_no_caller_waiting(serving: Callable[..., Any]) -> None:
    """Every call ends in time with the run as it was seen last; once the service answers again, the run is found to be over."""
    async with Stalled([output("done")], stalls="get") as backend, calling(serving(backend, ASKING)) as call:
        async with asyncio.timeout(10):
            run = (await call("agent_run", input="Think.", wait_s=0))["run_id"]
            for tool, more in (("agent_wait", {"wait_s": 0.1}), ("agent_get", {}), ("agent_wait", {"wait_s": 1})):
                seen = await call(tool, run_id=run, **more)
                assert (seen["run_id"], seen["status"]) == (run, "in_progress")
            assert "still asking" in call.told[0][1]
        backend.let.set()
        assert (await call("agent_wait", run_id=run))["output_text"] == "done"


@pytest.mark.covers("mcp:wait:stalled")
@pytest.mark.usefixtures("impatient")
async def test_a_look_without_an_answer_is_over_after_a_while(serving: Callable[..., Any]) -> None:
    """It is told in words, and the next look is another one: a round over all runs does not stand still for one."""
    async with Stalled([output("done")], stalls="get") as backend, calling(serving(backend, ASKING)) as call:
        run = (await call("agent_run", input="Think.", wait_s=0))["run_id"]
        async with asyncio.timeout(10):
            while "did not answer within 0.6 seconds" not in str(
                (await call("agent_wait", run_id=run, wait_s=2))["error"]
            ):
                pass
        before = backend.calls.count("get")
        backend.let.set()
        assert (await call("agent_wait", run_id=run))["output_text"] == "done"
        assert backend.calls.count("get") > before


@pytest.mark.covers("mcp:wait:stalled")
async def test_a_list_of_files_that_does_not_come_costs_no_result(
    serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is shown without it."""
    monkeypatch.setattr(files_module, "_LISTED_WITHIN", 0.2)

    class Files:
        async def list(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
            await asyncio.Event().wait()
            yield

    async with LocalBackend() as backend:
        monkeypatch.setattr(backend, "files", Files())
        async with calling(serving(backend)) as call:
            run = await call("agent_run", agent="antigravity", input="Write 'a' to a.txt")
    assert (run["status"], run["files"]) == ("completed", [])


@pytest.mark.covers("mcp:wait:stalled")
async def test_a_file_that_does_not_come_is_told_of(
    serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a list that does not, to who asks for it."""

    class Files:
        async def list(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
            await asyncio.Event().wait()
            yield

        async def read(self, *_: Any) -> bytes:
            await asyncio.Event().wait()
            return b""

    async with LocalBackend() as backend, calling(serving(backend)) as call:
        run = await call("agent_run", agent="antigravity", input="Write 'a' to a.txt")
        (uri,) = run["files"]
        monkeypatch.setattr(files_module, "_GIVEN_WITHIN", 0.2)
        monkeypatch.setattr(backend, "files", Files())
        for tool, given in (("agent_files", {"run_id": run["run_id"]}), ("agent_read_file", {"uri": uri})):
            assert "did not give it within 0.2 seconds" in await call.refused(tool, **given)


@pytest.mark.covers("mcp:wait:stalled", "mcp:cancel")
@pytest.mark.usefixtures("impatient")
async def test_a_start_that_takes_long_is_not_waited_for(serving: Callable[..., Any]) -> None:
    """Its caller gets the run, which a cancel stops once it was started: nothing is started twice, and nothing runs on unseen."""
    held = Held()
    async with Stalled(held, stalls="create") as backend, calling(serving(backend, ASKING)) as call:
        first = await call("agent_run", input="Think.", wait_s=0.2, idempotency_key="k")
        again = await call("agent_run", input="Think.", wait_s=0, idempotency_key="k")
        assert (first["status"], again["run_id"]) == ("queued", first["run_id"])
        assert (await call("agent_cancel", run_id=first["run_id"]))["status"] == "queued"
        backend.let.set()
        async with asyncio.timeout(20):
            while (await call("agent_wait", run_id=first["run_id"], wait_s=0.2))["status"] != "cancelled":
                pass
    assert backend.calls.count("create") == backend.calls.count("cancel") == 1


@pytest.mark.covers("mcp:respond:held", "mcp:disconnect")
async def test_a_function_is_run_once_though_its_caller_gives_up(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """It is done to its end, and what it gave is what the agent gets."""
    begun: list[str] = []
    let = asyncio.Event()

    async def book(what: str) -> str:
        """Books it."""
        begun.append(what)
        await let.wait()
        return "booked"

    backend = scripted([function_call("book", what="a room")], lambda turn: [output(f"It is {turn.input[-1].result}.")])
    agents = {"helper": {"model": "m", "tools": Tools([book])}}
    async with calling(serving(backend, agents)) as call:
        waiting = asyncio.create_task(
            call.client.call_tool("agent_run", {"input": "Book a room."}, read_timeout_seconds=0.5)
        )
        with pytest.raises(Exception, match=r"(?i)timed out"):
            await waiting
        assert begun == ["a room"]
        (run,) = (await call("agent_list"))["runs"]
        let.set()
        done = await call("agent_wait", run_id=run["run_id"])
    assert (done["output_text"], begun) == ("It is booked.", ["a room"])


@pytest.mark.covers("mcp:cancel")
async def test_a_run_that_is_just_going_on_is_stopped_and_not_taken_further(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """While the server runs a function of it: the turn that would follow is not started, or is stopped too."""
    begun, let = asyncio.Event(), asyncio.Event()

    async def book() -> str:
        """Books it."""
        begun.set()
        await let.wait()
        return "booked"

    following = Held()
    agents = {"helper": {"model": "m", "tools": Tools([book])}}
    async with calling(serving(scripted([function_call("book")], following), agents)) as call:
        waiting = asyncio.create_task(call.client.call_tool("agent_run", {"input": "Book a room."}))
        await begun.wait()
        (run,) = (await call("agent_list"))["runs"]
        stopping = asyncio.create_task(call("agent_cancel", run_id=run["run_id"]))
        async with asyncio.timeout(10):
            await call("agent_list")  # by now the cancel has met the function
        let.set()
        assert (await stopping)["status"] == "cancelled"
        assert (await waiting).structured_content["status"] == "cancelled"
        assert (await call("agent_wait", run_id=run["run_id"], wait_s=1))["status"] == "cancelled"
    assert following.begun == 0


@pytest.mark.covers("mcp:cancel")
@pytest.mark.usefixtures("impatient")
async def test_a_cancel_that_could_not_be_verified_can_be_made_again(serving: Callable[..., Any]) -> None:
    """The run may go on and be paid for, so asking again reaches the service again."""

    class Away(LocalBackend):
        away = True
        cancels = 0

        async def cancel(self, id: str) -> Interaction:
            self.cancels += 1
            if self.away:
                raise ConnectionFailed("the service is away", sent=True)
            return await super().cancel(id)

    async with Away(responder=ScriptedResponder([Held()])) as backend, calling(serving(backend, ASKING)) as call:
        run = (await call("agent_run", input="Think.", wait_s=0))["run_id"]
        async with asyncio.timeout(10):
            while "agent_cancel tries again" not in str(
                (await call.result("agent_cancel", run_id=run)).structured_content["error"]
            ):
                pass
        backend.away = False
        async with asyncio.timeout(10):
            while (stopped := (await call.result("agent_cancel", run_id=run)).structured_content)[
                "status"
            ] != "cancelled":
                pass
        assert (stopped["error"], backend.cancels >= 2) == (None, True)


@pytest.mark.covers("mcp:cancel")
async def test_a_cancel_under_way_is_made_before_the_server_ends(serving: Callable[..., Any]) -> None:
    """Its client does not wait for it."""
    async with Stalled(Held(), stalls="cancel") as backend:
        async with calling(serving(backend, ASKING)) as call:
            await call("agent_run", input="Think.", wait_s=0)
            (run,) = (await call("agent_list"))["runs"]
            stopping = asyncio.create_task(call.client.call_tool("agent_cancel", {"run_id": run["run_id"]}))
            await backend.asked.wait()
            stopping.cancel()
            asyncio.get_running_loop().call_later(0.3, backend.let.set)
        async with calling(serving(backend, ASKING)) as call:
            assert (await call("agent_list"))["runs"][0]["status"] == "cancelled"
