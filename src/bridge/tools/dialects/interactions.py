"""The dialect of the Interactions API.

Sources: the API's reference ("Function": eight keywords "are ignored and not enforced"); for the rest, what the Gemini API documents of
JSON Schema in general (`response_json_schema` of google-genai 2.34). What neither of them names is sent, and reported as ignored.
"""

from __future__ import annotations

import re
from typing import Any

from ..capabilities import CodeExecution, ComputerUse, FileSearch, RemoteMCP, UrlContext, WebSearch
from ..schemas.merging import alternatives_apart
from ..schemas.reading import Place
from ..schemas.steps import bare_references, enums_for_constants, ignored, merged_all_of, no_cycles, object_root
from ..schemas.walking import Compiling, Steps
from . import Dialect, Native, Refusal

__all__ = ["DIALECT"]

_DOCUMENTED = "the Interactions API documents it as ignored"
_UNNAMED = "the Gemini API names it nowhere among the keywords that it supports"
_IGNORED = {
    **dict.fromkeys(
        (
            "contains",
            "maxContains",
            "maxLength",
            "maxProperties",
            "minContains",
            "minLength",
            "minProperties",
            "uniqueItems",
        ),
        _DOCUMENTED,
    ),
    **dict.fromkeys(
        (
            "allOf",
            "contentEncoding",
            "contentMediaType",
            "contentSchema",
            "dependentRequired",
            "dependentSchemas",
            "else",
            "exclusiveMaximum",
            "exclusiveMinimum",
            "if",
            "multipleOf",
            "not",
            "pattern",
            "patternProperties",
            "propertyNames",
            "then",
            "unevaluatedItems",
            "unevaluatedProperties",
        ),
        _UNNAMED,
    ),
}


def _define(name: str, description: str, schema: dict[str, Any], strict: bool) -> dict[str, Any]:
    told = {"description": description} if description else {}
    return {"type": "function", "name": name, **told, "parameters": schema}


def _enum_values(place: Place, work: Compiling) -> None:
    if "enum" in place and not all(_number_or_text(value) for value in place["enum"]):
        work.report(place, "enum", "ignored", "the Gemini API supports enums of texts and numbers")


def _number_or_text(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _one_of(place: Place, work: Compiling) -> None:
    if "oneOf" in place and not alternatives_apart(place["oneOf"]):
        why = "the Gemini API reads it as anyOf: that only one may fit is not enforced"
        work.report(place, "oneOf", "ignored", why)


def _no_empty_required(place: Place, work: Compiling) -> None:
    if place.get("required") == []:  # refused by the service
        del place["required"]
        work.report(place, "required", "rewritten", "an empty list is left out")


def _native(kind: str, **fields: Any) -> Native:
    return Native({"type": kind, **{name: value for name, value in fields.items() if value is not None}})


def _web_search(capability: WebSearch) -> Native:
    if capability != WebSearch():
        raise Refusal(
            "google_search takes no domains and no limit: leave allowed_domains, blocked_domains, max_uses out"
        )
    return _native("google_search")


def _file_search(capability: FileSearch) -> Native:
    return _native("file_search", file_search_store_names=list(capability.stores), top_k=capability.max_results)


def _remote_mcp(capability: RemoteMCP) -> Native:
    if capability.approval != "never":
        raise Refusal("the Interactions API asks nobody before it calls a server; leave approval out")
    tools = capability.allowed_tools
    return _native(
        "mcp_server",
        name=capability.name,
        url=capability.url,
        headers=dict(capability.headers) or None,
        allowed_tools=None if tools is None else [{"mode": "auto", "tools": list(tools)}],
    )


DIALECT = Dialect(
    name="interactions",
    define=_define,
    steps=Steps(
        root=[object_root("the Interactions API")],
        everywhere=[
            merged_all_of,
            enums_for_constants,
            _enum_values,
            _one_of,
            _no_empty_required,
            bare_references,
            no_cycles("ignored", "the Gemini API unrolls a schema that contains itself to a limited depth"),
            ignored(_IGNORED),
        ],
    ),
    names=re.compile(r"[A-Za-z_][A-Za-z0-9_.:\-]{0,63}"),
    natives={
        WebSearch: _web_search,
        CodeExecution: lambda _: _native("code_execution"),
        UrlContext: lambda _: _native("url_context"),
        FileSearch: _file_search,
        RemoteMCP: _remote_mcp,
        ComputerUse: lambda capability: _native("computer_use", environment=capability.environment),
    },
)
