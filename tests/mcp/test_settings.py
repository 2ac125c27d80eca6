"""What a server is made of: its tools as clients list them, its agents' settings, its limits, and a server of one's own tools."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from starlette.applications import Starlette
from starlette.routing import Mount

from bridge.backend import Capabilities
from bridge.backends.local import LocalBackend
from bridge.errors import BridgeError, InvalidRequest, NotConfigured, ToolRefused, UnsupportedCapability
from bridge.jobs import JobStore, SqliteJobStore
from bridge.jobs.prices import usd_of
from bridge.mcp import DEFAULT_AGENTS, Limits, SharedToken, agent_server, servers, tool_server, updates
from bridge.mcp.agents import limits as limiting
from bridge.tools import CodeExecution, ToolError, Tools, WebSearch
from tests.mcp.calling import ASKING, AUTH, ERAS, KEY, TOOLS, Held, Tokens, calling, output, served

pytestmark = pytest.mark.timeout(90)
# Of the names, descriptions and schemas of the tools with the default agents. Who changes it makes every client approve them anew.
PINNED = "b69e4755df3877c66ac3bb47e2085e3839214cabaaaa46f5f8d55d6426415ce9"


@pytest.mark.covers("mcp:tools")
@pytest.mark.parametrize("era", ERAS)
async def test_t27_the_tools_are_what_clients_approved(
    era: str, backend: LocalBackend, serving: Callable[..., Any]
) -> None:
    """The list is always the same, by a hash; each tool is described, closed to other arguments, and says what it gives."""
    async with calling(serving(backend), era) as call:
        tools = (await call.client.list_tools()).tools
        again = (await call.client.list_tools()).tools
    assert tools == again
    assert [tool.name for tool in tools] == TOOLS
    for tool in tools:
        assert tool.description
        assert tool.input_schema["additionalProperties"] is False
        assert tool.output_schema is not None
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is (tool.name not in ("agent_run", "agent_respond", "agent_cancel"))
    told = json.dumps([[tool.name, tool.description, tool.input_schema] for tool in tools], sort_keys=True)
    assert hashlib.sha256(told.encode()).hexdigest() == PINNED


@pytest.mark.covers("mcp:arguments")
@pytest.mark.parametrize(
    ("tool", "arguments", "fact"),
    [
        ("agent_run", {}, "'input' is a required property"),
        ("agent_run", {"input": ""}, "input: '' should be non-empty"),
        ("agent_run", {"input": "x", "wait": 1}, "'wait' was unexpected"),
        ("agent_run", {"input": "x", "wait_s": 51}, "wait_s: 51 is greater than the maximum of 50"),
        ("agent_run", {"input": "x", "wait_s": "5"}, "wait_s: '5' is not of type 'number'"),
        ("agent_run", {"input": "x", "agent": "other"}, "agent: 'other' is not one of ['gemini'"),
        ("agent_run", {"input": "x", "base_url": "http://example.com"}, "'base_url' was unexpected"),
        ("agent_run", {"input": "x", "files": [{"path": "a", "content": "b", "mode": 1}]}, "files/0"),
        ("agent_wait", {"run_id": 1}, "run_id: 1 is not of type 'string'"),
        ("agent_list", {"limit": 0}, "limit: 0 is less than the minimum of 1"),
        ("agent_read_file", {"uri": "x", "max_chars": 50_001}, "max_chars: 50001 is greater"),
        ("agent_get", {"run_id": "x", "after_step": -1}, "after_step: -1 is less"),
        ("agent_fly", {}, "there is no tool 'agent_fly'; there are agent_run"),
    ],
)
async def test_what_a_tool_does_not_take_is_refused_by_name(
    tool: str, arguments: dict[str, Any], fact: str, backend: LocalBackend, serving: Callable[..., Any]
) -> None:
    """Nothing is clamped, ignored or converted."""
    async with calling(serving(backend)) as call:
        assert fact in await call.refused(tool, **arguments)
        assert (await call("agent_list"))["runs"] == []


@pytest.mark.covers("mcp:arguments")
async def test_there_are_no_prompts(backend: LocalBackend, serving: Callable[..., Any]) -> None:
    """And who asks for one is told so."""
    async with calling(serving(backend)) as call:
        assert (await call.client.list_prompts()).prompts == []
        with pytest.raises(MCPError, match="Unknown prompt: research"):
            await call.client.get_prompt("research")


@pytest.mark.covers("mcp:agents")
@pytest.mark.parametrize(
    ("agents", "fact"),
    [
        ({}, "there are no agents"),
        ({"a": {}}, "agent 'a' takes a model or an agent of the service, not neither"),
        ({"a": {"model": "m", "agent": "b"}}, "not both"),
        ({"a": {"model": "m", "modle": "n"}}, "no setting 'modle'"),
        ({"a": 5}, "agent 'a' is a int"),
        ({"": {"model": "m"}}, "a text of up to 64 characters"),
        ({"a": {"model": "m", "deadline": -1}}, "deadline is a number of seconds above 0"),
        ({"a": {"model": "m", "budget": {"euros": 1}}}, "no euros"),
        ({"a": {"model": "m", "tools": "search"}}, "agents.a.tools is a list"),
    ],
)
def test_settings_that_cannot_be_are_refused_when_the_server_is_made(agents: Any, fact: str, jobs: JobStore) -> None:
    """By the agent's name."""
    with pytest.raises(InvalidRequest) as refused:
        agent_server(agents, LocalBackend(), jobs=jobs, handle_key=KEY)
    assert fact in str(refused.value)


@pytest.mark.covers("mcp:agents")
def test_what_a_backend_lacks_is_named(jobs: JobStore) -> None:
    """Before anything is asked of it; and without a backend the three ways to one."""

    class Poor(LocalBackend):
        capabilities = Capabilities(environments=False, agents=False)

    for name in ("antigravity", "deep-research"):
        with pytest.raises(UnsupportedCapability):
            agent_server({name: DEFAULT_AGENTS[name]}, Poor(), jobs=jobs)
    with pytest.raises(UnsupportedCapability, match="environments"):
        agent_server({"a": {"model": "m", "environment": "remote"}}, Poor(), jobs=jobs)
    with pytest.raises(NotConfigured):
        agent_server(jobs=jobs)
    with pytest.raises(InvalidRequest, match="go together"):
        agent_server({"a": {"model": "m"}}, Poor(), jobs=jobs, token_verifier=Tokens())
    with pytest.raises(InvalidRequest, match="handle_key has 5 bytes"):
        agent_server({"a": {"model": "m"}}, Poor(), jobs=jobs, handle_key="short")
    with pytest.raises(InvalidRequest, match="the token has 5 characters"):
        SharedToken("short")


@pytest.mark.covers("mcp:agents:several")
async def test_each_agent_may_have_a_backend_and_settings_of_its_own(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any], jobs: JobStore
) -> None:
    """A follow-up stays with the agent of its run, and does not cross to another service; an agent that is gone is named."""
    seen: list[Any] = []

    def answer(turn: Any) -> Any:
        seen.append(turn.request.to_wire())
        return [output("Yes.")]

    one, two = scripted(answer, answer), scripted([output("No.")])
    agents = {
        "one": {
            "model": "m",
            "system_instruction": "Be short.",
            "tools": [CodeExecution()],
            "budget": {"tokens": 500},
            "generation_config": {"max_output_tokens": 900},
        },
        "two": {"model": "n", "backend": two},
    }
    async with calling(serving(one, agents)) as call:
        first = await call("agent_run", input="Is it?")
        await call("agent_run", input="Sure?", previous_run_id=first["run_id"])
        other = await call("agent_run", agent="two", input="Is it?")
        assert other["output_text"] == "No."
        crossed = await call.refused("agent_run", agent="two", input="Sure?", previous_run_id=first["run_id"])
        assert "two cannot go on from that run" in crossed
    for wire in seen:
        assert wire["system_instruction"] == "Be short."
        assert wire["tools"] == [{"type": "code_execution"}]
        assert wire["generation_config"] == {"max_output_tokens": 500}
    async with calling(serving(one, {"three": {"model": "m"}})) as call:
        assert (await call("agent_get", run_id=first["run_id"]))["output_text"] == "Yes."
        gone = await call.refused("agent_run", input="Sure?", previous_run_id=first["run_id"])
        assert "no agent 'one' any more" in gone


@pytest.mark.covers("mcp:limits")
async def test_t23_a_caller_is_held_to_limits(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Of runs under way, of starts in a minute, of tokens in a day, of words. A call that is repeated by its key is no start."""
    held = Held()
    limits = Limits(running=1, input_chars=10)
    async with calling(serving(scripted(held), ASKING, limits=limits)) as call:
        run = (await call("agent_run", input="Think.", wait_s=0, idempotency_key="k"))["run_id"]
        assert (await call("agent_run", input="Think.", wait_s=0, idempotency_key="k"))["run_id"] == run
        assert "1 runs are under way, and no more may be: wait for one" in await call.refused(
            "agent_run", input="More."
        )
        assert "is too long" in await call.refused("agent_run", input="x" * 11)
        await call("agent_cancel", run_id=run)
    # The one that another server on the same store started counts, too.
    async with calling(
        serving(scripted([output("1")], [output("2")]), ASKING, limits=Limits(starts_per_minute=3))
    ) as call:
        await call("agent_run", input="1")
        await call("agent_run", input="2")
        assert "3 runs were started within a minute; try again in" in await call.refused("agent_run", input="3")
    async with calling(serving(scripted([output("1")]), ASKING, limits=Limits(tokens_per_day=5))) as call:
        assert "tokens, and 5 may be used" in await call.refused("agent_run", input="1")


@pytest.mark.covers("mcp:limits:usd")
async def test_a_caller_is_held_to_a_limit_in_money(
    backend: LocalBackend, serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all the runs of a day, at the price of each one's model; where a price is not known there is no such limit."""
    monkeypatch.setattr(limiting, "_PAGE", 1)
    priced = {
        "cheap": {"model": "gemini-2.5-flash"},
        "dear": {
            "agent": "antigravity-preview-09-2026",
            "agent_config": {"type": "antigravity", "model": "gemini-2.5-pro"},
        },
    }
    async with calling(serving(backend, priced, limits=Limits(usd_per_day=100))) as call:
        for agent in ("cheap", "dear", "dear"):
            assert (await call("agent_run", agent=agent, input="What is it?"))["status"] == "completed"
        runs = [(await call("agent_get", run_id=run["run_id"]))["usage"] for run in (await call("agent_list"))["runs"]]
    usd = sum(usd_of(use, f"gemini-2.5-{model}") or 0 for use, model in zip(runs, ("pro", "pro", "flash"), strict=True))
    async with calling(serving(backend, priced, limits=Limits(usd_per_day=usd * 1.01))) as call:
        assert (await call("agent_run", input="And now?"))["status"] == "completed"
    async with calling(serving(backend, priced, limits=Limits(usd_per_day=usd))) as call:
        assert "US dollars, and" in await call.refused("agent_run", input="And now?")
    for unknown in ({"model": "m"}, {"agent": "antigravity-preview-09-2026"}):
        with pytest.raises(InvalidRequest, match=r"limits\.usd_per_day: what agent 'one' costs is not known"):
            serving(backend, {"one": unknown}, limits=Limits(usd_per_day=1))


@pytest.mark.covers("mcp:limits")
async def test_runs_of_another_day_are_not_counted(
    backend: LocalBackend, tmp_path: Path, serving: Callable[..., Any]
) -> None:
    """Nor starts of another minute."""
    now = [time.time()]
    store = SqliteJobStore(tmp_path / "aged.sqlite", clock=lambda: now[0])
    limits = Limits(tokens_per_day=1, starts_per_minute=1)
    async with calling(serving(backend, ASKING, jobs=store, limits=limits)) as call:
        await call("agent_run", input="1")
        now[0] += 59
        assert "try again in 1 s" in await call.refused("agent_run", input="2")
        now[0] += 1
        assert "tokens, and 1 may be used" in await call.refused("agent_run", input="2")
        now[0] += 86_400
        await call("agent_run", input="2")
    await store.aclose()


@pytest.mark.covers("mcp:limits")
async def test_t23_so_many_calls_of_a_caller_wait_at_once(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """One more is refused before it starts anything; once one is over, another may."""
    held = Held()
    async with calling(serving(scripted(held), ASKING, limits=Limits(waiting=2))) as call:
        run = (await call("agent_run", input="Think.", wait_s=0))["run_id"]
        begun = [asyncio.Event() for _ in range(2)]

        async def wait(waits: asyncio.Event) -> Any:
            async def told(progress: float, total: float | None, message: str | None) -> None:
                waits.set()

            done = await call.client.call_tool("agent_wait", {"run_id": run}, progress_callback=told)
            return done.structured_content

        waiting = [asyncio.create_task(wait(event)) for event in begun]
        async with asyncio.timeout(20):
            for event in begun:
                await event.wait()
        assert "2 calls wait already" in await call.refused("agent_run", input="More.", wait_s=0)
        assert "agent_get shows a run" in await call.refused("agent_wait", run_id=run)
        assert (await call("agent_get", run_id=run))["status"] == "in_progress"
        held.let.set()
        assert [(await one)["output_text"] for one in waiting] == ["done", "done"]
        assert (await call("agent_wait", run_id=run))["status"] == "completed"
        assert len((await call("agent_list"))["runs"]) == 1


@pytest.mark.covers("mcp:resources:updates", "mcp:limits")
async def test_t23_a_caller_listens_on_so_many_streams_at_once(
    backend: LocalBackend, serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another stream is refused until one is closed."""
    monkeypatch.setattr(updates, "_STREAMS", 1)
    async with calling(serving(backend)) as call:
        run = await call("agent_run", input="Hello.")
        uri = f"agent://runs/{run['run_id']}"
        async with call.client.listen(resource_subscriptions=[uri]):
            with pytest.raises(MCPError, match="1 streams at once"):
                async with call.client.listen(resource_subscriptions=[uri]):
                    pass
        async with asyncio.timeout(20), call.client.listen(resource_subscriptions=[uri]):
            pass


@pytest.mark.covers("mcp:limits")
def test_limits_are_whole_numbers() -> None:
    """And have defaults."""
    assert Limits() == Limits(running=256, waiting=512, starts_per_minute=600, tokens_per_day=None, input_chars=200_000)
    for wrong in ({"running": 0}, {"running": None}, {"tokens_per_day": 1.5}, {"input_chars": True}):
        with pytest.raises(InvalidRequest, match=rf"limits\.{next(iter(wrong))} is a whole number"):
            Limits(**wrong)
    for usd in (0, True, "1"):
        with pytest.raises(InvalidRequest, match=r"limits\.usd_per_day is a number above 0"):
            Limits(usd_per_day=usd)  # type: ignore[arg-type]


@pytest.mark.covers("mcp:many")
async def test_two_hundred_runs_at_once_are_each_their_own(backend: LocalBackend, serving: Callable[..., Any]) -> None:
    """None is lost, and none answers another's question."""
    async with calling(serving(backend)) as call:

        async def run(number: int) -> str:
            done = await call.client.call_tool("agent_run", {"input": f"The budget is {number}."})
            assert not done.is_error, done.content
            return str(done.structured_content["output_text"])

        answers = await asyncio.gather(*(run(number) for number in range(200)))
    assert [f"budget is {number}." in answer for number, answer in enumerate(answers)] == [True] * 200


@pytest.mark.covers("mcp:http:mounted")
@pytest.mark.parametrize("era", ERAS)
async def test_it_is_mounted_in_an_app_of_ones_own(
    era: str, scripted: Callable[..., LocalBackend], serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under any path, beside other routes; the app's lifespan runs the server's, which looks after runs that nobody waits for."""
    monkeypatch.setattr(servers, "TEND_EVERY", 0.05)
    held = Held()
    server = serving(scripted(held), ASKING)
    mounted = server.streamable_http_app(streamable_http_path="/")
    app = Starlette(routes=[Mount("/agents", mounted)], lifespan=lambda _: server.session_manager.run())
    async with served(app) as url, calling(f"{url}/agents/", era) as call:
        run = await call("agent_run", input="Think.", wait_s=0)
        held.let.set()
        assert (await call("agent_wait", run_id=run["run_id"]))["output_text"] == "done"


@pytest.mark.covers("mcp:logging")
def test_the_logging_of_the_process_is_left_alone(jobs: JobStore) -> None:
    """The SDK would set up the root logger."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    try:
        agent_server({"a": {"model": "m"}}, LocalBackend(), jobs=jobs, handle_key=KEY)
        assert (root.handlers, root.level) == ([], level)
    finally:
        root.handlers[:] = handlers


def add(a: int, b: int = 1) -> str:
    """Adds two numbers."""
    return str(a + b)


async def fail(how: str) -> str:
    """Fails."""
    if how == "told":
        raise ToolError("the model may know this")
    raise ValueError("password hunter2")


@pytest.mark.covers("mcp:tool-server")
@pytest.mark.parametrize("era", ERAS)
async def test_tools_of_ones_own_are_served(era: str) -> None:
    """Listed as they are compiled for MCP; arguments are checked, errors told, and what must not be told is not."""
    tools = Tools([add, fail, {"name": "bare.tool", "parameters": {"type": "object"}}])
    async with calling(tool_server(tools, instructions="Count."), era) as call:
        listed = (await call.client.list_tools()).tools
        assert [tool.name for tool in listed] == ["add", "fail", "bare.tool"]
        assert listed[0].input_schema["required"] == ["a"]
        assert listed[2].description == "bare.tool"
        assert call.client.instructions == "Count."
        assert call.client.server_info is not None
        assert call.client.server_info.version == version("interactions-bridge")
        assert (await call.result("add", a=1, b=2)).content[0].text == "3"  # type: ignore[union-attr]
        assert "a: '1' is not of type 'integer'" in await call.refused("add", a="1")
        assert await call.refused("fail", how="told") == "the model may know this"
        assert "hunter2" not in await call.refused("fail", how="x")
        assert "without anything that runs it" in await call.refused("bare.tool")


@pytest.mark.covers("mcp:tool-server")
async def test_tools_of_other_servers_are_served_on() -> None:
    """Once they are open; a built-in of a vendor's is refused with its name."""
    inner = MCPServer("inner")
    inner.add_tool(add)
    closed = Tools([inner])
    with pytest.raises(InvalidRequest, match="opens them"):
        tool_server(closed)
    async with Tools([inner]) as tools, calling(tool_server(tools, token_verifier=Tokens(), auth=AUTH)) as call:
        assert (await call.result("add", a=1)).content[0].text == "2"  # type: ignore[union-attr]
    with pytest.raises(ToolRefused, match="web_search"):
        tool_server(Tools([WebSearch()]))
    assert issubclass(ToolRefused, BridgeError)
