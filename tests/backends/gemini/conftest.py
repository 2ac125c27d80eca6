"""A server, a clock that does not wait, and every way to reach the backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import httpx2
import pytest

from bridge.backends.gemini import GeminiBackend, SyncGeminiBackend
from tests.backends.gemini.wire import Client, Clock, Server

WAYS = ["own", "httpx2", "httpx", "sync", "sync-httpx2", "sync-httpx"]


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def backend(server: Server, clock: Clock) -> AsyncIterator[GeminiBackend]:
    async with GeminiBackend("KEY-1234", base_url=server.url, clock=clock, sleep=clock.sleep) as backend:
        yield backend


@pytest.fixture
async def connected(server: Server, clock: Clock) -> AsyncIterator[Callable[..., Client]]:
    """Makes clients of a way, with any options, and closes them and what was injected."""
    closing: list[Callable[[], Any]] = []

    def make(way: str = "own", **options: Any) -> Client:
        given = {"api_key": "KEY-1234", "base_url": server.url, "clock": clock, "sleep": clock.sleep, **options}
        injected = {
            "httpx2": httpx2.AsyncClient,
            "httpx": httpx.AsyncClient,
            "sync-httpx2": httpx2.Client,
            "sync-httpx": httpx.Client,
        }.get(way)
        if injected is not None:
            given["http"] = injected(verify=False)  # no certificates to read: this stays on loopback
            closing.append(given["http"].close if way.startswith("sync") else given["http"].aclose)
        backend = (SyncGeminiBackend if way.startswith("sync") else GeminiBackend)(**given)
        closing.append(backend.close if isinstance(backend, SyncGeminiBackend) else backend.aclose)
        return Client(backend)

    yield make
    for close in reversed(closing):
        waiting = close()
        if waiting is not None:
            await waiting


@pytest.fixture(params=WAYS)
async def client(request: pytest.FixtureRequest, connected: Callable[..., Client]) -> Client:
    """The backend, reached in every way there is."""
    return connected(request.param)
