"""Managed agents: the ones the service knows, the caller's own, and what a call to one may ask for.

`antigravity-*` and `deep-research-*` exist under every id that begins so; a caller's own agent is built on one of them. What
an agent then does is the responder's business.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from bridge.interactions import (
    Agent,
    CreateAgentInteraction,
    FunctionTool,
    TextFormat,
    UserInput,
)
from bridge.interactions.interaction import input_steps

from .checks import check_parts, refused
from .settings import Switches
from .store import Store

__all__ = ["ANTIGRAVITY", "DEEP_RESEARCH", "AgentRegistry", "check_agent_call", "merged"]

ANTIGRAVITY = "antigravity-"
DEEP_RESEARCH = "deep-research-"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class AgentRegistry:
    """The caller's own agents, kept in the store. Meets `bridge.backend.Agents`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def create(self, agent: Agent | None = None, /, **fields: Any) -> Agent:
        """Creates an agent. Raises `Conflict` where the id exists, `BadRequest` where the definition is wrong."""
        given = {name: value for name, value in fields.items() if value is not None}
        if agent is not None:
            given = {**agent.to_wire(), **given}
        agent = Agent.parse(given)
        for name in agent.model_extra or ():
            raise refused(f"Unknown parameter: {name!r}.", code="parameter_unknown")
        for name in ("id", "base_agent", "system_instruction", "description"):  # the model keeps what does not fit
            if not isinstance(getattr(agent, name), str | None):
                raise refused(f"Invalid value at {name!r}: expected a string.")
        if not isinstance(agent.tools, list | None):
            raise refused("Invalid value at 'tools': expected a list.")
        if not agent.id:
            raise refused("Missing value for 'id'.")
        if not _ID.fullmatch(agent.id):
            raise refused(
                f"The value {agent.id[:80]!r} is not supported for 'id': up to 63 letters, digits, '.', '_' or '-'."
            )
        if not agent.base_agent:
            raise refused("Missing value for 'base_agent'.")
        if not _is_base(agent.base_agent):
            raise refused(
                f"The value {agent.base_agent!r} is not supported for 'base_agent'. "
                f"Supported values: {ANTIGRAVITY}*, {DEEP_RESEARCH}*."
            )
        check_parts(agent)
        if _is_base(agent.id) or not await self._store.add_agent(agent.id, without_secrets(agent.to_wire())):
            raise refused(f"Agent {agent.id!r} already exists.", status=409, code="already_exists")
        return await self.get(agent.id)

    async def get(self, id: str) -> Agent:
        """An agent of the caller's own by id. Raises `NotFound`."""
        wire = await self._store.agent(id)
        if wire is None:
            raise _unknown(id)
        return Agent.parse(wire)

    async def list(self, *, page_size: int | None = None) -> AsyncIterator[Agent]:
        """The caller's own agents, by id."""
        for wire in await self._store.agents():
            yield Agent.parse(wire)

    async def delete(self, id: str) -> None:
        """Deletes an agent. Raises `NotFound`."""
        if not await self._store.delete_agent(id):
            raise _unknown(id)

    async def resolve(self, request: CreateAgentInteraction) -> Agent:
        """The agent a request asks for, with the request's own settings on top. Raises `NotFound`."""
        known = (
            Agent(id=request.agent, base_agent=request.agent)
            if _is_base(request.agent)
            else await self.get(request.agent)
        )
        return merged(known, request)


def merged(agent: Agent, request: CreateAgentInteraction) -> Agent:
    """An agent's definition with what a call says added.

    The call's instruction follows the agent's own; its tools are added, a function of the same name takes the place of the
    agent's; its `agent_config` takes the place of the agent's.
    """
    changes: dict[str, Any] = {}
    instructions = [text for text in (agent.system_instruction, request.system_instruction) if text]
    if instructions:
        changes["system_instruction"] = "\n\n".join(instructions)
    if request.tools:
        called = {_name(tool) for tool in request.tools}
        changes["tools"] = [*(tool for tool in agent.tools or () if _name(tool) not in called), *request.tools]
    if request.agent_config is not None:
        changes["agent_config"] = request.agent_config
    return agent.replace(**changes)


def check_agent_call(agent: Agent, request: CreateAgentInteraction, *, switches: Switches) -> None:
    """Refuses what the agent's kind does not take."""
    base = agent.base_agent or ""
    if request.response_format is not None and not _plain_text(request.response_format):
        raise refused(f"Agent {agent.id!r} does not support structured output: leave 'response_format' out.")
    functions = [tool for tool in agent.tools or () if isinstance(tool, FunctionTool)]
    if base.startswith(DEEP_RESEARCH):
        if not request.background:
            raise refused("Agents are required to use background=true.")
        if functions:
            raise refused(f"Agent {agent.id!r} does not support custom functions.")
        if request.system_instruction:
            raise refused(f"Agent {agent.id!r} does not support 'system_instruction': put it into the input.")
    else:
        if request.background and not switches.antigravity_background:
            raise refused("Agent does not support using background=True.")
        for kind in sorted(_media_of(request) & {"audio", "video", "document"}):
            raise refused(
                f"Agent {agent.id!r} does not support {kind} input: mount the file as a source of its environment."
            )
        if functions and request.store is False:
            raise refused(f"Agent {agent.id!r} does not support functions with store=false.")


def without_secrets(wire: dict[str, Any]) -> dict[str, Any]:
    """A JSON object as it may be kept and shown: values of `env` and of headers are hidden."""
    shown: dict[str, Any] = {}
    for name, value in wire.items():
        if name == "env" and isinstance(value, dict):
            shown[name] = {key: item if _is_reference(item) else {"value": "***"} for key, item in value.items()}
        elif name in ("headers", "transform") and value is not None:
            shown[name] = _hidden(value)
        elif isinstance(value, dict):
            shown[name] = without_secrets(value)
        elif isinstance(value, list):
            shown[name] = [without_secrets(item) if isinstance(item, dict) else item for item in value]
        else:
            shown[name] = value
    return shown


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return dict.fromkeys(value, "***")
    return [_hidden(item) for item in value] if isinstance(value, list) else "***"


def _is_reference(item: Any) -> bool:
    return isinstance(item, dict) and "credential" in item and item.get("value") is None


def _is_base(id: str) -> bool:
    return any(id.startswith(base) and len(id) > len(base) for base in (ANTIGRAVITY, DEEP_RESEARCH))


def _name(tool: Any) -> str:
    return f"function {tool.name}" if isinstance(tool, FunctionTool) else str(getattr(tool, "type", ""))


def _media_of(request: CreateAgentInteraction) -> set[str]:
    return {
        str(getattr(item, "type", ""))
        for step in input_steps(request.input)
        if isinstance(step, UserInput)
        for item in step.content or ()
    }


def _plain_text(formats: Any) -> bool:
    entries = formats if isinstance(formats, list) else [formats]
    return all(
        isinstance(entry, TextFormat) and entry.schema_ is None and entry.mime_type in (None, "text/plain")
        for entry in entries
    )


def _unknown(id: str) -> Exception:
    return refused(f"Agent {id[:80]!r} not found.", status=404, code="not_found")
