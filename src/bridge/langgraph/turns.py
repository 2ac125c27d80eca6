"""One call of the chat model: what it sends, and what becomes of it where the service has lost the parent.

Which parent that is, `bridge.sessions` plans; sending is `chat`'s.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.backend import Backend
from bridge.errors import ApiError, BadRequest, BridgeError, NotFound, PermissionDenied
from bridge.sessions import Plan, count_replay

__all__ = ["Turn", "parent_is_gone"]

_log = logging.getLogger("bridge.langgraph")
# A history that changes before every turn is a habit of the graph's by the third time.
_WARN_AT = 3


@dataclass(frozen=True, slots=True)
class Turn:
    """A planned call. `fields` is the request but for the parent and the input; `whole` plans the same turn as a new chain."""

    plan: Plan
    fields: dict[str, Any]
    whole: Callable[[], Plan]

    @property
    def request(self) -> dict[str, Any]:
        """The request's fields."""
        return _request(self.fields, self.plan)

    @property
    def name(self) -> str:
        """The model or agent asked for."""
        return str(self.fields.get("model") or self.fields.get("agent"))

    def note(self) -> None:
        """Counts and logs what is unusual about the plan."""
        plan = self.plan
        if plan.reason in ("changed", "other version"):
            count_replay(plan.reason)
        if plan.replays == _WARN_AT:
            size = len(json.dumps(plan.steps, separators=(",", ":")))
            _log.warning(
                "session %s: for the third turn in a row the messages before its last answer were changed (by a trim or a summary before "
                "every turn, by something that rewrites history, or by answers of nodes that run beside it), so the server's copy is of no "
                "use and everything is sent: "
                "%d bytes this time",
                plan.session,
                size,
            )
        # A replay mends the same places again; only a turn that follows tells the server of them for the first time.
        level = logging.WARNING if plan.reason == "follows" else logging.DEBUG
        for ids, fate in (
            (plan.unanswered, "got no result before the conversation went on; the model is told so"),
            (plan.orphans, "have results that answer no open call of the session; they are quoted"),
        ):
            if ids:
                _log.log(level, "session %s: the calls %s %s", plan.session, ", ".join(ids), fate)

    def lost(self, error: ApiError) -> bool | None:
        """Whether the error says that the parent is gone; None where a look at the parent must tell.

        What the caller named as parent himself is his to look after.
        """
        if self.plan.reason != "follows":
            return False
        if isinstance(error, NotFound):
            return True
        if isinstance(error, BadRequest | PermissionDenied):
            told = f"{error} {json.dumps(error.body, default=str)}"
            return True if "previous_interaction_id" in told else None
        return False

    def replay(self, error: ApiError) -> dict[str, Any]:
        """The request of the same turn as a new chain."""
        count_replay("gone")
        _log.warning(
            "session %s: interaction %s, which this turn follows, is gone (%s): the whole history is sent once, as a new chain",
            self.plan.session,
            self.plan.parent,
            error,
        )
        return _request(self.fields, self.whole())


async def parent_is_gone(turn: Turn, error: ApiError, backend: Backend) -> bool:
    """Whether an error means that the parent is gone: by what it says, else by a look at the parent."""
    lost = turn.lost(error)
    if lost is None:
        try:
            await backend.get(str(turn.plan.parent))
        except (NotFound, PermissionDenied):
            return True
        except BridgeError:
            return False
    return bool(lost)


def _request(fields: dict[str, Any], plan: Plan) -> dict[str, Any]:
    parent = {"previous_interaction_id": plan.parent} if plan.parent is not None else {}
    return {**fields, **parent, "input": plan.steps}
