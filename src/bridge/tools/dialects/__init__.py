"""What a dialect is: how one vendor takes tools. And where dialects come from: two are here, the others are adapters' (`bridge.adapters`).

The steps that a dialect is made of are `bridge.tools.schemas`'; compiling a list of tools with one is `bridge.tools.compiling`'.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from bridge.errors import InvalidRequest, NotConfigured

from ..capabilities import Capability
from ..schemas.walking import Steps

__all__ = ["Dialect", "Native", "Refusal", "dialect_of"]

_OWN = ("interactions", "mcp")


class Refusal(Exception):
    """Raised by a dialect's `natives` for what the vendor does not have; the text says why."""


@dataclass(frozen=True)
class Native:
    """A vendor's own tool: its definition, and further fields of the request that belong to it ({"mcp_servers": [...]})."""

    definition: dict[str, Any]
    request: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Dialect:
    """How one vendor takes tools.

    `define(name, description, schema, strict)` makes a function's definition; `steps` bring its schema into the vendor's form, and
    `strict_steps` into that of its strict mode, None where it has none. A name that does not match `names` is sent as a safe one.
    `natives` makes the vendor's own tool of a built-in capability, by the capability's class, or raises `Refusal`.
    """

    name: str
    define: Callable[[str, str, dict[str, Any], bool], dict[str, Any]]
    steps: Steps
    strict_steps: Steps | None = None
    names: re.Pattern[str]
    natives: Mapping[type, Callable[[Any], Native]] = field(default_factory=dict)

    def native(self, capability: Capability) -> Native:
        """The vendor's own tool. Raises `Refusal` where there is none."""
        make = self.natives.get(type(capability))
        if make is None:
            raise Refusal(f"{self.name} has no {capability.capability}")
        return make(capability)


def dialect_of(name: str | Dialect) -> Dialect:
    """The dialect of that name. Raises `NotConfigured` where its adapter is not installed, `InvalidRequest` for an unknown name."""
    if isinstance(name, Dialect):
        return name
    if name in _OWN:
        found: Dialect = import_module(f".{name}", __name__).DIALECT
        return found
    from bridge._adapters import adapter

    brought = getattr(adapter(name), "DIALECT", None)
    if isinstance(brought, Dialect):
        return brought
    if name in ("anthropic", "openai"):
        raise NotConfigured(f"the dialect {name!r} is not installed: pip install interactions-bridge-{name}")
    raise InvalidRequest(f"there is no dialect {name!r}; known: anthropic, interactions, mcp, openai", "dialect")
