"""Values of the wire, made from the types themselves: what a service of this version sends, and what a later one might.

`tame` values hold known kinds with fields of the right types. `wild` ones hold unknown kinds and fields, known kinds with fields
of wrong types, explicit nulls, and names that could be mistaken for methods.
"""

from __future__ import annotations

import types
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st

from bridge.interactions import Model, OneOrMany, OpenStruct, OpenUnion
from bridge.interactions._open import _Int64Text

METHODS = [
    "model_dump",
    "model_fields",
    "copy",
    "to_wire",
    "parse",
    "replace",
    "raw",
    "kind",
    "union",
    "reason",
    "__dict__",
]
METHODS += [
    "self",
    "schema",
    "json",
    "dict",
    "model_config",
    "__class__",
    "__pydantic_extra__",
    "from",
    "data",
    "value",
]
names = st.sampled_from(METHODS) | st.text(max_size=6)
texts = st.text(max_size=8)
integers = st.integers(-(2**70), 2**70) | st.just(10**400)
numbers = integers | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
objects = st.dictionaries(names, anything, max_size=3)
int64_texts = st.integers(-(2**63), 2**63 - 1).map(str)


@dataclass(frozen=True)
class Mode:
    """Which values are drawn: wild or tame ones, with fields that are always there, fields drawn in another way or
    never, and types left out."""

    wild: bool = False
    always: frozenset[str] = frozenset()
    instead: tuple[tuple[str, st.SearchStrategy[Any] | None], ...] = ()
    without: frozenset[str] = frozenset()


WILD, TAME = Mode(wild=True), Mode()


@cache
def of_model(model: type[Model], mode: Mode) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects that a model stands for."""
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, field in model.model_fields.items():
        annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        place = f"{model.__name__}.{name}"
        value = dict(mode.instead)[place] if place in dict(mode.instead) else of_annotation(annotation, mode)
        if value is None:
            continue
        key = field.alias or name
        is_kind = model.__kind__ is not None and model.__kind__[0] == name
        (required if is_kind or field.is_required() or key in mode.always else optional)[key] = value
    base = st.fixed_dictionaries(required, optional=optional)
    if not mode.wild:
        return base
    known = {*required, *optional}
    extras = st.dictionaries(names.filter(lambda name: name not in known), anything, max_size=2)
    return st.tuples(extras, base).map(lambda both: {**both[0], **both[1]})


@st.composite
def with_a_wrong_field(draw: st.DrawFn, model: type[Model]) -> dict[str, Any]:
    """A known kind of which a field has any value, or is missing."""
    value = dict(draw(of_model(model, WILD)))
    kind = model.__kind__[0] if model.__kind__ else ""
    name = draw(
        st.sampled_from([field.alias or name for name, field in model.model_fields.items() if name != kind] or ["x"])
    )
    if draw(st.booleans()):
        value[name] = draw(anything)
    else:
        value.pop(name, None)
    return value


def of_union(union: OpenUnion, mode: Mode) -> st.SearchStrategy[Any]:
    kinds = [model for model in union.kinds.values() if model.__name__ not in mode.without]
    models = st.sampled_from(sorted(kinds, key=lambda model: model.__name__))
    known = models.flatmap(lambda model: of_model(model, mode))
    if not mode.wild:
        return known
    unknown = st.tuples(texts, objects).map(lambda both: {**both[1], union.tag: both[0]})
    return known | known | unknown | models.flatmap(with_a_wrong_field) | anything


def of_mark(mark: Any, mode: Mode) -> st.SearchStrategy[Any] | None:
    """Values of a place that validates by itself: an open union or a 64-bit integer."""
    match mark:
        case OpenUnion():
            return st.deferred(lambda: of_union(mark, mode))
        case OpenStruct():
            model = mark.model
            struct = st.deferred(lambda: of_model(model, mode)) | (texts if mark.text else st.nothing())
            return struct | anything | with_a_wrong_field(model) if mode.wild else struct
        case OneOrMany():
            one = st.deferred(lambda: of_union(mark.union, mode))
            return one | st.lists(one, max_size=3) | (texts if mark.text else st.nothing())
        case type() if mark is _Int64Text:
            return int64_texts | integers if mode.wild else int64_texts
    return None


def of_annotation(annotation: Any, mode: Mode) -> st.SearchStrategy[Any]:
    """Values that an annotation allows, without explicit nulls where they are tame."""
    origin = get_origin(annotation)
    if annotation is Any:
        return anything if mode.wild else texts
    if origin is Annotated:
        inner, *marks = get_args(annotation)
        marked = [found for mark in marks if (found := of_mark(mark, mode)) is not None]
        return marked[0] if marked else of_annotation(inner, mode)
    if origin in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if mode.wild or member is not type(None)]
        return st.one_of([of_annotation(member, mode) for member in members])
    if origin is list:
        return st.lists(of_annotation(get_args(annotation)[0], mode), max_size=3)
    if origin is dict:
        return st.dictionaries(names if mode.wild else texts, of_annotation(get_args(annotation)[1], mode), max_size=3)
    if origin is Literal:
        return st.sampled_from(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return st.deferred(lambda: of_model(annotation, mode))
    plain: dict[Any, st.SearchStrategy[Any]] = {
        str: texts,
        int: integers if mode.wild else st.integers(-(2**31), 2**31),
        float: st.floats(allow_nan=False, allow_infinity=False, width=32),
        bool: st.booleans(),
        type(None): st.none(),
    }
    return plain[annotation]


def models() -> list[type[Model]]:
    """Every wire type that is exported."""
    import bridge.interactions as room

    found = [getattr(room, name) for name in room.__all__]
    return [one for one in found if isinstance(one, type) and issubclass(one, Model) and one.model_fields]
