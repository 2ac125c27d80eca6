"""What each status means for those who wait: one table, asked by everything else.

Source: Interactions API reference, "Interaction.status". A status this version does not know reads as a run that goes on, so
that a wait ends by its own deadline and never by a guess.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["STATUSES", "StatusMeaning", "meaning_of"]

# What the caller of a turn sees: an answer, calls to answer, a partial answer with a reason, an error, or nothing yet.
Outcome = Literal["answer", "calls", "partial", "error", "cancelled", "more", "none"]


class StatusMeaning(NamedTuple):
    """One row of the table."""

    ends_wait: bool
    """Polling this id further changes nothing."""
    ends_turn: bool
    """The turn is over: nobody needs to act or continue before the next user input."""
    outcome: Outcome
    """What the caller sees."""


STATUSES: dict[str, StatusMeaning] = {
    "queued": StatusMeaning(False, False, "none"),
    "in_progress": StatusMeaning(False, False, "none"),
    "requires_action": StatusMeaning(True, False, "calls"),
    "requires_continuation": StatusMeaning(True, False, "more"),
    "completed": StatusMeaning(True, True, "answer"),
    "incomplete": StatusMeaning(True, True, "partial"),
    "budget_exceeded": StatusMeaning(True, True, "partial"),
    "failed": StatusMeaning(True, True, "error"),
    "cancelled": StatusMeaning(True, True, "cancelled"),
}
_UNKNOWN = StatusMeaning(False, False, "none")


def meaning_of(status: str) -> StatusMeaning:
    """The row of a status; the unknown one for a status that is not in the table."""
    # A status that is no text was kept as it came.
    return STATUSES.get(status, _UNKNOWN) if isinstance(status, str) else _UNKNOWN
