"""T32: a service that answers nonsense, byte by byte on a socket: no run is lost by it, started twice, or given up."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.backends.gemini import GeminiBackend
from bridge.mcp import Limits
from tests.conftest import ROOT
from tests.mcp.calling import Caller, calling

pytestmark = pytest.mark.timeout(60)
CANARY = "canary-of-the-upstream-key"
INSIDE = [CANARY, "Traceback", str(ROOT), "site-packages", "failed on this server"]
AGENTS = {"a": {"model": "m"}}


def answer(body: bytes, status: str = "200 OK", kind: str = "application/json", *more: str) -> bytes:
    """A whole answer of HTTP."""
    head = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close", *more]
    return "\r\n".join([*head, "", ""]).encode() + body


def interaction(status: str, id: str = "v1_x", **fields: Any) -> bytes:
    """An answer as it should be."""
    return answer(json.dumps({"id": id, "object": "interaction", "status": status, **fields}).encode())


def done(id: str = "v1_x") -> bytes:
    """The answer that ends a run."""
    text = {"type": "model_output", "content": [{"type": "text", "text": "It is 42."}]}
    return interaction("completed", id, steps=[text])


GARBAGE: dict[str, bytes] = {
    "nothing": b"",
    "no-http": b"\x00\xff\xfe nonsense\r\n\r\n",
    "half-a-head": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "large-head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000 + b"\r\n\r\n{}",
    "truncated": b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"id": "v1_',
    "broken-chunks": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{}",
    "no-gzip": answer(b"this is not gzip", "200 OK", "application/json", "Content-Encoding: gzip"),
    "empty": answer(b""),
    "no-json": answer(b"{not json"),
    "html": answer(b"<html><script>alert(1)</script></html>", kind="text/html"),
    "no-utf8": answer(b'{"id": "v1_x", "status": "\xff\xfe\x80"}'),
    "half-a-character": answer(b'{"id": "v1_x", "status": "in_progress", "note": "\\ud800"}'),
    "deep": answer(b"[" * 100_000),
    "deep-inside": answer(b'{"id": "v1_x", "status": "in_progress", "x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
    "large": answer(b'{"id": "v1_x", "status": "in_progress", "x": "' + b"x" * 8_000_000 + b'"}'),
    "long-number": answer(b'{"id": "v1_x", "status": "in_progress", "usage": {"total_tokens": ' + b"9" * 6_000 + b"}}"),
    "infinite": answer(b'{"id": "v1_x", "status": "in_progress", "usage": {"total_tokens": 1e999}}'),
    "null": answer(b"null"),
    "list": answer(b"[1, 2]"),
    "text": answer(b'"in_progress"'),
    "no-fields": answer(b"{}"),
    "wrong-types": answer(b'{"id": "v1_x", "status": ["x"], "steps": {"a": 1}, "usage": "none", "errors": 7}'),
    "wrong-steps": answer(b'{"id": "v1_x", "status": "in_progress", "steps": [null, 1, {"type": 7}, {"type": "x"}]}'),
    "unheard-of": interaction("levitating"),
    "500": answer(b"<h1>Internal error</h1>", "500 Internal Server Error", "text/html"),
    "500-json": answer(b'{"error": {"code": "x", "message": ["y"]}}', "500 Internal Server Error"),
    "502": answer(b"", "502 Bad Gateway"),
    "503": answer(b'{"error": {"code": 503, "message": "later"}}', "503 Service Unavailable"),
    "429": answer(b'{"error": {"message": "slow down"}}', "429 Too Many", "application/json", "Retry-After: 1e12"),
    "429-never": answer(b"[]", "429 Too Many Requests", "application/json", "Retry-After: nan"),
    "999": answer(b"{}", "999 What"),
    "204": b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    "elsewhere": answer(b"", "302 Found", "text/plain", "Location: http://127.0.0.1:9/other"),
    "key-told": answer(f'{{"error": {{"message": "bad key {CANARY}"}}}}'.encode(), "500 Internal Server Error"),
}
SSE = "text/event-stream"
STREAMS: dict[str, bytes] = {
    "no-end": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: step.start\ndata: {",
    "no-json": answer(b"data: {not json\n\n" * 50, kind=SSE),
    "no-utf8": answer(b"data: \xff\xfe\x80\n\nid: \xff\n\n", kind=SSE),
    "no-events": answer(b":\n\n:\n\n", kind=SSE),
    "other-values": answer(b"data: null\n\ndata: 7\n\ndata: []\n\ndata: {}\n\n", kind=SSE),
    "wrong-places": answer(
        b'data: {"event_type": "step.delta", "index": -1, "delta": {"type": "text", "text": 7}}\n\n'
        b'data: {"event_type": "step.start", "index": 1e99, "step": null}\n\n'
        b'data: {"event_type": "step.stop", "index": 99999999999999999999}\n\n'
        b'data: {"event_type": "interaction.completed", "interaction": "gone"}\n\n',
        kind=SSE,
    ),
    "error": answer(b'data: {"event_type": "error", "error": {"message": {"a": 1}}}\n\n', kind=SSE),
    "one-long-line": answer(b"data: " + b"x" * 5_000_000, kind=SSE),
    "deep": answer(b"data: " + b"[" * 100_000 + b"\n\n", kind=SSE),
    "key-told": answer(f'data: {{"event_type": "error", "error": {{"message": "{CANARY}"}}}}\n\n'.encode(), kind=SSE),
}


class Upstream:
    """A service on a socket that answers with the bytes it is given: for "create", "get" and "stream". It counts what it was asked."""

    def __init__(self) -> None:
        self.answers = {"create": interaction("in_progress"), "get": interaction("in_progress"), "stream": b""}
        self.asked: Counter[str] = Counter()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of one connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = next((line for line in head.split("\r\n") if line.startswith("content-length:")), ":0")
            await reader.readexactly(int(length.split(":")[1]))
            target = head.split(" ", 2)[1]
            what = "create" if head.startswith("post") else "stream" if "stream=true" in target else "get"
            self.asked[what] += 1
            writer.write(self.answers[what])
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            writer.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """The service."""
    service = Upstream()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    async with server:
        service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield service


@asynccontextmanager
async def asking(upstream: Upstream, serving: Callable[..., Any]) -> AsyncIterator[Caller]:
    """A client of a server that works with it, and repeats nothing by itself."""
    limits = Limits(running=100_000, starts_per_minute=100_000)
    async with (
        GeminiBackend(api_key=CANARY, base_url=upstream.url, retries=0) as backend,
        calling(serving(backend, AGENTS, limits=limits)) as caller,
    ):
        yield caller


async def shown(call: Caller, tool: str, **arguments: Any) -> tuple[Any, str]:
    """What a tool gave, whether well or not: its data and its words, which tell nothing of the inside."""
    result = await call.result(tool, **arguments)
    text = "".join(part.text for part in result.content)  # type: ignore[union-attr]
    assert not [word for word in INSIDE if word in text], text[:2_000]
    return result.structured_content, text


@asynccontextmanager
async def one_start(upstream: Upstream) -> AsyncIterator[None]:
    """What is done here starts one interaction, and no second one."""
    before = upstream.asked["create"]
    yield
    assert upstream.asked["create"] == before + 1


@pytest.mark.covers("mcp:fuzz")
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_t32_a_look_that_is_answered_with_nonsense_loses_no_run(
    garbage: bytes, upstream: Upstream, serving: Callable[..., Any]
) -> None:
    """It goes on as it was, every tool that looks at it answers, and the next good answer completes it."""
    upstream.answers["get"] = garbage
    async with asking(upstream, serving) as call, one_start(upstream):
        run, _ = await shown(call, "agent_run", input="x", wait_s=0)
        for tool in ("agent_wait", "agent_get"):
            more = {"wait_s": 0} if tool == "agent_wait" else {"include_steps": True}
            seen, _ = await shown(call, tool, run_id=run["run_id"], **more)
            assert seen["run_id"] == run["run_id"]
            assert seen["status"] in ("in_progress", "levitating", "queued"), seen
        upstream.answers["get"] = done()
        seen, _ = await shown(call, "agent_wait", run_id=run["run_id"], wait_s=10)
        assert (seen["status"], seen["output_text"]) == ("completed", "It is 42.")
    assert upstream.asked["get"] >= 3


@pytest.mark.covers("mcp:fuzz")
@pytest.mark.parametrize("garbage", STREAMS.values(), ids=STREAMS.keys())
async def test_t32_a_stream_of_nonsense_loses_no_run(
    garbage: bytes, upstream: Upstream, serving: Callable[..., Any]
) -> None:
    """Whoever waits is told how the run stands, and the answer once it is there."""
    upstream.answers["stream"] = garbage
    async with asking(upstream, serving) as call, one_start(upstream):
        run, _ = await shown(call, "agent_run", input="x", wait_s=0.5)
        assert run["status"] in ("in_progress", "queued"), run
        upstream.answers["get"] = done()
        seen, _ = await shown(call, "agent_wait", run_id=run["run_id"], wait_s=10)
        assert (seen["status"], seen["output_text"]) == ("completed", "It is 42.")
    assert upstream.asked["stream"]


@pytest.mark.covers("mcp:fuzz")
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_t32_a_start_that_is_answered_with_nonsense_is_made_once(
    garbage: bytes, upstream: Upstream, serving: Callable[..., Any]
) -> None:
    """Where it may have begun the run stays and its key starts no second one; where it was refused, the key starts it anew."""
    upstream.answers["create"], upstream.answers["get"] = garbage, done()
    async with asking(upstream, serving) as call:
        run, words = await shown(call, "agent_run", input="x", wait_s=0, idempotency_key="once")
        listed = (await call("agent_list"))["runs"]
        assert upstream.asked["create"] == 1
        upstream.answers["create"] = interaction("in_progress")
        if run is None:
            assert words.startswith("agent_run: ")
            assert listed == []
        else:
            assert [one["run_id"] for one in listed] == [run["run_id"]]
            assert run["error"] or run["status"] != "unknown"
        again, _ = await shown(call, "agent_run", input="x", wait_s=10, idempotency_key="once")
        assert upstream.asked["create"] == (1 if run else 2)
        assert again["status"] in (("unknown", "completed") if run else ("completed",))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("id", "object", "steps", "usage", "errors", "environment_id", "created", "model", "agent"), anything
    ),
)
events = st.fixed_dictionaries(
    {"event_type": st.sampled_from(["step.start", "step.delta", "step.stop", "interaction.updated", "error"])},
    optional=dict.fromkeys(("index", "step", "delta", "interaction", "error", "event_id"), anything),
)


_NUMBERS = count()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.covers("mcp:fuzz")
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    look=st.binary(max_size=200).map(answer)
    | anything.filter(lambda value: not isinstance(value, dict)).map(_json).map(answer)
    | fields.map(lambda value: answer(_json({**value, "status": "in_progress"})))
    | st.binary(max_size=200),
    stream=st.binary(max_size=200).map(lambda body: answer(body, kind=SSE))
    | st.lists(events, max_size=5).map(
        lambda some: answer(b"".join(b"data: " + _json(event) + b"\n\n" for event in some), kind=SSE)
    ),
)
async def test_t32_no_answer_of_a_service_loses_a_run(
    look: bytes, stream: bytes, upstream: Upstream, serving: Callable[..., Any]
) -> None:
    """Of looks and of streams, whatever they hold."""
    named = f"v1_{next(_NUMBERS)}"  # an interaction belongs to one run
    upstream.answers |= {"create": interaction("in_progress", named), "get": look, "stream": stream}
    async with asking(upstream, serving) as call, one_start(upstream):
        run, _ = await shown(call, "agent_run", input="x", wait_s=0.05)
        assert run["status"] in ("in_progress", "queued"), run
        upstream.answers |= {"get": done(named), "stream": b""}
        seen, _ = await shown(call, "agent_wait", run_id=run["run_id"], wait_s=10)
        assert (seen["status"], seen["output_text"]) == ("completed", "It is 42.")
