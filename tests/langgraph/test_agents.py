"""The chat model inside other people's loops: a plain graph, `create_agent`, deepagents."""

from __future__ import annotations

from typing import Any

import pytest
from deepagents import create_deep_agent
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

from .conftest import Service


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


class Report(BaseModel):
    """A report on the weather."""

    city: str
    degrees: int


def asked(text: str) -> Any:
    return {"messages": [HumanMessage(text)]}


async def run(agent: Any, text: str, config: Any, streaming: bool) -> Any:
    """The state after a turn, with its tokens streamed on the way or not."""
    if not streaming:
        return await agent.ainvoke(asked(text), config)
    async for _ in agent.astream(asked(text), config, stream_mode="messages"):
        pass
    return (await agent.aget_state(config)).values


@pytest.mark.covers("langgraph:graph:new-only")
async def test_a_graph_of_three_turns_sends_only_what_is_new(service: Service, tmp_path: Any) -> None:
    """Through a checkpointer on disk: one step per request, each after the interaction before it, the settings every time."""
    model = service.chat(tools=[{"type": "code_execution"}], temperature=0.3)

    async def talk(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState).add_node("talk", talk).add_edge(START, "talk")
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
        graph = builder.compile(checkpointer=saver)
        config: Any = {"configurable": {"thread_id": "1"}}
        for text in ("The budget is 500.", "The team is small.", "What did I say the budget is?"):
            state = await graph.ainvoke(asked(text), config)
    assert "500" in state["messages"][-1].content
    assert service.texts() == [["The budget is 500."], ["The team is small."], ["What did I say the budget is?"]]
    ids = [message.response_metadata["id"] for message in state["messages"] if isinstance(message, AIMessage)]
    assert [request.get("previous_interaction_id") for request in service.sent] == [None, *ids[:-1]]
    for request in service.sent:
        assert request["tools"] == [{"type": "code_execution"}]
        assert request["generation_config"] == {"temperature": 0.3}


@pytest.mark.covers("langgraph:graph:time-travel")
async def test_a_replayed_checkpoint_follows_its_own_interaction(service: Service) -> None:
    """A fork goes on from where it forked; the server's tree has two branches."""
    model = service.chat()

    async def talk(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = (
        StateGraph(MessagesState).add_node("talk", talk).add_edge(START, "talk").compile(checkpointer=InMemorySaver())
    )
    config: Any = {"configurable": {"thread_id": "1"}}
    first = await graph.ainvoke(asked("The budget is 500."), config)
    fork = (await graph.aget_state(config)).config
    await graph.ainvoke(asked("The budget is 700."), config)
    answer = await graph.ainvoke(asked("What did I say the budget is?"), fork)
    assert "500" in answer["messages"][-1].content
    assert service.sent[-1]["previous_interaction_id"] == first["messages"][-1].id
    assert service.sent[-2]["previous_interaction_id"] == first["messages"][-1].id


@pytest.mark.covers("langgraph:graph:create-agent")
async def test_create_agent_runs_a_tool_loop_over_several_turns(service: Service, streaming: bool) -> None:
    """Each request holds the question or the result, nothing twice; a removed message makes a new chain."""
    agent = create_agent(service.chat(), [get_weather], system_prompt="Be brief.", checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    state = await run(agent, 'Call get_weather with city="Oslo"', config, streaming)
    assert [type(message) for message in state["messages"]] == [HumanMessage, AIMessage, ToolMessage, AIMessage]
    assert "sunny in Oslo" in state["messages"][-1].content
    state = await run(agent, 'Call get_weather with city="Rome"', config, streaming)
    assert "sunny in Rome" in state["messages"][-1].content
    kinds = [[step["type"] for step in request["input"]] for request in service.sent]
    assert kinds == [["user_input"], ["function_result"], ["user_input"], ["function_result"]]
    assert ["previous_interaction_id" in request for request in service.sent] == [False, True, True, True]
    assert all(request["tools"] and request["system_instruction"] == "Be brief." for request in service.sent)
    await agent.aupdate_state(config, {"messages": [RemoveMessage(id=state["messages"][0].id)]})
    await agent.ainvoke(asked("hello"), config)
    assert "previous_interaction_id" not in service.sent[-1]


@pytest.mark.covers("langgraph:graph:create-agent")
def test_create_agent_works_without_an_event_loop(service_in_thread: Service) -> None:
    """The same loop, called plainly and streamed."""
    agent = create_agent(service_in_thread.chat(), [get_weather])
    state = agent.invoke(asked('Call get_weather with city="Oslo"'))
    assert "sunny in Oslo" in state["messages"][-1].content
    text = "".join(
        str(message.content)
        for message, _ in agent.stream(asked('Call get_weather with city="Rome"'), stream_mode="messages")
        if isinstance(message, AIMessage)
    )
    assert "sunny in Rome" in text


@pytest.mark.covers("langgraph:graph:response-format")
async def test_create_agent_gets_a_structured_response(service: Service) -> None:
    """The model's profile says that it can, and LangChain's form of asking is understood."""
    agent = create_agent(service.chat(), [get_weather], response_format=Report)
    state = await agent.ainvoke(asked("How warm is it? city: Oslo, degrees: 7"))
    assert isinstance(state["structured_response"], Report)
    assert service.sent[-1]["response_format"]["mime_type"] == "application/json"
    agent = create_agent(service.chat(), [], response_format=ToolStrategy(Report))
    state = await agent.ainvoke(asked("How warm is it? city: Oslo, degrees: 7"))
    assert isinstance(state["structured_response"], Report)
    assert service.sent[-1]["generation_config"] == {"tool_choice": "any"}


@pytest.mark.covers("langgraph:graph:deepagents")
async def test_a_deep_agent_runs_on_it(service: Service, streaming: bool) -> None:
    """With its own tools and prompt, over two turns."""
    agent = create_deep_agent(model=service.chat(), tools=[get_weather], checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    state = await run(agent, 'Call get_weather with city="Oslo"', config, streaming)
    assert "sunny in Oslo" in state["messages"][-1].content
    state = await run(agent, 'Call get_weather with city="Rome"', config, streaming)
    assert "sunny in Rome" in state["messages"][-1].content
    assert {tool["name"] for tool in service.sent[0]["tools"]} > {"get_weather", "ls", "read_file"}
    assert [len(request["input"]) for request in service.sent] == [1] * len(service.sent)
    assert ["previous_interaction_id" in request for request in service.sent] == [False, True, True, True]
