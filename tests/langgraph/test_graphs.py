"""Sessions in real graphs: other vendors' packages between the turns, threads on disk and in Postgres, histories that are rewritten."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any

import bridge_anthropic.testing
import bridge_openai.testing
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage, trim_messages
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from pydantic import SecretStr

from bridge.backends.local import ScriptedResponder
from bridge.backends.local.stand_ins import seal
from bridge.connect import sync_backend
from bridge.sessions import QUOTE_HEADER

from .conftest import Service

KEY = SecretStr("key")
CONFIG: Any = {"configurable": {"thread_id": "1"}}
BUDGET = ("The budget is 500.", "The team is small.", "What did I say the budget is?")


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def talking(model: BaseChatModel, prepare: Callable[[list[Any]], list[Any]] = list) -> StateGraph[Any, Any, Any, Any]:
    """A graph of one node that answers what `prepare` makes of the messages, with and without an event loop."""

    async def atalk(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(prepare(state["messages"]))]}

    def talk(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(prepare(state["messages"]))]}

    return StateGraph(MessagesState).add_node("talk", RunnableLambda(talk, atalk)).add_edge(START, "talk")


async def ask(graph: Any, text: str, streaming: bool = False) -> AIMessage:
    """The answer of a turn, with tokens streamed on the way or not."""
    asked = {"messages": [HumanMessage(text)]}
    if streaming:
        async for _ in graph.astream(asked, CONFIG, stream_mode="messages"):
            pass
    else:
        await graph.ainvoke(asked, CONFIG)
    answer: AIMessage = (await graph.aget_state(CONFIG)).values["messages"][-1]
    return answer


def words(text: str) -> dict[str, Any]:
    return {"type": "model_output", "content": [{"type": "text", "text": text}]}


def quoted(author: str, text: str) -> str:
    return f"{QUOTE_HEADER.format(author=author)}\n{text}"


@pytest.mark.covers("langgraph:graph:vendors")
async def test_claude_and_gpt_in_between_reach_gemini_exactly_once(service: Service, streaming: bool) -> None:
    """Their real packages, with a tool loop of Claude's: texts, calls and results, nothing of their thinking, and never again."""

    def says(step: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"type": "thought", "summary": [{"type": "text", "text": "SECRET thought"}]}, step]

    call = {"type": "function_call", "id": "toolu_1", "name": "get_weather", "arguments": {"city": "Oslo"}}
    claude_says = [says(call), says(words("It is sunny in Oslo."))]
    at_claude = bridge_anthropic.testing.stand_in(ScriptedResponder(claude_says))
    at_gpt = bridge_openai.testing.stand_in(ScriptedResponder([says(words("So take a hat."))]))
    async with at_claude.served() as claude_url, at_gpt.served() as gpt_url:
        speakers: dict[str, BaseChatModel] = {
            "gemini": service.chat(),
            "claude": ChatAnthropic(
                model="claude-9", base_url=claude_url, api_key=KEY, thinking={"type": "adaptive"}, timeout=20
            ),
            "gpt": ChatOpenAI(
                model="gpt-9",
                base_url=gpt_url,
                api_key=KEY,
                use_responses_api=True,
                reasoning={"summary": "auto"},
                include=["reasoning.encrypted_content"],
                timeout=20,
            ),
        }

        def speaker(name: str) -> Any:
            async def speak(state: MessagesState) -> dict[str, Any]:
                return {"messages": [await speakers[name].ainvoke(state["messages"])]}

            return speak

        def chosen(state: MessagesState) -> str:
            said = next(m.text for m in reversed(state["messages"]) if isinstance(m, HumanMessage))
            return said.partition(":")[0]

        def next_of_claude(state: MessagesState) -> str:
            last = state["messages"][-1]
            return "tools" if isinstance(last, AIMessage) and last.tool_calls else END

        builder = StateGraph(MessagesState).add_node("tools", ToolNode([get_weather])).add_edge("tools", "claude")
        for name in speakers:
            builder.add_node(name, speaker(name))
        builder.add_conditional_edges(START, chosen, list(speakers))
        builder.add_conditional_edges("claude", next_of_claude, ["tools", END])
        graph = builder.compile(checkpointer=InMemorySaver())
        first = await ask(graph, "gemini: hello", streaming)
        await ask(graph, "claude: weather?")
        await ask(graph, "gpt: and now?")
        second = await ask(graph, "gemini: what did they say?", streaming)
        await ask(graph, "gemini: thanks", streaming)
    claude, gpt = "local-claude-9 (anthropic)", "local-gpt-9 (openai)"
    assert service.texts() == [
        ["gemini: hello"],
        [
            "claude: weather?",
            quoted(claude, 'Called get_weather (call toolu_1) with {"city": "Oslo"}'),
            quoted(claude, "Result of get_weather (call toolu_1): sunny in Oslo"),
            quoted(claude, "It is sunny in Oslo."),
            "gpt: and now?",
            quoted(gpt, "So take a hat."),
            "gemini: what did they say?",
        ],
        ["gemini: thanks"],
    ]
    assert [request.get("previous_interaction_id") for request in service.sent] == [None, first.id, second.id]
    signature = seal("anthropic", "SECRET thought")
    assert signature in json.dumps(at_claude.requests[-1].body)
    assert not [secret for secret in ("SECRET", signature) if secret in json.dumps(service.sent)]
    known = await service.local.get(str(second.id), include_input=True)
    kept = json.dumps([step.to_wire() for step in known.steps or []])
    assert "SECRET" not in kept
    own = first.additional_kwargs["google_interactions"]["steps"][0]["signature"]
    assert own
    told = json.dumps([sent.body for sent in (*at_claude.requests, *at_gpt.requests)])
    assert "weather?" in told
    assert own not in told


@pytest.mark.covers("langgraph:graph:checkpointers")
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_session_survives_a_checkpointer(
    service: Service, streaming: bool, kind: str, tmp_path: Path, postgres: str
) -> None:
    """Each turn opens the database anew, as another process would, and still sends only what is new."""
    model = service.chat()
    for text in BUDGET:
        opened: AbstractAsyncContextManager[Any] = (
            AsyncSqliteSaver.from_conn_string(str(tmp_path / "threads.db"))
            if kind == "sqlite"
            else AsyncPostgresSaver.from_conn_string(postgres)
        )
        async with opened as saver:
            await saver.setup()
            answer = await ask(talking(model).compile(checkpointer=saver), text, streaming)
    assert "500" in answer.text
    assert service.texts() == [[text] for text in BUDGET]
    assert ["previous_interaction_id" in request for request in service.sent] == [False, True, True]


@pytest.mark.covers("langgraph:graph:checkpointers")
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_session_survives_a_checkpointer_without_an_event_loop(
    service_in_thread: Service, streaming: bool, kind: str, tmp_path: Path, postgres: str
) -> None:
    """The same with the sync savers."""
    model = service_in_thread.chat(streaming=streaming)
    for text in BUDGET:
        opened: AbstractContextManager[Any] = (
            SqliteSaver.from_conn_string(str(tmp_path / "threads.db"))
            if kind == "sqlite"
            else PostgresSaver.from_conn_string(postgres)
        )
        with opened as saver:
            saver.setup()
            graph: Any = talking(model).compile(checkpointer=saver)
            state = graph.invoke({"messages": [HumanMessage(text)]}, CONFIG)
    assert "500" in state["messages"][-1].text
    assert service_in_thread.texts() == [[text] for text in BUDGET]
    assert ["previous_interaction_id" in request for request in service_in_thread.sent] == [False, True, True]


@pytest.mark.covers("langgraph:graph:rewritten")
@pytest.mark.parametrize("edit", ["edited", "removed"])
async def test_an_edited_message_leaves_no_stale_state(service: Service, streaming: bool, edit: str) -> None:
    """`update_state` between two turns: the server answers from what the thread shows, and goes on from there."""
    graph = talking(service.chat()).compile(checkpointer=InMemorySaver())
    await ask(graph, BUDGET[0], streaming)
    first = (await graph.aget_state(CONFIG)).values["messages"][0]
    change = HumanMessage("The budget is 700.", id=first.id) if edit == "edited" else RemoveMessage(id=first.id)
    await graph.aupdate_state(CONFIG, {"messages": [change]})
    answer = await ask(graph, BUDGET[2], streaming)
    assert "previous_interaction_id" not in service.sent[1]
    assert BUDGET[0] not in service.texts()[1]
    assert ("700" in answer.text) == (edit == "edited")
    await ask(graph, "thanks", streaming)
    assert service.sent[2]["previous_interaction_id"] == answer.id
    assert service.texts()[2] == ["thanks"]


@pytest.mark.covers("langgraph:graph:rewritten")
async def test_a_trimmed_history_is_all_that_the_server_knows(service: Service, streaming: bool) -> None:
    """A window of three messages before every call: what slid out of it is not in the chain that is asked."""

    def window(messages: list[Any]) -> list[Any]:
        return trim_messages(messages, max_tokens=3, token_counter=len, strategy="last", start_on="human")

    graph = talking(service.chat(), window).compile(checkpointer=InMemorySaver())
    for text in BUDGET:
        answer = await ask(graph, text, streaming)
    assert "500" not in answer.text
    assert ["previous_interaction_id" in request for request in service.sent] == [False, True, False]
    assert service.texts()[2][0] == BUDGET[1]
    assert service.texts()[2][-1] == BUDGET[2]


@pytest.mark.covers("langgraph:graph:rewritten")
async def test_a_summary_replaces_what_the_server_knew(service: Service, streaming: bool) -> None:
    """LangChain's SummarizationMiddleware: the turn after it begins a chain with the summary, the next one follows."""
    middleware = SummarizationMiddleware(
        service.chat(session_name="summary"), trigger=("messages", 5), keep=("messages", 1)
    )
    agent = create_agent(
        service.chat(), [], system_prompt="Be brief.", middleware=[middleware], checkpointer=InMemorySaver()
    )
    for text in (*BUDGET, "thanks"):
        await ask(agent, text, streaming)
    turns = [n for n, request in enumerate(service.sent) if request.get("system_instruction") == "Be brief."]
    assert len(service.sent) == len(turns) + 1
    assert ["previous_interaction_id" in service.sent[n] for n in turns] == [False, True, False, True]
    summary, last = service.texts()[turns[2]]
    assert "summary of the conversation" in summary
    assert last == BUDGET[2]
    assert service.texts()[turns[3]] == ["thanks"]


@pytest.mark.covers("langgraph:graph:expired")
async def test_an_expired_id_costs_one_replay(service: Service, streaming: bool, tmp_path: Path) -> None:
    """A thread that comes back after the service has lost its interactions is told once in full, and goes on from there."""
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "threads.db")) as saver:
        graph = talking(service.chat()).compile(checkpointer=saver)
        for text in BUDGET[:2]:
            last = await ask(graph, text, streaming)
        await service.local.delete(str(last.id))
        answer = await ask(graph, BUDGET[2], streaming)
        assert "500" in answer.text
        await ask(graph, "thanks", streaming)
    parents = [request.get("previous_interaction_id") for request in service.sent]
    assert parents[2:] == [last.id, None, answer.id]
    assert [step["type"] for step in service.sent[3]["input"]] == [
        *("user_input", "thought", "model_output", "user_input", "thought", "model_output", "user_input")
    ]


@pytest.mark.covers("langgraph:graph:create-agent")
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_an_agents_tool_loop_survives_a_checkpointer(
    service_in_thread: Service, kind: str, tmp_path: Path, postgres: str
) -> None:
    """Two turns with a call each, streamed, each over a connection of its own: every request holds one step."""
    for city in ("Oslo", "Rome"):
        opened: AbstractContextManager[Any] = (
            SqliteSaver.from_conn_string(str(tmp_path / "threads.db"))
            if kind == "sqlite"
            else PostgresSaver.from_conn_string(postgres)
        )
        with opened as saver:
            saver.setup()
            agent: Any = create_agent(service_in_thread.chat(), [get_weather], checkpointer=saver)
            asked = {"messages": [HumanMessage(f'Call get_weather with city="{city}"')]}
            for _ in agent.stream(asked, CONFIG, stream_mode="messages"):
                pass
            messages = agent.get_state(CONFIG).values["messages"]
        assert f"sunny in {city}" in messages[-1].text
    assert [type(message) for message in messages] == [HumanMessage, AIMessage, ToolMessage, AIMessage] * 2
    kinds = [[step["type"] for step in request["input"]] for request in service_in_thread.sent]
    assert kinds == [["user_input"], ["function_result"]] * 2
    assert sync_backend(service_in_thread.local).get(messages[-1].id).status == "completed"
