"""`interactions-bridge mcp` as clients start it: over stdio and HTTP, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from mcp import Client, StdioServerParameters

from bridge._sockets import listen
from bridge.backends.local import LocalBackend, ScriptedResponder
from bridge.cli import main
from bridge.cli.stores import store_of
from bridge.http import create_app
from bridge.interactions import Interaction
from bridge.jobs import PostgresJobStore, SqliteJobStore
from tests.mcp.calling import ERAS, TOOLS, Held, calling, output, signed_in

COMMAND = Path(sys.executable).with_name("interactions-bridge")
pytestmark = pytest.mark.timeout(120)
SERVICE_KEY = "canary-of-the-service-key"


@contextlib.asynccontextmanager
async def service(backend: LocalBackend) -> AsyncIterator[str]:
    """The Interactions API on a socket; gives its URL."""
    with listen() as listener:
        app = create_app(backend, api_key=SERVICE_KEY)
        running = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
        task = asyncio.create_task(running._serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            running.should_exit = True
            await asyncio.wait_for(task, 20)


def environment(data: Path, **more: str) -> dict[str, str]:
    """What a server is started with: its key and its data folder."""
    return {**os.environ, "XDG_DATA_HOME": str(data), "GEMINI_API_KEY": SERVICE_KEY, **more}


def stdio(data: Path, *arguments: str) -> StdioServerParameters:
    """A server over stdio."""
    return StdioServerParameters(command=str(COMMAND), args=["mcp", *arguments], env=environment(data), cwd=data)


@contextlib.contextmanager
def http(data: Path, *arguments: str, **more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server over HTTP as a process: its URL, once it answers there."""
    command = [str(COMMAND), "mcp", "--http", "--port", "0", "--json", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(data, **more), cwd=data
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            yield json.loads(line)["url"], process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)


@pytest.mark.covers("mcp:stdio")
@pytest.mark.parametrize("era", ERAS)
async def test_t30_over_stdio_a_run_outlives_its_server(
    era: str, tmp_path: Path, scripted: Callable[..., LocalBackend]
) -> None:
    """The wire stays clean, no key is on a command line, and the next server, started elsewhere, goes on."""
    held = Held("It is 42.")
    async with service(scripted(held, [output("As I said, 42.")])) as url:
        server = stdio(tmp_path, "--base-url", url)
        assert SERVICE_KEY not in " ".join(server.args)
        async with calling(server, era) as call:
            assert [tool.name for tool in (await call.client.list_tools()).tools] == TOOLS
            run = await call("agent_run", input="Think.", wait_s=0)
            assert run["status"] in ("queued", "in_progress")
        (tmp_path / "elsewhere").mkdir()
        other = server.model_copy(update={"cwd": tmp_path / "elsewhere"})
        async with calling(other, era) as call:
            held.let.set()
            done = await call("agent_wait", run_id=run["run_id"])
            assert done["output_text"] == "It is 42."
            again = await call("agent_run", input="Sorry?", previous_run_id=run["run_id"])
            assert again["output_text"] == "As I said, 42."
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "interactions-bridge"]


NOISY = """
import os, subprocess, sys
from bridge.mcp import tool_server
from bridge.tools import Tools

def shout(text: str) -> str:
    "Writes to stdout in every way there is."
    print(text, flush=True)
    os.write(1, b"raw\\n")
    subprocess.run([sys.executable, "-c", "print('of a child')"], check=True)
    return text

tool_server(Tools([shout])).run()
"""


@pytest.mark.covers("mcp:stdio")
@pytest.mark.parametrize("era", ERAS)
async def test_t30_what_tools_print_does_not_reach_the_wire(era: str, tmp_path: Path) -> None:
    """Theirs, and their children's: a client that minds every line reads nothing but the protocol."""
    minded: list[Exception] = []

    async def mind(message: Any) -> None:
        if isinstance(message, Exception):
            minded.append(message)

    server = StdioServerParameters(command=sys.executable, args=["-c", NOISY], env=environment(tmp_path), cwd=tmp_path)
    async with Client(server, mode=era, message_handler=mind) as client:
        for text in ("one", "two"):
            result = await client.call_tool("shout", {"text": text})
            assert [part.text for part in result.content] == [text]  # type: ignore[union-attr]
    assert minded == []


@pytest.mark.covers("mcp:stdio:ended")
async def test_a_server_that_is_told_to_end_finishes_what_it_is_starting(tmp_path: Path) -> None:
    """SIGTERM in the middle of a start: what is paid for is known to the next server, and the process ends by the signal."""

    class Late(LocalBackend):
        def __init__(self) -> None:
            super().__init__(responder=ScriptedResponder([[output("It is 42.")]]))
            self.asked, self.let = asyncio.Event(), asyncio.Event()

        async def create(self, request: Any = None, /, **fields: Any) -> Interaction:
            self.asked.set()
            await self.let.wait()
            return await super().create(request, **fields)

    async with Late() as backend, service(backend) as url:
        server = stdio(tmp_path, "--base-url", url)
        process = await asyncio.create_subprocess_exec(
            *(server.command, *server.args),
            stdin=subprocess.PIPE,
            env=server.env,
            cwd=server.cwd,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None
        for line in (
            request(
                "initialize",
                {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
            ),
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            request("tools/call", {"name": "agent_run", "arguments": {"input": "Think."}}),
        ):
            process.stdin.write(json.dumps(line).encode() + b"\n")
        await asyncio.wait_for(backend.asked.wait(), 30)
        process.send_signal(signal.SIGTERM)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.5)
        backend.let.set()
        assert await asyncio.wait_for(process.wait(), 20) == -signal.SIGTERM
        async with calling(server) as call:
            (run,) = (await call("agent_list"))["runs"]
            assert (await call("agent_wait", run_id=run["run_id"]))["output_text"] == "It is 42."


def request(method: str, params: dict[str, Any], id: Any = 1) -> dict[str, Any]:
    """A request of JSON-RPC."""
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


@pytest.mark.covers("mcp:restart")
async def test_a_server_that_is_killed_loses_no_run(tmp_path: Path, scripted: Callable[..., LocalBackend]) -> None:
    """Another client on a new server waits for it, reads its files and follows it up."""
    held = Held("Written.")
    backend = scripted(held, [output("Still there.")])
    async with service(backend) as service_url:
        with http(tmp_path, "--base-url", service_url) as (url, process):
            async with calling(url) as call:
                run = await call("agent_run", agent="antigravity", input="Write a report.", wait_s=1)
                assert run["status"] == "in_progress"
                process.kill()
                await asyncio.to_thread(process.wait, 20)
        with http(tmp_path, "--base-url", service_url) as (url, _):
            async with calling(url, "legacy") as call:
                assert [one["run_id"] for one in (await call("agent_list"))["runs"]] == [run["run_id"]]
                waiting = asyncio.create_task(call("agent_wait", run_id=run["run_id"]))
                held.let.set()
                done = await waiting
                assert (done["status"], done["output_text"]) == ("completed", "Written.")
                environment_id = done["environment_id"].rpartition("~")[0]
                await backend.files.write(environment_id, "workspace/report.md", b"# Report")
                (entry,) = (await call("agent_files", run_id=run["run_id"]))["entries"]
                assert (await call("agent_read_file", uri=entry["uri"]))["text"] == "# Report"
                more = await call("agent_run", input="Is it there?", previous_run_id=run["run_id"])
                assert (more["output_text"], more["environment_id"]) == ("Still there.", done["environment_id"])
    assert held.begun == 1


@pytest.mark.covers("mcp:handles:shared")
async def test_servers_of_one_store_and_key_know_each_others_runs(tmp_path: Path, backend: LocalBackend) -> None:
    """As those on several machines, each with a data folder of its own; with another key a run is as unknown as none."""
    store = ("--store", str(tmp_path / "runs.sqlite"))
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir()
    async with service(backend) as service_url:
        arguments = ("--base-url", service_url, *store)
        keys = ["a key that two servers share", "a key that two servers share", "a key of another server's"]
        with contextlib.ExitStack() as stack:
            urls = [
                stack.enter_context(http(folder, *arguments, INTERACTIONS_BRIDGE_HANDLE_KEY=key))[0]
                for folder, key in zip(folders, keys, strict=True)
            ]
            async with calling(urls[0]) as call:
                run = await call("agent_run", input="Hello")
            async with calling(urls[1]) as call:
                assert (await call("agent_get", run_id=run["run_id"]))["output_text"] == run["output_text"]
            async with calling(urls[2]) as call:
                assert "there is no run" in await call.refused("agent_get", run_id=run["run_id"])


@pytest.mark.covers("mcp:http")
async def test_over_http_it_serves_this_machine_and_ends_well(tmp_path: Path, backend: LocalBackend) -> None:
    """At /mcp, for clients of both eras, with a token where one is set; agents come from a file."""
    config = tmp_path / "agents.toml"
    config.write_text(
        'allowed_hosts = ["agents.example.com"]\n[limits]\nrunning = 3\n'
        '[agents.helper]\ndescription = "Helps."\nmodel = "m"\n[agents.worker]\nagent = "antigravity-preview-09-2026"\n'
    )
    token = "a shared token of sixteen"
    async with service(backend) as service_url:
        with http(
            *(tmp_path, "--base-url", service_url, "--config", str(config), "--store", str(tmp_path / "runs.sqlite")),
            INTERACTIONS_BRIDGE_TOKEN=token,
        ) as (url, process):
            assert url.endswith("/mcp")
            for era in ERAS:
                async with signed_in(url, token, era) as call:
                    assert (await call("agent_run", input="Hello"))["agent"] == "helper"
            with pytest.raises(BaseExceptionGroup):
                async with signed_in(url, "another token of sixteen") as call:
                    await call.client.list_tools()
            process.send_signal(signal.SIGTERM)
            rest, errors = await asyncio.to_thread(process.communicate, timeout=20)
    assert (process.returncode, rest, errors) == (0, "", "")
    assert (tmp_path / "runs.sqlite").exists()


@pytest.mark.covers("mcp:cli")
@pytest.mark.parametrize(
    ("arguments", "text", "fact"),
    [
        ([], None, "key"),
        (["--config", "none.toml"], None, "none.toml cannot be read: No such file"),
        (["--config", "FILE"], "agents = 5 6", "is neither JSON (.json) nor TOML"),
        (["--config", "FILE"], "agent = 5", "has 'agent'; it may have agents, limits, allowed_hosts"),
        (
            ["--config", "FILE", "--base-url", "http://127.0.0.1:1"],
            '[agents.a]\nmodel = "m"\nurl = "x"',
            "agent 'a' has no setting 'url'",
        ),
        (["--config", "FILE", "--base-url", "http://127.0.0.1:1"], "[limits]\nruns = 1", "limits:"),
        (["--http", "--host", "0.0.0.0", "--port", "0"], None, "set a token in INTERACTIONS_BRIDGE_TOKEN"),
        (["--http", "--host", "0.0.0.0", "--port", "0", "TOKEN"], None, "say under which names, --allowed-host NAME"),
    ],
)
def test_what_cannot_be_served_is_one_line_and_status_2(
    arguments: list[str],
    text: str | None,
    fact: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On stderr, so that a client over stdio sees no line of it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    if "TOKEN" in arguments:
        monkeypatch.setenv("INTERACTIONS_BRIDGE_TOKEN", "a shared token of sixteen")
    file = tmp_path / "config.toml"
    if text is not None:
        file.write_text(text)
    given = [str(file) if argument == "FILE" else argument for argument in arguments if argument != "TOKEN"]
    code = main(["mcp", *given])
    shown = capsys.readouterr()
    assert (code, shown.out, shown.err.count("\n")) == (2, "", 1)
    assert fact in shown.err


@pytest.mark.covers("mcp:cli")
def test_a_port_that_is_taken_is_one_line_and_status_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It names the port."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["mcp", "--http", "--port", port]) == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in capsys.readouterr().err


@pytest.mark.covers("mcp:cli")
def test_runs_may_be_kept_in_postgres(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As servers on several machines do."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert isinstance(store_of(postgres, make=True), PostgresJobStore)
    assert isinstance(store_of(None, make=True), SqliteJobStore)
