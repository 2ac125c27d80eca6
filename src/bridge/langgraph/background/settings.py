"""What a node was told, checked once when it is made, and the request it makes of a conversation. No I/O.

What was said is planned by `bridge.sessions`; what holds while the interaction runs are `bridge.jobs`' terms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from langchain_core.messages import AnyMessage

from bridge.backend import Backend
from bridge.errors import InvalidRequest
from bridge.jobs.starting import LABEL
from bridge.jobs.stores.store import JobStore
from bridge.jobs.terms import Terms
from bridge.sessions import Plan, plan
from bridge.sessions.history import Digest

from ..messages import system_instruction, to_history
from ..turns import Turn

__all__ = ["Approval", "Settings", "Wait"]

Wait = Literal["interrupt", "await", "auto"]
Approval = Literal["calls", "plan"]
_NO_ENVIRONMENT, _PER_THREAD = "none", "per_thread"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One node. The fields are the parameters of `interactions_node`, ready to use."""

    backend: Backend
    jobs: JobStore
    name: str
    target: str
    is_agent: bool
    session: str
    terms: Terms
    background: bool = True
    wait: Wait = "auto"
    deadline: float | None = None
    on_abandon: Literal["cancel", "detach"] = "cancel"
    on_incomplete: Literal["keep", "raise"] = "keep"
    on_unknown_start: Literal["fail", "recreate", "wait"] = "fail"
    approve: frozenset[Approval] = frozenset()
    input: Callable[[Any], Any] | None = None
    environment: Any = _NO_ENVIRONMENT
    agent_config: Mapping[str, Any] = field(default_factory=dict)
    generation_config: Mapping[str, Any] = field(default_factory=dict)
    response_format: Any = None
    labels: Mapping[str, str] = field(default_factory=dict)
    webhook: Sequence[str] = ()
    definitions: Sequence[Mapping[str, Any]] = ()
    """The tools as the API takes them."""
    client_tools: frozenset[str] = frozenset()
    """The names of those that are run here."""

    def turn(self, messages: Sequence[AnyMessage], fields: Mapping[str, Any]) -> Turn:
        """The turn that a conversation asks for, with these fields beside it. Raises `InvalidRequest`."""
        history, capabilities = to_history(messages), self.backend.capabilities
        return Turn(
            plan(history, self.session, capabilities),
            dict(fields),
            partial(plan, history, self.session, capabilities, follow=False),
        )

    def answered(self, messages: Sequence[AnyMessage]) -> Plan:
        """The plan that the answer to a conversation makes its anchor of."""
        history = to_history(messages)
        if self.input is None:
            return plan(history, self.session, self.backend.capabilities)
        digest = Digest()
        for message in history:
            digest.add(message)
        return Plan(parent=None, steps=[], reason="new", session=self.session, digest=digest)

    def fields(self, state: Mapping[str, Any], *, planning: bool, terms: Mapping[str, Any]) -> dict[str, Any]:
        """The request but for its parent, input and environment. `terms` are what is left of the node's, as plain data."""
        agent_config = dict(self.agent_config)
        if "plan" in self.approve:
            agent_config["collaborative_planning"] = planning
        fields: dict[str, Any] = {
            "agent" if self.is_agent else "model": self.target,
            **self.terms.kept_in(self.target, agent_config, self.generation_config, terms),
            "response_format": self.response_format,
            "system_instruction": system_instruction(state.get("messages") or []),
            "tools": [dict(tool) for tool in self.definitions] or None,
            "background": self.background or None,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def marks(self, token: str) -> dict[str, Any]:
        """What carries a job's token to the service."""
        marks: dict[str, Any] = {"labels": {**self.labels, LABEL: token}}
        if self.webhook:
            marks["webhook_config"] = {"uris": list(self.webhook), "user_metadata": {LABEL: token}}
        return marks

    async def place_to_work(self, state: Mapping[str, Any], thread: str) -> Any:
        """The environment of the next interaction: none, the thread's own, or what was asked for."""
        wanted = self.environment(state) if callable(self.environment) else self.environment
        if wanted == _NO_ENVIRONMENT or wanted is None:
            return None
        if wanted != _PER_THREAD:
            return wanted
        left = (state.get("interactions") or {}).get(self.name) or {}
        environment = left.get("environment_id")
        if environment is None or await self._is_shared(environment, left.get("id"), thread):
            return "remote"
        return environment

    async def _is_shared(self, environment: str, last: str | None, thread: str) -> bool:
        """Whether another branch of the thread has worked in the environment since: what is there now is not what this one left."""
        rows = await self.jobs.list(thread=thread, name=self.name)
        latest = next((job for job in rows if job.environment_id == environment), None)
        return latest is not None and latest.interaction_id != last


def checked(value: Any, name: str, possible: Sequence[str]) -> Any:
    """A parameter that is one of a few words. Raises `InvalidRequest`."""
    if value not in possible:
        raise InvalidRequest(f"{name} is {' or '.join(map(repr, possible))}, not {value!r}", name)
    return value
