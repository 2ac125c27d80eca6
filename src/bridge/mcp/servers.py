"""`agent_server` and `tool_server`: the pieces put together, with the resources beside the tools and the work that no caller waits for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.server.request_state import RequestStateSecurity
from mcp_types import CallToolRequestParams, CallToolResult, InputRequiredResult, TextContent, Tool

from bridge.backend import Backend
from bridge.errors import BridgeError, NotConfigured
from bridge.jobs.stores.sqlite import default_store
from bridge.jobs.stores.store import JobStore
from bridge.tools import ToolError, Tools

from .access import owner_of
from .agents.files import text_of
from .agents.limits import Limits, check_priced
from .agents.places import file_uri, run_uri
from .agents.runs import Run, Runs
from .agents.schemas import INSTRUCTIONS
from .agents.settings import DEFAULT_AGENTS, read_agents
from .agents.tasks import RunTasks
from .agents.tools import AgentTools
from .base import ServedTool, Server, failure
from .handles import Seal, checked_key
from .tasks import Tasks
from .text import ANY_TYPE, cleaned
from .updates import Updates

__all__ = ["agent_server", "tool_server"]

_log = logging.getLogger("bridge.mcp")
# Seconds between two rounds over runs that nobody waits for.
TEND_EVERY = 10.0
# Seconds for which a client may hold a question before it brings the answer; later the run is asked for again.
ASKED_FOR = 86_400.0


def agent_server(
    agents: Mapping[str, Any] | None = None,
    backend: Backend | str | None = None,
    *,
    name: str = "agents",
    version: str = "",
    token_verifier: TokenVerifier | None = None,
    auth: AuthSettings | None = None,
    allowed_hosts: Sequence[str] = (),
    jobs: JobStore | None = None,
    handle_key: bytes | str | None = None,
    limits: Limits | None = None,
) -> MCPServer[Any]:
    """An MCP server whose tools start agents, wait for them, answer, follow up and cancel them. Give it to `run()`, `Client(...)`,
    or mount its `streamable_http_app()`.

    `agents`: {name: settings}, by default `DEFAULT_AGENTS`; the first is the one that runs where none is named. Settings are
    `description`, `model` or `agent`, and where wanted `backend`, `system_instruction`, `tools` (the API's own, or a `bridge.tools.Tools`
    whose calls run here), `environment` ("none", "remote", an id or settings), `agent_config`, `generation_config`, `response_format`,
    `budget`, `deadline` and `stall_after` (seconds). An `Agent` (such as `bridge.langgraph.as_agent(graph)`) may stand for settings.
    `backend` does the work of all without one of their own, as in `bridge.connect`.

    Runs live in `jobs`, and handles given out are made with `handle_key` (16 bytes or more): by default both are in the user's data
    folder, so that a server started elsewhere knows them. Servers on several machines share a `PostgresJobStore` and a key.
    `token_verifier` and `auth` say who calls, `allowed_hosts` under which names the server is reached ("example.com", or
    "example.com:*"); without them it serves this machine alone. `limits` are each caller's. `name` and `version`
    are what clients are told, by default the version of this distribution.

    Raises `InvalidRequest`, `UnsupportedCapability` and `NotConfigured` for what cannot be served.
    """
    settings = read_agents(DEFAULT_AGENTS if agents is None else agents, backend)
    limits = limits or Limits()
    check_priced(limits, settings.values())
    store = jobs if jobs is not None else default_store()

    async def changed(run: Run) -> None:
        uri = await tools.uri_of(run)
        await updates.publish(uri + part for part in ("", "/steps", "/output"))

    runs = Runs(settings, store, changed)
    key = None if handle_key is None else checked_key(handle_key)
    tools = AgentTools(settings, store, key=key, limits=limits, runs=runs)
    updates = Updates(tools.may_read)

    @asynccontextmanager
    async def lifespan(_: MCPServer[Any]) -> AsyncIterator[None]:
        with suppress(NotConfigured):  # whoever needs it is told then
            await tools.handles()
        tending = asyncio.create_task(_tend(runs))
        try:
            yield
        finally:
            tending.cancel()
            with suppress(asyncio.CancelledError):
                await tending
            await server.done()

    def context(ctx: ServerRequestContext[Any, Any], params: CallToolRequestParams | None) -> Context:
        return Context(request_context=ctx, mcp_server=server, input_params=params, subscriptions=updates.bus)

    async def call(name: str, arguments: dict[str, Any], context: Context) -> CallToolResult | InputRequiredResult:
        return await server.call_tool(name, arguments, context)

    server = Server(
        name,
        tools.served,
        token_verifier=token_verifier,
        auth=auth,
        allowed_hosts=allowed_hosts,
        title="Agents",
        instructions=INSTRUCTIONS,
        version=version,
        done=runs.done,
        lifespan=lifespan,
        subscriptions=updates.bus,
        middleware=[updates.only_own],
        extensions=[Tasks(RunTasks(tools, call), context)],
        request_state_security=RequestStateSecurity(codec=Seal(lambda: tools.known_handles), ttl=ASKED_FOR),
    )
    _add_resources(server, tools)
    updates.serve(server)
    return server


def tool_server(
    tools: Tools,
    *,
    name: str = "tools",
    version: str = "",
    instructions: str | None = None,
    token_verifier: TokenVerifier | None = None,
    auth: AuthSettings | None = None,
    allowed_hosts: Sequence[str] = (),
) -> MCPServer[Any]:
    """An MCP server of tools that were defined once for every vendor. With MCP servers among them, enter `tools` before.

    Who may call it is said as in `agent_server`. Raises `ToolRefused` for tools that MCP cannot describe, such as a vendor's built-ins.
    """
    compiled = tools.compile("mcp")

    def served(definition: dict[str, Any]) -> ServedTool:
        async def run(arguments: dict[str, Any], context: Context) -> CallToolResult:
            result = await tools.run({"name": definition["name"], "args": arguments, "id": context.request_id})
            if result.is_error:
                return failure(result.content)
            return CallToolResult(content=[TextContent(type="text", text=cleaned(result.content))])

        # A client lists no tool without a description.
        listed = Tool.model_validate({**definition, "description": definition["description"] or definition["name"]})
        return ServedTool(listed, run)

    return Server(
        name,
        [served(definition) for definition in compiled.definitions],
        token_verifier=token_verifier,
        auth=auth,
        allowed_hosts=allowed_hosts,
        instructions=instructions,
        version=version,
    )


def _add_resources(server: MCPServer[Any], tools: AgentTools) -> None:
    """What runs left, as resources: the same that the tools read."""

    async def read(context: Context, uri: str) -> str | bytes:
        try:
            data, _ = await tools.read(owner_of(context.request_context.request), uri)
        except ToolError:
            raise ResourceNotFoundError(f"Unknown resource: {uri}") from None
        except BridgeError as error:
            raise ResourceError(cleaned(str(error))) from None
        text = text_of(data) if isinstance(data, bytes) else data
        return data if text is None else text

    @server.resource("agent://runs/{run_id}", mime_type="application/json", title="A run as it stands")
    async def run(run_id: str, context: Context) -> str | bytes:
        """The Run, as agent_get gives it."""
        return await read(context, run_uri(run_id))

    @server.resource("agent://runs/{run_id}/output", mime_type="text/markdown", title="The output of a run")
    async def output(run_id: str, context: Context) -> str | bytes:
        """The whole text that an agent answered."""
        return await read(context, run_uri(run_id, "output"))

    @server.resource("agent://runs/{run_id}/steps{?after}", mime_type="application/json", title="The steps of a run")
    async def steps(run_id: str, context: Context, after: int = 0) -> str:
        """A page of what an agent did: those steps behind `after`, and where the next page begins."""
        try:
            return await tools.steps(owner_of(context.request_context.request), run_id, max(after, 0))
        except ToolError:
            raise ResourceNotFoundError(f"Unknown resource: {run_uri(run_id, 'steps')}") from None

    @server.resource(
        "agent://environments/{environment_id}/files/{+path}",
        mime_type=ANY_TYPE,
        title="A file of a sandbox",
    )
    async def file(environment_id: str, path: str, context: Context) -> str | bytes:
        """A file that an agent left, whole."""
        return await read(context, file_uri(environment_id, path))


async def _tend(runs: Runs) -> None:
    """Rounds over runs that are due, until it is cancelled."""
    while True:
        try:
            await runs.tend()
        except BridgeError as error:  # the store is away; it may be back
            _log.error("runs could not be looked at: %s", error)
        await asyncio.sleep(TEND_EVERY)
