"""The steps that dialects are made of: each brings one thing about a schema into the form that some vendor takes, and reports it.

A step that loses something says so; one that cannot do its work refuses. Which vendor needs which is said in the dialects.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from .merging import alternatives_apart, merged
from .reading import Place, pointer
from .report import ANNOTATIONS, REPORTED
from .walking import Compiling, Step

__all__ = [
    "all_required",
    "bare_references",
    "closed_objects",
    "described",
    "dropped",
    "enums_for_constants",
    "ignored",
    "lists_for_tuples",
    "merged_all_of",
    "no_arguments",
    "no_cycles",
    "object_root",
    "one_of_as_any_of",
    "refused",
    "typed",
    "with_items",
]

_NULL = {"type": "null"}


def ignored(keywords: Mapping[str, str]) -> Step:
    """Keywords that are sent and that the vendor does not enforce, each with the reason."""

    def step(place: Place, work: Compiling) -> None:
        for keyword in [name for name in place if name in keywords]:
            work.report(place, keyword, "ignored", keywords[keyword])

    return step


def refused(keywords: Mapping[str, str]) -> Step:
    """Keywords that the vendor answers with an error, each with the reason."""

    def step(place: Place, work: Compiling) -> None:
        for keyword in [name for name in place if name in keywords]:
            work.report(place, keyword, "refused", keywords[keyword])

    return step


def described(keywords: Collection[str], why: str) -> Step:
    """Takes keywords out and says them in the description, where the model at least reads them."""
    wanted = frozenset(keywords)

    def step(place: Place, work: Compiling) -> None:
        for keyword in [name for name in place if name in wanted]:
            value = place.pop(keyword)
            note = f"{keyword}: {json.dumps(value, ensure_ascii=False)}"
            place["description"] = f"{place['description']}\n{note}" if place.get("description") else note
            work.report(place, keyword, "ignored", f"{why}; said in the description", lossy=keyword not in ANNOTATIONS)

    return step


def dropped(allowed: Collection[str], why: str) -> Step:
    """Takes out every other keyword; a step before says what it can of those that constrain something."""

    def step(place: Place, work: Compiling) -> None:
        for keyword in [name for name in place if name not in allowed]:
            del place[keyword]
            work.report(place, keyword, "ignored", why, lossy=keyword in REPORTED - ANNOTATIONS)

    return step


def object_root(vendor: str, *, unions: bool = False) -> Step:
    """For the root: the arguments of a call are an object, and it says so. Unions are opened up, unless the vendor takes them."""
    spoken = described(
        ("const", "else", "enum", "if", "not", "then"), f"{vendor} takes none at the root of a tool's schema"
    )

    def step(place: Place, work: Compiling) -> None:
        if "$ref" in place:
            found = _resolved(place, work)
            place.clear()
            place.update(found)
        if not unions:
            for keyword in ("allOf", "anyOf", "oneOf"):
                if keyword in place:
                    _open_up(place, keyword, work, vendor)
            spoken(place, work)
        if "object" not in _types(place, {"object"}):
            work.report(place, "type", "refused", "the arguments of a call are an object, and this schema allows none")
        elif place.get("type") != "object":
            place["type"] = "object"
            work.report(place, "type", "rewritten", "the arguments of a call are an object")
        place.setdefault("properties", {})

    return step


def _open_up(place: Place, keyword: str, work: Compiling, vendor: str) -> None:
    """Puts the alternatives' properties side by side, so that nothing that fits one of them is out of reach."""
    branches = [_resolved(branch, work) for branch in place.pop(keyword)]
    if keyword == "allOf":
        whole = merged([Place(place, place.path), *branches], place.path)
        if whole is not None:
            place.clear()
            place.update(whole)
            work.report(place, keyword, "rewritten", f"{vendor} takes no `allOf` at the root: its parts are merged")
            return
    objects = [branch for branch in branches if "object" in _types(branch, {"object"})]
    if not objects:
        work.report(
            place, keyword, "refused", "no alternative at the root is an object, as the arguments of a call are"
        )
        return
    properties: dict[str, list[Any]] = {name: [value] for name, value in place.get("properties", {}).items()}
    for branch in objects:
        for name, value in branch.get("properties", {}).items():
            if value not in properties.setdefault(name, []):
                properties[name].append(value)
    together = "allOf" if keyword == "allOf" else "anyOf"
    place["properties"] = {
        name: values[0] if len(values) == 1 else Place({together: values}, place.path, made=True)
        for name, values in properties.items()
    }
    demands = [set(branch.get("required", ())) for branch in objects]
    shared = set.union(*demands) if keyword == "allOf" else set.intersection(*demands)
    required = [*place.get("required", ()), *(name for name in properties if name in shared)]
    if required:
        place["required"] = list(dict.fromkeys(required))
    if all(branch.get("additionalProperties") is False for branch in objects):
        place.setdefault("additionalProperties", False)
    why = f"{vendor} takes no `{keyword}` at the root: the properties of its alternatives are offered side by side"
    work.report(place, keyword, "rewritten", why, lossy=True)


def _resolved(place: Place, work: Compiling) -> Place:
    for _ in range(10):
        reference = place.get("$ref")
        if not isinstance(reference, str) or reference == "#":
            break
        place = work.reading.definitions[reference.removeprefix("#/$defs/")]
    return place


def _types(place: Mapping[str, Any], default: set[str]) -> set[str]:
    stated = place.get("type")
    return {stated} if isinstance(stated, str) else set(stated) if isinstance(stated, list) else set(default)


def merged_all_of(place: Place, work: Compiling) -> None:
    """Merges the parts of an `allOf` into one schema of the same meaning, where that is possible; otherwise leaves it."""
    if "allOf" not in place:
        return
    rest = Place({name: value for name, value in place.items() if name != "allOf"}, place.path)
    whole = merged([rest, *place["allOf"]], place.path)
    if whole is not None:
        place.clear()
        place.update(whole)
        work.report(place, "allOf", "rewritten", "its parts are merged into one schema of the same meaning")


def one_of_as_any_of(vendor: str) -> Step:
    """Says `oneOf` as `anyOf`: the same where no value fits two alternatives."""

    def step(place: Place, work: Compiling) -> None:
        if "oneOf" not in place or "anyOf" in place:
            return
        branches = place.pop("oneOf")
        place["anyOf"] = branches
        apart = alternatives_apart(branches)
        why = "no value fits two alternatives" if apart else "that only one may fit is not enforced"
        work.report(place, "oneOf", "rewritten", f"{vendor} takes `anyOf`; {why}", lossy=not apart)

    return step


def enums_for_constants(place: Place, work: Compiling) -> None:
    """Says a constant as the enum of one value."""
    if "const" in place and "enum" not in place:
        place["enum"] = [place.pop("const")]
        work.report(place, "const", "rewritten", "said as an enum of one value")


def typed(vendor: str) -> Step:
    """Gives enums and constants their type, and refuses what says nothing about it."""

    def step(place: Place, work: Compiling) -> None:
        if place.keys() & {"type", "anyOf", "$ref"}:
            return
        values = place.get("enum", [place["const"]] if "const" in place else None)
        keyword = "enum" if "enum" in place else "const"
        if values and all(value is None or isinstance(value, str | int | float) for value in values):
            types = list(dict.fromkeys(_type(value) for value in values))
            place["type"] = types[0] if len(types) == 1 else types
            work.report(place, keyword, "rewritten", "its type is said too")
        elif "allOf" not in place and "not" not in place and "oneOf" not in place:
            work.report(place, "type", "refused", f"{vendor} wants a type, and this schema allows values of any")

    return step


def _type(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
    return "string"


def lists_for_tuples(vendor: str) -> Step:
    """Says a tuple as a list whose items are each of one of the tuple's schemas."""

    def step(place: Place, work: Compiling) -> None:
        if "prefixItems" not in place:
            return
        schemas = place.pop("prefixItems")
        further = place.pop("items", None)
        if isinstance(further, Place):
            schemas = [*schemas, further]
        elif further is False:
            place["maxItems"] = min(len(schemas), place.get("maxItems", len(schemas)))
        kinds = [schema for number, schema in enumerate(schemas) if schema not in schemas[:number]]
        place["items"] = kinds[0] if len(kinds) == 1 else Place({"anyOf": kinds}, place.path, made=True)
        why = f"{vendor} knows no tuples: the items are of the tuple's kinds, in any order"
        work.report(place, "prefixItems", "rewritten", why, lossy=True)

    return step


def with_items(vendor: str) -> Step:
    """Arrays say what their items are, were it anything."""

    def step(place: Place, work: Compiling) -> None:
        if "array" in _types(place, set()) and "items" not in place:
            place["items"] = Place({}, pointer(place.path, "items"), made=True)
            work.report(place, "items", "rewritten", f"{vendor} wants `items` of every array: any are allowed")

    return step


def no_arguments(vendor: str) -> Step:
    """For the root: one that names no properties and says nothing of further ones means that there are none."""

    def step(place: Place, work: Compiling) -> None:
        if not place.get("properties") and "additionalProperties" not in place:
            place["additionalProperties"] = False
            why = f"{vendor} takes only closed objects, and this one names no properties"
            work.report(place, "additionalProperties", "rewritten", why, lossy=True)

    return step


def closed_objects(vendor: str) -> Step:
    """Objects take no further properties; one that is nothing but further properties cannot be said."""

    def step(place: Place, work: Compiling) -> None:
        if "object" not in _types(place, {"object"} if "properties" in place else set()):
            return
        further = place.get("additionalProperties", True)
        if not place.get("properties") and further is not False:
            why = f"{vendor} takes only objects whose properties are all named, and this one takes any"
            work.report(place, "additionalProperties", "refused", why)
        elif further is not False:
            place["additionalProperties"] = False
            why = f"{vendor} takes only closed objects: the model gives none of the further properties that the schema allows"
            work.report(place, "additionalProperties", "rewritten", why, lossy=True)
        place.setdefault("properties", {})
        if strangers := [name for name in place.get("required", ()) if name not in place["properties"]]:
            why = f"{vendor} takes no required property that is not described: {', '.join(strangers)}"
            work.report(place, "required", "refused", why)

    return step


def all_required(vendor: str) -> Step:
    """Optional properties are required and may be null, which `Tools.run` reads as absent."""

    def step(place: Place, work: Compiling) -> None:
        properties = place.get("properties")
        if not isinstance(properties, dict) or "object" not in _types(place, {"object"}):
            return
        required = set(place.get("required", ()))
        optional = [name for name in properties if name not in required]
        place["required"] = list(properties)
        if not optional:
            return
        ambiguous = [name for name in optional if _allows_null(properties[name])]
        place["properties"] = {
            name: value if name in required or name in ambiguous else _nullable(value)
            for name, value in properties.items()
        }
        why = f"{vendor} wants every property: null stands for one that is left out"
        if ambiguous:
            why += f" ({', '.join(ambiguous)} may be null already, so null and left out are not told apart)"
        work.report(place, "required", "rewritten", why, lossy=bool(ambiguous))

    return step


def _allows_null(place: Place) -> bool:
    if "$ref" in place or not place.keys() - ANNOTATIONS:
        return not place.keys() - ANNOTATIONS
    if any(isinstance(place.get(union), list) and any(map(_allows_null, place[union])) for union in ("anyOf", "oneOf")):
        return True
    values = place.get("enum", [place["const"]] if "const" in place else None)
    return None in values if values is not None else "null" in _types(place, set())


def _nullable(place: Place) -> Place:
    if isinstance(place.get("type"), str | list) and not place.keys() & {
        "enum",
        "const",
        "not",
        "allOf",
        "anyOf",
        "oneOf",
    }:
        stated = place["type"]
        types = [*([stated] if isinstance(stated, str) else stated), "null"]
        return Place({**place, "type": types}, place.path, made=place.made)
    notes = {name: value for name, value in place.items() if name in ANNOTATIONS}
    bare = Place({name: value for name, value in place.items() if name not in notes}, place.path, made=place.made)
    null = Place(_NULL, place.path, made=True)
    if bare.keys() == {"anyOf"}:
        return Place({**notes, "anyOf": [*bare["anyOf"], null]}, place.path, made=place.made)
    return Place({**notes, "anyOf": [bare, null]}, place.path, made=True)


def bare_references(place: Place, work: Compiling) -> None:
    """References stand alone: what describes them is left to the schema that they lead to."""
    if "$ref" in place and len(place) > 1:
        for keyword in [name for name in place if name != "$ref"]:
            del place[keyword]
            work.report(place, keyword, "ignored", "a reference stands alone", lossy=keyword not in ANNOTATIONS)


def no_cycles(action: Any, why: str) -> Step:
    """Schemas that contain themselves: refused, or of limited use, as `action` says."""

    def step(place: Place, work: Compiling) -> None:
        reference = place.get("$ref")
        if isinstance(reference, str) and (
            reference == "#" or reference.removeprefix("#/$defs/") in work.reading.cyclic
        ):
            work.report(place, "$ref", action, why)

    return step
