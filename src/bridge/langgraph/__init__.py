"""Interactions inside LangGraph and LangChain: a chat model, a node for background work and what wakes it, the state they leave,
and tools bound to any vendor's model.

Each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge._lazy import lazy

if TYPE_CHECKING:
    from .background.middleware import BackgroundAgentsMiddleware
    from .background.node import interactions_node
    from .background.waking import Sweeper, wake, webhook_app
    from .binding import bind
    from .chat import ChatInteractions
    from .state import InteractionsState

__all__ = [
    "BackgroundAgentsMiddleware",
    "ChatInteractions",
    "InteractionsState",
    "Sweeper",
    "bind",
    "interactions_node",
    "wake",
    "webhook_app",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "BackgroundAgentsMiddleware": "background.middleware",
        "ChatInteractions": "chat",
        "InteractionsState": "state",
        "Sweeper": "background.waking",
        "bind": "binding",
        "interactions_node": "background.node",
        "wake": "background.waking",
        "webhook_app": "background.waking",
    },
)
