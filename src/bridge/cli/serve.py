"""`interactions-bridge serve`: the embedded service on a socket.

It prints its address once it answers there, and ends cleanly on SIGINT and SIGTERM: what runs is ended and kept.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge._sockets import listen
from bridge.errors import BridgeError

from .addresses import is_loopback, port, url_of

if TYPE_CHECKING:
    from bridge.backends.local import LocalBackend

__all__ = ["add_arguments", "run"]

_KEY_VARIABLE = "INTERACTIONS_BRIDGE_API_KEY"
_SHUTDOWN_WITHIN = 10  # seconds for answers that are under way, once what runs was ended


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `serve`."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=port, default=8787, help="port, 0 for any free one (default: %(default)s)")
    parser.add_argument("--data", metavar="DIR", help="folder that keeps everything over restarts (default: temporary)")
    parser.add_argument(
        "--api-key",
        metavar="KEY",
        help=f"key every request must carry; better in {_KEY_VARIABLE}: arguments are visible",
    )
    parser.add_argument(
        "--retention", metavar="SECONDS", type=_seconds, help="how long things are kept (default: for ever)"
    )
    parser.add_argument(
        "--test-controls", action="store_true", help="let request labels steer turns (for tests of clients)"
    )
    parser.add_argument(
        "--switch",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="set a disputed behaviour of the real service",
    )
    parser.add_argument("--json", action="store_true", help="print the address as one line of JSON")


def run(args: argparse.Namespace) -> int:
    """Serves until it is told to stop. Gives 0 then, 1 where it could not start, 2 where it must not."""
    from bridge.backends.local import LocalBackend, Switches

    key = args.api_key or os.environ.get(_KEY_VARIABLE) or None
    if key is None and not is_loopback(args.host):
        return _failed(
            f"{args.host} can be reached from other machines: set a key with --api-key or {_KEY_VARIABLE}", status=2
        )
    try:
        switches = Switches.parse(args.switch)
    except BridgeError as error:
        return _failed(str(error), status=2)
    try:
        listener = listen(args.host, args.port)
    except OSError as error:
        return _failed(f"cannot listen on {args.host} port {args.port}: {error.strerror or error}")
    backend = LocalBackend(args.data, retention=args.retention, test_controls=args.test_controls, switches=switches)

    def ready() -> None:
        url = url_of(listener)
        text = json.dumps({"url": url}) if args.json else f"The Interactions API (local stand-in) is at {url}"
        print(text, flush=True)

    try:
        asyncio.run(_serve(backend, key, listener, ready))
    except BridgeError as error:
        return _failed(str(error))
    finally:
        listener.close()
    return 0


async def _serve(backend: LocalBackend, key: str | None, listener: socket.socket, ready: Callable[[], None]) -> None:
    from bridge.http import create_app

    from .serving import run_app

    try:
        await backend.engine.start()
        # Turns end as the backend does, and with them the streams that follow them.
        await run_app(
            create_app(backend, api_key=key),
            listener,
            ready,
            ending=backend.aclose,
            within=_SHUTDOWN_WITHIN,
            lifespan="off",
        )
    finally:
        await backend.aclose()


def _failed(message: str, *, status: int = 1) -> int:
    print(f"interactions-bridge serve: {message}", file=sys.stderr)
    return status


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"it takes seconds above 0, not {text!r}")
    return seconds
