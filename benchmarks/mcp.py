"""What an agent server costs its clients: a call, a call with a long history, a cold start, and the memory of runs that are over.

The server is the command that users start, on the embedded service in a process of its own. A call is `agent_get` of a run that is
over, which asks the service nothing: what is measured is the server and its job store. It is held against a tool that does nothing on
a bare `MCPServer`, and against the same work as a tool of fastmcp, all three with the same client, in turn.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

from benchmarks.rounds import Row, ratio
from bridge.jobs import SqliteJobStore
from tests.environments import ROOT, python_of
from tests.mcp.history import copied

__all__ = ["serving"]

_COMMAND = str(Path(sys.executable).with_name("interactions-bridge"))
_BARE = """
from mcp.server import MCPServer
server = MCPServer("bare")
@server.tool()
def agent_get(run_id: str) -> str:
    return ""
"""
_BARE_STDIO = _BARE + "server.run()"
# It opens its socket itself: on one of `socket.create_server`, asyncio leaves Nagle's algorithm on, and every answer is 40 ms late.
_BARE_HTTP = f"""{_BARE}
import json, socket, uvicorn
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
print(json.dumps({{"url": f"http://127.0.0.1:{{port}}/mcp"}}), flush=True)
uvicorn.run(server.streamable_http_app(), host="127.0.0.1", port=port, log_level="critical")
"""
# For a client that starts a thousand runs at once.
_UNLIMITED = {
    "agents": {"gemini": {"model": "gemini-3.8-flash"}},
    "limits": {"running": 1_000_000, "starts_per_minute": 1_000_000},
}
_CALLS, _AT_ONCE = 50, 16
# Runs in the store that a call is held against one with a long history, and in that.
_FEW, _MANY = 10, 10_000
_TARGET_MS, _TARGET_START, _TARGET_HISTORY = 3.0, 1.3, 1.25


@contextmanager
def _process(command: Sequence[str], env: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """A process that prints where it serves: its URL and its id."""
    with subprocess.Popen(command, env={**os.environ, **env}, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"], process.pid
        finally:
            process.terminate()


class _Servers:
    """The commands of the three servers, and what they are started with, in a folder of their own beside a service."""

    def __init__(self, folder: Path, service: str) -> None:
        folder.mkdir(exist_ok=True)
        self.env = {"XDG_DATA_HOME": str(folder), "PYTHONPATH": str(ROOT / "src")}
        config = folder / "config.json"
        config.write_text(json.dumps(_UNLIMITED))
        self.store = folder / "jobs.sqlite"
        self.ours = [_COMMAND, "mcp", "--base-url", service, "--store", str(self.store), "--config", str(config)]
        self._fastmcp = [str(python_of("mcp_adapter")), "-m", "benchmarks.on_fastmcp"]
        self._where = [service, str(folder)]

    def stdio(self) -> dict[str, StdioServerParameters]:
        """All over stdio."""
        return {
            name: StdioServerParameters(command=command, args=arguments, env=self.env, cwd=ROOT)
            for name, (command, *arguments) in {
                "ours": self.ours,
                "bare": [sys.executable, "-c", _BARE_STDIO],
                "fastmcp": [*self._fastmcp, "stdio", *self._where],
            }.items()
        }

    @property
    def ours_over_http(self) -> list[str]:
        """Ours over HTTP, as a process that prints its URL."""
        return [*self.ours, "--http", "--port", "0", "--json"]

    def http(self) -> dict[str, list[str]]:
        """All over HTTP, as processes that print their URL."""
        return {
            "ours": self.ours_over_http,
            "bare": [sys.executable, "-c", _BARE_HTTP],
            "fastmcp": [*self._fastmcp, "http", *self._where],
        }


async def _started(client: Client) -> str:
    """A run that is over."""
    result = await client.call_tool("agent_run", {"input": "Say hello in five words."})
    run = result.structured_content
    assert run is not None, result
    assert run["status"] == "completed", run
    return str(run["run_id"])


async def _calls(clients: Mapping[str, Client], run: str, count: int) -> dict[str, list[float]]:
    """The median seconds of a call in each round."""
    seen: dict[str, list[float]] = {name: [] for name in clients}
    for _ in range(count + 1):
        for name, client in clients.items():
            took = []
            for _ in range(_CALLS):
                began = time.perf_counter()
                result = await client.call_tool("agent_get", {"run_id": run})
                took.append(time.perf_counter() - began)
                assert not result.is_error, result
            seen[name].append(statistics.median(took))
    return {name: values[1:] for name, values in seen.items()}  # the first round warms up


async def _latencies(servers: _Servers, count: int) -> list[Row]:
    rows: list[Row] = []
    async with Client(servers.stdio()["ours"]) as first:  # which makes the key and the store that all of them use
        run = await _started(first)
    for transport in ("stdio", "HTTP"):
        async with AsyncExitStack() as stack:
            places: dict[str, Any] = dict(servers.stdio())
            if transport == "HTTP":
                for name, command in servers.http().items():
                    places[name] = stack.enter_context(_process(command, servers.env))[0]
                    await _reachable(places[name])
            clients = {name: await stack.enter_async_context(Client(place)) for name, place in places.items()}
            seen = await _calls(clients, run, count)
        milli = {name: statistics.median(values) * 1e3 for name, values in seen.items()}
        more = statistics.median(a - b for a, b in zip(seen["ours"], seen["bare"], strict=True)) * 1e3
        detail = ", ".join(f"{name} {value:.2f} ms" for name, value in milli.items())
        what = f"`agent_get` over {transport}: ms beyond a tool that does nothing on a bare MCPServer"
        rows.append(Row(what, more, f"≤ {_TARGET_MS:g}", more <= _TARGET_MS, detail))
        theirs = ratio(seen["fastmcp"], seen["ours"])
        rows.append(Row(f"`agent_get` over {transport}: fastmcp / ours", theirs, "none set", True, detail))
    return rows


async def _reachable(url: str) -> None:
    """Waits until a server that told its address before it listened does listen."""
    host, port = url.split("/")[2].split(":")
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


async def _cold_starts(servers: _Servers, count: int) -> Row:
    """From starting the process to its list of tools."""
    seen: dict[str, list[float]] = {name: [] for name in ("ours", "bare", "fastmcp")}
    for _ in range(count + 1):
        for name, place in servers.stdio().items():
            began = time.perf_counter()
            async with Client(place) as client:
                await client.list_tools()
                seen[name].append(time.perf_counter() - began)
    seen = {name: values[1:] for name, values in seen.items()}  # the first round compiles the bytecode
    over = ratio(seen["ours"], seen["bare"])
    detail = ", ".join(f"{name} {statistics.median(values) * 1e3:.0f} ms" for name, values in seen.items())
    what = "cold start to tools/list over stdio / bare MCPServer"
    return Row(what, over, f"≤ {_TARGET_START}", over <= _TARGET_START, detail)


async def _histories(servers: Mapping[int, _Servers], count: int) -> list[Row]:
    """What the history of a caller does to each tool: the same calls of two servers, whose stores hold so many of its runs."""
    async with AsyncExitStack() as stack:
        clients, ended = {}, {}
        for size, one in servers.items():
            url = stack.enter_context(_process(one.ours_over_http, one.env))[0]
            clients[size] = await stack.enter_async_context(Client(url))
            ended[size] = await _started(clients[size])
            jobs = SqliteJobStore(one.store)
            await copied(jobs, size - 1)
            await jobs.aclose()
        rows = []
        for tool in ("agent_run", "agent_wait", "agent_get", "agent_list"):
            seen: dict[int, list[float]] = {size: [] for size in clients}
            for _ in range(count + 1):
                took: dict[int, list[float]] = {size: [] for size in clients}
                for _ in range(_CALLS // 2):
                    for size, client in clients.items():
                        words = {"agent_run": {"input": "Say hello in five words."}, "agent_list": {}}
                        began = time.perf_counter()
                        result = await client.call_tool(tool, words.get(tool, {"run_id": ended[size]}))
                        took[size].append(time.perf_counter() - began)
                        assert not result.is_error, result
                for size, values in took.items():
                    seen[size].append(statistics.median(values))
            few, many = (seen[size][1:] for size in servers)
            over = ratio(many, few)
            detail = f"{statistics.median(many) * 1e3:.2f} ms against {statistics.median(few) * 1e3:.2f} ms"
            what = f"`{tool}` with {_MANY:,} runs in the job store / with {_FEW}"
            rows.append(Row(what, over, f"≤ {_TARGET_HISTORY}", over <= _TARGET_HISTORY, detail))
    return rows


async def _memory(servers: _Servers, runs: int) -> list[Row]:
    """What runs that are over leave in the server's memory and in its job store."""

    async def many(client: Client, count: int) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one() -> None:
            async with gate:
                await _started(client)

        await asyncio.gather(*(one() for _ in range(count)))

    with _process(servers.ours_over_http, servers.env) as (url, pid):
        async with Client(url) as client:
            await many(client, max(100, runs // 5))  # what grows once
            before = _rss(pid), _size(servers.store)
            began = time.perf_counter()
            await many(client, runs)
            rate = runs / (time.perf_counter() - began)
            after = _rss(pid), _size(servers.store)
    memory, store = (b - a for a, b in zip(before, after, strict=True))
    detail = (
        f"{after[0] / 2**20:.0f} MB at its end; {store / runs:,.0f} bytes a run in the job store; {rate:.0f} runs/s"
    )
    return [Row(f"MB that a server grows by for {runs:,} runs that are over", memory / 2**20, "none set", True, detail)]


def _rss(pid: int) -> int:
    """Bytes of memory that a process holds, as Linux tells; 0 elsewhere."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _size(store: Path) -> int:
    """Bytes of a job store in use, with what is not yet moved into its file."""
    import sqlite3

    connection = sqlite3.connect(store)
    try:
        pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        return int(pages) * int(size)
    finally:
        connection.close()


def serving(count: int, runs: int) -> list[Row]:
    """The rows of MCP servers."""

    async def all_of(folder: Path, service: str) -> list[Row]:
        servers = _Servers(folder / "servers", service)
        rows = await _latencies(servers, count)
        rows += await _histories({size: _Servers(folder / str(size), service) for size in (_FEW, _MANY)}, count)
        return [*rows, await _cold_starts(servers, count), *await _memory(servers, runs)]

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        service = stack.enter_context(_process([_COMMAND, "serve", "--port", "0", "--json"], {}))[0]
        return asyncio.run(all_of(Path(folder), service))
