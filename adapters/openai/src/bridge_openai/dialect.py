"""How OpenAI takes tools, in the form of the Responses API: any JSON Schema in the main, a part of it in strict mode.

Sources: the request types of openai 3.54 (`strict` is always said, because the Responses API takes a missing one as true); for strict
mode the guide "Structured outputs", section "Supported schemas", and `to_strict_json_schema` of that SDK; for the root and for arrays the
API's own answers ("schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'const'/'not' at the top level"; "array
schema missing items"; "'default' is not permitted").
"""

from __future__ import annotations

import re
from typing import Any

from bridge.tools import CodeExecution, ComputerUse, Dialect, FileSearch, Native, Refusal, RemoteMCP, WebSearch
from bridge.tools.schemas import Compiling, Place, Steps
from bridge.tools.schemas.steps import (
    all_required,
    bare_references,
    closed_objects,
    described,
    dropped,
    lists_for_tuples,
    merged_all_of,
    no_arguments,
    object_root,
    one_of_as_any_of,
    refused,
    typed,
    with_items,
)

__all__ = ["DIALECT"]

_STRICT = "OpenAI's strict mode"
_FORMATS = frozenset({"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"})
_SPOKEN = (
    "contains",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "examples",
    "if",
    "maxContains",
    "maxLength",
    "maxProperties",
    "minContains",
    "minLength",
    "minProperties",
    "not",
    "patternProperties",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
)
_ALLOWED = (
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "description",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maximum",
    "minItems",
    "minimum",
    "multipleOf",
    "pattern",
    "properties",
    "required",
    "title",
    "type",
)
_PROPERTIES, _ENUM_VALUES, _LETTERS, _DEPTH = 5_000, 1_000, 120_000, 10


def _formats(place: Place, work: Compiling) -> None:
    if place.get("format", "date") not in _FORMATS:
        described(["format"], f"{_STRICT} does not know this format")(place, work)


def _limits(place: Place, work: Compiling) -> None:
    """For the root: what the whole schema may have."""
    properties = values = letters = deepest = 0
    stack: list[tuple[Any, int]] = [(place, 1), *((found, 1) for found in work.reading.definitions.values())]
    while stack:
        here, depth = stack.pop()
        if isinstance(here, list):
            stack += [(item, depth) for item in here]
        if not isinstance(here, Place):
            continue
        named = here.get("properties", {})
        properties += len(named)
        listed = [*here.get("enum", ()), *([here["const"]] if "const" in here else [])]
        values += len(here.get("enum", ()))
        letters += sum(map(len, named)) + sum(len(value) for value in listed if isinstance(value, str))
        deepest = max(deepest, depth if named else 0)
        stack += [(item, depth + 1) for item in named.values()]
        stack += [(item, depth) for key, item in here.items() if key != "properties"]
    for has, most, what in (
        (properties, _PROPERTIES, "properties"),
        (values, _ENUM_VALUES, "enum values"),
        (letters, _LETTERS, "letters in names and enum values"),
        (deepest, _DEPTH, "levels of objects"),
    ):
        if has > most:
            work.report(place, "type", "refused", f"{_STRICT} takes {most:,} {what} in a schema, and this has {has:,}")


def _define(name: str, description: str, schema: dict[str, Any], strict: bool) -> dict[str, Any]:
    told = {"description": description} if description else {}
    return {"type": "function", "name": name, **told, "parameters": schema, "strict": strict}


def _web_search(capability: WebSearch) -> Native:
    if capability.blocked_domains or capability.max_uses is not None:
        raise Refusal("OpenAI's web_search takes allowed_domains alone; leave blocked_domains and max_uses out")
    if capability.allowed_domains is None:
        return Native({"type": "web_search"})
    return Native({"type": "web_search", "filters": {"allowed_domains": list(capability.allowed_domains)}})


def _file_search(capability: FileSearch) -> Native:
    most = {} if capability.max_results is None else {"max_num_results": capability.max_results}
    return Native({"type": "file_search", "vector_store_ids": list(capability.stores), **most})


def _remote_mcp(capability: RemoteMCP) -> Native:
    given: dict[str, Any] = {"type": "mcp", "server_label": capability.name, "server_url": capability.url}
    if capability.headers:
        given["headers"] = dict(capability.headers)
    if capability.allowed_tools is not None:
        given["allowed_tools"] = list(capability.allowed_tools)
    return Native({**given, "require_approval": capability.approval})


def _computer_use(capability: ComputerUse) -> Native:
    if capability.environment == "mobile":
        raise Refusal("OpenAI has no computer_use of a mobile environment")
    return Native({"type": "computer"})


DIALECT = Dialect(
    name="openai",
    define=_define,
    steps=Steps(root=[object_root("OpenAI")], everywhere=[with_items("OpenAI")]),
    strict_steps=Steps(
        root=[_limits, object_root("OpenAI"), no_arguments(_STRICT)],
        everywhere=[
            merged_all_of,
            refused({"allOf": f"{_STRICT} takes no `allOf`, and its parts cannot be merged"}),
            one_of_as_any_of(_STRICT),
            lists_for_tuples(_STRICT),
            _formats,
            described(_SPOKEN, f"{_STRICT} does not enforce it"),
            with_items(_STRICT),
            typed(_STRICT),
            closed_objects(_STRICT),
            all_required(_STRICT),
            bare_references,
            dropped(_ALLOWED, f"{_STRICT} does not know it"),
        ],
    ),
    names=re.compile(r"[a-zA-Z0-9_\-]{1,64}"),
    natives={
        WebSearch: _web_search,
        CodeExecution: lambda _: Native({"type": "code_interpreter", "container": {"type": "auto"}}),
        FileSearch: _file_search,
        RemoteMCP: _remote_mcp,
        ComputerUse: _computer_use,
    },
)
