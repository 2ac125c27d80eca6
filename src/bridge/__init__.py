"""`bridge`: the Gemini Interactions API as LangGraph nodes and MCP servers.

Importing this package is cheap; each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import lazy

if TYPE_CHECKING:
    from .backend import Backend, Capabilities
    from .backends.gemini import GeminiBackend
    from .backends.local import LocalBackend
    from .errors import BridgeError
    from .interactions import Interaction, assemble

__all__ = [
    "Backend",
    "BridgeError",
    "Capabilities",
    "GeminiBackend",
    "Interaction",
    "LocalBackend",
    "assemble",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Backend": "backend",
        "BridgeError": "errors",
        "Capabilities": "backend",
        "GeminiBackend": "backends.gemini",
        "Interaction": "interactions",
        "LocalBackend": "backends.local",
        "assemble": "interactions",
    },
)
