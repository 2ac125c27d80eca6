"""Open, immutable, loss-free pydantic models: the ground the wire types stand on.

A `Model` keeps every field it does not know. An `OpenUnion` looks a value's kind up in a table and builds only that class; a
kind that is not in the table, or one whose fields do not validate, becomes an `Unknown` that holds the value as it came and is
counted. What the kinds are is left to the modules beside this one; sending and receiving is left to the backends.

The modules on the way of a stream leave out `from __future__ import annotations`: pydantic would have to evaluate every
annotation's text, which is a third of what importing them costs. Kinds that a stream rarely holds are named by "module:table"
and imported when the first of them is met.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

__all__ = [
    "Int64",
    "Model",
    "Number",
    "OneOrMany",
    "OpenStruct",
    "OpenUnion",
    "Record",
    "Unknown",
    "count_unknown",
    "unknown_counts",
]

_MAX_COUNTED = 1_000  # distinct rows; kinds come from a server, so the table must not grow for ever
_counts: Counter[tuple[str, str]] = Counter()


def unknown_counts() -> dict[tuple[str, str], int]:
    """How often each (union, kind) was met that this version does not know or could not validate, in this process.

    Beyond a thousand different ones, further kinds are counted together as (union, "*").
    """
    return dict(_counts)


def count_unknown(union: str, kind: str) -> None:
    """Counts one thing of a union that this version does not know."""
    row = (union, kind[:80])
    if row not in _counts and len(_counts) >= _MAX_COUNTED:
        row = (union, "*")
    _counts[row] += 1


class Unknown:
    """A value this version does not know, kept exactly as it came.

    `raw` is the JSON value, `union` the place it stood in ("step", "event", ...), `kind` its discriminator ("" where it has
    none) and `reason` is None for a kind that is not in the table, else what about a known kind did not validate.
    The value's own fields read as attributes.
    """

    __slots__ = ("kind", "raw", "reason", "union")

    kind: str
    raw: Any
    reason: str | None
    union: str

    def __init__(self, union: str, kind: str, raw: Any, reason: str | None = None) -> None:
        for name, value in (("union", union), ("kind", kind), ("raw", raw), ("reason", reason)):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __getattr__(self, name: str) -> Any:
        # Only names without a slot come here; a slot that is not filled yet must not ask for itself again.
        if name not in Unknown.__slots__ and isinstance(self.raw, dict) and name in self.raw:
            return self.raw[name]
        raise AttributeError(f"{type(self).__name__} object has no field {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return Unknown, (self.union, self.kind, self.raw, self.reason)  # copies and pickles in spite of being immutable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unknown) and self.union == other.union and self.raw == other.raw

    def __hash__(self) -> int:
        return hash((self.union, self.kind))

    def __repr__(self) -> str:
        return f"Unknown({self.union!r}, {self.kind!r}{f', reason={self.reason!r}' if self.reason else ''})"

    def to_wire(self) -> Any:
        """The JSON value as it came, in containers of its own."""
        return wire_of(self.raw)


def reason_of(error: ValidationError) -> str:
    """A validation error in one line of "field: what is wrong", without the values."""
    rows = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, row['loc'])) or 'value'}: {row['msg']}" for row in rows[:3])


_BUILT = {"built": True}  # the validation context of a value that a caller builds, in contrast to one from the wire


class Model(BaseModel):
    """Base of every wire type: immutable, strict, built on first use, with unknown fields kept.

    `to_wire()` gives back what was given: fields that were not set are left out, explicit nulls stay.
    """

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        strict=True,
        defer_build=True,
        serialize_by_alias=True,
        protected_namespaces=(),
        hide_input_in_errors=True,  # inputs may be secrets
    )

    # The discriminator and its value, e.g. ("type", "text"); filled in where a caller leaves it out.
    __kind__: ClassVar[tuple[str, str] | None] = None
    # Fields whose name on the wire is another.
    __wire_names__: ClassVar[dict[str, str]] = {}

    def __init__(self, /, **data: Any) -> None:
        kind = self.__kind__
        if kind is not None and kind[0] not in data:
            data = {kind[0]: kind[1], **data}
        self.__pydantic_validator__.validate_python(data, self_instance=self, context=_BUILT)

    # As on BaseModel itself: pydantic need not call this constructor for values it validates from the wire.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        fields = cls.model_fields
        for tag in ("type", "event_type"):
            field = fields.get(tag)
            if field is not None and isinstance(field.default, str) and field.default:
                cls.__kind__ = (tag, field.default)
        cls.__wire_names__ = {name: field.alias for name, field in fields.items() if field.alias}

    @classmethod
    def parse(cls, value: Any) -> Self:
        """The model of a decoded JSON value. Raises `pydantic.ValidationError` where it does not fit."""
        parsed: Self = cls.__pydantic_validator__.validate_python(value)
        return parsed

    def to_wire(self) -> dict[str, Any]:
        """The JSON object this stands for, in containers of its own: `json.loads` of it equals what was parsed."""
        wire: dict[str, Any] = wire_of(self)
        return wire

    def replace(self, **changes: Any) -> Self:
        """A copy with the given fields set, by their names on the wire, and the others as they are."""
        return self.parse({**self.to_wire(), **changes})


_M = TypeVar("_M", bound=Model)
# pydantic's own slots, written to directly: it is what `BaseModel.model_construct` does, at a quarter of the time.
_put_fields, _put_given, _put_extra, _put_private = (
    BaseModel.__dict__[slot].__set__
    for slot in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)


def made(model: type[_M], fields: dict[str, Any], given: set[str]) -> _M:
    """A model of values that are known to fit: all its fields, and the names of those that were given."""
    new = object.__new__(model)
    _put_fields(new, fields)
    _put_given(new, given)
    _put_extra(new, {})
    _put_private(new, None)
    return new


def _set_fields(model: Model) -> dict[str, Any]:
    given, names = model.__pydantic_fields_set__, model.__wire_names__
    wire = {names.get(name, name): value for name, value in model.__dict__.items() if name in given}
    if model.__pydantic_extra__:
        wire.update(model.__pydantic_extra__)
    return wire


def wire_of(value: Any) -> Any:
    """A copy of a value in which every model stands as its wire form.

    A loop and no recursion, so that any depth which JSON was read from can be written again.
    """
    holder = [value]
    todo: list[Any] = [holder]
    while todo:
        box = todo.pop()  # its entries are still the originals
        for key, given in list(box.items() if type(box) is dict else enumerate(box)):
            if given is None or type(given) is str or type(given) is int:
                continue
            item = given.raw if isinstance(given, Unknown) else given
            fresh: Any
            if isinstance(item, Model):
                fresh = _set_fields(item)
            elif isinstance(item, dict):
                fresh = dict(item)
            elif isinstance(item, list | tuple):
                fresh = list(item)
            else:
                box[key] = str(int(item)) if type(item) is _Int64Text else item
                continue
            box[key] = fresh
            todo.append(fresh)
    return holder[0]


class Record(Model):
    """A thing the service answers with. A field of another type than ours must not cost the whole of it.

    Such a field is kept as it came and counted as ("field", "<record>.<field>").
    """

    @model_validator(mode="wrap")
    @classmethod
    def _keep_what_does_not_fit(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            if type(value) is not dict:
                raise
            rows = error.errors(include_url=False, include_context=False, include_input=False)
            bad = {str(row["loc"][0]) for row in rows if row["loc"]}
            if not bad or not bad <= value.keys():
                raise
        kept = handler({name: field for name, field in value.items() if name not in bad})
        for name in bad:
            count_unknown("field", f"{cls.__name__.lower()}.{name}")
            kept.__dict__[name] = value[name]
            kept.__pydantic_fields_set__.add(name)
        return kept


class _Open:
    """An annotation marker that validates by its `parse`, which never raises."""

    __slots__ = ("name",)

    name: str

    def parse(self, value: Any, context: Any = None) -> Any:
        raise NotImplementedError

    def _unknown(self, value: Any, kind: str, reason: str | None = None) -> Unknown:
        count_unknown(self.name, kind)
        return Unknown(self.name, kind, value, reason)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            lambda value, info: self.parse(value, info.context),
            serialization=core_schema.plain_serializer_function_ser_schema(wire_of),
        )


class OpenUnion(_Open):
    """Annotation marker of an open union: `name` for counts and errors, tables of kinds by the value of the field `tag`.

    A table given as "module:name" is imported when a kind is met that the others do not hold. Only the classes of kinds that
    are met get built.
    """

    __slots__ = ("_known", "_later", "tag")

    def __init__(self, name: str, *tables: Mapping[str, type[Model]] | str, tag: str = "type") -> None:
        self.name = name
        self.tag = tag
        self._known: dict[str, type[Model]] = {}
        for table in tables:
            if not isinstance(table, str):
                self._known.update(table)
        self._later = tuple(table for table in tables if isinstance(table, str))

    @property
    def kinds(self) -> dict[str, type[Model]]:
        """The class of every kind."""
        if self._later:  # twice at once does no harm
            for where in self._later:
                self._known = {**self._known, **_load(where)}
            self._later = ()
        return self._known

    def parse(self, value: Any, context: Any = None) -> Any:
        """The model of a value, or an `Unknown` around it. Never raises."""
        if type(value) is dict:
            kind = value.get(self.tag)
            if type(kind) is not str:
                return self._unknown(value, "")
            model = self._known.get(kind)
            if model is None and self._later:
                model = self.kinds.get(kind)
            if model is None:
                return self._unknown(value, kind)
            try:
                return model.__pydantic_validator__.validate_python(value, context=context)
            except ValidationError as error:
                return self._unknown(value, kind, reason_of(error))
        if isinstance(value, Model | Unknown):
            return value
        return self._unknown(value, "")


class OpenStruct(_Open):
    """The open union of one: a nested object without a discriminator. Where `text` is set, a plain string is one as well.

    `model` may be named as "module:class"; it is imported when the first one is met.
    """

    __slots__ = ("_model", "text")

    def __init__(self, name: str, model: type[Model] | str, *, text: bool = False) -> None:
        self.name = name
        self.text = text
        self._model = model

    @property
    def model(self) -> type[Model]:
        """The class."""
        if isinstance(self._model, str):
            loaded: type[Model] = _load(self._model)
            self._model = loaded
        return self._model

    def parse(self, value: Any, context: Any = None) -> Any:
        """The model of a value, or an `Unknown` around it. Never raises."""
        if type(value) is dict:
            try:
                return self.model.__pydantic_validator__.validate_python(value, context=context)
            except ValidationError as error:
                return self._unknown(value, self.name, reason_of(error))
        if self.text and type(value) is str:
            return value
        if isinstance(value, Model | Unknown):
            return value
        return self._unknown(value, self.name, f"expected an object, got {type(value).__name__}")


class OneOrMany(_Open):
    """One value of a union or a list of them. Where `text` is set, a plain string is one as well."""

    __slots__ = ("text", "union")

    def __init__(self, union: OpenUnion, *, text: bool = False) -> None:
        self.name = union.name
        self.union = union
        self.text = text

    def parse(self, value: Any, context: Any = None) -> Any:
        """The value or list of values. Never raises."""
        if self.text and type(value) is str:
            return value
        if isinstance(value, list | tuple):
            return [self.union.parse(item, context) for item in value]
        return self.union.parse(value, context)


def _load(where: str) -> Any:  # a table of kinds, or a class
    module, _, name = where.partition(":")
    return getattr(import_module(f".{module}", __package__), name)


# A JSON number. Both kinds are named so that an integer stays one, at any size.
Number = int | float


class _Int64Text(int):
    """A 64-bit integer that travels as a JSON string."""

    @classmethod
    def parse(cls, value: Any, context: Any = None) -> int:
        if type(value) is str:
            try:
                number = cls(value)
            except ValueError:
                raise ValueError("not an integer") from None
            if str(int(number)) != value:  # "007" or "+7" would not come back as it was
                raise ValueError("not a plain integer")
            return number
        if isinstance(value, int) and not isinstance(value, bool):
            return cls(value) if context is _BUILT else value
        raise ValueError("not an integer")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            lambda value, info: cls.parse(value, info.context),
            serialization=core_schema.plain_serializer_function_ser_schema(wire_of),
        )


# A 64-bit integer, which travels as a JSON string. Reads as an int. One from the wire is written back as it came, also where it
# came as a number; one that a caller gives as an int is written as a string.
Int64 = Annotated[int, _Int64Text]
