"""What is tried again, when, and how long."""

from __future__ import annotations

import email.utils
import socket
import time
from collections.abc import Callable

import pytest

from bridge.backends.gemini import GeminiBackend, Retries
from bridge.errors import (
    BadRequest,
    ConnectionFailed,
    InvalidResponse,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    ServiceFailed,
)
from tests.backends.gemini.wire import Client, Clock, Reply, Server, answer, events, refusal, sample

DONE = answer({"id": "v1_a", "status": "completed", "steps": []})


@pytest.mark.covers("gemini:retries:safe")
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize(
    ("method", "arguments"),
    [("get", ("v1_a",)), ("cancel", ("v1_a",)), ("delete", ("v1_a",)), ("agents.list", ()), ("watch", ("v1_a",))],
)
async def test_a_passing_failure_of_a_harmless_call_is_tried_again(
    server: Server, clock: Clock, connected: Callable[..., Client], method: str, arguments: tuple[str], status: int
) -> None:
    """Reading, cancelling and deleting do the same twice as once."""
    server.will(refusal(status), Reply(b"<html>", status), DONE if method != "watch" else events(sample("01_text.sse")))
    await connected("httpx2")(method, *arguments)
    assert len(server.requests) == 3
    assert len(clock.slept) == 2


@pytest.mark.covers("gemini:retries:safe")
async def test_a_broken_connection_of_a_harmless_call_is_tried_again(server: Server, client: Client) -> None:
    """Cut in the head, in the body, or reset."""
    server.will(
        Reply(b"{}", cut=3, cut_head=True),
        Reply(b'{"id": "v1_a", "status"', 200, {"content-type": "application/json"}, cut=5),
        Reply(b"", cut=0, cut_head=True, reset=True),
        DONE,
    )
    assert (await client("get", "v1_a")).id == "v1_a"
    assert len(server.requests) == 4


@pytest.mark.covers("gemini:retries:safe")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 416, 422, 499, 501])
async def test_what_will_not_pass_is_not_tried_again(server: Server, client: Client, status: int) -> None:
    """A refusal stands."""
    server.will(refusal(status))
    with pytest.raises(Exception, match=str(status)):
        await client("get", "v1_a")
    assert len(server.requests) == 1


@pytest.mark.covers("gemini:retries:create")
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("call", ["create", "stream"])
async def test_a_create_that_was_refused_before_it_began_is_sent_again(
    server: Server, client: Client, call: str, status: int
) -> None:
    """429 and 503 in the API's own form."""
    server.will(refusal(status), refusal(status), DONE if call == "create" else events(sample("01_text.sse")))
    await client(call, model="m", input="x")
    assert server.posts == 3


@pytest.mark.covers("gemini:retries:create")
@pytest.mark.parametrize("reply", [refusal(500), refusal(504), refusal(408), refusal(409), Reply(b"<html>", 503)])
async def test_a_create_that_may_have_begun_is_not_sent_again(server: Server, client: Client, reply: Reply) -> None:
    """Neither after an error of the service nor after one of something before it."""
    server.will(reply)
    with pytest.raises(Exception, match=str(reply.status)):
        await client.create(model="m", input="x")
    assert server.posts == 1


@pytest.mark.covers("gemini:retries:unknown")
@pytest.mark.parametrize("reply", [Reply(cut=0, cut_head=True), Reply(cut=9, cut_head=True), Reply(b"{}" * 9, cut=3)])
@pytest.mark.parametrize("reset", [False, True])
async def test_a_create_whose_answer_is_lost_has_an_unknown_outcome(
    server: Server, client: Client, reply: Reply, reset: bool
) -> None:
    """It is sent once, whatever the byte."""
    server.will(
        Reply(
            reply.body,
            headers={"content-type": "application/json"},
            cut=reply.cut,
            cut_head=reply.cut_head,
            reset=reset,
        )
    )
    with pytest.raises(OutcomeUnknown, match="not sent again") as caught:
        await client.create(model="m", input="x")
    assert caught.value.partial is None
    assert caught.value.interaction_id is None
    assert server.posts == 1


@pytest.mark.covers("gemini:retries:unknown")
async def test_a_caller_may_want_it_sent_again_all_the_same(server: Server, connected: Callable[..., Client]) -> None:
    """`create_when_unknown` is the caller's word that twice is better than never."""
    client = connected("httpx2", retries=Retries(create_when_unknown=True))
    server.will(Reply(cut=0, cut_head=True), DONE)
    assert (await client.create(model="m", input="x")).id == "v1_a"
    assert server.posts == 2


@pytest.mark.covers("gemini:retries:unknown")
async def test_an_agent_whose_creation_is_lost_is_not_created_twice(server: Server, client: Client) -> None:
    """Making something is not repeatable; it is no paid run, so the connection's failure is what is told."""
    server.will(Reply(cut=0, cut_head=True))
    with pytest.raises(ConnectionFailed) as caught:
        await client("agents.create", id="a", base_agent="b")
    assert caught.value.sent
    assert len(server.requests) == 1


@pytest.mark.covers("gemini:retries:connect")
async def test_nobody_there_is_tried_again_for_creates_too(connected: Callable[..., Client], clock: Clock) -> None:
    """Nothing was sent, so nothing can happen twice."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(ConnectionFailed, match="could not be reached") as caught:
            await connected("httpx2", base_url=url).create(model="m", input="x")
    assert not caught.value.sent
    assert len(clock.slept) == 4


@pytest.mark.covers("gemini:retries:waits")
async def test_waits_double_with_jitter_between_half_a_second_and_eight(
    server: Server, clock: Clock, connected: Callable[..., Client]
) -> None:
    """And no wait is like another client's."""
    client = connected("httpx2", retries=8)
    server.will(*[refusal(503)] * 9)
    with pytest.raises(ServiceFailed):
        await client("get", "v1_a")
    assert len(server.requests) == 9
    for wait, least in zip(clock.slept, [0.5, 1, 2, 4, 8, 8, 8, 8], strict=True):
        assert least <= wait <= min(least + 0.5, 8)
    assert clock.slept[0] != 0.5


@pytest.mark.covers("gemini:retries:waits")
async def test_retry_after_replaces_the_wait(server: Server, clock: Clock, client: Client) -> None:
    """In seconds, in milliseconds, as a date; nonsense is ignored."""
    date = email.utils.formatdate(time.time() + 40, usegmt=True)
    server.will(
        refusal(429, retry_after="7"),
        refusal(429, retry_after_ms="1500", retry_after="9"),
        refusal(503, retry_after=date),
        refusal(503, retry_after="soon"),
        DONE,
    )
    await client("get", "v1_a")
    assert clock.slept[:2] == [7, 1.5]
    assert 30 < clock.slept[2] <= 40
    assert 4 <= clock.slept[3] <= 8


@pytest.mark.covers("gemini:retries:deadline")
async def test_no_wait_outlasts_the_deadline(server: Server, clock: Clock, connected: Callable[..., Client]) -> None:
    """What the service asked for is in the error then."""
    client = connected("httpx2", timeout=20)
    server.will(refusal(429, "rate_limit_exceeded", retry_after="15"), refusal(429, retry_after="15"))
    with pytest.raises(RateLimited) as caught:
        await client("get", "v1_a")
    assert caught.value.retry_after == 15
    assert clock.slept == [15]


@pytest.mark.covers("gemini:retries:deadline")
async def test_silence_ends_at_the_timeout(server: Server, connected: Callable[..., Client]) -> None:
    """A service that says nothing is given up; for a create that is an unknown outcome."""
    for way in ("httpx2", "sync-httpx"):
        client = connected(way, timeout=0.05, retries=0)
        server.will(Reply(b"", cut=0, cut_head=True, hang=True), Reply(b"", cut=0, cut_head=True, hang=True))
        with pytest.raises(ConnectionFailed, match="no answer in time"):
            await client("get", "v1_a")
        with pytest.raises(OutcomeUnknown, match="no answer in time"):
            await client.create(model="m", input="x")


@pytest.mark.covers("gemini:retries:none")
async def test_no_retries_are_none(server: Server, clock: Clock, connected: Callable[..., Client]) -> None:
    """0 further attempts."""
    server.will(refusal(503))
    with pytest.raises(ServiceFailed):
        await connected("httpx2", retries=0)("get", "v1_a")
    assert len(server.requests) == 1
    assert clock.slept == []


@pytest.mark.covers("gemini:retries:not-yet-visible")
async def test_a_404_right_after_create_is_asked_again(server: Server, clock: Clock, client: Client) -> None:
    """For the ids this backend created, until they were seen."""
    server.will(DONE, refusal(404), refusal(404), refusal(404), DONE, refusal(404))
    created = await client.create(model="m", input="x", background=True)
    assert (await client("get", created.id)).id == "v1_a"
    with pytest.raises(NotFound):
        await client("get", created.id)
    assert len(server.requests) == 6


@pytest.mark.covers("gemini:retries:not-yet-visible")
async def test_a_404_counts_in_the_end(server: Server, clock: Clock, client: Client) -> None:
    """Ten seconds, and at once for ids of others, deleted ones and those created long ago."""
    server.handler = lambda request: DONE if request.method in ("POST", "DELETE") else refusal(404)
    begun = clock.now
    created = await client.create(model="m", input="x")
    with pytest.raises(NotFound):
        await client("get", created.id)
    assert 8 <= clock.now - begun <= 20
    clock.now += 100
    waited = len(clock.slept)
    with pytest.raises(NotFound):
        await client("get", created.id)
    with pytest.raises(NotFound):
        await client("get", "v1_other")
    await client.create(model="m", input="x")
    await client("delete", created.id)
    with pytest.raises(NotFound):
        await client("get", created.id)
    assert len(clock.slept) == waited


@pytest.mark.covers("gemini:retries:not-yet-visible")
async def test_what_is_remembered_of_creates_is_bounded(server: Server, clock: Clock, backend: GeminiBackend) -> None:
    """Old ids are forgotten as new ones come."""
    for number in range(50):
        server.will(answer({"id": f"v1_{number}", "status": "in_progress"}))
        await backend.create(model="m", input="x", background=True)
        clock.now += 1
    assert len(backend._wire.recent._until) <= 11


@pytest.mark.covers("gemini:retries:delete")
async def test_a_delete_whose_first_answer_was_lost_has_happened(server: Server, client: Client) -> None:
    """The second attempt's 404 says that the first one did it; a 404 alone is one."""
    server.will(Reply(cut=0, cut_head=True), refusal(404), refusal(503), refusal(404))
    assert await client("delete", "v1_a") is None
    with pytest.raises(NotFound):
        await client("delete", "v1_b")


@pytest.mark.covers("gemini:retries:safe")
async def test_an_answer_that_is_none_is_not_tried_again(server: Server, client: Client) -> None:
    """It would come again."""
    server.will(Reply(b"<html>", 200, {"content-type": "text/html"}))
    with pytest.raises(InvalidResponse):
        await client("get", "v1_a")
    server.will(refusal(400))
    with pytest.raises(BadRequest):
        await client("get", "v1_a")
    assert len(server.requests) == 2


@pytest.mark.covers("gemini:retries:deadline")
async def test_no_timeout_is_no_bound(server: Server, clock: Clock, connected: Callable[..., Client]) -> None:
    """Attempts still are."""
    client = connected("httpx2", timeout=None)
    server.will(refusal(429, retry_after="100000"), DONE)
    await client("get", "v1_a")
    assert clock.slept == [100_000]


@pytest.mark.covers("gemini:retries:waits")
async def test_without_a_clock_of_the_caller_time_is_real(server: Server) -> None:
    """The wait asked for here is a thousandth of a second."""
    server.will(refusal(429, retry_after_ms="1"), DONE)
    async with GeminiBackend("KEY", server.url) as backend:
        assert (await backend.get("v1_a")).id == "v1_a"
