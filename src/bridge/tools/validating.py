"""Arguments that come back from a model, against the schema they were asked for with. Nothing is fetched, and nothing runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.protocols import Validator as _Protocol
from jsonschema.validators import extend
from referencing import Registry

from .definitions import ToolError

__all__ = ["Validator", "fitting", "validator"]

Validator: TypeAlias = _Protocol
_TOLD = 5  # faults that are told at once


def _pattern(validator: Validator, pattern: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """A pattern that Python does not understand (JSON Schema's are JavaScript's) is not checked."""
    try:
        found = not isinstance(instance, str) or re.search(pattern, instance)
    except re.error:
        return
    if not found:
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


_Validator = extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]  # its stubs say nothing


def validator(schema: dict[str, Any]) -> Validator:
    """The validator of a schema of draft 2020-12. It knows no other document, and asks no network for one."""
    made: Validator = _Validator(schema, registry=Registry())
    return made


def fitting(validator: Validator, arguments: Any) -> dict[str, Any]:
    """Arguments that fit; a null counts as left out where it does not fit and nothing wants the property.

    Raises `ToolError`, with up to five things that do not fit.
    """
    if not isinstance(arguments, dict):
        raise ToolError(f"the arguments are an object, not {type(arguments).__name__}")
    try:
        faults = list(validator.iter_errors(arguments))
        if not faults:
            return arguments
        without = _without(arguments, (), set(_nulls(faults)))
        if validator.is_valid(without):
            fit: dict[str, Any] = without
            return fit
    except Exception as error:
        raise ToolError("the tool's own schema cannot be checked, so it is not run") from error
    raise ToolError(f"the arguments do not fit the tool's schema: {'; '.join(map(_told, faults[:_TOLD]))}")


def _told(fault: ValidationError) -> str:
    text = fault.message if len(fault.message) <= 300 else f"{fault.message[:300]}…"
    return f"{'/'.join(map(str, fault.absolute_path)) or 'arguments'}: {text}"


def _nulls(faults: list[ValidationError]) -> Iterator[tuple[str | int, ...]]:
    """Where the nulls are that are at fault."""
    for fault in faults:
        if fault.instance is None:
            yield tuple(fault.absolute_path)
        yield from _nulls(fault.context or [])


def _without(value: Any, path: tuple[str | int, ...], paths: set[tuple[str | int, ...]]) -> Any:
    """The same without the members of objects at `paths`."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if (*path, key) not in paths}
        return {key: _without(item, (*path, key), paths) for key, item in kept.items()}
    if isinstance(value, list):
        return [_without(item, (*path, number), paths) for number, item in enumerate(value)]
    return value
