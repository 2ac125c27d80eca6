"""Tools, tool choice and answer formats in the forms LangChain callers use, as the API takes them. Pure functions.

Compiling one tool definition for every vendor, with a report of what is lost, is `bridge.tools`' business: its `Tools` and built-ins
come in here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import (
    convert_to_json_schema,
    convert_to_openai_tool,
)

from bridge.errors import InvalidRequest
from bridge.interactions import Model
from bridge.interactions.requests.config import FORMAT_KINDS
from bridge.interactions.requests.tools import KINDS as TOOL_KINDS
from bridge.tools import Tools
from bridge.tools.capabilities import Capability

__all__ = ["ToolLike", "response_format_of", "tool_choice_of", "tool_of", "tools_of"]

ToolLike = Mapping[str, Any] | type | Callable[..., Any] | BaseTool | Model | Capability
_MODES = ("auto", "any", "none", "validated")


def tools_of(tools: Sequence[ToolLike] | Tools) -> list[dict[str, Any]]:
    """The API's tools: LangChain tools, functions, classes and schemas become functions, the API's own go in as they are."""
    if isinstance(tools, Tools):
        return tools.compile("interactions").definitions
    return [tool_of(tool, f"tools[{number}]") for number, tool in enumerate(tools)]


def tool_of(tool: ToolLike, where: str = "tool") -> dict[str, Any]:
    """One tool of the API. Raises `InvalidRequest`, naming `where`, for a kind of tool it does not have."""
    if isinstance(tool, Model):
        return tool.to_wire()
    if isinstance(tool, Capability):
        return Tools([tool]).compile("interactions").definitions[0]
    if isinstance(tool, Mapping):
        kind = tool.get("type")
        if kind == "function" and "function" not in tool:
            return _function(tool)
        if kind in TOOL_KINDS and kind != "function":
            return deepcopy(dict(tool))
        if kind not in (None, "function", "object", "custom"):
            raise InvalidRequest(
                f"{where}: the Interactions API has no tool of type {kind!r}; it has {', '.join(sorted(TOOL_KINDS))}",
                "tools",
            )
        tool = dict(tool)
    try:
        return _function(convert_to_openai_tool(tool)["function"])
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidRequest(f"{where} cannot be read as a tool: {error}", "tools") from None


def _function(function: Mapping[str, Any]) -> dict[str, Any]:
    """A function as the API takes it. `strict` is OpenAI's: here arguments always follow the schema as far as the model does."""
    if not function.get("name"):
        raise InvalidRequest("a function tool needs a name", "tools")
    wire = {
        name: deepcopy(value)
        for name, value in function.items()
        if name not in ("strict", "type") and value is not None
    }
    parameters = wire.get("parameters")
    if isinstance(parameters, dict):
        parameters.setdefault("type", "object")
        if parameters.get("required") == []:  # refused by the service
            del parameters["required"]
    return {"type": "function", **wire}


def tool_choice_of(choice: Any, tools: Iterable[Mapping[str, Any]]) -> str | dict[str, Any] | None:
    """The API's tool choice: a mode, the name of a tool, a bool (True forces a call), or the forms of OpenAI and Anthropic.

    Raises `InvalidRequest` for a tool that is not among `tools`.
    """
    match choice:
        case None | False:
            return None
        case True | "required":
            return "any"
        case str() if choice in _MODES:
            return choice
        case str():
            names = [str(tool["name"]) for tool in tools if tool.get("type") == "function"]
            if choice not in names:
                raise InvalidRequest(
                    f"tool_choice names {choice!r}, which is not among the tools ({', '.join(names) or 'none'})",
                    "tool_choice",
                )
            return {"allowed_tools": {"mode": "any", "tools": [choice]}}
        case {"allowed_tools": {}}:
            return dict(choice)
        case {"type": "function", "function": {"name": str(name)}} | {"name": str(name)}:
            return (
                tool_choice_of(name, tools)
                if name not in _MODES
                else {"allowed_tools": {"mode": "any", "tools": [name]}}
            )
        case {"type": str(mode)}:
            return tool_choice_of(mode, tools)
    raise InvalidRequest(
        f"tool_choice {choice!r} is none of auto, any, none, required, validated, a tool's name, True or False, "
        "or a dict that names a tool",
        "tool_choice",
    )


def response_format_of(given: Any) -> Any:
    """The API's response format of its own form, of OpenAI's (`json_schema`, `json_object`), of a class or of a JSON schema."""
    if isinstance(given, list | tuple):
        return [response_format_of(item) for item in given]
    if isinstance(given, Model):
        return given.to_wire()
    match given:
        case None:
            return None
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}} | {
            "type": "json_schema",
            "schema": dict(schema),
        }:
            return _json(schema)
        case {"type": "json_object"}:
            return _json(None)
        case {"type": str(kind)} if kind in FORMAT_KINDS:
            return dict(given)
        case type() | {"properties": _} | {"$schema": _} | {"type": "object"}:
            return _json(convert_to_json_schema(given) if isinstance(given, type) else given)
    raise InvalidRequest(
        "response_format is none of the API's own ({'type': 'text', 'mime_type': ..., 'schema': ...}), OpenAI's json_schema "
        f"or json_object, a class, or a JSON schema: {given!r}"[:400],
        "response_format",
    )


def _json(schema: Mapping[str, Any] | None) -> dict[str, Any]:
    wire: dict[str, Any] = {"type": "text", "mime_type": "application/json"}
    return wire if schema is None else {**wire, "schema": deepcopy(dict(schema))}
