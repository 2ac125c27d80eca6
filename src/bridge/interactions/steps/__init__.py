"""Steps: the things an interaction did, one by one, as the API names them.

A call and its result are two steps joined by the call's id. Source: Interactions API reference, "Step". What a stream sends of
a step is in `deltas`, the steps of the server's own tools are in `server_tools`; which calls still wait for an answer is
answered by `pending_calls`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from .._open import Model, OpenStruct, OpenUnion, Unknown
from ..content import KINDS as CONTENT_KINDS
from ..content import Content

if TYPE_CHECKING:
    from .server_tools import (
        CodeExecutionCall,
        CodeExecutionResult,
        FileSearchCall,
        FileSearchResult,
        GoogleMapsCall,
        GoogleMapsResult,
        GoogleSearchCall,
        GoogleSearchResult,
        McpServerToolCall,
        McpServerToolResult,
        ProcessingCall,
        ProcessingResult,
        RetrievalCall,
        RetrievalResult,
        ToolSearchCall,
        ToolSearchResult,
        UrlContextCall,
        UrlContextResult,
    )

__all__ = [
    "FunctionCall",
    "FunctionResult",
    "ModelOutput",
    "Status",
    "Step",
    "Thought",
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


KINDS: dict[str, type[Model]] = {
    "user_input": UserInput,
    "model_output": ModelOutput,
    "thought": Thought,
    "function_call": FunctionCall,
    "function_result": FunctionResult,
}
STEP = OpenUnion("step", KINDS, "steps.server_tools:STEP_KINDS")
# A request's input may mix no kinds, but it may be a list of either.
INPUT_ITEM = OpenUnion("input", KINDS, CONTENT_KINDS, "steps.server_tools:STEP_KINDS")

if TYPE_CHECKING:
    Step: TypeAlias = (
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
    InputItem: TypeAlias = Step | Content
else:
    Step = Annotated[Any, STEP]
    InputItem = Annotated[Any, INPUT_ITEM]


def pending_calls(steps: Iterable[Step]) -> list[FunctionCall]:
    """The function calls that wait for the caller's answer, in order.

    A `function_call` whose `function_result` is among the steps was answered by the server itself (agents' own tools). A
    result counts also where its other fields are not known.
    """
    steps = list(steps)
    answered = [
        step.call_id
        for step in steps
        if isinstance(step, FunctionResult | Unknown)
        and getattr(step, "type", None) == "function_result"
        and hasattr(step, "call_id")
    ]
    return [step for step in steps if isinstance(step, FunctionCall) and step.id not in answered]
