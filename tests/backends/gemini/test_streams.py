"""Streams that break, and what the caller gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from bridge.backends.gemini import GeminiBackend
from bridge.backends.gemini.progress import Progress
from bridge.errors import DeadlineExceeded, InvalidRequest, NotFound, OutcomeUnknown, RateLimited
from bridge.interactions import (
    ArgumentsDelta,
    Event,
    Interaction,
    InteractionCompleted,
    StepDelta,
    StepStart,
    TextDelta,
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
    result = {
        **whole_of(body).to_wire(),
        "input": "x",
        "steps": [
            {"type": "user_input", "content": [{"type": "text", "text": "x"}]},
            *whole_of(body).to_wire()["steps"],
        ],
    }

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
@pytest.mark.parametrize(
    ("name", "way", "step"),
    [(RESUMABLE, "httpx2", 1), (PLAIN, "httpx2", 1), (TOOLS, "sync-httpx2", 7), (RESUMABLE, "sync-httpx2", 17)],
)
@pytest.mark.timeout(240)
async def test_a_stream_cut_after_any_byte_comes_to_the_same_interaction(
    server: Server, connected: Callable[..., Client], name: str, way: str, step: int
) -> None:
    """From the byte at which the id is known the result is that of the unbroken stream; before it the outcome is unknown."""
    body = sample(name)
    expected = whole_of(body)
    known_at = body.index(expected.id.encode()) + len(expected.id) + 1
    client = connected(way)
    for cut in range(0, len(body) + 1, step):
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
    for cut in range(first, len(body), 13):
        server.handler = service(body, cut)
        assert await client.stream(model="m", input="x") == expected


@pytest.mark.covers("gemini:streams:text-once")
async def test_text_that_is_fetched_after_a_cut_is_given_once(server: Server, connected: Callable[..., Client]) -> None:
    """Without event ids the rest of a text comes as a delta: what a reader of deltas adds up is the text."""
    body = sample(PLAIN)
    client = connected("httpx2")
    for cut in range(body.index(b"\n\n") + 2, len(body), 5):
        server.handler = service(body, cut)
        seen = await client.stream(model="m", input="x")
        starts = [s.step for s in seen if isinstance(s, StepStart) and s.index == 1]
        text = "".join(c.text for s in starts for c in getattr(s, "content", None) or [])
        text += "".join(e.delta.text for e in seen if isinstance(e, StepDelta) and isinstance(e.delta, TextDelta))
        assert text == "Hello there, how are you?", cut


@pytest.mark.covers("gemini:streams:not-stored")
async def test_a_cut_stream_that_was_not_stored_has_an_unknown_outcome_at_every_byte(
    server: Server, connected: Callable[..., Client]
) -> None:
    """Nothing is asked of the service; what had arrived is in the error."""
    body = sample(PLAIN)
    client = connected("httpx2")
    completed = body.index(b"event: interaction.completed")
    for cut in range(0, completed, 23):
        server.handler = service(body, cut)
        server.requests.clear()
        seen, error = await collected(client, model="m", input="x", store=False)
        assert isinstance(error, OutcomeUnknown)
        assert error.partial == assemble(seen)
        assert server.calls == ["POST /v1/interactions"]


def created(id: str = "v1_a", **more: Any) -> dict[str, Any]:
    return {
        "event_type": "interaction.created",
        "interaction": {"id": id, "status": "in_progress", "object": "interaction", "model": "m"},
        **more,
    }


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": words}, **more}


START: dict[str, Any] = {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}}


def ended(status: str = "completed", id: str = "v1_a", **fields: Any) -> dict[str, Any]:
    return {"id": id, "status": status, "object": "interaction", "model": "m", **fields}


def output(words: str) -> list[dict[str, Any]]:
    return [{"type": "model_output", "content": [{"type": "text", "text": words}]}]


HALF = stream_of([created(), START, text("Hel")], done=False)


@pytest.mark.covers("gemini:streams:plain")
async def test_a_whole_stream_is_one_request(server: Server, client: Client) -> None:
    """Every event as it was on the wire, over every way to reach the backend."""
    body = sample(PLAIN)
    server.will(events(body, piece=37))
    seen = await client.stream(model="m", input="x")
    assert [event.to_wire() for event in seen] == values_of(body)
    deltas = [event.delta for event in seen if isinstance(event, StepDelta)]
    assert [delta.text for delta in deltas if isinstance(delta, TextDelta)] == ["Hello there,", " how are you?"]
    assert server.calls == ["POST /v1/interactions"]
    assert server.requests[0].json["stream"] is True


@pytest.mark.covers("gemini:streams:plain")
async def test_one_connection_serves_one_stream_after_another(server: Server, backend: GeminiBackend) -> None:
    """The end of an answer is read, so that its connection is used again."""
    ports = []
    send = server.send

    def watched(connection: Any, reply: Reply) -> bool:
        ports.append(connection.client_address[1])
        return send(connection, reply)

    server.send = watched  # type: ignore[method-assign]
    for _ in range(3):
        server.will(events(sample(PLAIN)))
        assert [event async for event in backend.stream(model="m", input="x")]
    assert len(set(ports)) == 1


@pytest.mark.covers("gemini:streams:resume")
@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("length", [False, True])
async def test_a_dropped_stream_goes_on_after_the_last_event(
    server: Server, client: Client, reset: bool, length: bool
) -> None:
    """However the connection ended, one GET names the last event id."""
    body = sample(RESUMABLE)
    server.handler = service(body, 1500, reset=reset, length=length)
    assert assemble(await client.stream(model="m", input="x")) == whole_of(body)
    assert len(server.calls) == 2
    assert "stream=true" in server.calls[1]
    assert "last_event_id=ev_000" in server.calls[1]


@pytest.mark.covers("gemini:streams:resume")
async def test_the_cut_at_600_seconds_is_resumed(server: Server, client: Client) -> None:
    """The service ends a long stream with raw JSON of an error; the run goes on."""
    server.will(
        events(sample("04d_research_cut_at_600s.sse")), events(sample("04b_research_resumed_after_ev_0005.sse"))
    )
    seen = await client.stream(agent="deep-research-preview-04-2026", input="x", background=True)
    assert assemble(seen) == whole_of(sample(RESUMABLE))
    assert server.calls[1].endswith("?last_event_id=ev_0005&stream=true")


@pytest.mark.covers("gemini:streams:no-double")
async def test_events_that_come_again_are_not_passed_on(server: Server, client: Client) -> None:
    """A service that resumes from too early, or tells of the creation again."""
    body = sample(RESUMABLE)
    server.will(events(body, cut=1500), events(body))
    assert await client.stream(model="m", input="x") == [parse_event(value) for value in values_of(body)]
    again = stream_of([created(), START, text("Hel", event_id="e1")], done=False)
    rest = stream_of(
        [created(), text("lo", event_id="e2"), {"event_type": "interaction.completed", "interaction": ended()}]
    )
    server.will(events(again), events(rest))
    seen = await client.stream(model="m", input="x")
    assert sum(event.event_type == "interaction.created" for event in seen) == 1
    assert assemble(seen).output_text == "Hello"


@pytest.mark.covers("gemini:streams:resume")
async def test_a_stream_may_break_any_number_of_times_while_it_brings_news(
    server: Server, clock: Clock, client: Client
) -> None:
    """Each connection brings one event more."""
    values = values_of(sample(RESUMABLE))
    server.will(*[events(stream_of([value], done=False)) for value in values])
    seen = await client.stream(model="m", input="x")
    assert [event.to_wire() for event in seen] == values
    assert clock.slept == []


@pytest.mark.covers("gemini:streams:fallback")
@pytest.mark.parametrize("status", [400, 404, 501])
async def test_where_resuming_is_refused_the_result_is_asked_for(server: Server, client: Client, status: int) -> None:
    """The missing rest comes as events."""
    body = sample(RESUMABLE)
    whole = whole_of(body)

    def handle(request: Request) -> Reply:
        if request.method == "POST":
            return events(body, cut=1700)
        return refusal(status) if "stream=true" in request.target else answer(whole.to_wire())

    server.handler = handle
    assert assemble(await client.stream(model="m", input="x")) == whole
    assert server.posts == 1


@pytest.mark.covers("gemini:streams:fallback")
async def test_where_resuming_brings_nothing_the_result_is_asked_for(
    server: Server, clock: Clock, client: Client
) -> None:
    """A stream that is cut at the same mark again and again is given up after three times."""
    body = sample(RESUMABLE)

    def handle(request: Request) -> Reply:
        if request.method == "POST":
            return events(body, cut=1700)
        return events(b"") if "stream=true" in request.target else answer(whole_of(body).to_wire())

    server.handler = handle
    assert assemble(await client.stream(model="m", input="x")) == whole_of(body)
    assert sum("stream=true" in call for call in server.calls) == 3
    assert len(clock.slept) == 2


@pytest.mark.covers("gemini:streams:fallback")
async def test_an_id_may_be_told_by_any_event(server: Server, client: Client) -> None:
    """A status update names it as well."""
    update = {"event_type": "interaction.status_update", "interaction_id": "v1_a", "status": "in_progress"}
    server.will(events(stream_of([update, update], done=False)), answer(ended(steps=output("Hello"))))
    assert assemble(await client.stream(model="m", input="x")).output_text == "Hello"


@pytest.mark.covers("gemini:streams:fallback")
async def test_a_run_that_goes_on_is_waited_for(server: Server, clock: Clock, client: Client) -> None:
    """With growing waits, until its status ends the wait."""
    polls = iter(["in_progress", "queued", "in_progress", "new_status", "in_progress", "in_progress"] * 2)

    def handle(request: Request) -> Reply:
        if request.method == "POST":
            return events(HALF)
        status = next(polls, "completed")
        return answer(ended(status, steps=output("Hello")) if status == "completed" else ended(status))

    server.handler = handle
    seen = await client.stream(model="m", input="x")
    assert assemble(seen).output_text == "Hello"
    assert seen[-2].event_type == "step.stop"
    assert clock.slept[0] == 0.5
    assert clock.slept == sorted(clock.slept)
    assert clock.slept[-1] == 10
    assert server.posts == 1


@pytest.mark.covers("gemini:streams:deadline")
async def test_a_run_that_does_not_end_in_time_is_named(
    server: Server, clock: Clock, connected: Callable[..., Client]
) -> None:
    """Nothing is lost: the run goes on, and its id is in the error."""
    server.handler = lambda request: events(HALF) if request.method == "POST" else answer(ended("in_progress"))
    for way in ("own", "sync"):
        with pytest.raises(DeadlineExceeded, match="get\\(id\\)") as caught:
            await connected(way, timeout=30).stream(model="m", input="x")
        assert caught.value.interaction_id == "v1_a"
    assert sum(clock.slept) <= 60


@pytest.mark.covers("gemini:streams:fallback")
async def test_a_run_that_is_gone_has_an_unknown_outcome_with_what_came(
    server: Server, clock: Clock, client: Client
) -> None:
    """Some foreground runs are bound to their connection: 404, once it had time to become visible."""
    server.handler = lambda request: events(HALF) if request.method == "POST" else refusal(404)
    seen: list[Event] = []
    with pytest.raises(OutcomeUnknown, match="404") as caught:
        await client.collect(seen, "stream", model="m", input="x")
    assert caught.value.interaction_id == "v1_a"
    assert caught.value.partial == assemble(seen)
    assert caught.value.partial.output_text == "Hel"
    assert sum(clock.slept) >= 8


@pytest.mark.covers("gemini:streams:rest")
@pytest.mark.parametrize(
    ("delivered", "steps"),
    [
        ([], output("Hello")),
        ([START], output("Hello")),
        ([{**START, "step": {"type": "model_output", "content": [{"type": "text", "text": "Hel"}]}}], output("Hello")),
        ([START, text("Hello")], output("Hello")),
        ([START, text("Hullo")], output("Hello")),
        (
            [START, text("Hello")],
            [
                {
                    "type": "model_output",
                    "content": [
                        {"type": "text", "text": "Hello", "annotations": [{"type": "url_citation", "url": "u"}]}
                    ],
                }
            ],
        ),
        ([START, text("Hel")], [{"type": "model_output", "content": [{"type": "text", "text": "Hello", "new": 1}]}]),
        (
            [START, text("Hel")],
            [{"type": "model_output", "content": [{"type": "text", "text": "Hello"}], "error": {"code": 1}}],
        ),
        (
            [START, text("Hel")],
            [
                {
                    "type": "model_output",
                    "content": [{"type": "text", "text": "Hello"}, {"type": "image", "data": "aGk="}],
                }
            ],
        ),
        ([START, text("Hel")], [{"type": "thought", "signature": "c2ln"}, *output("Hello")]),
        (
            [{**START, "step": {"type": "thought"}}],
            [{"type": "thought", "summary": [{"type": "text", "text": "T"}], "signature": "c2ln"}],
        ),
        (
            [{**START, "index": 3}, {"event_type": "step.stop", "index": 3}],
            [{"type": "model_output"}, *output("Hello")],
        ),
        ([START, text("a"), {"event_type": "step.stop", "index": 0}, {**START, "index": 1}], output("a")),
        ([START], [{"type": "from_the_future", "deep": [1]}]),
        (
            [START, {"event_type": "step.delta", "index": 0, "delta": {"type": "image", "data": "aGk="}}],
            output("Hello"),
        ),
        (
            [{**START, "step": {"type": "user_input", "content": []}}],
            [{"type": "user_input", "content": []}, *output("Hello")],
        ),
        (
            [
                {**START, "step": {"type": "function_call", "id": "f", "name": "n", "arguments": {}}},
                {"event_type": "step.delta", "index": 0, "delta": {"type": "arguments_delta", "arguments": '{"city":'}},
            ],
            [{"type": "function_call", "id": "f", "name": "n", "arguments": {"city": "Århus", "n": 1}}],
        ),
        (
            [
                {**START, "step": {"type": "function_call", "id": "f", "name": "n", "arguments": {}}},
                {
                    "event_type": "step.delta",
                    "index": 0,
                    "delta": {"type": "arguments_delta", "arguments": '{\n"city"'},
                },
            ],
            [{"type": "function_call", "id": "f", "name": "n", "arguments": {"city": "Oslo"}}],
        ),
    ],
)
async def test_whatever_came_the_rest_completes_it(
    server: Server, backend: GeminiBackend, delivered: list[Any], steps: list[Any]
) -> None:
    """The events of a broken stream and those made from `get` assemble to what `get` answered."""
    server.will(
        events(stream_of([created(), *delivered], done=False)), answer(ended(steps=steps, input="x", labels={"a": "b"}))
    )
    whole = assemble([event async for event in backend.stream(model="m", input="x")])
    assert whole.to_wire() == ended(steps=steps)


@pytest.mark.covers("gemini:streams:rest")
async def test_pieces_of_arguments_are_given_once(server: Server, backend: GeminiBackend) -> None:
    """Where the service writes JSON as we do, the rest of a call's arguments comes as a delta."""
    body = sample(TOOLS)
    cut = body.index(b'Lisbon\\"}') - 10
    server.handler = service(body, cut)
    seen = [event async for event in backend.stream(model="m", input="x")]
    pieces = [e.delta.arguments or "" for e in seen if isinstance(e, StepDelta) and isinstance(e.delta, ArgumentsDelta)]
    assert json.loads("".join(pieces)) == {"city": "Lisbon"}


@pytest.mark.covers("gemini:streams:json")
async def test_a_stream_that_is_answered_whole_comes_as_events(server: Server, clock: Clock, client: Client) -> None:
    """Some services answer JSON; a run that was only begun is waited for."""
    server.will(answer(ended(steps=output("Hello"))))
    seen = await client.stream(model="m", input="x")
    assert [event.event_type for event in seen] == [
        "interaction.created",
        "step.start",
        "step.stop",
        "interaction.completed",
    ]
    assert assemble(seen).output_text == "Hello"
    server.will(answer(ended("in_progress")), answer(ended("in_progress")), answer(ended(steps=output("Hi"))))
    assert assemble(await client.stream(model="m", input="x")).output_text == "Hi"
    assert server.posts == 2


@pytest.mark.covers("gemini:streams:error-event")
async def test_an_error_event_is_passed_on_and_the_end_is_looked_up_once(
    server: Server, clock: Clock, client: Client
) -> None:
    """What the service says in the stream is an answer; if nothing better is known, the stream ends with it."""
    body = sample("08_error_event.sse")
    for reply in (refusal(404), answer(ended("in_progress")), refusal(403)):
        server.will(events(body), reply)
        seen = await client.stream(model="m", input="x")
        assert [event.event_type for event in seen] == ["interaction.created", "error"]
    server.will(events(body), answer(ended("failed", errors=[{"code": "deadline_exceeded", "message": "Late."}])))
    seen = await client.stream(model="m", input="x")
    assert seen[-1].event_type == "interaction.completed"
    assert assemble(seen).status == "failed"
    assert clock.slept == []
    server.requests.clear()
    server.will(events(body))
    assert (await client.stream(model="m", input="x", store=False))[-1].event_type == "error"
    assert server.calls == ["POST /v1/interactions"]


@pytest.mark.covers("gemini:streams:continued-by-server")
async def test_hops_that_the_service_continues_itself_are_one_stream(server: Server, client: Client) -> None:
    """Several `interaction.completed` in one stream, cut in the second hop."""
    stop = {"event_type": "step.stop", "index": 0}
    hop = {"event_type": "interaction.completed", "interaction": ended("requires_continuation", continuation_token="T")}
    second = [created("v1_b", event_id="e5"), START, text("lo", event_id="e6")]
    last = {"event_type": "interaction.completed", "interaction": ended(id="v1_b"), "event_id": "e8"}
    server.will(
        events(stream_of([created(event_id="e1"), START, text("Hel"), stop, hop, *second], done=False)),
        events(stream_of([stop, last])),
    )
    whole = assemble(await client("watch", "v1_a"))
    assert whole.id == "v1_b"
    assert whole.output_text == "Hello"
    assert server.calls[1] == "GET /v1/interactions/v1_b?last_event_id=e6&stream=true"


@pytest.mark.covers("gemini:streams:watch")
async def test_watching_starts_anywhere_and_resumes_as_streams_do(server: Server, client: Client) -> None:
    """From the start, and from after an event."""
    body = sample(RESUMABLE)
    values = values_of(body)
    server.will(events(body, cut=1500))
    server.will(events(sample("04b_research_resumed_after_ev_0005.sse")))
    assert [event.to_wire() for event in await client("watch", "v1_x")] == values
    server.will(events(stream_of(values[9:])))
    assert [event.to_wire() for event in await client("watch", "v1_x", after=values[8]["event_id"])] == values[9:]
    assert server.calls[-1].endswith("?last_event_id=ev_0009&stream=true")


@pytest.mark.covers("gemini:streams:watch")
async def test_watching_what_cannot_be_read_raises_why(server: Server, client: Client) -> None:
    """At the start, and where what is left cannot be asked for."""
    server.will(refusal(404, "not_found"))
    with pytest.raises(NotFound):
        await client("watch", "v1_x")
    server.will(events(b""), *[refusal(429)] * 5)
    with pytest.raises(RateLimited):
        await client("watch", "v1_x")


@pytest.mark.covers("gemini:streams:early-close")
@pytest.mark.parametrize("way", ["own", "httpx2", "httpx", "sync", "sync-httpx2", "sync-httpx"])
async def test_leaving_early_closes_the_connection_and_cancels_nothing(
    server: Server, connected: Callable[..., Client], way: str
) -> None:
    """The service sees the client go and gets no further request."""
    client = connected(way)
    server.will(events(sample(RESUMABLE), cut=1200, hang=True))

    def leave() -> None:
        for event in client.backend.stream(model="m", input="x"):  # type: ignore[union-attr]
            if event.event_type == "step.start":
                break

    if way.startswith("sync"):
        await asyncio.to_thread(leave)
    else:
        stream = client.backend.stream(model="m", input="x")
        async for event in stream:  # type: ignore[union-attr]
            if event.event_type == "step.start":
                break
        await stream.aclose()  # type: ignore[union-attr]
    assert server.gone.wait(5)
    assert server.calls == ["POST /v1/interactions"]


@pytest.mark.covers("gemini:streams:early-close")
async def test_a_cancelled_task_closes_its_stream(server: Server, backend: GeminiBackend) -> None:
    """Nothing is left open, and the run is not cancelled."""
    server.will(events(sample(RESUMABLE), cut=1200, hang=True))
    begun = asyncio.Event()

    async def follow() -> None:
        async for _ in backend.stream(model="m", input="x"):
            begun.set()

    task = asyncio.create_task(follow())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.gone.wait, 5)
    assert server.calls == ["POST /v1/interactions"]


@pytest.mark.covers("gemini:streams:not-a-stream")
async def test_a_create_that_asks_for_a_stream_is_refused(server: Server, client: Client) -> None:
    """`stream=True` belongs to `stream(...)`, which takes it."""
    with pytest.raises(InvalidRequest, match="stream"):
        await client.create(model="m", input="x", stream=True)
    assert server.requests == []
    server.will(events(sample(PLAIN)))
    await client.stream(model="m", input="x", stream=True)


@pytest.mark.covers("gemini:streams:rest")
def test_the_made_end_carries_no_steps() -> None:
    """As on the wire: what a stream made of `get` ends with has no steps of its own."""
    rest = Progress().rest(Interaction.parse(ended(steps=output("a"))))
    last = rest[-1]
    assert isinstance(last, InteractionCompleted)
    assert last.interaction.steps is None
