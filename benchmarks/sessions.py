"""What a conversation costs: bytes sent per turn, against a chat model that sends everything, and the time to plan a turn."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage, messages_to_dict
from langchain_core.runnables import Runnable
from langchain_google_genai import ChatGoogleGenerativeAI
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import SecretStr

from benchmarks.rounds import Row, ratio, rounds
from bridge.backend import Capabilities
from bridge.backends.gemini import GeminiBackend
from bridge.langgraph import ChatInteractions
from bridge.langgraph.messages import ANCHOR, to_history
from bridge.sessions import Anchor, plan
from bridge.sessions.history import VERSION, Digest

_MODEL = "gemini-3.8-flash"
_SAID = "Noted. I keep that in mind for what you ask me next."
_STEPS = [
    {"type": "thought", "signature": "U0FNUExFLVNJR05BVFVSRS0wMQ=="},
    {"type": "model_output", "content": [{"type": "text", "text": _SAID}]},
]
_INTERACTION = {"status": "completed", "object": "interaction", "model": _MODEL, "steps": _STEPS}
_GENERATED = {
    "candidates": [
        {"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [{"text": _SAID}]}},
    ],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
    "modelVersion": _MODEL,
}
_PICTURE = {"type": "image", "base64": base64.b64encode(os.urandom(30_000)).decode(), "mime_type": "image/png"}


@asynccontextmanager
async def _counting() -> AsyncIterator[tuple[str, list[int]]]:
    """A stand-in for both APIs in this process: its address, and the size of the body of every request to it."""
    sizes: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
                await reader.readexactly(length)
                sizes.append(length)
                ours = {"id": f"v1_{len(sizes):06d}", **_INTERACTION}
                body = json.dumps(_GENERATED if b":generatecontent" in head.split(b"\r\n")[0] else ours)
                said = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
                writer.write(said.encode())
        except (asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=1 << 20)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", sizes
    finally:
        server.close()


async def _talk(model: Runnable[Any, AIMessage], turns: int, sizes: list[int], every: int = 1) -> list[int]:
    """The bytes of a conversation's turns through a graph of one node, of each `every`th one and of the second.

    The other turns get the same answer without asking for it. The first one shows a picture.
    """

    async def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    # Without a checkpointer, which changes nothing of what is sent.
    graph: Any = StateGraph(MessagesState).add_node("talk", node).add_edge(START, "talk").compile()
    messages: list[BaseMessage] = []
    sizes.clear()
    for turn in range(turns):
        text = f"This is turn {turn:05d} of a conversation; what should I think of next?"
        messages.append(HumanMessage([{"type": "text", "text": text}, _PICTURE] if turn == 0 else text))
        if turn == 1 or (turn + 1) % every == 0:
            messages = (await graph.ainvoke({"messages": messages}))["messages"]
        else:
            messages.append(AIMessage(_SAID))
    return list(sizes)


def _tools() -> list[dict[str, Any]]:
    """Functions of 20 KB in sum."""
    return [
        {
            "type": "function",
            "name": f"tool_{number:02d}",
            "description": "What this tool does, and when to use it. " * 20,
            "parameters": {"type": "object", "properties": {"query": {"type": "string", "description": "What. " * 10}}},
        }
        for number in range(19)
    ]


async def bytes_sent() -> list[Row]:
    """Ours after the first turn, which shows the picture: the largest against the smallest. Theirs: does every turn add as much?"""
    rows: list[Row] = []
    async with _counting() as (url, sizes), GeminiBackend("benchmark", base_url=url) as backend:
        chat = ChatInteractions(model=_MODEL, backend=backend)
        theirs: BaseChatModel = ChatGoogleGenerativeAI(model=_MODEL, api_key=SecretStr("benchmark"), base_url=url)
        for turns, every in ((100, 1), (1_000, 100)):
            first, *ours = await _talk(chat, turns, sizes)
            assert len(ours) == turns - 1
            constant = max(ours) / min(ours)
            detail = f"{min(ours):,} to {max(ours):,} bytes; the first turn, with a picture, {first:,}"
            what = f"bytes sent per turn over {turns:,} turns: our largest / our smallest after the first"
            rows.append(Row(what, constant, "≤ 1.1", constant <= 1.1, detail))
            sent = (await _talk(theirs, turns, sizes, every))[-(turns // every) :]
            added = [later - sooner for sooner, later in pairwise(sent)]
            linear = max(added) / min(added)
            detail = (
                f"each adds {statistics.median(added) / every:,.0f}; the last one sends {sent[-1]:,}, ours {ours[-1]:,}"
            )
            what = f"the same with ChatGoogleGenerativeAI: the most / the least that turns add (1 is linear), {turns:,} turns"
            rows.append(Row(what, linear, "≤ 1.1", linear <= 1.1, detail))
            more = sent[-1] / ours[-1]
            what = f"bytes of the last of {turns:,} turns: ChatGoogleGenerativeAI / ours"
            rows.append(Row(what, more, "≥ 10", more >= 10, ""))
        tools = _tools()
        size = len(json.dumps(tools, separators=(",", ":")))
        _, *ours = await _talk(chat.bind_tools(tools), 100, sizes)
    constant = max(ours) / min(ours)
    detail = f"{max(ours):,} bytes, of which {size:,} are tools, which the API does not inherit"
    rows.append(
        Row(
            "the same, 100 turns with 20 KB of tools: our largest / our smallest",
            constant,
            "≤ 1.1",
            constant <= 1.1,
            detail,
        )
    )
    return rows


def _conversation(count: int) -> list[BaseMessage]:
    """Messages of a session's turns, with a tool loop in every second one, as the chat model makes them."""
    messages: list[BaseMessage] = []
    while len(messages) < count:
        number = len(messages)
        messages.append(HumanMessage(f"Question {number}: what should I think of next, and why is that so?"))
        if number % 4 == 0:
            call = {"name": "search", "args": {"query": f"words {number}", "limit": 5}, "id": f"call_{number}"}
            messages += [
                AIMessage("", tool_calls=[call]),
                ToolMessage("Some words found. " * 8, tool_call_id=call["id"]),
            ]
        messages.append(AIMessage(f"Answer {number}: " + _SAID * 3))
    session, digest = "here/gemini", Digest()
    for number, (message, seen) in enumerate(zip(messages, to_history(messages), strict=True)):
        origin = digest.value
        digest.add(seen)
        if isinstance(message, AIMessage):
            signed = {"type": "thought", "signature": "U0FNUExFLVNJR05BVFVSRS0wMQ=="}
            called = [{"type": "function_call", **call, "arguments": call["args"]} for call in message.tool_calls]
            said = [{"type": "model_output", "content": [{"type": "text", "text": message.content}]}]
            anchor = Anchor(session=session, version=VERSION, id=f"v1_{number}", digest=digest.value, origin=origin)
            anchor["steps"] = [signed, *(called or said)]
            message.additional_kwargs[ANCHOR] = anchor
    return [*messages, HumanMessage("And now?")]


def planning(count: int) -> list[Row]:
    """The time to plan a turn after 10,000 messages, from LangChain's on, against json.dumps of the same ones.

    A replay, which is rare and makes every step, may take twice as long.
    """
    messages = _conversation(10_000)
    plain = messages_to_dict(messages)

    def follow() -> Any:
        result = plan(to_history(messages), "here/gemini", Capabilities())
        assert len(result.steps) == 1
        return result

    def whole() -> Any:
        return plan(to_history(messages), "here/gemini", Capabilities(), follow=False)

    def synchronous(action: Callable[[], object]) -> tuple[Callable[[], Awaitable[object]], int]:
        async def run() -> object:
            return action()

        return run, 1

    seen = asyncio.run(
        rounds(
            {
                "follow": synchronous(follow),
                "whole": synchronous(whole),
                "dumps": synchronous(lambda: json.dumps(plain)),
            },
            max(9, count),
        )
    )
    milli = {name: statistics.median(values) * 1e3 for name, values in seen.items()}
    rows = []
    for name, turn, most in (("follow", "a turn that follows", 1), ("whole", "a replay", 2)):
        measured = ratio(seen[name], seen["dumps"])
        detail = f"{milli[name]:.1f} ms against {milli['dumps']:.1f} ms"
        what = f"planning {turn} after 10,000 messages, conversion included / json.dumps of them"
        rows.append(Row(what, measured, f"≤ {most:g}", measured <= most, detail))
    return rows


def sessions(count: int) -> list[Row]:
    """All rows of this module."""
    return [*asyncio.run(bytes_sent()), *planning(count)]
