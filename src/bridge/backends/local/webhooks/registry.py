"""Registered webhooks: made, listed, changed, and kept with their secrets. Who is told of what is `delivery`'s to say."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from bridge.errors import ApiError
from bridge.interactions import Webhook

from ..checks import check_uri, refused
from ..store import Store
from ..turns.events import timestamp
from .signing import new_secret

__all__ = ["EVENTS", "WebhookRegistry"]

# What a webhook may ask for. Those of batches and videos are accepted, and never happen here.
EVENTS = (
    "interaction.completed",
    "interaction.failed",
    "interaction.cancelled",
    "interaction.requires_action",
    "batch.succeeded",
    "batch.expired",
    "batch.failed",
    "batch.cancelled",
    "video.generated",
)
_DAY = 24 * 3600.0
_ROTATION = "revoke_previous_secrets_after_h24"
_ROTATIONS = {_ROTATION: _DAY, "revoke_previous_secrets_immediately": 0.0}
_STATES = ("enabled", "disabled")
_CHANGEABLE = ("name", "uri", "subscribed_events", "state")
_MOST = 100


class WebhookRegistry:
    """The caller's webhooks, kept in the store. Meets `bridge.backend.Webhooks`. A row is the webhook's facts and `secrets`, each with the time it ends."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def create(self, /, **fields: Any) -> Webhook:
        """Registers an address. The answer, and no later one, holds `new_signing_secret`. Raises `BadRequest`."""
        _check(fields, _CHANGEABLE[:3])
        for name in ("uri", "subscribed_events"):
            if not fields.get(name):
                raise _missing(name)
        if len(await self._store.webhooks()) >= _MOST:
            raise refused(f"There are {_MOST} webhooks already; delete one.", status=429, code="rate_limit_exceeded")
        now, secret = self._clock(), new_secret()
        row = {
            "id": f"webhook_{uuid.uuid4().hex[:20]}",
            "state": "enabled",
            "create_time": timestamp(now),
            "update_time": timestamp(now),
            **{name: fields[name] for name in _CHANGEABLE[:3] if fields.get(name) is not None},
            "secrets": [[secret, None]],
        }
        await self._store.put_webhook(row["id"], row)
        return _shown(row).replace(new_signing_secret=secret)

    async def get(self, id: str) -> Webhook:
        """A webhook by id. Raises `NotFound`."""
        return _shown(_found(id, await self._store.webhook(id)))

    async def list(self, *, page_size: int | None = None) -> AsyncIterator[Webhook]:
        """All webhooks, by id. They come from one place, so that `page_size` changes nothing."""
        for row in await self._store.webhooks():
            yield _shown(row)

    async def update(self, id: str, *, update_mask: str | None = None, **fields: Any) -> Webhook:
        """Changes `name`, `uri`, `subscribed_events` or `state`: those given, or those that `update_mask` names, by commas.

        A field that the mask names and that is not given is taken away. Raises `NotFound`, `BadRequest`.
        """
        if update_mask:
            fields = {name.strip(): fields.get(name.strip()) for name in update_mask.split(",")}
        _check(fields, _CHANGEABLE)
        for name in fields.keys() & {"uri", "subscribed_events", "state"}:
            if not fields[name]:
                raise _missing(name)
        now = timestamp(self._clock())

        def change(row: dict[str, Any]) -> dict[str, Any]:
            changed = {**row, **fields, "update_time": now}
            return {name: value for name, value in changed.items() if value is not None}

        return _shown(_found(id, await self._store.change_webhook(id, change)))

    async def delete(self, id: str) -> None:
        """Forgets a webhook; what is still on its way to it is not sent. Raises `NotFound`."""
        if not await self._store.delete_webhook(id):
            _found(id, None)

    async def rotate_signing_secret(self, id: str, *, revocation_behavior: str | None = None) -> str:
        """A new secret. The ones before it end in 24 hours, or at once. Raises `NotFound`, `BadRequest`."""
        behavior = _ROTATION if revocation_behavior is None else revocation_behavior
        if not isinstance(behavior, str) or behavior not in _ROTATIONS:
            raise refused(f"Invalid value at 'revocation_behavior'. Supported values: {', '.join(_ROTATIONS)}.")
        now, secret = self._clock(), new_secret()
        end = now + _ROTATIONS[behavior]

        def change(row: dict[str, Any]) -> dict[str, Any]:
            kept = [[value, end if ends is None else min(ends, end)] for value, ends in row["secrets"]]
            return {**row, "secrets": [[secret, None], *([value, ends] for value, ends in kept if ends > now)]}

        _found(id, await self._store.change_webhook(id, change))
        return secret

    async def address(self, id: str) -> tuple[str, Sequence[str]] | None:
        """Where a webhook is now and its valid secrets, the newest first; None where it is gone or disabled."""
        row = await self._store.webhook(id)
        if row is None or row["state"] != "enabled":
            return None
        now = self._clock()
        return row["uri"], [value for value, ends in row["secrets"] if ends is None or ends > now]

    async def failed(self, id: str) -> None:
        """Notes that deliveries to a webhook do not arrive: nothing more is sent there until it is enabled again."""
        await self._store.change_webhook(id, lambda row: {**row, "state": "disabled_due_to_failed_deliveries"})


def _found(id: str, row: dict[str, Any] | None) -> dict[str, Any]:
    if row is None:
        raise refused(f"Webhook {id[:120]!r} not found.", status=404, code="not_found")
    return row


def _missing(name: str) -> ApiError:
    return refused(f"Missing value for {name!r}.")


def _check(fields: dict[str, Any], known: tuple[str, ...]) -> None:
    """Refuses what is no field of a webhook, and values that are none of theirs; None is no value."""
    for name in fields:
        if name not in known:
            raise refused(f"Unknown parameter: {name[:80]!r}.", code="parameter_unknown")
    given = {name: value for name, value in fields.items() if value is not None}
    if not isinstance(given.get("name", ""), str):
        raise refused("Invalid value at 'name': expected a string.")
    if "uri" in given:
        check_uri(given["uri"], "uri")
    events = given.get("subscribed_events", [])
    if not isinstance(events, list) or any(event not in EVENTS for event in events):
        raise refused(f"Invalid value at 'subscribed_events'. Supported values: {', '.join(EVENTS)}.")
    if given.get("state", "enabled") not in _STATES:
        raise refused(f"Invalid value at 'state'. Supported values: {', '.join(_STATES)}.")


def _shown(row: dict[str, Any]) -> Webhook:
    secrets = [
        {"truncated_secret": f"{value[:9]}...", **({"expire_time": timestamp(ends)} if ends is not None else {})}
        for value, ends in row["secrets"]
    ]
    return Webhook.parse(
        {**{name: value for name, value in row.items() if name != "secrets"}, "signing_secrets": secrets}
    )
