"""The vendors' own LangChain packages against the stand-ins: agents, structured output, and what one says of another's history."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from .conftest import SPEAKERS, Reach

THINKING: dict[str, dict[str, Any]] = {
    "claude": {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000},
    "gpt": {"reasoning": {"effort": "low", "summary": "auto"}},
    "gpt-chat": {"reasoning_effort": "low"},
}


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


class City(BaseModel):
    """A place and its size."""

    name: str
    people: int


@pytest.mark.covers("vendors:langchain")
@pytest.mark.parametrize("thinking", [False, True], ids=["plain", "thinking"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("speaker", SPEAKERS)
async def test_an_agent_runs_its_tools_over_several_turns(
    reach: Reach, speaker: str, streamed: bool, thinking: bool
) -> None:
    """Two calls at once, their results, the answer, and a second turn on top; the vendor takes back all that it said."""
    service = reach(speaker)
    agent: Any = create_agent(service.chat(speaker, **(THINKING[speaker] if thinking else {})), [get_weather])
    state: dict[str, Any] = {"messages": []}
    for question in ("What is the weather in Oslo and Bergen?", "And the weather in Paris?"):
        asked = {"messages": [*state["messages"], HumanMessage(question)]}
        if streamed:
            tokens = []
            async for mode, item in agent.astream(asked, stream_mode=["messages", "values"]):
                if mode == "values":
                    state = item
                else:
                    tokens.append(item[0])
            assert len([token for token in tokens if token.text]) > 2
        else:
            state = await agent.ainvoke(asked)
    messages = state["messages"]
    kinds = [message.type for message in messages]
    assert kinds == ["human", "ai", "tool", "tool", "ai", "human", "ai", "tool", "ai"]
    assert [message.content for message in messages if isinstance(message, ToolMessage)] == [
        "sunny in Oslo",
        "sunny in Bergen",
        "sunny in Paris",
    ]
    assert "sunny in Oslo" in messages[4].text
    assert "sunny in Paris" in messages[-1].text
    assert "stand-in" in messages[-1].text
    for message in messages:
        if isinstance(message, AIMessage):
            assert message.usage_metadata is not None
            assert message.usage_metadata["output_tokens"] > 0
            assert message.response_metadata["model_name"].startswith("local-")
    assert len(service.bodies) == 4


@pytest.mark.covers("vendors:langchain")
@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
@pytest.mark.parametrize("speaker", SPEAKERS)
def test_a_model_answers_in_the_schema_it_was_bound_to(reach: Reach, speaker: str, method: str) -> None:
    """By a forced call and by the vendor's own structured output."""
    model = reach(speaker).chat(speaker).with_structured_output(City, method=method)
    assert model.invoke("The city named Oslo has people: 700000") == City(name="Oslo", people=700000)


CALLED = AIMessage(
    "", tool_calls=[{"name": "get_weather", "args": {"city": "Oslo"}, "id": "call_1", "type": "tool_call"}]
)
SIGNED: list[Any] = [
    {"type": "thinking", "thinking": "So.", "signature": "Zm9yZWlnbg=="},
    {"type": "text", "text": "Hello."},
]
BROKEN: dict[str, list[Any]] = {
    "unanswered": [CALLED, HumanMessage("Well?")],
    "orphan": [ToolMessage("sunny", tool_call_id="call_1")],
    "cut": [CALLED, ToolMessage("sunny", tool_call_id="call_2")],
}


@pytest.mark.covers("vendors:langchain")
@pytest.mark.parametrize("history", BROKEN)
@pytest.mark.parametrize("speaker", SPEAKERS)
def test_a_history_that_the_vendor_would_refuse_is_refused(reach: Reach, speaker: str, history: str) -> None:
    """What trimming and interrupting leave behind fails here as it fails there."""
    refusal = anthropic.BadRequestError if speaker == "claude" else openai.BadRequestError
    with pytest.raises(refusal, match=r"call_|preceeding"):
        reach(speaker).chat(speaker).invoke([HumanMessage("The weather?"), *BROKEN[history]])


@pytest.mark.covers("vendors:langchain")
def test_a_foreign_signature_is_refused_by_claude(reach: Reach) -> None:
    """Thinking that another made does not pass for Claude's."""
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        reach("claude").chat("claude").invoke([HumanMessage("Hi."), AIMessage(SIGNED), HumanMessage("And?")])
