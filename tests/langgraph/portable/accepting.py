"""Whether a request's messages are what a vendor's own package says that its API takes.

The types of the packages are TypedDicts full of `Iterable`, of which pydantic looks at nothing before it is asked, and it lets fields
pass that they do not have. Here every value is looked at, and a field that no type of the union knows is a fault.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Literal, Union

import typing_extensions
from anthropic.types import MessageParam
from google.genai import types as genai_types
from google.genai._gaos.types.interactions import InteractionsInputParam
from openai.types.chat import ChatCompletionMessageParam
from openai.types.responses.response_input_item_param import ResponseInputItemParam

__all__ = ["faults"]

# Required by the types, and not sent by langchain-openai for any message, nor asked for by the API.
_LEFT_OUT_ALWAYS = {"ResponseOutputMessageParam": {"id", "status"}, "ResponseInputImageParam": {"detail"}}
_PLAIN: dict[Any, Any] = {str: str, int: int, float: (int, float), bool: bool, type(None): type(None)}


def faults(vendor: str, body: Mapping[str, Any]) -> list[str]:
    """What the types of the vendor's package do not take of a request's messages."""
    match vendor:
        case "claude":
            return _list(body["messages"], MessageParam)
        case "responses":
            return _list(body["input"], ResponseInputItemParam)
        case "chat":
            return _list(body["messages"], ChatCompletionMessageParam)
        case "genai":
            for content in body["contents"]:
                genai_types.Content.model_validate(content)  # which forbids what it does not know
            return []
        case "interactions":
            return _fault(body["input"], InteractionsInputParam, "input")
    raise AssertionError(vendor)


def _list(values: list[Any], hint: Any) -> list[str]:
    return [fault for number, value in enumerate(values) for fault in _fault(value, hint, f"[{number}]")]


def _fault(value: Any, hint: Any, at: str) -> list[str]:
    """Where and why a value is not of a type, of the member of a union that comes nearest."""
    hint = getattr(hint, "__value__", hint)  # a named union
    origin: Any = typing_extensions.get_origin(hint)
    arguments = typing_extensions.get_args(hint)
    if hint in (Any, object):
        return []
    if origin in (Union, types.UnionType):
        found = [_fault(value, member, at) for member in arguments]
        return [] if [] in found else min(found, key=len)
    if origin is Literal:
        return [] if value in arguments else [f"{at}: {value!r} is not one of {arguments}"]
    if origin in (typing_extensions.Required, typing_extensions.NotRequired, typing_extensions.Annotated):
        return _fault(value, arguments[0], at)
    if typing_extensions.is_typeddict(hint):
        return _fields(value, hint, at) if isinstance(value, dict) else [f"{at}: no object", f"{at}: {value!r}"]
    if origin is dict or (origin is not None and issubclass(origin, Mapping)):
        return [] if isinstance(value, dict) else [f"{at}: no object", f"{at}: {value!r}"]
    if origin is not None:
        if not isinstance(value, list):
            return [f"{at}: no list", f"{at}: {value!r}"]
        return [fault for n, part in enumerate(value) for fault in _fault(part, arguments[0], f"{at}[{n}]")]
    return [] if isinstance(value, _PLAIN.get(hint, hint)) else [f"{at}: no {hint}", f"{at}: {value!r}"]


def _fields(value: dict[str, Any], hint: Any, at: str) -> list[str]:
    hints = typing_extensions.get_type_hints(hint, include_extras=True)
    marks: dict[str, Any] = {name: typing_extensions.get_origin(field) for name, field in hints.items()}
    whole = set(hint.__required_keys__) if hint.__total__ else set()
    required = {name for name in hints if marks[name] is typing_extensions.Required or name in whole}
    required -= {name for name in hints if marks[name] is typing_extensions.NotRequired}
    required -= _LEFT_OUT_ALWAYS.get(hint.__name__, set())
    wrong = [f"{at}: {hint.__name__} has no {name}" for name in value if name not in hints]
    wrong += [f"{at}: {hint.__name__} needs {name}" for name in required if name not in value]
    for name in value.keys() & hints.keys():
        wrong += _fault(value[name], hints[name], f"{at}.{name}")
    return wrong
