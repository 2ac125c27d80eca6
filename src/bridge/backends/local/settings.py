"""What can be set about the service: switches for behaviours that are in dispute, and the test controls.

Test controls are request labels that steer a turn for tests of clients. They mean nothing unless the engine was told to
heed them. Pure data and pure functions; who acts on them is the engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from bridge.errors import InvalidRequest
from bridge.interactions import (
    STATUSES,
    FunctionCall,
    FunctionTool,
    Step,
    TextContent,
    Thought,
    pending_calls,
)

from .responders.base import Ending, Turn

__all__ = ["Controls", "Switches", "controlled"]


@dataclass(frozen=True, kw_only=True)
class Switches:
    """Behaviours of the real service on which its observers disagree, or which it has in two forms."""

    background_stream: bool = True
    """Whether a create may ask for background and stream at once; otherwise it is refused (400)."""
    antigravity_background: bool = True
    """Whether `antigravity-*` agents may run in the background; otherwise they are refused (400)."""
    environment_reuse: Literal["mutable", "fork"] = "mutable"
    """Whether a turn in an environment of an earlier one works on the same files, or on a copy under a new id."""
    hidden_reads: int = 0
    """How many reads of a background interaction answer 404 before the first that finds it."""
    first_text_in_start: bool = False
    """Whether the first piece of a text comes inside `step.start`."""
    foreground_event_ids: bool = True
    """Whether the stream of a foreground create carries event ids. Those of background and resumed streams always do."""

    @classmethod
    def parse(cls, texts: list[str]) -> Switches:
        """Switches from texts such as "background_stream=false". Raises `InvalidRequest` that names what is possible."""
        defaults = {field.name: field.default for field in fields(cls)}
        given: dict[str, Any] = {}
        for text in texts:
            name, _, value = text.partition("=")
            possible = _possible(defaults[name]) if name in defaults else {}
            if isinstance(defaults.get(name), int) and "NUMBER" in possible and value.isascii() and value.isdigit():
                possible = {value: int(value)}
            if value not in possible or value == "NUMBER":
                known = ", ".join(f"{switch}={'|'.join(_possible(default))}" for switch, default in defaults.items())
                raise InvalidRequest(f"there is no switch {text!r}; there are: {known}", "switch")
            given[name] = possible[value]
        return cls(**given)


def _possible(default: Any) -> dict[str, Any]:
    """What a switch may be set to, by its default: the texts and their values."""
    if isinstance(default, bool):
        return {"true": True, "false": False}
    return {"NUMBER": 0} if isinstance(default, int) else {"mutable": "mutable", "fork": "fork"}


@dataclass(frozen=True, kw_only=True)
class Controls:
    """How the labels of a request steer its turn.

    `delay` in seconds, spread evenly over the turn's steps; `status` is the one the turn ends with; `steps` is how many it
    has; `drop_after` events its first stream is cut; `http` is the status that the first request of its kind is answered.
    `webhook` says whether the deliveries that tell of its end are lost, come twice, or come early, before the create is
    answered; `webhook_delay` is the seconds by which they are late.
    """

    delay: float = 0.0
    status: str | None = None
    steps: int | None = None
    drop_after: int | None = None
    http: int | None = None
    webhook: str | None = None
    webhook_delay: float = 0.0

    @classmethod
    def of(cls, labels: Mapping[str, str] | None) -> Controls:
        """The controls that labels ask for. Raises `InvalidRequest` where a value is none."""
        labels = labels or {}
        delay = _number(labels, "local-delay-ms", 0, 3_600_000)
        webhook_delay = _number(labels, "local-webhook-delay-ms", 0, 3_600_000)
        return cls(
            delay=(delay or 0) / 1000,
            status=_one_of(labels, "local-status", [name for name, meaning in STATUSES.items() if meaning.ends_wait]),
            steps=_number(labels, "local-steps", 1, 10_000),
            drop_after=_number(labels, "local-drop-after", 0, 1_000_000),
            http=_number(labels, "local-http", 400, 599),
            webhook=_one_of(labels, "local-webhook", ["lost", "twice", "early"]),
            webhook_delay=(webhook_delay or 0) / 1000,
        )


def _one_of(labels: Mapping[str, str], name: str, possible: list[str]) -> str | None:
    text = labels.get(name)
    if text is not None and text not in possible:
        raise InvalidRequest(
            f"The value {text!r} is not supported for {name!r} at 'labels'. Supported values: {', '.join(possible)}.",
            f"labels.{name}",
        )
    return text


def _number(labels: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    text = labels.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise InvalidRequest(
            f"The value {text!r} is not supported for {name!r} at 'labels': it takes a number from {low} to {high}.",
            f"labels.{name}",
        )
    return int(text)


async def controlled(
    answer: AsyncIterator[Step | Ending], controls: Controls, turn: Turn
) -> AsyncIterator[Step | Ending]:
    """A responder's answer as the controls want it: so many steps, so late, and with that ending."""
    items = [item async for item in answer]
    steps: list[Step] = [item for item in items if not isinstance(item, Ending)]
    ending = next((item for item in items if isinstance(item, Ending)), None)
    steps = _as_many(steps, controls.steps)
    if controls.status is not None:
        ending = _ending(controls.status)
        if controls.status == "requires_action" and not pending_calls(steps):
            steps = [*steps[: len(steps) - 1 if controls.steps is not None else None], _call(turn)]
        if controls.status == "requires_continuation":
            steps = steps[:1]
    for step in steps:
        await asyncio.sleep(controls.delay / len(steps))
        yield step
    if not steps:
        await asyncio.sleep(controls.delay)
    if ending is not None:
        yield ending


def _as_many(steps: list[Step], number: int | None) -> list[Step]:
    if number is None:
        return steps
    missing = number - len(steps)
    fillers = [
        Thought(summary=[TextContent(text=f"Step {place} of {number}.")], signature="bG9jYWwtc3RlcHM=")
        for place in range(1, missing + 1)
    ]
    return [*fillers, *steps][-number:]


def _ending(status: str) -> Ending:
    failed = (("api_error", "The interaction failed because of the label local-status."),)
    return Ending(status=status, errors=failed if status == "failed" else ())


def _call(turn: Turn) -> FunctionCall:
    tools = [*(turn.request.tools or ()), *((turn.agent.tools if turn.agent else None) or ())]
    name = next((tool.name for tool in tools if isinstance(tool, FunctionTool)), "local_action")
    return FunctionCall(id=turn.new_id(), name=name, arguments={})
