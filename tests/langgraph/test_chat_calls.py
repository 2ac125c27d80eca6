"""What LangChain puts around a call of the chat model (cache, rate limit, callbacks), and what a call may ask for."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.globals import set_llm_cache
from langchain_core.messages import HumanMessage
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.tools import tool

from bridge.errors import InvalidRequest
from bridge.interactions import RetrievalTool
from bridge.langgraph import ChatInteractions

from .conftest import Script, Service, chat_of
from .test_chat import ask

BETA = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
HI = [HumanMessage("hello")]
SECRET = "Bearer 0123456789"


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


class Gate(BaseRateLimiter):
    """A rate limiter that counts."""

    def __init__(self) -> None:
        self.passed = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.passed += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.passed += 1
        return True


@BETA
@pytest.mark.covers("langgraph:chat:rate-limiter")
async def test_each_request_passes_the_rate_limiter_once(service: Service) -> None:
    """Whichever way it is asked; what the cache answers passes none."""
    gate = Gate()
    chat = service.chat(rate_limiter=gate, cache=InMemoryCache())
    await chat.ainvoke(HI)
    await chat.ainvoke(HI)
    await ask(chat, [*HI], streaming=True)
    await (await chat.astream_events(HI, version="v3")).output
    assert gate.passed == len(service.sent) == 3


@pytest.mark.covers("langgraph:chat:rate-limiter")
def test_it_does_so_without_an_event_loop(service_in_thread: Service) -> None:
    """The same."""
    gate = Gate()
    chat = service_in_thread.chat(rate_limiter=gate)
    chat.invoke(HI)
    list(chat.stream(HI))
    assert gate.passed == len(service_in_thread.sent) == 2


@pytest.mark.covers("langgraph:chat:cached")
async def test_a_cached_answer_is_given_and_can_be_followed(service: Service) -> None:
    """The same question under the same settings asks nothing; what was answered is a stored interaction like any other."""
    chat = service.chat(cache=InMemoryCache())
    first, again = await chat.ainvoke(HI), await chat.ainvoke(HI)
    assert len(service.sent) == 1
    assert (again.id, again.content) == (first.id, first.content)
    await chat.ainvoke(HI, temperature=0.5)
    await chat.bind_tools([get_weather]).ainvoke(HI)
    assert len(service.sent) == 3
    await chat.ainvoke([*HI, again, HumanMessage("and now?")])
    assert service.sent[-1]["previous_interaction_id"] == first.id


@pytest.mark.covers("langgraph:chat:no-cache")
async def test_what_does_work_is_done_every_time(service: Service) -> None:
    """With a cache for the whole process or for the model: agents and environments, also those that one call names."""
    set_llm_cache(InMemoryCache())
    try:
        agent = service.chat(agent="antigravity-preview-09-2026", environment="remote")
        for _ in range(2):
            await agent.ainvoke(HI)
            await service.chat().ainvoke(HI, environment="remote")
            await service.chat().ainvoke(HI, agent="antigravity-preview-09-2026", environment="remote")
        assert len(service.sent) == 6
        for _ in range(2):
            await service.chat().ainvoke(HI)
        assert len(service.sent) == 7
    finally:
        set_llm_cache(None)


@pytest.mark.covers("langgraph:chat:no-cache")
def test_it_is_done_every_time_without_an_event_loop(service_in_thread: Service) -> None:
    """Where one call names the environment."""
    chat = service_in_thread.chat(cache=InMemoryCache())
    for _ in range(2):
        chat.invoke(HI, environment="remote")
        chat.invoke(HI)
    assert len(service_in_thread.sent) == 3


@pytest.mark.covers("langgraph:chat:refused")
@pytest.mark.parametrize(
    ("name", "instead"), [("background", "interactions_node"), ("store", 'session="off"'), ("n", "batch")]
)
async def test_what_a_call_does_not_take_names_what_to_use(
    service: Service, streaming: bool, name: str, instead: str
) -> None:
    """A background run outlives a call; it belongs to a node."""
    with pytest.raises(InvalidRequest, match=instead):
        await ask(service.chat(), [*HI], streaming, **{name: True})
    assert service.sent == []


@pytest.mark.covers("langgraph:chat:request")
async def test_everything_a_call_may_ask_for_reaches_the_request(script: Script, url: str, streaming: bool) -> None:
    """The API's own tools beside functions, a remote MCP server, an environment, an agent's settings, labels, tier and safety."""
    script.tells("done")
    server = {
        "type": "mcp_server",
        "name": "books",
        "url": "https://books.example/mcp",
        "headers": {"Authorization": SECRET},
    }
    safety = [{"type": "harassment", "threshold": "block_none"}]
    environment = {"type": "remote", "env": {"TOKEN": SECRET}}
    chat = chat_of(url, labels={"a": "b"}, service_tier="flex", safety_settings=safety, environment=environment)
    tools: list[Any] = [{"type": "google_search"}, server, get_weather, {"type": "code_execution"}]
    asking = chat.bind_tools(tools, tool_choice="auto")
    await ask(asking, [*HI], streaming, response_modalities=["text"], thinking_level="high", thinking_summaries="auto")
    sent = script.asked[0][2]
    assert [one.get("name", one["type"]) for one in sent["tools"]] == [
        "google_search",
        "books",
        "get_weather",
        "code_execution",
    ]
    assert sent["tools"][1] == server
    assert sent["environment"] == environment
    assert sent["response_modalities"] == ["text"]
    assert sent["generation_config"] == {"thinking_level": "high", "thinking_summaries": "auto", "tool_choice": "auto"}
    assert (sent["labels"], sent["service_tier"], sent["safety_settings"]) == ({"a": "b"}, "flex", safety)


@pytest.mark.covers("langgraph:chat:request")
async def test_an_agents_settings_reach_the_request(script: Script, url: str, streaming: bool) -> None:
    """Under the API's name, and an environment's id as it is."""
    script.tells("done", agent="a")
    settings = {"type": "deep-research", "thinking_summaries": "auto"}
    chat = ChatInteractions(agent="a", base_url=url, agent_config=settings, environment="env_1", max_retries=0)
    await ask(chat, [*HI], streaming)
    sent = script.asked[0][2]
    assert (sent["agent"], sent["agent_config"], sent["environment"]) == ("a", settings, "env_1")
    assert "model" not in sent


@pytest.mark.covers("langgraph:chat:server-calls")
async def test_a_remote_servers_tools_are_no_calls_of_the_callers(script: Script, url: str, streaming: bool) -> None:
    """They show as the server's own, beside what came of them."""
    steps = [
        {
            "type": "mcp_server_tool_call",
            "id": "k",
            "name": "find",
            "server_name": "books",
            "arguments": {"title": "x"},
        },
        {"type": "mcp_server_tool_result", "call_id": "k", "name": "find", "server_name": "books", "result": "found"},
        {"type": "model_output", "content": [{"type": "text", "text": "Found."}]},
    ]
    script.tells("", steps=steps)
    answer = await ask(chat_of(url), [*HI], streaming)
    assert (answer.content, answer.tool_calls) == ("Found.", [])
    assert answer.content_blocks == [
        {"type": "server_tool_call", "id": "k", "name": "find", "args": {"title": "x"}},
        {"type": "server_tool_result", "tool_call_id": "k", "status": "success", "output": "found"},
        {"type": "text", "text": "Found."},
    ]


class Told(AsyncCallbackHandler):
    """A callback handler that keeps everything it is told of a start."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.told.append((args, kwargs))


@pytest.mark.covers("langgraph:chat:secrets")
async def test_no_credential_of_a_setting_is_shown(script: Script, url: str, streaming: bool) -> None:
    """Neither by the model nor to tracers nor in a cache's key: an MCP server's headers, a sandbox's variables, a search engine's key."""
    script.tells("done")
    settings: dict[str, Any] = {
        "tools": [{"type": "mcp_server", "name": "m", "url": "https://m", "headers": {"Authorization": SECRET}}],
        "environment": {"type": "remote", "env": {"TOKEN": {"value": SECRET}}},
    }
    chat = chat_of(url, **settings)
    handler = Told()
    engine = [RetrievalTool.parse({"type": "retrieval", "exa_ai_search_config": {"api_key": SECRET}})]
    await ask(chat, [*HI], streaming, config={"callbacks": [handler]}, tools=engine)
    assert script.asked[0][2]["tools"] == [*settings["tools"], *(one.to_wire() for one in engine)]
    assert handler.told
    assert (
        SECRET not in f"{chat!r} {chat} {chat._identifying_params} {handler.told} {chat._get_llm_string(tools=engine)}"
    )
    other = chat_of(url, **{**settings, "environment": {"type": "remote", "env": {"TOKEN": {"value": "another"}}}})
    assert other._get_llm_string() != chat._get_llm_string()


@pytest.mark.covers("langgraph:chat:profile")
def test_the_profile_says_what_model_and_agent_can(script: Script, url: str) -> None:
    """`create_agent` and others read it; what a caller says of the model wins."""
    profile = chat_of(url).profile
    assert profile is not None
    assert (profile["structured_output"], profile["tool_calling"], profile["pdf_inputs"]) == (True, True, True)
    agent = ChatInteractions(agent="a", base_url=url).profile
    assert agent is not None
    assert (agent["structured_output"], agent["tool_choice"]) == (False, False)
    assert chat_of(url, profile={"max_input_tokens": 7}).profile == {"max_input_tokens": 7}
