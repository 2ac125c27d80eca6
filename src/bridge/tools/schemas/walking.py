"""A schema that has been read, taken through a vendor's steps to what is sent. Which steps there are is a dialect's business."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .reading import LISTS, MAPS, Place, Reading, copied
from .report import REPORTED, Action, Row

__all__ = ["Compiling", "Step", "Steps", "compiled"]

_RANK: dict[Action, int] = {"kept": 0, "rewritten": 1, "ignored": 2, "refused": 3}


@dataclass
class Compiling:
    """One tool's schema on its way through the steps, and the report that they write."""

    tool: str
    reading: Reading
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)

    def report(self, place: Place, keyword: str, action: Action, why: str, *, lossy: bool | None = None) -> None:
        """Notes what becomes of a keyword. `lossy` is by default what `action` says; of several notes the gravest stays."""
        known = self.rows.get((place.path, keyword))
        if known is None or _RANK[known.action] < _RANK[action]:
            loss = action in ("ignored", "refused") if lossy is None else lossy
            self.rows[place.path, keyword] = Row(self.tool, place.path, keyword, action, why, loss)


Step = Callable[[Place, Compiling], None]
"""Changes one place before its subschemas are visited, and reports it."""


@dataclass(frozen=True)
class Steps:
    """What a vendor's form of a schema takes: steps for the root, then steps for every place, the root included."""

    root: Sequence[Step] = ()
    everywhere: Sequence[Step] = ()


def compiled(tool: str, reading: Reading, steps: Steps) -> tuple[dict[str, Any], list[Row]]:
    """What is sent of a schema, all of it new, and its report in the order of the schema."""
    work = Compiling(tool, reading)
    root = Place(reading.root, reading.root.path, made=reading.root.made)
    for step in steps.root:
        step(root, work)
    schema = _visit(root, work, steps.everywhere)
    if reading.definitions:
        schema["$defs"] = {name: _visit(place, work, steps.everywhere) for name, place in reading.definitions.items()}
    return schema, list(work.rows.values())


def _visit(given: Place, work: Compiling, steps: Sequence[Step]) -> dict[str, Any]:
    place = given
    if steps:
        place = Place(given, given.path, made=given.made)
        for step in steps:
            step(place, work)
    if not given.made:
        for keyword in given:
            if keyword in REPORTED and (given.path, keyword) not in work.rows:
                work.report(given, keyword, "kept", "sent as it is")
    sent: dict[str, Any] = {}
    for keyword, value in place.items():
        kind = type(value)
        if kind is Place:
            sent[keyword] = _visit(value, work, steps)
        elif kind is dict:
            inner = keyword in MAPS
            sent[keyword] = (
                {name: _visit(item, work, steps) for name, item in value.items()} if inner else copied(value)
            )
        elif kind is list:
            inner = keyword in LISTS
            sent[keyword] = [_visit(item, work, steps) for item in value] if inner else copied(value)
        else:
            sent[keyword] = value
    return sent
