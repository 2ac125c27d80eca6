"""What a JSON Schema means before values are looked for: malformed parts dropped, references and choices resolved.

Pure functions from schemas to schemas. Which value a schema gets is the business of the module that holds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import reduce
from itertools import islice
from operator import getitem
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry

__all__ = ["is_valid", "kind_of", "rooted", "tidy", "variants"]

_MAX_DEPTH = 8  # of references within references; a schema that is nothing but itself ends here
_MAX_VARIANTS = 24  # of a schema with anyOf and oneOf
_VALUES = frozenset({"const", "default", "enum", "examples"})  # keywords that hold values, not schemas


def is_valid(schema: Any, value: Any) -> bool:
    """Whether a value fits a schema. A schema that cannot be judged by, such as one that refers elsewhere, fits anything."""
    try:
        return bool(Draft202012Validator(schema, registry=Registry()).is_valid(value))
    except Exception:  # noqa: BLE001 - jsonschema lets whatever a malformed schema causes through
        return True


def tidy(schema: Any) -> Any:
    """A schema that JSON Schema knows: types in lower case, malformed parts dropped, whole numbers as integers."""
    return _well_formed(_plain(schema))


def variants(schema: Any, root: Any) -> list[dict[str, Any]]:
    """A schema with its references and allOf resolved, once for each way through anyOf and oneOf; null comes last."""
    found = islice(_expanded(schema, root, 0), _MAX_VARIANTS)
    return sorted(found, key=lambda one: kind_of(one) == "null")


def _expanded(schema: Any, root: Any, depth: int) -> Iterator[dict[str, Any]]:
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        yield {}
        return
    base = {name: value for name, value in schema.items() if name not in ("$ref", "allOf", "anyOf", "oneOf")}
    parts = [[_resolved(schema["$ref"], root)]] if "$ref" in schema else []
    parts += [[part] for part in schema.get("allOf", ())]
    parts += [schema[name] for name in ("anyOf", "oneOf") if name in schema]
    for way in _ways(base, parts, root, depth):
        kinds = way.get("type")
        if isinstance(kinds, list):
            yield from ({**way, "type": kind} for kind in kinds)
        else:
            yield way


def _ways(base: dict[str, Any], parts: list[list[Any]], root: Any, depth: int) -> Iterator[dict[str, Any]]:
    """The base merged with one choice of each part, made one by one: there may be very many."""
    if not parts:
        yield base
        return
    for choice in parts[0]:
        for expanded in _expanded(choice, root, depth + 1):
            yield from _ways(_merged(base, expanded), parts[1:], root, depth)


def _merged(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """A schema that holds both: fields of both, required by either; of other keywords the left one's (its own)."""
    both = {**right, **left}
    if "properties" in left and "properties" in right:
        own, theirs = left["properties"], right["properties"]
        both["properties"] = {
            **theirs,
            **{
                name: _merged(sub, theirs[name])
                if isinstance(sub, dict) and isinstance(theirs.get(name), dict)
                else sub
                for name, sub in own.items()
            },
        }
    if "required" in left and "required" in right:
        both["required"] = list(dict.fromkeys([*left["required"], *right["required"]]))
    for name, stronger in (("minimum", max), ("maximum", min), ("minLength", max), ("maxLength", min)):
        if name in left and name in right:
            both[name] = stronger(left[name], right[name])
    return both


def _resolved(reference: str, root: Any) -> Any:
    """The schema that a reference within the same schema points at; anything goes where it points at nothing."""
    found = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if not part:
            continue
        if not isinstance(found, dict) or key not in found:
            return {}
        found = found[key]
    return found


def rooted(schema: Any, root: Any) -> Any:
    """A part of a schema with the definitions of the whole, so that its references still lead somewhere."""
    if not isinstance(schema, dict) or not isinstance(root, dict):
        return schema
    return {**{name: root[name] for name in ("$defs", "definitions") if name in root}, **schema}


def kind_of(schema: Mapping[str, Any]) -> str:
    """The type of a schema without one is told by its keywords; the default is a text."""
    kind = schema.get("type")
    if isinstance(kind, str):
        return kind
    for name, keywords in (
        ("object", ("properties", "required", "additionalProperties", "minProperties")),
        ("array", ("items", "prefixItems", "minItems")),
        ("number", ("minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum")),
    ):
        if any(keyword in schema for keyword in keywords):
            return name
    return "string"


def _plain(schema: Any) -> Any:
    """A schema with its types in lower case, which the older dialect wrote in capitals, and whole numbers as integers."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if isinstance(schema, float) and schema.is_integer():
        return int(schema)
    if not isinstance(schema, dict):
        return schema
    cleaned = {name: value if name in _VALUES else _plain(value) for name, value in schema.items()}
    if isinstance(cleaned.get("type"), str):
        cleaned["type"] = cleaned["type"].lower()
    return cleaned


def _well_formed(schema: Any) -> Any:
    """A schema without the keywords that are not as JSON Schema has them: after this every keyword has its type."""
    for _ in range(5):  # what is left after dropping one part may be malformed for the lack of it
        errors = Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema)
        paths = {tuple(error.absolute_path) for error in errors}
        if not paths:
            return schema
        schema = deepcopy(schema)
        for *path, last in sorted(filter(None, paths), reverse=True):  # from the end, so that places stay as they are
            del reduce(getitem, path, schema)[last]
    return {}
