"""How these tests call: a real client, whose every result is checked for what holds for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp_types import CallToolResult

from bridge._sockets import listen

KEY = b"a key of these tests, 32 bytes.."
ERAS = ["auto", "legacy"]
TOOLS = [
    *(
        "agent_run",
        "agent_wait",
        "agent_get",
        "agent_respond",
        "agent_cancel",
        "agent_list",
        "agent_files",
        "agent_read_file",
    )
]


class Caller:
    """A client that calls tools. `told` has the progress of the last call."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.told: list[tuple[float, str]] = []

    async def result(self, tool: str, **arguments: Any) -> CallToolResult:
        """What a tool gave, whatever it is."""
        self.told = told = []

        async def progress(progress: float, total: float | None, message: str | None) -> None:
            told.append((progress, message or ""))

        result = await self.client.call_tool(tool, arguments, progress_callback=progress)
        if result.structured_content is not None:
            assert json.loads(result.content[0].text) == result.structured_content  # type: ignore[union-attr]
        return result

    async def __call__(self, tool: str, **arguments: Any) -> Any:
        """The data that a tool gave."""
        result = await self.result(tool, **arguments)
        assert not result.is_error, result.content
        return result.structured_content

    async def failed(self, tool: str, **arguments: Any) -> Any:
        """The Run of a run that failed."""
        result = await self.result(tool, **arguments)
        assert result.is_error
        assert result.structured_content is not None, result.content
        return result.structured_content

    async def refused(self, tool: str, **arguments: Any) -> str:
        """What a tool says that does not do what it was asked."""
        result = await self.result(tool, **arguments)
        assert result.is_error
        assert result.structured_content is None
        return str(result.content[0].text)  # type: ignore[union-attr]


@contextlib.asynccontextmanager
async def calling(server: Any, era: str = "auto") -> AsyncIterator[Caller]:
    """A client of a server in this process, of a URL, or of a process to be started."""
    async with Client(server, mode=era) as client:
        yield Caller(client)


@contextlib.asynccontextmanager
async def signed_in(url: str, token: str, era: str = "auto") -> AsyncIterator[Caller]:
    """A client over HTTP that brings a token."""
    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, verify=False, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http), mode=era) as client,
    ):
        yield Caller(client)


@contextlib.asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """An app on a real socket; gives its URL."""
    with listen() as listener:
        running = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on", timeout_graceful_shutdown=2))
        task = asyncio.create_task(running._serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            running.should_exit = True
            await asyncio.wait_for(task, 20)


@contextlib.asynccontextmanager
async def over_http(server: Any, **options: Any) -> AsyncIterator[str]:
    """A server over streamable HTTP on a real socket; gives its URL."""
    async with served(server.streamable_http_app(**options)) as url:
        yield f"{url}/mcp"


RESOURCE = "https://agents.example.com/mcp"


class Tokens:
    """A token verifier that knows a few tokens. "ann" and "bob" share a client; "elsewhere" is for another server."""

    TOKENS: Mapping[str, AccessToken] = {
        name: AccessToken(
            token=name,
            client_id="app",
            scopes=scopes,
            subject=name,
            resource=resource,
            claims={"iss": "https://id.example.com"},
        )
        for name, scopes, resource in (
            ("ann", ["agents"], RESOURCE),
            ("bob", ["agents"], RESOURCE),
            ("elsewhere", ["agents"], "https://other.example.com/mcp"),
            ("scopeless", [], RESOURCE),
        )
    }

    async def verify_token(self, token: str) -> AccessToken | None:
        return self.TOKENS.get(token)


AUTH = AuthSettings.model_validate(
    {
        "issuer_url": "https://id.example.com",
        "resource_server_url": RESOURCE,
        "required_scopes": ["agents"],
        "validate_token_resource": True,
    }
)


def output(text: str) -> dict[str, Any]:
    """A step that answers."""
    return {"type": "model_output", "content": [{"type": "text", "text": text}]}


def function_call(name: str, id: str = "call_1", **arguments: Any) -> dict[str, Any]:
    """A step that calls a function."""
    return {"type": "function_call", "id": id, "name": name, "arguments": arguments}


FUNCTION = {
    "type": "function",
    "name": "look_up",
    "description": "Looks something up.",
    "parameters": {"type": "object", "properties": {"what": {"type": "string"}}},
}
ASKING = {"helper": {"description": "Asks back.", "model": "m", "tools": [FUNCTION]}}


class Held:
    """A turn that ends when it is let, and counts how often it was begun."""

    def __init__(self, text: str = "done") -> None:
        self.let = asyncio.Event()
        self.begun = 0
        self._text = text

    async def __call__(self, turn: Any) -> AsyncIterator[Any]:
        self.begun += 1
        yield {"type": "thought", "summary": [{"type": "text", "text": "Thinking."}]}
        await self.let.wait()
        yield output(self._text)
