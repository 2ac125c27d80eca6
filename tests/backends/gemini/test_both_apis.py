"""The async and the sync API are one, and every HTTP client may carry them."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
from typing import Any

import httpx2
import pytest

from bridge.backends.gemini import GeminiBackend, SyncGeminiBackend
from bridge.errors import NotConfigured
from tests.backends.gemini.wire import Reply, Server, answer, events, sample

DONE = answer({"id": "v1_a", "status": "completed", "steps": []})
RENAMED = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}
ITERATORS = ("AsyncGenerator", "AsyncIterator", "Iterator")


def surface(kind: type) -> dict[str, list[str]]:
    """Public methods with their parameters."""
    found = {}
    for name, member in inspect.getmembers(kind):
        shown = RENAMED.get(name, name)
        if callable(member) and (not shown.startswith("_") or shown in ("__init__", "__enter__", "__exit__")):
            found[shown] = [plain(str(p)) for p in inspect.signature(member).parameters.values()]
    return found


def plain(returns: str) -> str:
    """A return type without what only says async."""
    return re.sub(r"(AsyncGenerator|AsyncIterator|Iterator)\[([^\]]*?)(, None)?\]", r"Iterator[\2]", returns).replace(
        "model.", ""
    )


@pytest.mark.covers("gemini:sync:same")
def test_both_apis_have_the_same_names_and_parameters() -> None:
    """Backend and every resource, by introspection; one knows where the other is."""
    backend = GeminiBackend("K")
    pairs: list[tuple[type, type]] = [(GeminiBackend, SyncGeminiBackend)]
    pairs += [
        (type(getattr(backend, name)), type(getattr(backend.sync, name)))
        for name in ("agents", "environments", "files", "webhooks")
    ]
    for ours, twin in pairs:
        one, other = surface(ours), surface(twin)
        if ours is not GeminiBackend:
            one.pop("__init__"), other.pop("__init__")
        assert one == other, ours
        for name in one:
            names = {shown: own for own, shown in RENAMED.items()}
            mine = inspect.signature(getattr(ours, names.get(name, name))).return_annotation
            theirs = inspect.signature(getattr(twin, name)).return_annotation
            assert plain(str(mine)) == plain(str(theirs)), (ours, name)
    for name in ("name", "identity", "capabilities"):
        assert getattr(backend, name) == getattr(backend.sync, name)
    assert "127" not in repr(backend.sync)
    assert backend.sync is backend.sync


@pytest.mark.covers("gemini:sync:twin")
async def test_the_twin_has_the_same_settings_and_a_client_of_its_own(server: Server) -> None:
    """It works in a thread beside the loop, and ends with the backend."""
    server.will(DONE, events(sample("01_text.sse")), DONE)
    async with GeminiBackend("KEY", server.url) as backend:
        assert (await asyncio.to_thread(backend.sync.create, model="m", input="x")).id == "v1_a"
        assert len(await asyncio.to_thread(lambda: list(backend.sync.stream(model="m", input="x")))) == 10
        await backend.create(model="m", input="x")
    assert [request.headers["x-goog-api-key"] for request in server.requests] == ["KEY"] * 3
    with pytest.raises(NotConfigured, match="closed"):
        backend.sync.create(model="m", input="x")
    with pytest.raises(NotConfigured, match="closed"):
        await backend.create(model="m", input="x")


@pytest.mark.covers("gemini:sync:twin")
def test_the_sync_api_needs_no_event_loop(server: Server) -> None:
    """Every kind of call, with the real clock."""
    server.will(DONE, DONE, answer({"agents": [{"id": "a"}]}), Reply(cut=0, cut_head=True), DONE)
    with SyncGeminiBackend("KEY", server.url) as backend:
        assert backend.create(model="m", input="x").status == "completed"
        assert backend.get("v1_a").id == "v1_a"
        assert [agent.id for agent in backend.agents.list()] == ["a"]
        assert backend.get("v1_a").id == "v1_a"
    backend.close()


@pytest.mark.covers("gemini:http:injected")
async def test_an_injected_client_stays_its_owners(server: Server) -> None:
    """It is used as it is set up, is not closed with the backend, and is refused when it is closed."""
    server.will(DONE, DONE)
    async with httpx2.AsyncClient(headers={"x-mine": "1"}) as http:
        async with GeminiBackend("KEY", server.url, http=http) as backend:
            await backend.create(model="m", input="x")
        assert not http.is_closed
        other = GeminiBackend("KEY", server.url, http=http)
        await other.create(model="m", input="x")
    assert server.requests[0].headers["x-mine"] == "1"
    with pytest.raises(NotConfigured, match="given to this backend is closed"):
        await other.create(model="m", input="x")
    with httpx2.Client() as client:
        twin = SyncGeminiBackend("KEY", server.url, http=client)
    with pytest.raises(NotConfigured, match="given to this backend is closed"):
        twin.create(model="m", input="x")


@pytest.mark.covers("gemini:http:injected")
async def test_a_service_in_this_process_may_answer(server: Server) -> None:
    """Through an ASGI or mock transport of the client."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b'{"id": "v1_asgi", "status": "completed"}'})

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as http:
        backend = GeminiBackend("KEY", "http://localhost", http=http)
        assert (await backend.create(model="m", input="x")).id == "v1_asgi"


@pytest.mark.covers("gemini:http:loops")
def test_a_backend_outlives_an_event_loop(server: Server) -> None:
    """A script that runs several loops one after another needs one backend, not one for each."""
    server.will(DONE, DONE, DONE)
    code = """
import asyncio, sys
from bridge.backends.gemini import GeminiBackend
backend = GeminiBackend("KEY", sys.argv[1])
for _ in range(3):
    print(asyncio.run(backend.create(model="m", input="x")).id)
asyncio.run(backend.aclose())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, server.url], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["v1_a"] * 3
    assert done.stderr == ""


@pytest.mark.covers("gemini:http:parallel")
async def test_many_calls_at_once_share_one_backend(server: Server, backend: GeminiBackend) -> None:
    """More streams than an HTTP library's usual pool has connections."""
    server.handler = lambda request: events(sample("01_text.sse"), piece=300)

    async def one() -> int:
        return len([event async for event in backend.stream(model="m", input="x")])

    assert await asyncio.gather(*[one() for _ in range(120)]) == [10] * 120


@pytest.mark.covers("gemini:start")
def test_a_backend_is_made_without_sending_or_reading_anything() -> None:
    """The HTTP client, its certificates and tenacity come with the first call that needs them."""
    code = """
import sys
from bridge.backends.gemini import GeminiBackend
backend = GeminiBackend("KEY")
print(backend._wire.transport._client, "tenacity" in sys.modules, "asyncio" in sys.modules, "bridge.interactions.requests.resources" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["None", "False", "False", "False"]
