"""Following an interaction: what a stream tells, whatever it tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.backends.local import LocalBackend
from bridge.interactions.events import EVENT
from bridge.jobs import Intent, Place, SqliteJobStore
from bridge.jobs.following import Follower
from bridge.jobs.looking import look

NEWS = [
    {"event_type": "interaction.pondered"},
    {"event_type": "interaction.pondered", "event_id": "ev_2"},
    {"event_type": "step.start", "index": "first"},
]


@pytest.mark.covers("jobs:follow:unknown")
def test_events_of_a_later_version_are_passed_over() -> None:
    """With an id, that is where a broken stream goes on from; without one nothing changes."""
    follower = Follower()
    for event, cursor in zip(NEWS, (None, "ev_2", "ev_2"), strict=True):
        assert list(follower.add(EVENT.parse(event))) == []
        assert follower.cursor == cursor


@pytest.mark.covers("jobs:follow:unknown")
async def test_they_count_as_progress_where_they_have_an_id(tmp_path: Path) -> None:
    """A job that seemed to stand still is looked at by its stream."""

    class Later(LocalBackend):
        async def watch(self, id: str, *, after: str | None = None) -> Any:
            for event in NEWS:
                yield EVENT.parse(event)

    now = [1_000.0]
    store = SqliteJobStore(tmp_path / "jobs.sqlite", clock=lambda: now[0])
    async with Later(test_controls=True) as backend:
        labels = {"local-delay-ms": "3600000"}
        interaction = await backend.create(model="m", input="x", background=True, labels=labels)
        place = Place(thread="t", exact="e", path="p")
        terms = {"stall_after": 60}
        job, _ = await store.intend(Intent(place=place, name="n", target="m", backend="b", terms=terms))
        job = (await look(await store.bind(job.token, interaction.id), backend, store)).job
        now[0] += 50
        seen = await look(job, backend, store)
        assert (seen.job.cursor, seen.job.progressed, seen.ended) == ("ev_2", now[0], False)
    await store.aclose()
