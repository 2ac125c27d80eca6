"""Adapters: distributions of their own that bring a vendor's parts, found through the entry-point group `bridge.adapters`.

An entry point leads to a module (or object) with any of these attributes: `DIALECT`, how the vendor takes tools
(`bridge.tools.Dialect`); `MESSAGES`, what it takes of others' messages (`bridge.portable.MessageRules`, by target); `BACKEND`, a callable
that makes a `bridge.Backend`. What a part does is its user's business.

Importing this module looks through what is installed, which reads files: it is imported where an adapter is first asked for.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

__all__ = ["FOUND", "GROUP", "adapter"]

GROUP = "bridge.adapters"
FOUND = {entry.name: entry for entry in entry_points(group=GROUP)}


def adapter(name: str) -> Any:
    """The adapter of that name, or None where none is installed. What goes wrong while it is imported is raised."""
    return FOUND[name].load() if name in FOUND else None
