"""The agents of a server as they were configured, checked once, and the request that each makes of what a caller asks. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from bridge.backend import Backend, require
from bridge.connect import connect
from bridge.errors import InvalidRequest
from bridge.jobs.agent import Agent
from bridge.jobs.terms import Budget, Terms, agreed
from bridge.tools import Tools
from bridge.tools.capabilities import Capability

__all__ = ["DEFAULT_AGENTS", "AgentSettings", "read_agents"]

DEFAULT_AGENTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "gemini": {
            "description": "A Gemini model: answers within seconds, from what it knows and what it is given.",
            "model": "gemini-3.8-flash",
        },
        "antigravity": {
            "description": "A general agent with a sandbox of its own: writes and runs programs, works on files, keeps them.",
            "agent": "antigravity-preview-09-2026",
            "environment": "remote",
        },
        "deep-research": {
            "description": "A research agent: searches, reads and writes a report with its sources, in 5 to 60 minutes.",
            "agent": "deep-research-preview-04-2026",
        },
    }
)

_KEYS = frozenset(
    [
        "description",
        "model",
        "agent",
        "backend",
        "system_instruction",
        "tools",
        "environment",
        "agent_config",
        "generation_config",
        "response_format",
        "budget",
        "deadline",
        "stall_after",
        "ask_user",
    ]
)
_DEADLINE = 7200.0


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """One agent that is offered under `name`. `target` is the model or agent of the service, `held` what runs the functions it may call,
    `ask_user` whether what it waits for is asked of the person at the client, where the client shows forms.
    """

    name: str
    description: str
    runs: Agent
    target: str
    terms: Terms = field(default_factory=Terms)
    deadline: float | None = _DEADLINE
    environment: Any = None
    held: Tools | None = None
    ask_user: bool = True
    fields: Mapping[str, Any] = field(default_factory=dict)

    def request(self, input: Any, *, previous: str | None = None, environment: Any = None) -> dict[str, Any]:
        """The request of a turn: stored, and in the background."""
        given = {"input": input, "previous_interaction_id": previous, "environment": environment}
        request = {**self.fields, **given, "background": True, "store": True}
        return {name: value for name, value in request.items() if value is not None}


def read_agents(agents: Mapping[str, Any], backend: Backend | str | None) -> dict[str, AgentSettings]:
    """The agents of a configuration, each an `Agent` or settings such as those of `DEFAULT_AGENTS`.

    Raises `InvalidRequest`, `UnsupportedCapability` and `NotConfigured`, naming the agent.
    """
    if not agents:
        raise InvalidRequest("there are no agents: give {name: {'description': ..., 'model': ...}}", "agents")
    client = (
        connect(backend)
        if any(isinstance(given, Mapping) and "backend" not in given for given in agents.values())
        else None
    )
    found: dict[str, AgentSettings] = {}
    for name, given in agents.items():
        if not (isinstance(name, str) and 0 < len(name) <= 64 and name.isprintable()):
            raise InvalidRequest(f"an agent's name is a text of up to 64 characters, not {name!r}", "agents")
        if isinstance(given, Mapping):
            own = given.get("backend")
            found[name] = _read(name, given, client if own is None and client is not None else connect(own))
        elif hasattr(given, "create") and hasattr(given, "capabilities"):
            told = str(getattr(given, "description", "") or name)
            found[name] = AgentSettings(name=name, description=told, runs=given, target=given.name)
        else:
            raise InvalidRequest(
                f"agent {name!r} is a {type(given).__name__}: give its settings, {{'description': ..., 'model': ...}}, or an Agent such as "
                "bridge.langgraph.as_agent(graph)",
                "agents",
            )
    return found


def _read(name: str, given: Mapping[str, Any], backend: Backend) -> AgentSettings:
    where = f"agents.{name}"
    if unknown := sorted(set(given) - _KEYS):
        raise InvalidRequest(
            f"agent {name!r} has no setting {unknown[0]!r}; there are {', '.join(sorted(_KEYS))}", where
        )
    model, agent = given.get("model"), given.get("agent")
    if (model is None) == (agent is None):
        both = "neither" if model is None else "both"
        raise InvalidRequest(f"agent {name!r} takes a model or an agent of the service, not {both}", where)
    target = str(model or agent)
    require(backend, "background", f"agent {name!r} runs in the background")
    if agent is not None:
        require(backend, "agents", f"agent {name!r} is a managed one")
    environment = given.get("environment")
    environment = None if environment == "none" else environment
    if environment is not None:
        require(backend, "environments", f"agent {name!r} works in one")
    deadline = given.get("deadline", _DEADLINE)
    if deadline is not None and not (isinstance(deadline, int | float) and deadline > 0):
        raise InvalidRequest(f"agent {name!r}: deadline is a number of seconds above 0, or None", where)
    ask_user = given.get("ask_user", True)
    if not isinstance(ask_user, bool):
        raise InvalidRequest(f"agent {name!r}: ask_user is true or false", where)
    agent_config = given.get("agent_config") or {}
    terms = agreed(
        budget=Budget.of(given.get("budget")),
        stall_after=given.get("stall_after"),
        target=target,
        is_agent=agent is not None,
        backend=backend.name,
        capabilities=backend.capabilities,
        model=agent_config.get("model"),
    )
    terms = replace(terms, unattended=True, priced_as=str(agent_config.get("model") or "") or None if agent else target)
    tools, held = _tools(given.get("tools"), where)
    plain = {key: given[key] for key in ("system_instruction", "response_format") if given.get(key) is not None}
    return AgentSettings(
        name=name,
        description=str(given.get("description") or name),
        runs=backend,
        target=target,
        terms=terms,
        deadline=deadline,
        environment=environment,
        held=held,
        ask_user=ask_user,
        fields={
            "model" if agent is None else "agent": target,
            **terms.kept_in(target, agent_config, given.get("generation_config") or {}, terms.as_data()),
            **({"tools": tools} if tools else {}),
            **plain,
        },
    )


def _tools(given: Any, where: str) -> tuple[list[dict[str, Any]], Tools | None]:
    """The tools as the API takes them, and those whose calls are run here."""
    if isinstance(given, Tools):
        return given.compile("interactions").definitions, given
    if not isinstance(given, Sequence | None) or isinstance(given, str):
        raise InvalidRequest(f"{where}.tools is a list of the API's tools, or a bridge.tools.Tools", where)
    plain = [dict(tool) for tool in given or () if isinstance(tool, Mapping)]
    others = [tool for tool in given or () if not isinstance(tool, Mapping)]
    if not others:
        return plain, None
    tools = Tools(others)
    runs = tools if any(not isinstance(tool, Capability) for tool in others) else None
    return [*plain, *tools.compile("interactions").definitions], runs
