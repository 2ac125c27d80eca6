"""`interactions-bridge serve`: the embedded service on a socket.

It prints its address once it answers there, and ends cleanly on SIGINT and SIGTERM: what runs is ended and kept.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from bridge.errors import BridgeError

if TYPE_CHECKING:
    from bridge.backends.local import LocalBackend

__all__ = ["add_arguments", "run"]

_KEY_VARIABLE = "INTERACTIONS_BRIDGE_API_KEY"
_SHUTDOWN_WITHIN = 10  # seconds for answers that are under way, once what runs was ended


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `serve`."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8787, help="port, 0 for any free one (default: %(default)s)")
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
    if key is None and not _is_loopback(args.host):
        return _failed(
            f"{args.host} can be reached from other machines: set a key with --api-key or {_KEY_VARIABLE}", status=2
        )
    try:
        switches = Switches.parse(args.switch)
    except BridgeError as error:
        return _failed(str(error), status=2)
    try:
        listener = _listen(args.host, args.port)
    except OSError as error:
        return _failed(f"cannot listen on {args.host} port {args.port}: {error.strerror or error}")
    backend = LocalBackend(args.data, retention=args.retention, test_controls=args.test_controls, switches=switches)

    def ready() -> None:
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
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
    import uvicorn

    from bridge.http import create_app

    class Server(uvicorn.Server):
        """uvicorn's server, which tells when it answers, ends the backend first, and leaves the exit status to us."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Turns end as the backend does, and with them the streams that follow them.
            await asyncio.gather(backend.aclose(), super().shutdown(sockets))

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            before = {sign: signal.signal(sign, self.handle_exit) for sign in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for sign, handler in before.items():
                    signal.signal(sign, handler)

    try:
        await backend.engine.start()
        config = uvicorn.Config(
            create_app(backend, api_key=key),
            lifespan="off",
            log_level="critical",  # failures are answered and logged by the app; a cut stream is no news
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,  # longer than clients keep an idle connection, so that it is they who close it
            ws="none",
            timeout_graceful_shutdown=_SHUTDOWN_WITHIN,
        )
        await Server(config).serve([listener])
    finally:
        await backend.aclose()


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name != "nt":  # there the option would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(socket.SOMAXCONN)
    except BaseException:
        listener.close()
        raise
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _failed(message: str, *, status: int = 1) -> int:
    print(f"interactions-bridge serve: {message}", file=sys.stderr)
    return status


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"it takes seconds above 0, not {text!r}")
    return seconds
