"""Creating, reading, continuing, cancelling and deleting interactions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bridge.backend import Backend
from bridge.backends.gemini import GeminiBackend
from bridge.errors import BadRequest, InteractionFailed, InvalidRequest, OutcomeUnknown
from bridge.interactions import CreateModelInteraction, Interaction, InteractionCompleted, TextContent, assemble
from tests.backends.gemini.wire import Client, Reply, Server, answer, events, refusal, sample


def hop(number: int, status: str = "completed", **fields: Any) -> dict[str, Any]:
    return {
        "id": f"v1_{number}",
        "status": status,
        "steps": [{"type": "model_output", "content": [{"type": "text", "text": f"part {number} "}]}],
        "usage": {"total_tokens": 10, "total_input_tokens": 8, "total_output_tokens": 2},
        **fields,
    }


def more(number: int, token: str) -> dict[str, Any]:
    return hop(number, "requires_continuation", continuation_token=token)


@pytest.mark.covers("gemini:turns")
async def test_a_turn_is_created_read_cancelled_and_deleted(server: Server, client: Client) -> None:
    """Each over every way to reach the backend, with the answer as a model."""
    server.will(Reply(sample("01_text.response.json"), 200, {"content-type": "application/json; charset=UTF-8"}))
    turn = await client.create(model="m", input="hi")
    assert turn.output_text == "Hello there, how are you?"
    assert turn.to_wire() == Interaction.parse(server_json("01_text.response.json")).to_wire()
    server.will(Reply(sample("01_text.get_include_input.response.json")), answer(hop(1, "cancelled")), answer({}))
    assert (await client("get", turn.id, include_input=True)).id == turn.id
    assert (await client("cancel", "v1_1")).status == "cancelled"
    assert await client("delete", "v1_1") is None
    assert [request.method for request in server.requests] == ["POST", "GET", "POST", "DELETE"]
    assert server.requests[2].body == b""


def server_json(name: str) -> Any:
    return json.loads(sample(name))


@pytest.mark.covers("gemini:turns")
async def test_a_request_may_be_an_object_fields_or_both(server: Server, client: Client) -> None:
    """Fields are set on top of the object; None is left out."""
    server.will(*[answer(hop(1))] * 2)
    request = CreateModelInteraction(model="m", input=[TextContent(text="a")], store=None, temperature=1)
    await client("create", request)
    assert server.requests[0].json == {
        "model": "m",
        "input": [{"type": "user_input", "content": [{"type": "text", "text": "a"}]}],
        "temperature": 1,
    }
    await client("create", request, input="b", labels=None)
    assert server.requests[1].json["input"] == "b"


@pytest.mark.covers("gemini:turns:refused")
@pytest.mark.parametrize(
    "fields",
    [
        {"input": "x"},
        {"model": "m", "agent": "a"},
        {"agent": "a", "generation_config": {}},
        {"model": "m", "input": "x", "store": "maybe"},
        {"model": "m", "input": "x", "labels": {"a": float("nan")}},
        {"model": "m", "input": "x", "new": float("inf")},
        {"model": "m", "input": "x", "new": {1, 2}},
    ],
)
async def test_what_cannot_be_sent_is_refused_before_it_is(
    server: Server, client: Client, fields: dict[str, Any]
) -> None:
    """In words of ours."""
    for call in ("create", "stream"):
        with pytest.raises(InvalidRequest):
            await client(call, **fields)
    assert server.requests == []


@pytest.mark.covers("gemini:turns:refused")
async def test_ids_and_paths_cannot_reach_other_addresses(server: Server, client: Client) -> None:
    """Slashes in an id are part of it; dots alone are none; paths stay in their environment."""
    for name in ("", ".", ".."):
        with pytest.raises(InvalidRequest, match="names nothing"):
            await client("get", name)
    for path in ("../a", "a/../../b", "a//b", "./a"):
        with pytest.raises(InvalidRequest, match="path"):
            await client("files.read", "e1", path)
    with pytest.raises(InvalidRequest, match="URL"):
        await client("get", "\ud800")
    assert server.requests == []
    server.will(answer(hop(1)))
    await client("get", "../agents/x?y=1#z")
    assert server.calls == ["GET /v1/interactions/..%2Fagents%2Fx%3Fy%3D1%23z?stream=false"]


@pytest.mark.covers("gemini:turns")
async def test_text_that_is_no_text_still_arrives(server: Server, client: Client) -> None:
    """Half of a surrogate pair can only be sent escaped."""
    server.will(answer(hop(1)))
    await client.create(model="m", input="a\ud83d")
    assert server.requests[0].json["input"] == "a\ud83d"


@pytest.mark.covers("gemini:continuation")
async def test_a_turn_that_stopped_at_the_limit_is_continued(server: Server, client: Client) -> None:
    """With the token and the hop's id and without the input; the answer holds all hops."""
    server.will(answer(more(1, "T1")), answer(more(2, "T2")), answer(hop(3)))
    turn = await client.create(model="m", input="x", system_instruction="S")
    assert [request.json for request in server.requests] == [
        {"model": "m", "input": "x", "system_instruction": "S"},
        {"model": "m", "continuation_token": "T1", "previous_interaction_id": "v1_1", "system_instruction": "S"},
        {"model": "m", "continuation_token": "T2", "previous_interaction_id": "v1_2", "system_instruction": "S"},
    ]
    assert turn.output_text == "part 1 part 2 part 3 "
    assert turn.id == "v1_3"
    assert turn.continuation_ids == ["v1_1", "v1_2", "v1_3"]
    assert turn.usage.total_tokens == 30  # type: ignore[union-attr]


@pytest.mark.covers("gemini:continuation")
async def test_what_is_not_stored_is_continued_with_its_input(server: Server, client: Client) -> None:
    """The service does not know it."""
    first = more(1, "T1")
    del first["id"]
    server.will(answer(first), answer(hop(2)))
    await client.create(model="m", input="x", store=False)
    assert server.requests[1].json == {"model": "m", "continuation_token": "T1", "input": "x", "store": False}


@pytest.mark.covers("gemini:continuation")
@pytest.mark.parametrize(
    ("fields", "reply"),
    [
        ({"agent": "a"}, more(1, "T1")),
        ({"model": "m", "background": True}, more(1, "T1")),
        ({"model": "m", "continuation_token": "T1"}, more(1, "T1")),
        ({"model": "m"}, hop(1, "requires_continuation")),
        ({"model": "m"}, hop(1, "incomplete", continuation_token="T1")),
    ],
)
async def test_what_the_service_continues_or_nobody_can_is_not(
    server: Server, client: Client, fields: dict[str, Any], reply: dict[str, Any]
) -> None:
    """Agents, background runs, a token that does not change, no token, another status."""
    server.will(answer(reply))
    assert (await client.create(input="x", **fields)).status == reply["status"]
    assert server.posts == 1


@pytest.mark.covers("gemini:continuation:stream")
async def test_a_streamed_turn_is_continued_in_the_same_stream(server: Server, client: Client) -> None:
    """All hops' events, one after another, assembled to one turn."""
    second = sample("01_text.sse").replace(b"Hello there,", b"part two,")
    server.will(events(sample("07_hop1.sse")), events(second))
    seen = await client.stream(model="m", input="x")
    assert sum(isinstance(event, InteractionCompleted) for event in seen) == 2
    assert server.requests[1].json == {
        "model": "m",
        "stream": True,
        "continuation_token": "Y29udC10b2tlbi0x",
        "previous_interaction_id": assemble(seen).continuation_ids[0],  # type: ignore[index]
    }
    assert [
        step["content"][0]["text"] for step in assemble(seen).to_wire()["steps"] if step["type"] == "model_output"
    ] == [
        "Part one, ",
        "part two, how are you?",
    ]


@pytest.mark.covers("gemini:continuation:failed")
async def test_a_continuation_that_fails_costs_nothing_that_came(server: Server, client: Client) -> None:
    """The error holds the hops before it, and the token to go on with."""
    server.will(answer(more(1, "T1")), refusal(400))
    with pytest.raises(InteractionFailed, match="continuation_token") as caught:
        await client.create(model="m", input="x")
    assert caught.value.interaction.output_text == "part 1 "
    assert caught.value.interaction.continuation_token == "T1"
    server.will(events(sample("07_hop1.sse")), refusal(400))
    with pytest.raises(InteractionFailed) as caught:
        await client.stream(model="m", input="x")
    assert caught.value.interaction.output_text == "Part one, "


@pytest.mark.covers("gemini:continuation:failed")
async def test_a_continuation_whose_answer_is_lost_has_an_unknown_outcome(server: Server, client: Client) -> None:
    """With the hops that came, streamed or not."""
    server.will(answer(more(1, "T1")), answer(more(2, "T2")), Reply(cut=0, cut_head=True))
    with pytest.raises(OutcomeUnknown) as caught:
        await client.create(model="m", input="x")
    assert caught.value.partial is not None
    assert caught.value.partial.output_text == "part 1 part 2 "
    for reply in (Reply(cut=0, cut_head=True), events(b"")):
        server.will(events(sample("07_hop1.sse")), reply)
        with pytest.raises(OutcomeUnknown) as caught:
            await client.stream(model="m", input="x")
        assert caught.value.partial is not None
        assert caught.value.partial.output_text == "Part one, "


@pytest.mark.covers("gemini:continuation:stream")
async def test_a_hop_that_breaks_is_resumed_and_then_continued(server: Server, client: Client) -> None:
    """The result that is asked for may be one that goes on."""
    body = sample("07_hop1.sse")
    server.will(events(body, cut=800), answer(more(1, "T1")), events(sample("01_text.sse")))
    seen = await client.stream(model="m", input="x")
    assert server.requests[2].json["continuation_token"] == "T1"
    assert assemble(seen).status == "completed"


@pytest.mark.covers("gemini:backend")
async def test_it_is_a_backend(backend: GeminiBackend, connected: Callable[..., Client], server: Server) -> None:
    """It meets the protocol, and closing twice is one."""
    assert isinstance(backend, Backend)
    assert backend.name == "gemini"
    assert backend.capabilities.stream_resume == "cursor"
    await backend.aclose()
    await backend.aclose()
    server.will(refusal(400))
    with pytest.raises(BadRequest):
        await connected("own").create(model="m", input="x")
