"""What is SQLite's own of the job store in a file: who may read it, who is waited for, and what cannot be used."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.errors import ConnectionFailed, InvalidRequest, NotConfigured
from bridge.jobs import SqliteJobStore

from .racer import intent


@pytest.mark.covers("jobs:store:sqlite")
async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """The folder is made, and nobody else may read it or the file."""
    path = tmp_path / "deep" / "jobs" / "jobs.sqlite3"
    store = SqliteJobStore(path)
    assert not path.parent.exists()
    await store.intend(intent("here"))
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    await store.aclose()


@contextmanager
def locked(path: Path) -> Iterator[Callable[[], object]]:
    """Another's write that goes on, until it is told to end."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield lambda: other.execute("COMMIT")
    finally:
        other.close()


@pytest.mark.covers("jobs:store:sqlite")
async def test_a_call_waits_for_another_process_to_have_written(tmp_path: Path) -> None:
    """It is done when the other one is."""
    path = tmp_path / "jobs"
    store = SqliteJobStore(path)
    await store.list()
    with locked(path) as unlock:
        call = asyncio.create_task(store.intend(intent("here")))
        done, _ = await asyncio.wait({call}, timeout=0.3)
        assert not done
        unlock()
        async with asyncio.timeout(10):
            assert (await call)[1]
    await store.aclose()


@pytest.mark.covers("jobs:store:sqlite")
async def test_a_file_that_stays_locked_is_an_error_and_nothing_changes(tmp_path: Path) -> None:
    """After one lease the call says who is in the way; later calls work."""
    path = tmp_path / "jobs"
    store = SqliteJobStore(path, lease=0.2)
    await store.list()
    with locked(path):
        with pytest.raises(
            ConnectionFailed, match=r"nothing changed: another process has locked it for 0\.2 s"
        ) as raised:
            await store.intend(intent("here"))
        assert not raised.value.sent
        with pytest.raises(ConnectionFailed, match="locked"):
            await store.settle("x")
    assert (await store.intend(intent("here")))[1]
    await store.aclose()


@pytest.mark.covers("jobs:store:sqlite")
async def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A folder, a file of something else, one that is locked while it is made, and no file at all."""
    folder, text, new = tmp_path / "folder", tmp_path / "text", tmp_path / "new"
    folder.mkdir()
    text.write_text("no database, " * 100)
    for path, reason in ((folder, "Is a directory"), (text, "file is not a database")):
        store = SqliteJobStore(path)
        with pytest.raises(NotConfigured, match=reason) as raised:
            await store.list()
        assert str(path) in str(raised.value)
        await store.aclose()
    store = SqliteJobStore(new, lease=0.2)
    with locked(new), pytest.raises(NotConfigured, match="locked by another process"):
        await store.list()
    assert list(await store.list()) == []
    await store.aclose()
    with pytest.raises(InvalidRequest, match="path of a file"):
        SqliteJobStore(":memory:")


@pytest.mark.covers("jobs:store:sqlite")
async def test_an_sqlite_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which version is needed, and leaves no file."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    store = SqliteJobStore(tmp_path / "jobs")
    with pytest.raises(NotConfigured, match=r"needs SQLite 3\.35 or later"):
        await store.list()
    assert list(tmp_path.iterdir()) == []
    await store.aclose()
