"""What a responder is: `Turn` in, steps out, one by one as they happen.

Ids, usage, events, storage, cancelling and the status of the turn are the engine's business; a responder only decides.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bridge.interactions import Agent, CreateInteraction, Step

from ..sandbox import RunResult

__all__ = ["Ending", "Responder", "ServerTool", "Turn"]

# A Python callable that stands in for a server tool (google_search, url_context, ...): arguments of the call in, result out.
ServerTool = Callable[..., Awaitable[Any] | Any]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Everything a responder may know of the turn it answers."""

    request: CreateInteraction
    input: tuple[Step, ...]
    """This turn's input as steps."""
    history: tuple[Step, ...] = ()
    """All steps of the turns before it, inputs included, oldest first; as the server knows them."""
    agent: Agent | None = None
    """The managed agent asked for, with what its definition and the call say merged; None for a model."""
    workspace: Path | None = None
    """The environment's /workspace folder on this machine; None where the turn has no environment."""
    environment_id: str | None = None
    run_python: Callable[[str], Awaitable[RunResult]] | None = None
    """Runs a program in the sandbox (in the environment, or in a scratch folder); None where code may not be run."""
    server_tools: Mapping[str, ServerTool] = field(default_factory=dict)
    """Callables registered for server tools, by tool type."""
    new_id: Callable[[], str]
    """A fresh id for a call (8 lowercase letters or digits)."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a turn ends where its steps do not say it: yielded last. Without it the engine decides.

    Without an ending a turn with an unanswered `function_call` is `requires_action`, any other is `completed`.
    """

    status: str
    errors: tuple[tuple[str, str], ...] = ()
    """(code, message) pairs."""


class Responder(Protocol):
    """Decides the next steps of a turn. Deterministic responders make deterministic services."""

    def respond(self, turn: Turn) -> AsyncIterator[Step | Ending]:
        """Yields the steps as they happen; a step is complete when it is yielded."""
        ...
