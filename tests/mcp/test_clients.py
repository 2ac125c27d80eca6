"""Real clients of others' making, driven as their users drive them: each goes through the same conversation, `clients/mcp_cycle.py`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp_types import ElicitResult
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_MODERN_VERSION

from bridge.backends.local import LocalBackend
from bridge.backends.local.responders.base import Ending
from tests.clients.mcp_cycle import ANSWER, through
from tests.mcp.calling import ERAS, FUNCTION, TOOLS, Held, function_call, output, over_http
from tests.mcp.test_processes import service, stdio

pytestmark = pytest.mark.timeout(120)

CLIENTS = Path(__file__).parents[1] / "clients"
_HELPER = {
    "description": "Helps.",
    "agent": "antigravity-preview-09-2026",
    "environment": "remote",
    "tools": [FUNCTION],
}
AGENTS = {"helper": {**_HELPER, "ask_user": False}, "asking": _HELPER}

Inspector = Callable[..., Awaitable[tuple[int, Any]]]
Ways = Callable[[str], contextlib.AbstractAsyncContextManager[Any]]


async def _priced(turn: Any) -> AsyncIterator[Any]:
    """A turn that says what it was answered, and leaves it in a file."""
    price = turn.input[-1].result
    await asyncio.to_thread((turn.workspace / "price.md").write_text, f"# {price}\n")
    yield output(f"It costs {price}.")


def _recalled(turn: Any) -> list[Any]:
    """A turn that knows what was said and done before it."""
    asked, called, _ = (step for step in turn.history if step.type in ("user_input", "function_call", "model_output"))
    return [output(f"You asked: {asked.content[0].text} I looked up {called.arguments['what']}.")]


@pytest.fixture
def ways(scripted: Callable[..., LocalBackend], serving: Callable[..., Any], tmp_path: Path) -> Ways:
    """What a client is given to reach a server whose agents know the cycle: in memory, over HTTP or as a process to start."""
    backend = scripted(
        [function_call("look_up", what="the price")],
        _priced,
        _recalled,
        Held(),
        [output("So far."), Ending(status="failed", errors=(("api_error", "The pipes are broken."),))],
        [function_call("look_up", what="the sky")],
        lambda turn: [output(f"You say: {turn.input[-1].result}")],
    )

    @contextlib.asynccontextmanager
    async def reached(way: str) -> AsyncIterator[Any]:
        if way == "memory":
            yield serving(backend, AGENTS)
        elif way == "http":
            async with over_http(serving(backend, AGENTS)) as url:
                yield url
        else:
            config = tmp_path / "agents.json"
            config.write_text(json.dumps({"agents": AGENTS}))
            async with service(backend) as url:
                yield stdio(tmp_path, "--base-url", url, "--config", str(config))

    return reached


async def ran(command: list[str], given: Any = None, **more: str) -> tuple[int, str, str]:
    """What a program that speaks JSON does: its status, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **more},
    )
    try:
        shown, errors = await asyncio.wait_for(process.communicate(json.dumps(given).encode()), 90)
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, shown.decode(), errors.decode()


async def driven(python: Path, name: str, target: Any) -> Any:
    """What the client of an environment of its own got, by its `drive.py`."""
    given = {"url": target} if isinstance(target, str) else target.model_dump(mode="json", exclude_none=True)
    status, shown, errors = await ran([str(python), str(CLIENTS / name / "drive.py")], given)
    assert status == 0, errors
    return json.loads(shown.splitlines()[-1])


def judge(got: dict[str, dict[str, Any]], *, forms: bool) -> None:
    """What every client must have got; `forms` where its person was asked."""
    bad = {name for name, result in got.items() if result["is_error"]}
    assert bad == {"failed", "refused"}, {name: got[name]["text"] for name in bad}
    for name, result in got.items():
        if result["structured"] is not None:
            assert json.loads(result["text"]) == result["structured"], name
    assert [name for name, result in got.items() if result["structured"] is None and name not in bad] == []
    assert 'run_id: there is no run "nobody\'s"' in got["refused"]["text"]
    said = {name: json.loads(result["text"]) for name, result in got.items() if name != "refused"}
    run = said["started"]["run_id"]
    assert said["started"]["status"] in ("queued", "in_progress", "requires_action")
    assert (said["asked"]["run_id"], said["asked"]["status"]) == (run, "requires_action")
    (pending,) = said["asked"]["pending_calls"]
    assert (pending["name"], pending["arguments"]) == ("look_up", {"what": "the price"})
    assert said["answered"]["run_id"] == run
    done = said["done"]
    assert (done["run_id"], done["status"], done["output_text"]) == (run, "completed", "It costs 12 euros.")
    assert done["pending_calls"] == []
    (entry,) = said["files"]["entries"]
    assert (entry["path"], done["files"]) == ("workspace/price.md", [entry["uri"]])
    assert said["files"]["environment_id"] == done["environment_id"]
    read = said["file"]
    assert (read["text"], read["mime_type"], read["next_offset"]) == ("# 12 euros\n", "text/markdown", None)
    more = said["more"]
    assert more["output_text"] == "You asked: What does it cost? I looked up the price."
    assert (more["previous_run_id"], more["environment_id"]) == (run, done["environment_id"])
    assert said["running"]["status"] in ("queued", "in_progress")
    assert said["cancelled"]["run_id"] == said["running"]["run_id"]
    assert said["cancelled"]["status"] == "cancelled"
    failed = said["failed"]
    assert (failed["status"], failed["output_text"], failed["error"]) == ("failed", "So far.", "The pipes are broken.")
    person = said["person"]
    assert person["agent"] == "asking"
    if forms:
        told = (person["status"], person["output_text"], person["pending_calls"])
        assert told == ("completed", f"You say: {ANSWER['result']}", [])
    else:
        assert (person["status"], len(person["pending_calls"])) == ("requires_action", 1)
    runs = [(one["run_id"], one["status"]) for one in said["listed"]["runs"]]
    ended = [said[name] for name in ("person", "failed", "cancelled", "more", "done")]
    assert runs == [(one["run_id"], one["status"]) for one in ended]


async def answered(context: Any, params: Any) -> ElicitResult:
    """The person at the client."""
    return ElicitResult.model_validate({"action": "accept", "content": ANSWER})


@pytest.mark.covers("mcp:clients")
@pytest.mark.parametrize("way", ["memory", "http", "stdio"])
@pytest.mark.parametrize("era", ERAS)
async def test_the_client_of_mcp_2(era: str, way: str, ways: Ways) -> None:
    """By every transport it has."""
    async with ways(way) as target, Client(target, mode=era, elicitation_callback=answered) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS

        async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
            result = await client.call_tool(tool, arguments)
            text = result.content[0].text  # type: ignore[union-attr]
            return {"is_error": result.is_error, "text": text, "structured": result.structured_content}

        judge(await through(call), forms=True)


@pytest.mark.covers("mcp:clients")
@pytest.mark.parametrize("way", ["http", "stdio"])
async def test_the_client_of_mcp_1(way: str, ways: Ways, client_env: Callable[[str], Path]) -> None:
    """Which knows the older protocols alone, and checks what it gets against the tools' schemas of results."""
    python = client_env("mcp1")
    async with ways(way) as target:
        saw = await driven(python, "mcp1", target)
    assert (saw["revision"], saw["tools"]) == ("2025-11-25", TOOLS)
    judge(saw["got"], forms=True)


@pytest.mark.covers("mcp:clients")
async def test_the_adapter_of_langchain(ways: Ways, client_env: Callable[[str], Path]) -> None:
    """In a graph, which is interrupted where the person is asked, and then makes the same call again: its key starts no second run."""
    python = client_env("mcp_adapter")
    async with ways("http") as target:
        saw = await driven(python, "mcp_adapter", target)
    assert (saw["tools"], saw["asked"]) == (TOOLS, ["asking asks: look_up\nwhat: the sky"])
    judge(saw["got"], forms=True)


@pytest.fixture
def inspector(typescript: Callable[[str], list[str]], tmp_path: Path) -> Inspector:
    """Runs the Inspector's command line, with its own files in the test's folder; gives its status and the result that it printed."""
    command = [*typescript("mcp-inspector"), "--cli"]
    home = {"MCP_CATALOG_PATH": str(tmp_path / "catalog.json"), "MCP_CLIENT_CONFIG_PATH": str(tmp_path / "client.json")}

    async def run(*arguments: str) -> tuple[int, Any]:
        status, shown, errors = await ran([*command, *arguments, "--format", "json"], HOME=str(tmp_path), **home)
        assert "Warning" not in errors
        assert shown, errors
        return status, json.loads(shown)["result"]

    return run


@pytest.mark.covers("mcp:clients")
@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_inspector(era: str, ways: Ways, inspector: Inspector) -> None:
    """Written in TypeScript; each call by a process of its own. It shows no forms, so what is asked is left to the caller."""
    async with ways("http") as url:
        base = [url, "--transport", "http", "--protocol-era", era, "--method"]
        _, listed = await inspector(*base, "tools/list")
        assert [tool["name"] for tool in listed["tools"]] == TOOLS

        async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
            given = ["--tool-name", tool, "--tool-args-json", json.dumps(arguments)]
            status, result = await inspector(*base, "tools/call", *given)
            is_error = result.get("isError", False)
            assert status == (5 if is_error else 0)
            text = result["content"][0]["text"]
            return {"is_error": is_error, "text": text, "structured": result.get("structuredContent")}

        judge(await through(call), forms=False)


@pytest.mark.covers("mcp:clients", "mcp:tools")
async def test_the_inspector_over_stdio_finds_no_fault_with_the_tools(
    ways: Ways, inspector: Inspector, tmp_path: Path
) -> None:
    """Told of the server by a file, as most clients are; the schemas are what every client's dialect knows, without a warning."""
    async with ways("stdio") as server:
        known = tmp_path / "catalog.json"
        known.write_text(json.dumps({"mcpServers": {"agents": server.model_dump(mode="json", exclude_none=True)}}))
        base = ["--server", "agents", "--method"]
        status, listed = await inspector(*base, "tools/list", "--strict")
        assert (status, [tool["name"] for tool in listed["tools"]]) == (0, TOOLS)
        given = ["--tool-name", "agent_run", "--tool-args-json", json.dumps({"input": "What does it cost?"})]
        status, result = await inspector(*base, "tools/call", *given)
        assert (status, result["structuredContent"]["status"]) == (0, "requires_action")


class Older:
    """A client of a protocol with a handshake, as small as can be: one POST a message, the answer from its stream."""

    def __init__(self, http: httpx2.AsyncClient, url: str) -> None:
        self._http, self._url, self._asked = http, url, 0
        self.headers = {"accept": "application/json, text/event-stream"}

    async def ask(self, method: str, **params: Any) -> Any:
        """The result of a request."""
        self._asked += 1
        answer = await self._post({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params})
        assert answer.status_code == 200, answer.text
        if "mcp-session-id" in answer.headers:
            self.headers["mcp-session-id"] = answer.headers["mcp-session-id"]
        events = [json.loads(line[5:]) for line in answer.text.splitlines() if line[:5] == "data:" and line[5:].strip()]
        (result,) = [event["result"] for event in events if event.get("id") == self._asked]
        return result

    async def shake_hands(self, revision: str) -> str:
        """The revision that was agreed on."""
        me = {"name": "older", "version": "1"}
        agreed = await self.ask("initialize", protocolVersion=revision, capabilities={}, clientInfo=me)
        self.headers["mcp-protocol-version"] = agreed["protocolVersion"]
        answer = await self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert answer.status_code == 202
        return str(agreed["protocolVersion"])

    async def _post(self, message: dict[str, Any]) -> httpx2.Response:
        return await self._http.post(self._url, json=message, headers=self.headers)


@pytest.mark.covers("mcp:revisions")
async def test_one_address_speaks_every_revision(serving: Callable[..., Any], backend: LocalBackend) -> None:
    """All five, at the same time; a run that was started in one is found in each other."""
    async with over_http(serving(backend)) as url, httpx2.AsyncClient(timeout=30) as http, Client(url) as newest:
        assert newest.protocol_version == LATEST_MODERN_VERSION
        assert HANDSHAKE_PROTOCOL_VERSIONS == ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
        older = [Older(http, url) for _ in HANDSHAKE_PROTOCOL_VERSIONS]
        agreed = [
            await one.shake_hands(revision) for one, revision in zip(older, HANDSHAKE_PROTOCOL_VERSIONS, strict=True)
        ]
        assert agreed == list(HANDSHAKE_PROTOCOL_VERSIONS)
        first = (await newest.call_tool("agent_run", {"input": "The budget is 500."})).structured_content
        runs = [first["run_id"]]
        assert [tool.name for tool in (await newest.list_tools()).tools] == TOOLS
        for one in older:
            assert [tool["name"] for tool in (await one.ask("tools/list"))["tools"]] == TOOLS
            given = {"input": "What is the budget?", "previous_run_id": runs[0]}
            result = await one.ask("tools/call", name="agent_run", arguments=given)
            run = json.loads(result["content"][0]["text"])
            assert (run["status"], run["previous_run_id"]) == ("completed", runs[0])
            assert "500" in run["output_text"]
            assert result.get("structuredContent", run) == run
            runs.insert(0, run["run_id"])
        listed = (await newest.call_tool("agent_list", {})).structured_content["runs"]
        assert [one["run_id"] for one in listed] == runs
