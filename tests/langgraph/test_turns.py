"""A turn that the service refuses: which refusals mean that the parent is gone, and what is said about turns that send everything."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from bridge.errors import ApiError, api_error
from bridge.langgraph import ChatInteractions
from bridge.langgraph.messages import ANCHOR
from bridge.sessions import replay_counts
from tests.sessions.model_server import Loss, ModelServer


async def ask(model: ChatInteractions, messages: list[BaseMessage], how: str) -> AIMessage:
    """The answer, by one of the four ways to ask."""
    match how:
        case "invoke":
            return await asyncio.to_thread(model.invoke, messages)
        case "ainvoke":
            return await model.ainvoke(messages)
        case "stream":
            first, *rest = await asyncio.to_thread(lambda: list(model.stream(messages)))
        case _:
            first, *rest = [chunk async for chunk in model.astream(messages)]
    return first + rest


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream"])
def how(request: pytest.FixtureRequest) -> str:
    """One of the four ways to ask."""
    return str(request.param)


async def two_turns(server: ModelServer) -> tuple[ChatInteractions, list[BaseMessage]]:
    """A model, and messages whose next turn follows an answer."""
    model = ChatInteractions(model="m", backend=server)
    first: list[BaseMessage] = [HumanMessage("a")]
    messages = [*first, await model.ainvoke(first), HumanMessage("b")]
    server.requests.clear()
    return model, messages


def parents(server: ModelServer) -> list[str | None]:
    return [request.get("previous_interaction_id") for request in server.requests]


@pytest.mark.covers("langgraph:replay:gone")
@pytest.mark.parametrize("loss", ["404", "400", "403"])
async def test_every_way_to_say_that_the_parent_is_gone_leads_to_one_replay(
    how: str, loss: Loss, caplog: pytest.LogCaptureFixture
) -> None:
    """404; a 400 that names the field; a 403 that names nothing, after which the parent cannot be read: counted and logged."""
    server = ModelServer()
    model, messages = await two_turns(server)
    server.gone["v1_1"] = loss
    before = replay_counts().get("gone", 0)
    with caplog.at_level(logging.WARNING, "bridge.langgraph"):
        answer = await ask(model, messages, how)
    assert answer.response_metadata["id"] == "v1_2"
    assert parents(server) == ["v1_1", None]
    assert [step["type"] for step in server.requests[1]["input"]] == [
        *("user_input", "thought", "model_output", "user_input")
    ]
    assert replay_counts()["gone"] == before + 1
    (told,) = caplog.messages
    assert "v1_1" in told
    assert loss in told


@pytest.mark.covers("langgraph:replay:gone")
@pytest.mark.parametrize("status", [400, 403, 409, 429, 500])
async def test_every_other_refusal_is_raised_as_it_is(how: str, status: int) -> None:
    """The parent can be read, so it is not the reason: nothing is sent again."""
    server = ModelServer()
    model, messages = await two_turns(server)
    server.refusals = [refusal := api_error("no", status=status)]
    with pytest.raises(ApiError) as raised:
        await ask(model, messages, how)
    assert raised.value is refusal
    assert parents(server) == ["v1_1"]


@pytest.mark.covers("langgraph:replay:gone")
@pytest.mark.parametrize("status", [400, 403, 404])
async def test_a_replay_that_is_refused_is_the_last_attempt(how: str, status: int) -> None:
    """Whatever the second refusal names, it is raised."""
    server = ModelServer()
    model, messages = await two_turns(server)
    second = api_error("previous_interaction_id", status=status)
    server.refusals = [api_error("previous_interaction_id: unknown", status=400), second]
    with pytest.raises(ApiError) as raised:
        await ask(model, messages, how)
    assert raised.value is second
    assert parents(server) == ["v1_1", None]


@pytest.mark.covers("langgraph:replay:gone")
@pytest.mark.parametrize("status", [400, 403, 404])
async def test_without_a_parent_no_refusal_is_about_it(how: str, status: int) -> None:
    """A first turn is never sent twice."""
    server = ModelServer()
    server.refusals = [api_error("previous_interaction_id", status=status)]
    with pytest.raises(ApiError):
        await ask(ChatInteractions(model="m", backend=server), [HumanMessage("a")], how)
    assert parents(server) == [None]


@pytest.mark.covers("langgraph:replay:gone")
async def test_a_look_at_the_parent_that_fails_says_nothing(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the refusal of the turn is what the caller gets."""
    server = ModelServer()
    model, messages = await two_turns(server)

    async def broken(id: str, **_: Any) -> Any:
        raise api_error("down", status=503)

    monkeypatch.setattr(server, "get", broken)
    server.refusals = [refusal := api_error("no", status=403)]
    with pytest.raises(ApiError) as raised:
        await ask(model, messages, how)
    assert raised.value is refusal
    assert len(server.requests) == 1


@pytest.mark.covers("langgraph:chat:chunks")
@pytest.mark.parametrize("version", [None, "v1"])
async def test_the_anchor_rides_on_exactly_one_chunk(version: str | None) -> None:
    """Merging joins texts: on two chunks it would come out as an id of twice the length that nothing fits."""
    server = ModelServer()
    server.next_rich = True
    model = ChatInteractions(model="m", backend=server, output_version=version)
    first, *rest = chunks = [chunk async for chunk in model.astream("a")]
    anchors = [chunk.additional_kwargs[ANCHOR] for chunk in chunks if chunk.additional_kwargs]
    assert [anchor["id"] for anchor in anchors] == ["v1_1"]
    assert (first + rest).additional_kwargs == {ANCHOR: anchors[0]}


@pytest.mark.covers("sessions:replays")
async def test_the_third_replay_in_a_row_is_told_with_its_bytes(caplog: pytest.LogCaptureFixture) -> None:
    """A window that slides before every turn: one warning that names the session, the reason and what this turn cost, and no second."""
    server = ModelServer()
    model = ChatInteractions(model="m", backend=server)
    messages: list[BaseMessage] = []
    with caplog.at_level(logging.WARNING, "bridge.langgraph"):
        for number in range(6):
            messages = [*messages[-2:], HumanMessage(f"turn {number}")]
            messages.append(await model.ainvoke(messages))
    assert parents(server) == [None, "v1_1", None, None, None, None]
    (told,) = caplog.messages
    assert model.session_key in told
    assert "changed" in told
    size = len(json.dumps(server.requests[4]["input"], separators=(",", ":")))
    assert f"{size} bytes" in told
