"""Interactions inside LangGraph and LangChain: a chat model, a node that runs a managed agent, and the state they leave.

Each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge._lazy import lazy

if TYPE_CHECKING:
    from .agent_node import managed_agent_node
    from .chat import ChatInteractions
    from .state import InteractionsState

__all__ = ["ChatInteractions", "InteractionsState", "managed_agent_node"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "ChatInteractions": "chat",
        "InteractionsState": "state",
        "managed_agent_node": "agent_node",
    },
)
