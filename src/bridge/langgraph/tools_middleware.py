"""`ToolsMiddleware`: one list of tools in an agent of `create_agent`, for whichever vendor's model is asked next.

Handing the tools to the agent itself would send them through the converters of LangChain's classes, which change schemas without a word.
Here the model is given what `Tools.compile` gives for its vendor, and the calls that come back are run by `Tools.run`, under either name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.tools import StructuredTool

from bridge._portal import PortalRunner
from bridge.errors import InvalidRequest, NotConfigured
from bridge.tools import Dialect, Tools
from bridge.tools.compiling import OnLossy

from .binding import answered, compiled_for

try:
    from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse, ToolCallRequest
except ImportError as error:
    raise NotConfigured(
        f"ToolsMiddleware needs langchain, which is not installed: pip install langchain ({error})"
    ) from None

__all__ = ["ToolsMiddleware"]


class ToolsMiddleware(AgentMiddleware[Any, Any, Any]):
    """Gives an agent the tools: `create_agent(model, middleware=[ToolsMiddleware(tools)])`, beside its `tools=` or without any.

    The vendor is found from the model of each request, so that it may change from one to the next. Put it behind middleware that
    chooses the model. MCP servers among the tools are opened by the caller (`async with tools`), for as long as the agent is used.

    `dialect`, `strict` and `on_lossy` are those of `bind`. A request raises what `bind` raises, and `InvalidRequest` where the agent has
    another tool of the same name.
    """

    def __init__(
        self,
        tools: Tools,
        *,
        dialect: str | Dialect | None = None,
        strict: bool = False,
        on_lossy: OnLossy = "report",
    ) -> None:
        super().__init__()
        self._tools = tools
        self._how: dict[str, Any] = {"dialect": dialect, "strict": strict, "on_lossy": on_lossy}

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Calls the model with the tools as its vendor takes them."""
        return handler(self._equipped(request))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Calls the model with the tools as its vendor takes them."""
        return await handler(self._equipped(request))

    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Any]) -> Any:
        """Runs a call of one of the tools."""
        if request.tool_call["name"] in self._tools:
            return PortalRunner().run(answered(self._tools, request.tool_call))
        return handler(request)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Any]]
    ) -> Any:
        """Runs a call of one of the tools."""
        if request.tool_call["name"] in self._tools:
            return await answered(self._tools, request.tool_call)
        return await handler(request)

    def _equipped(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        for tool in request.tools:
            if (name := getattr(tool, "name", None)) in self._tools:
                raise InvalidRequest(
                    f"two tools are called {name!r}: one of the agent's own and one of ToolsMiddleware's; rename one",
                    "tools",
                )
        compiled = compiled_for(self._tools, request.model, **self._how)
        definitions: list[Any] = compiled.definitions
        if compiled.dialect == "anthropic":
            definitions = [one if "input_schema" in one else _carried(one) for one in definitions]
        return request.override(
            tools=[*request.tools, *definitions],
            model_settings={**request.model_settings, **compiled.request},
        )


def _carried(definition: dict[str, Any]) -> StructuredTool:
    """A built-in of Anthropic's in a tool that carries it: ChatAnthropic takes one that it does not know for a function otherwise."""
    return StructuredTool(
        name=definition.get("name", definition["type"]),
        description="",
        args_schema={"type": "object", "properties": {}},
        extras={"provider_tool_definition": definition},
    )
