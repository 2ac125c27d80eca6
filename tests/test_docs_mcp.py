"""The page on MCP: what it shows runs, and names what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import MessagesState, StateGraph
from mcp import Client

from bridge.backends.local import LocalBackend
from bridge.connect import connect
from bridge.mcp.agents import settings
from tests.conftest import ROOT
from tests.mcp.calling import TOOLS, calling, served

pytestmark = pytest.mark.covers("repo:readme")
PAGE = (ROOT / "docs" / "mcp.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def look_up_price(of: str) -> str:
    """What something costs."""
    return f"{of}: 3"


async def test_the_servers_it_shows_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a service, a tool and a graph of one's own in the places of theirs; alone, and mounted in an app."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    first, second = _blocks("python")
    graph = StateGraph(MessagesState)
    graph.add_node("only", lambda state: {"messages": [("ai", "Booked.")]})
    graph.set_entry_point("only")
    names: dict[str, Any] = {"look_up_price": look_up_price, "graph": graph.compile(InMemorySaver(), name="planner")}
    async with LocalBackend() as backend:
        monkeypatch.setattr(settings, "connect", lambda given=None: connect(given if given is not None else backend))
        exec(first.partition("server.run()")[0], names)
        async with calling(names["server"]) as call:
            assert (await call("agent_run", input="Go.", agent="planner"))["output_text"] == "Booked."
        exec(first.partition("server.run()")[0], names)
        exec(f"from starlette.applications import Starlette\nfrom starlette.routing import Mount\n{second}", names)
        async with served(names["app"]) as url, Client(f"{url}/agents/") as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS


def test_the_configuration_it_shows_is_one(tmp_path: Path) -> None:
    """Read as the command reads it, up to the key that is missing."""
    config = tmp_path / "agents.toml"
    config.write_text(_blocks("toml")[0], encoding="utf-8")
    command = [str(Path(sys.executable).with_name("interactions-bridge")), "mcp", "--config", str(config)]
    env = {"XDG_DATA_HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run([*command, "--base-url", "http://127.0.0.1:9"], env=env, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 0


def test_it_names_every_tool_and_setting() -> None:
    """And none that there is not."""
    assert re.findall(r"^\| `(agent_\w+)`", PAGE, re.MULTILINE) == TOOLS
    for name in ("ask_user", "tokens_per_day", "allowed_hosts", "INTERACTIONS_BRIDGE_TOKEN", "handle_key"):
        assert name in PAGE
