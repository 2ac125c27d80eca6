"""Our `agent_get` on fastmcp, to compare the two: the same work, the store and key of a server of ours, another framework around it.

Runs in an environment that holds fastmcp, with our source on its path: `python -m benchmarks.on_fastmcp stdio|http URL FOLDER`.
"""

# mypy: ignore-errors
from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Annotated

os.environ.setdefault("FASTMCP_LOG_LEVEL", "ERROR")  # read when it is imported

from fastmcp import FastMCP
from fastmcp.tools.base import ToolResult
from pydantic import Field

from bridge.jobs import SqliteJobStore
from bridge.mcp import DEFAULT_AGENTS, Limits
from bridge.mcp.access import owner_of
from bridge.mcp.agents.runs import Runs
from bridge.mcp.agents.settings import read_agents
from bridge.mcp.agents.tools import AgentTools


def main() -> None:
    """Serves until it is stopped."""
    transport, url, folder = sys.argv[1:]
    agents, jobs = read_agents(DEFAULT_AGENTS, url), SqliteJobStore(Path(folder) / "jobs.sqlite")
    key = (Path(folder) / "interactions-bridge" / "handle.key").read_bytes()
    tools = AgentTools(agents, jobs, key=key, limits=Limits(), runs=Runs(agents, jobs))
    app = FastMCP("agents")

    @app.tool
    async def agent_get(
        run_id: Annotated[str, Field(max_length=200)],
        include_steps: bool = False,
        after_step: Annotated[int, Field(ge=0)] = 0,
    ) -> ToolResult:
        """How a run stands, without waiting."""
        result = await tools.result(await tools.looked(await tools.run_of(owner_of(None), run_id)))
        return ToolResult(content=result.content, structured_content=result.structured_content)

    if transport == "stdio":
        app.run(show_banner=False)
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    print(json.dumps({"url": f"http://127.0.0.1:{port}/mcp"}), flush=True)
    app.run(transport="http", host="127.0.0.1", port=port, show_banner=False, log_level="critical")


if __name__ == "__main__":
    main()
