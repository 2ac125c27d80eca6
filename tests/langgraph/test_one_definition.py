"""One `Tools`, five consumers: a Gemini session, a managed agent, Claude and GPT in one graph, and a client of an MCP server of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from bridge.backends.local import LocalBackend, ScriptedResponder
from bridge.jobs import SqliteJobStore
from bridge.langgraph import (
    InteractionsState,
    PortableHistoryMiddleware,
    ToolsMiddleware,
    bind,
    interactions_node,
    to_portable,
)
from bridge.langgraph.binding import answered
from bridge.mcp import tool_server
from bridge.tools import Tools
from tests.mcp.calling import calling

from .conftest import reached
from .vendors import Speaker, call, speaking, thought, words

AGENT = "antigravity-preview-09-2026"


def tools_that_note(ran: list[str]) -> Tools:
    """One tool, whose name two of the vendors refuse; it notes who called it."""

    async def count(**arguments: Any) -> str:
        ran.append(arguments["who"])
        return f"counted-for-{arguments['who']}"

    schema = {
        "type": "object",
        "properties": {"who": {"type": "string"}, "below": {"$ref": "#/$defs/tree"}},
        "required": ["who"],
        "$defs": {"tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}}}},
    }
    return Tools([StructuredTool(name="sales.count", description="Counts.", coroutine=count, args_schema=schema)])


def said(name: str, tool: str) -> list[list[dict[str, Any]]]:
    """What a consumer says: it calls the tool, and answers."""
    return [
        [thought(f"SECRET {name}"), call(tool, f"id_{name}", who=name)],
        [thought(f"SECRET {name}"), words(f"answer-of-{name}")],
    ]


def spoken(speaker: Speaker, tools: Tools) -> Any:
    """A plain node of a chat model."""

    async def node(state: Any) -> dict[str, Any]:
        bound = bind(tools, speaker.model)
        new: list[Any] = []
        while not new or new[-1].type == "tool":
            new.append(await bound.ainvoke(to_portable([*state["messages"], *new], speaker.target)))
            new += [await answered(tools, one) for one in new[-1].tool_calls]
        return {"messages": new}

    return node


@pytest.mark.covers("tools:one-definition")
async def test_one_definition_serves_a_session_a_managed_agent_claude_gpt_and_an_mcp_client(tmp_path: Path) -> None:
    """Compiled for each, under its name there, run here; and each in the graph knows once what those before it found out."""
    ran: list[str] = []
    tools = tools_that_note(ran)
    order = ["gemini", "agent", "claude", "gpt"]
    jobs = SqliteJobStore(tmp_path / "jobs.sqlite")
    managed = ScriptedResponder(said("agent", "sales.count"))
    async with (
        speaking("gemini", *said("gemini", "sales.count")) as gemini,
        speaking("claude", *said("claude", "sales_count")) as claude,
        speaking("gpt", *said("gpt", "sales_count")) as gpt,
        LocalBackend(responder=managed) as local,
    ):
        with reached("http", local) as service:
            agent: Any = create_agent(gpt.model, middleware=[PortableHistoryMiddleware(), ToolsMiddleware(tools)])
            graph = StateGraph(InteractionsState)
            graph.add_node("gemini", spoken(gemini, tools))
            graph.add_node(
                "agent", interactions_node(agent=AGENT, backend=service.backend, jobs=jobs, tools=tools, wait="await")
            )
            graph.add_node("claude", spoken(claude, tools))
            graph.add_node("gpt", agent)
            for before, after in zip([START, *order], order, strict=False):
                graph.add_edge(before, after)
            app: Any = graph.compile(checkpointer=InMemorySaver())
            state = await app.ainvoke(
                {"messages": [HumanMessage("the-question")]}, {"configurable": {"thread_id": "1"}}
            )
            await service.backend.aclose()
            await jobs.aclose()
    async with calling(tool_server(tools)) as client:
        (listed,) = (await client.client.list_tools()).tools
        assert listed.input_schema == tools.compile("mcp").definitions[0]["inputSchema"]
        assert (await client.result(listed.name, who="client")).content[0].text == "counted-for-client"  # type: ignore[union-attr]
    assert ran == [*order, "client"]
    thread = state["messages"]
    assert [message.type for message in thread] == ["human", *["ai", "tool", "ai"] * 4]
    assert [message.text for message in thread if isinstance(message, AIMessage) and not message.tool_calls] == [
        f"answer-of-{name}" for name in order
    ]
    results = [message for message in thread if isinstance(message, ToolMessage)]
    assert [(message.tool_call_id, message.content, message.status) for message in results] == [
        (f"id_{name}", f"counted-for-{name}", "success") for name in order
    ]
    sent = {"gemini": gemini.bodies, "agent": service.sent, "claude": claude.bodies, "gpt": gpt.bodies}
    for place, name in enumerate(order):
        dialect = {"claude": "anthropic", "gpt": "openai"}.get(name, "interactions")
        assert [body["tools"] for body in sent[name]] == [tools.compile(dialect).definitions] * 2
        first = sent[name][0]
        wire = json.dumps(first.get("messages", first.get("input")))
        assert wire.count("the-question") == 1
        for other_place, other in enumerate(order):
            told = [wire.count(f"{what}-{other}") for what in ("counted-for", "answer-of")]
            assert told == [int(other_place < place)] * 2
        assert "SECRET" not in wire
    assert json.dumps(sent["agent"][1]["input"]).count("counted-for-agent") == 1
    assert sent["agent"][1]["previous_interaction_id"]
