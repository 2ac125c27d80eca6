"""An answer in the words of the Messages API: its events, the message they make, and errors.

Source: the page "Streaming messages" and the response types of anthropic 2.12. The message is put together from the same events that are streamed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any, assert_never

from bridge.backends.local import Responder
from bridge.backends.local.stand_ins import Answering, Event, Refused, json_pieces, new_call_id, pieces_of, seal
from bridge.interactions import FunctionCall, ModelOutput, TextContent, Thought

from .reading import Asked

__all__ = ["Message", "counted", "error_of", "failure_of"]

_Wire = dict[str, Any]


class Message:
    """One answer: `events` once, then `whole`."""

    def __init__(self, asked: Asked, responder: Responder) -> None:
        self._asked = asked
        self._answer = Answering(
            responder, asked.request, prefix="toolu_", thoughts=asked.thinking, parallel=asked.parallel
        )
        self._message: _Wire = {
            "id": f"msg_{new_call_id()}",
            "type": "message",
            "role": "assistant",
            "model": f"local-{asked.request.model}",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": self._usage(),
        }

    async def events(self) -> AsyncGenerator[Event, None]:
        """`message_start`, the blocks, `message_delta` and `message_stop`."""
        yield _event("message_start", message={**self._message, "content": []})
        blocks = self._message["content"]
        async for step in self._answer:
            for block, deltas in self._blocks(step):
                place = {"index": len(blocks)}
                yield _event("content_block_start", **place, content_block=_empty(block))
                if not blocks:
                    yield _event("ping")
                for delta in deltas:
                    yield _event("content_block_delta", **place, delta=delta)
                yield _event("content_block_stop", **place)
                blocks.append(block)
        ended: _Wire = {"stop_reason": self._stop_reason(), "stop_sequence": self._answer.stopped_by}
        self._message |= {**ended, "usage": self._usage()}
        yield _event("message_delta", delta=ended, usage=self._usage())
        yield _event("message_stop")

    def whole(self) -> _Wire:
        """The message, once the events are over."""
        return self._message

    def _blocks(self, step: Thought | ModelOutput | FunctionCall) -> list[tuple[_Wire, list[_Wire]]]:
        """The blocks of a step, each with the deltas that bring it."""
        match step:
            case Thought():
                words = [item.text for item in step.summary or () if isinstance(item, TextContent)]
                text = "\n".join(words) if self._asked.shown else ""
                signature = seal("anthropic", text)
                deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces_of(text) if piece]
                signed = {"type": "signature_delta", "signature": signature}
                return [({"type": "thinking", "thinking": text, "signature": signature}, [*deltas, signed])]
            case FunctionCall():
                block = {"type": "tool_use", "id": step.id, "name": step.name, "input": step.arguments}
                pieces = json_pieces(json.dumps(step.arguments, ensure_ascii=False)) if step.arguments else []
                return [(block, [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces]])]
            case ModelOutput():
                texts = [item.text for item in step.content or () if isinstance(item, TextContent) and item.text]
                return [
                    (
                        {"type": "text", "text": text},
                        [{"type": "text_delta", "text": piece} for piece in pieces_of(text)],
                    )
                    for text in texts
                ]
            case _:
                assert_never(step)

    def _stop_reason(self) -> str:
        if self._answer.stopped_by is not None:
            return "stop_sequence"
        return {"requires_action": "tool_use", "incomplete": "max_tokens"}.get(str(self._answer.ending), "end_turn")

    def _usage(self) -> _Wire:
        return {
            "input_tokens": self._answer.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": self._answer.output_tokens + self._answer.thought_tokens,
        }


def counted(asked: Asked, responder: Responder) -> _Wire:
    """The answer of `count_tokens`: how long a request is."""
    return {"input_tokens": Answering(responder, asked.request, prefix="").input_tokens}


def error_of(refusal: Refused) -> _Wire:
    """The body of an error."""
    return {"type": "error", "error": {"type": refusal.kind, "message": refusal.message}}


def failure_of(refusal: Refused) -> Event:
    """The event that tells of an error inside a stream."""
    return Event("error", error_of(refusal))


def _event(kind: str, **data: Any) -> Event:
    return Event(kind, {"type": kind, **data})


def _empty(block: _Wire) -> _Wire:
    """A block before its deltas."""
    started: _Wire = {"text": "", "thinking": "", "signature": "", "input": {}}
    return {name: started.get(name, value) for name, value in block.items()}
