"""The tasks extension of MCP: a client that knows it gets a task where a run is not over yet, and asks after that as its protocol says.

A task is the run itself, and its id the run's: nothing is kept for it, any server with the job store answers, and a client without the
extension loses nothing. Source: `io.modelcontextprotocol/tasks` (SEP-2663). A run that failed is a task that completed with an error, as the
extension wants it; one that waits for its caller's answer completes with its pending calls.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver.server import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types import INVALID_PARAMS, CallToolRequestParams, CallToolResult, RequestParams
from mcp_types.jsonrpc import HEADER_MISMATCH
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from bridge.tools import ToolError

from ..access import owner_of
from .runs import Run
from .tools import AgentTools

__all__ = ["IDENTIFIER", "Tasks"]

IDENTIFIER = "io.modelcontextprotocol/tasks"
_MODERN = frozenset(MODERN_PROTOCOL_VERSIONS)
_TOOLS = ("agent_run", "agent_wait")
# Milliseconds: how long a task is sure to be there (a run stays until it is pruned), and how often it is worth a look.
_LASTS, _POLL = 30 * 86_400_000, 2_000

Call = Callable[[CallToolRequestParams, ServerRequestContext[Any, Any]], Awaitable[CallToolResult]]
"""Calls a tool of the server."""


class _Named(RequestParams):
    task_id: str = Field(alias="taskId")


class _Update(_Named):
    input_responses: dict[str, Any] = Field(default_factory=dict, alias="inputResponses")


class Tasks(Extension):
    """The extension, over the tools of one server."""

    identifier = IDENTIFIER

    def __init__(self, tools: AgentTools, call: Call) -> None:
        self._tools = tools
        self._call = call

    def methods(self) -> Sequence[MethodBinding]:
        """tasks/get, tasks/update and tasks/cancel."""
        return [
            MethodBinding("tasks/get", _Named, self._get, _MODERN),
            MethodBinding("tasks/update", _Update, self._update, _MODERN),
            MethodBinding("tasks/cancel", _Named, self._cancel, _MODERN),
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Gives a task where a call would wait for a run, and its client knows tasks."""
        if params.name not in _TOOLS or ctx.protocol_version not in _MODERN or not _declared(ctx):
            return await call_next(ctx)
        at_once = params.model_copy(update={"arguments": {"wait_s": 0, **(params.arguments or {})}})
        result = await self._call(at_once, ctx)
        started = result.structured_content
        if not isinstance(started, dict) or result.is_error:
            return result
        run = await self._tools.run_of(owner_of(ctx.request), started["run_id"])
        return result if run.over else self._wire(run, started["run_id"], "task")

    async def _get(self, ctx: ServerRequestContext[Any, Any], params: _Named) -> HandlerResult:
        run = await self._tools.looked(await self._run(ctx, params))
        wire = self._wire(run, params.task_id, "complete")
        if wire["status"] == "completed":
            result = await self._tools.result(run)
            wire["result"] = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        return wire

    async def _update(self, ctx: ServerRequestContext[Any, Any], params: _Update) -> HandlerResult:
        await self._run(ctx, params)  # nothing is asked for in forms, so there is no answer to take
        return {"resultType": "complete"}

    async def _cancel(self, ctx: ServerRequestContext[Any, Any], params: _Named) -> HandlerResult:
        await self._tools.cancelled(await self._run(ctx, params))
        return {"resultType": "complete"}

    async def _run(self, ctx: ServerRequestContext[Any, Any], params: _Named) -> Run:
        """The run that a task is. Raises `MCPError`, one and the same for a task of another caller and for none."""
        require_client_extension(ctx, IDENTIFIER)
        headers = getattr(ctx.request, "headers", None)
        named = headers.get(MCP_NAME_HEADER) if headers is not None else None
        if named is not None and decode_header_value(named) != params.task_id:
            raise MCPError(code=HEADER_MISMATCH, message=f"{MCP_NAME_HEADER} does not name the task")
        try:
            return await self._tools.run_of(owner_of(ctx.request), params.task_id)
        except ToolError:
            raise MCPError(code=INVALID_PARAMS, message="Task not found") from None

    def _wire(self, run: Run, id: str, result_type: str) -> dict[str, Any]:
        job = run.last
        status = "working" if not run.over else "cancelled" if run.status == "cancelled" else "completed"
        return {
            "resultType": result_type,
            "taskId": id,
            "status": status,
            "statusMessage": f"{run.facts['agent']}: {run.status}, {len(run.steps)} steps",
            "createdAt": _time(run.jobs[0].created),
            "lastUpdatedAt": _time(job.ended or job.progressed or job.bound or job.created),
            "ttlMs": _LASTS,
            "pollIntervalMs": _POLL,
        }


def _declared(ctx: ServerRequestContext[Any, Any]) -> bool:
    capabilities = ctx.session.client_capabilities
    return capabilities is not None and IDENTIFIER in (capabilities.extensions or {})


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
