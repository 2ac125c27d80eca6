"""`Tools`: tools defined once, for every vendor. It holds them together; reading, compiling, running and MCP are the modules' beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeGuard, get_args

from bridge.errors import InvalidRequest

from .capabilities import Capability
from .compiling import Compiled, OnLossy, compile_tools, refuse
from .definitions import Definition, definition_of
from .dialects import Dialect, dialect_of
from .names import safe_names

if TYPE_CHECKING:
    from .running import Result
    from .servers import McpTools

__all__ = ["Tools"]

_CAPABILITIES = get_args(Capability)


class Tools:
    """Tools, whoever defined them: functions, LangChain tools, MCP servers, plain definitions, and capabilities of the vendors.

    `tools` may hold typed functions (the signature is the schema, the docstring the description); LangChain tools; MCP clients,
    servers, `StdioServerParameters`, URLs of streamable HTTP servers, or `McpTools(...)` of these; the definitions that an MCP server
    listed; {"name", "description", "parameters"}; and built-ins such as `WebSearch()`. `timeout` is the seconds that a call may take,
    None for any time. `approved` has the digests of MCP tools that somebody approved (`digests` of an earlier run): with it, a tool
    that is new or changed is refused when the servers are opened.

    With MCP servers among them, enter it first: `async with Tools([...]) as tools`. That opens the connections, which stay open until
    it is left, and pins each tool to its definition of that moment. Raises `InvalidRequest` for two tools of one name.
    """

    def __init__(
        self,
        tools: Iterable[Any],
        *,
        timeout: float | None = 60.0,
        approved: Mapping[str, str] | None = None,
    ) -> None:
        self._timeout = timeout
        self._approved = approved
        self._given: list[Definition | Capability | McpTools] = []
        for number, tool in enumerate(tools):
            self._given.append(_read(tool, f"tools[{number}]"))
        self._servers = [tool for tool in self._given if _is_server(tool)]
        self._open: AsyncExitStack | None = None
        self._settle([] if self._servers else self._given)

    def _settle(self, tools: Iterable[Any]) -> None:
        """From now on these are the tools."""
        self._tools: list[Definition | Capability] = list(tools)
        self._functions: dict[str, Definition] = {}
        for tool in self._tools:
            if isinstance(tool, Definition):
                if tool.name in self._functions:
                    raise InvalidRequest(
                        f"two tools are called {tool.name!r}: rename one, or give an MCP server's a prefix, "
                        'McpTools(server, prefix="…")',
                        "tools",
                    )
                self._functions[tool.name] = tool
        self._safe = safe_names(list(self._functions))
        self._by_name = {**{self._safe[name]: tool for name, tool in self._functions.items()}, **self._functions}
        self._compiled: dict[tuple[Dialect, bool], Compiled] = {}

    @property
    def names(self) -> list[str]:
        """The tools' own names, without the built-ins."""
        self._check_open()
        return list(self._functions)

    @property
    def digests(self) -> dict[str, str]:
        """What each tool of an MCP server is pinned to, by name: keep it, and give it as `approved` the next time."""
        self._check_open()
        return {name: digest for server in self._servers for name, digest in server.digests.items()}

    def __contains__(self, name: object) -> bool:
        """Whether a call of that name, a tool's own or one that a vendor was given for it, is for one of these."""
        self._check_open()
        return name in self._by_name

    def __iter__(self) -> NoReturn:
        """Refused: what would come out are not the tools that anybody else's list takes."""
        raise InvalidRequest(
            "Tools is no list of tools that could be given to another's `tools=`, which would convert their schemas again: in create_agent "
            "use middleware=[ToolsMiddleware(tools)], for a chat model bind(tools, model), both from bridge.langgraph; elsewhere "
            "tools.compile(...).definitions",
            "tools",
        )

    def __repr__(self) -> str:
        return f"Tools({', '.join(map(repr, self._functions)) or 'none'})"

    def compile(self, dialect: str | Dialect, *, strict: bool = False, on_lossy: OnLossy = "report") -> Compiled:
        """These tools as one vendor takes them: "interactions", "anthropic", "openai", "mcp", or a `Dialect`.

        `strict` asks for the vendor's strict mode, in which it guarantees arguments that fit. With `on_lossy="raise"` whatever the
        vendor does not enforce is an error. Raises `ToolRefused`, with the whole report, for what the vendor refuses;
        `NotConfigured` where the dialect's adapter is not installed; `InvalidRequest` where there is no such dialect or strict mode.
        """
        self._check_open()
        spoken = dialect_of(dialect)
        key = (spoken, strict)
        if key not in self._compiled:
            self._compiled[key] = compile_tools(self._tools, spoken, self._safe, strict=strict)
        made = self._compiled[key]
        if on_lossy == "raise":
            refuse(made.report, spoken.name, made.lossy)
        elif on_lossy != "report":
            raise InvalidRequest(f'on_lossy is "report" or "raise", not {on_lossy!r}', "on_lossy")
        return made.copy()

    async def run(self, call: Any) -> Result:
        """Runs one call: {"name", "args", "id"} (LangChain's ToolCall) or a `function_call` step.

        The name may be the tool's own or the one that a vendor was given for it. Arguments are checked against the schema first. What
        the model may learn of an error is the result's `content`, with `is_error`; `cause` is for the caller. After `timeout` seconds
        the call is given up; a synchronous function's thread cannot be stopped and runs to its end.
        Raises `InvalidRequest` for what is no call, and for a definition without anything that runs it.
        """
        from .running import Result, call_of, run

        self._check_open()
        name, arguments, call_id = call_of(call)
        tool = self._by_name.get(name)
        if tool is None:
            known = ", ".join(self._functions) or "none"
            return Result(call_id, name, f"there is no tool {name!r}; there are: {known}", True)
        return await run(tool, name, arguments, call_id, self._timeout)

    async def __aenter__(self) -> Self:
        """Opens the MCP servers, at once, and reads and pins their tools."""
        if self._open is not None:
            raise InvalidRequest("these tools are open already", "tools")
        async with AsyncExitStack() as stack:
            for server in self._servers:
                stack.push_async_callback(server.aclose)
            opening = (server.open(self._approved) for server in self._servers)
            listed: list[Any] = await asyncio.gather(
                *opening, return_exceptions=True
            )  # all have ended before one is closed
            for error in listed:
                if isinstance(error, BaseException):
                    raise error
            found = dict(zip(map(id, self._servers), listed, strict=True))
            self._settle(one for tool in self._given for one in found.get(id(tool), [tool]))
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stack, self._open = self._open, None
        if stack is not None:
            await stack.aclose()

    def _check_open(self) -> None:
        if self._servers and self._open is None:
            raise InvalidRequest(
                "there are MCP servers among these tools: `async with Tools([...]) as tools` opens them", "tools"
            )


def _is_server(tool: Definition | Capability | McpTools) -> TypeGuard[McpTools]:
    return not isinstance(tool, (Definition, *_CAPABILITIES))


def _read(tool: Any, where: str) -> Definition | Capability | McpTools:
    if isinstance(tool, Capability):
        return tool
    if isinstance(tool, str) or type(tool).__module__.partition(".")[0] in ("mcp", "fastmcp") or _is_mcp_tools(tool):
        from .servers import server_of

        return server_of(tool, where)
    return definition_of(tool, where)


def _is_mcp_tools(tool: Any) -> bool:
    return type(tool).__module__ == "bridge.tools.servers"
