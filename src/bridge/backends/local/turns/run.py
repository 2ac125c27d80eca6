"""A turn while it runs: its record as it grows, its events, and those who wait for more.

Waiters may live in other event loops than the turn. What the turn does, and where it is kept, is the engine's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from bridge.errors import ConnectionFailed
from bridge.interactions import Event, Interaction, Step, parse_event

from ..responders.base import Ending
from .events import closing_events, event_id, events_of, step_events
from .record import Record

__all__ = ["Run"]


class Run:
    """One turn. `task` is what works on it; None for a turn that ended long ago."""

    def __init__(self, record: Record, *, drop_after: int | None = None) -> None:
        self.record = record
        self.task: asyncio.Task[None] | None = None
        self.stop_with: Ending | None = None
        """How the turn ends where it was stopped from outside."""
        self.started: Interaction | None = None
        """The interaction as it was when the turn began."""
        self.closed = record.ended
        self._events = events_of(record)
        self._drop_after = drop_after
        self._waiters: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        return len(self._events)

    def add(self, step: Step) -> None:
        """A step happened."""
        index = len(self.record.steps)
        self.record.steps.append(step)
        self._events += step_events(index, step, text_in_start=self.record.text_in_start)
        self._wake()

    def close(self) -> None:
        """The record has ended."""
        self._events += closing_events(self.record)
        self.closed = True
        self._wake()

    def stop(self, ending: Ending) -> None:
        """Asks the turn to stop and to end so. The first who asks decides."""
        if self.stop_with is not None or self.task is None:
            return
        self.stop_with = ending
        with suppress(RuntimeError):  # its loop is closed, and the task ended with it
            self.task.get_loop().call_soon_threadsafe(self.task.cancel)

    async def ended(self, timeout: float | None = None) -> bool:
        """Waits for the end, at most `timeout` seconds. Says whether it came."""
        try:
            async with asyncio.timeout(timeout):
                while not self.closed:
                    await self._grown(len(self._events))
        except TimeoutError:
            return False
        return True

    async def follow(self, after: int = 0, *, ids: bool = True) -> AsyncGenerator[Event, None]:
        """Its events from a place on, as they come, to the last. `ids` gives them their cursors."""
        drop_after, self._drop_after = self._drop_after, None
        place = after
        while True:
            closed = self.closed
            while place < len(self._events):
                if drop_after is not None and place - after >= drop_after:
                    raise ConnectionFailed("the stream was cut because of the label local-drop-after", sent=True)
                wire = self._events[place]
                yield parse_event({**wire, "event_id": event_id(self.record, place)} if ids else wire)
                place += 1
            if closed:
                return
            await self._grown(place)

    async def _grown(self, length: int) -> None:
        """Waits for more events than `length`, or the end. Registered before it looks, so that neither is missed."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            if len(self._events) <= length and not self.closed:
                await waiter
        finally:
            self._waiters.discard(waiter)

    def _wake(self) -> None:
        for waiter in list(self._waiters):
            try:
                waiter.get_loop().call_soon_threadsafe(_settle, waiter)
            except RuntimeError:
                self._waiters.discard(waiter)  # its loop is closed


def _settle(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
