"""One list of tools on the real chat models of three vendors: what each sends is what `Tools.compile` gives, and its calls run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bridge.errors import InvalidRequest, NotConfigured, ToolRefused
from bridge.langgraph import ChatInteractions, bind
from bridge.tools import CodeExecution, ComputerUse, FileSearch, RemoteMCP, Tools, UrlContext, WebSearch
from tests.receivers import served

from .conftest import Service


def weather(city: str, days: int = 1) -> str:
    """The weather of the next days."""
    return f"sun in {city} for {days} days"


async def read(**arguments: Any) -> str:
    """Reads."""
    return f"read {arguments['path']}"


# A name that Anthropic and OpenAI refuse, and a schema whose data and references LangChain's own converters change.
FILES = StructuredTool(
    name="files.read",
    description="Reads a file.",
    coroutine=read,
    args_schema={
        "type": "object",
        "properties": {
            "path": {"$ref": "#/$defs/p~1q"},
            "tree": {"$ref": "#/$defs/T"},
            "options": {"type": "object", "default": {"title": "t"}, "properties": {"title": {"type": "string"}}},
        },
        "required": ["path"],
        "$defs": {
            "p/q": {"type": "string"},
            "T": {"type": "object", "properties": {"up": {"$ref": "#/$defs/T"}}},
        },
    },
)
CALL = {"path": "a.txt"}


@pytest.fixture
def vendors() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Both vendors' endpoints, which answer every request with a call of the last function in it; and what they were sent."""
    sent: list[dict[str, Any]] = []

    async def messages(request: Request) -> JSONResponse:
        sent.append(await request.json())
        name = [tool["name"] for tool in sent[-1]["tools"] if "input_schema" in tool][-1]
        block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": CALL}
        usage = {"input_tokens": 1, "output_tokens": 1}
        base = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "usage": usage}
        return JSONResponse({**base, "content": [block], "stop_reason": "tool_use", "stop_sequence": None})

    async def completions(request: Request) -> JSONResponse:
        sent.append(await request.json())
        name = [tool["function"]["name"] for tool in sent[-1]["tools"]][-1]
        call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": json.dumps(CALL)}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        return JSONResponse({"id": "c", "object": "chat.completion", "created": 0, "model": "gpt", "choices": [choice]})

    async def responses(request: Request) -> JSONResponse:
        sent.append(await request.json())
        name = [tool["name"] for tool in sent[-1]["tools"] if tool["type"] == "function"][-1]
        arguments = json.dumps(CALL)
        item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name, "arguments": arguments}
        base = {"id": "resp_1", "object": "response", "created_at": 0, "model": "gpt", "status": "completed"}
        rest: dict[str, Any] = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
        return JSONResponse({**base, **rest, "output": [item]})

    routes = [
        Route("/v1/messages", messages, methods=["POST"]),
        Route("/v1/chat/completions", completions, methods=["POST"]),
        Route("/v1/responses", responses, methods=["POST"]),
    ]
    with served(Starlette(routes=routes)) as url:
        yield url, sent


def claude(url: str) -> ChatAnthropic:
    return ChatAnthropic(model="claude-x", api_key="k", base_url=url, max_retries=0)


def gpt(url: str, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-x", api_key="k", base_url=f"{url}/v1", max_retries=0, **settings)


@pytest.mark.covers("langgraph:bind:wire")
@pytest.mark.parametrize("vendor", ["claude", "gpt", "gpt responses"])
@pytest.mark.parametrize("strict", [False, True])
async def test_what_a_vendor_is_sent_is_what_was_compiled(
    vendors: tuple[str, list[dict[str, Any]]], vendor: str, strict: bool
) -> None:
    """Nothing of it changed on the way; and the call that comes back runs under the vendor's name."""
    url, sent = vendors
    model = claude(url) if vendor == "claude" else gpt(url, use_responses_api=vendor == "gpt responses")
    tools = Tools([FILES, weather] if strict else [weather, FILES])
    if strict and vendor == "claude":
        with pytest.raises(ToolRefused, match="contains itself"):
            bind(tools, model, strict=True)
        return
    answer = await bind(tools, model, strict=strict, tool_choice="any").ainvoke([HumanMessage("go")])
    (request,) = sent
    expected = tools.compile("anthropic" if vendor == "claude" else "openai", strict=strict).definitions
    if vendor == "gpt":
        expected = [{"type": "function", "function": {k: v for k, v in d.items() if k != "type"}} for d in expected]
    assert request["tools"] == expected
    assert request["tool_choice"] == ({"type": "any"} if vendor == "claude" else "required")
    (call,) = answer.tool_calls
    result = await tools.run(call)
    if strict:
        assert "'path' was unexpected" in result.content
    else:
        assert call["name"] == "files_read"
        assert result.content == "read a.txt"
    assert result.call_id == call["id"]


@pytest.mark.covers("langgraph:bind:natives")
async def test_a_vendors_own_tools_are_sent_with_what_belongs_to_them(
    vendors: tuple[str, list[dict[str, Any]]],
) -> None:
    """Also those that LangChain's class does not know, and Anthropic's servers beside the tools."""
    url, sent = vendors
    server = RemoteMCP("docs", "https://docs.example/mcp", {"Authorization": "Bearer t"})
    for_claude = Tools([WebSearch(), CodeExecution(), UrlContext(), ComputerUse(), server, weather])
    await bind(for_claude, claude(url)).ainvoke("go")
    assert sent[0]["tools"] == for_claude.compile("anthropic").definitions
    assert sent[0]["mcp_servers"] == for_claude.compile("anthropic").request["mcp_servers"]
    for_gpt = Tools([WebSearch(), CodeExecution(), FileSearch(["vs_1"]), ComputerUse(), server, weather])
    await bind(for_gpt, gpt(url)).ainvoke("go")
    assert sent[1]["tools"] == for_gpt.compile("openai").definitions


@pytest.mark.covers("langgraph:bind:interactions")
async def test_chat_interactions_takes_tools(service: Service) -> None:
    """As a field, in `bind_tools`, in `bind`, and built-ins alone in a list; the call that comes back runs."""
    tools = Tools([weather, CodeExecution()])
    expected = tools.compile("interactions").definitions
    for chat in (
        service.chat(tools=tools),
        service.chat().bind_tools(tools),
        bind(tools, service.chat()),
        service.chat().bind_tools([expected[0], CodeExecution()]),
        service.chat(tools=[expected[0], CodeExecution()]),
    ):
        await chat.ainvoke([HumanMessage("hello")])
        assert service.sent[-1]["tools"] == expected
    answer = await bind(tools, service.chat(), tool_choice="weather").ainvoke("What is the weather in Paris?")
    assert (await tools.run(answer.tool_calls[0])).content.startswith("sun in")


@pytest.mark.covers("langgraph:bind:refused")
def test_a_model_of_an_unknown_vendor_needs_a_dialect() -> None:
    """And what the dialect refuses is refused before anything is bound."""
    model = FakeListChatModel(responses=["x"])
    with pytest.raises(InvalidRequest, match=r"nothing is known of FakeListChatModel: .*dialect="):
        bind(Tools([weather]), model)
    with pytest.raises(ToolRefused, match="anthropic has no file_search"):
        bind(Tools([FileSearch(["s"])]), model, dialect="anthropic")
    with pytest.raises(NotConfigured):
        ChatInteractions(model="m", tools=Tools([weather]))
