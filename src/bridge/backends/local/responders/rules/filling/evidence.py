"""What a text says about the fields of a schema: named values, quotations, numbers, names.

Pure text in, candidate values out, in time linear in the (bounded) text. Which of them fits a schema is left to `filling`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from ..words import content_words, name_words, window, word_set

__all__ = ["Evidence", "split_list"]

_QUOTED = "|".join(
    [rf"{start}([^{start}{end}\n]{{1,5000}}){end}" for start, end in ('""', "“”", "«»", "「」", "``")]
    + [r"(?<!\w)['‘]((?:[^'‘’\n]|(?<=\w)['’](?=\w)){1,500})['’](?!\w)"]
)
_QUOTATION = re.compile(_QUOTED)
_DIGITS = r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+|\d{1,300})(?:\.\d{1,300})?(?:[eE][+-]?\d{1,3})?(?!\w|\.\d)"
_NUMBER = re.compile(_DIGITS)
_CAPITAL = r"[^\W\d_a-z][\w'’.&-]{0,60}"
_NAME = rf"{_CAPITAL}(?:\s{{1,3}}{_CAPITAL}){{0,5}}"
_WORD = r"[^\s,;()\[\]{}\"'“”]{1,200}"
_PHRASE = rf"{_WORD}(?:[ \t]{{1,3}}(?!and\b|or\b|with\b|\w{{1,60}}\s?[=:]){_WORD}){{0,12}}"
_TOLD = r"[^\W_][\w.@/+-]{0,200}"
# What may follow a field's name, by what stands between: a sign, a linking word, nothing.
_SIGNED, _LINKED, _BESIDE = (
    re.compile(rf"{between}(?:(?P<json>[\[{{])|{_QUOTED}|(?P<bare>{bare}))")
    for between, bare in (
        (r"[\"'`]?\s{0,3}(?:=|:)\s{0,3}", _PHRASE),
        (r"\s{1,3}(?:is|are|of|to|as|named|called)\s{1,3}", rf"{_DIGITS}|{_NAME}|{_TOLD}"),
        (r"\s{1,3}", rf"{_DIGITS}|{_NAME}|[\w.-]{{0,60}}\d[\w.-]{{0,60}}"),
    )
)
# A further item of an enumeration: not the name of another value.
_NEXT, _NEXT_WORD = (
    re.compile(
        rf"[\"'”’`]?\s{{0,3}}(?:,|,?\s{{1,3}}(?:and|or|&)\s)\s{{0,3}}(?:{_QUOTED}|({_DIGITS}|{item})(?!\w|\s?[=:(]))"
    )
    for item in (_NAME, _TOLD)
)
_BEFORE = re.compile(rf"({_DIGITS})[ \t-]{{0,3}}$")
_PLACED = re.compile(
    rf"\b(in|for|of|to|at|from|near|about|with|on|by|named|called)\s{{1,3}}(?:the\s{{1,3}})?"
    rf"({_NAME}(?:\s{{0,3}}(?:,|,?\s{{1,3}}(?:and|or|&))\s{{0,3}}{_NAME}){{0,20}})"
)
_ANY_NAME = re.compile(rf"(?<![\w.]){_NAME}")
_AFTER_PLACE = re.compile(r"\b(?:in|for|of|about|at|near)\s{1,3}([^\W\d_][\w-]{1,60})(?=\s{0,3}(?:[?.!,;]|$))")
_SUBJECT = re.compile(r"\b(?:about|on|of|regarding|for)\s{1,3}([^.,;:!?\n]{2,80})")
_TYPED = {
    "email": re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}"),
    "uri": re.compile(r"\b[a-z][a-z0-9+]{1,10}://[^\s\"'<>)\]]{1,2000}[^\s\"'<>)\].,;:!?]"),
    "date-time": re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)?"),
    "date": re.compile(r"\b\d{4}-\d\d-\d\d\b"),
    "time": re.compile(r"\b\d\d:\d\d(?::\d\d)?\b"),
    "uuid": re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"),
    "ipv4": re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"),
}


def _finite(text: str) -> float:
    """A number that JSON can hold. Raises `ValueError` for any other."""
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)
# Words that begin a sentence or stand for the speaker, and so are no names although they are capitalised.
_NO_NAMES = word_set(
    """
    a add ai an and answer api apply book build calculate call can compute convert could create delete do does draft
    extract fetch find for generate get give hello hey hi how i i'm if in invoke is it json list look make my no now
    of ok order please reply return run search send set show summarise summarize tell thanks that the then this to
    translate update use using we what what's when where which who why will with would write yes you
    """
)
# A field of such a name with no connecting sign is only a word of the sentence.
_TOO_COMMON = word_set(
    """
    a an as at be by do in is it no of on or so the to up us we x y
    """
)
_TRUE = frozenset({"true", "yes", "on", "enabled"})
_FALSE = frozenset({"false", "no", "off", "disabled"})


class Evidence:
    """What a text offers to fill fields with."""

    def __init__(self, text: str) -> None:
        self.text = window(text)
        self._named: dict[str, list[Any]] = {}

    def named(self, field: str) -> list[Any]:
        """Values that the text gives for a field by its name: `city="Oslo"`, `city: Oslo`, "key 'A17'", "3 days".

        JSON values come typed, all others as text; what the field's type makes of them is the caller's business.
        """
        if field not in self._named:
            self._named[field] = list(self._values_of(field)) if field else []
        return self._named[field]

    def _values_of(self, field: str) -> Iterator[Any]:
        yield from (values[field] for values in self.objects if field in values)
        places = list(re.finditer(_name_pattern(field), self.text))
        alone = len(field) > 1 and field.lower() not in _TOO_COMMON
        for follows in (_SIGNED, _LINKED, _BESIDE) if alone else (_SIGNED,):
            for place in places:
                match = follows.match(self.text, place.end())
                if match and match["json"]:
                    yield from self._decoded(match.start("json"))
                elif match:
                    yield _trimmed(match["bare"] or next(filter(None, match.groups())))
        for place in places if alone else ():
            if before := _BEFORE.search(self.text[max(0, place.start() - 50) : place.start()]):
                yield before[1]

    def _decoded(self, start: int) -> Iterator[Any]:
        try:
            yield _DECODER.raw_decode(self.text, start)[0]
        except (ValueError, RecursionError):
            return

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """JSON objects in the text, the first twenty."""
        found: list[dict[str, Any]] = []
        start = -1
        for _ in range(20):
            start = self.text.find("{", start + 1)
            if start < 0:
                break
            found += [value for value in self._decoded(start) if isinstance(value, dict)]
        return found

    def mentions(self, value: str) -> bool:
        """Whether the text has this value as words of its own, in any case."""
        return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", self.text, re.IGNORECASE) is not None

    def boolean(self, field: str) -> bool | None:
        """What the text says of a yes-or-no field: its value, its bare mention, or its mention after "no"."""
        for value in self.named(field):
            if isinstance(value, bool):
                return value
            word = str(value).lower()
            if word in _TRUE | _FALSE:
                return word in _TRUE
        name = rf"(?:\b(no|not|without|don't)[ -]{{1,3}})?{_name_pattern(field)}"
        match = re.search(name, self.text, re.IGNORECASE)
        return None if match is None else match[1] is None

    @cached_property
    def quoted(self) -> list[str]:
        """Everything in quotation marks, in order."""
        return [next(filter(None, match.groups())) for match in _QUOTATION.finditer(self.text)]

    @cached_property
    def numbers(self) -> list[str]:
        """Every number, in order, without separators of thousands; those of dates and addresses are none."""
        text = self.text
        for pattern in _TYPED.values():
            text = pattern.sub(" ", text)
        return [match.group().replace(",", "") for match in _NUMBER.finditer(text)]

    @cached_property
    def names(self) -> list[str]:
        """What is named, the likeliest first: "in Oslo", then capitalised words within a sentence, then "in oslo?"."""
        placed = [name for _, group in self._placed for name in group]
        others = [_without_verb(_trimmed(match.group())) for match in _ANY_NAME.finditer(self.text)]
        lower = [match[1] for match in _AFTER_PLACE.finditer(self.text)]
        inside = [item for item in self._in_parentheses if item]
        found = inside + placed + others + [word for word in lower if content_words(word)]
        named = [name for name in found if name and name.lower() not in _NO_NAMES]
        return list(dict.fromkeys(named))

    @cached_property
    def enumeration(self) -> list[str]:
        """The names told in one breath: "in Oslo and Paris", "in Oslo and in Paris" → 2."""
        return [name for place, group in self._placed if place == self._placed[0][0] for name in group]

    def following(self, value: str, *, words: bool = False) -> list[str]:
        """What is enumerated after a value: "key 'A17' and 'B2'" → ["B2"]; plain words too where `words` are wanted."""
        step = _NEXT_WORD if words else _NEXT
        found: list[str] = []
        place = self.text.find(value) + len(value)
        while (match := step.match(self.text, place)) and len(found) < 100:
            found.append(_trimmed(next(filter(None, match.groups()))))
            place = match.end()
        return found

    @cached_property
    def _placed(self) -> list[tuple[str, list[str]]]:
        return [(match[1], split_list(_trimmed(match[2]))) for match in _PLACED.finditer(self.text)]

    @cached_property
    def _in_parentheses(self) -> list[str]:
        """The arguments of a call whose name the text follows: `(Oslo, 3)`."""
        match = re.match(r"\(([^()=:\n]{1,500})\)", self.text)
        return [item.strip("\"' ") for item in match[1].split(",")] if match else []

    def of_format(self, form: str) -> list[str]:
        """Values of a JSON Schema `format` (date, email, ...), in order."""
        pattern = _TYPED.get({"url": "uri", "ip": "ipv4"}.get(form, form))
        return [match.group() for match in pattern.finditer(self.text)] if pattern else []

    @cached_property
    def subject(self) -> str:
        """What the text is about, in a few words: "a joke about cats" → "cats". The text itself where it does not say."""
        match = _SUBJECT.search(self.text)
        text = match[1] if match else " ".join(self.text.split())[:80]
        return text.strip(" .?!\"'")

    def tokens(self) -> Iterator[str]:
        """Single words and codes, as they stand."""
        for match in re.finditer(r"[^\s,;:!?()\"'“”\[\]{}]{1,100}", self.text):
            yield match.group().rstrip(".")


def split_list(text: str) -> list[str]:
    """The items of an enumeration: "Oslo, Paris and Rome" → 3; "Oslo, Norway and Paris, France" → 2; "Portland, OR" → 1."""
    parts = [part for part in re.split(r",?\s(?:and|or|&)\s", text) if part.strip(" ,")]
    if len(parts) > 1 and "," in parts[0] and "," not in parts[-1]:
        parts = [*parts[0].split(","), *parts[1:]]
    elif len(parts) == 1 and text.count(",") > 1:
        parts = text.split(",")
    return [part.strip(" ,") for part in parts]


def _name_pattern(field: str) -> str:
    """A pattern for a field's name, in any case, with its words set apart in any way, in the singular or plural."""
    parts = [re.escape(part) for part in name_words(field)] or [re.escape(field)]
    return r"(?<![\w.])(?i:" + r"[\s_-]{0,2}".join(f"{part}s?" for part in parts) + r")(?!\w)"


def _trimmed(text: str) -> str:
    """A value without the full stop of its sentence."""
    text = text.strip()
    return text[:-1] if re.search(r"[\w)][.!?]$", text) and not re.search(r"(?:\.\w|\b\w)\.$", text) else text


def _without_verb(name: str) -> str:
    """A run of capitalised words without the one that only begins the sentence."""
    while name and name.split(None, 1)[0].lower() in _NO_NAMES:
        name = name.partition(" ")[2].strip()
    return name
