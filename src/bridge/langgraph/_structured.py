"""Structured answers: a chat model bound to a schema, and the parser of what it answers."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import (
    BaseOutputParser,
    JsonOutputKeyToolsParser,
    JsonOutputParser,
    PydanticOutputParser,
    PydanticToolsParser,
)
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import (
    convert_to_json_schema,
    convert_to_openai_tool,
)
from langchain_core.utils.pydantic import is_basemodel_subclass

from bridge.errors import InvalidRequest

__all__ = ["structured"]

_METHODS = ("json_schema", "function_calling", "json_mode")


def structured(
    model: BaseChatModel,
    schema: Any,
    *,
    method: str,
    include_raw: bool,
    **kwargs: Any,
) -> Runnable[Any, Any]:
    """The model with its answers parsed by a schema, by one of three methods. See `ChatInteractions.with_structured_output`."""
    if method not in _METHODS:
        raise InvalidRequest(f"method {method!r} is none of {', '.join(_METHODS)}", "method")
    if schema is None and method != "json_mode":
        raise InvalidRequest(f"method {method!r} needs a schema", "schema")
    json_schema = convert_to_json_schema(schema) if schema is not None else {}
    form = {"kwargs": {"method": method}, "schema": json_schema} if json_schema else None  # told to tracers
    pydantic = isinstance(schema, type) and is_basemodel_subclass(schema)
    bound: Runnable[Any, Any]
    parser: BaseOutputParser[Any]
    if method == "function_calling":
        name = convert_to_openai_tool(schema)["function"]["name"]
        bound = model.bind_tools([schema], tool_choice=name, ls_structured_output_format=form, **kwargs)
        parser = (
            PydanticToolsParser(tools=[schema], first_tool_only=True)
            if pydantic
            else JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
        )
    else:
        wanted: dict[str, Any] = {"type": "text", "mime_type": "application/json"}
        if method == "json_schema":
            wanted["schema"] = json_schema
        bound = model.bind(response_format=wanted, ls_structured_output_format=form, **kwargs)
        parser = PydanticOutputParser(pydantic_object=schema) if pydantic else JsonOutputParser()
    if not include_raw:
        return bound | parser
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | parsed.with_fallbacks([failed], exception_key="parsing_error")
