"""The embedded service: interactions with no key and no network, chosen by name only.

An `Engine` keeps interactions, environments and agents in SQLite; a responder decides the steps of a turn; a sandbox runs
programs. `LocalBackend` makes it a backend. Serving it over HTTP is left to `bridge.http`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge._lazy import lazy

if TYPE_CHECKING:
    from .backend import LocalBackend
    from .engine import Engine
    from .responders import Responder, RuleResponder, ScriptedResponder
    from .sandbox import MontySandbox
    from .settings import Switches

__all__ = [
    "Engine",
    "LocalBackend",
    "MontySandbox",
    "Responder",
    "RuleResponder",
    "ScriptedResponder",
    "Switches",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Engine": "engine",
        "LocalBackend": "backend",
        "MontySandbox": "sandbox",
        "Responder": "responders.base",
        "RuleResponder": "responders.rules",
        "ScriptedResponder": "responders.scripted",
        "Switches": "settings",
    },
)
