"""A real server on loopback, in the test's own event loop, and a client for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
import uvicorn

from bridge._sockets import listen
from bridge.backends.local import LocalBackend, ScriptedResponder
from bridge.http import create_app


class Served:
    """A server that answers, and a client that talks to it."""

    def __init__(self, backend: Any, url: str, client: httpx2.AsyncClient) -> None:
        self.backend = backend
        self.url = url
        self.client = client

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """One request below `/v1/`; gives the status and the decoded JSON."""
        answer = await self.client.request(method, path if path.startswith("/") else f"/v1/{path}", **options)
        assert answer.headers["content-type"] == "application/json"
        return answer.status_code, answer.json()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    """Serves a backend (or scripts on the local one) with the options of `create_app`; all ends with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(*scripts: Any, backend: Any = None, settings: Any = None, **options: Any) -> Served:
            if backend is None:
                backend = LocalBackend(**{"responder": ScriptedResponder(scripts), **(settings or {})})
            listener = listen()
            config = uvicorn.Config(create_app(backend, **options), lifespan="off", log_level="critical")
            server = uvicorn.Server(config)
            running = asyncio.create_task(server._serve([listener]))
            while not server.started:
                await asyncio.sleep(0)

            async def stop() -> None:
                server.should_exit = True
                await backend.aclose()
                await running

            stack.push_async_callback(stop)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            client = await stack.enter_async_context(httpx2.AsyncClient(base_url=url, verify=False, timeout=20))
            return Served(backend, url, client)

        yield start
