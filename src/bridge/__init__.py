"""`bridge`: the Gemini Interactions API as LangGraph nodes and MCP servers.

Importing this package is cheap; each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

_WHERE = {
    "Backend": "backend",
    "BridgeError": "errors",
    "Capabilities": "backend",
    "GeminiBackend": "backends.gemini",
    "Interaction": "interactions",
    "LocalBackend": "backends.local",
    "assemble": "interactions",
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
