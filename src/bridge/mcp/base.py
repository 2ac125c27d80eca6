"""The MCP server that both of ours are: a fixed table of tools whose arguments are checked by their schema, over any transport.

It refuses what would be unsafe: arguments that its schema does not know, and HTTP that other machines can reach without signing in.
What a tool raises by mistake stays here. What the tools do is others' business.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolResult,
    ContentBlock,
    GetPromptResult,
    InputRequiredResult,
    TextContent,
    Tool,
)
from pydantic import AnyUrl
from starlette.applications import Starlette

from bridge._version import installed_version
from bridge.errors import BridgeError, InvalidRequest, NotConfigured
from bridge.tools import ToolError

from .text import ANY_TYPE, cleaned, dumped, type_of

if TYPE_CHECKING:
    from bridge.tools.validating import Validator

__all__ = ["ServedTool", "Server", "failure", "success"]

_log = logging.getLogger("bridge.mcp")
# Read from a file: now, not in an event loop.
_VERSION = installed_version()
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_HERE = ["127.0.0.1:*", "localhost:*", "[::1]:*"]


@dataclass(frozen=True)
class ServedTool:
    """A tool as it is listed, and what runs it with arguments that fit."""

    listed: Tool
    run: Callable[[dict[str, Any], Context], Awaitable[CallToolResult | InputRequiredResult]] = field(repr=False)

    @cached_property
    def _validator(self) -> Validator:
        from bridge.tools.validating import validator

        return validator(self.listed.input_schema)

    def fitting(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments that fit the schema that is listed. Raises `ToolError`, which names what does not."""
        from bridge.tools.validating import fitting  # a client that only lists tools need not wait for it

        return fitting(self._validator, _read(arguments, self.listed))


def success(value: Mapping[str, Any], *more: ContentBlock, is_error: bool = False) -> CallToolResult:
    """A result: structured, and as the text that says the same, for clients that show only one of the two."""
    text = TextContent(type="text", text=dumped(value))
    return CallToolResult(content=[text, *more], structured_content=dict(value), is_error=is_error)


def failure(text: str) -> CallToolResult:
    """An error that the model is told of."""
    return CallToolResult(content=[TextContent(type="text", text=cleaned(text))], is_error=True)


class Server(MCPServer[Any]):
    """An `MCPServer` with these tools and no other."""

    def __init__(
        self,
        name: str,
        tools: Sequence[ServedTool],
        *,
        token_verifier: TokenVerifier | None,
        auth: AuthSettings | None,
        allowed_hosts: Sequence[str],
        version: str = "",
        done: Callable[[], Awaitable[None]] | None = None,
        **options: Any,
    ) -> None:
        if (token_verifier is None) != (auth is None):
            lacking = "auth" if auth is None else "token_verifier"
            raise InvalidRequest(f"token_verifier and auth go together: give {lacking} too", lacking)
        if auth is not None and auth.resource_server_url is not None and auth.validate_token_resource is None:
            # A token that was issued for another server is none for this one.
            auth = auth.model_copy(update={"validate_token_resource": True})
        self._served = {tool.listed.name: tool for tool in tools}
        self._allowed_hosts = list(allowed_hosts)
        self._signed_in = token_verifier is not None
        self._done = done
        with _logging_left_alone():
            super().__init__(name, version=version or _VERSION, token_verifier=token_verifier, auth=auth, **options)

    async def done(self) -> None:
        """Waits, a bounded time, for the work under way that must not be cut short. Who ends the process waits for it."""
        if self._done is not None:
            await self._done()

    async def list_tools(self) -> list[Tool]:
        """The tools, always in the same order."""
        return [tool.listed for tool in self._served.values()]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Runs a tool with arguments that fit its schema; what goes wrong is a result that says so."""
        tool = self._served.get(name)
        if tool is None:
            return failure(f"there is no tool {name[:100]!r}; there are {', '.join(self._served)}")
        try:
            return await tool.run(tool.fitting(arguments), context or Context())
        except (ToolError, BridgeError) as error:
            return failure(f"{name}: {error}")
        except Exception as error:  # noqa: BLE001 - whatever it is, its text may hold what the caller must not see
            _log.error("%s failed: %s", name, type(error).__name__)
            _log.debug("%s failed", name, exc_info=error)
            return failure(f"{name} failed on this server, which is not your mistake; its log says more")

    def _tool_input_schema(self, name: str) -> dict[str, Any] | None:
        """For the transport, which holds the headers that repeat arguments (`x-mcp-header`) against a call's arguments."""
        tool = self._served.get(name)
        return None if tool is None else tool.listed.input_schema

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """There are no prompts; who asks for one is told so."""
        raise MCPError(INVALID_PARAMS, f"Unknown prompt: {cleaned(name)[:100]}")

    async def read_resource(
        self, uri: AnyUrl | str, context: Context | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """A resource; one that a template makes of a file is of the file's own type."""
        read = await super().read_resource(uri, context)
        if isinstance(read, InputRequiredResult):
            return read
        return [replace(part, mime_type=type_of(str(uri))) if part.mime_type == ANY_TYPE else part for part in read]

    def streamable_http_app(self, **options: Any) -> Starlette:
        """The server as a Starlette app with `/mcp`, to run or to mount. Options are those of `MCPServer.streamable_http_app`.

        `host` is where it will listen. Raises `NotConfigured` where other machines could reach it without signing in or under any
        name, `InvalidRequest` for `json_response`, with which a client that is gone is not noticed and long calls break.
        """
        if options.get("json_response"):
            raise InvalidRequest("json_response cannot carry calls that wait: leave it out", "json_response")
        host = options.get("host", _LOOPBACK[0])
        if host not in _LOOPBACK and not (self._signed_in and self._allowed_hosts):
            lacking = [
                what
                for what, there in (
                    ("a token verifier (token_verifier=..., auth=...)", self._signed_in),
                    ("the names it is reached by (allowed_hosts=...)", self._allowed_hosts),
                )
                if not there
            ]
            raise NotConfigured(f"{host} can be reached from other machines: give {' and '.join(lacking)}")
        if options.get("transport_security") is None:
            hosts = [*_HERE, *self._allowed_hosts]
            options["transport_security"] = TransportSecuritySettings(
                allowed_hosts=hosts,
                allowed_origins=[
                    *(f"http://{host}" for host in _HERE),
                    *(f"https://{host}" for host in self._allowed_hosts),
                ],
            )
        return super().streamable_http_app(**options)


def _read(arguments: Mapping[str, Any], tool: Tool) -> dict[str, Any]:
    """The arguments, where a client wrote a list as the text of its JSON, as Claude Desktop does."""
    properties = tool.input_schema.get("properties", {})
    read = dict(arguments)
    for name, value in arguments.items():
        if isinstance(value, str) and properties.get(name, {}).get("type") == "array":
            try:
                read[name] = json.loads(value)
            except (ValueError, RecursionError):
                continue  # its schema refuses it
    return read


@contextmanager
def _logging_left_alone() -> Iterator[None]:
    """`MCPServer` sets up the root logger of the whole process where that has no handler."""
    root, nothing = logging.getLogger(), logging.NullHandler()
    root.addHandler(nothing)
    try:
        yield
    finally:
        root.removeHandler(nothing)
