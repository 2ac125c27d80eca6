"""A real HTTP server on loopback that records what comes and answers what a test says, cut after any byte."""

from __future__ import annotations

import asyncio
import json
import socket
import socketserver
import struct
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.backends.gemini import GeminiBackend, SyncGeminiBackend
from bridge.interactions import Event, Interaction

SAMPLES = Path(__file__).parents[2] / "data" / "wire"


def sample(name: str) -> bytes:
    """A wire sample's bytes."""
    return (SAMPLES / name).read_bytes()


@dataclass
class Request:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded; None where there is none."""
        return json.loads(self.body) if self.body else None


@dataclass
class Reply:
    """One answer. `cut` sends only so many bytes of the body (of the whole answer where `cut_head`) and closes; `reset` closes hard."""

    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    cut_head: bool = False
    reset: bool = False
    length: bool = True
    piece: int = 0
    hang: bool = False


def answer(value: Any, status: int = 200, **headers: str) -> Reply:
    """A JSON answer."""
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(json.dumps(value).encode(), status, {"content-type": "application/json", **names})


def refusal(status: int, code: str = "invalid_request", message: str = "No.", **headers: str) -> Reply:
    """An error in the API's own form."""
    return answer({"error": {"code": code, "message": message}}, status, **headers)


def events(body: bytes, **facts: Any) -> Reply:
    """A stream's answer."""
    return Reply(body, 200, {"content-type": "text/event-stream"}, **facts)


class Server:
    """Answers requests by `handler`, or with the replies it was given, in turn."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.handler: Callable[[Request], Reply] | None = None
        self.replies: list[Reply] = []
        self.stopping = threading.Event()
        self.gone = threading.Event()  # a client closed while an answer hung
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while outer.serve(self):
                    pass

        class Threads(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Clients that leave are part of the tests."""

        self._server = Threads(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def will(self, *replies: Reply) -> None:
        """The next answers."""
        self.replies.extend(replies)

    @property
    def calls(self) -> list[str]:
        """Method and target of every request so far."""
        return [f"{request.method} {request.target}" for request in self.requests]

    @property
    def posts(self) -> int:
        """How many creates came."""
        return sum(r.method == "POST" and r.target.endswith("/interactions") for r in self.requests)

    def serve(self, connection: socketserver.StreamRequestHandler) -> bool:
        line = connection.rfile.readline()
        if not line.strip():
            return False
        method, target, _ = line.decode().split(" ", 2)
        headers: dict[str, str] = {}
        while (row := connection.rfile.readline().decode().strip()) != "":
            name, _, text = row.partition(":")
            headers[name.lower()] = text.strip()
        body = connection.rfile.read(int(headers.get("content-length", 0)))
        request = Request(method, target, headers, body)
        self.requests.append(request)
        if self.handler is not None:
            reply = self.handler(request)
        elif self.replies:
            reply = self.replies.pop(0)
        else:
            reply = refusal(418, message="the test has no answer for this")
        return self.send(connection, reply)

    def send(self, connection: socketserver.StreamRequestHandler, reply: Reply) -> bool:
        head = dict(reply.headers)
        if reply.length:
            head["content-length"] = str(len(reply.body))
        else:
            head["connection"] = "close"
        lines = "".join(f"{name}: {text}\r\n" for name, text in head.items())
        raw_head = f"HTTP/1.1 {reply.status} X\r\n{lines}\r\n".encode()
        raw = raw_head + reply.body
        if reply.cut is not None:
            raw = raw[: reply.cut] if reply.cut_head else raw_head + reply.body[: reply.cut]
        out = connection.wfile
        for start in range(0, len(raw), reply.piece or len(raw) or 1):
            out.write(raw[start : start + (reply.piece or len(raw))])
            out.flush()
        if reply.hang:
            connection.connection.settimeout(10)
            try:
                if connection.connection.recv(1) == b"":
                    self.gone.set()
            except OSError:
                self.gone.set()
            return False
        if reply.reset:
            connection.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.connection.close()
            return False
        return reply.cut is None and reply.length

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class Clock:
    """Time that passes only in `sleep`, which returns at once."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Client:
    """One way of many to reach the backend, async or not, with the same methods for a test."""

    def __init__(self, backend: GeminiBackend | SyncGeminiBackend) -> None:
        self.backend = backend

    async def __call__(self, path: str, /, *args: Any, **kwargs: Any) -> Any:
        """Calls a method by name ("agents.create") and gives its result, a list where it is an iterator."""
        method: Any = self.backend
        for name in path.split("."):
            method = getattr(method, name)
        if isinstance(self.backend, SyncGeminiBackend):
            return await asyncio.to_thread(lambda: _listed(method(*args, **kwargs)))
        result = method(*args, **kwargs)
        return [item async for item in result] if hasattr(result, "__aiter__") else await result

    async def create(self, **fields: Any) -> Interaction:
        result: Interaction = await self("create", **fields)
        return result

    async def stream(self, **fields: Any) -> list[Event]:
        result: list[Event] = await self("stream", **fields)
        return result

    async def collect(self, seen: list[Event], path: str, /, *args: Any, **kwargs: Any) -> None:
        """Puts the events of a stream into `seen` as they come, also where it then raises."""
        method = getattr(self.backend, path)
        if isinstance(self.backend, SyncGeminiBackend):

            def drain() -> None:
                for event in method(*args, **kwargs):
                    seen.append(event)  # noqa: PERF402 - what came before an error counts

            await asyncio.to_thread(drain)
        else:
            iterator: AsyncIterator[Event] = method(*args, **kwargs)
            async for event in iterator:
                seen.append(event)  # noqa: PERF401


def _listed(result: Any) -> Any:
    return list(result) if hasattr(result, "__next__") else result


def stream_of(values: Sequence[Any], *, done: bool = True) -> bytes:
    """Events as the service frames them."""
    frames = [f"event: {v.get('event_type', 'message')}\ndata: {json.dumps(v)}\n\n" for v in values]
    return "".join([*frames, "event: done\ndata: [DONE]\n\n" if done else ""]).encode()
