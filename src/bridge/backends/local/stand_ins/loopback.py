"""An ASGI app on a free port of this machine, in a thread of its own, for clients with and without an event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from bridge._sockets import listen

__all__ = ["Loopback"]


class Loopback:
    """The app answers for as long as the block runs, `with` or `async with`, and the block gets the URL.

    Leaving it waits two seconds at most for what is under way.
    """

    def __init__(self, app: Any, base: str = "") -> None:
        self._app = app
        self._base = base

    def __enter__(self) -> str:
        import uvicorn

        self._listener = listen()
        config = uvicorn.Config(self._app, lifespan="off", log_level="critical", timeout_graceful_shutdown=2)
        self._server = uvicorn.Server(config)
        arguments = ([self._listener],)
        self._thread = threading.Thread(target=self._server.run, args=arguments, name="stand-in", daemon=True)
        self._thread.start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}{self._base}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    async def __aenter__(self) -> str:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.shield(asyncio.to_thread(self.__exit__))
