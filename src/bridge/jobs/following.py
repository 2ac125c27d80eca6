"""Following an interaction step by step: what a stream tells and what a look shows, each step once and in order.

No I/O: events and interactions go in, steps that are over come out with their place among the interaction's own.
"""

from __future__ import annotations

from collections.abc import Iterator

from bridge.interactions import (
    Event,
    Interaction,
    Step,
    StepDelta,
    StepStart,
    StepStop,
    assemble,
    meaning_of,
)

__all__ = ["Follower", "cursor_after"]


def cursor_after(event: Event, cursor: str | None) -> str | None:
    """The event that a broken stream goes on from: this one, or that of before where it has no id, or one that is no text."""
    told = getattr(event, "event_id", None)
    return told if isinstance(told, str) and told else cursor


class Follower:
    """Tells the steps of one interaction. `cursor` is the event that a broken stream goes on from."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self._open: dict[int, list[Event]] = {}  # the events of steps that are not over
        self._order: dict[int, int] = {}  # a stream's index of a step -> its place among the steps told
        self._told: set[int] = set()

    def add(self, event: Event) -> Iterator[tuple[int, Step]]:
        """The step that this event ends, if there is one that was not told."""
        self.cursor = cursor_after(event, self.cursor)
        match event:
            case StepStart():
                if getattr(event.step, "type", None) != "user_input":
                    # Told once more after a broken connection, it is the same step.
                    self._order.setdefault(event.index, len(self._order))
                    self._open[event.index] = [event]
            case StepDelta() if event.index in self._open:
                self._open[event.index].append(event)
            case StepStop() if event.index in self._open:
                for step in assemble([*self._open.pop(event.index), event]).steps or []:
                    yield from self._tell(self._order[event.index], step)

    def look(self, interaction: Interaction) -> Iterator[tuple[int, Step]]:
        """What a stream did not tell: all steps of an interaction that ended, all but the last of one that runs."""
        steps = interaction.own_steps
        over = len(steps) if meaning_of(interaction.status).ends_wait else len(steps) - 1
        for place, step in enumerate(steps[: max(over, 0)]):
            yield from self._tell(place, step)

    def _tell(self, place: int, step: Step) -> Iterator[tuple[int, Step]]:
        if place not in self._told:
            self._told.add(place)
            yield place, step
