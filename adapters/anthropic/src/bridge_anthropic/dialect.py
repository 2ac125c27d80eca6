"""How Anthropic's Messages API takes tools: any JSON Schema in the main, a small part of it in strict mode.

Sources: the request types of anthropic 2.12; for strict mode `transform_schema` of that SDK (its list of formats, closed objects, no
bounds but minItems 0 and 1) and the page "Structured outputs" (no schema that contains itself); for the root and the names of
properties the API's own answers ("input_schema does not support oneOf, allOf, or anyOf at the top level"; "Property keys should match
pattern"). Limits on a whole request (the number of strict tools and of their optional properties) are left to the API.
"""

from __future__ import annotations

import re
from typing import Any

from bridge.tools import CodeExecution, ComputerUse, Dialect, Native, Refusal, RemoteMCP, UrlContext, WebSearch
from bridge.tools.schemas import Compiling, Place, Steps
from bridge.tools.schemas.steps import (
    bare_references,
    closed_objects,
    described,
    dropped,
    lists_for_tuples,
    merged_all_of,
    no_arguments,
    no_cycles,
    object_root,
    one_of_as_any_of,
    refused,
    typed,
)

__all__ = ["DIALECT"]

_STRICT = "Anthropic's strict mode"
_KEY = re.compile(r"[a-zA-Z0-9_.\-]{1,64}")
_FORMATS = frozenset({"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"})
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
    "exclusiveMaximum",
    "exclusiveMinimum",
    "if",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "pattern",
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
    "format",
    "items",
    "minItems",
    "properties",
    "required",
    "title",
    "type",
)


def _property_keys(place: Place, work: Compiling) -> None:
    if wrong := [name for name in place.get("properties", {}) if not _KEY.fullmatch(name)]:
        why = f"Anthropic takes property names of letters, digits, `_`, `.` and `-`, up to 64: {', '.join(wrong)}"
        work.report(place, "properties", "refused", why)


def _few_values(place: Place, work: Compiling) -> None:
    """Formats, enums and lengths of lists that strict mode knows are kept; others are said in the description."""
    spoken = [
        *(["format"] if place.get("format", "date") not in _FORMATS else []),
        *(["minItems"] if place.get("minItems", 0) not in (0, 1) else []),
        *(["const"] if isinstance(place.get("const"), dict | list) else []),
        *(["enum"] if any(isinstance(value, dict | list) for value in place.get("enum", ())) else []),
    ]
    described(spoken, f"{_STRICT} does not know this value of it")(place, work)


def _define(name: str, description: str, schema: dict[str, Any], strict: bool) -> dict[str, Any]:
    told = {"description": description} if description else {}
    return {"name": name, **told, "input_schema": schema, **({"strict": True} if strict else {})}


def _web_search(capability: WebSearch) -> Native:
    if capability.allowed_domains and capability.blocked_domains:
        raise Refusal("Anthropic takes allowed_domains or blocked_domains, not both")
    limits = {
        "allowed_domains": capability.allowed_domains and list(capability.allowed_domains),
        "blocked_domains": capability.blocked_domains and list(capability.blocked_domains),
        "max_uses": capability.max_uses,
    }
    given = {name: value for name, value in limits.items() if value is not None}
    return Native({"type": "web_search_20250305", "name": "web_search", **given})


def _remote_mcp(capability: RemoteMCP) -> Native:
    if capability.approval != "never":
        raise Refusal("Anthropic asks nobody before it calls a server; leave approval out")
    server: dict[str, Any] = {"type": "url", "name": capability.name, "url": capability.url}
    for header, value in capability.headers.items():
        if header.lower() != "authorization" or not value.startswith("Bearer "):
            raise Refusal(f"Anthropic sends a server nothing but `Authorization: Bearer …`, and no header {header!r}")
        server["authorization_token"] = value.removeprefix("Bearer ")
    toolset: dict[str, Any] = {"type": "mcp_toolset", "mcp_server_name": capability.name}
    if capability.allowed_tools is not None:
        toolset["default_config"] = {"enabled": False}
        toolset["configs"] = {name: {"enabled": True} for name in capability.allowed_tools}
    return Native(toolset, {"mcp_servers": [server]})


def _computer_use(capability: ComputerUse) -> Native:
    kinds = {"browser": "browser_toolset_20260801", "desktop": "computer_toolset_20260801"}
    if capability.environment not in kinds:
        raise Refusal(f"Anthropic has no computer_use of a {capability.environment} environment")
    return Native({"type": kinds[capability.environment]})


DIALECT = Dialect(
    name="anthropic",
    define=_define,
    steps=Steps(root=[object_root("Anthropic"), _property_keys]),
    strict_steps=Steps(
        root=[object_root("Anthropic"), _property_keys, no_arguments(_STRICT)],
        everywhere=[
            merged_all_of,
            refused(
                {"allOf": f"{_STRICT} takes only closed objects, and parts that are closed each exclude each other"}
            ),
            one_of_as_any_of(_STRICT),
            lists_for_tuples(_STRICT),
            _few_values,
            described(_SPOKEN, f"{_STRICT} does not enforce it"),
            typed(_STRICT),
            closed_objects(_STRICT),
            bare_references,
            no_cycles("refused", f"{_STRICT} takes no schema that contains itself"),
            dropped(_ALLOWED, f"{_STRICT} does not know it"),
        ],
    ),
    names=re.compile(r"[a-zA-Z0-9_\-]{1,128}"),
    natives={
        WebSearch: _web_search,
        CodeExecution: lambda _: Native({"type": "code_execution_20250825", "name": "code_execution"}),
        UrlContext: lambda _: Native({"type": "web_fetch_20250910", "name": "web_fetch"}),
        RemoteMCP: _remote_mcp,
        ComputerUse: _computer_use,
    },
)
