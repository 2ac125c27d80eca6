"""The embedded service as the tests of this room reach it: in this process and over HTTP, with everything sent to it kept."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.backend import Backend
from bridge.backends.gemini import GeminiBackend
from bridge.backends.local import LocalBackend
from bridge.connect import sync_backend
from bridge.http import create_app
from bridge.interactions import CreateInteraction, Event, Interaction
from bridge.langgraph import ChatInteractions
from tests.receivers import served


class Recording:
    """A backend that keeps the request of every create and stream, and is otherwise the one it wraps."""

    def __init__(self, backend: Backend, sent: list[dict[str, Any]]) -> None:
        self._backend = backend
        self._sent = sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def create(self, request: CreateInteraction | None = None, /, **fields: Any) -> Interaction:
        self._sent.append(fields)
        return await self._backend.create(request, **fields)

    async def stream(self, request: CreateInteraction | None = None, /, **fields: Any) -> AsyncIterator[Event]:
        self._sent.append(fields)
        async for event in self._backend.stream(request, **fields):
            yield event


class RecordingApp:
    """An ASGI app that keeps the body of every create, and is otherwise the one it wraps.

    It closes connections after each answer: tests have an event loop each, and an idle connection of a loop that ended can be closed
    by nobody.
    """

    def __init__(self, app: ASGIApp, sent: list[dict[str, Any]]) -> None:
        self._app = app
        self._sent = sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        creates = scope["method"] == "POST" and scope["path"].endswith("/interactions")
        body = b""

        async def read() -> Message:
            nonlocal body
            message = await receive()
            if creates and message["type"] == "http.request":
                body += message.get("body", b"")
                if not message.get("more_body"):
                    self._sent.append(json.loads(body))
            return message

        async def write(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._app(scope, read, write)


@dataclass
class Service:
    """The service under test: what it was sent, and chat models of it."""

    backend: Backend
    local: LocalBackend
    """The engine behind it, for looking at what it knows."""
    sent: list[dict[str, Any]] = field(default_factory=list)

    def chat(self, **settings: Any) -> ChatInteractions:
        if "agent" not in settings:
            settings.setdefault("model", "gemini-3.8-flash")
        return ChatInteractions(backend=self.backend, **settings)

    def texts(self) -> list[list[str]]:
        """Per request the texts in it, in order."""
        return [list(_texts(request.get("input"))) for request in self.sent]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value["text"]
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


@contextmanager
def reached(how: str, local: LocalBackend) -> Iterator[Service]:
    """A service over an engine, reached in this process ("local") or over a socket ("http")."""
    sent: list[dict[str, Any]] = []
    if how == "local":
        yield Service(Recording(local, sent), local, sent)
        return
    with served(RecordingApp(create_app(local), sent)) as url:
        yield Service(GeminiBackend(base_url=url, retries=0), local, sent)


@pytest.fixture(params=["local", "http"])
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    """The embedded service with its test controls on, both ways."""
    async with LocalBackend(test_controls=True) as local:
        with reached(request.param, local) as service:
            yield service
            await service.backend.aclose()


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streaming(request: pytest.FixtureRequest) -> bool:
    """Whether answers are streamed."""
    return bool(request.param)


@pytest.fixture(params=["local", "http"])
def service_in_thread(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Service]:
    """The same for tests without an event loop."""
    with reached(request.param, LocalBackend(tmp_path, test_controls=True)) as service:
        yield service
        sync_backend(service.backend).close()
        sync_backend(service.local).close()


class Script:
    """A service that answers the requests in turn as it was told to, and keeps what was asked. None never answers."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any] | None] = []
        self.asked: list[tuple[str, str, Any]] = []

    def says(self, status: int, message: str, code: str = "invalid_request") -> None:
        """The next answer is an error."""
        self.answers.append((status, {"error": {"code": code, "message": message}}))

    def tells(self, text: str, **fields: Any) -> None:
        """The next answer is a turn."""
        steps = [{"type": "model_output", "content": [{"type": "text", "text": text}]}]
        answer = {"id": f"v1_{len(self.answers)}", "status": "completed", "model": "m", "steps": steps, **fields}
        self.answers.append((200, answer))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.asked.append((scope["method"], scope["path"], json.loads(body) if body else None))
        answer = self.answers[len(self.asked) - 1]
        if answer is None:
            await receive()  # the client's going away
            return
        status, content = answer
        payload, kind = json.dumps(content).encode(), b"application/json"
        if status == 200 and self.asked[-1][2] and self.asked[-1][2].get("stream"):
            payload, kind = _as_events(content), b"text/event-stream"
        headers = [(b"content-type", kind), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})


def _as_events(answer: dict[str, Any]) -> bytes:
    end = {name: value for name, value in answer.items() if name != "steps"}
    rows: list[dict[str, Any]] = [
        {"event_type": "interaction.created", "interaction": {**end, "status": "in_progress", "usage": None}}
    ]
    for index, step in enumerate(answer["steps"]):
        rows += [
            {"event_type": "step.start", "index": index, "step": step},
            {"event_type": "step.stop", "index": index},
        ]
    rows.append({"event_type": "interaction.completed", "interaction": end})
    frames = [f"event: {row['event_type']}\ndata: {json.dumps(row)}\n\n" for row in rows]
    return "".join([*frames, "event: done\ndata: [DONE]\n\n"]).encode()


@pytest.fixture
def script() -> Script:
    """A service to be told what to answer."""
    return Script()


@pytest.fixture
def url(script: Script) -> Iterator[str]:
    """Its address."""
    with served(script) as address:
        yield address


def chat_of(url: str, **settings: Any) -> ChatInteractions:
    """A chat model of it that tries once."""
    return ChatInteractions(model="m", base_url=url, **{"api_key": "key", "max_retries": 0, **settings})
