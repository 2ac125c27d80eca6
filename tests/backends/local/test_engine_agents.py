"""Managed agents: the known ones, the caller's own, and what each takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bridge.backends.local import Switches
from bridge.errors import BadRequest, Conflict, InvalidRequest, NotFound
from bridge.interactions import Agent

from .service import function, text

Service = Callable[..., Any]
ANTIGRAVITY = "antigravity-preview-09-2026"
RESEARCH = "deep-research-preview-04-2026"


@pytest.mark.covers("local:agents")
async def test_agents_are_created_read_listed_and_deleted(service: Service) -> None:
    """With ids the caller chooses; what is kept is what was given."""
    backend = service()
    fields: dict[str, Any] = {
        "id": "code-reviewer",
        "base_agent": ANTIGRAVITY,
        "description": "Reviews diffs",
        "system_instruction": "Review.",
        "agent_config": {"type": "antigravity", "model": "gemini-3.8-flash"},
        "tools": [{"type": "code_execution"}, {"type": "google_search"}],
        "base_environment": {"type": "remote", "sources": [{"type": "inline", "target": "/a.md", "content": "rules"}]},
    }
    made = await backend.agents.create(**fields)
    assert made.to_wire() == fields
    assert await backend.agents.get("code-reviewer") == made
    await backend.agents.create(Agent(id="another", base_agent=RESEARCH))
    assert [agent.id async for agent in backend.agents.list()] == ["another", "code-reviewer"]
    await backend.agents.delete("another")
    for gone in (backend.agents.get, backend.agents.delete):
        with pytest.raises(NotFound) as refused:
            await gone("another")
        assert refused.value.code == "not_found"


@pytest.mark.covers("local:agents:exists")
async def test_an_agent_id_that_exists_is_409(service: Service) -> None:
    """The caller's own and the service's."""
    backend = service()
    await backend.agents.create(id="mine", base_agent=ANTIGRAVITY)
    for taken in ("mine", ANTIGRAVITY, RESEARCH):
        with pytest.raises(Conflict) as refused:
            await backend.agents.create(id=taken, base_agent=ANTIGRAVITY)
        assert refused.value.code == "already_exists"


@pytest.mark.covers("local:agents:refused")
@pytest.mark.parametrize(
    ("fields", "fact"),
    [
        ({"id": None}, "'id'"),
        ({"id": "no/slash"}, "'id'"),
        ({"id": 5}, "'id'"),
        ({"base_agent": None}, "'base_agent'"),
        ({"base_agent": "antigravity"}, "Supported values: antigravity-"),
        ({"tools": [{"type": "function"}]}, r"tools\[0\]"),
        ({"tools": "all"}, "'tools'"),
        ({"agent_config": {"type": "nonsense"}}, "agent_config"),
        ({"base_environment": {"sources": [{"type": "inline"}]}}, "target"),
        ({"mood": "good"}, "'mood'"),
    ],
)
async def test_a_wrong_definition_is_400(service: Service, fields: dict[str, Any], fact: str) -> None:
    """With the field that is wrong."""
    with pytest.raises((BadRequest, InvalidRequest), match=fact):
        await service().agents.create(**{"id": "mine", "base_agent": ANTIGRAVITY, **fields})


@pytest.mark.covers("local:agents:secrets")
async def test_headers_of_an_agents_tools_are_not_shown(service: Service) -> None:
    """Nor the values of its variables."""
    backend = service()
    made = await backend.agents.create(
        id="mine",
        base_agent=ANTIGRAVITY,
        tools=[{"type": "mcp_server", "name": "n", "url": "http://127.0.0.1/", "headers": {"Authorization": "secret"}}],
        base_environment={
            "type": "remote",
            "env": {"KEY": "secret"},
            "network": {"allowlist": [{"domain": "x", "transform": [{"A": "secret"}]}]},
        },
    )
    assert "secret" not in str(made.to_wire())


@pytest.mark.covers("local:agents:known")
async def test_known_agents_answer_under_their_own_id(service: Service) -> None:
    """`agent` is the id asked for, unchanged; there is no model in the answer."""
    backend = service([text("a")], [text("b")])
    turn = (await backend.create(agent=ANTIGRAVITY, input="x", environment="remote")).to_wire()
    assert turn["agent"] == ANTIGRAVITY
    assert "model" not in turn
    started = await backend.create(agent=RESEARCH, input="x", background=True)
    assert started.agent == RESEARCH
    for unknown in ("antigravity", "antigravity-", "nobody", "code-mender-1"):
        with pytest.raises(NotFound) as refused:
            await backend.create(agent=unknown, input="x", environment="remote")
        assert refused.value.code == "not_found"


@pytest.mark.covers("local:agents:rules")
@pytest.mark.parametrize(
    ("fields", "fact"),
    [
        ({"agent": RESEARCH}, "Agents are required to use background=true"),
        ({"agent": RESEARCH, "background": True, "tools": [function("f")]}, "custom functions"),
        ({"agent": RESEARCH, "background": True, "system_instruction": "x"}, "system_instruction"),
        (
            {"agent": RESEARCH, "background": True, "response_format": {"type": "text", "schema": {}}},
            "structured output",
        ),
        ({"agent": ANTIGRAVITY, "environment": "remote", "store": False, "tools": [function("f")]}, "store=false"),
        ({"agent": ANTIGRAVITY, "environment": "remote", "tools": [{"type": "google_maps"}]}, "google_maps"),
        (
            {"agent": ANTIGRAVITY, "environment": "remote", "input": [{"type": "document", "data": "aWk="}]},
            "does not support document input",
        ),
        (
            {"agent": ANTIGRAVITY, "environment": "remote", "generation_config": {"temperature": 1.0}},
            "generation_config",
        ),
    ],
)
async def test_each_kind_of_agent_takes_what_the_real_one_takes(
    service: Service, fields: dict[str, Any], fact: str
) -> None:
    """400 with the real service's words where they are known."""
    with pytest.raises((BadRequest, InvalidRequest), match=fact):
        await service().create(**{"input": "x", **fields})


@pytest.mark.covers("local:agents:rules")
async def test_a_plain_text_format_is_no_structured_output(service: Service) -> None:
    """It asks for what an agent gives anyway."""
    backend = service([text("a")])
    turn = await backend.create(agent=ANTIGRAVITY, input="x", environment="remote", response_format=[{"type": "text"}])
    assert turn.status == "completed"


@pytest.mark.covers("local:agents:custom")
async def test_an_agent_of_ones_own_works_with_its_definition_and_the_calls(service: Service) -> None:
    """Instructions add up, tools too with the call's function first, settings are the call's."""
    backend = service([text("a")], [text("b")])
    responder: Any = backend.engine._responder
    await backend.agents.create(
        id="mine",
        base_agent=ANTIGRAVITY,
        system_instruction="Be kind.",
        tools=[{"type": "code_execution"}, {**function("f"), "description": "mine"}],
        agent_config={"type": "antigravity", "model": "a"},
    )
    await backend.create(
        agent="mine",
        input="x",
        environment="remote",
        system_instruction="Be brief.",
        tools=[{**function("f"), "description": "yours"}, function("g")],
        agent_config={"type": "antigravity", "model": "b"},
    )
    await backend.create(agent="mine", input="x", environment="remote")
    merged, plain = (turn.agent for turn in responder.turns)
    assert merged.system_instruction == "Be kind.\n\nBe brief."
    assert [getattr(tool, "description", tool.type) for tool in merged.tools] == ["code_execution", "yours", None]
    assert merged.agent_config.model == "b"
    assert (plain.system_instruction, len(plain.tools), plain.agent_config.model) == ("Be kind.", 2, "a")
    await backend.agents.create(id="searcher", base_agent=ANTIGRAVITY, tools=[{"type": "google_search"}])
    with pytest.raises(BadRequest, match="google_search"):
        await backend.create(agent="searcher", input="x", environment="remote")


@pytest.mark.covers("local:agents:environment")
async def test_each_call_of_an_agent_of_ones_own_gets_a_copy_of_its_environment(service: Service) -> None:
    """Made of its sources or of an environment that exists; a call's own sources go on top, its own id wins."""
    backend = service(*([text("a")] for _ in range(5)))
    rules = {"type": "inline", "target": "/.agents/AGENTS.md", "content": "rules"}
    await backend.agents.create(
        id="of-sources", base_agent=ANTIGRAVITY, base_environment={"type": "remote", "sources": [rules]}
    )
    made = await backend.environments.create(sources=[{"type": "inline", "target": "t.txt", "content": "x"}])
    await backend.agents.create(id="of-another", base_agent=ANTIGRAVITY, base_environment=made.id)
    await backend.agents.create(
        id="of-env-id", base_agent=ANTIGRAVITY, base_environment={"type": "remote", "env_id": made.id}
    )

    async def files(**fields: Any) -> tuple[str, list[str]]:
        made_id = str((await backend.create(input="x", **fields)).environment_id)
        return made_id, [
            str(file.path) async for file in backend.files.list(made_id, "/", recursive=True) if file.type == "file"
        ]

    first, names = await files(agent="of-sources")
    assert names == [".agents/AGENTS.md"]
    extra = {"type": "remote", "sources": [{"type": "inline", "target": "more.txt", "content": "y"}]}
    second, names = await files(agent="of-sources", environment=extra)
    assert names == [".agents/AGENTS.md", "workspace/more.txt"]
    third, names = await files(agent="of-another", environment="remote")
    assert names == ["workspace/t.txt"]
    fourth, names = await files(agent="of-env-id")
    assert names == ["workspace/t.txt"]
    assert len({first, second, third, fourth, made.id}) == 5
    assert (await files(agent="of-another", environment=first))[0] == first


@pytest.mark.covers("local:budget:total")
async def test_max_total_tokens_ends_an_agents_run_as_incomplete(service: Service) -> None:
    """What it did until then is kept, and the run can be continued."""
    backend = service([text("one two three four"), text("five six seven eight"), text("never")], [text("go on")])
    config = {"type": "antigravity", "max_total_tokens": "9"}
    turn = await backend.create(agent=ANTIGRAVITY, input="Go.", environment="remote", agent_config=config)
    assert turn.status == "incomplete"
    assert [step.content[0].text for step in turn.steps] == ["one two three four", "five six seven eight"]
    more = await backend.create(
        agent=ANTIGRAVITY, input="continue", environment=turn.environment_id, previous_interaction_id=turn.id
    )
    assert more.status == "completed"


@pytest.mark.covers("local:switches:antigravity-background")
@pytest.mark.parametrize("allowed", [True, False])
async def test_whether_antigravity_runs_in_the_background_is_a_switch(service: Service, allowed: bool) -> None:
    """Observers of the real service disagree."""
    backend = service([text("a")], switches=Switches(antigravity_background=allowed))
    request: dict[str, Any] = {"agent": ANTIGRAVITY, "input": "x", "environment": "remote", "background": True}
    if allowed:
        assert (await backend.create(**request)).status == "in_progress"
    else:
        with pytest.raises(BadRequest, match="Agent does not support using background=True"):
            await backend.create(**request)


@pytest.mark.covers("local:agents:known")
async def test_an_agent_without_an_environment_answers_and_leaves_no_files(service: Service) -> None:
    """It is not given a sandbox nobody asked for."""
    turn = await service([text("a")]).create(agent=ANTIGRAVITY, input="x")
    assert (turn.status, turn.environment_id) == ("completed", None)
