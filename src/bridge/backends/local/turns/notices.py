"""Who is told of a turn's end, and what: the deliveries that a record and the registered webhooks ask for.

Pure data and pure functions. The store keeps them with the end itself; sending and signing them is `webhooks`' business.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .events import timestamp
from .record import Record

__all__ = ["EARLY", "Notice", "notice_of", "notices_of"]

# Of the statuses in which a turn ends. The API names no event for the others, so nobody is told of them.
_EVENTS = {
    "completed": "interaction.completed",
    "requires_action": "interaction.requires_action",
    "failed": "interaction.failed",
    "cancelled": "interaction.cancelled",
}
EARLY = 60.0
"""Seconds that a delivery waits for the create that sends it before it answers."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One delivery to a registered webhook, by its id, or else to an address of the request's own.

    `id` is the `webhook-id` of every attempt, `number` the store's own; `begun` and `due` are seconds since 1970.
    """

    id: str
    body: str
    due: float
    webhook: str | None = None
    uri: str = ""
    number: int = 0
    begun: float = 0.0
    attempts: int = 0


def notice_of(event: str, data: dict[str, Any], now: float, *, due: float = 0.0, **where: Any) -> Notice:
    """A delivery in the API's form: what happened and the id; the rest is to be fetched. `where` is `webhook` or `uri`."""
    metadata = where.pop("user_metadata", None)
    body = {"type": event, "version": "v1", "timestamp": timestamp(now), "data": data}
    if metadata is not None:
        body["user_metadata"] = metadata
    text = json.dumps(body, separators=(",", ":"))
    return Notice(id=f"msg_{uuid.uuid4().hex}", body=text, begun=now, due=due, **where)


def notices_of(record: Record, registered: Iterable[dict[str, Any]], now: float) -> list[Notice]:
    """The deliveries of a turn that has ended: to the request's own addresses, or else to the webhooks that asked for it."""
    event, config = _EVENTS.get(record.status), record.webhook
    if event is None or not record.background or config.get("control") == "lost":
        return []
    data = {"id": record.id}
    if record.errors:
        data |= {"error_code": record.errors[0]["code"], "error_message": record.errors[0]["message"]}
    if config.get("uris"):
        places: list[dict[str, Any]] = [{"uri": uri} for uri in config["uris"]]
    else:
        places = [
            {"webhook": row["id"]}
            for row in registered
            if row["state"] == "enabled" and event in row["subscribed_events"]
        ]
    due = now + config.get("delay", 0.0) + (EARLY if config.get("control") == "early" else 0.0)
    metadata = config.get("user_metadata")
    notices = [notice_of(event, data, now, due=due, user_metadata=metadata, **place) for place in places]
    return notices * 2 if config.get("control") == "twice" else notices
