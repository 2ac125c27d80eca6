"""The tasks extension: a client that knows it polls a task that is the run, one that does not loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import httpx2
import pytest
from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, Request, RequestParams, Result
from pydantic import ConfigDict, Field

from bridge.backends.local import LocalBackend
from bridge.backends.local.responders.base import Ending
from bridge.mcp.tasks import IDENTIFIER
from tests.mcp.calling import ASKING, AUTH, Held, Tokens, calling, function_call, output, over_http

pytestmark = pytest.mark.timeout(90)


class Task(Result):
    """A task as it comes instead of a result, and as tasks/get gives it."""

    model_config = ConfigDict(extra="allow")
    result_type: Literal["task"] = Field("task", alias="resultType")
    task_id: str = Field(alias="taskId")
    status: str


class Seen(Result):
    """What tasks/get answers."""

    model_config = ConfigDict(extra="allow")


class Named(RequestParams):
    """Names a task."""

    model_config = ConfigDict(extra="allow")
    task_id: str = Field(alias="taskId")


class TaskRequest(Request[Named, str]):
    """A request about a task."""

    method: str
    params: Named


async def ask(session: Any, method: str, id: str, **more: Any) -> dict[str, Any]:
    """One request about a task."""
    request = TaskRequest(method=method, params=Named(taskId=id, **more))
    return dict((await session.send_request(request, Seen)).model_dump(by_alias=True))


class Polling(ClientExtension):
    """A client that polls tasks. `tasks` has those it met."""

    identifier = IDENTIFIER

    def __init__(self, then: Callable[[Any, Task], Any] | None = None) -> None:
        self.tasks: list[Task] = []
        self._then = then

    def claims(self) -> list[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Task, resolve=self._resolve)]

    async def _resolve(self, task: Task, context: ClaimContext) -> CallToolResult:
        self.tasks.append(task)
        if self._then is not None:
            await self._then(context.session, task)
        while (seen := await ask(context.session, "tasks/get", task.task_id))["status"] == "working":
            await asyncio.sleep(0.01)
        without = {"content": [{"type": "text", "text": seen["status"]}], "isError": True}
        return CallToolResult.model_validate(seen.get("result") or without)


@asynccontextmanager
async def polling(server: Any, then: Callable[[Any, Task], Any] | None = None) -> AsyncIterator[tuple[Client, Polling]]:
    """A client that knows tasks."""
    extension = Polling(then)
    async with Client(server, extensions=[extension]) as client:
        yield client, extension


@pytest.mark.covers("mcp:tasks")
async def test_a_run_that_takes_a_while_is_a_task(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Its id is the run's, and its result that of the tool; one that is over at once, or failed, needs none."""
    held = Held()

    async def let(session: Any, task: Task) -> None:
        held.let.set()

    backend = scripted(held, [function_call("look_up")], [output("Half."), Ending(status="incomplete")])
    async with polling(serving(backend, ASKING), let) as (client, extension):
        done = await client.call_tool("agent_run", {"input": "Think."})
        (task,) = extension.tasks
        assert done.structured_content["run_id"] == task.task_id
        assert done.structured_content["output_text"] == "done"
        waited = await client.call_tool("agent_wait", {"run_id": task.task_id})
        assert waited.structured_content == done.structured_content
        asked = await client.call_tool("agent_run", {"input": "Ask."})
        assert asked.structured_content["pending_calls"][0]["call_id"] == "call_1"
        failed = await client.call_tool("agent_run", {"input": "Fail."})
        assert (failed.is_error, failed.structured_content["status"]) == (True, "incomplete")
        refused = await client.call_tool("agent_run", {"input": ""})
        assert refused.is_error
        assert len((await client.call_tool("agent_list", {})).structured_content["runs"]) == 3


@pytest.mark.covers("mcp:tasks")
async def test_a_call_that_is_not_to_wait_is_no_task(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Who asks for an answer at once has the run at once, to do something else, or to stop it."""
    held = Held()

    async def let(session: Any, task: Task) -> None:
        held.let.set()

    async with polling(serving(scripted(held), ASKING), let) as (client, extension):
        run = (await client.call_tool("agent_run", {"input": "Think.", "wait_s": 0})).structured_content
        assert run["status"] in ("queued", "in_progress")
        seen = await client.call_tool("agent_wait", {"run_id": run["run_id"], "wait_s": 0})
        assert seen.structured_content["run_id"] == run["run_id"]
        stopped = await client.call_tool("agent_cancel", {"run_id": run["run_id"]})
        assert stopped.structured_content["status"] == "cancelled"
        assert extension.tasks == []


@pytest.mark.covers("mcp:tasks")
async def test_a_task_is_cancelled_and_another_server_knows_it(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Nothing is kept for it; a client without the extension is asked for it, and nobody else finds it."""
    backend = scripted(Held())

    async def cancel(session: Any, task: Task) -> None:
        assert await ask(session, "tasks/update", task.task_id, inputResponses={}) == {
            **(await ask(session, "tasks/cancel", task.task_id)),
        }

    async with polling(serving(backend, ASKING), cancel) as (client, extension):
        stopped = await client.call_tool("agent_run", {"input": "Think."})
        assert stopped.content[0].text == "cancelled"  # type: ignore[union-attr]
        (task,) = extension.tasks
    async with polling(serving(backend, ASKING)) as (client, _):
        assert (await ask(client.session, "tasks/get", task.task_id))["status"] == "cancelled"
        with pytest.raises(MCPError, match="Task not found"):
            await ask(client.session, "tasks/get", f"{task.task_id}x")
    async with calling(serving(backend, ASKING)) as call:
        with pytest.raises(MCPError, match="did not declare"):
            await ask(call.client.session, "tasks/get", task.task_id)
        assert (await call("agent_wait", run_id=task.task_id))["status"] == "cancelled"


@pytest.mark.covers("mcp:tasks", "mcp:handles")
async def test_t12_a_task_is_its_callers_alone(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Over HTTP, of two people who use the same app; and the header must name the task that the request does."""
    held = Held()
    server = serving(scripted(held), ASKING, token_verifier=Tokens(), auth=AUTH)
    async with over_http(server) as url:

        @asynccontextmanager
        async def of(token: str) -> AsyncIterator[Client]:
            headers = {"authorization": f"Bearer {token}"}
            async with (
                httpx2.AsyncClient(headers=headers, verify=False, timeout=30) as http,
                Client(streamable_http_client(url, http_client=http), extensions=[Polling()]) as client,
            ):
                yield client

        async with of("ann") as ann, of("bob") as bob:
            started = await ann.session.call_tool("agent_run", {"input": "Think."}, allow_claimed=True)
            named = started.task_id  # type: ignore[union-attr]
            assert (await ask(ann.session, "tasks/get", named))["status"] == "working"
            for method in ("tasks/get", "tasks/cancel"):
                with pytest.raises(MCPError, match="Task not found"):
                    await ask(bob.session, method, named)
            held.let.set()
            assert held.begun == 1
