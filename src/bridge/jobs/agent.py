"""What an agent is to those who serve it: something that is given work, asked how it stands, watched and stopped.

Every `Backend` is one. What it says of its work is an `Interaction`, whatever it does inside: what it did are steps, what it needs from
its caller are the function calls of an interaction that is `requires_action`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Protocol

from bridge.backend import Capabilities

if TYPE_CHECKING:
    from bridge.interactions import Event, Interaction

__all__ = ["Agent"]


class Agent(Protocol):
    """Who does the work. All methods raise `BridgeError`s and nothing else."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    @property
    def identity(self) -> str:
        """Names what keeps its work, over restarts of this process."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    async def create(self, /, **fields: Any) -> Interaction:
        """Starts a turn in the background from the fields of a request: `input`, `previous_interaction_id`, `labels` and so on."""
        ...

    async def get(self, id: str) -> Interaction:
        """A turn as it stands. Raises `NotFound`."""
        ...

    def watch(self, id: str, *, after: str | None = None) -> AsyncIterator[Event]:
        """The events of a turn, to its end, where its `stream_resume` is not "none"."""
        ...

    async def cancel(self, id: str) -> Interaction:
        """Stops a turn that still runs."""
        ...
