"""An MCP server with a few tools, for these tests: `python server.py FOLDER` speaks stdio; `tools` makes it in this process.

What its tools are depends on a file in the folder, so that they can change while it runs or between two runs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import (
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from pydantic import Field


def tools(folder: Path) -> MCPServer:
    """The server."""
    server = MCPServer("tests")

    def add(a: int, b: Annotated[int, Field(ge=0)] = 1) -> str:
        """Adds two numbers."""
        _note(folder, f"add {a} {b}")
        return f"{a + b} by {os.getpid()}"

    def fail(how: str) -> str:
        """Fails."""
        if how == "told":
            raise ToolError("the model may know this")
        if how == "exit":
            _note(folder, "exit")
            os._exit(3)
        raise ValueError("password hunter2")

    def kinds() -> CallToolResult:
        """Gives every kind of content."""
        return CallToolResult(
            content=[
                TextContent(type="text", text="words"),
                Image(data=b"abc", format="png").to_image_content(),
                ResourceLink(type="resource_link", name="page", uri="https://example.com/page"),
                EmbeddedResource(type="resource", resource=TextResourceContents(uri="a://b", text="inside")),
                EmbeddedResource(type="resource", resource=BlobResourceContents(uri="a://c", blob="YWJj")),
            ]
        )

    def structured() -> CallToolResult:
        """Gives no content but structured content."""
        return CallToolResult(content=[], structured_content={"a": "ü"})

    description = (folder / "description").read_text() if (folder / "description").exists() else "Adds two numbers."
    server.add_tool(add, description=description)
    for function in (fail, kinds, structured):
        server.add_tool(function)
    return server


def _note(folder: Path, line: str) -> None:
    with (folder / "calls").open("a") as file:
        file.write(f"{line}\n")


if __name__ == "__main__":
    given: Any = sys.argv[1]
    tools(Path(given)).run()
