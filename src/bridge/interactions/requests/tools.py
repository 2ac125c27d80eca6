"""Tools as the API takes them in a request: functions of the caller and the server's own tools.

Source: Interactions API reference, "Tool". Compiling a shared tool definition to these is left to `bridge.tools`.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field

from .._open import Model, Number, OpenUnion, Unknown

__all__ = [
    "AllowedTools",
    "CodeExecutionTool",
    "ComputerUseTool",
    "FileSearchTool",
    "FunctionTool",
    "GoogleMapsTool",
    "GoogleSearchTool",
    "HybridSearch",
    "McpServerTool",
    "RagResource",
    "RagRetrievalConfig",
    "RagStoreConfig",
    "RankService",
    "Ranking",
    "RetrievalFilter",
    "RetrievalTool",
    "Tool",
    "ToolSearchTool",
    "UrlContextTool",
    "VertexAiSearchConfig",
    "WebSearchConfig",
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
    latitude: Number | None = None
    longitude: Number | None = None


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
    """A remote MCP server (streamable HTTP) that the API calls itself."""

    type: Literal["mcp_server"] = "mcp_server"
    name: str | None = None
    url: str | None = None
    headers: dict[str, str] | None = Field(default=None, repr=False)  # they carry credentials
    allowed_tools: list[AllowedTools] | None = None


class VertexAiSearchConfig(Model):
    """Which Vertex AI Search engine or data stores are searched."""

    engine: str | None = None
    datastores: list[str] | None = None


class RagResource(Model):
    """A corpus, or some of its files."""

    rag_corpus: str | None = None
    rag_file_ids: list[str] | None = None


class HybridSearch(Model):
    """How keyword and meaning are weighed: 0 is keywords alone, 1 is meaning alone."""

    alpha: Number | None = None


class RetrievalFilter(Model):
    """What is left out of the results."""

    metadata_filter: str | None = None
    vector_distance_threshold: Number | None = None
    vector_similarity_threshold: Number | None = None


class RankService(Model):
    """The model that ranks."""

    model_name: str | None = None


class Ranking(Model):
    """How the results are ranked. `ranking_config`: rank_service."""

    model_name: str | None = None
    ranking_config: str | None = None
    rank_service: RankService | None = None


class RagRetrievalConfig(Model):
    """How a corpus is searched."""

    top_k: int | None = None
    filter: RetrievalFilter | None = None
    hybrid_search: HybridSearch | None = None
    ranking: Ranking | None = None


class RagStoreConfig(Model):
    """Which corpora are searched, and how. The last two fields are deprecated: `rag_retrieval_config` says the same."""

    rag_resources: list[RagResource] | None = None
    rag_retrieval_config: RagRetrievalConfig | None = None
    similarity_top_k: int | None = None
    vector_distance_threshold: Number | None = None


class WebSearchConfig(Model):
    """The account and settings of a search service (Exa, Parallel)."""

    api_key: str | None = Field(default=None, repr=False)
    custom_config: dict[str, Any] | None = None


class RetrievalTool(Model):
    """The server retrieves from data stores or search services, one config for each of `retrieval_types`."""

    type: Literal["retrieval"] = "retrieval"
    retrieval_types: list[str] | None = None
    vertex_ai_search_config: VertexAiSearchConfig | None = None
    rag_store_config: RagStoreConfig | None = None
    exa_ai_search_config: WebSearchConfig | None = None
    parallel_ai_search_config: WebSearchConfig | None = None


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
KINDS: dict[str, type[Model]] = {model.__kind__[1]: model for model in _ALL if model.__kind__}

TOOL = OpenUnion("tool", KINDS)

if TYPE_CHECKING:
    Tool: TypeAlias = (
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
    Tool = Annotated[Any, TOOL]
