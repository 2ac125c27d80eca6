"""From events to the interaction they tell of: one pure function for streamed and unstreamed turns.

The rules reproduce what the API answers without streaming. Where a stream came from, whether it broke off and how it is
resumed is left to the backends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from .deltas import TextDelta
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
from .steps import Step
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

_MEDIA = frozenset({"image", "audio", "video", "document"})


def assemble(events: Iterable[Event]) -> Interaction:
    """The interaction that a stream's events tell of, as the unstreamed answer would be (but for `NOT_STREAMED`).

    A stream that broke off gives what had arrived, with the last status seen. Several `interaction.completed` are the hops of
    one continued turn: their steps follow one another, their usages are summed, and the id is the last hop's.
    """
    assembler = Assembler()
    for event in events:
        assembler.add(event)
    return assembler.interaction()


class Assembler:
    """`assemble`, fed one event at a time."""

    def __init__(self) -> None:
        self._hops: list[Interaction] = []  # hops that are over, steps included
        self._open = _Hop()

    @property
    def id(self) -> str:
        """The id of the hop that runs or ran last; empty until it is known, and where nothing is stored."""
        hop = self._open.fields.get("id") or (self._hops[-1].id if self._hops else "")
        return str(hop)

    @property
    def status(self) -> str:
        """The last status seen, empty before the first."""
        if self._open.fields:
            return str(self._open.fields.get("status", ""))
        return self._hops[-1].status if self._hops else ""

    def add(self, event: Event) -> None:
        """Takes the next event. Unknown events change nothing; they were counted when they were parsed."""
        match event:
            case StepDelta():
                self._open.grow(event)
            case StepStart():
                self._open.start(event.index, event.step)
            case StepStop():
                self._open.stop(event.index)
            case InteractionCreated():
                self._open.set(event.interaction)
            case InteractionStatusUpdate():
                self._open.update(event)
            case InteractionCompleted():
                self._open.set(event.interaction)
                self._hops.append(self._open.interaction())
                self._open = _Hop()
            case ErrorEvent():
                if event.error is not None:
                    self._open.errors.append(event.error.to_wire())

    def interaction(self) -> Interaction:
        """What the events so far tell of."""
        if (
            self._open.begun
            and self._hops
            and self._hops[-1].status != "requires_continuation"
        ):
            # A late error or status after the end belongs to the turn that ended.
            late = self._open.interaction()
            return _joined([*self._hops[:-1], _merged(self._hops[-1], late)])
        return _joined(
            [*self._hops, self._open.interaction()]
            if self._open.begun or not self._hops
            else self._hops
        )


class _Hop:
    """One interaction as it grows, in the wire's own shape."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.steps: dict[int, dict[str, Any] | Step] = {}
        self.errors: list[Any] = []
        # Pieces not yet joined, so that a long answer costs time linear in its length.
        self.texts: dict[int, list[str]] = {}
        self.arguments: dict[int, list[str]] = {}

    @property
    def begun(self) -> bool:
        return bool(self.fields or self.steps or self.errors)

    def set(self, interaction: Interaction) -> None:
        self.fields.update(interaction.to_wire())

    def update(self, event: InteractionStatusUpdate) -> None:
        self.fields["status"] = event.status
        if event.interaction_id:
            self.fields.setdefault("id", event.interaction_id)
        if event.continuation_token is not None:
            self.fields["continuation_token"] = event.continuation_token
        if event.usage is not None:
            self.fields["usage"] = event.usage.to_wire()

    def start(self, index: int, step: Step) -> None:
        wire = deepcopy(
            step.to_wire()
        )  # what is unknown is shared with its event, and this copy grows
        if (
            isinstance(wire, dict) and wire.get("signature") == ""
        ):  # the API's way of saying there is none
            del wire["signature"]
        self.steps[index] = wire
        self.texts.pop(index, None)
        self.arguments.pop(index, None)

    def grow(self, event: StepDelta) -> None:
        step = self.steps.setdefault(event.index, {})
        if not isinstance(step, dict):
            return
        if isinstance(event.delta, TextDelta) and event.index in self.texts:
            self.texts[event.index].append(event.delta.text)
            return
        delta = deepcopy(event.delta.to_wire())
        if not isinstance(delta, dict):
            return
        self._join_text(event.index)
        kind = delta.get("type")
        if kind == "text" and isinstance(delta.get("text"), str):
            step.setdefault("type", "model_output")
            content = _content_of(step)
            last = content[-1] if content else None
            # A text that has its annotations is finished: what follows is the next one.
            if not (
                isinstance(last, dict)
                and last.get("type") == "text"
                and "annotations" not in last
            ):
                last = {**delta, "text": ""}
                content.append(last)
            self.texts[event.index] = [last.get("text") or "", delta["text"]]
        elif kind == "arguments_delta":
            if delta.get("arguments"):
                self.arguments.setdefault(event.index, []).append(delta["arguments"])
        elif kind in ("text_annotation_delta", "text_annotation"):
            content = _content_of(step)
            if not content:
                content.append({"type": "text", "text": ""})
            content[-1]["annotations"] = [
                *(content[-1].get("annotations") or []),
                *(delta.get("annotations") or []),
            ]
        elif kind == "thought_summary":
            if delta.get("content") is not None:
                step["summary"] = [*(step.get("summary") or []), delta["content"]]
        elif kind == "thought_signature":
            if delta.get("signature"):
                step["signature"] = delta["signature"]
        elif kind in _MEDIA:
            _content_of(step).append(delta)
        else:  # whole steps, and kinds not known yet: their fields are the step's
            step.update(
                {
                    k: v
                    for k, v in delta.items()
                    if k != "type" and not (k == "signature" and v == "")
                }
            )
            step.setdefault("type", kind)

    def _join_text(self, index: int) -> None:
        pieces = self.texts.pop(index, None)
        if pieces:
            step = self.steps[index]
            assert isinstance(step, dict)
            step["content"][-1]["text"] = "".join(pieces)

    def stop(self, index: int) -> None:
        self._join_text(index)
        pieces = self.arguments.pop(index, None)
        step = self.steps.get(index)
        if pieces and isinstance(step, dict):
            text = "".join(pieces)
            try:
                step["arguments"] = json.loads(text)
            except ValueError:  # kept as it came; the step then reads as an Unknown, and nothing is called with a guess
                step["arguments"] = text

    def interaction(self) -> Interaction:
        for index in [*self.texts]:
            self._join_text(index)
        wire = dict(self.fields)
        steps = [step for _, step in sorted(self.steps.items())]
        if steps and not wire.get("steps"):
            wire["steps"] = steps
        if self.errors:
            wire["errors"] = [*(wire.get("errors") or []), *self.errors]
        return Interaction.parse(wire)


def _content_of(step: dict[str, Any]) -> list[Any]:
    content = step.get("content")
    if not isinstance(content, list):
        content = step["content"] = []
    return content


def _merged(hop: Interaction, late: Interaction) -> Interaction:
    wire = hop.to_wire()
    for name, value in late.to_wire().items():
        wire[name] = (
            [*(wire.get(name) or []), *value] if name in ("errors", "steps") else value
        )
    return Interaction.parse(wire)


def _joined(hops: list[Interaction]) -> Interaction:
    if len(hops) == 1:
        return hops[0]
    first, last = hops[0].to_wire(), hops[-1].to_wire()
    steps: list[Any] = []
    for number, hop in enumerate(hops):
        mine = hop.to_wire().get("steps") or []
        while (
            number
            and mine
            and isinstance(mine[0], dict)
            and mine[0].get("type") == "user_input"
        ):
            mine = mine[1:]  # later hops repeat the input
        steps.extend(mine)
    wire = {
        **last,
        "steps": steps,
        "continuation_ids": [hop.id for hop in hops if hop.id],
    }
    for name in ("previous_interaction_id", "created", "input"):
        wire.pop(name, None)
        if name in first:
            wire[name] = first[name]
    usages = [hop.usage for hop in hops if isinstance(hop.usage, Usage)]
    if usages:
        total = usages[0]
        for usage in usages[1:]:
            total = total + usage
        wire["usage"] = total.to_wire()
    return Interaction.parse(wire)
