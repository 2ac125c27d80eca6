"""Chat Completions: what a request means, what the API refuses about it, and the answer in its chunks and as a whole.

Source: the types of openai 3.54 under `types/chat`. The completion is put together from the same chunks that are streamed.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from bridge.backends.local import Responder
from bridge.backends.local.stand_ins import (
    DONE,
    Answering,
    Event,
    Refused,
    conversation,
    json_pieces,
    new_call_id,
    pieces_of,
)
from bridge.interactions import CreateModelInteraction, FunctionCall, ModelOutput, TextContent

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

__all__ = ["Completion"]

_FIELDS = frozenset(
    [
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "moderation",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    ]
)
_LACKING = ("audio", "function_call", "functions", "logprobs", "moderation", "top_logprobs", "web_search_options")
_ROLES = ("system", "assistant", "user", "tool", "developer")
_PARTS = {
    "assistant": ("text", "refusal"),
    "developer": ("text",),
    "system": ("text",),
    "tool": ("text",),
    "user": ("text", "image_url", "input_audio", "file"),
}
_Wire = dict[str, Any]


class Completion:
    """One answer: `events` once, then `whole`."""

    def __init__(self, body: Mapping[str, Any], responder: Responder) -> None:
        self._with_usage = bool((given(body, "stream_options", dict) or {}).get("include_usage"))
        self._answer = Answering(
            responder,
            _read(body),
            prefix="call_",
            # Counted and not told, as with the real API.
            thoughts=bool(body.get("reasoning_effort")),
            parallel=body.get("parallel_tool_calls") is not False,
        )
        self._head = {
            "id": f"chatcmpl-{new_call_id()}",
            "created": int(time.time()),
            "model": f"local-{self._answer.request.model}",
            "service_tier": "default",
            "system_fingerprint": "fp_local",
        }
        self._texts: list[str] = []
        self._calls: list[_Wire] = []

    async def events(self) -> AsyncGenerator[Event, None]:
        """The chunks; where `stream_options` ask for it, the usage last."""
        yield self._chunk({"role": "assistant", "content": "", "refusal": None})
        async for step in self._answer:
            match step:
                case ModelOutput():
                    for text in (item.text for item in step.content or () if isinstance(item, TextContent)):
                        self._texts.append(text)
                        for piece in pieces_of(text):
                            yield self._chunk({"content": piece})
                case FunctionCall():
                    text = json.dumps(step.arguments, ensure_ascii=False)
                    function = {"name": step.name, "arguments": text}
                    call: _Wire = {"id": step.id, "type": "function", "function": function}
                    place = {"index": len(self._calls)}
                    self._calls.append(call)
                    begun = {**place, **call, "function": {**function, "arguments": ""}}
                    yield self._chunk({"tool_calls": [begun]})
                    for piece in json_pieces(text):
                        yield self._chunk({"tool_calls": [{**place, "function": {"arguments": piece}}]})
        yield self._chunk({}, self._finish_reason())
        if self._with_usage:
            yield Event(None, {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage()})
        yield DONE

    def whole(self) -> _Wire:
        """The completion, once the events are over."""
        message: _Wire = {
            "role": "assistant",
            "content": "".join(self._texts) if self._texts or not self._calls else None,
            "refusal": None,
            "annotations": [],
            **({"tool_calls": self._calls} if self._calls else {}),
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish_reason()}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": self._usage()}

    def _chunk(self, delta: _Wire, finish_reason: str | None = None) -> Event:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage = {"usage": None} if self._with_usage else {}
        return Event(None, {**self._head, "object": "chat.completion.chunk", "choices": [choice], **usage})

    def _finish_reason(self) -> str:
        return {"requires_action": "tool_calls", "incomplete": "length"}.get(str(self._answer.ending), "stop")

    def _usage(self) -> _Wire:
        answer = self._answer
        written = answer.output_tokens + answer.thought_tokens
        return {
            "prompt_tokens": answer.input_tokens,
            "completion_tokens": written,
            "total_tokens": answer.input_tokens + written,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": answer.thought_tokens, "audio_tokens": 0},
        }


def _read(body: Mapping[str, Any]) -> CreateModelInteraction:
    fields(body, _FIELDS)
    lacking(body, _LACKING)
    if body.get("n") not in (None, 1):
        raise Refused("The stand-in gives one choice; leave 'n' out.", param="n")
    if body.get("modalities") not in (None, ["text"]):
        raise Refused("The stand-in writes text; leave 'modalities' out.", param="modalities")
    model, messages = need(body, "model", str), need(body, "messages", list)
    if not messages:
        raise _empty("messages")
    steps, system, said = _steps(messages)
    functions = functions_of(body, key="function")
    mode, allowed = call_choice(body.get("tool_choice"), functions, key="function")
    stop = body.get("stop") or []
    if not isinstance(stop, str):
        stop = need(body, "stop", list) if stop else []
    return conversation(
        model=model,
        steps=steps,
        instruction="\n\n".join(system),
        functions=functions,
        mode=mode,
        allowed=allowed,
        schema=text_format(body.get("response_format"), "response_format", "\n".join(said), key="json_schema"),
        max_tokens=given(body, "max_completion_tokens", int) or given(body, "max_tokens", int),
        stops=[stop] if isinstance(stop, str) else stop,
    )


def _steps(messages: list[Any]) -> tuple[list[_Wire], list[str], list[str]]:
    """The steps of a conversation, what the system said, and all that was said in words."""
    steps: list[_Wire] = []
    system: list[str] = []
    said: list[str] = []
    waiting: list[str] = []  # the calls of the last assistant message that have no answer yet
    answering = False
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        role = need(message, "role", str, where)
        supported(role, _ROLES, f"{where}.role")
        content = list(_content(message.get("content"), role, f"{where}.content"))
        said += [part["text"] for part in content if part["type"] == "text"]
        if role == "tool":
            call_id = need(message, "tool_call_id", str, where)
            if not answering or call_id not in waiting:
                raise Refused(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
                    param=f"messages.[{number}].role",
                )
            waiting.remove(call_id)
            text = "".join(part["text"] for part in content)
            steps.append({"type": "function_result", "call_id": call_id, "result": text})
            continue
        _none_waiting(waiting, number)
        answering = False
        if role in ("system", "developer"):
            system += [part["text"] for part in content]
        elif role == "user":
            steps.append({"type": "user_input", "content": content or [{"type": "text", "text": ""}]})
        else:
            calls = [*_calls(message, where)]
            if not calls and message.get("content") is None and message.get("refusal") is None:
                wrong = "Invalid value for 'content': expected a string, got null."
                raise Refused(wrong, param=f"messages.[{number}].content")
            steps += [{"type": "model_output", "content": content}] if content else []
            steps += calls
            waiting = [call["id"] for call in calls]
            answering = bool(calls)
    _none_waiting(waiting, len(messages))
    return steps, system, said


def _none_waiting(waiting: list[str], number: int) -> None:
    if waiting:
        raise Refused(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
            f"The following tool_call_ids did not have response messages: {', '.join(waiting)}",
            param=f"messages.[{number}].role",
        )


def _calls(message: _Wire, where: str) -> list[_Wire]:
    if message.get("tool_calls") == []:
        raise _empty(f"{where}.tool_calls")
    steps = []
    for number, call in enumerate(given(message, "tool_calls", list, where) or ()):
        place = f"{where}.tool_calls[{number}]"
        call_id = need(call, "id", str, place)
        not_too_long(call_id, 40, f"{place}.id")
        supported(need(call, "type", str, place), ("function",), f"{place}.type")
        function = need(call, "function", dict, place)
        name, text = (
            need(function, "name", str, f"{place}.function"),
            need(function, "arguments", str, f"{place}.function"),
        )
        arguments = arguments_of(text, f"{place}.function.arguments")
        steps.append({"type": "function_call", "id": call_id, "name": name, "arguments": arguments})
    return steps


def _content(content: Any, role: str, where: str) -> list[_Wire]:
    if content is None or isinstance(content, str):
        if content is None and role != "assistant":
            raise Refused("Invalid value for 'content': expected a string, got null.", param=where)
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list):
        raise Refused(f"Invalid type for '{where}': expected a string or an array.", param=where, code="invalid_type")
    return [_part(part, role, f"{where}[{number}]") for number, part in enumerate(content)]


def _part(part: Any, role: str, where: str) -> _Wire:
    kind = need(part, "type", str, where)
    supported(kind, _PARTS[role], f"{where}.type")
    match kind:
        case "text" | "refusal":
            return {"type": "text", "text": need(part, kind, str, where)}
        case "image_url":
            address = need(need(part, kind, dict, where), "url", str, f"{where}.image_url")
            return media("image", address, f"{where}.image_url.url")
        case "input_audio":
            sound = need(part, kind, dict, where)
            data, kind = (need(sound, name, str, f"{where}.input_audio") for name in ("data", "format"))
            supported(kind, ("wav", "mp3"), f"{where}.input_audio.format")
            return {"type": "audio", "data": data, "mime_type": f"audio/{kind}"}
        case _:
            file = need(part, "file", dict, where)
            if file.get("file_id"):
                raise Refused("The stand-in keeps no files; send the data itself.", param=f"{where}.file.file_id")
            return media("document", need(file, "file_data", str, f"{where}.file"), f"{where}.file.file_data")


def _empty(param: str) -> Refused:
    message = (
        f"Invalid '{param}': empty array. Expected an array with minimum length 1, but got an empty array instead."
    )
    return Refused(message, param=param, code="empty_array")
