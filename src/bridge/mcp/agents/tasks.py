"""Runs as tasks of MCP: a task is the run itself, and its id the run's, so any server on the job store answers.

A run that failed is a task that completed with an error, as the extension wants it. One that waits for an answer asks for it where its client shows
forms, and else completes with its pending calls.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from mcp.server.mcpserver import Context
from mcp_types import CallToolRequestParams, CallToolResult, InputRequiredResult

from bridge.tools import ToolError

from ..tasks import Task
from .runs import Run
from .tools import AgentTools, owner_in

__all__ = ["RunTasks"]

# A run stays until it is pruned; nothing prunes it sooner by itself.
_LASTS = 30 * 86_400.0

Call = Callable[[str, dict[str, Any], Context], Awaitable[CallToolResult | InputRequiredResult]]
"""Calls a tool of the server."""


class RunTasks:
    """The runs of a server as `Work`."""

    tools = ("agent_run", "agent_wait")

    def __init__(self, tools: AgentTools, call: Call) -> None:
        self._tools = tools
        self._call = call

    async def start(
        self, params: CallToolRequestParams, context: Context
    ) -> Task | CallToolResult | InputRequiredResult:
        """A task where the run is not over, or asks; else its result, as for a caller who said that it is not to wait."""
        given = params.arguments or {}
        result = await self._call(params.name, {"wait_s": 0, **given}, context)
        if (
            isinstance(result, InputRequiredResult)
            or result.is_error
            or given.get("wait_s") == 0
            or not isinstance(result.structured_content, dict)
        ):
            return result
        started = result.structured_content
        run = await self._tools.run_of(owner_in(context), started["run_id"])
        task = await self._task(run, started["run_id"], context)
        return result if task.result is not None else task

    async def find(self, id: str, context: Context) -> Task | None:
        """The run as it stands after a look at it."""
        run = await self._run(id, context)
        return None if run is None else await self._task(await self._tools.looked(run), id, context)

    async def answer(self, id: str, responses: Mapping[str, Any], context: Context) -> None:
        """Answers pending calls."""
        if (run := await self._run(id, context)) is not None:
            await self._tools.take(run, responses)

    async def cancel(self, id: str, context: Context) -> None:
        """Stops the run."""
        if (run := await self._run(id, context)) is not None:
            await self._tools.cancelled(run)

    async def _run(self, id: str, context: Context) -> Run | None:
        try:
            return await self._tools.run_of(owner_in(context), id)
        except ToolError:
            return None

    async def _task(self, run: Run, id: str, context: Context) -> Task:
        job = run.last
        asks = self._tools.forms(run, context)
        return Task(
            id=id,
            status=_status(run, asks),
            message=f"{run.facts['agent']}: {run.status}, {len(run.steps)} steps",
            created=run.jobs[0].created,
            updated=job.ended or job.progressed or job.bound or job.created,
            lasts=_LASTS,
            result=await self._tools.result(run) if run.over and not asks else None,
            asks=asks or None,
        )


def _status(run: Run, asks: Mapping[str, Any]) -> Literal["working", "input_required", "completed", "cancelled"]:
    if not run.over:
        return "working"
    if asks:
        return "input_required"
    return "cancelled" if run.status == "cancelled" else "completed"
