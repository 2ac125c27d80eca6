"""A raw JSON Schema of any draft, as one tree in the words of draft 2020-12 with its references resolved. Nothing is sent or judged here.

Every place of the tree remembers where it stood in the schema. A reference is replaced by what it points to; where that would never
end, or grow large, it stays a reference into `definitions`. What is data (defaults, enums, constants, examples) is copied, never read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from bridge.errors import InvalidRequest

from .report import ANNOTATIONS

__all__ = ["LISTS", "MAPS", "SINGLES", "Place", "Reading", "copied", "pointer", "read"]

SINGLES = frozenset(
    {
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
MAPS = frozenset({"dependentSchemas", "patternProperties", "properties"})
# Where a boolean is the usual form, which every vendor knows.
_BOOLEANS = frozenset({"additionalProperties", "unevaluatedItems", "unevaluatedProperties"})
_IDENTITIES = frozenset(
    {"$schema", "$id", "$anchor", "$defs", "definitions", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary"}
)
_NESTED = (dict, list, tuple)
_LARGE = 200  # places; a referenced schema with more is not repeated at every reference


class Place(dict[str, Any]):
    """One place of the tree: keywords, with subschemas that are places. `path` is its JSON pointer in the schema as it was given."""

    __slots__ = ("made", "path")

    def __init__(self, keywords: Mapping[str, Any], path: str, *, made: bool = False) -> None:
        super().__init__(keywords)
        self.path = path
        self.made = made  # by a step, so that its keywords are not the schema's own


@dataclass(frozen=True)
class Reading:
    """A schema that has been read. `cyclic` names the `definitions` that contain themselves."""

    root: Place
    definitions: Mapping[str, Place]
    cyclic: frozenset[str]


def read(schema: Any) -> Reading:
    """Reads a schema. Raises `InvalidRequest` for what is no schema and for a reference that leads nowhere or out of it."""
    return _Reader(schema).reading()


def pointer(path: str, *keys: str | int) -> str:
    """The JSON pointer of something below `path`."""
    return path + "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in keys)


def copied(value: Any) -> Any:
    """A deep copy of plain data."""
    if isinstance(value, dict):
        return {key: copied(item) if isinstance(item, _NESTED) else item for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [copied(item) if isinstance(item, _NESTED) else item for item in value]
    return value


@dataclass
class _Target:
    place: Place
    size: int


@dataclass
class _Reader:
    schema: Any
    targets: dict[str, _Target] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # of definitions, by path
    open: list[str] = field(default_factory=list)
    cyclic: set[str] = field(default_factory=set)
    size: int = 0

    def reading(self) -> Reading:
        declared = self.schema.get("$schema") if isinstance(self.schema, dict) else None
        self.legacy = isinstance(declared, str) and any(f"draft-0{number}" in declared for number in (3, 4, 5, 6, 7))
        self.marks: dict[str, str] | None = None
        self.open.append("")
        root = self.visit(self.schema, "", "")
        if root.get("$ref") == "#":
            raise InvalidRequest("the root: the reference leads to itself")
        definitions = {self.names[path]: self.targets[path].place for path in self.names}
        return Reading(root, definitions, frozenset(self.names[path] for path in self.cyclic if path))

    def visit(self, schema: Any, path: str, base: str) -> Place:
        """One schema; `base` is the path of the nearest one with an `$id`."""
        self.size += 1
        if isinstance(schema, bool):
            return Place({} if schema else {"not": Place({}, path, made=True)}, path)
        if not isinstance(schema, dict):
            raise InvalidRequest(f"{path or 'the root'} is {type(schema).__name__}, which is no JSON Schema", path)
        if path and isinstance(schema.get("$id"), str) and not schema["$id"].startswith("#"):
            base = path
        if "$ref" in schema or "$recursiveRef" in schema or "$dynamicRef" in schema:
            return self._reference(schema, path, base)
        return self._keywords(schema, path, base)

    def _keywords(self, schema: Mapping[str, Any], path: str, base: str) -> Place:
        place = Place({}, path)
        for key, value in schema.items():
            if key in SINGLES and not (key == "items" and isinstance(value, list)):
                plain = isinstance(value, bool) and (key in _BOOLEANS or (key == "items" and not value))
                place[key] = value if plain else self.visit(value, pointer(path, key), base)
            elif key in LISTS or key == "items":
                if not isinstance(value, list):
                    raise InvalidRequest(f"{pointer(path, key)} is no list", pointer(path, key))
                name = "prefixItems" if key == "items" else key
                place[name] = [self.visit(item, pointer(path, key, n), base) for n, item in enumerate(value)]
            elif key in MAPS:
                place[key] = self._map(value, pointer(path, key), base)
            elif key == "additionalItems":
                if isinstance(schema.get("items"), list):
                    place["items"] = value if value is False else self.visit(value, pointer(path, key), base)
            elif key == "dependencies" and self.legacy and isinstance(value, dict):
                names = {name: copied(item) for name, item in value.items() if isinstance(item, list)}
                schemas = {name: item for name, item in value.items() if not isinstance(item, list)}
                if names:
                    place["dependentRequired"] = names
                if schemas:
                    place["dependentSchemas"] = self._map(schemas, pointer(path, key), base)
            elif key not in _IDENTITIES:
                place[key] = copied(value)
        for limit, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if (
                isinstance(place.get(exclusive), bool) and place.pop(exclusive) and limit in place
            ):  # the form of draft 4
                place[exclusive] = place.pop(limit)
        return place

    def _map(self, value: Any, path: str, base: str) -> dict[str, Place]:
        if not isinstance(value, dict):
            raise InvalidRequest(f"{path} is no object", path)
        return {key: self.visit(item, pointer(path, key), base) for key, item in value.items()}

    def _reference(self, schema: Mapping[str, Any], path: str, base: str) -> Place:
        keyword = next(name for name in ("$ref", "$recursiveRef", "$dynamicRef") if name in schema)
        target = self._resolve(schema[keyword], path, base)
        place = self._target(target, path)
        beside = {key: value for key, value in schema.items() if key != keyword and key not in _IDENTITIES}
        if self.legacy:  # up to draft 7 a reference stands alone; what describes it was meant all the same
            beside = {key: value for key, value in beside.items() if key in ANNOTATIONS}
        if not beside:
            return place
        own = self._keywords(beside, path, base)
        if beside.keys() <= ANNOTATIONS:
            return Place({**place, **own}, place.path, made=place.made)
        return Place({"allOf": [place, own]}, path, made=True)

    def _target(self, target: str, path: str) -> Place:
        """What a reference becomes: the schema itself, or a reference to a definition."""
        if target in self.open:
            self.cyclic.add(target)
        elif target not in self.targets:
            before, self.size = self.size, 0
            self.open.append(target)
            found = self.visit(*self._found(target))
            self.open.pop()
            if found.get("$ref") == f"#/$defs/{self.names.get(target)}":
                raise InvalidRequest(f"{path or 'the root'}: the reference leads to itself", path)
            self.targets[target] = _Target(found, self.size)
            self.size = before
        if target in self.cyclic or self.targets[target].size > _LARGE:
            self.size += 1
            name = self._name(target)
            return Place({"$ref": f"#/$defs/{name}" if name else "#"}, path)
        self.size += self.targets[target].size
        return self.targets[target].place

    def _name(self, target: str) -> str:
        if target and target not in self.names:
            wish = "".join(c if c.isalnum() or c in "_-." else "_" for c in target.rpartition("/")[2]) or "definition"
            taken = set(self.names.values())
            self.names[target] = next(
                name for n in range(len(taken) + 1) if (name := wish if not n else f"{wish}_{n}") not in taken
            )
        return self.names.get(target, "")

    def _resolve(self, reference: Any, path: str, base: str) -> str:
        """The path that a reference points to."""
        if not isinstance(reference, str):
            raise InvalidRequest(f"{path or 'the root'} has a $ref that is no text", path)
        address, fragment = urldefrag(reference)
        here = base
        if address:
            here = self._marks().get(urljoin(self._marks().get(f"id of {base}", ""), address), "?")
        fragment = unquote(fragment)
        if here != "?":
            target = (
                here + fragment
                if fragment.startswith("/") or not fragment
                else self._marks().get(f"{here}#{fragment}", "?")
            )
            if target != "?" and self._found(target, missing=None)[0] is not None:
                return pointer("", *_keys(target))
        where = f"{path or 'the root'}: the reference {reference!r}"
        hint = "give the schema with it resolved" if address else "it must lead to a schema"
        raise InvalidRequest(f"{where} leads {'out of' if address else 'nowhere in'} the schema; {hint}", path)

    def _found(self, path: str, missing: Any = None) -> tuple[Any, str, str]:
        """The schema at a path, the path, and that of the nearest schema with an `$id` above it."""
        value, base, walked = self.schema, "", ""
        for key in _keys(path):
            try:
                value = value[int(key)] if isinstance(value, list) else value[key]
            except (KeyError, IndexError, ValueError, TypeError):
                return missing, path, base
            walked = pointer(walked, key)
            if isinstance(value, dict) and isinstance(value.get("$id"), str) and walked != path:
                base = walked
        return (value if isinstance(value, dict | bool) else missing), path, base

    def _marks(self) -> dict[str, str]:
        """Where the schema's own addresses and anchors are: by address, by "path#anchor", and back by "id of path"."""
        if self.marks is None:
            self.marks = {}
            stack: list[tuple[Any, str, str, str]] = [(self.schema, "", "", "")]
            while stack:
                value, path, base, address = stack.pop()
                if isinstance(value, list):
                    stack += [(item, pointer(path, n), base, address) for n, item in enumerate(value)]
                if not isinstance(value, dict):
                    continue
                identity = value.get("$id", value.get("id") if self.legacy and not path else None)
                if isinstance(identity, str) and identity.startswith("#"):
                    self.marks.setdefault(f"{base}{identity}", path)
                elif isinstance(identity, str):
                    base, address = path, urljoin(address, urldefrag(identity)[0])
                    self.marks.setdefault(address, path)
                    self.marks[f"id of {path}"] = address
                for anchor in (value.get("$anchor"), value.get("$dynamicAnchor")):
                    if isinstance(anchor, str):
                        self.marks.setdefault(f"{base}#{anchor}", path)
                stack += [(item, pointer(path, key), base, address) for key, item in value.items()]
        return self.marks


def _keys(path: str) -> list[str]:
    return [key.replace("~1", "/").replace("~0", "~") for key in path.split("/")[1:]]
