"""What the Responses API remembers between requests: the items of stored responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Kept"]


@dataclass
class Kept:
    """`items` by their id; `reasons`: which reasoning item came before an item, by the ids of both."""

    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    _turns: dict[str, tuple[str | None, list[dict[str, Any]]]] = field(default_factory=dict)

    def keep(
        self, id: str, parent: str | None, input: Sequence[dict[str, Any]], output: Sequence[dict[str, Any]]
    ) -> None:
        """Keeps a response that is over."""
        self._turns[id] = (parent, [*input, *output])
        self.items |= {item["id"]: item for item in output}
        reason: str | None = None
        for item in output:
            if item["type"] == "reasoning":
                reason = item["id"]
            elif reason is not None:
                self.reasons[item["id"]] = reason
                reason = None

    def until(self, id: str) -> list[dict[str, Any]] | None:
        """The conversation up to and with a response, oldest first; None where it is not kept."""
        turns: list[list[dict[str, Any]]] = []
        place: str | None = id
        while place is not None:
            if place not in self._turns:
                return None
            place, items = self._turns[place]
            turns.append(items)
        return [item for items in reversed(turns) for item in items]
