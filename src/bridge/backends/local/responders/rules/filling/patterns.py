"""A text that matches a regular expression: for fields whose schema has a `pattern` and whose value the prompt does not give.

Knows literals, classes, groups, choices and counts. What it does not know (look-around, back references) gives no text.
"""

from __future__ import annotations

import re

__all__ = ["sample"]

_MAX_REPEATS = 1_000
_CLASSES = {"d": "0", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_COUNT = re.compile(r"\{(\d{1,6})(?:(,)(\d{0,6}))?\}")
_FILLERS = "aA0 -_.,:/@#"


class _NotKnown(Exception):
    """The expression uses what this module does not know."""


def sample(pattern: str, least: int = 0) -> list[str]:
    """Texts of at least `least` characters that `pattern` should match; none where it is not understood.

    The caller validates them: only the grammar is followed here, the shortest way through it.
    """
    made = []
    for repeats in sorted({0, 1, max(least if isinstance(least, int) else 0, 1)}):
        try:
            made.append(_Reader(pattern, min(repeats, _MAX_REPEATS)).read())
        except (_NotKnown, RecursionError):
            return []
    return list(dict.fromkeys(made))


class _Reader:
    """Reads an expression from left to right and writes what it matches; open counts are taken `repeats` times."""

    def __init__(self, pattern: str, repeats: int) -> None:
        self.pattern = pattern
        self.repeats = repeats
        self.place = 0

    def read(self) -> str:
        text = self._choices()
        if self.place < len(self.pattern):
            raise _NotKnown
        return text

    def _next(self) -> str:
        return self.pattern[self.place : self.place + 1]

    def _choices(self) -> str:
        """Alternatives up to the end or a closing bracket: the first one."""
        first = self._sequence()
        while self._next() == "|":
            self.place += 1
            self._sequence()
        return first

    def _sequence(self) -> str:
        made = []
        while self._next() not in ("", "|", ")"):
            atom = self._atom()
            made.append(atom * self._count())
        return "".join(made)

    def _atom(self) -> str:
        sign = self._next()
        self.place += 1
        if sign == "(":
            return self._group()
        if sign == "[":
            return self._class()
        if sign == "\\":
            return self._escaped()
        if sign in "^$":
            return ""
        if sign in "*+?{":
            raise _NotKnown
        return "a" if sign == "." else sign

    def _group(self) -> str:
        opening = re.compile(r"\?(?::|P?<[A-Za-z_]\w*>)").match(self.pattern, self.place)
        if opening:
            self.place = opening.end()
        elif self._next() == "?":
            raise _NotKnown
        text = self._choices()
        if self._next() != ")":
            raise _NotKnown
        self.place += 1
        return text

    def _class(self) -> str:
        """A character of a class: the first one that Python's own engine finds in it."""
        # A closing bracket that comes first is one of the characters.
        end = self.place + (2 if self.pattern.startswith("^]", self.place) else int(self._next() == "]"))
        while (sign := self.pattern[end : end + 1]) != "]":
            if not sign:
                raise _NotKnown
            end += 2 if sign == "\\" else 1
        text = self.pattern[self.place : end]
        self.place = end + 1
        try:
            matches = re.compile(f"[{text}]").fullmatch
        except re.error:
            raise _NotKnown from None
        first = [text[0], text[1:2]] if text[0] not in "^\\" else []
        found: str | None = next(
            (sign for sign in [*first, *_FILLERS, *map(chr, range(32, 0x250))] if sign and matches(sign)), None
        )
        if found is None:
            raise _NotKnown
        return found

    def _escaped(self) -> str:
        sign = self._next()
        self.place += 1
        if not sign:
            raise _NotKnown
        if sign in "bBAZz":
            return ""
        if sign in _CLASSES:
            return _CLASSES[sign]
        if sign in _CONTROL:
            return _CONTROL[sign]
        if sign.isalnum():
            raise _NotKnown
        return sign

    def _count(self) -> int:
        """How often the atom before is taken: as seldom as its count allows, and `repeats` times where that is open."""
        sign = self._next()
        low, high = 1, 1
        if sign and sign in "*+?":
            low, high = (1, _MAX_REPEATS) if sign == "+" else (0, 1 if sign == "?" else _MAX_REPEATS)
            self.place += 1
        elif match := _COUNT.match(self.pattern, self.place):
            low = int(match[1])
            high = int(match[3]) if match[3] else _MAX_REPEATS if match[2] else low
            self.place = match.end()
        else:
            return 1
        if self._next() in ("?", "+") and self._next():
            self.place += 1  # lazy or possessive: matches the same texts
        return min(max(low, min(self.repeats, high)), _MAX_REPEATS * 10)
