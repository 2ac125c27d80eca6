"""The tasks extension of MCP: a client that knows it gets a task where a call would wait, and asks after that as its protocol says.

Nothing is kept for a task here: what it is, a `Work` tells each time it is asked. A client without the extension loses nothing.
Source: `io.modelcontextprotocol/tasks` (SEP-2663).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.server import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ElicitRequest,
    InputRequiredResult,
    RequestParams,
)
from mcp_types.jsonrpc import HEADER_MISMATCH
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from .text import time_of

__all__ = ["IDENTIFIER", "MODERN", "Task", "Tasks", "Work"]

IDENTIFIER = "io.modelcontextprotocol/tasks"
MODERN = frozenset(MODERN_PROTOCOL_VERSIONS)
"""The revisions of the protocol without a session, which alone have tasks."""
# Milliseconds: how often a task is worth a look.
_POLL = 2_000


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task as it stands. Times are seconds since 1970, `lasts` seconds for which it is sure to be found.

    `result` is what the call gives once the task is over, `asks` what a form has to be filled in for, by its key; `error` is what
    the protocol, not the tool, failed with.
    """

    id: str
    status: Literal["working", "input_required", "completed", "cancelled", "failed"]
    message: str
    created: float
    updated: float
    lasts: float
    result: CallToolResult | None = None
    asks: Mapping[str, ElicitRequest] | None = None
    error: Mapping[str, Any] | None = None


class Work(Protocol):
    """What tasks are made of."""

    @property
    def tools(self) -> Sequence[str]:
        """The tools whose calls may become tasks."""
        ...

    async def start(
        self, params: CallToolRequestParams, context: Context
    ) -> Task | CallToolResult | InputRequiredResult:
        """What a call of one of the tools gives at once: its result, or a task where it would have to wait."""
        ...

    async def find(self, id: str, context: Context) -> Task | None:
        """A task of this caller's; None for another's as for none."""
        ...

    async def answer(self, id: str, responses: Mapping[str, Any], context: Context) -> None:
        """Takes answers to what a task of this caller's asks; those to anything else are ignored."""
        ...

    async def cancel(self, id: str, context: Context) -> None:
        """Stops a task of this caller's."""
        ...


class _Named(RequestParams):
    task_id: str = Field(alias="taskId")


class _Update(_Named):
    input_responses: dict[str, Any] = Field(default_factory=dict, alias="inputResponses")


class Tasks(Extension):
    """The extension, over the work of one server. `context` makes what its tools are called with."""

    identifier = IDENTIFIER

    def __init__(
        self,
        work: Work,
        context: Callable[[ServerRequestContext[Any, Any], CallToolRequestParams | None], Context],
    ) -> None:
        self._work = work
        self._context = context

    def methods(self) -> Sequence[MethodBinding]:
        """tasks/get, tasks/update and tasks/cancel."""
        return [
            MethodBinding("tasks/get", _Named, self._get, MODERN),
            MethodBinding("tasks/update", _Update, self._update, MODERN),
            MethodBinding("tasks/cancel", _Named, self._cancel, MODERN),
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Gives a task where a call would wait, and its client knows tasks."""
        if params.name not in self._work.tools or ctx.protocol_version not in MODERN or not _declared(ctx):
            return await call_next(ctx)
        given = await self._work.start(params, self._context(ctx, params))
        return _wire(given, "task") if isinstance(given, Task) else given

    async def _get(self, ctx: ServerRequestContext[Any, Any], params: _Named) -> HandlerResult:
        return _wire(await self._found(ctx, params), "complete")

    async def _update(self, ctx: ServerRequestContext[Any, Any], params: _Update) -> HandlerResult:
        await self._found(ctx, params)
        await self._work.answer(params.task_id, params.input_responses, self._context(ctx, None))
        return {"resultType": "complete"}

    async def _cancel(self, ctx: ServerRequestContext[Any, Any], params: _Named) -> HandlerResult:
        await self._found(ctx, params)
        await self._work.cancel(params.task_id, self._context(ctx, None))
        return {"resultType": "complete"}

    async def _found(self, ctx: ServerRequestContext[Any, Any], params: _Named) -> Task:
        """The task that is named. Raises `MCPError`, one and the same for a task of another caller and for none."""
        require_client_extension(ctx, IDENTIFIER)
        headers = getattr(ctx.request, "headers", None)
        named = headers.get(MCP_NAME_HEADER) if headers is not None else None
        if named is not None and decode_header_value(named) != params.task_id:
            raise MCPError(code=HEADER_MISMATCH, message=f"{MCP_NAME_HEADER} does not name the task")
        task = await self._work.find(params.task_id, self._context(ctx, None))
        if task is None:
            raise MCPError(code=INVALID_PARAMS, message="Task not found")
        return task


def _wire(task: Task, result_type: Literal["task", "complete"]) -> dict[str, Any]:
    """A task as it stands in an answer; what came of it is told to who asks after it, not where it begins."""
    wire: dict[str, Any] = {
        "resultType": result_type,
        "taskId": task.id,
        "status": task.status,
        "statusMessage": task.message,
        "createdAt": time_of(task.created),
        "lastUpdatedAt": time_of(task.updated),
        "ttlMs": int(task.lasts * 1_000),
        "pollIntervalMs": _POLL,
    }
    if result_type == "complete":
        if task.result is not None and task.status == "completed":
            wire["result"] = task.result.model_dump(by_alias=True, mode="json", exclude_none=True)
        if task.asks is not None:
            asked = {
                key: form.model_dump(by_alias=True, mode="json", exclude_none=True) for key, form in task.asks.items()
            }
            wire["inputRequests"] = asked
        if task.error is not None:
            wire["error"] = dict(task.error)
    return wire


def _declared(ctx: ServerRequestContext[Any, Any]) -> bool:
    capabilities = ctx.session.client_capabilities
    return capabilities is not None and IDENTIFIER in (capabilities.extensions or {})
