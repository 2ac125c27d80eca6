"""The plan of a turn: which stored interaction it follows and which steps it sends. A pure function.

A turn follows the latest answer of its session whose anchor still fits the messages before it, and sends what came after. Where none
fits, the whole history is sent as a new chain: an edited message never leaves the server with a state that the graph does not show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bridge.backend import Capabilities
from bridge.errors import HistoryDiverged, InvalidRequest

from .history import VERSION, Anchor, Digest, Message
from .rendering import render

__all__ = ["Plan", "Reason", "plan"]

Reason = Literal["follows", "given", "new", "changed", "other version", "whole"]
"""Why a plan is as it is.

"follows": an anchor of the session fits. "given": the caller named the parent. "new": the session has said nothing yet. "changed": it
has, but the messages before its answers are not what they were. "other version": its answers were told in a form of another version
of this library. "whole": the caller asked for no parent.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One turn: its parent, and the steps it sends after it (all of the history without one), in wire form."""

    parent: str | None
    steps: list[dict[str, Any]]
    reason: Reason
    session: str
    digest: Digest
    """Of all messages: what the answer's digest goes on from."""
    replays: int = 0
    """How many turns in a row, this one included, send everything because the history was changed."""
    unanswered: Sequence[str] = ()
    """Ids of calls that are answered as errors because the conversation went on without their results."""
    orphans: Sequence[str] = ()
    """Call ids of results that answer no open call, and are quoted."""

    def anchor(self, answer: Message, *, id: str | None, steps: list[Any]) -> Anchor:
        """The anchor that the answer to this turn carries. Without the `id` of a stored interaction nothing can follow it."""
        anchor = Anchor(session=self.session, steps=steps)
        if id:
            digest = self.digest.copy()
            digest.add(answer)
            anchor |= Anchor(
                version=VERSION, id=id, digest=digest.value, origin=self.digest.value, replays=self.replays
            )
        return anchor


def plan(
    history: Sequence[Message],
    session: str,
    capabilities: Capabilities,
    *,
    parent: str | None = None,
    follow: bool = True,
    on_divergence: Literal["replay", "raise"] = "replay",
) -> Plan:
    """The next turn of a session, named by the key that its anchors carry, after these messages.

    A `parent` given by the caller is followed as it is: what came after its answer is sent, or everything where no message is its
    answer. With `follow=False` everything is sent, as a new chain. `on_divergence="raise"` refuses to send everything anew where the
    session's answers do not fit any more.

    Raises `HistoryDiverged` for that, and `InvalidRequest` where there is nothing new to send, where something cannot be sent, and
    where calls wait for results.
    """
    digest, start, fitting, latest = Digest(), 0, None, None
    for number, message in enumerate(history):
        digest.add(message)
        anchor = message.anchor
        if anchor and anchor.get("session") == session and "id" in anchor:
            latest = anchor
            if anchor.get("digest") == digest.value and anchor.get("version") == VERSION:
                start, fitting = number + 1, anchor
            elif not capabilities.fork:
                start, fitting = 0, None  # the server went on; it has no earlier state to go back to
    reason: Reason
    replays = 0
    if parent is not None:
        reason, start = "given", 1 + next((n for n, m in enumerate(history) if m.interaction == parent), -1)
    elif not follow:
        reason, start = "whole", 0
    else:
        if on_divergence == "raise" and latest is not fitting:
            _refuse_divergence(history, session, start)
        if fitting is not None:
            reason, parent = "follows", fitting["id"]
        elif latest is None:
            reason = "new"
        elif latest.get("version") != VERSION:
            reason = "other version"
        else:
            reason, replays = "changed", latest.get("replays", 0) + 1
    rendered = render(history, session, start, parent_is_shown=parent is None or start > 0)
    if not rendered.steps:
        new = f"new since the answer of interaction {parent}" if parent else "there to send"
        raise InvalidRequest(f"nothing is {new}; add a message", "input")
    return Plan(
        parent=parent,
        steps=rendered.steps,
        reason=reason,
        session=session,
        digest=digest,
        replays=replays,
        unanswered=rendered.unanswered,
        orphans=rendered.orphans,
    )


def _refuse_divergence(history: Sequence[Message], session: str, start: int) -> None:
    """Raises `HistoryDiverged` for an answer of the session that was given to other messages than those that lead up to it now.

    Only from `start` on: of what is before it the server was told as it stands. The answer of a parallel branch is none of these: what
    it was given, without the branches beside it, stands among the messages.
    """
    running = [Digest()]  # the conversation as a whole, and as each parallel branch saw it
    states = {digest.value: digest.copy() for digest in running}
    for number, message in enumerate(history):
        anchor = message.anchor
        branch = None
        own = anchor and anchor.get("session") == session and anchor.get("version") == VERSION
        if own and number >= start:
            branch = states.get(anchor["origin"], Digest()).copy()
            branch.add(message)
            if branch.value != anchor["digest"]:
                raise HistoryDiverged(
                    f"{message.where}: the answer of interaction {anchor['id']} was given to other messages than those before it now; "
                    "undo the change, or pass on_divergence='replay' to tell the server of it",
                    anchor["id"],
                )
        for digest in running:
            digest.add(message)
        if branch is not None and all(branch.value != digest.value for digest in running):
            running.append(branch)
        states |= {digest.value: digest.copy() for digest in running}
