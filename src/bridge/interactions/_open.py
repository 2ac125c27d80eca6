"""Open, immutable, loss-free pydantic models: the ground the wire types stand on.

A `Model` keeps every field it does not know. An `OpenUnion` looks a value's kind up in a table and builds only that class; a
kind that is not in the table, or one whose fields do not validate, becomes an `Unknown` that holds the value as it came and is
counted. What the kinds are is left to the modules beside this one; sending and receiving is left to the backends.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

__all__ = [
    "Int64",
    "Model",
    "OneOrMany",
    "OpenStruct",
    "OpenUnion",
    "Unknown",
    "count_unknown",
    "unknown_counts",
]

_MAX_COUNTED = 1_000  # distinct rows; kinds come from a server, so the table must not grow for ever
_counts: Counter[tuple[str, str]] = Counter()


def unknown_counts() -> dict[tuple[str, str], int]:
    """How often each (union, kind) was met that this version does not know or could not validate, in this process."""
    return dict(_counts)


def count_unknown(union: str, kind: str) -> None:
    """Counts one thing of a union that this version does not know."""
    row = (union, kind[:80])
    if row in _counts or len(_counts) < _MAX_COUNTED:
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

    def __init__(
        self, union: str, kind: str, raw: Any, reason: str | None = None
    ) -> None:
        for name, value in (
            ("union", union),
            ("kind", kind),
            ("raw", raw),
            ("reason", reason),
        ):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __getattr__(self, name: str) -> Any:
        if (
            not name.startswith("__")
            and isinstance(self.raw, dict)
            and name in self.raw
        ):
            return self.raw[name]
        raise AttributeError(
            f"unknown {self.union} {self.kind!r} has no field {name!r}"
        )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Unknown)
            and self.union == other.union
            and self.raw == other.raw
        )

    def __hash__(self) -> int:
        return hash((self.union, self.kind))

    def __repr__(self) -> str:
        return f"Unknown({self.union!r}, {self.kind!r}{f', reason={self.reason!r}' if self.reason else ''})"

    def to_wire(self) -> Any:
        """The JSON value as it came."""
        return self.raw


def reason_of(error: ValidationError) -> str:
    """A validation error in one line of "field: what is wrong", without the values."""
    rows = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(str, row['loc'])) or 'value'}: {row['msg']}" for row in rows[:3]
    )


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
    )

    # The discriminator and its value, e.g. ("type", "text"); filled in where a caller leaves it out.
    __kind__: ClassVar[tuple[str, str] | None] = None

    def __init__(self, /, **data: Any) -> None:
        kind = self.__kind__
        if kind is not None and kind[0] not in data:
            data = {kind[0]: kind[1], **data}
        self.__pydantic_validator__.validate_python(data, self_instance=self)

    # As on BaseModel itself: pydantic need not call this constructor for values it validates from the wire.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        for tag in ("type", "event_type"):
            field = cls.model_fields.get(tag)
            if field is not None and isinstance(field.default, str):
                cls.__kind__ = (tag, field.default)

    @classmethod
    def parse(cls, value: Any) -> Self:
        """The model of a decoded JSON value. Raises `pydantic.ValidationError` where it does not fit."""
        return cls.__pydantic_validator__.validate_python(value)

    def to_wire(self) -> dict[str, Any]:
        """The JSON object this stands for: `json.loads` of it equals what was parsed."""
        wire: dict[str, Any] = self.__pydantic_serializer__.to_python(
            self, exclude_unset=True, by_alias=True, warnings=False
        )
        return wire

    def replace(self, **changes: Any) -> Self:
        """A copy with the given fields set, the others as they are."""
        return self.model_copy(update=changes)


class OpenUnion:
    """Annotation marker of an open union: `name` for counts and errors, `kinds` by the value of the field `tag`.

    Only the classes of kinds that are met get built.
    """

    __slots__ = ("kinds", "name", "tag")

    def __init__(
        self, name: str, kinds: dict[str, type[Model]], tag: str = "type"
    ) -> None:
        self.name = name
        self.kinds = kinds
        self.tag = tag

    def parse(self, value: Any) -> Any:
        """The model of a value, or an `Unknown` around it. Never raises."""
        if type(value) is dict:
            kind = value.get(self.tag)
            model = self.kinds.get(kind) if type(kind) is str else None
            if model is not None:
                try:
                    return model.__pydantic_validator__.validate_python(value)
                except ValidationError as error:
                    return self._unknown(value, str(kind), reason_of(error))
            return self._unknown(value, kind if type(kind) is str else "")
        if isinstance(value, Model | Unknown):
            return value
        return self._unknown(value, "")

    def _unknown(self, value: Any, kind: str, reason: str | None = None) -> Unknown:
        count_unknown(self.name, kind)
        return Unknown(self.name, kind, value, reason)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(_wire),
        )


class OpenStruct(OpenUnion):
    """The open union of one: a nested object without a discriminator. Where `text` is set, a plain string is one as well."""

    __slots__ = ("model", "text")

    def __init__(self, name: str, model: type[Model], *, text: bool = False) -> None:
        super().__init__(name, {})
        self.model = model
        self.text = text

    def parse(self, value: Any) -> Any:
        """The model of a value, or an `Unknown` around it. Never raises."""
        if type(value) is dict:
            try:
                return self.model.__pydantic_validator__.validate_python(value)
            except ValidationError as error:
                return self._unknown(value, self.name, reason_of(error))
        if self.text and type(value) is str:
            return value
        if isinstance(value, Model | Unknown):
            return value
        return self._unknown(
            value, self.name, f"expected an object, got {type(value).__name__}"
        )


class OneOrMany(OpenUnion):
    """One value of a union or a list of them. Where `text` is set, a plain string is one as well."""

    __slots__ = ("text", "union")

    def __init__(self, union: OpenUnion, *, text: bool = False) -> None:
        super().__init__(union.name, union.kinds, union.tag)
        self.union = union
        self.text = text

    def parse(self, value: Any) -> Any:
        """The value or list of values. Never raises."""
        if self.text and type(value) is str:
            return value
        if isinstance(value, list | tuple):
            return [self.union.parse(item) for item in value]
        return self.union.parse(value)


def _wire(value: Any) -> Any:
    if isinstance(value, list):
        return [_wire(item) for item in value]
    return value.to_wire() if isinstance(value, Model | Unknown) else value


class _Int64Text(int):
    """A 64-bit integer that came as a JSON string and goes back as one."""

    @classmethod
    def parse(cls, value: Any) -> int:
        if type(value) is str:
            try:
                number = cls(value)
            except ValueError:
                raise ValueError("not an integer") from None
            if str(int(number)) != value:  # "007" or "+7" would not come back as it was
                raise ValueError("not a plain integer")
            return number
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise ValueError("not an integer")

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: str(int(value)) if isinstance(value, cls) else value
            ),
        )


# A 64-bit integer, which travels as a JSON string. Reads as an int, is written back as it came.
Int64 = Annotated[int, _Int64Text]
