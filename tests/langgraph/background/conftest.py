"""The store of jobs that the tests of this room share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.jobs import SqliteJobStore


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    """A store of the test's own."""
    store = SqliteJobStore(tmp_path / "jobs.sqlite")
    yield store
    await store.aclose()
