"""From events to the interaction they tell of: one pure function for streamed and unstreamed turns.

The rules reproduce what the API answers without streaming. Where a stream came from, whether it broke off and how it is
resumed is left to the backends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ._open import wire_of
from .events import (
    ErrorEvent,
    Event,
    InteractionCompleted,
    InteractionCreated,
    InteractionStatusUpdate,
    StepDelta,
    StepStart,
    StepStop,
)
from .interaction import Interaction
from .status import meaning_of
from .steps import Step
from .steps.deltas import TextDelta
from .usage import Usage

__all__ = ["NOT_STREAMED", "Assembler", "assemble"]

# What the unstreamed answer of a turn may hold and its stream does not carry.
NOT_STREAMED: frozenset[str] = frozenset(
    {
        "agent_config",
        "cached_content",
        "environment",
        "generation_config",
        "input",
        "labels",
        "previous_interaction_id",
        "response_format",
        "response_mime_type",
        "response_modalities",
        "safety_settings",
        "system_instruction",
        "tools",
        "webhook_config",
    }
)


def assemble(events: Iterable[Event]) -> Interaction:
    """The interaction that a stream's events tell of, as the unstreamed answer would be (but for `NOT_STREAMED`).

    A stream that broke off gives what had arrived, with the last status seen. Several `interaction.completed` are the hops of
    one continued turn: their steps follow one another, their usages are summed, and the id is the last hop's. What comes
    again, because a stream was resumed or replayed, changes nothing. Never raises.
    """
    assembler = Assembler()
    for event in events:
        assembler.add(event)
    return assembler.interaction()


class Assembler:
    """`assemble`, fed one event at a time."""

    def __init__(self) -> None:
        self._over: list[_Hop] = []
        self._hop = _Hop()

    @property
    def id(self) -> str:
        """The id of the hop that runs or ran last; empty until it is known, and where nothing is stored."""
        ids = (hop.fields.get("id") for hop in (self._hop, *reversed(self._over)))
        return next((known for known in ids if isinstance(known, str) and known), "")

    @property
    def hop(self) -> int:
        """How many hops of a continued turn are over; each counts its steps anew."""
        return len(self._over)

    @property
    def status(self) -> str:
        """The last status seen, empty before the first."""
        return self._hop.status

    def add(self, event: Event) -> None:
        """Takes the next event. Unknown events change nothing; they were counted when they were parsed."""
        if isinstance(event, StepDelta):
            self._hop.grow(event)
            return
        if self._hop.ended and self._begins_hop(event):
            self._over.append(self._hop)
            self._hop = _Hop()
        match event:
            case StepStart():
                self._hop.start(event.index, event.step)
            case StepStop():
                self._hop.stop(event.index)
            case InteractionCreated():
                self._hop.fields.update(event.interaction.to_wire())
            case InteractionStatusUpdate():
                self._hop.update(event)
            case InteractionCompleted():
                self._hop.end(event.interaction)
            case ErrorEvent() if event.error is not None:
                self._hop.errors.append(event.error.to_wire())

    def _begins_hop(self, event: Event) -> bool:
        """Whether an event after the end of a hop belongs to the next one, and not to the one that ended."""
        if meaning_of(self._hop.status).outcome != "more":
            return False
        match event:
            case InteractionCreated() | InteractionCompleted():
                its_id = event.interaction.id
            case InteractionStatusUpdate():
                its_id = event.interaction_id
            case _:
                its_id = ""
        if its_id:
            return bool(its_id != self._hop.fields.get("id"))
        return isinstance(event, InteractionCreated | StepStart)  # without ids, where nothing is stored

    def interaction(self) -> Interaction:
        """What the events so far tell of."""
        return Interaction.parse(
            wire_of(_joined([hop.wire() for hop in (*self._over, self._hop)]))
        )  # a copy: hops grow


class _Hop:
    """One interaction as it grows, in the wire's own shape."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.steps: dict[int, Any] = {}
        self.errors: list[Any] = []
        self.ended = False
        # Pieces not yet joined, so that a long answer costs time linear in its length.
        self.texts: dict[int, list[str]] = {}
        self.arguments: dict[int, list[str]] = {}

    @property
    def status(self) -> str:
        return str(self.fields.get("status") or "")

    def update(self, event: InteractionStatusUpdate) -> None:
        self.fields["status"] = event.status
        if event.interaction_id:
            self.fields.setdefault("id", event.interaction_id)
        if event.continuation_token is not None:
            self.fields["continuation_token"] = event.continuation_token
        if event.usage is not None:
            self.fields["usage"] = event.usage.to_wire()

    def end(self, interaction: Interaction) -> None:
        for index in [*self.arguments]:
            self.stop(index)
        self.fields.pop("continuation_token", None)  # one that was sent on the way; the end says whether it still holds
        self.fields.update(interaction.to_wire())
        self.ended = True

    def start(self, index: int, step: Step) -> None:
        wire = step.to_wire()
        if isinstance(wire, dict) and wire.get("signature") == "":  # the API's way of saying there is none
            del wire["signature"]
        self.steps[index] = wire
        self.texts.pop(index, None)
        self.arguments.pop(index, None)

    def grow(self, event: StepDelta) -> None:
        index, delta = event.index, event.delta
        if index in self.texts:
            if isinstance(delta, TextDelta) and not delta.model_extra:
                self.texts[index].append(delta.text)
                return
            self._join_text(index)
        step = self.steps.setdefault(index, {})
        wire = delta.to_wire()
        if not isinstance(step, dict) or not isinstance(wire, dict):
            return
        kind = wire.pop("type", None)
        match kind:
            case "text" if isinstance(wire.get("text"), str):
                step.setdefault("type", "model_output")
                self.texts[index] = [_text_block(step, wire), wire["text"]]
            case "arguments_delta":
                if isinstance(wire.get("arguments"), str):
                    self.arguments.setdefault(index, []).append(wire["arguments"])
            case "text_annotation_delta" | "text_annotation":
                content = _listed(step, "content")
                block = next((block for block in reversed(content) if _is(block, "text")), None)
                if block is None:
                    block = {"type": "text", "text": ""}
                    content.append(block)
                _listed(block, "annotations").extend(_as_list(wire.get("annotations")))
            case "thought_summary":
                step.setdefault("type", "thought")
                if wire.get("content") is not None:
                    _listed(step, "summary").append(wire["content"])
            case "thought_signature":
                step.setdefault("type", "thought")
                if wire.get("signature"):
                    step["signature"] = wire["signature"]
            case "image" | "audio" | "video" | "document":
                step.setdefault("type", "model_output")
                _put_medium(step, {"type": kind, **wire})
            case _:  # whole steps, and kinds not known yet: their fields are the step's
                if wire.get("signature") == "":
                    del wire["signature"]
                step.update(wire)
                if isinstance(kind, str):
                    step.setdefault("type", kind)

    def _join_text(self, index: int) -> None:
        self.steps[index]["content"][-1]["text"] = "".join(self.texts.pop(index))

    def stop(self, index: int) -> None:
        if index in self.texts:
            self._join_text(index)
        text = "".join(self.arguments.pop(index, ()))
        step = self.steps.get(index)
        if text.strip() and isinstance(step, dict):
            try:
                step["arguments"] = json.loads(text)
            except (ValueError, RecursionError):
                step["arguments"] = (
                    text  # as it came: the step then reads as an Unknown, and nothing is called with a guess
                )

    def wire(self) -> dict[str, Any]:
        for index in [*self.texts]:
            self._join_text(index)
        wire = dict(self.fields)
        if self.steps and not wire.get("steps"):
            wire["steps"] = [
                # Arguments that broke off are kept as a text, for the reason given in `stop`.
                {**step, "arguments": "".join(self.arguments[index])} if index in self.arguments else step
                for index, step in sorted(self.steps.items())
            ]
        if self.errors:
            told = _as_list(wire.get("errors"))
            wire["errors"] = [*told, *(error for error in self.errors if error not in told)]
        return wire


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _listed(holder: dict[str, Any], name: str) -> list[Any]:
    """The list a field holds, made one where it is none yet."""
    holder[name] = _as_list(holder.get(name))
    listed: list[Any] = holder[name]
    return listed


def _is(block: Any, kind: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == kind


def _text_block(step: dict[str, Any], delta: dict[str, Any]) -> str:
    """Makes the last block of a step the one that a piece of text goes on, and gives its text so far."""
    content = _listed(step, "content")
    block: Any = content[-1] if content else None
    # A text that has its annotations is finished: what follows is the next one.
    if not _is(block, "text") or block.get("annotations") or not isinstance(block.get("text", ""), str):
        block = {"type": "text"}
        content.append(block)
    so_far = str(block.get("text", ""))
    block.update(delta)
    return so_far


def _put_medium(step: dict[str, Any], medium: dict[str, Any]) -> None:
    """A medium comes whole: it replaces the one of its kind that ends the content. Sound comes in chunks, each a block."""
    content = _listed(step, "content")
    last: Any = content[-1] if content else None
    if not _is(last, medium["type"]):
        content.append(medium)
    elif not (last.get("data") or last.get("uri")):  # announced in `step.start`
        content[-1] = {**last, **medium}
    elif medium["type"] == "audio":
        content.append(medium)
    else:
        content[-1] = medium


def _joined(hops: list[dict[str, Any]]) -> dict[str, Any]:
    first, last = hops[0], hops[-1]
    if first is last:
        return last
    steps: list[Any] = []
    for hop in hops:
        mine = _as_list(hop.get("steps"))
        if hop is not first:  # later hops repeat the input
            while mine and isinstance(mine[0], dict) and mine[0].get("type") == "user_input":
                mine = mine[1:]
        steps.extend(mine)
    wire = {**last, "steps": steps, "continuation_ids": [hop["id"] for hop in hops if hop.get("id")]}
    for name in ("previous_interaction_id", "created", "input"):
        wire.pop(name, None)
        if name in first:
            wire[name] = first[name]
    errors = [error for hop in hops for error in _as_list(hop.get("errors"))]
    if errors:
        wire["errors"] = errors
    usages = [usage for usage in (Interaction.parse(hop).usage for hop in hops) if isinstance(usage, Usage)]
    if usages:
        total = usages[0]
        for usage in usages[1:]:
            total += usage
        wire["usage"] = total.to_wire()
    return wire
