"""Sends calls: once, or again where that does no harm.

`Wire` puts settings, transport and clock together. What a call is stands in `calls`, when it may be repeated in `retrying`; what
its answer means to a turn is `backend`'s business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from bridge._http import Reply, Transport
from bridge.errors import BridgeError, ConnectionFailed, NotFound

from .answers import decoded, refused
from .calls import Call, content_of
from .retrying import Recent, may_repeat, persist
from .settings import Settings

__all__ = ["Wire"]

T = TypeVar("T")

SILENCE = 600.0  # seconds without a byte after which a connection counts as broken; the service cuts streams there


class Wire:
    """One service as seen through one transport. `now` is a clock in seconds, `recent` the ids that were just created."""

    def __init__(self, settings: Settings, transport: Transport, now: Callable[[], float]) -> None:
        self.settings = settings
        self.transport = transport
        self.now = now
        self.recent = Recent(settings.retries.visible_within, now)

    def deadline(self) -> float | None:
        """When a call that begins now has to be over, None for never."""
        timeout = self.settings.timeout
        return None if timeout is None else self.now() + timeout

    async def open(self, call: Call, deadline: float | None) -> Reply:
        """Sends a call and gives its answer of 200, with the body still to be read."""
        return await self._repeat(call, partial(self._opened, call, deadline), deadline)

    async def send(self, call: Call, deadline: float | None = None) -> Any:
        """Sends a call and gives the answer's JSON value."""
        headers, body = await self.exchange(call, deadline)
        return decoded(headers, body, self.settings)

    async def exchange(self, call: Call, deadline: float | None = None) -> tuple[Mapping[str, str], bytes]:
        """Sends a call, again where that does no harm, and gives the answer's headers and body. Raises for what is not 200."""

        async def attempt() -> tuple[Mapping[str, str], bytes]:
            reply = await self._opened(call, deadline)
            try:
                return reply.headers, await reply.read()
            finally:
                await reply.aclose()

        return await self._repeat(call, attempt, deadline)

    async def _repeat(self, call: Call, attempt: Callable[[], Awaitable[T]], deadline: float | None = None) -> T:
        """An attempt at a call, again where that does no harm. Raises the last error."""
        try:
            return await attempt()
        except BridgeError as error:
            failure = error
        maybe_done = False

        def again(error: BaseException) -> bool:
            nonlocal maybe_done
            maybe_done = maybe_done or (isinstance(error, ConnectionFailed) and error.sent)
            return may_repeat(call, error, self.settings.retries) or (
                isinstance(error, NotFound) and call.id in self.recent
            )

        if not again(failure):
            raise failure
        try:
            return await persist(
                attempt,
                failure,
                again=again,
                patient=lambda: call.id in self.recent,
                retries=self.settings.retries,
                deadline=self.deadline() if deadline is None else deadline,
                now=self.now,
                sleep=self.transport.sleep,
            )
        except NotFound:
            if call.method == "DELETE" and maybe_done:  # an attempt whose answer was lost did it
                return {}, b"{}"  # type: ignore[return-value]
            raise

    async def _opened(self, call: Call, deadline: float | None) -> Reply:
        """Sends a call once and gives its answer with the body still to be read. Raises for what is not 200."""
        settings = self.settings
        patience = SILENCE
        if settings.timeout is not None:
            left = settings.timeout if deadline is None else deadline - self.now()
            patience = min(patience, max(left, 0.001))
        reply = await self.transport.open(
            call.method,
            call.url or settings.base + call.path,
            {"accept": call.accept, **settings.headers, **call.headers},
            content_of(call),
            patience,
        )
        if reply.status == 200:
            return reply
        try:
            body = await reply.read()
        finally:
            await reply.aclose()
        raise refused(reply.status, reply.headers, body, settings)
