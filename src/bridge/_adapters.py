"""Adapters: distributions of their own that bring a vendor's parts, found through the entry-point group `bridge.adapters`.

An entry point leads to a module (or object) with any of these attributes: `DIALECT`, how the vendor takes tools
(`bridge.tools.Dialect`); `BACKEND`, a callable that makes a `bridge.Backend`. What a part does is its user's business.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

__all__ = ["GROUP", "adapter", "adapters"]

GROUP = "bridge.adapters"


@cache
def adapter(name: str) -> Any:
    """The adapter of that name, or None where none is installed; looked for once. What goes wrong while it is imported is raised."""
    for entry in entry_points(group=GROUP, name=name):
        return entry.load()
    return None


def adapters() -> list[str]:
    """The names of the installed adapters."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})
