"""Tools as the API takes them in a request: functions of the caller and the server's own tools.

Source: Interactions API reference, "Tool". Compiling a shared tool definition to these is left to `bridge.tools`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from ._open import Model, OpenUnion, Unknown

__all__ = [
    "AllowedTools",
    "CodeExecutionTool",
    "ComputerUseTool",
    "FileSearchTool",
    "FunctionTool",
    "GoogleMapsTool",
    "GoogleSearchTool",
    "McpServerTool",
    "RetrievalTool",
    "Tool",
    "ToolSearchTool",
    "UrlContextTool",
]


class FunctionTool(Model):
    """A function of the caller. `parameters` is a JSON Schema, sent as it is."""

    type: Literal["function"] = "function"
    name: str
    description: str | None = None
    parameters: Any = None
    defer_loading: bool | None = None
    short_description: str | None = None


class CodeExecutionTool(Model):
    """The server runs programs that the model writes."""

    type: Literal["code_execution"] = "code_execution"


class UrlContextTool(Model):
    """The server reads pages named in the conversation."""

    type: Literal["url_context"] = "url_context"


class GoogleSearchTool(Model):
    """The server searches the web. `search_types`: web_search, image_search, enterprise_web_search."""

    type: Literal["google_search"] = "google_search"
    search_types: list[str] | None = None


class GoogleMapsTool(Model):
    """The server searches the map, around a place in degrees."""

    type: Literal["google_maps"] = "google_maps"
    enable_widget: bool | None = None
    latitude: float | None = None
    longitude: float | None = None


class FileSearchTool(Model):
    """The server searches file stores."""

    type: Literal["file_search"] = "file_search"
    file_search_store_names: list[str] | None = None
    metadata_filter: str | None = None
    top_k: int | None = None


class ComputerUseTool(Model):
    """The model drives a browser, a phone or a desktop; its actions come as function calls."""

    type: Literal["computer_use"] = "computer_use"
    environment: str | None = None
    excluded_predefined_functions: list[str] | None = None
    disabled_safety_policies: list[str] | None = None
    enable_prompt_injection_detection: bool | None = None


class AllowedTools(Model):
    """Which tools may be called: `mode` is auto, any, none or validated."""

    mode: str | None = None
    tools: list[str] | None = None


class McpServerTool(Model):
    """A remote MCP server (streamable HTTP) that the API calls itself. `headers` may hold secrets."""

    type: Literal["mcp_server"] = "mcp_server"
    name: str | None = None
    url: str | None = None
    headers: dict[str, str] | None = None
    allowed_tools: list[AllowedTools] | None = None

    def __repr_args__(self) -> Any:
        """The fields, with the headers' values hidden: they carry credentials."""
        for name, value in super().__repr_args__():
            yield (
                name,
                dict.fromkeys(value, "***")
                if name == "headers" and isinstance(value, dict)
                else value,
            )


class RetrievalTool(Model):
    """The server retrieves from data stores. The nested settings are kept as plain objects; some hold API keys."""

    type: Literal["retrieval"] = "retrieval"
    retrieval_types: list[str] | None = None
    vertex_ai_search_config: dict[str, Any] | None = None
    rag_store_config: dict[str, Any] | None = None
    exa_ai_search_config: dict[str, Any] | None = None
    parallel_ai_search_config: dict[str, Any] | None = None

    def __repr_args__(self) -> Any:
        """The fields, with API keys hidden."""
        for name, value in super().__repr_args__():
            if isinstance(value, dict) and "api_key" in value:
                value = {**value, "api_key": "***"}
            yield name, value


class ToolSearchTool(Model):
    """The model loads deferred tool definitions on demand. `execution` is server or client."""

    type: Literal["tool_search"] = "tool_search"
    execution: str | None = None
    name: str | None = None
    description: str | None = None
    parameters: Any = None


_ALL: tuple[type[Model], ...] = (
    FunctionTool,
    CodeExecutionTool,
    UrlContextTool,
    GoogleSearchTool,
    GoogleMapsTool,
    FileSearchTool,
    ComputerUseTool,
    McpServerTool,
    RetrievalTool,
    ToolSearchTool,
)
KINDS: dict[str, type[Model]] = {
    model.__kind__[1]: model for model in _ALL if model.__kind__
}

if TYPE_CHECKING:
    Tool = (
        FunctionTool
        | CodeExecutionTool
        | UrlContextTool
        | GoogleSearchTool
        | GoogleMapsTool
        | FileSearchTool
        | ComputerUseTool
        | McpServerTool
        | RetrievalTool
        | ToolSearchTool
        | Unknown
    )
else:
    Tool = Annotated[Any, OpenUnion("tool", KINDS)]
