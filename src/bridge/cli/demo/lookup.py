"""The one tool of the demo, which every speaker has: what a column of the file holds, computed on this machine.

It is a plain typed function; how each vendor is told of it is `bridge.tools`' business.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from typing import Any

from bridge.tools import ToolError

from .source import DataFile

__all__ = ["column_of", "lookup_in"]


def lookup_in(file: DataFile) -> Callable[[str], dict[str, Any]]:
    """The tool, for that file."""

    def lookup(column: str) -> dict[str, Any]:
        """What a column of the user's file holds: its rows, and of numbers the sum, the least and the greatest."""
        rows = _rows(file)
        names = next(rows, [])
        if column not in names:
            raise ToolError(f"there is no column {column!r}; there are: {', '.join(names)[:1_000]}")
        place = names.index(column)
        cells = [row[place].strip() for row in rows if len(row) > place]
        numbers = [number for cell in cells if (number := _number(cell)) is not None]
        if not numbers:
            return {"column": column, "rows": len(cells), "different values": len(set(cells))}
        total, least, greatest = math.fsum(numbers), min(numbers), max(numbers)
        return {"column": column, "rows": len(cells), "sum": round(total, 2), "min": least, "max": greatest}

    return lookup


def column_of(file: DataFile, question: str) -> str:
    """The column that a reviewer should look up: the last that the question names, else the last of all."""
    names = next(_rows(file), None) or [""]
    return next((name for name in reversed(names) if name and name.lower() in question.lower()), names[-1])


def _rows(file: DataFile) -> Iterator[list[str]]:
    lines = file.data.decode("utf-8-sig").splitlines()
    first = next((line for line in lines if line.strip()), "")
    separator = max(",;\t", key=first.count)
    return (row for row in csv.reader(lines, delimiter=separator) if row)


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
