"""Anthropic's adapter: what `bridge` needs to know of Claude, found through the entry-point group `bridge.adapters`.

`DIALECT` is how Anthropic takes tools, `MESSAGES` what it takes of a history that others had a part in. Each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge._lazy import lazy

if TYPE_CHECKING:
    from .dialect import DIALECT
    from .messages import MESSAGES, from_portable, to_portable

__all__ = ["DIALECT", "MESSAGES", "from_portable", "to_portable"]

__getattr__, __dir__ = lazy(
    __name__,
    {"DIALECT": "dialect", "MESSAGES": "messages", "from_portable": "messages", "to_portable": "messages"},
)
