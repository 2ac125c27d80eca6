"""Streams that break, and what the caller gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bridge.backends.gemini import GeminiBackend
from bridge.errors import DeadlineExceeded, NotFound, OutcomeUnknown, RateLimited
from bridge.interactions import (
    Event,
    Interaction,
    InteractionCompleted,
    StepDelta,
    StepStart,
    assemble,
    parse_event,
)

from tests.backends.gemini.wire import Client, Clock, Reply, Request, Server, answer, events, refusal, sample, stream_of

RESUMABLE, PLAIN, TOOLS = "04c_research_replay_from_start.sse", "01_text.sse", "02_tool_turn1.sse"


def values_of(body: bytes) -> list[Any]:
    """The events' JSON of a recorded stream."""
    rows = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(row) for row in rows]


def whole_of(body: bytes) -> Interaction:
    """What an unbroken stream assembles to."""
    return assemble([parse_event(value) for value in values_of(body)])


def service(body: bytes, cut: int, **facts: Any) -> Callable[[Request], Reply]:
    """The real service in small: streams, is cut after `cut` bytes of the first answer, resumes, and knows the result."""
    values = values_of(body)
    result = {**whole_of(body).to_wire(), "input": "x", "steps": [
        {"type": "user_input", "content": [{"type": "text", "text": "x"}]}, *whole_of(body).to_wire()["steps"]
    ]}

    def handle(request: Request) -> Reply:
        if request.method == "POST":
            return events(body, cut=cut, **facts)
        if "stream=true" in request.target:
            after = request.target.partition("last_event_id=")[2].partition("&")[0]
            ids = [value.get("event_id") for value in values]
            return events(stream_of(values[ids.index(after) + 1 if after else 0 :]))
        return answer(result)

    return handle


async def collected(client: Client, **fields: Any) -> tuple[list[Event], BaseException | None]:
    seen: list[Event] = []
    try:
        await client.collect(seen, "stream", **fields)
    except OutcomeUnknown as error:
        return seen, error
    return seen, None


@pytest.mark.covers("gemini:streams:every-byte")
@pytest.mark.parametrize("way", ["httpx2", "sync-httpx2"])
@pytest.mark.parametrize("name", [RESUMABLE, PLAIN, TOOLS])
@pytest.mark.timeout(240)
async def test_a_stream_cut_after_any_byte_comes_to_the_same_interaction(
    server: Server, connected: Callable[..., Client], name: str, way: str
) -> None:
    """From the byte at which the id is known the result is that of the unbroken stream; before it the outcome is unknown."""
    body = sample(name)
    expected = whole_of(body)
    known_at = body.index(expected.id.encode()) + len(expected.id) + 1
    client = connected(way)
    for cut in range(len(body) + 1):
        server.handler = service(body, cut)
        server.requests.clear()
        seen, error = await collected(client, model="m", input="x")
        assert server.posts == 1, cut
        if cut < known_at:
            assert isinstance(error, OutcomeUnknown), cut
            assert error.partial == assemble(seen)
        else:
            assert error is None, (cut, error)
            assert assemble(seen) == expected, cut


@pytest.mark.covers("gemini:streams:no-double")
async def test_a_resumed_stream_has_no_gap_and_no_double(server: Server, connected: Callable[..., Client]) -> None:
    """Whatever the byte of the cut, the events passed on are exactly those of the unbroken stream."""
    body = sample(RESUMABLE)
    expected = [parse_event(value) for value in values_of(body)]
    client = connected("httpx2")
    first = body.index(b"\n\n") + 2
    for cut in range(first, len(body), 7):
        server.handler = service(body, cut)
        assert await client.stream(model="m", input="x") == expected


@pytest.mark.covers("gemini:streams:text-once")
async def test_text_that_is_fetched_after_a_cut_is_given_once(server: Server, connected: Callable[..., Client]) -> None:
    """Without event ids the rest of a text comes as a delta: what a reader of deltas adds up is the text."""
    body = sample(PLAIN)
    client = connected("httpx2")
    for cut in range(body.index(b"\n\n") + 2, len(body)):
        server.handler = service(body, cut)
        seen = await client.stream(model="m", input="x")
        starts = [s.step for s in seen if isinstance(s, StepStart) and s.index == 1]
        text = "".join(c.text for s in starts for c in getattr(s, "content", None) or [])
        text += "".join(e.delta.text for e in seen if isinstance(e, StepDelta) and e.delta.type == "text")
        assert text == "Hello there, how are you?", cut


@pytest.mark.covers("gemini:streams:not-stored")
async def test_a_cut_stream_that_was_not_stored_has_an_unknown_outcome_at_every_byte(
    server: Server, connected: Callable[..., Client]
) -> None:
    """Nothing is asked of the service; what had arrived is in the error."""
    body = sample(PLAIN)
    client = connected("httpx2")
    completed = body.index(b"event: interaction.completed")
    for cut in range(0, completed, 11):
        server.handler = service(body, cut)
        server.requests.clear()
        seen, error = await collected(client, model="m", input="x", store=False)
        assert isinstance(error, OutcomeUnknown)
        assert error.partial == assemble(seen)
        assert server.calls == ["POST /v1/interactions"]
