"""Anthropic's adapter: what `bridge` needs to know of Claude, found through the entry-point group `bridge.adapters`.

`DIALECT` is how Anthropic takes tools. Each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge._lazy import lazy

if TYPE_CHECKING:
    from .dialect import DIALECT

__all__ = ["DIALECT"]

__getattr__, __dir__ = lazy(__name__, {"DIALECT": "dialect"})
