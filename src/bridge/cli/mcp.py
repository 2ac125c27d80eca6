"""`interactions-bridge mcp`: the agents of a configuration as an MCP server, over stdio or HTTP.

Over stdio nothing but the protocol goes to stdout. Keys come from the environment: what stands on a command line, others can read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge._sockets import listen
from bridge.errors import BridgeError, InvalidRequest, NotConfigured

from .addresses import is_loopback, port, url_of
from .stores import store_of

if TYPE_CHECKING:
    from bridge.jobs.stores.sql import SqlJobStore

__all__ = ["add_arguments", "run"]

_TOKEN_VARIABLE = "INTERACTIONS_BRIDGE_TOKEN"  # noqa: S105 - the name of a variable
_KEY_VARIABLE = "INTERACTIONS_BRIDGE_HANDLE_KEY"
_SETTINGS = ("agents", "limits", "allowed_hosts")
_SHUTDOWN_WITHIN = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `mcp`."""
    parser.add_argument("--config", metavar="FILE", help="TOML or JSON with agents, limits and allowed_hosts")
    parser.add_argument("--base-url", metavar="URL", help="where the service is (default: as in the environment)")
    parser.add_argument(
        "--store",
        metavar="PATH|DSN",
        help="where runs are kept: an SQLite file or Postgres (default: the user's data folder)",
    )
    parser.add_argument("--http", action="store_true", help="streamable HTTP at /mcp instead of stdio")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=port, default=8788, help="port, 0 for any free one (default: %(default)s)")
    parser.add_argument(
        "--allowed-host",
        metavar="NAME",
        action="append",
        default=[],
        help="a name that the server is reached by, beyond this machine: example.com or example.com:*",
    )
    parser.add_argument("--json", action="store_true", help="print the address as one line of JSON")


def run(args: argparse.Namespace) -> int:
    """Serves until stdin ends, or until it is told to stop. Gives 0 then, 1 where it could not start, 2 where it must not."""
    try:
        config, jobs = _read(args.config), store_of(args.store, make=True)
        if not args.http:
            asyncio.run(_stdio(_server(args, config, jobs), jobs))
            return 0
        _check_open(args, config)
        try:
            listener = listen(args.host, args.port)
        except OSError as error:
            return _failed(f"cannot listen on {args.host} port {args.port}: {error.strerror or error}", 1)
        with listener:
            url = f"{url_of(listener)}/mcp"
            server = _server(args, config, jobs, url)
            asyncio.run(
                _http(
                    server,
                    jobs,
                    listener,
                    args,
                    json.dumps({"url": url}) if args.json else f"The MCP server is at {url}",
                )
            )
        return 0
    except (InvalidRequest, NotConfigured) as error:
        return _failed(str(error), 2)
    except BridgeError as error:
        return _failed(str(error), 1)
    except KeyboardInterrupt:
        return 130


async def _stdio(server: Any, jobs: SqlJobStore) -> None:
    async with aclosing(jobs):
        _die_well(server)
        await server.run_stdio_async()


def _die_well(server: Any) -> None:
    """SIGTERM, which clients send soon after they close stdin, ends the process only once what it is starting or stopping is known.

    It still ends by the signal, for a read of stdin cannot be broken off; a second one ends it at once.
    """
    from bridge.jobs.tasks import held

    loop = asyncio.get_running_loop()

    async def die() -> None:
        await server.done()
        signal.raise_signal(signal.SIGTERM)

    def told() -> None:
        loop.remove_signal_handler(signal.SIGTERM)
        held(die())

    with suppress(NotImplementedError):  # where there are no such signals
        loop.add_signal_handler(signal.SIGTERM, told)


async def _http(server: Any, jobs: SqlJobStore, listener: socket.socket, args: argparse.Namespace, ready: str) -> None:
    from .serving import run_app

    async with aclosing(jobs):
        app = server.streamable_http_app(host="127.0.0.1" if is_loopback(args.host) else args.host)
        await run_app(app, listener, lambda: print(ready, flush=True), within=_SHUTDOWN_WITHIN, lifespan="on")


def _check_open(args: argparse.Namespace, config: Mapping[str, Any]) -> None:
    """Raises `NotConfigured` where other machines could reach the server without a token, or under any name."""
    if is_loopback(args.host):
        return
    where = f"{args.host} can be reached from other machines"
    if not os.environ.get(_TOKEN_VARIABLE):
        raise NotConfigured(f"{where}: set a token in {_TOKEN_VARIABLE}")
    if not (args.allowed_host or config.get("allowed_hosts")):
        raise NotConfigured(f"{where}: say under which names, --allowed-host NAME")


def _server(args: argparse.Namespace, config: Mapping[str, Any], jobs: SqlJobStore, url: str | None = None) -> Any:
    from bridge.mcp import Limits, SharedToken, agent_server

    token = os.environ.get(_TOKEN_VARIABLE) if url is not None else None
    verifier = None if not token else SharedToken(token)
    try:
        limits = Limits(**config.get("limits", {}))
    except TypeError as error:
        raise InvalidRequest(f"limits: {str(error).partition(') ')[2]}", "limits") from None
    return agent_server(
        config.get("agents"),
        args.base_url,
        token_verifier=verifier,
        auth=None if verifier is None else verifier.auth(str(url)),
        allowed_hosts=[*config.get("allowed_hosts", ()), *args.allowed_host],
        jobs=jobs,
        handle_key=os.environ.get(_KEY_VARIABLE) or None,
        limits=limits,
    )


def _read(path: str | None) -> Mapping[str, Any]:
    """The configuration of a file. Raises `NotConfigured`, and `InvalidRequest` that names what is wrong in it."""
    if path is None:
        return {}
    import tomllib

    try:
        text = Path(path).read_text(encoding="utf-8")
        config = json.loads(text) if path.endswith(".json") else tomllib.loads(text)
    except OSError as error:
        raise NotConfigured(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise InvalidRequest(f"{path} is neither JSON (.json) nor TOML: {error}", "config") from None
    unknown = sorted(set(config) - set(_SETTINGS)) if isinstance(config, dict) else ["?"]
    if unknown:
        raise InvalidRequest(f"{path} has {unknown[0]!r}; it may have {', '.join(_SETTINGS)}", "config")
    found: dict[str, Any] = config
    return found


def _failed(message: str, status: int) -> int:
    print(f"interactions-bridge mcp: {' '.join(message.split())}", file=sys.stderr)
    return status
