"""What is forgotten inside a running event loop is let go of, and does not block it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.backends.local import LocalBackend
from bridge.jobs import SqliteJobStore

pytestmark = pytest.mark.covers("repo:forgotten")


async def _until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not done():
            await asyncio.sleep(0.01)


async def test_a_forgotten_embedded_service_takes_its_folder_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard against blocking calls would fail this test where the loop had to wait for that."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    backend = LocalBackend()
    await backend.create(model="gemini-3.8-flash", input="Hello.")
    assert list(tmp_path.iterdir())
    del backend
    gc.collect()
    await _until(lambda: not list(tmp_path.iterdir()))


async def test_a_forgotten_job_store_closes_its_file(tmp_path: Path) -> None:
    """SQLite removes what it writes ahead when the last connection goes."""
    jobs = SqliteJobStore(tmp_path / "jobs.sqlite")
    await jobs.list()
    assert (tmp_path / "jobs.sqlite-wal").exists()
    del jobs
    gc.collect()
    await _until(lambda: not (tmp_path / "jobs.sqlite-wal").exists())
