"""A tool's definition, read from what people define tools with: a function, a LangChain tool, a plain dict, what an MCP server lists.

Each has a name, a description, a JSON Schema of its arguments and, but for plain definitions, a way to run it. LangChain's tools and
MCP's are read by their attributes, so neither library is imported. Validating arguments and shaping results is `running`'s.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from bridge.errors import InvalidRequest

from .schemas.reading import Reading, copied, read
from .schemas.walking import Steps, compiled

if TYPE_CHECKING:
    from .validating import Validator

__all__ = ["Definition", "Output", "Run", "ToolError", "definition_of"]

Run = Callable[[dict[str, Any], str], Awaitable[Any]]
"""Runs a tool with valid arguments and the call's id; gives its result or an `Output`, or raises."""


class ToolError(Exception):
    """Raised by a tool to tell the model what went wrong: its text is what the model reads."""


@dataclass(frozen=True)
class Output:
    """What a tool gave that knows its own text and whether it is an error."""

    text: str
    is_error: bool = False


@dataclass(frozen=True)
class Definition:
    """One tool: `parameters` is the JSON Schema of its arguments, `run` what runs it, None where nothing does here."""

    name: str
    description: str
    parameters: Any
    run: Run | None = field(default=None, repr=False, compare=False)

    @cached_property
    def reading(self) -> Reading:
        """The schema, read. Raises `InvalidRequest` where it is none or refers out of itself, `RecursionError` where it is too deep."""
        return read(self.parameters)

    @cached_property
    def validator(self) -> Validator:
        """Checks arguments against the schema; it follows no reference out of it. Raises as `reading` does."""
        from .validating import validator

        return validator(compiled(self.name, self.reading, Steps())[0])


def definition_of(tool: Any, where: str) -> Definition:
    """The definition of one tool. Raises `InvalidRequest`, naming `where`, for what is none."""
    try:
        return _definition(tool, where)
    except RecursionError:
        raise InvalidRequest(f"{where} is nested too deeply", "tools") from None


def _definition(tool: Any, where: str) -> Definition:
    if isinstance(tool, Mapping):
        return _plain(tool, where)
    if hasattr(tool, "tool_call_schema") and hasattr(tool, "ainvoke"):
        return _langchain(tool, where)
    if hasattr(tool, "input_schema") and isinstance(getattr(tool, "name", None), str):
        return Definition(tool.name, tool.description or "", copied(tool.input_schema))
    if callable(tool) and not isinstance(tool, type):
        return _function(tool, where)
    raise InvalidRequest(
        f"{where} is no tool: {type(tool).__name__}. Give a function, a LangChain tool, an MCP client or server, a built-in such "
        'as WebSearch(), or {"name": ..., "description": ..., "parameters": a JSON Schema}',
        "tools",
    )


def _plain(tool: Mapping[str, Any], where: str) -> Definition:
    unknown = tool.keys() - {"name", "description", "parameters"}
    if unknown or not isinstance(tool.get("name"), str):
        fault = f"has the unknown {', '.join(sorted(map(str, unknown)))}" if unknown else "has no name"
        raise InvalidRequest(f"{where} {fault}; a definition is name, description and parameters", "tools")
    parameters = tool.get("parameters")
    schema = {"type": "object", "properties": {}} if parameters is None else copied(parameters)
    return Definition(tool["name"], tool.get("description") or "", schema)


def _langchain(tool: Any, where: str) -> Definition:
    try:
        schema = tool.tool_call_schema
        if not isinstance(schema, Mapping):
            schema = schema.model_json_schema() if hasattr(schema, "model_json_schema") else schema.schema()
    except Exception as error:  # noqa: BLE001 - whatever a tool of others raises, the error names the tool
        raise InvalidRequest(f"{where} ({tool.name!r}) has no JSON Schema: {error}", "tools") from None

    async def run(arguments: dict[str, Any], call_id: str) -> Any:
        message = await tool.ainvoke({"name": tool.name, "args": arguments, "id": call_id, "type": "tool_call"})
        content = getattr(message, "content", message)
        return Output(_text_of(content), True) if getattr(message, "status", "") == "error" else _text_of(content)

    return Definition(tool.name, tool.description or "", copied(dict(schema)), run)


def _text_of(content: Any) -> Any:
    """The text of a message's content, where that is all it has."""
    if isinstance(content, list) and content and all(isinstance(block, dict) and "text" in block for block in content):
        return "\n".join(str(block["text"]) for block in content)
    return content


def _function(function: Callable[..., Any], where: str) -> Definition:
    """A typed function: its signature is the schema, its docstring the description. A synchronous one runs in a thread."""
    from pydantic import TypeAdapter, ValidationError
    from pydantic.errors import PydanticUserError
    from pydantic.json_schema import GenerateJsonSchema
    from pydantic_core import ArgsKwargs

    class Untitled(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

        def get_title_from_name(self, name: str) -> str:
            return ""

    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        raise InvalidRequest(f"{where} is a callable without a name of its own; define it with def", "tools")

    @functools.wraps(function)
    def bound(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, kwargs

    try:
        adapter: TypeAdapter[Any] = TypeAdapter(cast(Any, bound))
        schema = adapter.json_schema(schema_generator=Untitled)
    except (PydanticUserError, NameError, TypeError, KeyError) as error:
        raise InvalidRequest(f"{where} ({name!r}) has no JSON Schema: {error}", "tools") from None
    if schema.get("type") != "object":
        raise InvalidRequest(f"{where} ({name!r}) takes arguments by position only, and a call names them", "tools")

    async def run(arguments: dict[str, Any], call_id: str) -> Any:
        try:
            args, kwargs = adapter.validate_python(ArgsKwargs((), arguments))
        except ValidationError as error:
            faults = (f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}" for fault in error.errors())
            raise ToolError(f"the arguments do not fit: {'; '.join(faults)}") from error
        if inspect.iscoroutinefunction(function):
            return await function(*args, **kwargs)
        result = await asyncio.to_thread(function, *args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    return Definition(name, inspect.getdoc(function) or "", schema, run)
