"""Interactions inside LangGraph and LangChain: a chat model, a node that runs a managed agent, and the state they leave.

Each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agent_node import managed_agent_node
    from .chat import ChatInteractions
    from .state import InteractionsState

__all__ = ["ChatInteractions", "InteractionsState", "managed_agent_node"]

_WHERE = {
    "ChatInteractions": "chat",
    "InteractionsState": "state",
    "managed_agent_node": "agent_node",
}


def __getattr__(name: str) -> Any:
    where = _WHERE.get(name)
    if where is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{where}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
