"""Who may do what: tokens, handles, hosts, requests that are none, secrets, and text that is more than it seems."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.exceptions import MCPError
from mcp_types.jsonrpc import HEADER_MISMATCH
from mcp_types.version import LATEST_MODERN_VERSION
from pydantic import Field

from bridge.backends.gemini import GeminiBackend
from bridge.backends.local import LocalBackend
from bridge.errors import InvalidRequest, NotConfigured
from bridge.interactions import Interaction
from bridge.jobs import JobStore
from bridge.mcp import agent_server, tool_server
from bridge.mcp.handles import Handles, load_key
from bridge.mcp.text import cleaned
from bridge.tools import Tools
from tests.mcp.calling import (
    ASKING,
    AUTH,
    ERAS,
    KEY,
    RESOURCE,
    Held,
    Tokens,
    calling,
    function_call,
    output,
    over_http,
    signed_in,
)

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
async def url(backend: LocalBackend, serving: Callable[..., Any]) -> AsyncIterator[str]:
    """A server over HTTP on which callers sign in."""
    async with over_http(serving(backend, token_verifier=Tokens(), auth=AUTH)) as address:
        yield address


LISTING = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}


async def post(
    url: str,
    body: Any = LISTING,
    *,
    token: str | None = "ann",
    params: Any = None,
    method: str = "POST",
    capabilities: Any = None,
    **headers: str,
) -> httpx2.Response:
    """One raw request of the modern era."""
    if isinstance(body, dict):
        meta = {
            "io.modelcontextprotocol/protocolVersion": LATEST_MODERN_VERSION,
            "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": capabilities or {},
        }
        body = {**body, "params": {**body.get("params", {}), "_meta": meta}}
    given = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": LATEST_MODERN_VERSION,
        "mcp-method": str(body["method"]) if isinstance(body, dict) else "tools/list",
        **({"authorization": f"Bearer {token}"} if token else {}),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with httpx2.AsyncClient(verify=False, timeout=30) as client:
        return await client.request(method, url, content=content, headers=given, params=params)


@pytest.mark.covers("mcp:http:auth")
async def test_t1_no_token_and_a_wrong_one_are_not_let_in(url: str) -> None:
    """401, with where to sign in."""
    for token in (None, "guessed"):
        answer = await post(url, token=token)
        assert answer.status_code == 401
        assert "resource_metadata=" in answer.headers["www-authenticate"]
    assert (await post(url)).status_code == 200


@pytest.mark.covers("mcp:http:auth")
async def test_t2_a_token_for_another_server_is_not_let_in(
    url: str, backend: LocalBackend, serving: Callable[..., Any]
) -> None:
    """Also where the settings do not say that this is checked."""
    assert (await post(url, token="elsewhere")).status_code == 401
    with pytest.warns(UserWarning, match="validate_token_resource"):
        unset = type(AUTH).model_validate({"issuer_url": "https://id.example.com", "resource_server_url": RESOURCE})
    async with over_http(serving(backend, token_verifier=Tokens(), auth=unset)) as address:
        assert (await post(address, token="elsewhere")).status_code == 401
        assert (await post(address)).status_code == 200


@pytest.mark.covers("mcp:http:auth")
async def test_t3_a_token_without_the_scope_is_told_so(url: str) -> None:
    """403."""
    answer = await post(url, token="scopeless")
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")


@pytest.mark.covers("mcp:http:auth")
async def test_t4_a_token_in_the_address_counts_for_nothing(url: str) -> None:
    """401."""
    assert (await post(url, token=None, params={"access_token": "ann"})).status_code == 401


@pytest.mark.covers("mcp:http:requests")
async def test_t5_t6_other_hosts_and_origins_are_refused(url: str) -> None:
    """Against pages that reach this machine through a browser."""
    assert (await post(url, host="evil.example.com")).status_code == 421
    assert (await post(url, origin="https://evil.example.com")).status_code == 403
    assert (await post(url, origin="http://localhost:3000")).status_code == 200


@pytest.mark.covers("mcp:http:requests")
async def test_t5_the_names_that_are_allowed_are(backend: LocalBackend, serving: Callable[..., Any]) -> None:
    """Beside those of this machine."""
    server = serving(backend, token_verifier=Tokens(), auth=AUTH, allowed_hosts=["agents.example.com"])
    async with over_http(server, host="0.0.0.0") as address:
        assert (await post(address, host="agents.example.com", origin="https://agents.example.com")).status_code == 200
        assert (await post(address, host="other.example.com")).status_code == 421


@pytest.mark.covers("mcp:http:requests")
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (json.dumps(LISTING).encode(), {"content_type": "text/plain"}, 400),
        (b'{"a": "' + b"x" * 5_000_000 + b'"}', {}, 413),
        (b"[" * 100_000, {}, 400),
        (json.dumps([LISTING, LISTING]).encode(), {}, 400),
        (LISTING, {"mcp_method": "tools/call"}, 400),
        (
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "agent_list", "arguments": {}}},
            {"mcp_name": "agent_run"},
            400,
        ),
    ],
    ids=["t7-text", "t8-large", "t9-deep", "t10-batch", "t11-method", "t11-name"],
)
async def test_t7_to_t11_requests_that_are_none_are_refused(
    body: Any, headers: dict[str, str], status: int, url: str
) -> None:
    """Each with its status, and the server answers the next one."""
    assert (await post(url, body, **headers)).status_code == status
    assert (await post(url)).status_code == 200


async def forecast(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """The weather of a region, by which requests are routed."""
    return f"rain in {region}"


@pytest.mark.covers("mcp:http:requests")
async def test_t11_a_header_says_the_same_as_the_argument_that_it_repeats() -> None:
    """Where a tool's schema has an argument repeated in one: who routes by the header is not deceived."""
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "forecast", "arguments": {"region": "north"}},
    }
    async with over_http(tool_server(Tools([forecast]))) as address:
        for other in ({}, {"mcp_param_region": "south"}, {"mcp_param_region": "=?base64?bm9y!?="}):
            answer = await post(address, body, mcp_name="forecast", **other)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, HEADER_MISMATCH)
        assert (await post(address, body, mcp_name="forecast", mcp_param_region="north")).status_code == 200
        async with calling(address) as call:
            assert (await call.client.list_tools()).tools
            assert (await call.result("forecast", region="north")).content[0].text == "rain in north"  # type: ignore[union-attr]


@pytest.mark.covers("mcp:http:auth")
async def test_t13_a_session_of_the_older_protocol_is_its_callers_alone(url: str) -> None:
    """Another's token finds no such session, to use or to end."""
    older = "2025-06-18"
    hello = {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {"protocolVersion": older, "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
    }
    raw = json.dumps(hello).encode()
    session = (await post(url, raw, mcp_protocol_version=older)).headers["mcp-session-id"]
    listing = json.dumps(LISTING).encode()
    same = {"mcp_session_id": session, "mcp_protocol_version": older}
    for method in ("POST", "DELETE"):
        assert (await post(url, listing, token="bob", method=method, **same)).status_code == 404
    assert (await post(url, listing, **same)).status_code == 200


@pytest.mark.covers("mcp:http:auth")
async def test_t14_t15_where_to_sign_in_is_published_and_there_is_no_stream_to_get(url: str) -> None:
    """The protected resource's metadata, without a token; a GET of the modern protocol is none."""
    root = url.removesuffix("/mcp")
    async with httpx2.AsyncClient(verify=False, timeout=30) as client:
        answer = await client.get(f"{root}/.well-known/oauth-protected-resource/mcp")
        assert answer.json()["authorization_servers"] == ["https://id.example.com"]
    assert (await post(url, b"", method="GET")).status_code == 405


@pytest.mark.covers("mcp:http:paths")
async def test_t16_no_path_leads_out_of_an_environment(backend: LocalBackend, serving: Callable[..., Any]) -> None:
    """However it is written, by tool and by resource."""
    async with calling(serving(backend)) as call:
        run = await call("agent_run", agent="antigravity", input="Write 'a' to a.txt")
        root = f"agent://environments/{run['environment_id']}/files"
        for path in ("../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "a/..%5c..", "workspace/%00", "."):
            assert "uri" in await call.refused("agent_read_file", uri=f"{root}/{path}")
            with pytest.raises(MCPError, match=r"Unknown resource|Error reading"):
                await call.client.read_resource(f"{root}/{path}")
        assert "path" in await call.refused("agent_files", run_id=run["run_id"], path="../..")


@pytest.mark.covers("mcp:handles")
@pytest.mark.filterwarnings("ignore:resources/:mcp.shared.exceptions.MCPDeprecationWarning")
@pytest.mark.parametrize("era", ERAS)
async def test_t12_t17_what_is_anothers_is_as_unknown_as_what_never_was(era: str, url: str, jobs: JobStore) -> None:
    """By every tool, every resource, and to who listens; of two people who use the same app."""
    async with signed_in(url, "ann", era) as ann, signed_in(url, "bob", era) as bob:
        run = await ann("agent_run", agent="antigravity", input="Write 'secret' to a.txt", idempotency_key="k")
        assert (await ann("agent_wait", run_id=run["run_id"]))["status"] == "completed"
        own = await bob("agent_run", agent="antigravity", input="Write 'mine' to a.txt", idempotency_key="k")
        assert own["run_id"] != run["run_id"]
        never = "run_0123456789abcdef~AAAAAAAAAAAAAAAA"
        calls: list[tuple[str, str, dict[str, Any]]] = [
            ("agent_wait", "run_id", {}),
            ("agent_get", "run_id", {}),
            ("agent_respond", "run_id", {"call_id": "c", "result": 1}),
            ("agent_cancel", "run_id", {}),
            ("agent_files", "run_id", {}),
            ("agent_run", "previous_run_id", {"input": "x"}),
        ]
        for tool, argument, more in calls:
            theirs = await bob.refused(tool, **{argument: run["run_id"]}, **more)
            unknown = await bob.refused(tool, **{argument: never}, **more)
            assert theirs.replace(run["run_id"], never) == unknown
            assert "there is no run" in theirs
        environment = run["environment_id"]
        assert "no environment" in await bob.refused("agent_files", environment_id=environment)
        worker = {"agent": "antigravity", "input": "x"}
        assert "no environment" in await bob.refused("agent_run", environment_id=environment, **worker)
        uris = [run["files"][0], *(f"agent://runs/{run['run_id']}{part}" for part in ("", "/output", "/steps"))]
        for uri in uris:
            assert "there is no" in await bob.refused("agent_read_file", uri=uri)
            assert "there is no" in await bob.refused("agent_run", files=[{"uri": uri}], **worker)
            with pytest.raises(MCPError, match="Unknown resource"):
                await bob.client.read_resource(uri)
            assert (await ann.client.read_resource(uri)).contents
        if era == "auto":
            with pytest.raises(MCPError, match="Unknown resource"):
                async with bob.client.listen(resource_subscriptions=[uris[1]]):
                    pass
        else:
            with pytest.raises(MCPError, match="Unknown resource"):
                await bob.client.subscribe_resource(uris[1])
            await ann.client.subscribe_resource(uris[1])
        assert [one["run_id"] for one in (await bob("agent_list"))["runs"]] == [own["run_id"]]


@pytest.mark.covers("mcp:resources:updates")
async def test_what_is_listened_to_is_bounded(backend: LocalBackend, serving: Callable[..., Any]) -> None:
    """A URI longer than any is not kept for a listener, though it carries a handle of the caller's own."""
    async with calling(serving(backend)) as call:
        run = await call("agent_run", agent="antigravity", input="Write 'a' to a.txt")
        with pytest.raises(MCPError, match="Unknown resource"):
            async with call.client.listen(resource_subscriptions=[run["files"][0] + "x" * 2_000]):
                pass
        async with call.client.listen(resource_subscriptions=[run["files"][0]]):
            pass


@pytest.mark.covers("mcp:handles")
@given(text=st.text(), owner=st.text(), other=st.text())
def test_t18_only_what_was_made_is_read(text: str, owner: str, other: str) -> None:
    """By its owner, as what it names; cut, changed or made with another key it is nothing."""
    handles = Handles(KEY)
    handle = handles.make(owner, "run", text)
    assert handles.read(owner, "run", handle) == (text or None)
    if owner.encode("utf-8", "replace") != other.encode("utf-8", "replace"):
        assert handles.read(other, "run", handle) is None
    assert handles.read(owner, "environment", handle) is None
    assert handles.read(owner, "run", handle[:-1]) is None
    assert handles.read(owner, "run", f"x{handle}") is None
    assert Handles(KEY[::-1]).read(owner, "run", handle) is None
    assert handles.read(owner, "run", text) is None


@pytest.mark.covers("mcp:handles:key")
async def test_the_key_is_made_once_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: LocalBackend, jobs: JobStore
) -> None:
    """Beside the job store, in the user's data folder, whatever the working directory; a broken one is named."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    async with calling(agent_server(None, backend, jobs=jobs)) as call:
        run = (await call("agent_run", input="Hello"))["run_id"]
    path = tmp_path / "data" / "interactions-bridge" / "handle.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["handle.key"]
    async with calling(agent_server(None, backend, jobs=jobs)) as call:
        assert (await call("agent_get", run_id=run))["run_id"] == run
    async with calling(agent_server(None, backend, jobs=jobs, handle_key=KEY.decode())) as call:
        assert "there is no run" in await call.refused("agent_get", run_id=run)
    path.write_bytes(b"")
    with pytest.raises(NotConfigured, match="is broken"):
        await asyncio.to_thread(load_key, path)
    with pytest.raises(NotConfigured, match="cannot be used"):
        await asyncio.to_thread(load_key, path / "below")
    async with calling(agent_server(None, backend, jobs=jobs)) as call:
        assert "is broken" in await call.refused("agent_list")


CANARY = "canary-7f3a9b-secret"


@pytest.mark.covers("mcp:secrets")
async def test_t19_t20_no_secret_leaves_in_either_direction(
    jobs: JobStore, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """The key of the service stands in nothing that a caller gets or a log keeps, and a caller's token is not sent on."""
    from bridge.http import create_app

    asked: list[str] = []
    local = LocalBackend()
    app = create_app(local, api_key=CANARY)

    async def recording(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            asked.append(repr(scope["headers"]))
        await app(scope, receive, send)

    caplog.set_level(logging.DEBUG, "bridge")
    seen: list[str] = []
    transport = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=recording))
    async with (
        transport,
        GeminiBackend(api_key=CANARY, base_url="https://service.test", http=transport) as backend,
    ):
        wrong = GeminiBackend(api_key=f"{CANARY}-wrong", base_url="https://service.test", http=transport)
        agents = {
            "right": {"agent": "antigravity-preview-09-2026", "environment": "remote"},
            "wrong": {"model": "m", "backend": wrong},
        }
        server = agent_server(agents, backend, jobs=jobs, handle_key=KEY, token_verifier=Tokens(), auth=AUTH)
        async with over_http(server) as url, signed_in(url, "ann") as call:
            run = await call("agent_run", input="Write 'a' to a.txt")
            results = [
                await call.result("agent_get", run_id=run["run_id"], include_steps=True),
                await call.result("agent_files", run_id=run["run_id"]),
                await call.result("agent_run", agent="wrong", input="x"),
                await call.result("agent_run", input=5),
            ]
            seen += [result.model_dump_json() for result in results]
            seen += [repr(call.told), (await call.client.list_tools()).model_dump_json()]
            assert "401" in seen[2]
    seen += [
        record.getMessage() + str(record.exc_text) for record in caplog.records if record.name.startswith("bridge")
    ]
    seen += [repr(await jobs.list()), repr(server), (tmp_path / "jobs.sqlite").read_bytes().decode("latin-1")]
    assert not [text for text in seen if CANARY in text]
    assert any(CANARY in text for text in asked)
    assert not [text for text in asked if "ann" in text or "Bearer" in text]
    await local.aclose()


@pytest.mark.covers("mcp:secrets")
async def test_an_error_nobody_foresaw_is_not_told(
    jobs: JobStore, caplog: pytest.LogCaptureFixture, backend: LocalBackend
) -> None:
    """Its text may hold anything: neither the caller nor the log at its usual level reads it."""

    class Odd(LocalBackend):
        async def create(self, request: Any = None, /, **fields: Any) -> Interaction:
            raise RuntimeError(CANARY)

    async with Odd() as odd, calling(agent_server(None, odd, jobs=jobs, handle_key=KEY)) as call:
        told = await call.refused("agent_run", input="x")
    assert told == "agent_run failed on this server, which is not your mistake; its log says more"
    assert CANARY not in caplog.text


@pytest.mark.covers("mcp:arguments")
async def test_t21_no_argument_names_an_address_a_header_or_a_key(
    backend: LocalBackend, serving: Callable[..., Any]
) -> None:
    """Of no tool, at any level; URIs are those of this server alone."""
    async with calling(serving(backend)) as call:
        names = {
            name
            for tool in (await call.client.list_tools()).tools
            for name in [*tool.input_schema["properties"], *_names(tool.input_schema["properties"].get("files", {}))]
        }
    assert not names & {"url", "base_url", "headers", "api_key", "key", "model", "output_path", "mcp_servers", "tools"}
    assert {name for name in names if "uri" in name} == {"uri"}


def _names(schema: dict[str, Any]) -> list[str]:
    return list(schema.get("items", {}).get("properties", {}))


@pytest.mark.covers("mcp:output:cleaned")
async def test_t22_what_an_agent_writes_is_data(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Control sequences and invisible text are taken out of answers, calls, steps, files and names."""
    evil = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x9b1mtext\x00\x08 tab\tline\r\nnext \U000e0041\U000e0042\u202fend"
    good = "red text tab\tline\nnext \u202fend"
    backend = scripted([output(evil), function_call("look_up", what=evil)])
    async with calling(serving(backend, ASKING)) as call:
        run = await call("agent_run", input=evil)
        steps = await call("agent_get", run_id=run["run_id"], include_steps=True)
        listed = (await call("agent_list"))["runs"][0]
    assert run["pending_calls"][0]["arguments"] == {"what": good}
    assert steps["steps"][0]["content"][0]["text"] == good
    assert listed["input"] == good
    assert cleaned({"a\x1b[1m": [evil, 1, None]}) == {"a": [good, 1, None]}


@pytest.mark.covers("mcp:output:cleaned")
@given(text=st.text(alphabet=st.sampled_from("\x1b\x9b\x07\x9c[]\\;01mP \n\t\rab\U000e0041\ud800")))
def test_t22_no_control_is_left_and_no_words_are_lost(text: str) -> None:
    """Whatever was put together from whatever is taken out; and cleaning what is clean changes nothing."""
    clean = cleaned(text)
    assert not [char for char in clean if char not in "\n\t" and (ord(char) < 32 or 127 <= ord(char) < 160)]
    assert clean.encode() == cleaned(clean).encode()
    words = "all \u00e4\u00f6\u00fc of it\n"
    assert cleaned(f"{words}\x1b]{words}") == words + words
    assert cleaned(words + text.replace("\x1b", "").replace("\x9b", "")).startswith(words)


@pytest.mark.covers("mcp:output:cleaned")
@pytest.mark.parametrize(
    "beginning", ["\x1b", "\x1b[", "\x1b[0;", "\x1b ", "\x1b]", "\x90", "\x98", "\x9b", "\x9d", "\x9f", "\r"]
)
def test_t22_no_text_keeps_the_server_busy(beginning: str) -> None:
    """An agent that writes nothing but beginnings of sequences: cleaning takes time in proportion to the text, while nobody else is served."""

    def seconds(length: int) -> float:
        text = (beginning * length)[:length]
        begun = time.thread_time()
        cleaned(text)
        return time.thread_time() - begun

    seconds(1_000)
    assert min(seconds(400_000) for _ in range(3)) < 1.0


@pytest.mark.covers("mcp:http:open")
@pytest.mark.parametrize(
    ("options", "fact"),
    [
        ({}, "a token verifier (token_verifier=..., auth=...) and the names it is reached by (allowed_hosts=...)"),
        ({"token_verifier": Tokens(), "auth": AUTH}, "give the names it is reached by"),
        ({"allowed_hosts": ["agents.example.com"]}, "give a token verifier"),
    ],
)
def test_t26_what_other_machines_can_reach_is_not_served_openly(
    options: dict[str, Any], fact: str, jobs: JobStore
) -> None:
    """On any address but this machine's own. JSON answers, with which nobody notices that a client is gone, are refused too."""
    server = agent_server(None, LocalBackend(), jobs=jobs, handle_key=KEY, **options)
    for host in ("0.0.0.0", "::", "192.168.1.5", "agents.example.com"):
        with pytest.raises(NotConfigured) as refused:
            server.streamable_http_app(host=host)
        assert fact in str(refused.value)
    assert server.streamable_http_app(host="localhost")
    with pytest.raises(InvalidRequest, match="json_response"):
        server.streamable_http_app(json_response=True)


@pytest.mark.covers("mcp:disconnect")
async def test_t25_a_connection_that_drops_in_the_middle_stops_nothing(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Of a client that is gone, and of one that never reads what it is sent; the server serves others meanwhile."""
    first, second = Held(), Held()
    async with over_http(serving(scripted(first, second), ASKING)) as url:
        host, port = url.split("/")[2].split(":")
        meta = {
            "io.modelcontextprotocol/protocolVersion": LATEST_MODERN_VERSION,
            "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
            "progressToken": 1,
        }
        params = {"name": "agent_run", "arguments": {"input": "Think.", "wait_s": 50}, "_meta": meta}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
        head = (
            f"POST /mcp HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: {LATEST_MODERN_VERSION}\r\n"
            "Mcp-Method: tools/call\r\nMcp-Name: agent_run\r\n\r\n"
        )
        reader, gone = await asyncio.open_connection(host, int(port))
        gone.write((head + body).encode())
        assert b"200 OK" in await asyncio.wait_for(reader.readline(), 20)
        gone.transport.abort()
        _, deaf = await asyncio.open_connection(host, int(port))
        deaf.write((head + body).encode())
        async with calling(url) as call:
            async with asyncio.timeout(20):
                while first.begun + second.begun < 2:
                    await asyncio.sleep(0.01)
            runs = (await call("agent_list"))["runs"]
            assert [run["status"] for run in runs] == ["in_progress", "in_progress"]
            first.let.set()
            second.let.set()
            for run in runs:
                assert (await call("agent_wait", run_id=run["run_id"]))["output_text"] == "done"
        deaf.transport.abort()


@pytest.mark.covers("mcp:http:requests")
async def test_t29_state_that_the_server_did_not_make_is_refused(url: str) -> None:
    """A client cannot claim to be in the middle of something."""
    call = {"name": "agent_list", "arguments": {}, "requestState": "forged"}
    answer = await post(url, {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}, mcp_name="agent_list")
    assert answer.json()["error"]["code"] == -32602


@pytest.mark.covers("mcp:http:requests", "mcp:handles")
async def test_t29_state_is_its_callers_and_its_calls_alone(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Brought by another caller, with another call or changed, it is refused; by its caller it is taken, and starts nothing anew."""
    backend = scripted([function_call("look_up", what="it")], [output("Done.")])

    async def brought(token: str = "ann", text: str = "Look.", **more: Any) -> Any:
        call = {"name": "agent_run", "arguments": {"input": text, "idempotency_key": "k"}, **more}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        answer = await post(
            address, body, token=token, mcp_name="agent_run", capabilities={"elicitation": {"form": {}}}
        )
        lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
        return json.loads(lines[-1] if lines else answer.text)

    async with over_http(serving(backend, ASKING, token_verifier=Tokens(), auth=AUTH)) as address:
        asked = (await brought())["result"]
        (key,) = asked["inputRequests"]
        more = {
            "inputResponses": {key: {"action": "accept", "content": {"result": "x"}}},
            "requestState": asked["requestState"],
        }
        assert (await brought("bob", **more))["error"]["code"] == -32602
        assert (await brought(text="Other.", **more))["error"]["code"] == -32602
        state = asked["requestState"]
        changed = state[:-6] + ("A" if state[-6] != "A" else "B") + state[-5:]
        assert (await brought(**{**more, "requestState": changed}))["error"]["code"] == -32602
        for _ in range(2):  # brought once more, it finds the run over
            done = (await brought(**more))["result"]["structuredContent"]
            assert (done["status"], done["output_text"]) == ("completed", "Done.")
        async with signed_in(address, "ann") as call:
            assert len((await call("agent_list"))["runs"]) == 1
