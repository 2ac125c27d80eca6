"""What both of OpenAI's APIs refuse in the same words, and what both call by the same names: tools, schemas, media.

Sources: the request types of openai 3.54, the guides "Function calling" and "Structured outputs", and the APIs' answers as their users
report them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from bridge.backends.local.stand_ins import Refused

__all__ = [
    "arguments_of",
    "call_choice",
    "fields",
    "functions_of",
    "given",
    "lacking",
    "media",
    "need",
    "not_too_long",
    "supported",
    "text_format",
]

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_KINDS = {str: "a string", int: "an integer", list: "an array", dict: "an object"}
_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)


def need(value: Any, name: str, kind: type, where: str = "") -> Any:
    """A field that must be there. Raises `Refused`."""
    param = f"{where}.{name}" if where else name
    found = value.get(name) if isinstance(value, Mapping) else None
    if found is None:
        raise Refused(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
        got = next((words for other, words in _KINDS.items() if type(found) is other), "something else")
        message = f"Invalid type for '{param}': expected {_KINDS[kind]}, but got {got} instead."
        raise Refused(message, param=param, code="invalid_type")
    return found


def given(value: Mapping[str, Any], name: str, kind: type, where: str = "") -> Any:
    """A field that may be left out or null; None then. Raises `Refused`."""
    return need(value, name, kind, where) if value.get(name) is not None else None


def fields(value: Mapping[str, Any], known: Collection[str], where: str = "") -> None:
    """Raises `Refused` for a field the API does not have."""
    for name in value:
        if name not in known:
            param = f"{where}.{name}" if where else name
            raise Refused(f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")


def lacking(body: Mapping[str, Any], names: Collection[str]) -> None:
    """Raises `Refused` for what the API has and the stand-in has not."""
    for name in names:
        if body.get(name):
            raise Refused(f"The stand-in has no '{name}'; leave it out, or use the real API.", param=name)


def supported(value: Any, values: Sequence[str], param: str) -> None:
    """Raises `Refused` for a value that is none of those the API has."""
    if value not in values:
        *others, last = [f"'{one}'" for one in values]
        told = f"{others[0]} and {last}" if len(others) == 1 else f"{', '.join(others)}, and {last}" if others else last
        message = f"Invalid value: '{value}'. Supported values are: {told}."
        raise Refused(message, param=param, code="invalid_value")


def not_too_long(text: str, longest: int, param: str) -> None:
    """Raises `Refused` for an id that is too long."""
    if len(text) > longest:
        message = (
            f"Invalid '{param}': string too long. Expected a string with maximum length {longest}, "
            f"but got a string with length {len(text)} instead."
        )
        raise Refused(message, param=param, code="string_above_max_length")


def functions_of(body: Mapping[str, Any], *, key: str | None) -> list[dict[str, Any]]:
    """The functions among a request's tools, whose definitions stand under `key`, or in the tool itself."""
    functions: list[dict[str, Any]] = []
    for number, tool in enumerate(given(body, "tools", list) or ()):
        where = f"tools[{number}]"
        kind = need(tool, "type", str, where)
        if kind != "function":
            raise Refused(f"The stand-in runs none of the vendor's own tools, and '{kind}' is one.", param=where)
        place = f"{where}.{key}" if key else where
        function = need(tool, key, dict, where) if key else tool
        name = need(function, "name", str, place)
        if not _NAME.fullmatch(name):
            message = (
                f"Invalid '{place}.name': string does not match pattern. Expected a string that matches the pattern "
                "'^[a-zA-Z0-9_-]+$'."
            )
            raise Refused(message, param=f"{place}.name", code="invalid_value")
        not_too_long(name, 64, f"{place}.name")
        schema = function.get("parameters")
        if schema is not None:
            told = f"Invalid schema for function '{name}'"
            _check_schema(
                schema, function.get("strict") is True, told, f"{place}.parameters", "invalid_function_schema"
            )
        described = {"name": name, "description": function.get("description"), "parameters": schema}
        functions.append({field: value for field, value in described.items() if value is not None})
    return functions


def call_choice(
    choice: Any, functions: Sequence[Mapping[str, Any]], *, key: str | None
) -> tuple[str, list[str] | None]:
    """The mode of a tool_choice (auto, any, none) and the names that may be called; None for all."""
    if choice is None:
        return "auto", None
    if isinstance(choice, str):
        supported(choice, ("none", "auto", "required"), "tool_choice")
        if choice == "required" and not functions:
            raise Refused("Tool choice 'required' must be specified with 'tools' parameter.", param="tool_choice")
        return {"required": "any"}.get(choice, choice), None
    kind = need(choice, "type", str, "tool_choice")
    supported(kind, ("function", "allowed_tools"), "tool_choice.type")
    if kind == "function":
        asked = [need(need(choice, key, dict, "tool_choice") if key else choice, "name", str, "tool_choice")]
        mode = "any"
    else:
        allowed = need(choice, kind, dict, "tool_choice") if key else choice
        supported(need(allowed, "mode", str, "tool_choice"), ("auto", "required"), "tool_choice.mode")
        mode = "any" if allowed["mode"] == "required" else "auto"
        tools = need(allowed, "tools", list, "tool_choice")
        asked = [
            need(need(tool, key, dict, "tool_choice.tools") if key else tool, "name", str, "tool_choice")
            for tool in tools
        ]
    known = [function["name"] for function in functions]
    for name in asked:
        if name not in known:
            raise Refused(f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice")
    return mode, asked


def text_format(wanted: Any, where: str, said: str, *, key: str | None) -> Any:
    """The JSON Schema that is asked for; True where any JSON will do, None for words. `said` is all that was said before."""
    if wanted is None:
        return None
    kind = need(wanted, "type", str, where)
    supported(kind, ("json_object", "json_schema", "text"), f"{where}.type")
    if kind == "json_object" and "json" not in said.lower():
        message = f"The messages must contain the word 'json' in some form, to use '{where}' of type 'json_object'."
        raise Refused(message, param=where)
    if kind != "json_schema":
        return True if kind == "json_object" else None
    return _schema_of(need(wanted, key, dict, where) if key else wanted, f"{where}.{key}" if key else where)


def _schema_of(described: Mapping[str, Any], where: str) -> Any:
    """The schema of a named format."""
    name, schema = need(described, "name", str, where), need(described, "schema", dict, where)
    _check_schema(schema, described.get("strict") is True, f"Invalid schema for response_format '{name}'", where, None)
    return schema


def _check_schema(schema: Any, strict: bool, told: str, param: str, code: str | None) -> None:
    root = schema.get("type") if isinstance(schema, dict) else None
    if root != "object":
        message = f"{told}: schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{root}\"'."
        raise Refused(message, param=param, code=code)
    for path, place in _objects(schema, ()) if strict else ():
        if place.get("additionalProperties") is not False:
            wrong = "'additionalProperties' is required to be supplied and to be false."
        elif missing := [name for name in place.get("properties", {}) if name not in place.get("required", ())]:
            wrong = (
                "'required' is required to be supplied and to be an array including every key in properties. "
                f"Missing '{missing[0]}'."
            )
        else:
            continue
        raise Refused(f"{told}: In context={path!r}, {wrong}", param=param, code=code)


def _objects(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every schema of an object inside a schema, with the way to it."""
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" or "properties" in schema:
        yield path, schema
    for group in ("properties", "$defs", "definitions"):
        for name, part in (schema.get(group) or {}).items():
            yield from _objects(part, (*path, group, name))
    for number, part in enumerate(schema.get("anyOf") or ()):
        yield from _objects(part, (*path, "anyOf", str(number)))
    yield from _objects(schema.get("items"), (*path, "items"))


def arguments_of(text: str, param: str) -> dict[str, Any]:
    """The arguments of an earlier call. The API takes any text; a stand-in needs to read it."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refused(f"The stand-in reads '{param}' as a JSON object, and this is none.", param=param)
    return value


def media(kind: str, address: str, param: str) -> dict[str, Any]:
    """An image or a document by its address, which may hold the data itself."""
    if data := _DATA.fullmatch(address):
        return {"type": kind, "mime_type": data[1], "data": data[2]}
    if not address.startswith(("http://", "https://")):
        message = f"Invalid '{param}'. Expected a valid URL, but got a value with an invalid format."
        raise Refused(message, param=param, code="invalid_value")
    return {"type": kind, "uri": address}
