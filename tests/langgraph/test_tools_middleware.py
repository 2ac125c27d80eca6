"""`ToolsMiddleware`: one `Tools` in agents of three vendors' real packages, over sockets."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest
from langchain.agents.structured_output import ToolStrategy
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel

from bridge.errors import InvalidRequest, ToolRefused
from bridge.langgraph import PortableHistoryMiddleware, ToolsMiddleware, bind
from bridge.tools import CodeExecution, ComputerUse, FileSearch, RemoteMCP, Tools, WebSearch
from tests.tools.server import tools as server

from .vendors import SPEAKERS, call, speaking, words


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
            "path": {"type": "string"},
            "tree": {"$ref": "#/$defs/T"},
            "options": {"type": "object", "default": {"title": "t"}, "properties": {"title": {"type": "string"}}},
        },
        "required": ["path"],
        "$defs": {"T": {"type": "object", "properties": {"up": {"$ref": "#/$defs/T"}}}},
    },
)


@tool
def note(text: str) -> str:
    """Keeps a note."""
    return f"noted {text}"


class Report(BaseModel):
    """A report."""

    title: str


def asked(text: str = "go") -> Any:
    return {"messages": [HumanMessage(text)]}


def results(state: Any) -> list[tuple[str, Any, str]]:
    """Of each result in a state: the call's id, its text, its status."""
    return [
        (message.tool_call_id, message.content, message.status)
        for message in state["messages"]
        if isinstance(message, ToolMessage)
    ]


def under(speaker: str) -> str:
    """The name under which a vendor knows `files.read`."""
    return "files.read" if speaker == "gemini" else "files_read"


@pytest.mark.covers("langgraph:agent-tools:wire", "langgraph:agent-tools:run")
@pytest.mark.parametrize("speaker", SPEAKERS)
async def test_an_agent_sends_what_was_compiled_and_runs_what_comes_back(speaker: str, tmp_path: Path) -> None:
    """A mapped name, an MCP server's tool, an agent's own tool beside them, and arguments that do not fit."""
    scripts = [
        [
            call(under(speaker), "call_1", path="a.txt"),
            call("add", "call_2", a=1, b=2),
            call("add", "call_3", a="one"),
            call("note", "call_4", text="b"),
        ],
        [words("done")],
    ]
    async with speaking(speaker, *scripts) as asking, Tools([FILES, server(tmp_path)]) as tools:
        agent: Any = create_agent(asking.model, [note], middleware=[ToolsMiddleware(tools)])
        state = await agent.ainvoke(asked())
        compiled = bind(tools, asking.model).kwargs["tools"]  # type: ignore[attr-defined]
    first, second = asking.bodies
    assert first["tools"][1:] == second["tools"][1:] == _on_the_wire(speaker, compiled)
    assert "note" in str(first["tools"][0])
    read_, added, refused, noted = results(state)
    assert read_ == ("call_1", "read a.txt", "success")
    assert added[0] == "call_2"
    assert added[1].startswith("3 by ")
    assert refused[0::2] == ("call_3", "error")
    assert "'one' is not of type 'integer'" in refused[1]
    assert noted == ("call_4", "noted b", "success")
    assert state["messages"][-1].text == "done"
    assert (tmp_path / "calls").read_text() == "add 1 2\n"


def _on_the_wire(speaker: str, definitions: list[Any]) -> list[Any]:
    """LangChain's class for the Responses API takes functions as Chat Completions has them."""
    if speaker != "gpt":
        return definitions
    return [{"type": "function", **one["function"]} if "function" in one else one for one in definitions]


@pytest.mark.covers("langgraph:agent-tools:wire")
@pytest.mark.parametrize("speaker", ["claude", "gpt"])
async def test_built_ins_go_as_the_vendors_own(speaker: str) -> None:
    """With what belongs to them elsewhere in the request; the stand-ins then refuse to run them."""
    docs = RemoteMCP("docs", "https://docs.example/mcp")
    tools = Tools([WebSearch(), CodeExecution(), ComputerUse(), docs, FILES])
    compiled = tools.compile("anthropic" if speaker == "claude" else "openai")
    async with speaking(speaker) as asking:
        agent: Any = create_agent(asking.model, middleware=[ToolsMiddleware(tools)])
        with pytest.raises(Exception, match="stand-in"):
            await agent.ainvoke(asked())
    (body,) = asking.bodies
    assert body["tools"] == compiled.definitions
    assert body.get("mcp_servers") == compiled.request.get("mcp_servers")


@pytest.mark.covers("langgraph:agent-tools:sync")
def test_an_agent_runs_without_an_event_loop() -> None:
    """Tools that are coroutines run too."""
    scripts = [[call("files_read", "call_1", path="a.txt"), call("note", "call_2", text="b")], [words("done")]]

    async def go() -> Any:
        async with speaking("claude", *scripts) as asking:
            agent: Any = create_agent(asking.model, [note], middleware=[ToolsMiddleware(Tools([FILES]))])
            return await asyncio.to_thread(agent.invoke, asked())

    state = asyncio.run(go())
    assert results(state) == [("call_1", "read a.txt", "success"), ("call_2", "noted b", "success")]


@pytest.mark.covers("langgraph:agent-tools:vendors")
async def test_the_vendor_may_change_from_one_request_to_the_next() -> None:
    """Each gets the tools in its dialect, and either name runs."""

    class Turns(AgentMiddleware[Any, Any, Any]):
        def __init__(self, models: list[Any]) -> None:
            super().__init__()
            self._models = models

        async def awrap_model_call(self, request: ModelRequest[Any], handler: Any) -> Any:
            return await handler(request.override(model=self._models.pop(0)))

    tools = Tools([FILES])
    async with (
        speaking("gemini", [call("files.read", "call_1", path="a")]) as gemini,
        speaking("claude", [words("done")]) as claude,
    ):
        turns = Turns([gemini.model, claude.model])
        agent: Any = create_agent(gemini.model, middleware=[turns, PortableHistoryMiddleware(), ToolsMiddleware(tools)])
        state = await agent.ainvoke(asked())
    assert results(state) == [("call_1", "read a", "success")]
    assert gemini.bodies[0]["tools"] == tools.compile("interactions").definitions
    assert claude.bodies[0]["tools"] == tools.compile("anthropic").definitions


@pytest.mark.covers("langgraph:agent-tools:wire")
async def test_an_answer_in_a_form_is_asked_for_beside_the_tools() -> None:
    """The form is a tool of the agent's own."""
    tools = Tools([FILES])
    scripts = [[call("files_read", "call_1", path="a")], [call("Report", "call_2", title="t")]]
    async with speaking("claude", *scripts) as asking:
        model = asking.model.model_copy(update={"thinking": None})  # Anthropic forces no tool on one that thinks
        agent: Any = create_agent(model, middleware=[ToolsMiddleware(tools)], response_format=ToolStrategy(Report))
        state = await agent.ainvoke(asked())
    assert state["structured_response"] == Report(title="t")
    assert asking.bodies[0]["tools"][0] == tools.compile("anthropic").definitions[0]
    assert [one["name"] for one in asking.bodies[1]["tools"]] == ["files_read", "Report"]


@pytest.mark.covers("langgraph:agent-tools:refused")
async def test_what_cannot_be_kept_is_refused_before_any_request() -> None:
    """Two tools of one name, a model of an unknown vendor, a built-in that the vendor lacks."""
    mine = StructuredTool.from_function(lambda text: text, name="note", description="Mine.")

    async def ask(agent: Any) -> Any:
        return await agent.ainvoke(asked())

    async with speaking("claude") as asking:
        with pytest.raises(InvalidRequest, match="two tools are called 'note': one of the agent's own"):
            await ask(create_agent(asking.model, [note], middleware=[ToolsMiddleware(Tools([mine]))]))
        with pytest.raises(ToolRefused, match="anthropic has no file_search"):
            await ask(create_agent(asking.model, middleware=[ToolsMiddleware(Tools([FileSearch(["s"])]))]))
        with pytest.raises(InvalidRequest, match=r"nothing is known of FakeListChatModel: .*dialect="):
            await ask(create_agent(FakeListChatModel(responses=["x"]), middleware=[ToolsMiddleware(Tools([mine]))]))
        assert asking.bodies == []


@pytest.mark.covers("langgraph:agent-tools:run")
async def test_a_name_that_nobody_knows_is_the_models_to_mend() -> None:
    """The agent's own error names what there is."""
    async with speaking("claude", [call("nope", "call_1")], [words("sorry")]) as asking:
        agent: Any = create_agent(asking.model, [note], middleware=[ToolsMiddleware(Tools([FILES]))])
        state = await agent.ainvoke(asked())
    ((_, text, status),) = results(state)
    assert status == "error"
    assert "nope" in text
    assert isinstance(state["messages"][-1], AIMessage)


@pytest.mark.covers("langgraph:agent-tools:langchain")
def test_without_langchain_the_error_says_what_to_install() -> None:
    """`bind` needs none."""
    code = (
        "import sys; sys.modules['langchain'] = None\n"
        "from bridge.langgraph import bind\n"
        "print('bind')\n"
        "from bridge.langgraph import ToolsMiddleware"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "bind\n"
    assert "NotConfigured" in done.stderr
    assert "pip install langchain" in done.stderr


@pytest.mark.covers("langgraph:agent-tools:given")
def test_tools_given_to_an_agent_as_a_list_are_told_where_they_go() -> None:
    """LangChain would convert their schemas once more, and run them without a check."""
    given: Any = Tools([{"name": "read", "description": "Reads.", "parameters": {"type": "object"}}])
    with pytest.raises(InvalidRequest, match=r"middleware=\[ToolsMiddleware\(tools\)\]"):
        create_agent(FakeListChatModel(responses=[]), tools=given)
