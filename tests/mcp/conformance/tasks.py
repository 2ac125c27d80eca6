"""The suite's tools that become tasks, as `Work` for the extension of ours. They last as long as the process."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.server import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    CallToolRequestParams,
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    TextContent,
    Tool,
)

from bridge.mcp.base import ServedTool, failure
from bridge.mcp.tasks import IDENTIFIER, Task, Tasks

__all__ = ["Jobs", "RequiredTasks", "greeting"]

_STRING = {"type": "string"}


class Job:
    """One call that became a task."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(8)
        self.began = time.time()
        self.asks: dict[str, ElicitRequest] = {}
        self.result: CallToolResult | None = None
        self.error: Mapping[str, Any] | None = None
        self.work: asyncio.Task[None] | None = None
        self._answers: dict[str, asyncio.Future[Any]] = {}

    async def run(self, body: Awaitable[CallToolResult]) -> None:
        """Does the work, and keeps what came of it."""
        try:
            self.result = await body
        except MCPError as error:
            self.error = {"code": error.code, "message": error.message}

    async def ask(self, message: str) -> Any:
        """What the client's user answers."""
        key = f"ask-{len(self._answers)}"
        self._answers[key] = answer = asyncio.get_running_loop().create_future()
        self.asks[key] = _form(message)
        return await answer

    def answer(self, key: str, response: Any) -> None:
        """Takes an answer to what was asked."""
        if self.asks.pop(key, None) is not None:
            self._answers[key].set_result(response)

    def task(self) -> Task:
        """The task as it stands."""
        status: Literal["working", "input_required", "completed", "cancelled", "failed"] = "working"
        if self.error is not None:
            status = "failed"
        elif self.result is not None:
            status = "completed"
        elif self.work is not None and self.work.cancelled():
            status = "cancelled"
        elif self.asks:
            status = "input_required"
        asks = dict(self.asks) or None
        return Task(
            id=self.id,
            status=status,
            message=status,
            created=self.began,
            updated=time.time(),
            lasts=3_600,
            result=self.result,
            error=self.error,
            asks=asks,
        )


def _form(message: str) -> ElicitRequest:
    schema = {"type": "object", "properties": {"name": _STRING}, "required": ["name"]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _said(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)])


async def _slow(job: Job, seconds: float, label: str = "") -> CallToolResult:
    await asyncio.sleep(seconds)
    return _said(f"computed {label}")


async def _failing(job: Job) -> CallToolResult:
    return failure("The job failed.")


async def _breaking(job: Job) -> CallToolResult:
    raise MCPError(INTERNAL_ERROR, "The protocol broke.")


async def _confirming(job: Job, filename: str) -> CallToolResult:
    await job.ask(f"Delete {filename}?")
    return _said("deleted")


async def _asking_twice(job: Job) -> CallToolResult:
    await asyncio.gather(job.ask("One?"), job.ask("Two?"))
    return _said("both")


async def _naming(job: Job, name: str) -> CallToolResult:
    return _said(f"Hello, {name}!")


_BODIES: dict[str, Callable[..., Awaitable[CallToolResult]]] = {
    "slow_compute": _slow,
    "failing_job": _failing,
    "protocol_error_job": _breaking,
    "confirm_delete": _confirming,
    "multi_input": _asking_twice,
    "test_tool_with_task": _naming,
}
_ASKS_FIRST = "test_tool_with_task"
_REQUIRED = ("failing_job", _ASKS_FIRST)


class Jobs:
    """Meets `Work`."""

    tools = tuple(_BODIES)

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    async def start(
        self, params: CallToolRequestParams, context: Context
    ) -> Task | CallToolResult | InputRequiredResult:
        """A task, of a tool that asks first once it was answered."""
        given = dict(params.arguments or {})
        if params.name == _ASKS_FIRST:
            answer = (context.input_responses or {}).get("user_name")
            if not isinstance(answer, ElicitResult):
                return InputRequiredResult(input_requests={"user_name": _form("Who are you?")}, request_state="asked")
            given = {"name": str((answer.content or {}).get("name"))}
        job = Job()
        job.work = asyncio.create_task(job.run(_BODIES[params.name](job, **given)))
        self._jobs[job.id] = job
        return job.task()

    async def find(self, id: str, context: Context) -> Task | None:
        """A task that was begun."""
        job = self._jobs.get(id)
        return None if job is None else job.task()

    async def answer(self, id: str, responses: Mapping[str, Any], context: Context) -> None:
        """Takes answers, and lets what they go to work on."""
        for key, response in responses.items():
            self._jobs[id].answer(key, response)

    async def cancel(self, id: str, context: Context) -> None:
        """Stops a task that works."""
        work = self._jobs[id].work
        if work is not None and work.cancel():
            await asyncio.wait({work})

    def served(self) -> list[ServedTool]:
        """The tools, for clients without the extension."""
        return [_tool(name, body) for name, body in _BODIES.items()]


def _tool(name: str, body: Callable[..., Awaitable[CallToolResult]]) -> ServedTool:
    async def run(arguments: dict[str, Any], context: Context) -> CallToolResult:
        return await body(Job(), **arguments)

    schema = {"type": "object", "properties": {"seconds": {"type": "number"}, "label": _STRING, "filename": _STRING}}
    return ServedTool(Tool(name=name, description=f"A fixture, {name}.", input_schema=schema), run)


def greeting() -> ServedTool:
    """A tool that never becomes a task."""

    async def run(arguments: dict[str, Any], context: Context) -> CallToolResult:
        return _said(f"Hello, {arguments['name']}!")

    schema = {"type": "object", "properties": {"name": _STRING}, "required": ["name"]}
    return ServedTool(Tool(name="greet", description="A fixture, greet.", input_schema=schema), run)


class RequiredTasks(Tasks):
    """The extension of ours; some of the suite's tools cannot do without it, which none of ours are."""

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Refuses who does not know the extension."""
        if params.name in _REQUIRED:
            require_client_extension(ctx, IDENTIFIER)
        return await super().intercept_tool_call(params, ctx, call_next)
