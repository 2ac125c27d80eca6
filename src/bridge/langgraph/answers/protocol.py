"""Answers as the events of LangChain's streaming protocol for messages (`version="v3"`), straight from the events of a turn.

`message-start`, then per block a start, its growth and its end, and `message-finish`. What an event says is `pieces`' to tell; the
message that these events make equals the merged chunks in standard blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.interactions import Event, InteractionCreated, StepStop
from bridge.sessions import Plan

from ..messages import PROVIDER
from .pieces import GROWING, Piece, Pieces

if TYPE_CHECKING:
    from langchain_protocol.protocol import MessagesData

__all__ = ["ProtocolEvents"]

# The protocol's names for how a block grows.
_DELTAS = {"text": "text-delta", "reasoning": "reasoning-delta", "tool_call_chunk": "tool-call-delta"}
# What a block that comes whole says at its end only, and what stands for it at its start.
_HEAVY: dict[str, dict[str, Any]] = {
    "server_tool_call": {"args": {}},
    "non_standard": {"value": {}},
}
_WITHHELD = frozenset({"args", "base64", "index", "output", "value"})


class ProtocolEvents:
    """The protocol's events of one turn: `add` gives those of an event, `last` the closing ones.

    `plan` and `hold_calls` are as in `Pieces`. Indexes count from 0 without gaps. Text and reasoning end with their step; a call ends
    with the message, because only then it is known that its arguments are whole.
    """

    def __init__(self, plan: Plan, *, hold_calls: bool = False) -> None:
        self._pieces = Pieces(plan, hold_calls=hold_calls)
        self._started = False
        self._open: dict[int, None] = {}  # in order

    def add(self, event: Event) -> list[MessagesData]:
        """The protocol's events of the next event, often none."""
        events: list[Any] = []
        pieces = self._pieces.add(event)
        if not self._started and (pieces or isinstance(event, InteractionCreated)):
            events.append(self._start(event))
        for piece in pieces:
            self._tell(piece, events)
        if isinstance(event, StepStop):
            blocks = self._pieces.blocks
            events += [
                self._finish(index)
                for index in [*self._open]
                if blocks[index].step == event.index and blocks[index].kind != "tool_call_chunk"
            ]
        return events

    def last(self, requested: str) -> list[MessagesData]:
        """The calls held back, the ends of what is still open, and `message-finish` with status, usage and the anchor.

        `requested` is the model or agent asked for. Raises `InteractionFailed` where the turn failed or was cancelled.
        """
        ending = self._pieces.end(requested)
        events: list[Any] = [] if self._started else [self._start(None)]
        for piece in ending.pieces:
            self._tell(piece, events)
        events += [self._finish(index) for index in [*self._open]]
        finish: dict[str, Any] = {
            "event": "message-finish",
            "metadata": {"model_provider": PROVIDER, **ending.response_metadata, "output_version": "v1"},
            # Not in the protocol's own list of fields, but LangChain's way for them into the message.
            "additional_kwargs": ending.additional_kwargs,
        }
        if ending.usage_metadata is not None:
            finish["usage"] = ending.usage_metadata
        return [*events, finish]

    def _start(self, event: Event | None) -> Any:
        self._started = True
        start: dict[str, Any] = {"event": "message-start", "role": "ai", "id": "", "metadata": {"provider": PROVIDER}}
        if isinstance(event, InteractionCreated):
            start["id"] = event.interaction.id or ""
            if name := event.interaction.model or event.interaction.agent:
                start["metadata"]["model"] = name
        return start

    def _tell(self, piece: Piece, events: list[Any]) -> None:
        """Adds the events of a piece: its block's start, where it is the first, and what it adds, or the whole block at once."""
        index, kind = piece["index"], piece["type"]
        field = GROWING.get(kind)
        if field is None:
            light = {name: value for name, value in piece.items() if name not in _WITHHELD}
            start = {**light, **_HEAVY.get(kind, {})}
            events.append({"event": "content-block-start", "index": index, "content": start})
            events.append({"event": "content-block-finish", "index": index, "content": piece})
            return
        if index not in self._open:
            self._open[index] = None
            start = {**piece, field: ""} if kind == "tool_call_chunk" else {"type": kind, field: ""}
            events.append({"event": "content-block-start", "index": index, "content": start})
        if text := piece[field]:
            delta = {"type": _DELTAS[kind], field: text}
            events.append({"event": "content-block-delta", "index": index, "delta": delta})

    def _finish(self, index: int) -> Any:
        del self._open[index]
        content = self._pieces.blocks[index].whole()
        if content["type"] in GROWING:  # the index of a call would bring LangChain to grow it once more
            content["index"] = index
        return {"event": "content-block-finish", "index": index, "content": content}
