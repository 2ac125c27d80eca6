"""Several schemas that must all hold as one of the same meaning, and whether alternatives overlap. Where that is not sure, it is not done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .reading import Place
from .report import ANNOTATIONS

__all__ = ["alternatives_apart", "merged"]

_HIGHEST = frozenset({"exclusiveMinimum", "minItems", "minLength", "minProperties", "minimum"})
_LOWEST = frozenset({"exclusiveMaximum", "maxItems", "maxLength", "maxProperties", "maximum"})
# Keywords whose meaning depends on their neighbours: merged only where one side alone has any of the group.
_TOGETHER = (
    frozenset({"contains", "items", "maxContains", "minContains", "prefixItems", "unevaluatedItems"}),
    frozenset({"else", "if", "then"}),
)
_FURTHER = frozenset({"additionalProperties", "patternProperties", "unevaluatedProperties"})
_OBJECT = frozenset({"properties", *_FURTHER})


def merged(places: Sequence[Place], path: str) -> Place | None:
    """One place that holds exactly where all of `places` hold, or None where that cannot be said without `allOf`."""
    whole = Place(places[0], path)
    for place in places[1:]:
        if not _take(whole, place):
            return None
    return whole


def _take(whole: Place, other: Place) -> bool:
    if "$ref" in whole or "$ref" in other:
        return False
    for group in _TOGETHER:
        mine, theirs = whole.keys() & group, other.keys() & group
        if mine and theirs and any(whole.get(name) != other.get(name) for name in mine | theirs):
            return False
    if not _further(whole, other):
        return False
    for keyword, value in other.items():
        if keyword not in whole:
            whole[keyword] = value
        elif keyword == "properties":
            both = dict(whole["properties"])
            for name, schema in value.items():
                both[name] = _both(both[name], schema) if name in both else schema
            whole["properties"] = both
        elif keyword == "required":
            whole["required"] = list(dict.fromkeys([*whole["required"], *value]))
        elif keyword == "type":
            if (types := _types(whole["type"], value)) is None:
                return False
            whole["type"] = types
        elif keyword == "additionalProperties" and (value is True or whole[keyword] is True):
            whole[keyword] = value if whole[keyword] is True else whole[keyword]
        elif keyword in _HIGHEST | _LOWEST:
            whole[keyword] = (max if keyword in _HIGHEST else min)(whole[keyword], value)
        elif keyword not in ANNOTATIONS and not _same(whole[keyword], value):
            return False
    return True


def _further(whole: Place, other: Place) -> bool:
    """Whether the two can share one list of properties: what one says of further properties must not meet the other's."""
    for one, two in ((whole, other), (other, whole)):
        stated = {name for name in one.keys() & _FURTHER if one[name] is not True}
        if not stated or not two.keys() & _OBJECT:
            continue
        if stated != {"additionalProperties"} or two.keys() & {"patternProperties", "unevaluatedProperties"}:
            return False
        if not two.get("properties", {}).keys() <= one.get("properties", {}).keys():
            return False
    return True


def _both(one: Place, two: Place) -> Place:
    if _same(one, two):
        return one
    return merged([one, two], one.path) or Place({"allOf": [one, two]}, one.path, made=True)


def _types(one: Any, two: Any) -> Any:
    mine, theirs = ({item} if isinstance(item, str) else set(item) for item in (one, two))
    shared = mine & theirs
    for some, others in ((mine, theirs), (theirs, mine)):
        if "integer" in some and "number" in others and "number" not in some:
            shared.add("integer")
    if not shared:
        return None
    return next(iter(shared)) if len(shared) == 1 else sorted(shared)


def _same(one: Any, two: Any) -> bool:
    """Equality of JSON: 1 is not true."""
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_same(one[name], two[name]) for name in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(_same, one, two))
    return isinstance(one, bool) == isinstance(two, bool) and bool(one == two)


def alternatives_apart(places: Sequence[Place]) -> bool:
    """Whether surely no value fits two of them: their types differ, or one required property is another constant in each."""
    types = [_type_set(place) for place in places]
    if (
        all(types)
        and sum(map(len, types)) == len(set().union(*types))
        and not {"integer", "number"} <= set().union(*types)
    ):
        return True
    tags = [_tags(place) for place in places]
    shared = set.intersection(*(set(tag) for tag in tags)) if tags else set()
    return any(
        sum(len(tag[name]) for tag in tags) == len({value for tag in tags for value in tag[name]}) for name in shared
    )


def _type_set(place: Mapping[str, Any]) -> set[str]:
    stated = place.get("type")
    return {stated} if isinstance(stated, str) else set(stated) if isinstance(stated, list) else set()


def _tags(place: Mapping[str, Any]) -> dict[str, set[str]]:
    """The required properties of an object that can only be certain texts."""
    if place.get("type") != "object":
        return {}
    found: dict[str, set[str]] = {}
    for name in place.get("required", ()):
        schema = place.get("properties", {}).get(name, {})
        values = schema.get("enum", [schema["const"]] if "const" in schema else [])
        if values and all(isinstance(value, str) for value in values):
            found[name] = set(values)
    return found
