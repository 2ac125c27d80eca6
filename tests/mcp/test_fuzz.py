"""T32: whatever clients and services send, the server answers, goes on, tells nothing of its inside, and starts nothing twice."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import subprocess
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mcp_types.version import LATEST_MODERN_VERSION

from bridge.backends.gemini import GeminiBackend
from bridge.backends.local import LocalBackend
from bridge.http import create_app
from bridge.jobs import SqliteJobStore
from bridge.mcp import Limits, agent_server
from bridge.mcp.agents import runs as runs_module
from tests.conftest import ROOT
from tests.mcp.calling import KEY, TOOLS, calling, over_http
from tests.mcp.test_processes import COMMAND, environment, service

MORE = 15 if os.environ.get("BRIDGE_CAMPAIGN") else 1
pytestmark = pytest.mark.timeout(120 * MORE)
CANARY = "canary-51c2e0-secret"
INSIDE = [CANARY, "Traceback", str(ROOT), "site-packages", '.py"', "sqlite"]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
NAMES = [
    *("input", "agent", "previous_run_id", "environment_id", "files", "wait_s", "idempotency_key", "run_id", "call_id"),
    *("result", "decision", "limit", "cursor", "path", "uri", "offset", "max_chars", "include_steps", "after_step"),
]
METHODS = [
    *("initialize", "ping", "tools/list", "tools/call", "resources/list", "resources/read", "resources/templates/list"),
    *("resources/subscribe", "resources/unsubscribe", "prompts/get", "prompts/list", "completion/complete"),
    *("logging/setLevel", "tasks/get", "tasks/update", "tasks/cancel", "server/discover", "notifications/cancelled"),
    *("notifications/initialized", "notifications/progress", "subscriptions/listen", "sampling/createMessage"),
]
META = {
    "io.modelcontextprotocol/protocolVersion": LATEST_MODERN_VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
}


def told(run: str) -> st.SearchStrategy[Any]:
    """Values that may fit: of the run, numbers in and out of range, and anything."""
    uris = [f"agent://runs/{run}{part}" for part in ("", "/output", "/steps", "/x")]
    some = [run, *uris, f"{run[:-1]}", "gemini", "approve", 0, 1, -1, 51, True, [], {}, [{"path": "a", "content": "b"}]]
    return st.sampled_from(some) | anything


def requests(run: str) -> st.SearchStrategy[Any]:
    """Requests that look like some, and others."""
    arguments = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), told(run), max_size=4)
    params = st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(TOOLS) | anything,
            "arguments": arguments.map(lambda given: {"wait_s": 0, **given}) | arguments | anything,
            "uri": told(run),
            "taskId": told(run),
            "inputResponses": anything,
            "requestState": anything,
            "protocolVersion": st.sampled_from(["2025-06-18", LATEST_MODERN_VERSION, "x", 1]),
            "capabilities": anything,
            "clientInfo": st.just({"name": "raw", "version": "1"}) | anything,
            "notifications": st.fixed_dictionaries({}, optional={"resourceSubscriptions": anything}) | anything,
            "_meta": st.just(META) | st.just({**META, "progressToken": 1}) | anything,
        },
    )
    return st.fixed_dictionaries(
        {"jsonrpc": st.just("2.0") | anything, "method": st.sampled_from(METHODS) | anything},
        optional={"id": st.integers() | st.text(max_size=5) | anything, "params": params | anything},
    )


class Hosted:
    """A server of agents over HTTP, in a thread of its own; behind it is a service that wants a key."""

    def __init__(self, folder: Path) -> None:
        self.url = self.run = self.session = ""
        self._folder = folder
        self._ready, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        transport = httpx2.ASGITransport(app=create_app(local := LocalBackend(), api_key=CANARY))
        jobs = SqliteJobStore(self._folder / "jobs.sqlite")
        async with local, httpx2.AsyncClient(transport=transport) as http:
            backend = GeminiBackend(api_key=CANARY, base_url="https://service.test", http=http)
            limits = Limits(running=100_000, starts_per_minute=100_000)
            server = agent_server(None, backend, jobs=jobs, handle_key=KEY, limits=limits)
            async with over_http(server) as self.url:
                async with calling(self.url) as call:
                    self.run = (await call("agent_run", agent="antigravity", input="Write 'a' to a.txt"))["run_id"]
                self._ready.set()
                await asyncio.to_thread(self._end.wait)
        await jobs.aclose()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.mark.covers("mcp:fuzz")
def test_t32_no_request_over_http_brings_the_server_down(tmp_path: Path) -> None:
    """In both eras, with headers that fit and others: 2xx or 4xx, and nothing of the inside."""
    with Hosted(tmp_path) as hosted, httpx2.Client(timeout=10) as client:

        def sent(content: bytes, headers: dict[str, str], method: str = "POST") -> httpx2.Response | None:
            base = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
            try:
                return client.request(method, hosted.url, content=content, headers={**base, **headers}, timeout=1.0)
            except httpx2.ReadTimeout:  # who listens hears nothing for a while
                assert b"subscriptions/listen" in content or b'"wait_s"' in content
                return None

        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
        opened = sent(json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}).encode(), {})
        assert opened is not None
        session = opened.headers["mcp-session-id"]
        words = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)

        @given(
            body=requests(hosted.run),
            other=st.none() | st.binary(max_size=100) | anything.map(lambda value: json.dumps(value).encode()),
            version=st.sampled_from([LATEST_MODERN_VERSION, LATEST_MODERN_VERSION, "2025-06-18"]) | words,
            fits=st.booleans(),
            more=st.dictionaries(
                st.sampled_from(
                    ["mcp-method", "mcp-name", "mcp-session-id", "last-event-id", "authorization", "accept"]
                ),
                words,
                max_size=2,
            ),
        )
        @settings(max_examples=100 * MORE, suppress_health_check=list(HealthCheck), deadline=None)
        def fuzzed(body: Any, other: bytes | None, version: str, fits: bool, more: dict[str, str]) -> None:
            headers = {"mcp-protocol-version": version}
            if version == "2025-06-18":
                headers["mcp-session-id"] = session
            params = body.get("params")
            if fits and isinstance(params, dict):
                body = {**body, "jsonrpc": "2.0", "id": 1, "params": {**params, "_meta": {**META, "progressToken": 1}}}
                named = params.get("name", params.get("uri", params.get("taskId")))
                headers["mcp-method"] = _header(body["method"])
                if isinstance(named, str):
                    headers["mcp-name"] = _header(named)
            else:
                headers |= more
            answer = sent(json.dumps(body).encode() if other is None else other, headers)
            if answer is not None:
                assert answer.status_code < 500, (answer.status_code, answer.text)
                assert not [word for word in INSIDE if word in answer.text], answer.text

        fuzzed()
        listed = sent(
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode(), {"mcp-session-id": session}
        )
        assert listed is not None
        assert "agent_read_file" in listed.text


def _header(value: Any) -> str:
    return "".join(char for char in str(value) if 32 < ord(char) < 127)[:200]


@pytest.mark.covers("mcp:fuzz", "mcp:stdio")
async def test_t32_no_line_over_stdio_brings_the_server_down(tmp_path: Path, backend: LocalBackend) -> None:
    """Lines that are none, and requests of any kind: what comes back is the protocol, and the next request is answered."""
    async with service(backend) as url:
        await asyncio.to_thread(_fuzzed_over_stdio, tmp_path, url)


def _fuzzed_over_stdio(folder: Path, url: str) -> None:
    command = [str(COMMAND), "mcp", "--base-url", url]
    errors = folder / "stderr"
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment(folder), cwd=folder
        ) as process,
    ):
        assert process.stdin is not None
        lines: queue.Queue[bytes] = queue.Queue()
        stdout = process.stdout
        assert stdout is not None

        def read() -> None:
            for line in stdout:
                lines.put(line)

        threading.Thread(target=read, daemon=True).start()
        number = 1_000_000

        def answered(method: str, params: Any) -> Any:
            nonlocal number
            number += 1
            request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            process.stdin.write(json.dumps(request).encode() + b"\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            while True:
                line = lines.get(timeout=20)
                answer = json.loads(line)
                assert answer["jsonrpc"] == "2.0"
                assert not [word for word in INSIDE if word in line.decode()], line
                if answer.get("id") == number:
                    return answer

        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
        assert "result" in answered("initialize", hello)
        run = answered("tools/call", {"name": "agent_run", "arguments": {"input": "Hello"}})["result"][
            "structuredContent"
        ]

        @given(line=st.binary(max_size=200) | requests(run["run_id"]).map(lambda value: json.dumps(value).encode()))
        @example(line=b"\xff\xfe{}")
        @example(line=b"[" * 100_000)
        @example(line=b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": "\\ud800"}}')
        @example(line=b"x" * 1_000_000)
        @settings(max_examples=100 * MORE, suppress_health_check=list(HealthCheck), deadline=None)
        def fuzzed(line: bytes) -> None:
            process.stdin.write(line.replace(b"\n", b" ") + b"\n")  # type: ignore[union-attr]
            assert answered("ping", {}) == {"jsonrpc": "2.0", "id": number, "result": {}}

        fuzzed()
        same = answered("tools/call", {"name": "agent_get", "arguments": {"run_id": run["run_id"]}})
        assert same["result"]["structuredContent"]["output_text"] == run["output_text"]
        process.stdin.close()
        assert process.wait(20) == 0
    assert not [word for word in (CANARY, "canary-of-the-service-key") if word in errors.read_text()]


class Nonsense:
    """The Interactions API as bare bytes on a socket: what it answers to a start, a look and a stream is set by the test."""

    def __init__(self) -> None:
        self.create = self.look = self.stream = b""
        self.begun: list[str] = []  # of each start that was not surely refused, what it asked for
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one request, and closes."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            first, *headers = head.decode("latin-1").split("\r\n")
            length = next((int(line[15:]) for line in headers if line.lower().startswith("content-length:")), 0)
            body = await reader.readexactly(length)
            method, path, _ = first.split(" ")
            if method == "POST":
                answer = self.create
                if not refuses(answer):
                    self.begun.append(json.loads(body)["input"])
            else:
                answer = self.stream if "stream=true" in path else self.look
            writer.write(answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def refuses(answer: bytes) -> bool:
    """Whether an answer to a start says that it surely was not begun. A 503 that is not in the API's own form may be a proxy's."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 503 "):
        return body.startswith((b"{", b"["))
    return head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 ", b"HTTP/1.1 429 "))


def http_answer(
    body: bytes, status: str = "200 OK", kind: str = "application/json", length: int | None = None, **more: str
) -> bytes:
    """An answer in bytes; `length` may be a lie."""
    headers = {
        "content-type": kind,
        "content-length": str(len(body) if length is None else length),
        "connection": "close",
    }
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in {**headers, **more}.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


def interaction(**fields: Any) -> bytes:
    """A body that says it is the interaction."""
    return json.dumps({"id": "v1_x", "object": "interaction", "status": "in_progress", **fields}).encode()


BODIES = [
    *(b"", b"null", b"[]", b"5", b'"x"', b"{}", b"{not json", b"\xff\xfe\x00", b"[" * 100_000, interaction()[:-5]),
    b'{"id": 5, "status": "in_progress"}',
    b'{"id": "v1_x", "status": "in_progress", "usage": {"total_tokens": NaN}, "steps": [Infinity]}',
    interaction(status=7),
    interaction(steps=3),
    interaction(
        steps=[None, 5, {"type": 9}, {"type": "model_output", "content": 4}, {"type": "function_call", "id": 1}]
    ),
    interaction(usage="many", environment_id=["x"], id="v1_x", errors={"code": 1}),
    interaction(steps=[{"type": "thought", "summary": [{"type": "text", "text": "\ud800\x00\x1b[31m"}]}]),
    interaction(junk="x" * 2_000_000),
    json.dumps({"error": {"code": 500, "message": f"key {CANARY} in /srv/app/main.py"}}).encode(),
]
STREAMS = [
    b"data: {}\n\n",
    b"data: \xff\xff\n\n",
    b'event: step.start\ndata: {"event_type": "step.start", "index": "x"}\n\n',
    b'data: {"event_type": "step.delta", "index": 0, "event_id": "e", "delta": {"type": 4}}\n\n' * 20,
    b'data: {"event_type": "step.stop", "index": -1}\n\n',
    b"id: 1\nretry: x\n:\n\n\n" * 50,
    b"data: " + b"x" * 2_000_000,
    b"\n" * 10_000,
]
statuses = st.sampled_from(
    ["500 Oops", "502 Bad", "503 Busy", "429 Slow", "400 No", "404 None", "204 Nothing", "302 Found", "999 What"]
)
bodies = st.sampled_from(BODIES) | st.binary(max_size=80)
streams = st.sampled_from(STREAMS) | st.binary(max_size=80)
wrong = st.one_of(
    bodies.map(http_answer),
    bodies.map(lambda body: http_answer(body, kind="text/html")),
    bodies.map(lambda body: http_answer(body, length=len(body) + 10)),
    bodies.map(lambda body: http_answer(body, transfer_encoding="chunked")),
    bodies.map(lambda body: http_answer(body, content_encoding="gzip")),
    st.builds(
        lambda body, status: http_answer(body, status, retry_after="soon", location="http://127.0.0.1:9/"),
        bodies,
        statuses,
    ),
    streams.map(lambda body: http_answer(body, kind="text/event-stream")),
    streams.map(lambda body: http_answer(body, kind="text/event-stream", length=len(body) + 10)),
    st.binary(max_size=60),
)


@asynccontextmanager
async def nonsense() -> AsyncIterator[Nonsense]:
    """The service on a socket."""
    service = Nonsense()
    listener = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener:
        yield service


async def soon(seconds: float) -> None:
    """No wait at all before something is tried again."""
    await asyncio.sleep(0)


@pytest.fixture
async def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Nonsense, Any]]:
    """Such a service, and a server of agents before it."""
    monkeypatch.setattr(runs_module, "_PAUSE", 0.01)
    jobs = SqliteJobStore(tmp_path / "jobs.sqlite")
    async with nonsense() as service, GeminiBackend(api_key=CANARY, base_url=service.url, sleep=soon) as backend:
        limits = Limits(running=100_000, starts_per_minute=100_000)
        yield service, agent_server({"a": {"model": "m"}}, backend, jobs=jobs, handle_key=KEY, limits=limits)
    await jobs.aclose()


numbers = iter(range(1_000_000))


@pytest.mark.covers("mcp:fuzz")
@given(create=wrong, look=wrong, stream=wrong)
@example(
    create=http_answer(BODIES[-1], "500 Oops"),
    look=http_answer(BODIES[-1], "429 Slow"),
    stream=http_answer(STREAMS[3], kind="text/event-stream"),
)
@example(create=http_answer(b"busy", "503 Busy"), look=http_answer(b"busy", "503 Busy"), stream=http_answer(b""))
@example(create=http_answer(BODIES[11]), look=http_answer(BODIES[11]), stream=http_answer(b""))
@example(create=http_answer(BODIES[14]), look=http_answer(BODIES[14]), stream=http_answer(b""))
@example(create=http_answer(BODIES[16]), look=http_answer(BODIES[16]), stream=http_answer(b""))
@example(create=http_answer(BODIES[10]), look=http_answer(BODIES[12]), stream=http_answer(b""))
@example(create=http_answer(BODIES[15]), look=http_answer(BODIES[13]), stream=http_answer(b""))
@example(create=http_answer(BODIES[13]), look=http_answer(BODIES[15]), stream=http_answer(b""))
@settings(max_examples=30 * MORE, suppress_health_check=list(HealthCheck), deadline=None)
async def test_t32_whatever_a_service_answers_no_run_is_lost_or_started_twice(
    create: bytes, look: bytes, stream: bytes, odd: tuple[Nonsense, Any]
) -> None:
    """To a start: it is told in words and not made again by itself. To a look and a stream: the run stays, and good answers complete it."""
    service, server = odd
    asked, named = f"question {next(numbers)}", f"v1_{next(numbers)}"
    seen: list[str] = []
    async with calling(server) as call:
        service.create, service.look, service.stream = create, look, stream
        for _ in range(2):
            started = await call.result("agent_run", input=asked, idempotency_key=asked, wait_s=0)
            seen.append(started.model_dump_json())
            assert started.structured_content is None or started.structured_content["run_id"]
        assert service.begun.count(asked) <= 1

        good = f"good {asked}"
        service.create = http_answer(interaction(id=named))
        run = (await call.result("agent_run", input=good, idempotency_key=good, wait_s=0)).structured_content
        seen.append(json.dumps(run))
        for tool, more in (("agent_wait", {"wait_s": 0.05}), ("agent_get", {"include_steps": True})):
            result = await call.result(tool, run_id=run["run_id"], **more)
            assert result.structured_content is not None, result.content
            seen.append(result.model_dump_json())
            json.loads(result.content[0].text, parse_constant=_refused)  # type: ignore[union-attr]
        step = {"type": "model_output", "content": [{"type": "text", "text": "It is 42."}]}
        service.look = http_answer(interaction(id=named, status="completed", steps=[step]))
        service.stream = http_answer(b"", kind="text/event-stream")
        done = await call("agent_wait", run_id=run["run_id"])
        assert (done["status"], done["output_text"]) == ("completed", "It is 42.")
        assert service.begun.count(good) == 1
    assert not [text for text in seen for word in INSIDE[:-2] if word in text]


def _refused(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")
