"""A stream of events as one HTTP answer: to its end, to the client's end, or cut where the backend's own stream was cut.

Framing is `wire`'s business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bridge.errors import BridgeError, ConnectionFailed
from bridge.interactions import ErrorEvent, Event

from .wire import DONE, error_facts, frame

__all__ = ["event_response"]

_log = logging.getLogger(__name__)


async def event_response(events: AsyncIterator[Event]) -> Response:
    """The answer that streams events. Raises what the stream raises before its first event."""
    first = await anext(events, None)
    return _Events(events, first)


class _Events(Response):
    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[Event], first: Event | None) -> None:
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
        if not sending.cancelled() and (error := sending.exception()) is not None:
            raise error

    async def _send(self, send: Send) -> None:
        async with aclosing(self._events) as events:  # type: ignore[type-var]
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            try:
                if self._first is not None:
                    await _body(send, frame(self._first))
                async for event in events:
                    await _body(send, frame(event))
            except ConnectionFailed:
                return  # the answer stays unfinished, and the server closes the connection
            except BridgeError as error:
                _, code, message = error_facts(error)
                await _body(
                    send, frame(ErrorEvent.parse({"error": {"message": message, "code": code}, "event_type": "error"}))
                )
            except Exception:  # noqa: BLE001 - the status is sent: the client is told inside the stream
                _log.exception("a stream failed")
                await _body(
                    send,
                    frame(
                        ErrorEvent.parse(
                            {"error": {"message": "Internal error.", "code": "api_error"}, "event_type": "error"}
                        )
                    ),
                )
            await _body(send, DONE)
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _body(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
