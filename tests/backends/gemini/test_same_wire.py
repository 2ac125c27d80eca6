"""What leaves equals what the official SDK sends for the same call: both clients against one recording server."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.backends.gemini.wire import Client, Reply, Request, Server, answer, events, sample

SCRIPT = Path(__file__).parents[2] / "clients" / "official.py"
HOOK = "https://hooks.example.com/gemini"
FILE = b"a,b\n1,2\n"
TOOL = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
STEPS = [
    {"type": "user_input", "content": [{"type": "text", "text": "x"}]},
    {"type": "thought", "signature": "c2ln"},
    {"type": "function_call", "id": "f1", "name": "f", "arguments": {"a": 1.5}},
    {"type": "function_result", "call_id": "f1", "name": "f", "result": {"t": 23}},
    {"type": "model_output", "content": [{"type": "text", "text": "done"}]},
]
ENVIRONMENT = {
    "type": "remote",
    "env": {"STAGE": "dev", "TOKEN": {"credential": "cred-1"}},
    "network": {"allowlist": [{"domain": "*.example.com", "transform": {"A": "1"}}]},
    "sources": [{"type": "inline", "target": "/workspace/a.csv", "content": "YQ==", "encoding": "base64"}],
}
AGENT = {
    "id": "reviewer",
    "base_agent": "antigravity-preview-09-2026",
    "base_environment": {"type": "remote", "sources": [{"type": "inline", "target": "a", "content": "b"}]},
    "system_instruction": "s",
    "description": "d",
    "tools": [{"type": "code_execution"}],
    "agent_config": {"type": "antigravity", "max_total_tokens": 7},
}


class Case(NamedTuple):
    """One call on both sides; `official` is the SDK's method where it has another name or other arguments."""

    ours: str
    arguments: dict[str, Any]
    official: str = ""
    theirs: dict[str, Any] | None = None


def create(**fields: Any) -> Case:
    return Case("create", fields, "interactions.create")


CASES: dict[str, Case] = {
    "text": create(model="m", input="hi — ünïcode 😀"),
    "content": create(model="m", input={"type": "text", "text": "a"}),
    "contents": create(model="m", input=[{"type": "text", "text": "a"}, {"text": "b"}]),
    "media": create(
        model="m", input=[{"type": "text", "text": "a"}, {"type": "image", "data": "aGk=", "mime_type": "image/png"}]
    ),
    "steps": create(model="m", input=STEPS, store=False),
    "result": create(
        model="m",
        previous_interaction_id="v1_a",
        input=[{"type": "function_result", "call_id": "c", "name": "n", "result": "text", "is_error": True}],
        tools=[TOOL],
    ),
    "no input": create(model="m", previous_interaction_id="v1_a", continuation_token="T"),
    "settings": create(
        model="m",
        input="x",
        system_instruction="s",
        tools=[TOOL, {"type": "google_search", "search_types": ["web_search"]}, {"type": "code_execution"}],
        generation_config={
            "temperature": 0.1,
            "max_output_tokens": 5,
            "thinking_level": "low",
            "tool_choice": {"allowed_tools": {"mode": "any", "tools": ["f"]}},
        },
        response_format={"type": "text", "mime_type": "application/json", "schema": {"type": "object"}},
        service_tier="flex",
        labels={"team": "blue", "empty": ""},
        safety_settings=[{"type": "hate_speech", "threshold": "block_none"}],
    ),
    "formats": create(
        model="m",
        input="x",
        response_format=[{"type": "text", "mime_type": "text/plain"}, {"type": "image", "image_size": "1K"}],
    ),
    "webhook": create(
        model="m",
        input="x",
        background=True,
        webhook_config={"uris": ["https://hooks.example.com/a"], "user_metadata": {"job": "42"}},
    ),
    "agent": create(
        agent="antigravity-preview-09-2026",
        input="x",
        agent_config={"type": "antigravity", "max_total_tokens": 5},
        environment="remote",
        background=True,
    ),
    "big number": create(
        agent="antigravity-preview-09-2026",
        input="x",
        agent_config={"type": "antigravity", "max_total_tokens": 2**60, "model": "m"},
        environment="env-1",
    ),
    "environment": create(agent="a", input="x", environment=ENVIRONMENT, background=True, store=True),
    "environment update": create(
        agent="a", input="x", environment={"type": "remote", "environment_id": "e1", "network": "disabled"}
    ),
    "stream": Case("stream", {"model": "m", "input": "x"}, "interactions.create", {"stream": True}),
    "stream of contents": Case(
        "stream", {"model": "m", "input": [{"text": "b"}]}, "interactions.create", {"stream": True}
    ),
    "get": Case("get", {"id": "v1_a-B_9"}, "interactions.get"),
    "get with input": Case("get", {"id": "v1_a", "include_input": True}, "interactions.get"),
    "watch": Case("watch", {"id": "v1_a"}, "interactions.get", {"stream": True}),
    "watch after": Case(
        "watch",
        {"id": "v1_a", "after": "ev 1/ä&=?"},
        "interactions.get",
        {"stream": True, "last_event_id": "ev 1/ä&=?"},
    ),
    "cancel": Case("cancel", {"id": "v1_a"}, "interactions.cancel"),
    "delete": Case("delete", {"id": "v1_a"}, "interactions.delete"),
    "agents.create": Case("agents.create", AGENT),
    "agents.get": Case("agents.get", {"id": "reviewer"}),
    "agents.list": Case("agents.list", {}),
    "agents.list size": Case("agents.list", {"page_size": 2}),
    "agents.delete": Case("agents.delete", {"id": "reviewer"}),
    "environments.create": Case(
        "environments.create",
        {"network": "disabled", "sources": [{"type": "inline", "target": "t", "content": "c"}]},
    ),
    "environments.fork": Case("environments.create", {"from_environment": "environments/e1"}),
    "environments.get": Case("environments.get", {"id": "e1"}),
    "environments.list": Case("environments.list", {"page_size": 5}),
    "environments.delete": Case("environments.delete", {"id": "e1"}),
    "webhooks.create": Case(
        "webhooks.create", {"uri": HOOK, "subscribed_events": ["interaction.completed", "later.event"], "name": "jobs"}
    ),
    "webhooks.create bare": Case("webhooks.create", {"uri": HOOK, "subscribed_events": []}),
    "webhooks.get": Case("webhooks.get", {"id": "wh-1"}),
    "webhooks.list": Case("webhooks.list", {"page_size": 3}),
    "webhooks.update": Case("webhooks.update", {"id": "wh-1", "update_mask": "name,state", "state": "disabled"}),
    "webhooks.update all": Case(
        "webhooks.update", {"id": "wh-1", "uri": HOOK, "subscribed_events": ["a"], "name": "n"}
    ),
    "webhooks.delete": Case("webhooks.delete", {"id": "wh-1"}),
    "webhooks.ping": Case("webhooks.ping", {"id": "wh-1"}),
    "webhooks.rotate": Case(
        "webhooks.rotate_signing_secret",
        {"id": "wh-1", "revocation_behavior": "revoke_previous_secrets_immediately"},
    ),
    "webhooks.rotate bare": Case("webhooks.rotate_signing_secret", {"id": "wh-1"}),
    "files.list": Case(
        "files.list",
        {"environment_id": "e1", "path": "src", "recursive": True},
        "environments.files.list",
        {"environment": "e1", "path": "src", "recursive": True},
    ),
    "files.list root": Case(
        "files.list", {"environment_id": "e1"}, "environments.files.list", {"environment": "e1", "path": ""}
    ),
    "files.read": Case(
        "files.read",
        {"environment_id": "e1", "path": "/src/a b.py"},
        "environments.files.download",
        {"environment": "e1", "path": "/src/a b.py"},
    ),
    "files.write": Case(
        "files.write",
        {"environment_id": "e1", "path": "d/a.csv", "data": FILE},
        "environments.files.upload",
        {"environment": "e1", "path": "d/a.csv", "file": base64.b64encode(FILE).decode(), "overwrite": True},
    ),
}
# What 2.34 drops without a word, and 3 and we send.
NEWER: dict[str, Case] = {
    "unknown inside": create(model="m", input="x", tools=[{**TOOL, "deep": {"er": [1, None, 2.5]}}]),
    "top_k": create(model="m", input="x", generation_config={"temperature": 0.1, "top_k": 3}),
}
HEADERS = ("accept", "content-type", "x-goog-api-key")
UPLOAD_HEADERS = (
    "x-goog-upload-protocol",
    "x-goog-upload-command",
    "x-goog-upload-header-content-length",
    "x-goog-upload-header-content-type",
    "x-goog-upload-offset",
    "content-length",
)


def handle(request: Request) -> Reply:
    """Answers every call of the table with something both clients take."""
    path = request.target.partition("?")[0]
    if request.headers["accept"] == "text/event-stream" and "interactions" in path:
        return events(sample("01_text.sse"))
    if request.target.startswith("/upload/"):
        return answer({}, x_goog_upload_url="https://elsewhere.example.org/up/1?upload_id=7")
    if path == "/up/1":
        return answer({"files": [{"name": "a.csv"}]}, x_goog_upload_status="final")
    if path.endswith("/agents") and request.method == "GET":
        return answer({"agents": []})
    if path.endswith("/environments") and request.method == "GET":
        return answer({"environments": []})
    if path.endswith("/webhooks") and request.method == "GET":
        return answer({"webhooks": []})
    if path.endswith(":rotateSigningSecret"):
        return answer({"secret": "whsec_eA=="})
    if "/webhooks" in path:
        return answer({"id": "wh-1", "uri": HOOK, "subscribed_events": []})
    if "/files/" in path:
        return answer({"files": []})
    return answer({"id": "x", "status": "completed", "steps": []})


def seen(server: Server) -> list[dict[str, Any]]:
    """What was recorded, as far as the two have to agree."""
    rows = []
    for request in server.requests:
        upload = request.target.startswith(("/upload/", "/up/"))
        headers = {name: request.headers.get(name) for name in (UPLOAD_HEADERS if upload else HEADERS)}
        body: Any = request.body if upload else request.json
        rows.append({"call": f"{request.method} {request.target}", "body": body, "headers": headers})
    server.requests.clear()
    return rows


async def official(python: str | Path, server: Server, version: str, cases: dict[str, Case]) -> list[dict[str, Any]]:
    rows = []
    for case in cases.values():
        arguments = case.arguments if case.theirs is None else {**case.theirs}
        if case.theirs is not None and case.official.startswith("interactions."):
            arguments = {**{k: v for k, v in case.arguments.items() if k != "after"}, **case.theirs}
        rows.append({"call": case.official or case.ours, "arguments": arguments})
    done = await asyncio.to_thread(
        subprocess.run,
        [str(python), str(SCRIPT), server.url, version],
        input=json.dumps(rows),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return seen(server)


async def compare(
    python: str | Path, server: Server, connected: Callable[..., Client], version: str, cases: dict[str, Case]
) -> None:
    server.handler = handle
    theirs = await official(python, server, version, cases)
    client = connected("own", api_version=version)
    ours: list[dict[str, Any]] = []
    for name, case in cases.items():
        arguments = dict(case.arguments)
        positional = [arguments.pop("id")] if "id" in arguments and case.ours != "agents.create" else []
        await client(case.ours, *positional, **arguments)
        rows = seen(server)
        assert rows == theirs[len(ours) : len(ours) + len(rows)], name
        ours += rows
    assert ours == theirs


@pytest.mark.covers("gemini:wire:official")
@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.timeout(150)
async def test_every_call_leaves_as_the_official_sdk_sends_it(
    server: Server, connected: Callable[..., Client], version: str
) -> None:
    """Method, path, query, body and the headers that matter are equal, call by call, to google-genai 2.34."""
    await compare(sys.executable, server, connected, version, CASES)


@pytest.mark.covers("gemini:wire:official-3")
@pytest.mark.timeout(300)
async def test_every_call_leaves_as_the_official_sdk_3_sends_it(
    server: Server, connected: Callable[..., Client], client_env: Callable[[str], Path]
) -> None:
    """The same against google-genai 3, in an environment of its own."""
    python = await asyncio.to_thread(client_env, "genai3")
    await compare(python, server, connected, "v1", {**CASES, **NEWER})
