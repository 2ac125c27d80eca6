"""Values for a JSON Schema from what a text says: arguments of calls, structured answers.

`fill` gives a value that is valid under the schema wherever one can be found, taken from the text where it offers one and the
plainest one where it does not. What a text offers is `evidence`'s business.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..words import name_words, word_set
from .evidence import Evidence, split_list
from .patterns import sample
from .schemas import is_valid, kind_of, rooted, tidy, variants

__all__ = ["Filled", "converted", "fill"]

Placeholder: TypeAlias = Callable[[str], str]
"""What to write into a field of this name that the text says nothing about."""

_MAX_DEPTH = 8  # of nested values; a schema that refers to itself ends here
_MAX_VALUES = 500  # made for one schema: ends what would grow without bound
_MAX_ITEMS = 1_000  # made to reach minItems or minProperties
_MAX_LENGTH = 100_000  # of a text made to reach minLength
_FREE_TEXT = word_set(
    """
    ask body code comment content description details expression input instruction instructions keyword
    keywords message messages note notes phrase problem prompt q query question request search_query sentence
    statement string task text thought topic
    """
)
_LEADING = re.compile(r"^(?:for|about|on|with|of|to)\s|^\W+", re.IGNORECASE)  # stands before free text, not in it
_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "user@example.com",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


@dataclass(frozen=True)
class Filled:
    """A value, whether it is valid under its schema, and how many of its fields the text itself gave."""

    value: Any
    valid: bool
    grounded: int


def fill(
    schema: Any,
    text: str,
    *,
    placeholder: Placeholder = lambda field: "unknown",
    overrides: Mapping[str, Any] | None = None,
) -> Filled:
    """The value of a schema that a text asks for.

    Args:
        schema: a JSON Schema, as sent; types in capitals and schemas that are not quite schemas are put up with.
        text: what values are looked for in.
        placeholder: what a required text is that `text` says nothing about, by the field's name.
        overrides: values of fields that are known already, and win.

    Tries the fields the text speaks of, then all of them, then the least, and gives the first that is valid.
    """
    try:
        return _fill(tidy(schema), Evidence(text), placeholder, overrides or {})
    except RecursionError:  # nested deeper than Python can follow
        return Filled({}, False, 0)


def _fill(root: Any, evidence: Evidence, placeholder: Placeholder, overrides: Mapping[str, Any]) -> Filled:
    tries = []
    for optional in ("named", "all", "none"):
        filler = _Filler(root, evidence, placeholder, optional)
        value = filler.value(root, "", True, 0)
        if isinstance(value, dict):
            value = {**value, **overrides}
        tries.append(Filled(value, is_valid(root, value), filler.grounded))
        if tries[-1].valid:
            return tries[-1]
    return tries[0]


class _Filler:
    """One attempt. `optional` says which optional fields it fills: those the text names, all, or none."""

    def __init__(self, root: Any, evidence: Evidence, placeholder: Placeholder, optional: str) -> None:
        self.root = root
        self.evidence = evidence
        self.placeholder = placeholder
        self.optional = optional
        self.used: tuple[str, ...] = ()
        """Values of the text that fill a field already: none fills two."""
        self.budget = _MAX_VALUES

    @property
    def grounded(self) -> int:
        return len(self.used)

    def value(self, schema: Any, field: str, wanted: bool, depth: int) -> Any:
        """A value of a schema for a field. `wanted`: whether values that are not named for it may be used."""
        self.budget -= 1
        before = self.used
        tried = []
        for variant in variants(schema, self.root):
            self.used = before
            value = self._of_variant(variant, field, wanted, depth)
            fits = self._fits(variant, value)
            if (fits and self.used != before) or self.budget < 0:
                return value
            # Of what the text says nothing about, nothing is the plainest value, unless the schema has a default.
            tried.append((fits, value is None and variant.get("default") is None, value, self.used))
        *_, value, self.used = max(tried, key=lambda one: one[:2])
        return value

    def given(self, schema: Any, field: str, depth: int) -> Iterator[Any]:
        """The value of an optional field if the text gives one."""
        before = self.used
        value = self.value(schema, field, False, depth)
        if self.used != before:
            yield value

    def _of_variant(self, schema: Mapping[str, Any], field: str, wanted: bool, depth: int) -> Any:
        kind = kind_of(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._enumerated(schema, field)
        if kind == "object":
            return self._object(schema, field, depth)
        if kind == "array":
            return self._array(schema, field, wanted, depth)
        if kind == "boolean":
            said = self.evidence.boolean(field) if field else None
            return schema.get("default") is True if said is None else self._use(said)
        if kind == "null":
            return None
        candidates = self._numbers if kind in ("integer", "number") else self._texts
        for value in candidates(schema, field, wanted):
            if self._fits(schema, value):
                return self._use(value)
        return self._plainest(schema, field, kind)

    def _use(self, value: Any) -> Any:
        self.used += (str(value),)
        return value

    def _unused(self, offers: Iterable[Any]) -> Iterator[Any]:
        """What of the offers fills no field yet; one that is offered twice may fill two."""
        used = Counter(self.used)
        for offer in offers:
            if used[str(offer)]:
                used[str(offer)] -= 1
            else:
                yield offer

    def _enumerated(self, schema: Mapping[str, Any], field: str) -> Any:
        choices = [one for one in schema["enum"] if self._fits(schema, one)] or schema["enum"]
        named = [str(value).lower() for value in self.evidence.named(field)]
        for choice in choices:
            if str(choice).lower() in named:
                return self._use(choice)
        for choice in choices:
            spoken = " ".join(name_words(choice)) if isinstance(choice, str) else str(choice)
            if choice is not None and len(spoken) > 1 and any(map(self.evidence.mentions, (str(choice), spoken))):
                return self._use(choice)
        default = schema.get("default")
        return default if default in choices else choices[0]

    def _object(self, schema: Mapping[str, Any], field: str, depth: int) -> dict[str, Any]:
        properties: dict[str, Any] = schema.get("properties", {})
        required: list[str] = schema.get("required", [])
        for whole in self._whole(schema, field, properties):
            self._use(whole)
            return whole
        found: dict[str, Any] = {}
        if depth >= _MAX_DEPTH or self.budget < 0:
            return found
        # Named values first, so that no unnamed one is given to a field that another names.
        named = {
            name: value
            for name, sub in properties.items()
            if name in required or self.optional != "none"
            for value in self.given(sub, name, depth + 1)
        }
        free = not required
        for name in dict.fromkeys([*required, *properties]):
            if name in named:
                found[name] = named[name]
            elif name in required:
                found[name] = self.value(properties.get(name, {}), name, True, depth + 1)
            elif self.optional == "all":
                found[name] = self.value(properties[name], name, True, depth + 1)
            elif free and self.optional == "named":
                # With no field required, what the text offers is meant for the first field that takes it.
                before = self.used
                value = self.value(properties[name], name, True, depth + 1)
                if self.used != before:
                    found[name] = value
                    free = False
        self._enlarge(found, schema, depth)
        return {name: found[name] for name in dict.fromkeys([*properties, *found]) if name in found}

    def _whole(self, schema: Mapping[str, Any], field: str, properties: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Objects that the text gives as JSON."""
        given = self.evidence.named(field) if field else self.evidence.objects
        for value in given:
            if (
                isinstance(value, dict)
                and self._fits(schema, value)
                and (set(value) & set(properties) or not properties)
            ):
                yield value

    def _enlarge(self, found: dict[str, Any], schema: Mapping[str, Any], depth: int) -> None:
        """Adds fields up to minProperties."""
        extra = schema.get("additionalProperties", True)
        least = min(schema.get("minProperties", 0), _MAX_ITEMS)
        number = 1
        while len(found) < least and extra is not False and number <= 2 * _MAX_ITEMS:
            found.setdefault(f"field{number}", self.value(extra, "", False, depth + 1))
            number += 1

    def _array(self, schema: Mapping[str, Any], field: str, wanted: bool, depth: int) -> list[Any]:
        for value in self.evidence.named(field):
            if isinstance(value, list) and self._fits(schema, value):
                self._use(value)
                return value
        if depth >= _MAX_DEPTH or self.budget < 0:
            return []
        items = schema.get("items", True)
        found = [self.value(sub, field, wanted, depth + 1) for sub in schema.get("prefixItems", ())]
        found += [] if found else self._listed(items, field, wanted)
        least = min(schema.get("minItems", 0), _MAX_ITEMS)
        unique = schema.get("uniqueItems", False)
        if unique:
            found = [value for number, value in enumerate(found) if value not in found[:number]]
        while len(found) < least:
            value = self.value(items, field, wanted, depth + 1)
            found.append(self._another(value, len(found), items, found) if unique and value in found else value)
        return found[: schema.get("maxItems")]

    def _another(self, value: Any, number: int, items: Any, found: list[Any]) -> Any:
        """A value of a schema that is not among those found."""
        schema = next(iter(variants(items, self.root)))
        others: list[Any] = list(schema.get("enum", ()))
        if isinstance(value, bool):
            others.append(not value)
        elif isinstance(value, int | float):
            others += [value + number, value - number]
        elif isinstance(value, str):
            others += [f"{value}{number}", str(number), f"{value[:-1]}{number}"]
        return next((other for other in others if other not in found and self._fits(schema, other)), value)

    def _listed(self, items: Any, field: str, wanted: bool) -> list[Any]:
        """The items that the text enumerates: named for the field, else its numbers, quotations or names."""
        schema = next(iter(variants(items, self.root)))
        kind = kind_of(schema)
        named = [str(value) for value in self.evidence.named(field) if not isinstance(value, dict | list)]
        offers = [
            [
                item
                for value in named[:1]
                for item in [*_split_values(value), *self.evidence.following(value, words=True)]
            ]
        ]
        if "enum" in schema:
            offers.append([one for one in schema["enum"] if isinstance(one, str) and self.evidence.mentions(one)])
        elif kind in ("integer", "number") and wanted:
            offers.append(self.evidence.numbers)
        elif kind == "string" and wanted:
            offers += [self.evidence.quoted, self.evidence.enumeration, self._after_colon()]
        for offer in offers:
            values = [value for text in offer for value in converted(text, kind) if self._fits(schema, value)]
            if values:
                return [self._use(value) for value in values]
        return []

    def _after_colon(self) -> list[str]:
        _, colon, rest = self.evidence.text.rpartition(":")
        items = split_list(rest.strip(" .\n")) if colon else []
        return items if len(items) > 1 and max(map(len, items)) <= 60 else []

    def _numbers(self, schema: Mapping[str, Any], field: str, wanted: bool) -> Iterator[int | float]:
        kind = kind_of(schema)
        for value in self.evidence.named(field):
            yield from converted(value, kind)
        if wanted:
            yield from self._unused(value for number in self.evidence.numbers for value in converted(number, kind))

    def _texts(self, schema: Mapping[str, Any], field: str, wanted: bool) -> Iterator[str]:
        evidence = self.evidence
        yield from (value for value in evidence.named(field) if isinstance(value, str))
        if not wanted:
            return
        if schema.get("format") in _FORMATS:
            yield from self._unused(evidence.of_format(schema["format"]))
            return
        if "pattern" in schema:
            yield from self._unused(evidence.tokens())
        yield from self._unused(evidence.quoted)
        if field.lower() in _FREE_TEXT and (remark := _LEADING.sub("", " ".join(evidence.text.split()))):
            yield remark[:1_000]
        else:
            yield from self._unused(evidence.names)

    def _plainest(self, schema: Mapping[str, Any], field: str, kind: str) -> Any:
        """The least a schema takes: its default or example, else a value made to its bounds."""
        given = [schema["default"]] if "default" in schema else []
        given += schema.get("examples", ())
        made = _least_number(schema, kind) if kind in ("integer", "number") else self._text(schema, field)
        return next((value for value in [*given, *made] if self._fits(schema, value)), made[0])

    def _text(self, schema: Mapping[str, Any], field: str) -> list[str]:
        text = self.placeholder(field or "value")
        made = [_FORMATS[schema["format"]]] if schema.get("format") in _FORMATS else []
        least = schema.get("minLength", 0)
        if "pattern" in schema:
            made += sample(schema["pattern"], least)
        text = text[: schema.get("maxLength")].ljust(min(least, _MAX_LENGTH), ".")
        return [*made, text]

    def _fits(self, schema: Any, value: Any) -> bool:
        return is_valid(rooted(schema, self.root), value)


def _split_values(text: str) -> list[str]:
    parts = split_list(text)
    return parts if len(parts) > 1 else [part.strip() for part in text.split(",")]


def converted(value: Any, kind: str) -> Iterator[Any]:
    """A text as a value of a type, if it is one."""
    if kind == "string":
        yield str(value)
    elif kind in ("integer", "number") and not isinstance(value, bool | dict | list):
        try:
            number = float(str(value).replace(",", ""))
        except ValueError:
            return
        if number.is_integer() and abs(number) < 2**53:
            yield int(number)
        elif kind == "number" and math.isfinite(number):
            yield number


def _least_number(schema: Mapping[str, Any], kind: str) -> list[int | float]:
    """The number nearest to zero that the bounds allow, and a few beside it."""
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    step = schema.get("multipleOf", 1 if kind == "integer" else None)
    start = min(max(0, low), high)
    made: list[int | float] = [start]
    try:
        if step:
            steps = math.ceil(start / step)
            made += [number * step for number in (steps, steps + 1, steps - 1)]
        elif math.isfinite(low) and math.isfinite(high):
            made.append((low + high) / 2)
        made += [start + 1, start - 1]
        return [int(number) if float(number).is_integer() else number for number in made if math.isfinite(number)] or [
            0
        ]
    except OverflowError:  # bounds beyond what a float holds
        return [start if isinstance(start, int) else 0]
