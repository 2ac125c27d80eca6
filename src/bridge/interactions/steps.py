"""Steps: the things an interaction did, one by one, as the API names them.

A call and its result are two steps joined by the call's id. Source: Interactions API reference, "Step". What a stream sends of
a step is in `deltas`; which calls still wait for an answer is answered by `pending_calls`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ._open import Model, OpenStruct, OpenUnion, Unknown
from .content import CONTENT, Content, ReviewSnippet

__all__ = [
    "CodeExecutionArguments",
    "CodeExecutionCall",
    "CodeExecutionResult",
    "FileSearchCall",
    "FileSearchResult",
    "FunctionCall",
    "FunctionResult",
    "GoogleMapsCall",
    "GoogleMapsPlace",
    "GoogleMapsPlaces",
    "GoogleMapsResult",
    "GoogleSearchCall",
    "GoogleSearchResult",
    "McpServerToolCall",
    "McpServerToolResult",
    "ModelOutput",
    "ProcessingCall",
    "ProcessingResult",
    "Queries",
    "RetrievalCall",
    "RetrievalResult",
    "SearchSuggestions",
    "Status",
    "Step",
    "Thought",
    "ToolSearchCall",
    "ToolSearchResult",
    "UrlContextArguments",
    "UrlContextCall",
    "UrlContextResult",
    "UrlStatus",
    "UserInput",
    "pending_calls",
]


class Status(Model):
    """Why an output failed, in the shape of google.rpc.Status."""

    code: int | None = None
    message: str | None = None
    details: list[dict[str, Any]] | None = None


class UserInput(Model):
    """What the user said."""

    type: Literal["user_input"] = "user_input"
    content: list[Content] | None = None


class ModelOutput(Model):
    """What the model answered; `error` where the output was blocked or broke off."""

    type: Literal["model_output"] = "model_output"
    content: list[Content] | None = None
    error: Annotated[Status | Unknown, OpenStruct("status", Status)] | None = None


class Thought(Model):
    """The model's thinking: an opaque signature that must go back untouched, and a summary where one was asked for."""

    type: Literal["thought"] = "thought"
    signature: str | None = None
    summary: list[Content] | None = None


class _Call(Model):
    """A call; `id` joins it to its result. The API sends an empty signature where there is none."""

    id: str
    signature: str | None = None


class _Result(Model):
    """A result; `call_id` joins it to its call. What it holds may be missing where a stream has only begun it."""

    call_id: str
    is_error: bool | None = None
    signature: str | None = None


class FunctionCall(_Call):
    """A function the model wants called: by the caller, unless a `function_result` of the same id follows."""

    type: Literal["function_call"] = "function_call"
    name: str
    arguments: dict[str, Any] = {}


# An object, a text, or a list of content.
ResultValue = dict[str, Any] | str | list[Content]


class FunctionResult(_Result):
    """The answer to a `function_call`."""

    type: Literal["function_result"] = "function_result"
    name: str | None = None
    result: ResultValue | None = None


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


_ALL: tuple[type[Model], ...] = (
    UserInput,
    ModelOutput,
    Thought,
    FunctionCall,
    FunctionResult,
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
KINDS: dict[str, type[Model]] = {
    model.__kind__[1]: model for model in _ALL if model.__kind__
}
STEP = OpenUnion("step", KINDS)
# A request's input may mix no kinds, but it may be a list of either.
INPUT_ITEM = OpenUnion("input", {**KINDS, **CONTENT.kinds})

if TYPE_CHECKING:
    Step = (
        UserInput
        | ModelOutput
        | Thought
        | FunctionCall
        | FunctionResult
        | CodeExecutionCall
        | CodeExecutionResult
        | UrlContextCall
        | UrlContextResult
        | GoogleSearchCall
        | GoogleSearchResult
        | GoogleMapsCall
        | GoogleMapsResult
        | FileSearchCall
        | FileSearchResult
        | McpServerToolCall
        | McpServerToolResult
        | RetrievalCall
        | RetrievalResult
        | ProcessingCall
        | ProcessingResult
        | ToolSearchCall
        | ToolSearchResult
        | Unknown
    )
    InputItem = Step | Content
else:
    Step = Annotated[Any, STEP]
    InputItem = Annotated[Any, INPUT_ITEM]


def pending_calls(steps: Iterable[Step]) -> list[FunctionCall]:
    """The function calls that wait for the caller's answer, in order.

    A `function_call` whose `function_result` is among the steps was answered by the server itself (agents' own tools).
    """
    steps = list(steps)
    answered = {step.call_id for step in steps if isinstance(step, FunctionResult)}
    return [
        step
        for step in steps
        if isinstance(step, FunctionCall) and step.id not in answered
    ]
