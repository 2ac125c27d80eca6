"""What a service may answer `ChatInteractions`: refusals of the parent and others, failures, silence, a turn in several hops."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from bridge.backends.gemini import GeminiBackend
from bridge.errors import (
    ApiError,
    AuthenticationFailed,
    BadRequest,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    ServiceFailed,
)
from bridge.langgraph import ChatInteractions
from bridge.langgraph.messages import ANCHOR
from bridge.sessions import replay_counts

from .conftest import Script, chat_of
from .test_chat import ask


async def second_turn(url: str, streaming: bool) -> AIMessage:
    """The answer to the second question of a conversation, asked by a process that did not ask the first.

    One that did would give the service time to find what it has just made.
    """
    messages: list[BaseMessage] = [HumanMessage("one")]
    messages += [await chat_of(url).ainvoke(messages)]
    return await ask(chat_of(url), [*messages, HumanMessage("two")], streaming)


def parents(script: Script) -> list[str | None]:
    """What each create follows."""
    return [body.get("previous_interaction_id") for method, _, body in script.asked if method == "POST"]


@pytest.mark.covers("langgraph:replay:gone")
@pytest.mark.parametrize("status", [400, 403])
async def test_a_refusal_that_names_the_parent_is_replaced(
    script: Script, url: str, streaming: bool, status: int
) -> None:
    """Without a look at it; counted."""
    before = replay_counts().get("gone", 0)
    script.tells("first")
    script.says(status, "previous_interaction_id v1_0 cannot be used")
    script.tells("second")
    assert (await second_turn(url, streaming)).content == "second"
    assert parents(script) == [None, "v1_0", None]
    assert [method for method, _, _ in script.asked] == ["POST"] * 3
    assert replay_counts()["gone"] == before + 1


@pytest.mark.covers("langgraph:replay:gone")
@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("found", [404, 403])
async def test_a_refusal_that_names_nothing_is_replaced_where_the_parent_is_gone(
    script: Script, url: str, streaming: bool, status: int, found: int
) -> None:
    """A look at it tells."""
    script.tells("first")
    script.says(status, "no")
    script.says(found, "not here")
    script.tells("second")
    assert (await second_turn(url, streaming)).content == "second"
    assert [method for method, _, _ in script.asked] == ["POST", "POST", "GET", "POST"]
    assert script.asked[2][1].endswith("/interactions/v1_0")
    assert parents(script) == [None, "v1_0", None]


@pytest.mark.covers("langgraph:replay:gone")
@pytest.mark.parametrize(("status", "error"), [(400, BadRequest), (403, PermissionDenied)])
@pytest.mark.parametrize("look", [200, 500])
async def test_every_other_refusal_is_raised_as_it_is(
    script: Script, url: str, streaming: bool, status: int, error: type[ApiError], look: int
) -> None:
    """Where the parent is there, and where a look at it tells nothing."""
    script.tells("first")
    script.says(status, "too many tools")
    if look == 200:
        script.tells("first", id="v1_0")
    else:
        script.says(look, "busy", "internal")
    with pytest.raises(error, match="too many tools"):
        await second_turn(url, streaming)
    assert parents(script) == [None, "v1_0"]


@pytest.mark.covers("langgraph:replay:gone")
@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationFailed), (429, RateLimited), (503, ServiceFailed)])
async def test_an_error_that_is_no_refusal_asks_for_no_look_at_the_parent(
    script: Script, url: str, streaming: bool, status: int, error: type[ApiError]
) -> None:
    """Even where it names it: nothing is replayed because a service is busy or a key is wrong."""
    script.tells("first")
    script.says(status, "not now, previous_interaction_id or not")
    with pytest.raises(error):
        await second_turn(url, streaming)
    assert [method for method, _, _ in script.asked] == ["POST", "POST"]


@pytest.mark.covers("langgraph:replay:gone")
async def test_a_replay_that_is_refused_is_raised(script: Script, url: str, streaming: bool) -> None:
    """There is no second one."""
    script.tells("first")
    script.says(404, "v1_0 not found", "not_found")
    script.says(400, "previous_interaction_id is still wrong")
    with pytest.raises(BadRequest, match="still wrong"):
        await second_turn(url, streaming)
    assert parents(script) == [None, "v1_0", None]


@pytest.mark.covers("langgraph:replay:gone")
@pytest.mark.parametrize("gone", [True, False])
def test_a_look_at_the_parent_without_an_event_loop(script: Script, url: str, gone: bool) -> None:
    """The same rules."""
    script.tells("first")
    first = chat_of(url).invoke("one")
    chat = chat_of(url)
    script.says(403, "no")
    script.says(404 if gone else 500, "not here")
    script.tells("second")
    messages = [HumanMessage("one"), first, HumanMessage("two")]
    if gone:
        assert chat.invoke(messages).content == "second"
    else:
        with pytest.raises(PermissionDenied):
            chat.invoke(messages)
    assert [method for method, _, _ in script.asked] == ["POST", "POST", "GET", *["POST"] * gone]


@pytest.mark.covers("langgraph:chat:timeout")
async def test_a_call_takes_no_longer_than_its_timeout(script: Script, url: str, streaming: bool) -> None:
    """Seconds, of the model's own backend."""
    script.answers = [None]
    async with asyncio.timeout(10):
        with pytest.raises(OutcomeUnknown, match="no answer in time"):
            await ask(chat_of(url, timeout=0.2), [HumanMessage("hi")], streaming)


@pytest.mark.covers("langgraph:chat:timeout")
async def test_a_busy_service_is_asked_again_as_often_as_allowed(script: Script, url: str, streaming: bool) -> None:
    """Where trying again is safe."""
    for _ in range(2):
        script.says(429, "busy", "rate_limited")
    script.tells("here")
    assert (await ask(chat_of(url, max_retries=2), [HumanMessage("hi")], streaming)).content == "here"
    script.says(429, "busy", "rate_limited")
    with pytest.raises(ApiError, match="busy"):
        await ask(chat_of(url), [HumanMessage("hi")], streaming)
    assert len(script.asked) == 4


@pytest.mark.covers("langgraph:chat:errors")
async def test_a_broken_service_is_a_typed_error(script: Script, url: str, streaming: bool) -> None:
    """Nobody else's exception, and no key in it."""
    script.says(500, "it broke because of the key key-1234567890", "internal")
    with pytest.raises(ServiceFailed) as failure:
        await ask(chat_of(url, api_key="key-1234567890"), [HumanMessage("hi")], streaming)
    assert "key-1234567890" not in f"{failure.value!r} {failure.value}"


@pytest.mark.covers("langgraph:chat:continuation")
async def test_a_turn_in_several_hops_is_followed_to_its_end(script: Script, url: str, streaming: bool) -> None:
    """One answer: the texts of both hops, the sum of their usage, the last id to follow."""
    usage = {"total_input_tokens": 3, "total_output_tokens": 2}
    script.tells("One ", id="v1_a", status="requires_continuation", continuation_token="t", usage=usage)
    script.tells("two.", id="v1_b", usage=usage)
    script.tells("three")
    chat = chat_of(url)
    answer = await ask(chat, [HumanMessage("count")], streaming)
    assert answer.content == "One two."
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 10
    assert answer.response_metadata["id"] == answer.additional_kwargs[ANCHOR]["id"] == "v1_b"
    assert answer.response_metadata["status"] == "completed"
    await ask(chat, [HumanMessage("count"), answer, HumanMessage("go on")], streaming)
    assert script.asked[1][2]["continuation_token"] == "t"
    assert script.asked[2][2]["previous_interaction_id"] == "v1_b"


@pytest.mark.covers("langgraph:chat:media-out")
@pytest.mark.parametrize("streaming_invoke", [False, True])
async def test_a_picture_alone_is_the_whole_content(script: Script, url: str, streaming_invoke: bool) -> None:
    """Also where LangChain merges the chunks, and it goes back with a replay as it came."""
    picture = {"type": "image", "data": "AAAA", "mime_type": "image/png"}
    script.tells("", steps=[{"type": "model_output", "content": [picture]}])
    script.tells("nice")
    settings = {"streaming": True} if streaming_invoke else {}
    answer = await chat_of(url, **settings).ainvoke("draw")
    block = {"type": "image", "base64": "AAAA", "mime_type": "image/png"}
    assert answer.content == answer.content_blocks == [block]
    other = ChatInteractions(model="m", base_url=url, api_key="key", session="off", max_retries=0)
    await other.ainvoke([HumanMessage("draw"), answer, HumanMessage("well?")])
    assert script.asked[1][2]["input"][1] == {"type": "model_output", "content": [picture]}


@pytest.mark.covers("langgraph:chat:status")
@pytest.mark.parametrize("status", ["queued", "in_progress"])
async def test_a_turn_that_is_not_over_is_told_as_it_stands(script: Script, url: str, status: str) -> None:
    """With its status, so that a caller sees that more may come."""
    script.tells("So far", status=status)
    answer = await chat_of(url).ainvoke("hi")
    assert (answer.content, answer.response_metadata["status"]) == ("So far", status)


@pytest.mark.covers("model:unknown:invalid")
@pytest.mark.parametrize("steps", [{"a": 1}, "text", 7, [1, None, {"no": "type"}], None])
async def test_an_answer_whose_steps_are_none_is_an_empty_one(steps: Any) -> None:
    """What a service says instead of its steps breaks no reader of it."""
    body = {"id": "v1_x", "status": "completed", "object": "interaction", "steps": steps}

    async def odd(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    async with (
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=odd)) as http,
        GeminiBackend(api_key="k" * 20, base_url="https://odd.test", http=http) as backend,
    ):
        assert (await ChatInteractions(model="m", backend=backend).ainvoke("Hello.")).text == ""
