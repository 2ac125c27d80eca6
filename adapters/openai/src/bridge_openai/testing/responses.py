"""The Responses API: what a request means, what the API refuses about it, and the response.

Source: the types of openai 3.54 under `types/responses`. How an item is streamed is in `items`, what is remembered in `kept`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.backends.local import Responder
from bridge.backends.local.stand_ins import Answering, Event, Refused, conversation, new_call_id, seal
from bridge.interactions import CreateModelInteraction

from .checks import (
    arguments_of,
    call_choice,
    fields,
    functions_of,
    given,
    lacking,
    media,
    need,
    not_too_long,
    supported,
    text_format,
)
from .items import Items
from .kept import Kept

__all__ = ["Response"]

_FIELDS = frozenset(
    [
        "access_programs",
        "background",
        "background_options",
        "context_management",
        "conversation",
        "image",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "moderation",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    ]
)
_LACKING = ("background", "context_management", "conversation", "image", "moderation", "prompt", "top_logprobs")
# What a response repeats of its request, and what stands there where the request does not say it.
_REPEATED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
_ITEMS: dict[str, frozenset[str]] = {
    kind: frozenset(names.split()) | {"type", "id", "status"}
    for kind, names in {
        "function_call": "arguments call_id name caller namespace",
        "function_call_output": "call_id output caller name namespace",
        "item_reference": "",
        "message": "role content phase",
        "reasoning": "summary content encrypted_content",
    }.items()
}
_PREFIXES = {"function_call": "fc", "message": "msg", "reasoning": "rs"}
_ROLES = ("assistant", "system", "developer", "user")
_SAID = ("output_text", "refusal")
_GIVEN = ("input_text", "input_image", "input_file")
_Wire = dict[str, Any]


class Response:
    """One answer: `events` once, then `whole`."""

    def __init__(self, body: Mapping[str, Any], kept: Kept, responder: Responder) -> None:
        asked = _read(body, kept)
        self._asked, self._kept = asked, kept
        self._answer = Answering(
            responder,
            asked.request,
            prefix="call_",
            thoughts=asked.reasoning,
            parallel=body.get("parallel_tool_calls") is not False,
        )
        repeated = {name: default if body.get(name) is None else body[name] for name, default in _REPEATED.items()}
        self._response: _Wire = {
            "id": f"resp_{new_call_id()}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "in_progress",
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": f"local-{asked.request.model}",
            "output": [],
            "service_tier": "default",
            "usage": None,
            **repeated,
        }
        self._count = -1

    async def events(self) -> AsyncGenerator[Event, None]:
        """`response.created`, the items, and `response.completed` or `response.incomplete`."""
        output = self._response["output"]
        begun = {**self._response, "output": []}
        yield self._event("response.created", response=begun)
        yield self._event("response.in_progress", response=begun)
        items = Items(encrypted=self._asked.encrypted)
        async for step in self._answer:
            for item, events in items.of(step):
                for kind, data in events:
                    yield self._event(kind, output_index=len(output), **data)
                output.append(item)
        cut = self._answer.ending == "incomplete"
        self._response["status"] = "incomplete" if cut else "completed"
        self._response["incomplete_details"] = {"reason": "max_output_tokens"} if cut else None
        self._response["usage"] = self._usage()
        if self._response["store"]:
            self._kept.keep(self._response["id"], self._response["previous_response_id"], self._asked.input, output)
        yield self._event(f"response.{self._response['status']}", response=self._response)

    def whole(self) -> _Wire:
        """The response, once the events are over."""
        return self._response

    def _event(self, kind: str, **data: Any) -> Event:
        self._count += 1
        return Event(kind, {"type": kind, "sequence_number": self._count, **data})

    def _usage(self) -> _Wire:
        answer = self._answer
        written = answer.output_tokens + answer.thought_tokens
        return {
            "input_tokens": answer.input_tokens,
            "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": answer.thought_tokens},
            "total_tokens": answer.input_tokens + written,
        }


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A request: the conversation, its new items, and whether reasoning is told, and with its encrypted content."""

    request: CreateModelInteraction
    input: list[_Wire]
    reasoning: bool
    encrypted: bool


def _read(body: Mapping[str, Any], kept: Kept) -> _Asked:
    fields(body, _FIELDS)
    lacking(body, _LACKING)
    model = need(body, "model", str)
    limit = body.get("max_output_tokens")
    if limit is not None and need(body, "max_output_tokens", int) < 16:
        message = f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got {limit} instead."
        raise Refused(message, param="max_output_tokens", code="integer_below_min_value")
    new = _input(body)
    parent = body.get("previous_response_id")
    before = kept.until(parent) if parent is not None else []
    if before is None:
        message = f"Previous response with id '{parent}' not found."
        raise Refused(message, param="previous_response_id", code="previous_response_not_found")
    for number, item in enumerate(new):
        _check_item(item, f"input[{number}]", kept)
    items = [*before, *(_meant(item, kept) for item in new)]
    _check_reasons(items, kept)
    _check_calls(items)
    told = [(item, _content(item, "input")) if _kind(item) == "message" else (item, []) for item in items]
    system = [part["text"] for item, parts in told if item.get("role") in ("system", "developer") for part in parts]
    said = [part["text"] for _, parts in told for part in parts if part["type"] == "text"]
    functions = functions_of(body, key=None)
    mode, allowed = call_choice(body.get("tool_choice"), functions, key=None)
    reasoning, include = given(body, "reasoning", dict), given(body, "include", list) or ()
    if "message.output_text.logprobs" in include:
        raise Refused("The stand-in has no log probabilities.", param="include")
    instructions = given(body, "instructions", str)
    request = conversation(
        model=model,
        steps=[step for item, parts in told for step in _steps(item, parts)],
        instruction="\n\n".join([*([instructions] if instructions else []), *system]),
        functions=functions,
        mode=mode,
        allowed=allowed,
        schema=text_format((given(body, "text", dict) or {}).get("format"), "text.format", "\n".join(said), key=None),
        summaries=bool((reasoning or {}).get("summary")),
        max_tokens=limit,
    )
    encrypted = "reasoning.encrypted_content" in include
    return _Asked(request=request, input=new, reasoning=bool(reasoning) or encrypted, encrypted=encrypted)


def _input(body: Mapping[str, Any]) -> list[_Wire]:
    items = body.get("input")
    if items is None or items in ("", []):
        if body.get("previous_response_id") is not None:
            return []
        message = "One of 'input' or 'previous_response_id' or 'prompt' or 'conversation' must be provided."
        raise Refused(message, code="missing_required_parameter")
    if isinstance(items, str):
        return [{"type": "message", "role": "user", "content": items}]
    return list(need(body, "input", list))


def _kind(item: Mapping[str, Any]) -> str:
    return str(item.get("type") or "message")


def _meant(item: _Wire, kept: Kept) -> _Wire:
    """The item itself, for one that only names it."""
    return kept.items[item["id"]] if _kind(item) == "item_reference" else item


def _check_item(item: Any, where: str, kept: Kept) -> None:
    if not isinstance(item, dict):
        raise Refused(f"Invalid type for '{where}': expected an object.", param=where, code="invalid_type")
    kind = _kind(item)
    supported(kind, tuple(_ITEMS), f"{where}.type")
    fields(item, _ITEMS[kind], where)
    name, prefix = given(item, "id", str, where), _PREFIXES.get(kind, "")
    if name is not None and not name.startswith(prefix):
        message = f"Invalid '{where}.id': '{name}'. Expected an ID that begins with '{prefix}'."
        raise Refused(message, param=f"{where}.id", code="invalid_value")
    _CHECKS[kind](item, where, kept)


def _check_message(item: _Wire, where: str, kept: Kept) -> None:
    supported(need(item, "role", str, where), _ROLES, where)
    _content(item, where)


def _check_call(item: _Wire, where: str, kept: Kept) -> None:
    need(item, "name", str, where)
    not_too_long(need(item, "call_id", str, where), 64, f"{where}.call_id")
    arguments_of(need(item, "arguments", str, where), f"{where}.arguments")


def _check_output(item: _Wire, where: str, kept: Kept) -> None:
    not_too_long(need(item, "call_id", str, where), 64, f"{where}.call_id")
    if not isinstance(item.get("output"), list):
        need(item, "output", str, where)


def _check_reasoning(item: _Wire, where: str, kept: Kept) -> None:
    name = need(item, "id", str, where)
    need(item, "summary", list, where)
    content = item.get("encrypted_content")
    if content is None:
        _check_reference(item, where, kept)
    elif content != seal("openai", name):
        message = f"The encrypted content for item {name} could not be verified."
        raise Refused(message, code="invalid_encrypted_content")


def _check_reference(item: _Wire, where: str, kept: Kept) -> None:
    if (name := need(item, "id", str, where)) not in kept.items:
        message = (
            f"Item with id '{name}' not found. Items are not persisted when `store` is set to false. Try again with `store` set to "
            "true, or remove this item from your input."
        )
        raise Refused(message, status=404, param="input")


_CHECKS: dict[str, Callable[[_Wire, str, Kept], None]] = {
    "function_call": _check_call,
    "function_call_output": _check_output,
    "item_reference": _check_reference,
    "message": _check_message,
    "reasoning": _check_reasoning,
}


def _check_reasons(items: list[_Wire], kept: Kept) -> None:
    """A reasoning item stands right before what came of it, and what came of a stored one does not stand alone."""
    ids = {item.get("id") for item in items}
    for item, after in zip(items, [*items[1:], {}], strict=True):
        kind, name = _kind(item), item.get("id")
        if (
            kind == "reasoning"
            and _kind(after) not in ("reasoning", "function_call")
            and after.get("role") != "assistant"
        ):
            raise Refused(
                f"Item '{name}' of type 'reasoning' was provided without its required following item.", param="input"
            )
        if name in kept.reasons and kept.reasons[name] not in ids:
            raise Refused(
                f"Item '{name}' of type '{kind}' was provided without its required 'reasoning' item: '{kept.reasons[name]}'.",
                param="input",
            )


def _check_calls(items: Iterable[_Wire]) -> None:
    waiting: list[str] = []
    for item in items:
        if _kind(item) == "function_call":
            waiting.append(item["call_id"])
        elif _kind(item) == "function_call_output":
            if item["call_id"] not in waiting:
                raise Refused(
                    f"No tool call found for function call output with call_id {item['call_id']}.", param="input"
                )
            waiting.remove(item["call_id"])
    if waiting:
        raise Refused(f"No tool output found for function call {waiting[0]}.", param="input")


def _content(item: _Wire, where: str) -> list[_Wire]:
    """What a message says, as content of the Interactions wire."""
    content = item.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    kinds = _SAID if item["role"] == "assistant" else _GIVEN
    return _parts(need(item, "content", list, where), kinds, f"{where}.content")


def _parts(parts: list[Any], kinds: tuple[str, ...], where: str) -> list[_Wire]:
    for number, part in enumerate(parts):
        place = f"{where}[{number}]"
        supported(need(part, "type", str, place), kinds, place)
    return [_part(part, f"{where}[{number}]") for number, part in enumerate(parts)]


def _part(part: _Wire, where: str) -> _Wire:
    match part["type"]:
        case "refusal":
            return {"type": "text", "text": need(part, "refusal", str, where)}
        case "output_text" | "input_text":
            return {"type": "text", "text": need(part, "text", str, where)}
        case kind:
            if part.get("file_id"):
                raise Refused("The stand-in keeps no files; send the data itself.", param=f"{where}.file_id")
            name = "image_url" if kind == "input_image" else "file_url" if part.get("file_url") else "file_data"
            return media(
                "image" if kind == "input_image" else "document", need(part, name, str, where), f"{where}.{name}"
            )


def _steps(item: _Wire, content: list[_Wire]) -> list[_Wire]:
    """The steps an item stands for; what the system said is none."""
    match _kind(item):
        case "function_call":
            arguments = arguments_of(item["arguments"], "input")
            return [{"type": "function_call", "id": item["call_id"], "name": item["name"], "arguments": arguments}]
        case "function_call_output":
            told = item["output"]
            value = told if isinstance(told, str) else _parts(told, _GIVEN, "input")
            return [{"type": "function_result", "call_id": item["call_id"], "result": value}]
        case "reasoning":
            summary = [{"type": "text", "text": part["text"]} for part in item["summary"]]
            return [{"type": "thought", "signature": seal("openai", item["id"]), "summary": summary}]
        case _:
            kind = {"assistant": "model_output", "user": "user_input"}.get(item["role"])
            return [{"type": kind, "content": content}] if kind and content else []
