"""The receiver of webhooks: verifies a delivery, records it, answers, and wakes its thread behind the answer.

A delivery is a hint and no more: whom it tells of is looked at before anything is resumed. What it cannot do yet is left to the sweeper.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bridge.errors import BridgeError, Conflict, ConnectionFailed, InvalidResponse, NotFound, WebhookRefused

from .stores.store import Arrival, JobStore
from .verification import Delivery, WebhookVerifier
from .waking import Woken

__all__ = ["MAX_BODY", "Receiver"]

_log = logging.getLogger("bridge.jobs")
# The longest body, in bytes. The API's own have a few hundred.
MAX_BODY = 64 * 1024
# Seconds that closing waits for threads that are being resumed.
DRAIN_WITHIN = 10.0
# Seconds between attempts to wake a thread that was at work, or that another was waking.
_PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0)


class Receiver:
    """An ASGI app. `wake` resumes the thread of an interaction; `label` is the field of a delivery's metadata with a job's token."""

    def __init__(
        self, verifier: WebhookVerifier, jobs: JobStore, wake: Callable[[str], Awaitable[Woken]], label: str
    ) -> None:
        self._verifier = verifier
        self._jobs = jobs
        self._wake = wake
        self._label = label
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self.counts: Counter[str] = Counter()
        """Deliveries by what became of them: recorded, duplicate, refused, unknown, failed, and those of `Woken`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one delivery."""
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def aclose(self) -> None:
        """Waits for threads that are being resumed, for a bounded time; what is left the sweeper does."""
        self._closing.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DRAIN_WITHIN)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST":
            return Response(status_code=405, headers={"allow": "POST"})
        body = b""
        try:
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY:
                    return Response(status_code=413)
        except ClientDisconnect:
            return Response(status_code=400)
        try:
            delivery = await self._verifier.verify(request.headers, body)
        except WebhookRefused as error:
            self.counts["refused"] += 1
            _log.warning("a webhook delivery was refused: %s", error)
            return Response(status_code=401)
        except (ConnectionFailed, InvalidResponse) as error:
            _log.error("a webhook delivery could not be verified, and is asked for again: %s", error)
            return Response(status_code=503)
        try:
            await self._record(delivery)
        except BridgeError as error:
            _log.error("a webhook delivery could not be recorded, and is asked for again: %s", error)
            return Response(status_code=503)
        return Response(status_code=204)

    async def _record(self, delivery: Delivery) -> None:
        if not (told := delivery.interaction_id):  # a ping, or news of something else
            return
        token = (delivery.user_metadata or {}).get(self._label)
        token = token if isinstance(token, str) else None
        if not await self._jobs.deliver(Arrival(delivery.id, told, delivery.type, token)):
            self.counts["duplicate"] += 1  # acted on as well: who recorded it may not have come to that
        else:
            self.counts["recorded"] += 1
        if await self._jobs.find(told) is None and (token is None or not await self._bound(token, told)):
            self.counts["unknown"] += 1
            return
        task = asyncio.create_task(self._act(told))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bound(self, token: str, id: str) -> bool:
        """Whether the job of a token has this interaction now: the process that started it may have died before it knew."""
        try:
            await self._jobs.bind(token, id)
        except (Conflict, NotFound) as error:
            _log.warning("a webhook delivery tells of interaction %s for a job that is not its own: %s", id, error)
            return False
        return True

    async def _act(self, id: str) -> None:
        woken: Woken | Literal["failed"] = "unknown"
        try:
            for pause in (*_PAUSES, None):
                woken = await self._wake(id)
                if woken not in ("not_parked", "held", "not_ended") or pause is None:
                    break
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._closing.wait()
                        break
        except Exception as error:  # noqa: BLE001 - what a user's graph raises has no other place to go
            _log.error("the thread of interaction %s could not be resumed: %s: %s", id, type(error).__name__, error)
            woken = "failed"
        self.counts[woken] += 1
