"""Answers as message chunks, and the message that chunks make.

By default the content is the text (and media blocks where there are media), which every other vendor's model can read; everything
else travels in the anchor and shows as `content_blocks`. What an event says is `pieces`' to tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from bridge.interactions import (
    Event,
    Interaction,
    InteractionCompleted,
    InteractionCreated,
    StepStart,
    StepStop,
)
from bridge.sessions import Plan

from ..messages import PROVIDER
from .blocks import call_of
from .pieces import Piece, Pieces

__all__ = ["Chunks", "events_of", "message_of", "tidied"]

# What portable content shows beside text.
_PORTABLE = ("image", "audio", "video", "file")


class Chunks:
    """The chunks of one turn: `add` gives those of an event, `last` the closing ones.

    With `blocks` the content is LangChain's standard blocks. `plan` and `hold_calls` are as in `Pieces`.
    """

    def __init__(self, plan: Plan, *, blocks: bool = False, hold_calls: bool = False) -> None:
        self._pieces = Pieces(plan, hold_calls=hold_calls)
        self._blocks = blocks
        self._started = False
        self._template = self._chunk("")
        self._fresh = [
            (name, value) for name, value in self._template.__dict__.items() if isinstance(value, list | dict)
        ]

    def add(self, event: Event) -> list[AIMessageChunk]:
        """The chunks of the next event, often none."""
        chunks = self._chunks(self._pieces.add(event))
        if not self._started and isinstance(event, InteractionCreated):
            self._started = True
            chunks.insert(0, self._chunk("", id=event.interaction.id or None))
        return chunks

    def last(self, requested: str) -> list[AIMessageChunk]:
        """The calls held back, and the closing chunk: status, usage and the anchor. `requested` is the model or agent asked for.

        Raises `InteractionFailed` where the turn failed or was cancelled.
        """
        ending = self._pieces.end(requested)
        closing = self._chunk(
            "",
            additional_kwargs=ending.additional_kwargs,
            response_metadata=ending.response_metadata,
            usage_metadata=ending.usage_metadata,
            chunk_position="last",
        )
        return [*self._chunks(ending.pieces), closing]

    def _chunks(self, pieces: Iterable[Piece]) -> list[AIMessageChunk]:
        return [chunk for piece in pieces if (chunk := self._chunk_of(piece)) is not None]

    def _chunk_of(self, piece: Piece) -> AIMessageChunk | None:
        """The chunk of a piece; None for what portable content does not show."""
        kind = piece["type"]
        if kind == "tool_call_chunk":
            return self._chunk([{**piece}] if self._blocks else "", tool_call_chunks=[piece])
        content: Any
        if self._blocks:
            content = [piece]
        elif kind == "text":
            content = piece["text"]
        elif kind in _PORTABLE:
            content = [_without_index(piece)]
        else:
            return None
        # A copy of a chunk costs half of making one, and nearly all chunks come by here.
        chunk = copy(self._template)
        fields = chunk.__dict__
        for name, value in self._fresh:
            fields[name] = value.copy()
        fields["content"] = content
        return chunk

    def _chunk(self, content: str | list[Any], **fields: Any) -> AIMessageChunk:
        metadata = {"model_provider": PROVIDER, **fields.pop("response_metadata", {})}
        if self._blocks:
            metadata["output_version"] = "v1"
            content = content or []
        return AIMessageChunk(content=content, response_metadata=metadata, **fields)


def events_of(interaction: Interaction) -> Iterator[Event]:
    """An interaction told as the events of its stream, every step at once."""
    first = (interaction.continuation_ids or [interaction.id])[0]
    yield InteractionCreated(interaction=interaction.replace(id=first, steps=None))
    for index, step in enumerate(interaction.step_list):
        yield StepStart(index=index, step=step)
        yield StepStop(index=index)
    yield InteractionCompleted(interaction=interaction)


def message_of(chunks: Iterable[AIMessageChunk]) -> AIMessage:
    """The message that chunks make."""
    first, *rest = chunks
    whole = first + rest if rest else first
    if isinstance(whole.content, list):
        whole.content = [_finished(block) if isinstance(block, dict) else block for block in whole.content]
    skipped = ("type", "tool_call_chunks", "chunk_position")
    return tidied(AIMessage(**{name: value for name, value in whole.__dict__.items() if name not in skipped}))


_Message = TypeVar("_Message", bound=BaseMessage)


def tidied(message: _Message) -> _Message:
    """The message without the empty text that LangChain puts ahead of media, because a first chunk has no other content."""
    content = message.content
    if isinstance(content, list) and content and content[0] == "":
        return message.model_copy(update={"content": content[1:]})
    return message


def _finished(block: dict[str, Any]) -> dict[str, Any]:
    """A block that is over: without the index, which says where a piece belongs."""
    if block.get("type") == "tool_call_chunk":  # LangChain leaves some as they are
        return call_of(block["id"], block["name"], block["args"])
    return _without_index(block)


def _without_index(block: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name != "index"}
