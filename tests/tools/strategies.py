"""Random schemas that use every keyword, and random values from the same small world, so that they meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

__all__ = ["arguments", "schemas"]

_NAMES = st.sampled_from(["a", "b", "c", "title", "x/y", "x~y"])
_TEXTS = st.sampled_from(["", "a", "ab", "abc"])
_NUMBERS = st.sampled_from([-1, 0, 1, 2, 1.0, 1.5])
_SCALARS = st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_NAMES, inner, max_size=3)),
    max_leaves=6,
)
_TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "object", "array"])
_DEFINITIONS = ["A", "B", "x/y~z"]


def _keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A schema with a few keywords of any kind."""
    small = st.integers(0, 2)
    optional: dict[str, st.SearchStrategy[Any]] = {
        "type": st.one_of(_TYPES, st.lists(_TYPES, min_size=1, max_size=3, unique=True)),
        "enum": st.lists(_VALUES, min_size=1, max_size=3),
        "const": _VALUES,
        "minimum": _NUMBERS,
        "exclusiveMaximum": _NUMBERS,
        "multipleOf": st.sampled_from([1, 2]),
        "minLength": small,
        "maxLength": small,
        "pattern": st.sampled_from(["^a", "b$"]),
        "items": inner,
        "prefixItems": st.lists(inner, min_size=1, max_size=2),
        "contains": inner,
        "minItems": small,
        "maxItems": small,
        "uniqueItems": st.booleans(),
        "properties": st.dictionaries(_NAMES, inner, max_size=3),
        "required": st.lists(_NAMES, max_size=2, unique=True),
        "additionalProperties": inner,
        "patternProperties": st.dictionaries(st.sampled_from(["^x", "^a"]), inner, max_size=1),
        "propertyNames": inner,
        "minProperties": small,
        "dependentRequired": st.dictionaries(_NAMES, st.lists(_NAMES, max_size=2, unique=True), max_size=2),
        "dependentSchemas": st.dictionaries(_NAMES, inner, max_size=1),
        "unevaluatedProperties": st.just(False),
        "allOf": st.lists(inner, min_size=1, max_size=3),
        "anyOf": st.lists(inner, min_size=1, max_size=3),
        "oneOf": st.lists(inner, min_size=1, max_size=3),
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "description": _TEXTS,
        "default": _VALUES,
        "$ref": st.sampled_from(["#/$defs/A", "#/$defs/B", "#/$defs/x~1y~0z"]),
    }
    common = st.lists(st.sampled_from(sorted(optional)), max_size=4, unique=True)
    return common.flatmap(lambda names: st.fixed_dictionaries({name: optional[name] for name in names}))


def _usual(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A schema of the kind that tools have: one type, and keywords that go with it."""
    text = st.fixed_dictionaries(
        {"type": st.just("string")}, optional={"enum": st.lists(_TEXTS, min_size=1, unique=True)}
    )
    number = st.fixed_dictionaries({"type": st.sampled_from(["integer", "number"])}, optional={"minimum": _NUMBERS})
    listed = st.fixed_dictionaries({"type": st.just("array"), "items": inner}, optional={"minItems": st.integers(0, 2)})
    return st.one_of(text, number, listed, _object(inner), st.fixed_dictionaries({"$ref": st.just("#/$defs/A")}))


@st.composite
def _object(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(_NAMES, inner, max_size=3))
    required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
    closed = draw(st.sampled_from([{}, {"additionalProperties": False}, {"additionalProperties": True}]))
    return {"type": "object", "properties": properties, "required": required, **closed}


def _inner(depth: int, usual: bool) -> st.SearchStrategy[Any]:
    leaf: st.SearchStrategy[Any] = st.one_of(
        st.booleans(), st.fixed_dictionaries({"type": _TYPES}), st.fixed_dictionaries({"const": _SCALARS})
    )
    if usual:
        leaf = st.fixed_dictionaries({"type": st.sampled_from(["string", "integer", "boolean", "null"])})
    for _ in range(depth):
        leaf = st.one_of(leaf, (_usual if usual else _keywords)(leaf))
    return leaf


@st.composite
def schemas(draw: st.DrawFn, *, usual: bool = False) -> dict[str, Any]:
    """A schema of arguments. `usual`: like those of real tools, which most dialects keep whole; otherwise anything goes."""
    inner = _inner(2, usual)
    root = draw(_object(inner) if usual else st.one_of(_object(inner), _keywords(inner)))
    return {**root, "$defs": {name: draw(_inner(1, usual)) for name in _DEFINITIONS}}


def arguments() -> st.SearchStrategy[dict[str, Any]]:
    """Arguments of a call."""
    return st.dictionaries(_NAMES, _VALUES, max_size=3)
