"""A step as it is told, and how much of it has been shown.

After a broken connection a step may be told once more from its start. What has been shown cannot be taken back, so only what goes
beyond it is shown; what goes beyond a step that had ended is a block of its own. In which form it is shown is `pieces`' to say.
"""

from __future__ import annotations

import json
from typing import Any

from langchain_core.utils.json import parse_partial_json

from bridge.interactions import Event, StepStart

__all__ = ["ToldStep"]


class ToldStep:
    """One telling of a step, from its start event on. `before` is the same step as it was told until then, `shown` what was shown of it."""

    def __init__(self, event: StepStart, before: ToldStep | None, shown: str) -> None:
        wire = event.step.to_wire()
        self.place = event.index
        self.wire: dict[str, Any] = wire if isinstance(wire, dict) else {}
        self.kind = str(self.wire.get("type", ""))
        self.events: list[Event] = [event]
        """Its events, without those that are only text."""
        if before is not None and before.kind != self.kind:
            before, shown = None, ""
        self.indexes: list[int] = before.indexes if before is not None else []
        """The blocks it has grown, in order."""
        self.behind = shown
        """What has been shown and this telling has not come to yet."""
        self.ended: bool = before is not None and before.ended
        self.sealed: bool = before is not None and before.sealed
        """Whether the next text is another block."""
        self.told_arguments = False  # in this telling
        self.media: int = before.media if before is not None else 0
        self.media_behind = self.media
        self._notes: int = before._notes if before is not None else 0
        self._notes_behind = self._notes

    @property
    def index(self) -> int | None:
        """The block it grows, or grew last."""
        return self.indexes[-1] if self.indexes else None

    def open(self, index: int) -> None:
        """What is shown from here on is the block of this index."""
        self.indexes.append(index)
        self.sealed = self.ended = False

    def beyond(self, text: str) -> str:
        """What of the next text has not been shown yet."""
        if not self.behind:
            return text
        if self.behind.startswith(text):
            self.behind = self.behind[len(text) :]
            return ""
        # Where it says something else now, that is shown after what was.
        text, self.behind = text.removeprefix(self.behind), ""
        return text

    def notes_beyond(self, rows: list[Any]) -> list[Any]:
        """Which of the next annotations have not been shown yet."""
        again = min(len(rows), self._notes_behind)
        self._notes_behind -= again
        rows = rows[again:]
        self._notes += len(rows)
        return rows

    def rest_of_arguments(self, shown: str) -> str:
        """What is left to show of a call's arguments as it ends; of what is no JSON object something that keeps it none."""
        given = self.wire.get("arguments")
        if self.told_arguments:
            return _spoiler(shown)
        if isinstance(given, str):  # what came was not JSON, and is kept as it came
            return self.beyond(given) + _spoiler(given)
        forms = (
            json.dumps(given or {}, separators=separators, ensure_ascii=ascii_only)
            for separators in ((", ", ": "), (",", ":"))
            for ascii_only in (True, False)
        )
        form = next((form for form in forms if form.startswith(self.behind)), None)
        return self.beyond(form) if form is not None else _spoiler(shown)


def _spoiler(arguments: str) -> str:
    """What to append to arguments that are not a JSON object, so that LangChain, which mends JSON, does not make a call of them."""
    try:
        if isinstance(json.loads(arguments), dict):
            return ""
    except RecursionError:
        return ""  # LangChain does not get to its end either
    except ValueError:
        pass
    for tail in ("", "]", "}", '"]', '"}', '""]', '""}'):
        try:
            if not isinstance(parse_partial_json(arguments + tail), dict):
                return tail
        except ValueError:
            return tail
    return ""  # pragma: no cover - one of a bracket and a brace never fits
