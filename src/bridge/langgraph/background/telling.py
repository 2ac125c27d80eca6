"""What a graph's custom stream is told of an interaction while a run is open: its state, and each step once, when it is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bridge.interactions import Event, Interaction, Step
from bridge.jobs.following import Follower

__all__ = ["Teller"]


class Teller:
    """Tells the custom stream of one interaction of a node."""

    def __init__(self, name: str, write: Callable[[Any], None]) -> None:
        self._name = name
        self._write = write
        self._id: str | None = None
        self._follower = Follower()

    @property
    def cursor(self) -> str | None:
        """The event that a broken stream goes on from."""
        return self._follower.cursor

    def state(self, id: str | None, status: str) -> None:
        """How the interaction stands."""
        self._id = id or None
        self._write({"type": "interaction", "name": self._name, "interaction_id": self._id, "status": status})

    def event(self, event: Event) -> None:
        """Tells the step that an event ends."""
        for place, step in self._follower.add(event):
            self._step(place, step)

    def look(self, interaction: Interaction) -> None:
        """Tells what a stream did not."""
        for place, step in self._follower.look(interaction):
            self._step(place, step)

    def _step(self, place: int, step: Step) -> None:
        facts = {"name": self._name, "interaction_id": self._id, "index": place, "step": step.to_wire()}
        self._write({"type": "step", **facts})
