"""Real clients of others' making, driven as their users drive them: each goes through the same conversation, `clients/mcp_cycle.py`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import ElicitResult

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
