"""One call of a tool: its arguments checked against the schema, the tool run within a time, its result as a text that every vendor takes.

What goes wrong is told to the model as an error of the tool. What the model must not see (tracebacks, the text of an exception, which
may hold a secret) stays in `Result.cause`, for the caller. A cancelled call is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from bridge.errors import InvalidRequest

from .definitions import Definition, Output, ToolError
from .validating import fitting

__all__ = ["Result", "call_of", "run"]

logger = logging.getLogger("bridge.tools")


@dataclass(frozen=True)
class Result:
    """What a call gave: `content` is the text for the model, `cause` what the tool raised, for the caller alone."""

    call_id: str
    name: str
    content: str
    is_error: bool = False
    cause: BaseException | None = field(default=None, repr=False, compare=False)


def call_of(call: Any) -> tuple[str, Any, str]:
    """Name, arguments and id of a call: LangChain's ToolCall, or a `function_call` step (a dict or `bridge.interactions`' own)."""
    if not isinstance(call, Mapping):
        call = {key: getattr(call, key, None) for key in ("name", "arguments", "id")}
    name, arguments = call.get("name"), call.get("args", call.get("arguments"))
    if not isinstance(name, str):
        raise InvalidRequest('a call has a name, args and an id: {"name": ..., "args": {...}, "id": ...}', "call")
    return name, {} if arguments is None else arguments, str(call.get("id") or "")


async def run(tool: Definition, name: str, arguments: Any, call_id: str, timeout: float | None) -> Result:
    """Runs one call. `timeout` is in seconds."""
    if tool.run is None:
        raise InvalidRequest(f"the tool {tool.name!r} is a definition without anything that runs it", "call")
    try:
        arguments = fitting(tool.validator, arguments)
    except (InvalidRequest, RecursionError) as error:
        return Result(call_id, name, "the tool's own schema cannot be used, so it is not run", True, error)
    except ToolError as error:
        return Result(call_id, name, str(error), True, error)
    try:
        async with asyncio.timeout(timeout) as limit:
            output = await tool.run(arguments, call_id)
        if isinstance(output, Output):
            return Result(call_id, name, output.text, output.is_error)
        return Result(call_id, name, _text(output))
    except ToolError as error:
        return Result(call_id, name, str(error), True, error)
    except Exception as error:  # noqa: BLE001 - a tool may raise anything, and the model is told that it failed
        if isinstance(error, TimeoutError) and limit.expired():
            return Result(call_id, name, f"the tool did not answer within {timeout:g} seconds", True, error)
        logger.warning("tool %r failed: %s", tool.name, type(error).__name__)
        told = str(error) if _speaks(error) else f"the tool failed ({type(error).__name__})"
        return Result(call_id, name, told, True, error)


def _speaks(error: Exception) -> bool:
    """Whether the text of the exception is meant for the model: LangChain's and MCP's own exceptions for that."""
    return any(kind.__name__ in ("ToolException", "ToolError") for kind in type(error).__mro__)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return to_json(value).decode()
    except (PydanticSerializationError, UnicodeDecodeError):
        raise ToolError(f"the tool gave a {type(value).__name__}, which is no JSON") from None
