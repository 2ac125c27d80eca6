"""Sessions: what the server knows of a graph's conversation, and what it must be told next.

The graph's messages are the truth; a stored interaction is a cache of them. `plan` says, before a turn, which stored interaction it
may follow and which steps it sends. Pure functions over `Message`s; turning another library's messages into these is left to the
interfaces, sending to the backends.

Each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge._lazy import lazy

if TYPE_CHECKING:
    from .counting import count_replay, replay_counts
    from .history import Anchor, Call, Message, Part, Refused
    from .planning import Plan, plan
    from .rendering import QUOTE_HEADER, QUOTE_LIMIT, steps_of

__all__ = [
    "QUOTE_HEADER",
    "QUOTE_LIMIT",
    "Anchor",
    "Call",
    "Message",
    "Part",
    "Plan",
    "Refused",
    "count_replay",
    "plan",
    "replay_counts",
    "steps_of",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Anchor": "history",
        "Call": "history",
        "Message": "history",
        "Part": "history",
        "Plan": "planning",
        "QUOTE_HEADER": "rendering",
        "QUOTE_LIMIT": "rendering",
        "Refused": "history",
        "count_replay": "counting",
        "plan": "planning",
        "replay_counts": "counting",
        "steps_of": "rendering",
    },
)
