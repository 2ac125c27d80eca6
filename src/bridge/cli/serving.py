"""An ASGI app on a socket: on a free port of this machine for as long as a block runs, or until the program is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Literal

import uvicorn

from bridge._sockets import listen

__all__ = ["run_app", "serving"]


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it answers and leaves signals to the program around it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answers = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serves `app` on 127.0.0.1 and gives its URL. Leaving the block stops it and waits for what is under way."""
    config = uvicorn.Config(app, lifespan="off", log_level="warning", access_log=False, timeout_graceful_shutdown=5)
    server = _Server(config)
    with listen() as listener:
        running = asyncio.create_task(server.serve([listener]))
        ready = asyncio.create_task(server.answers.wait())
        try:
            await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await running
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ready.cancel()
            server.should_exit = True
            await running


async def run_app(
    app: Any,
    listener: socket.socket,
    ready: Callable[[], None],
    *,
    ending: Callable[[], Awaitable[None]] | None = None,
    within: int,
    lifespan: Literal["on", "off"],
) -> None:
    """Serves `app` until SIGINT or SIGTERM. `ready` is called once it answers, `ending` when it stops, beside the answers that are
    under way, which have `within` seconds.
    """

    class Server(uvicorn.Server):
        """uvicorn's server, which leaves the exit status to us."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            work = [super().shutdown(sockets)] if ending is None else [ending(), super().shutdown(sockets)]
            await asyncio.gather(*work)

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            before = {sign: signal.signal(sign, self.handle_exit) for sign in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for sign, handler in before.items():
                    signal.signal(sign, handler)

    config = uvicorn.Config(
        app,
        lifespan=lifespan,
        log_level="critical",  # failures are answered and logged by the app; a cut stream is no news
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,  # longer than clients keep an idle connection, so that it is they who close it
        ws="none",
        timeout_graceful_shutdown=within,
    )
    await Server(config).serve([listener])
