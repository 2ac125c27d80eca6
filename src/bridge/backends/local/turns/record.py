"""What the service knows of one interaction, and the interaction it shows of it.

Pure data and pure functions. Where a record is kept is the store's business, how it comes about the engine's.
"""

from __future__ import annotations

import base64
import secrets
import string
from dataclasses import dataclass, field
from typing import Any

from bridge.interactions import Interaction, Step, assemble, meaning_of, parse_event

from .events import events_of, timestamp

__all__ = ["Record", "interaction_of", "new_call_id", "new_interaction_id"]

_ALPHABET = string.ascii_letters + string.digits
_CALL_ALPHABET = string.ascii_lowercase + string.digits


@dataclass(kw_only=True)
class Record:
    """One interaction as it stands. Grows while the turn runs and never changes once it ended.

    `who` is {"model": name} or {"agent": id} as answers name it; times are seconds since 1970.
    """

    id: str
    who: dict[str, str]
    created: float
    updated: float
    status: str = "in_progress"
    parent: str | None = None
    stored: bool = True
    background: bool = False
    tier: str = "standard"
    text_in_start: bool = False
    """The form of its stream: the first piece of a text sits in `step.start`. Kept, so that event ids stay true."""
    environment_id: str | None = None
    continuation_token: str | None = None
    input: list[Step] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    usage: dict[str, Any] | None = None
    errors: list[dict[str, str]] = field(default_factory=list)
    webhook: dict[str, Any] = field(default_factory=dict)
    """Who is told of its end: `uris` and `user_metadata` of the request, and how its labels steer that (`control`, `delay`)."""

    @property
    def ended(self) -> bool:
        """Nothing is added to it any more."""
        return meaning_of(self.status).ends_wait

    @property
    def shown_id(self) -> str:
        """The id that callers see: none where nothing is stored."""
        return self.id if self.stored else ""


def interaction_of(record: Record, *, include_input: bool = False) -> Interaction:
    """The interaction as `create` and `get` answer it: what its events tell, and the fields that no event carries.

    With `include_input` the steps of the input stand before the model's.
    """
    wire = assemble(parse_event(event) for event in events_of(record)).to_wire()
    wire["status"] = record.status
    wire["created"] = timestamp(record.created)
    wire["updated"] = timestamp(record.updated)
    wire["service_tier"] = record.tier
    wire["steps"] = [*([step.to_wire() for step in record.input] if include_input else ()), *wire.get("steps", ())]
    if record.parent is not None:
        wire["previous_interaction_id"] = record.parent
    if not record.stored:  # the real service leaves the key out of unstreamed answers
        del wire["id"]
    return Interaction.parse(wire)


def new_call_id() -> str:
    """A fresh id for a call: 8 lowercase letters or digits."""
    return "".join(secrets.choice(_CALL_ALPHABET) for _ in range(8))


def new_interaction_id(parent: str | None = None) -> str:
    """A fresh id in the real service's layout: "v1_" and base64url of a protobuf {1: first of the chain, 2: own}."""
    own = "".join(secrets.choice(_ALPHABET) for _ in range(23)).encode()
    root = _root_of(parent) if parent else own
    packed = b"\x0a" + bytes([len(root)]) + root + b"\x12" + bytes([len(own)]) + own
    return "v1_" + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _root_of(id: str) -> bytes:
    packed = base64.urlsafe_b64decode(id[3:] + "=" * (-len(id[3:]) % 4))
    return packed[2 : 2 + packed[1]]
