"""The items of a response, each with the events that bring it.

Source: the guide "Streaming" and the event types of openai 3.54. The number and the place of an event are added by `responses`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias, assert_never

from bridge.backends.local.stand_ins import json_pieces, new_call_id, pieces_of, seal
from bridge.interactions import FunctionCall, ModelOutput, TextContent, Thought

__all__ = ["Items"]

_Wire: TypeAlias = dict[str, Any]
_Events: TypeAlias = Iterator[tuple[str, _Wire]]


class Items:
    """Makes items of steps; `encrypted` is whether reasoning carries its encrypted content."""

    def __init__(self, *, encrypted: bool) -> None:
        self._encrypted = encrypted

    def of(self, step: Thought | ModelOutput | FunctionCall) -> Iterator[tuple[_Wire, _Events]]:
        """The items of a step, whole, each with its events."""
        match step:
            case Thought():
                name = f"rs_{new_call_id()}"
                words = [item.text for item in step.summary or () if isinstance(item, TextContent)]
                summary = [{"type": "summary_text", "text": text} for text in words]
                sealed = {"encrypted_content": seal("openai", name)} if self._encrypted else {}
                reasoning: _Wire = {"id": name, "type": "reasoning", "summary": summary, **sealed}
                yield reasoning, _reasoning(reasoning)
            case FunctionCall():
                call: _Wire = {
                    "id": f"fc_{new_call_id()}",
                    "type": "function_call",
                    "status": "completed",
                    "call_id": step.id,
                    "name": step.name,
                    "arguments": json.dumps(step.arguments, ensure_ascii=False),
                }
                yield call, _call(call)
            case ModelOutput():
                texts = [item.text for item in step.content or () if isinstance(item, TextContent)]
                message: _Wire = {
                    "id": f"msg_{new_call_id()}",
                    "type": "message",
                    "status": "completed",
                    "role": "assistant",
                    "content": [_text(text) for text in texts],
                }
                yield message, _message(message)
            case _:
                assert_never(step)


def _reasoning(item: _Wire) -> _Events:
    place = {"item_id": item["id"]}
    yield "response.output_item.added", {"item": {**item, "summary": []}}
    for number, part in enumerate(item["summary"]):
        here = {**place, "summary_index": number}
        yield "response.reasoning_summary_part.added", {**here, "part": {**part, "text": ""}}
        for piece in pieces_of(part["text"]):
            yield "response.reasoning_summary_text.delta", {**here, "delta": piece}
        yield "response.reasoning_summary_text.done", {**here, "text": part["text"]}
        yield "response.reasoning_summary_part.done", {**here, "part": part}
    yield "response.output_item.done", {"item": item}


def _call(item: _Wire) -> _Events:
    place = {"item_id": item["id"]}
    yield "response.output_item.added", {"item": {**item, "status": "in_progress", "arguments": ""}}
    for piece in json_pieces(item["arguments"]):
        yield "response.function_call_arguments.delta", {**place, "delta": piece}
    told = {"name": item["name"], "arguments": item["arguments"]}
    yield "response.function_call_arguments.done", {**place, **told}
    yield "response.output_item.done", {"item": item}


def _message(item: _Wire) -> _Events:
    yield "response.output_item.added", {"item": {**item, "status": "in_progress", "content": []}}
    for number, part in enumerate(item["content"]):
        here = {"item_id": item["id"], "content_index": number}
        yield "response.content_part.added", {**here, "part": _text("")}
        for piece in pieces_of(part["text"]):
            yield "response.output_text.delta", {**here, "delta": piece, "logprobs": []}
        yield "response.output_text.done", {**here, "text": part["text"], "logprobs": []}
        yield "response.content_part.done", {**here, "part": part}
    yield "response.output_item.done", {"item": item}


def _text(text: str) -> _Wire:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
