"""Goes through the cycle of `mcp_cycle.py` with the client of mcp 1.x, and prints what it got as one JSON object.

Runs in an environment that holds mcp 1.x. On standard input: {"url"} of a server, or {"command", "args", "env", "cwd"} of one to start.
"""

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path

from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

sys.path.append(str(Path(__file__).parents[1]))
from mcp_cycle import ANSWER, through


async def answered(context, params):
    return types.ElicitResult(action="accept", content=ANSWER)


async def main():
    target = json.load(sys.stdin)
    connected = (
        streamable_http_client(target["url"]) if "url" in target else stdio_client(StdioServerParameters(**target))
    )
    async with (
        connected as (read, write, *_),
        ClientSession(read, write, timedelta(seconds=60), elicitation_callback=answered) as session,
    ):
        revision = (await session.initialize()).protocolVersion
        tools = [tool.name for tool in (await session.list_tools()).tools]

        async def call(tool, arguments):
            result = await session.call_tool(tool, arguments)
            return {
                "is_error": result.isError,
                "text": result.content[0].text,
                "structured": result.structuredContent,
            }

        print(json.dumps({"revision": revision, "tools": tools, "got": await through(call)}))


asyncio.run(main())
