"""MCP servers: agents and models as tools that an MCP client starts, waits for, answers, follows up and cancels; and tools of one's own.

Each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge._lazy import lazy

if TYPE_CHECKING:
    from .access import SharedToken
    from .agents.limits import Limits
    from .agents.settings import DEFAULT_AGENTS
    from .servers import agent_server, tool_server

__all__ = ["DEFAULT_AGENTS", "Limits", "SharedToken", "agent_server", "tool_server"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "DEFAULT_AGENTS": "agents.settings",
        "Limits": "agents.limits",
        "SharedToken": "access",
        "agent_server": "servers",
        "tool_server": "servers",
    },
)
