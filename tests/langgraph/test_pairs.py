"""One conversation of two speakers, A → B → A, in every pair of a Gemini session, Claude and GPT, each with a call of the one list of tools.

The vendors' own packages speak to stand-ins over sockets, and what is looked at is what those were sent. Every fact of the conversation is a
word that occurs nowhere else: who said it, in which turn.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.utils import message_chunk_to_message
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver

from bridge.backends.local.stand_ins import seal
from bridge.langgraph import PortableHistoryMiddleware, ToolsMiddleware, bind, to_portable
from bridge.langgraph.binding import answered
from bridge.sessions import replay_counts
from bridge.tools import Tools

from .vendors import SPEAKERS, Speaker, call, speaking, thought, words

TURNS = (1, 2, 3)


async def read(**arguments: Any) -> str:
    """Reads."""
    return f"result-{arguments['path'].removeprefix('path-')}"


# Anthropic and OpenAI take no name with a dot.
TOOLS = Tools(
    [
        StructuredTool(
            name="files.read",
            description="Reads a file.",
            coroutine=read,
            args_schema={"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
        )
    ]
)


def facts(turn: int) -> list[str]:
    """What is said in a turn, in order."""
    return [f"question-{turn}", f"path-{turn}", f"result-{turn}", f"answer-{turn}"]


def secrets(turn: int) -> list[str]:
    """What its speaker thought before each of its two answers."""
    return [f"thought-{turn}-before", f"thought-{turn}-after"]


def said(name: str, turn: int) -> list[list[dict[str, Any]]]:
    """A turn as the speaker of that name says it: it thinks and calls, thinks and answers."""
    before, after = secrets(turn)
    tool = "files.read" if name == "gemini" else "files_read"
    return [
        [thought(before), call(tool, id_of(name, turn), path=f"path-{turn}")],
        [thought(after), words(f"answer-{turn}")],
    ]


def id_of(name: str, turn: int) -> str:
    """The id of a call as its vendor gives it."""
    return {"gemini": f"fc{turn}", "claude": f"toolu_{turn}"}.get(name, f"call_{turn}")


class Nodes:
    """Plain nodes: `bind`, `to_portable`, `Tools.run`."""

    def __init__(self, streaming: bool) -> None:
        self._streaming = streaming
        self.messages: list[BaseMessage] = []

    async def turn(self, speaker: Speaker, number: int) -> None:
        """The user asks, and the speaker answers."""
        bound = bind(TOOLS, speaker.model)
        self.messages.append(HumanMessage(f"question-{number}"))
        while True:
            history = to_portable(self.messages, speaker.target)
            if self._streaming:
                chunks: list[Any] = [chunk async for chunk in bound.astream(history)]
                answer: Any = message_chunk_to_message(sum(chunks[1:], chunks[0]))
            else:
                answer = await bound.ainvoke(history)
            self.messages.append(answer)
            if not answer.tool_calls:
                return
            self.messages += [await answered(TOOLS, one) for one in answer.tool_calls]


class Agents:
    """Agents of one thread: `ToolsMiddleware` and `PortableHistoryMiddleware`."""

    def __init__(self, streaming: bool) -> None:
        self._streaming = streaming
        self._saver = InMemorySaver()
        self.messages: list[BaseMessage] = []

    async def turn(self, speaker: Speaker, number: int) -> None:
        """The user asks, and the speaker answers."""
        middleware: Any = [PortableHistoryMiddleware(), ToolsMiddleware(TOOLS)]
        agent: Any = create_agent(speaker.model, middleware=middleware, checkpointer=self._saver)
        config: Any = {"configurable": {"thread_id": "1"}}
        given = {"messages": [HumanMessage(f"question-{number}")]}
        if self._streaming:
            async for _ in agent.astream(given, config, stream_mode="messages"):
                pass
        else:
            await agent.ainvoke(given, config)
        self.messages = (await agent.aget_state(config)).values["messages"]


def calls_of(name: str, body: dict[str, Any]) -> list[tuple[str, str, Any, Any]]:
    """Of each call in a request to Claude or GPT: its id, its name, its arguments, and the result that stands under the same id."""
    found: list[tuple[str, str, Any]] = []
    results: list[tuple[str, Any]] = []
    if name == "gpt":
        for item in body["input"]:
            if item.get("type") == "function_call":
                found.append((item["call_id"], item["name"], json.loads(item["arguments"])))
            elif item.get("type") == "function_call_output":
                results.append((item["call_id"], item["output"]))
    for message in body.get("messages", ()):
        functions = [(one["id"], one["function"]) for one in message.get("tool_calls") or ()]
        found += [(given, one["name"], json.loads(one["arguments"])) for given, one in functions]
        if message["role"] == "tool":
            results.append((message["tool_call_id"], message["content"]))
        for block in message["content"] if isinstance(message["content"], list) else ():
            if block["type"] == "tool_use":
                found.append((block["id"], block["name"], block["input"]))
            elif block["type"] == "tool_result":
                results.append((block["tool_use_id"], block["content"]))
    assert [given for given, *_ in found] == [given for given, _ in results]  # in pairs and in order, each once
    assert len(set(results)) == len(results)
    return [(*one, result) for one, (_, result) in zip(found, results, strict=True)]


def check_messages(speaker: Speaker, order: dict[int, str]) -> None:
    """Claude or GPT: each request of it holds everything said before it once, its own as it gave it and the others' without their thoughts."""
    own = [turn for turn, name in order.items() if name == speaker.name]
    vendor = {"claude": "anthropic"}.get(speaker.name, "openai")
    for number, body in enumerate(speaker.bodies):
        now, again = (
            own[number // 2],
            number % 2,
        )  # the second request of a turn has the result of the call in the first
        wire = json.dumps(body.get("messages", body.get("input")))
        known = list(itertools.chain(*map(facts, range(1, now)), facts(now)[: 3 if again else 1]))
        assert {fact: wire.count(fact) for turn in TURNS for fact in facts(turn)} == {
            fact: int(fact in known) for turn in TURNS for fact in facts(turn)
        }
        calls = calls_of(speaker.name, body)
        turns = range(1, now + again)
        assert [rest for _, *rest in calls] == [
            ["files_read", {"path": f"path-{turn}"}, f"result-{turn}"] for turn in turns
        ]
        # Ids that a vendor takes stay as they are.
        assert [given for given, *_ in calls] == [id_of(order[turn], turn) for turn in turns]
        for turn, name in order.items():
            for which, secret in enumerate(secrets(turn)):
                told = turn < now or (turn == now and which < again)
                mine = told and name == speaker.name != "gpt-chat"  # Chat Completions gives no thoughts
                assert (secret in wire) == mine
                if speaker.name == "claude":
                    assert (seal(vendor, secret) in wire) == mine
    if speaker.name == "gpt":
        last = [item for item in speaker.bodies[-1]["input"] if item.get("type") == "reasoning"]
        told_before = 2 * len(own) - 1
        assert [item["encrypted_content"] for item in last] == [seal("openai", item["id"]) for item in last]
        assert len(last) == told_before


def check_session(speaker: Speaker, order: dict[int, str], answers: dict[int, list[AIMessage]]) -> None:
    """Gemini: each request follows its last answer and holds what is new since, once; the server knows everything once."""
    own = [turn for turn, name in order.items() if name == "gemini"]
    assert len(speaker.bodies) == 2 * len(own)
    anchors = [str(answer.response_metadata["id"]) for turn in own for answer in answers[turn]]
    assert [body.get("previous_interaction_id") for body in speaker.bodies] == [None, *anchors[:-1]]
    heard = 0
    for number, body in enumerate(speaker.bodies):
        now, again = own[number // 2], number % 2
        if again:
            new = [f"result-{now}"]
            (step,) = body["input"]
            assert (step["type"], step["call_id"]) == ("function_result", id_of("gemini", now))
            assert step["name"] == "files.read"
        else:
            new = [*itertools.chain(*map(facts, range(heard + 1, now))), f"question-{now}"]
            heard = now
        wire = json.dumps(body["input"])
        assert {fact: wire.count(fact) for turn in TURNS for fact in facts(turn)} == {
            fact: int(fact in new) for turn in TURNS for fact in facts(turn)
        }
        assert not [secret for turn in TURNS for secret in secrets(turn) if secret in wire]
        turn = speaker.responder.turns[number]
        server = json.dumps([step.to_wire() for step in (*turn.history, *turn.input)])
        known = [*itertools.chain(*map(facts, range(1, now))), *facts(now)[: 3 if again else 1]]
        assert [server.count(fact) for fact in known] == [1] * len(known)
        positions = [server.index(fact) for fact in known]
        assert positions == sorted(positions)


@pytest.mark.covers("portable:pairwise")
@pytest.mark.parametrize("room", [Nodes, Agents])
@pytest.mark.parametrize(("a", "b"), list(itertools.permutations(SPEAKERS, 2)))
async def test_what_is_said_to_one_the_next_knows_once(
    a: str, b: str, room: type[Nodes | Agents], streaming: bool
) -> None:
    """In A's third turn it knows what B said and called, and B knew what A did; nobody hears anything twice."""
    order = {1: a, 2: b, 3: a}
    replayed = replay_counts()
    conversation = room(streaming)
    async with speaking(a, *said(a, 1), *said(a, 3)) as first, speaking(b, *said(b, 2)) as second:
        for turn in TURNS:
            await conversation.turn(second if order[turn] == b else first, turn)
    thread = conversation.messages
    assert [message.type for message in thread] == ["human", "ai", "tool", "ai"] * 3
    answers: dict[int, list[Any]] = {turn: [thread[4 * turn - 3], thread[4 * turn - 1]] for turn in TURNS}
    for turn in TURNS:
        result = thread[4 * turn - 2]
        assert isinstance(result, ToolMessage)
        assert (result.tool_call_id, result.content) == (id_of(order[turn], turn), f"result-{turn}")
        assert result.tool_call_id == answers[turn][0].tool_calls[0]["id"]
        assert answers[turn][1].text == f"answer-{turn}"
    for speaker in (first, second):
        if speaker.name == "gemini":
            check_session(speaker, order, answers)
        else:
            check_messages(speaker, order)
    assert replay_counts() == replayed
