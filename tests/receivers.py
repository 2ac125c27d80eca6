"""Addresses on this machine that keep the webhooks they are sent, for the tests of senders and of those who verify."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from bridge._sockets import listen

__all__ = ["Received", "Receiver", "hmac_of", "receiving", "served"]


@dataclass(frozen=True)
class Received:
    """One delivery as it came."""

    headers: dict[str, str]
    raw: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def body(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.raw)
        return value


@dataclass
class Receiver:
    """An ASGI app that keeps what it is sent, and answers the statuses it is told, in turn, then 204.

    A status of 0 lets the sender wait until the receiver is closed.
    """

    answers: list[int] = field(default_factory=list)
    deliveries: list[Received] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    url: str = ""
    let_go: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        status = self.answers.pop(0) if self.answers else 204
        self.paths.append(scope["path"])
        self.deliveries.append(Received(headers, body))
        if not status:
            await asyncio.to_thread(self.let_go.wait, 30)
            return
        location = [(b"location", f"{self.url}/elsewhere".encode())] if 300 <= status < 400 else []
        await send({"type": "http.response.start", "status": status, "headers": location})
        await send({"type": "http.response.body", "body": b"" if status == 204 else b"x" * 100_000})

    async def got(self, count: int) -> list[Received]:
        """The deliveries, once there are so many."""
        async with asyncio.timeout(20):
            while len(self.deliveries) < count:
                await asyncio.sleep(0.005)
        return list(self.deliveries)


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The base URL of an app that answers on a real socket of this machine, in a thread of its own."""
    with listen() as listener:
        config = uvicorn.Config(app, lifespan="off", log_level="critical", timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def receiving(*answers: int) -> Iterator[Receiver]:
    """A receiver on a real socket, which answers these statuses first."""
    receiver = Receiver([*answers])
    with served(receiver) as url:
        receiver.url = f"{url}/hook"
        try:
            yield receiver
        finally:
            receiver.let_go.set()


def hmac_of(secret: str, received: Received) -> str:
    """The signature as Standard Webhooks defines it, computed anew."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{received.id}.{received.headers['webhook-timestamp']}.".encode() + received.raw
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
