"""The one table of statuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bridge
from bridge.interactions import STATUSES, StatusMeaning, meaning_of

# status -> (a wait ends, the turn ends, what the caller sees), as the reference describes its life cycle
EXPECTED = {
    "queued": (False, False, "none"),
    "in_progress": (False, False, "none"),
    "requires_action": (True, False, "calls"),
    "requires_continuation": (True, False, "more"),
    "completed": (True, True, "answer"),
    "incomplete": (True, True, "partial"),
    "budget_exceeded": (True, True, "partial"),
    "failed": (True, True, "error"),
    "cancelled": (True, True, "cancelled"),
}


@pytest.mark.covers("model:status")
def test_table_has_the_nine_statuses_and_what_each_means() -> None:
    """Whether a wait ends, whether a turn ends, and what the caller sees."""
    assert {status: tuple(meaning) for status, meaning in STATUSES.items()} == EXPECTED
    assert all(meaning_of(status) is meaning for status, meaning in STATUSES.items())


@pytest.mark.covers("model:status:official")
def test_table_has_exactly_the_statuses_of_the_official_client() -> None:
    """The official SDK names them in an open enumeration."""
    from google.genai._gaos.types.interactions import interaction

    named = {
        *re.findall(
            r'"([a-z_]+)"',
            Path(interaction.__file__).read_text().split("InteractionStatus = Union[")[1].split("UnrecognizedStr")[0],
        )
    }
    assert named == {*STATUSES}


@pytest.mark.covers("model:status:unknown")
@pytest.mark.parametrize("status", ["", "paused", "COMPLETED", "completed "])
def test_unknown_status_reads_as_a_run_that_goes_on(status: str) -> None:
    """So that a wait ends by its own deadline, and never by a guess."""
    assert meaning_of(status) == StatusMeaning(ends_wait=False, ends_turn=False, outcome="none")


@pytest.mark.covers("model:status")
def test_the_model_asks_about_no_status_by_name() -> None:
    """Only the table names them."""
    folder = Path(bridge.__file__ or "").parent / "interactions"
    named = re.compile("|".join(rf'[=!]= "{status}"|in \("{status}"|case "{status}"' for status in STATUSES))
    assert [
        path.name for path in folder.glob("*.py") if path.name != "status.py" and named.search(path.read_text())
    ] == []
