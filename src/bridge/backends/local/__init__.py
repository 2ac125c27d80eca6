"""The embedded service: interactions with no key and no network, chosen by name only.

An `Engine` keeps interactions, environments and agents in SQLite; a responder decides the steps of a turn; a sandbox runs
programs. `LocalBackend` makes it a backend. Serving it over HTTP is left to `bridge.http`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backend import LocalBackend
    from .engine import Engine
    from .responders import RuleResponder, ScriptedResponder
    from .sandbox import MontySandbox
    from .settings import Switches

__all__ = ["Engine", "LocalBackend", "MontySandbox", "RuleResponder", "ScriptedResponder", "Switches"]

_WHERE = {
    "Engine": "engine",
    "LocalBackend": "backend",
    "MontySandbox": "sandbox",
    "RuleResponder": "responders.rules",
    "ScriptedResponder": "responders.scripted",
    "Switches": "settings",
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
