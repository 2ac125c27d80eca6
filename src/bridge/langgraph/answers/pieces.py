"""What the events of a turn add to LangChain's standard blocks, piece by piece, and what the turn comes to at its end.

A piece is a block, or what one grows by, under the block's `index`; blocks stand in the order in which they were told. In which form
pieces reach a caller is left to `chunks` and `protocol`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata

from bridge.interactions import (
    ArgumentsDelta,
    Assembler,
    Event,
    StepDelta,
    StepStart,
    StepStop,
    TextDelta,
    ThoughtSummaryDelta,
    Unknown,
    assemble,
)
from bridge.sessions import Message, Plan

from ..content import MEDIA, NOT_SAID, block_of, citation_of
from ..messages import ANCHOR, to_message
from .blocks import blocks_of, call_of
from .outcome import metadata_of, raise_if_failed, usage_of
from .steps import ToldStep

__all__ = ["GROWING", "Block", "Ending", "Piece", "Pieces"]

Piece = dict[str, Any]

# The pieces that grow a block, and the field they grow.
GROWING = {"text": "text", "reasoning": "reasoning", "tool_call_chunk": "args"}


class Block(NamedTuple):
    """A block as it stands: the piece that began it, the index of its step, and the parts and annotations that have come."""

    piece: Piece
    step: int | None
    parts: list[str]
    annotations: list[Any]

    @property
    def kind(self) -> str:
        """The type of its pieces."""
        return str(self.piece["type"])

    def whole(self) -> dict[str, Any]:
        """The block, without its index."""
        kind, piece = self.kind, self.piece
        if kind == "tool_call_chunk":
            return call_of(piece["id"], piece["name"], "".join(self.parts))
        if kind in GROWING:
            noted = {"annotations": self.annotations} if self.annotations else {}
            return {"type": kind, GROWING[kind]: "".join(self.parts), **noted}
        return {name: value for name, value in piece.items() if name != "index"}


class Ending(NamedTuple):
    """What a turn comes to: the last pieces, and what a message says besides its content."""

    pieces: list[Piece]
    response_metadata: dict[str, Any]
    usage_metadata: UsageMetadata | None
    additional_kwargs: dict[str, Any]


class Pieces:
    """The pieces of one turn: `add` gives those of an event, `end` the last ones.

    `plan` is the turn's, which makes the anchor. With `hold_calls` a function call is shown once it is known who answers it: as a
    server's call beside its result, or at the end as a call to answer.
    """

    def __init__(self, plan: Plan, *, hold_calls: bool = False) -> None:
        self.blocks: list[Block] = []
        """The blocks so far; a block's index is its place."""
        self._plan = plan
        self._hold_calls = hold_calls
        self._assembler = Assembler()
        self._hop = 0
        self._steps: dict[int, ToldStep] = {}

    def add(self, event: Event) -> list[Piece]:
        """What the next event adds, often nothing."""
        self._assembler.add(event)
        if self._hop != self._assembler.hop:
            self._hop, self._steps = self._assembler.hop, {}
        match event:
            case StepDelta() if (step := self._steps.get(event.index)) is not None:
                return self._delta(step, event)
            case StepStart():
                before = self._steps.get(event.index)
                step = self._steps[event.index] = ToldStep(event, before, self._shown(before) if before else "")
                return self._start(step)
            case StepStop() if (step := self._steps.get(event.index)) is not None:
                step.events.append(event)
                return self._stop(step)
        return []

    def end(self, requested: str) -> Ending:
        """The pieces held back, status, usage and the anchor. `requested` is the model or agent asked for.

        Raises `InteractionFailed` where the turn failed or was cancelled.
        """
        interaction = self._assembler.interaction()
        raise_if_failed(interaction)
        pieces = [piece for step in self._steps.values() for piece in self._rest_of_call(step)]
        if self._hold_calls:
            pieces += [
                self._begin(_call(call.id, call.name, json.dumps(call.arguments))) for call in interaction.pending_calls
            ]
        steps = [step.to_wire() for step in interaction.step_list]
        anchor = self._plan.anchor(_said(self.blocks), id=interaction.id, steps=steps)
        return Ending(pieces, metadata_of(interaction, requested), usage_of(interaction.usage), {ANCHOR: anchor})

    def _begin(self, piece: Piece, step: ToldStep | None = None) -> Piece:
        """A piece that begins a block, of a step where it may grow."""
        kind = piece["type"]
        piece["index"] = len(self.blocks)
        if step is not None:
            step.open(len(self.blocks))
        self.blocks.append(
            Block(
                {**piece},
                step.place if step is not None else None,
                [piece[GROWING[kind]]] if kind in GROWING else [],
                [],
            )
        )
        return piece

    def _grow(self, step: ToldStep, kind: str, text: str) -> list[Piece]:
        """The next text of a step: in the block it has been growing, unless something else has been told since, or in another."""
        index = step.index
        if index is None or step.sealed or index != len(self.blocks) - 1:
            return [self._begin({"type": kind, kind: text}, step)]
        self.blocks[index].parts.append(text)
        return [{"type": kind, kind: text, "index": index}]

    def _grow_call(self, step: ToldStep, args: str) -> list[Piece]:
        if not args or step.index is None:
            return []
        self.blocks[step.index].parts.append(args)
        return [{**_call(None, None, args), "index": step.index}]

    def _shown(self, step: ToldStep) -> str:
        """All text, or arguments, that has been shown of a step."""
        return "".join(part for index in step.indexes for part in self.blocks[index].parts)

    def _start(self, step: ToldStep) -> list[Piece]:
        """What a step says already as it begins."""
        wire = step.wire
        if step.kind == "model_output":
            return [piece for part in wire.get("content") or () for piece in self._part(step, part)]
        if step.kind == "thought":
            return [piece for part in wire.get("summary") or () for piece in self._thought(step, part)]
        if step.kind == "function_call" and not self._hold_calls and step.index is None:
            return [self._begin(_call(_text_of(wire.get("id")), _text_of(wire.get("name")), ""), step)]
        return []

    def _delta(self, step: ToldStep, event: StepDelta) -> list[Piece]:
        delta = event.delta
        if isinstance(delta, TextDelta):
            return self._text(step, delta.text) if step.kind == "model_output" else []
        kind = delta.kind if isinstance(delta, Unknown) else delta.type
        step.events.append(event)
        if step.kind == "function_call" and isinstance(delta, ArgumentsDelta):
            return self._arguments(step, delta.arguments or "")
        if step.kind == "model_output" and kind in MEDIA:
            return self._medium(step, delta.to_wire())
        if step.kind == "model_output" and kind.startswith("text_annotation"):
            return self._annotated(step, delta.to_wire().get("annotations") or ())
        if step.kind == "thought" and isinstance(delta, ThoughtSummaryDelta):
            return self._thought(step, delta.to_wire().get("content"))
        return []

    def _stop(self, step: ToldStep) -> list[Piece]:
        rest = self._rest_of_call(step)
        step.ended = step.sealed = True
        if step.kind in ("function_call", "model_output", "thought", "user_input") or step.index is not None:
            return rest
        whole = [step]
        if self._hold_calls and step.kind == "function_result":  # the call it answers is known for a server's own now
            call_id = step.wire.get("call_id")
            calls = [
                one for one in self._steps.values() if one.kind == "function_call" and one.wire.get("id") == call_id
            ]
            whole = [*calls[:1], step]
        wires = [part.to_wire() for part in assemble(event for one in whole for event in one.events).steps or []]
        pieces = [self._begin(block) for block in blocks_of(wires)]
        step.indexes = [piece["index"] for piece in pieces]
        return pieces

    def _part(self, step: ToldStep, part: Any) -> list[Piece]:
        """A whole part of the answer."""
        if not isinstance(part, dict):
            return []
        if part.get("type") != "text" or not isinstance(part.get("text"), str):
            return self._medium(step, part)
        pieces = self._text(step, part["text"])
        return pieces + self._annotated(step, part["annotations"]) if part.get("annotations") else pieces

    def _text(self, step: ToldStep, text: str) -> list[Piece]:
        text = step.beyond(text) if step.behind else text
        return self._grow(step, "text", text) if text else []

    def _annotated(self, step: ToldStep, rows: Iterable[Any]) -> list[Piece]:
        """Annotations on the text so far; the next text is another block."""
        rows = step.notes_beyond([*rows])
        if not rows or step.index is None or step.behind or step.ended:
            return []
        step.sealed = True
        block = self.blocks[step.index]
        citations = [citation_of(row, "".join(block.parts)) for row in rows]
        block.annotations.extend(citations)
        return [{"type": "text", "text": "", "annotations": citations, "index": step.index}]

    def _medium(self, step: ToldStep, part: dict[str, Any]) -> list[Piece]:
        if step.media_behind:
            step.media_behind -= 1
            return []
        step.media += 1
        step.sealed = True
        return [self._begin(block_of(part))]

    def _thought(self, step: ToldStep, part: Any) -> list[Piece]:
        """A piece of a thought's summary."""
        text = part.get("text") if isinstance(part, dict) else None
        text = step.beyond(text) if isinstance(text, str) else ""
        return self._grow(step, "reasoning", text) if text else []

    def _arguments(self, step: ToldStep, text: str) -> list[Piece]:
        """A piece of a call's arguments. One that had ended has all of them."""
        step.told_arguments = step.told_arguments or bool(text.strip())
        return self._grow_call(step, step.beyond(text)) if not step.ended else []

    def _rest_of_call(self, step: ToldStep) -> list[Piece]:
        """What is left to show of a call as it ends."""
        if step.kind != "function_call" or step.index is None or step.ended:
            return []
        return self._grow_call(step, step.rest_of_arguments(self._shown(step)))


def _call(id: str | None, name: str | None, args: str) -> Piece:
    return {"type": "tool_call_chunk", "id": id, "name": name, "args": args}


def _text_of(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _said(blocks: Iterable[Block]) -> Message:
    """What blocks say, as a session will see it in the message they make."""
    content: list[Any] = []
    calls: list[Any] = []
    for block in blocks:
        if block.kind == "tool_call_chunk":
            calls.append({**block.piece, "args": "".join(block.parts)})
        elif block.kind not in NOT_SAID:
            content.append(block.whole())
    return to_message(AIMessageChunk(content=content, tool_call_chunks=calls))
