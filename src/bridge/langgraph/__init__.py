"""Interactions inside LangGraph and LangChain: a chat model, a node for background work and what wakes it, the state they leave, tools bound
to any vendor's model, and one history for whichever vendor speaks next.

Each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge._lazy import lazy

if TYPE_CHECKING:
    from .agents import as_agent
    from .background.middleware import BackgroundAgentsMiddleware
    from .background.node import interactions_node
    from .background.waking import Sweeper, wake, webhook_app
    from .binding import bind
    from .chat import ChatInteractions
    from .portable.history import LeftOut, to_portable
    from .portable.middleware import PortableHistoryMiddleware
    from .state import InteractionsState
    from .tools_middleware import ToolsMiddleware

__all__ = [
    "BackgroundAgentsMiddleware",
    "ChatInteractions",
    "InteractionsState",
    "LeftOut",
    "PortableHistoryMiddleware",
    "Sweeper",
    "ToolsMiddleware",
    "as_agent",
    "bind",
    "interactions_node",
    "to_portable",
    "wake",
    "webhook_app",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "BackgroundAgentsMiddleware": "background.middleware",
        "ChatInteractions": "chat",
        "InteractionsState": "state",
        "LeftOut": "portable.history",
        "PortableHistoryMiddleware": "portable.middleware",
        "Sweeper": "background.waking",
        "ToolsMiddleware": "tools_middleware",
        "as_agent": "agents",
        "bind": "binding",
        "interactions_node": "background.node",
        "to_portable": "portable.history",
        "wake": "background.waking",
        "webhook_app": "background.waking",
    },
)
