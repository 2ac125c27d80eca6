"""What the stand-ins of all vendors have in common: reached in this process or on a port, with everything they were sent kept."""

from __future__ import annotations

import asyncio
from typing import Any

import bridge_anthropic.testing
import bridge_openai.testing
import httpx2
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from bridge.backends.local import ScriptedResponder
from bridge.backends.local.responders import Ending

from .conftest import KEY, Reach, words

HELLO: Any = [{"role": "user", "content": "Hello."}]


@pytest.mark.covers("vendors:ways")
async def test_the_official_clients_reach_a_stand_in_without_a_socket() -> None:
    """As an ASGI app behind the transport that both SDKs take, whole and streamed."""
    app = bridge_anthropic.testing.stand_in()
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with (
        AsyncAnthropic(base_url="http://stand-in", api_key=KEY, http_client=http) as claude,
        claude.messages.stream(model="claude-9", max_tokens=50, messages=HELLO) as stream,
    ):
        assert "stand-in" in await stream.get_final_text()
    assert [sent.path for sent in app.requests] == ["/v1/messages"]
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(bridge_openai.testing.stand_in()))
    async with AsyncOpenAI(base_url="http://stand-in/v1", api_key=KEY, http_client=http) as gpt:
        assert "stand-in" in (await gpt.responses.create(model="gpt-9", input="Hello.")).output_text


@pytest.mark.covers("vendors:recorded")
def test_what_is_sent_is_kept_and_the_key_is_not(reach: Reach) -> None:
    """Path and body of every request, in order, refused or not."""
    service = reach("anthropic")
    client = service.anthropic()
    client.messages.create(model="claude-9", max_tokens=50, messages=HELLO)
    answer = httpx2.post(f"{service.url}/v1/messages", json=[], headers={"x-api-key": KEY, "anthropic-version": "1"})
    assert answer.status_code == 400
    first, second = service.app.requests
    assert first.path == second.path == "/v1/messages"
    assert first.body == {"model": "claude-9", "max_tokens": 50, "messages": HELLO}
    assert second.body == []
    assert KEY not in repr(service.app.requests)


@pytest.mark.covers("vendors:failures")
@pytest.mark.parametrize("vendor", ["anthropic", "openai"])
def test_what_is_no_request_is_refused_in_the_vendors_form(reach: Reach, vendor: str) -> None:
    """Another path, another method, a body that is no JSON: an error that says what there is."""
    service = reach(vendor)
    headers = {"x-api-key": KEY, "anthropic-version": "1", "authorization": f"Bearer {KEY}"}
    lost = httpx2.post(f"{service.url}/v2/nowhere", json={}, headers=headers)
    assert lost.status_code == 404
    path = "/v1/messages" if vendor == "anthropic" else "/v1/responses"
    assert f"POST {path}" in lost.json()["error"]["message"]
    broken = httpx2.post(service.url.removesuffix("/v1") + path, content=b"{", headers=headers)
    assert broken.status_code == 400
    assert "not valid JSON" in broken.json()["error"]["message"]


@pytest.mark.covers("vendors:failures")
def test_an_answer_that_ends_as_failed_is_an_error(reach: Reach) -> None:
    """With the responder's own words; a status of its own where it has none."""
    failed = Ending(status="failed", errors=(("api_error", "no more paper"),))
    service = reach("openai", [failed], [Ending(status="cancelled")])
    headers = {"authorization": f"Bearer {KEY}"}
    for said in ("no more paper", "the answer ended as cancelled"):
        answer = httpx2.post(f"{service.url}/responses", json={"model": "g", "input": "x"}, headers=headers)
        assert answer.status_code == 500
        assert answer.json()["error"] == {"message": said, "type": "server_error", "param": None, "code": None}


@pytest.mark.covers("vendors:gone")
async def test_a_client_that_leaves_a_stream_ends_the_answer() -> None:
    """The responder is closed at once; nothing goes on for nobody."""
    closed = asyncio.Event()

    async def endless() -> Any:
        try:
            yield words("I begin.")
            await asyncio.Event().wait()
        finally:
            loop.call_soon_threadsafe(closed.set)

    loop = asyncio.get_running_loop()
    app = bridge_anthropic.testing.stand_in(ScriptedResponder([lambda _: endless()]))
    async with app.served() as url:
        async with AsyncAnthropic(base_url=url, api_key=KEY) as client:
            stream = await client.messages.create(model="claude-9", max_tokens=50, messages=HELLO, stream=True)
            async for event in stream:
                if event.type == "content_block_stop":
                    break
            await stream.close()
        async with asyncio.timeout(20):
            await closed.wait()
