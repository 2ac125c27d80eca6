"""The job store in one SQLite file, for the processes of one machine. Statements and rows are `sql`'s.

What was recorded outlasts the end of the process, however it ends. A start, its binding and a delivery outlast a loss of power too;
of what can be had by looking again the last moments may be lost to one.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path

from tenacity import RetryError, Retrying, retry_if_exception, stop_after_delay, wait_fixed

from bridge.errors import BridgeError, ConnectionFailed, InvalidRequest, NotConfigured

from .sql import SCHEMA, Cursor, Database, SqlJobStore

__all__ = ["SqliteJobStore"]

_FIRST = (3, 35)  # the first version that returns the rows it changed


class SqliteJobStore(SqlJobStore):
    """Jobs in the SQLite file `path`, made with its folder at the first call, readable by its owner alone.

    Several processes of one machine may use it; a call waits for another's write for up to `lease` seconds. `clock` gives seconds since
    1970. Not for a file on a network share: use `PostgresJobStore` where several machines work. Calls raise `NotConfigured` where the
    file cannot be opened, `ConnectionFailed` where it cannot be read or written.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, lease: float = 30.0, clock: Callable[[], float] = time.time
    ) -> None:
        if str(path) in ("", ":memory:"):
            raise InvalidRequest("jobs outlive the process: give the job store the path of a file", "path")
        super().__init__(partial(_Sqlite, Path(path).absolute(), lease), threads=1, lease=lease, clock=clock)


class _Sqlite(Database):
    def __init__(self, path: Path, patience: float) -> None:
        self._patience = patience
        self._lasting = False
        if sqlite3.sqlite_version_info < _FIRST:
            raise NotConfigured(f"the job store needs SQLite 3.35 or later; this Python has {sqlite3.sqlite_version}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise NotConfigured(f"the job store {str(path)!r} cannot be used: {error}") from None
        try:
            # Two who make the file at once: SQLite gives up on one of them without waiting.
            Retrying(retry=retry_if_exception(_locked), stop=stop_after_delay(patience), wait=wait_fixed(0.01))(
                self._connection.execute, "PRAGMA journal_mode = WAL"
            )
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA.format(number='INTEGER PRIMARY KEY')} COMMIT;")
        except (sqlite3.Error, RetryError) as error:
            self._connection.close()
            reason = "is locked by another process" if isinstance(error, RetryError) or _locked(error) else str(error)
            raise NotConfigured(f"the job store {str(path)!r} cannot be used: {reason}") from None

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> Cursor:
        return self._connection.execute(_written(statement), parameters)

    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        self._connection.executemany(_written(statement), rows)

    def begin(self, key: str) -> None:
        self._connection.execute("BEGIN IMMEDIATE")  # which nobody else is in, whatever the key

    def lasting(self, yes: bool) -> None:
        if yes != self._lasting:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if yes else 'NORMAL'}")
            self._lasting = yes

    def usable(self) -> bool:
        return True

    def failure(self, error: Exception) -> BridgeError | None:
        if not isinstance(error, sqlite3.Error):
            return None
        reason = f"another process has locked it for {self._patience:g} s" if _locked(error) else str(error)
        return ConnectionFailed(
            f"the job store could not be read or written, and nothing changed: {reason}", sent=False
        )

    def taken(self, error: Exception) -> bool:
        return isinstance(error, sqlite3.IntegrityError)

    def close(self) -> None:
        self._connection.close()


@cache
def _written(statement: str) -> str:
    """A statement as SQLite reads it, where who writes has the whole file."""
    return statement.replace(" FOR UPDATE", "").replace(" SKIP LOCKED", "")


def _locked(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def default_path() -> Path:
    """Where the store of a user is: `$XDG_DATA_HOME/interactions-bridge/jobs.sqlite`, below ~/.local/share by default."""
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "interactions-bridge" / "jobs.sqlite"


def default_store() -> SqliteJobStore:
    """The store at `default_path()`."""
    return SqliteJobStore(default_path())
