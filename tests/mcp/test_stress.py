"""Many at once, and clients that misbehave: nothing is lost, nothing is started twice, and nothing stays behind."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from mcp_types.version import LATEST_MODERN_VERSION

from bridge.backends.local import LocalBackend
from tests.mcp.calling import ASKING, ERAS, calling, output, over_http

pytestmark = pytest.mark.timeout(120)
RUNS, CLIENTS, RAW = 200, 20, 30


class Crowd:
    """Turns that answer with what they were asked, once so many were begun."""

    def __init__(self, size: int, more: str = "") -> None:
        self.begun: Counter[str] = Counter()
        self.let = asyncio.Event()
        self._size, self._more = size, more

    async def __call__(self, turn: Any) -> AsyncIterator[Any]:
        asked = str(turn.input[-1].content[0].text)
        self.begun[asked] += 1
        if self.begun.total() == self._size:
            self.let.set()
        yield {"type": "thought", "summary": [{"type": "text", "text": "Thinking."}]}
        await self.let.wait()
        yield output(f"You said {asked}{self._more}")


@asynccontextmanager
async def leaving_nothing(server: Any) -> AsyncIterator[str]:
    """A server on a real socket; once its clients are gone it is as if they had never been there."""
    runs = server._served["agent_run"].run.__self__._runs
    async with over_http(server) as url:
        for era in ERAS:  # what is made once for all is made
            async with calling(url, era) as call:
                await call("agent_list")
        before = held()
        yield url
        async with asyncio.timeout(30):
            while any(now > then for now, then in zip(held(), before, strict=True)) or [
                *runs._starting,
                *runs._stopping,
                *runs._doors,
            ]:
                await asyncio.sleep(0.05)


def held() -> tuple[int, int]:
    """How many tasks and files this process holds, of the server and of the clients."""
    return len(asyncio.all_tasks()), len(os.listdir("/dev/fd"))


def raw(url: str, tool: str, **arguments: Any) -> bytes:
    """A request of the newest protocol for a call with progress."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": LATEST_MODERN_VERSION,
        "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": 1,
    }
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    return (
        f"POST /mcp HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: {LATEST_MODERN_VERSION}\r\n"
        f"Mcp-Method: tools/call\r\nMcp-Name: {tool}\r\n\r\n{body}"
    ).encode()


async def connected(url: str) -> socket.socket:
    """A bare connection that takes little before it is read."""
    bare = socket.socket()
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    bare.setblocking(False)
    await asyncio.get_running_loop().sock_connect(bare, (urlsplit(url).hostname, urlsplit(url).port))
    return bare


@pytest.mark.covers("mcp:many")
async def test_two_hundred_runs_at_once_of_many_clients(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Over connections of their own, in both eras, all under way at the same time: each gets its own answer, and is started once."""
    crowd = Crowd(RUNS)
    async with leaving_nothing(serving(scripted(*[crowd] * RUNS), ASKING)) as url:

        async def client(number: int) -> list[tuple[str, str]]:
            async with calling(url, ERAS[number % 2]) as call:

                async def run(text: str) -> tuple[str, str]:
                    done = await call.client.call_tool("agent_run", {"input": text, "wait_s": 50})
                    assert not done.is_error, done.content
                    assert done.structured_content["output_text"] == f"You said {text}"
                    return text, str(done.structured_content["run_id"])

                return await asyncio.gather(*(run(f"{number}.{turn}") for turn in range(RUNS // CLIENTS)))

        done = [one for some in await asyncio.gather(*map(client, range(CLIENTS))) for one in some]
        async with calling(url) as call:
            listed: list[dict[str, Any]] = []
            page: dict[str, Any] = {"next_cursor": None}
            while not listed or page["next_cursor"]:
                more = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
                page = await call("agent_list", limit=100, **more)
                listed += page["runs"]
    assert len({run for _, run in done}) == RUNS
    assert {(one["input"], one["run_id"]) for one in listed} == set(done)
    assert {one["status"] for one in listed} == {"completed"}
    assert crowd.begun == Counter(text for text, _ in done)


@pytest.mark.covers("mcp:many", "mcp:disconnect")
async def test_clients_that_never_read_hold_nobody_up(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Each asks a hundred times for much and takes nothing, and starts a run; others go on, and see those runs end."""
    size = RAW + 1
    crowd = Crowd(size, "!" * 50_000)
    backend = scripted(*[crowd] * size, *[[output("short")]] * RAW)
    async with leaving_nothing(serving(backend, ASKING)) as url:
        deaf = [await connected(url) for _ in range(RAW)]
        loop = asyncio.get_running_loop()
        try:
            async with calling(url) as call:
                starting = asyncio.create_task(call.client.call_tool("agent_run", {"input": "big"}))
                for number, bare in enumerate(deaf):
                    await loop.sock_sendall(bare, raw(url, "agent_run", input=f"deaf {number}", wait_s=50))
                big = (await starting).structured_content["run_id"]
                greedy = raw(url, "agent_read_file", uri=f"agent://runs/{big}/output", max_chars=50_000) * 100
                sending = [asyncio.create_task(loop.sock_sendall(bare, greedy)) for bare in deaf]
                for era in ERAS:
                    async with calling(url, era) as other:
                        for _ in range(RAW // 2):
                            assert (await other("agent_run", input="Hello"))["output_text"] == "short"
                runs = (await call("agent_list", limit=100))["runs"]
                assert Counter(run["status"] for run in runs) == {"completed": size + RAW}
                for work in sending:
                    work.cancel()
                await asyncio.gather(*sending, return_exceptions=True)
        finally:
            for bare in deaf:
                bare.close()
    assert crowd.begun.total() == len(crowd.begun) == size


@pytest.mark.covers("mcp:many", "mcp:disconnect")
async def test_clients_that_drop_in_the_middle_lose_no_run(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """With progress on the way; each of their runs ends and can be read, and the server is rid of them before that."""
    crowd = Crowd(RAW + 1)
    async with leaving_nothing(serving(scripted(*[crowd] * RAW), ASKING)) as url:
        before = held()

        async def dropped(number: int) -> None:
            bare = await connected(url)
            loop = asyncio.get_running_loop()
            with bare:
                await loop.sock_sendall(bare, raw(url, "agent_run", input=f"drop {number}", wait_s=50))
                read = b""
                while b"notifications/progress" not in read:
                    read += (received := await loop.sock_recv(bare, 4_096))
                    assert received, read

        async with asyncio.timeout(60):
            await asyncio.gather(*(dropped(number) for number in range(RAW)))
            # A turn of the embedded service is a task of its own.
            while held()[0] > before[0] + RAW or held()[1] > before[1]:
                await asyncio.sleep(0.05)
        async with calling(url) as call:
            runs = (await call("agent_list", limit=100))["runs"]
            assert Counter(run["status"] for run in runs) == {"in_progress": RAW}
            crowd.let.set()
            for run in runs:
                done = await call("agent_wait", run_id=run["run_id"])
                assert (done["status"], done["output_text"]) == ("completed", f"You said {run['input']}")
    assert crowd.begun.total() == len(crowd.begun) == RAW
