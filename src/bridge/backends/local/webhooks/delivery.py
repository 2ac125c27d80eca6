"""Deliveries on their way: what the store holds is sent, signed anew at each attempt, until a receiver answers 2xx.

The store keeps each delivery with the end that it tells of, so that none is lost while the data is there: a service that is
restarted sends what the one before it could not. Nothing follows a redirect, and no answer is read beyond its status.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from bridge._http import AsyncTransport
from bridge.errors import BridgeError

from ..store import Store
from ..turns.notices import Notice, notice_of
from .registry import WebhookRegistry
from .signing import KeyPair, signature_of

__all__ = ["Webhooks"]

_log = logging.getLogger(__name__)
_LONGEST_PAUSE = 3600.0  # seconds between attempts; the first pause is 1, and each is twice the one before
_GIVE_UP = 24 * 3600.0  # seconds after the first attempt
_PATIENCE = 10.0  # seconds an attempt may take
_MOST_AT_ONCE = 32


class Webhooks(WebhookRegistry):
    """The registered webhooks, and what is on its way to them and to requests' own addresses."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        super().__init__(store, clock)
        self._transport = AsyncTransport()
        self._lock = threading.Lock()
        self._pair: KeyPair | None = None
        self._worker: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._resumed = False

    def resume(self) -> None:
        """Takes up what a service before this one left, the first time it is called."""
        if not self._resumed:
            self.wake()

    def wake(self) -> None:
        """Sends what is due. Returns at once; may be called in any event loop."""
        self._resumed = True
        worker = self._worker
        if worker is None or worker.done() or worker.get_loop().is_closed():
            self._news = asyncio.Event()  # of this loop
            self._worker = asyncio.create_task(self._work(self._news))
        elif worker.get_loop() is not asyncio.get_running_loop():
            worker.get_loop().call_soon_threadsafe(self.wake)
            return
        self._news.set()

    async def deliver(self, interaction: str) -> None:
        """Sends what tells of an interaction, whenever it is due, and waits for the receivers."""
        await asyncio.gather(*(self._deliver(notice) for notice in await self._store.notices(interaction)))
        self.wake()  # for those that did not arrive

    async def ping(self, id: str) -> None:
        """Sends a registered webhook a delivery that tells nothing, once. Raises `NotFound`."""
        await self.get(id)
        await self._attempt(notice_of("ping", {}, self._clock(), webhook=id))

    async def jwks(self) -> dict[str, Any]:
        """The public key of the JWTs, as a JWKS."""
        return (await self._keys()).jwks()

    async def aclose(self) -> None:
        """Stops sending; what is still on its way stays in the store."""
        worker = self._worker
        if worker is not None and not worker.done() and worker.get_loop() is asyncio.get_running_loop():
            worker.cancel()
            await asyncio.wait({worker})
        await self._transport.aclose()

    async def _work(self, news: asyncio.Event) -> None:
        """Sends what is due as it becomes due, and ends where nothing is left."""
        under_way: dict[int, asyncio.Task[None]] = {}

        def done(number: int, _: object) -> None:
            del under_way[number]
            news.set()

        try:
            while news.is_set():
                news.clear()
                now = self._clock()
                found, due = await self._store.due_notices(now, _MOST_AT_ONCE + len(under_way))
                for notice in found:
                    if notice.number not in under_way and len(under_way) < _MOST_AT_ONCE:
                        task = asyncio.create_task(self._deliver(notice))
                        under_way[notice.number] = task
                        task.add_done_callback(partial(done, notice.number))
                if due is None and not under_way:
                    continue
                pause = None if due is None or len(under_way) >= _MOST_AT_ONCE else due - now
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await news.wait()
                news.set()
        except BridgeError as error:
            _log.warning("deliveries of webhooks stop: %s", error)
        finally:
            tasks = [*under_way.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, notice: Notice) -> None:
        """One attempt, and what becomes of the delivery."""
        try:
            arrived = await self._attempt(notice)
            pause = min(2.0 ** min(notice.attempts, 20), _LONGEST_PAUSE)
            now = self._clock()
            if arrived:
                await self._store.drop_notice(notice.number)
            elif now + pause - notice.begun <= _GIVE_UP:
                await self._store.postpone_notice(notice.number, now + pause)
            else:
                await self._store.drop_notice(notice.number)
                if notice.webhook is not None:
                    await self.failed(notice.webhook)
        except BridgeError as error:  # the store holds it still
            _log.warning("delivery %s of a webhook is tried again: %s", notice.id, error)
            await asyncio.sleep(_PATIENCE)

    async def _attempt(self, notice: Notice) -> bool:
        """Whether a delivery arrived, or there is nobody left to tell."""
        now, body = self._clock(), notice.body.encode()
        if notice.webhook is None:
            uri, signature = notice.uri, (await self._keys()).token(notice.uri, now, notice.id)
        else:
            found = await self.address(notice.webhook)
            if found is None:
                return True
            uri, signature = found[0], signature_of(found[1], notice.id, int(now), body)
        headers = {
            "content-type": "application/json",
            "webhook-id": notice.id,
            "webhook-timestamp": str(int(now)),
            "webhook-signature": signature,
        }
        try:
            async with asyncio.timeout(_PATIENCE):
                reply = await self._transport.open("POST", uri, headers, body, _PATIENCE)
                await reply.aclose()
        except (BridgeError, TimeoutError) as error:  # only the host: what follows it may be a secret
            _log.info("the webhook at %s did not answer: %s", urlsplit(uri).hostname, type(error).__name__)
            return False
        return 200 <= reply.status < 300

    async def _keys(self) -> KeyPair:
        return self._pair if self._pair is not None else await asyncio.to_thread(self._made_keys)

    def _made_keys(self) -> KeyPair:
        with self._lock:
            if self._pair is None:
                self._pair = KeyPair()
            return self._pair
