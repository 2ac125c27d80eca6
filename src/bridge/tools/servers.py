"""MCP servers whose tools are held: connected, listed, pinned, called. The one module here that imports `mcp`.

A connection is entered and left by one task of its own, as its scopes demand, and called from any. Before a call the server's list is
looked at again, which shows both that the server is there (otherwise it is connected to anew) and that the tool is still the one that
was approved (otherwise it is not called). The client keeps the list for as long as the server allows. A call that breaks off is not
repeated: it may have run.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.server import Server
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError

from bridge.errors import ConnectionFailed, InvalidRequest

from .definitions import Definition, Output, ToolError

__all__ = ["McpTools", "server_of"]

_PAGES = 100  # of a server's list; one that never ends is cut there, with an error
_CLOSING = 10.0  # seconds that a connection has to close
_DESCRIBED = 4_000  # characters of a description that a model is told: a stranger's text, paid for at every turn


def server_of(tool: Any, where: str) -> McpTools:
    """What is held of an MCP client, server, URL or parameters. Raises `InvalidRequest`, naming `where`, for anything else."""
    if isinstance(tool, McpTools):
        return replace(tool)
    if isinstance(tool, str) and not tool.startswith(("https://", "http://")):
        raise InvalidRequest(
            f"{where} is the text {tool!r}; an MCP server's address begins with https:// or http://", "tools"
        )
    if isinstance(tool, str | Client | Server | MCPServer | StdioServerParameters):
        return McpTools(tool)
    raise InvalidRequest(f"{where} is no MCP client or server but {type(tool).__name__}", "tools")


@dataclass
class McpTools:
    """The tools of one MCP server.

    `server` is a `Client` (one that was entered is used as it is and cannot be connected to anew), a server object in this process,
    `StdioServerParameters`, or the URL of a streamable HTTP server. `prefix` goes before each name; `only` names the tools that are
    wanted, as the server calls them. `connect_timeout` is the seconds that connecting and listing may take.
    """

    server: str | Client | Server[Any] | MCPServer | StdioServerParameters = field(repr=False)
    _: KW_ONLY
    prefix: str = ""
    only: Sequence[str] | None = None
    connect_timeout: float = 30.0

    def __post_init__(self) -> None:
        self.digests: dict[str, str] = {}
        self._connection: _Connection | None = None
        self._lock = asyncio.Lock()

    async def open(self, approved: Mapping[str, str] | None) -> list[Definition]:
        """Connects, and gives the tools as they are now pinned. Raises `InvalidRequest` for one that is not `approved`."""
        listed = {tool.name: tool for tool in await self._listed()}
        if missing := sorted(set(self.only or ()) - listed.keys()):
            raise InvalidRequest(
                f"the MCP server has no tool {', '.join(missing)}; it has {', '.join(listed)}", "tools"
            )
        wanted = [tool for tool in listed.values() if self.only is None or tool.name in self.only]
        self.digests = {self.prefix + tool.name: _digest(tool) for tool in wanted}
        if approved is not None and (
            new := [name for name, digest in self.digests.items() if approved.get(name) != digest]
        ):
            raise InvalidRequest(
                f"not approved as they are now: {', '.join(new)}; look at them and approve their digests", "tools"
            )
        return [self._definition(tool) for tool in wanted]

    async def aclose(self) -> None:
        """Closes the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _definition(self, tool: types.Tool) -> Definition:
        async def run(arguments: dict[str, Any], call_id: str) -> Output:
            return await self._call(tool.name, arguments)

        told = tool.description or ""
        told = told if len(told) <= _DESCRIBED else f"{told[:_DESCRIBED]}…"
        return Definition(self.prefix + tool.name, told, tool.input_schema, run)

    async def _call(self, name: str, arguments: dict[str, Any]) -> Output:
        try:
            listed = {tool.name: tool for tool in await self._listed()}
        except ConnectionFailed as error:
            raise ToolError("the tool's server cannot be reached; the tool has not run") from error
        if name not in listed or _digest(listed[name]) != self.digests[self.prefix + name]:
            raise ToolError("the tool is no longer the one that was approved, so it was not called")
        connection = self._connection
        if connection is None:  # left while the list was looked at
            raise ToolError("the tool's server was closed; the tool has not run")
        try:
            return _output(await connection.client.call_tool(name, arguments))
        except MCPError as error:
            if error.code != types.CONNECTION_CLOSED:
                raise ToolError(f"the tool's server refused the call: {error.message}") from error
            raise ToolError("the connection to the tool's server broke; the tool may have run or not") from error

    async def _listed(self) -> list[types.Tool]:
        """The server's tools; connects where there is no connection, and once anew where there is none any more."""
        known = self._connection
        if known is not None:
            try:
                return await known.tools(self.connect_timeout)
            except Exception as error:
                if not known.owned:
                    kind = type(error).__name__
                    raise ConnectionFailed(
                        f"the MCP client that was given is not connected ({kind})", sent=False
                    ) from error
        async with self._lock:
            if self._connection is known:
                self._connection = None
                if known is not None:
                    await known.close()
                self._connection, listed = await self._connected()
                return listed
        return await self._listed()  # another call was faster

    async def _connected(self) -> tuple[_Connection, list[types.Tool]]:
        """A new connection, and the tools that the server has on it."""
        fresh = _Connection(self.server)
        try:
            await fresh.opened(self.connect_timeout)
            return fresh, await fresh.tools(self.connect_timeout)
        except BaseException as error:
            await fresh.close()
            if isinstance(error, InvalidRequest) or not isinstance(error, Exception):
                raise
            late = isinstance(error, TimeoutError)
            why = (
                f"did not answer within {self.connect_timeout:g} seconds"
                if late
                else f"cannot be connected to ({_kind(error)})"
            )
            raise ConnectionFailed(f"the MCP server {why}", sent=False) from error


class _Connection:
    """A client that one task enters and leaves."""

    def __init__(self, server: Any) -> None:
        given = server if isinstance(server, Client) else None
        self.owned = given is None or not _entered(given)
        self.client: Client = (replace(given) if self.owned else given) if given is not None else Client(server)
        self._leave = asyncio.Event()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold()) if self.owned else None
        if not self.owned:
            self._ready.set_result(None)

    async def _hold(self) -> None:
        try:
            async with self.client:
                self._ready.set_result(None)
                await self._leave.wait()
        except Exception as error:  # noqa: BLE001 - of a transport's own; whoever waits for the connection gets it
            if not self._ready.done():
                self._ready.set_exception(error)
        finally:
            self._ready.cancel()

    async def opened(self, timeout: float) -> None:
        async with asyncio.timeout(timeout):
            await asyncio.shield(self._ready)

    async def tools(self, timeout: float) -> list[types.Tool]:
        listed: list[types.Tool] = []
        cursor: str | None = None
        async with asyncio.timeout(timeout):
            for _ in range(_PAGES):
                page = await self.client.list_tools(cursor=cursor)
                listed += page.tools
                cursor = page.next_cursor
                if cursor is None:
                    return listed
        raise InvalidRequest(f"the MCP server's list of tools has no end (more than {_PAGES} pages)", "tools")

    async def close(self) -> None:
        self._leave.set()
        if self._task is not None:
            done, _ = await asyncio.wait([self._task], timeout=_CLOSING if self._ready.done() else 0)
            if not done:
                self._task.cancel()
                await asyncio.wait([self._task], timeout=_CLOSING)


def _entered(client: Client) -> bool:
    try:
        return client.session is not None
    except RuntimeError:
        return False


def _kind(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__


def _digest(tool: types.Tool) -> str:
    """What a tool is pinned to: everything that the model is told of it. What it says of its own harmlessness counts for nothing."""
    told = json.dumps([tool.name, tool.description, tool.input_schema], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _output(result: types.CallToolResult) -> Output:
    parts = [_part(block) for block in result.content]
    if not parts and result.structured_content is not None:
        parts = [json.dumps(result.structured_content, ensure_ascii=False)]
    return Output("\n".join(parts), bool(result.is_error))


def _part(block: types.ContentBlock) -> str:
    """A block as text: what is no text is named, with its kind and size."""
    match block:
        case types.TextContent():
            return block.text
        case types.ResourceLink():
            return f"[{block.name}: {block.uri}]"
        case types.EmbeddedResource(resource=types.TextResourceContents() as resource):
            return resource.text
        case types.EmbeddedResource(resource=resource):
            return f"[{resource.uri}: {resource.mime_type or 'binary'}, not shown]"
    return f"[{block.type}, {block.mime_type}, {len(block.data) * 3 // 4} bytes, not shown]"
