"""Our own client of the API passes against the service under both settings of everything that is in dispute."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bridge import GeminiBackend, assemble
from bridge.backends.local import Switches
from bridge.errors import BadRequest
from tests.backends.local.service import THOUGHT, text

ANTIGRAVITY = "antigravity-preview-09-2026"
DISPUTED = [
    Switches(),
    Switches(background_stream=False),
    Switches(antigravity_background=False),
    Switches(environment_reuse="fork"),
    Switches(hidden_reads=3),
    Switches(first_text_in_start=True),
    Switches(foreground_event_ids=False),
]

pytestmark = pytest.mark.covers("http:our-client")


@pytest.fixture(params=DISPUTED, ids=lambda switches: repr(switches) if switches != Switches() else "defaults")
async def client(request: pytest.FixtureRequest, serve: Callable[..., Any]) -> AsyncIterator[Any]:
    """A client of a service with one setting changed; the service answers every turn alike."""
    settings = {"switches": request.param, "test_controls": True}
    served = await serve(*([THOUGHT, text("One two three.")] for _ in range(20)), settings=settings)

    async def without_waiting(seconds: float) -> None: ...

    async with GeminiBackend(base_url=served.url, sleep=without_waiting) as backend:
        yield backend


async def test_a_foreground_turn_streamed_or_not_is_the_same(client: Any) -> None:
    """The text is whole, wherever its first piece came."""
    created = await client.create(model="m", input="x")
    streamed = assemble([event async for event in client.stream(model="m", input="x")])
    assert created.output_text == streamed.output_text == "One two three."
    assert (await client.get(streamed.id)).output_text == "One two three."


async def test_a_stream_that_breaks_is_brought_to_its_end(client: Any) -> None:
    """Resumed where events have ids, asked for where they have none."""
    for after in ("1", "4", "7"):
        labels = {"local-drop-after": after}
        events = [event async for event in client.stream(model="m", input="x", labels=labels)]
        ended = assemble(events)
        assert (ended.status, ended.output_text) == ("completed", "One two three.")


async def test_a_background_turn_is_started_and_watched(client: Any) -> None:
    """Also where it is not visible at first."""
    started = await client.create(model="m", input="x", background=True)
    ended = assemble([event async for event in client.watch(started.id)])
    assert (ended.status, ended.output_text) == ("completed", "One two three.")
    started = await client.create(model="m", input="x", background=True)
    assert (await client.get(started.id)).id == started.id


async def test_one_post_for_background_and_stream_works_or_says_why_not(client: Any, request: Any) -> None:
    """Never half of it."""
    allowed = request.node.callspec.params["client"].background_stream
    if not allowed:
        with pytest.raises(BadRequest, match="stream=true"):
            await anext(client.stream(model="m", input="x", background=True))
        return
    events = [event async for event in client.stream(model="m", input="x", background=True)]
    assert assemble(events).output_text == "One two three."


async def test_an_agent_works_and_its_environment_is_used_again(client: Any, request: Any) -> None:
    """In the background where that is allowed; the id that comes back is the one to go on with."""
    switches = request.node.callspec.params["client"]
    turn = await client.create(agent=ANTIGRAVITY, input="x", environment="remote")
    await client.files.write(turn.environment_id, "kept.txt", b"kept")
    again = await client.create(agent=ANTIGRAVITY, input="x", environment=turn.environment_id)
    assert (again.environment_id == turn.environment_id) == (switches.environment_reuse == "mutable")
    assert await client.files.read(again.environment_id, "kept.txt") == b"kept"
    background = {"agent": ANTIGRAVITY, "input": "x", "environment": "remote", "background": True}
    if switches.antigravity_background:
        started = await client.create(**background)
        assert assemble([event async for event in client.watch(started.id)]).status == "completed"
    else:
        with pytest.raises(BadRequest, match="background"):
            await client.create(**background)
