"""The server's own tools at work: their calls and results, as steps and as the deltas that a stream sends of them.

Source: Interactions API reference, "Step", "StepDelta". What makes the server have a tool is in `tools`. The caller's own
functions are in `steps`.
"""

from typing import Any, Literal

from .._open import Model
from ..content import Content
from ..content.annotations import ReviewSnippet
from . import ResultValue, _Call, _Result
from .deltas import _Whole

__all__ = [
    "CodeExecutionArguments",
    "CodeExecutionCall",
    "CodeExecutionCallDelta",
    "CodeExecutionResult",
    "CodeExecutionResultDelta",
    "FileSearchCall",
    "FileSearchCallDelta",
    "FileSearchResult",
    "FileSearchResultDelta",
    "GoogleMapsCall",
    "GoogleMapsCallDelta",
    "GoogleMapsPlace",
    "GoogleMapsPlaces",
    "GoogleMapsResult",
    "GoogleMapsResultDelta",
    "GoogleSearchCall",
    "GoogleSearchCallDelta",
    "GoogleSearchResult",
    "GoogleSearchResultDelta",
    "McpServerToolCall",
    "McpServerToolCallDelta",
    "McpServerToolResult",
    "McpServerToolResultDelta",
    "ProcessingCall",
    "ProcessingCallDelta",
    "ProcessingResult",
    "ProcessingResultDelta",
    "Queries",
    "RetrievalCall",
    "RetrievalCallDelta",
    "RetrievalResult",
    "RetrievalResultDelta",
    "SearchSuggestions",
    "ToolSearchCall",
    "ToolSearchCallDelta",
    "ToolSearchResult",
    "ToolSearchResultDelta",
    "UrlContextArguments",
    "UrlContextCall",
    "UrlContextCallDelta",
    "UrlContextResult",
    "UrlContextResultDelta",
    "UrlStatus",
]


class CodeExecutionArguments(Model):
    """A program: its text and its language, "python" or "bash"."""

    code: str | None = None
    language: str | None = None


class CodeExecutionCall(_Call):
    """A program the server runs."""

    type: Literal["code_execution_call"] = "code_execution_call"
    arguments: CodeExecutionArguments = CodeExecutionArguments.model_construct()


class CodeExecutionResult(_Result):
    """What the program printed, or content since version 3 of the official SDK."""

    type: Literal["code_execution_result"] = "code_execution_result"
    result: str | list[Content] = ""


class UrlContextArguments(Model):
    """The pages to read."""

    urls: list[str] | None = None


class UrlContextCall(_Call):
    """Pages the server reads."""

    type: Literal["url_context_call"] = "url_context_call"
    arguments: UrlContextArguments = UrlContextArguments.model_construct()


class UrlStatus(Model):
    """How the reading of one page ended: success, error, paywall or unsafe."""

    url: str | None = None
    status: str | None = None


class UrlContextResult(_Result):
    """How the reading of the pages ended."""

    type: Literal["url_context_result"] = "url_context_result"
    result: list[UrlStatus] = []


class Queries(Model):
    """What is searched for."""

    queries: list[str] | None = None


class GoogleSearchCall(_Call):
    """A web search the server makes."""

    type: Literal["google_search_call"] = "google_search_call"
    arguments: Queries = Queries.model_construct()
    search_type: str | None = None


class SearchSuggestions(Model):
    """HTML that must be shown beside a grounded answer."""

    search_suggestions: str | None = None


class GoogleSearchResult(_Result):
    """What the search gave to show."""

    type: Literal["google_search_result"] = "google_search_result"
    result: list[SearchSuggestions] = []


class GoogleMapsCall(_Call):
    """A map search the server makes."""

    type: Literal["google_maps_call"] = "google_maps_call"
    arguments: Queries | None = None


class GoogleMapsPlace(Model):
    """A place found."""

    name: str | None = None
    place_id: str | None = None
    url: str | None = None
    review_snippets: list[ReviewSnippet] | None = None


class GoogleMapsPlaces(Model):
    """Places found, and a token for the map widget."""

    places: list[GoogleMapsPlace] | None = None
    widget_context_token: str | None = None


class GoogleMapsResult(_Result):
    """What the map search found."""

    type: Literal["google_maps_result"] = "google_maps_result"
    result: list[GoogleMapsPlaces] = []


class FileSearchCall(_Call):
    """A file search the server makes."""

    type: Literal["file_search_call"] = "file_search_call"


class FileSearchResult(_Result):
    """The end of a file search; what it found shows as file citations."""

    type: Literal["file_search_result"] = "file_search_result"
    result: list[dict[str, Any]] | None = None


class McpServerToolCall(_Call):
    """A tool of a remote MCP server that the API calls itself."""

    type: Literal["mcp_server_tool_call"] = "mcp_server_tool_call"
    name: str
    server_name: str
    arguments: dict[str, Any] = {}


class McpServerToolResult(_Result):
    """What the remote MCP server answered."""

    type: Literal["mcp_server_tool_result"] = "mcp_server_tool_result"
    name: str | None = None
    server_name: str | None = None
    result: ResultValue | None = None


class RetrievalCall(_Call):
    """A retrieval the server makes from a data store."""

    type: Literal["retrieval_call"] = "retrieval_call"
    arguments: Queries = Queries.model_construct()
    retrieval_type: str | None = None


class RetrievalResult(_Result):
    """The end of a retrieval."""

    type: Literal["retrieval_result"] = "retrieval_result"


class ProcessingCall(_Call):
    """An analysis of media the server makes."""

    type: Literal["processing_call"] = "processing_call"


class ProcessingResult(_Result):
    """The end of an analysis of media."""

    type: Literal["processing_result"] = "processing_result"


class ToolSearchCall(_Call):
    """The model loads deferred tool definitions (`defer_loading`)."""

    type: Literal["tool_search_call"] = "tool_search_call"
    arguments: dict[str, Any] = {}


class ToolSearchResult(_Result):
    """The definitions loaded."""

    type: Literal["tool_search_result"] = "tool_search_result"
    result: list[dict[str, Any]] = []


class CodeExecutionCallDelta(_Whole):
    """The program to run."""

    type: Literal["code_execution_call"] = "code_execution_call"
    arguments: CodeExecutionArguments | None = None


class CodeExecutionResultDelta(_Whole):
    """What the program printed."""

    type: Literal["code_execution_result"] = "code_execution_result"
    result: str | list[Content] | None = None
    is_error: bool | None = None


class UrlContextCallDelta(_Whole):
    """The pages to read."""

    type: Literal["url_context_call"] = "url_context_call"
    arguments: UrlContextArguments | None = None


class UrlContextResultDelta(_Whole):
    """How the reading ended."""

    type: Literal["url_context_result"] = "url_context_result"
    result: list[UrlStatus] | None = None
    is_error: bool | None = None


class GoogleSearchCallDelta(_Whole):
    """What is searched for."""

    type: Literal["google_search_call"] = "google_search_call"
    arguments: Queries | None = None


class GoogleSearchResultDelta(_Whole):
    """What the search gave to show."""

    type: Literal["google_search_result"] = "google_search_result"
    result: list[SearchSuggestions] | None = None
    is_error: bool | None = None


class GoogleMapsCallDelta(_Whole):
    """What is searched for on the map."""

    type: Literal["google_maps_call"] = "google_maps_call"
    arguments: Queries | None = None


class GoogleMapsResultDelta(_Whole):
    """Places found."""

    type: Literal["google_maps_result"] = "google_maps_result"
    result: list[GoogleMapsPlaces] | None = None


class FileSearchCallDelta(_Whole):
    """A file search begins."""

    type: Literal["file_search_call"] = "file_search_call"


class FileSearchResultDelta(_Whole):
    """A file search ends."""

    type: Literal["file_search_result"] = "file_search_result"
    result: list[dict[str, Any]] | None = None


class McpServerToolCallDelta(_Whole):
    """A remote MCP tool is called."""

    type: Literal["mcp_server_tool_call"] = "mcp_server_tool_call"
    name: str | None = None
    server_name: str | None = None
    arguments: dict[str, Any] | None = None


class McpServerToolResultDelta(_Whole):
    """What the remote MCP tool answered."""

    type: Literal["mcp_server_tool_result"] = "mcp_server_tool_result"
    name: str | None = None
    server_name: str | None = None
    result: ResultValue | None = None


class RetrievalCallDelta(_Whole):
    """What is retrieved."""

    type: Literal["retrieval_call"] = "retrieval_call"
    arguments: Queries | None = None
    retrieval_type: str | None = None


class RetrievalResultDelta(_Whole):
    """A retrieval ends."""

    type: Literal["retrieval_result"] = "retrieval_result"
    is_error: bool | None = None


class ProcessingCallDelta(_Whole):
    """An analysis of media begins."""

    type: Literal["processing_call"] = "processing_call"


class ProcessingResultDelta(_Whole):
    """An analysis of media ends."""

    type: Literal["processing_result"] = "processing_result"


class ToolSearchCallDelta(_Whole):
    """Deferred tool definitions are loaded."""

    type: Literal["tool_search_call"] = "tool_search_call"
    arguments: dict[str, Any] | None = None


class ToolSearchResultDelta(_Whole):
    """The definitions loaded."""

    type: Literal["tool_search_result"] = "tool_search_result"
    result: list[dict[str, Any]] | None = None


def _by_kind(*models: type[Model]) -> dict[str, type[Model]]:
    return {model.__kind__[1]: model for model in models if model.__kind__}


STEP_KINDS = _by_kind(
    CodeExecutionCall,
    CodeExecutionResult,
    UrlContextCall,
    UrlContextResult,
    GoogleSearchCall,
    GoogleSearchResult,
    GoogleMapsCall,
    GoogleMapsResult,
    FileSearchCall,
    FileSearchResult,
    McpServerToolCall,
    McpServerToolResult,
    RetrievalCall,
    RetrievalResult,
    ProcessingCall,
    ProcessingResult,
    ToolSearchCall,
    ToolSearchResult,
)
DELTA_KINDS = _by_kind(
    CodeExecutionCallDelta,
    CodeExecutionResultDelta,
    UrlContextCallDelta,
    UrlContextResultDelta,
    GoogleSearchCallDelta,
    GoogleSearchResultDelta,
    GoogleMapsCallDelta,
    GoogleMapsResultDelta,
    FileSearchCallDelta,
    FileSearchResultDelta,
    McpServerToolCallDelta,
    McpServerToolResultDelta,
    RetrievalCallDelta,
    RetrievalResultDelta,
    ProcessingCallDelta,
    ProcessingResultDelta,
    ToolSearchCallDelta,
    ToolSearchResultDelta,
)
