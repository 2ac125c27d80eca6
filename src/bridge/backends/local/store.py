"""What the service remembers: interactions with their steps, agents, and what is known of environments. One SQLite file.

All access goes through one worker thread, so that no call blocks the event loop and calls from several loops keep their
order; the first one opens the file. Environments' files are `environments`' business, the meaning of a record the engine's.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from bridge._finalizers import when_forgotten
from bridge.errors import NotConfigured, NotFound, ServiceFailed, api_error
from bridge.interactions import Step
from bridge.interactions.steps import STEP

from .turns.notices import Notice, notices_of
from .turns.record import Record

__all__ = ["Store"]

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS interactions (
    id TEXT PRIMARY KEY, parent TEXT, created REAL NOT NULL, status TEXT NOT NULL, facts TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS interactions_created ON interactions (created);
CREATE TABLE IF NOT EXISTS steps (
    interaction TEXT NOT NULL REFERENCES interactions (id) ON DELETE CASCADE,
    input INTEGER NOT NULL, number INTEGER NOT NULL, step TEXT NOT NULL,
    PRIMARY KEY (interaction, input, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agents (id TEXT PRIMARY KEY, agent TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS webhooks (id TEXT PRIMARY KEY, webhook TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notices (
    number INTEGER PRIMARY KEY AUTOINCREMENT, interaction TEXT NOT NULL, due REAL NOT NULL, begun REAL NOT NULL,
    attempts INTEGER NOT NULL, id TEXT NOT NULL, webhook TEXT, uri TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS notices_due ON notices (due);
CREATE TABLE IF NOT EXISTS environments (
    id TEXT PRIMARY KEY, accessed REAL NOT NULL, facts TEXT NOT NULL
) WITHOUT ROWID;
"""
_CHAIN = """
WITH RECURSIVE chain (id, parent, created, status, facts, depth) AS (
    SELECT id, parent, created, status, facts, 0 FROM interactions WHERE id = ?
    UNION ALL
    SELECT i.id, i.parent, i.created, i.status, i.facts, depth + 1
    FROM interactions i JOIN chain ON i.id = chain.parent
)
SELECT id, parent, created, status, facts FROM chain ORDER BY depth DESC
"""
_RUNNING = ("queued", "in_progress")
# What a record holds beside the columns and the steps.
_FACTS = (
    "who",
    "updated",
    "background",
    "tier",
    "text_in_start",
    "environment_id",
    "continuation_token",
    "usage",
    "errors",
    "webhook",
)


class _Opened:
    """The open file and its folder; apart from the store so that both can be let go of when the store is forgotten."""

    root: Path | None = None
    connection: sqlite3.Connection | None = None
    temporary = False

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()
        if self.temporary and self.root is not None:
            shutil.rmtree(self.root, ignore_errors=True)


class Store:
    """The records of one service in the folder `data`, or in a temporary one that goes with it where `data` is None.

    One service at a time: a folder in use by another process is refused.
    """

    def __init__(self, data: str | Path | None, clock: Callable[[], float]) -> None:
        self._data = None if data is None else Path(data)
        self._clock = clock
        self._opened = _Opened()
        self._worker = ThreadPoolExecutor(1, "bridge-store")
        self._closed = False
        self._finalizer = when_forgotten(self, self._opened.close)

    async def root(self) -> Path:
        """The folder of the service's data. Raises `NotConfigured` where it cannot be used."""
        return await self._call(lambda db: self._opened.root or Path())

    async def aclose(self) -> None:
        """Closes the file, and removes a temporary folder. Idempotent."""
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._worker, self._finalizer)
            self._worker.shutdown(wait=False)

    async def insert(self, record: Record) -> None:
        """Keeps a new record with its input."""

        def insert(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO interactions VALUES (?, ?, ?, ?, ?)",
                (record.id, record.parent, record.created, record.status, _facts(record)),
            )
            rows = [(record.id, 1, number, _text(step.to_wire())) for number, step in enumerate(record.input)]
            db.executemany("INSERT INTO steps VALUES (?, ?, ?, ?)", rows)

        await self._call(insert)

    async def add_step(self, id: str, number: int, step: Step) -> None:
        """Keeps the next step of a record, unless the record was deleted or has ended."""
        row = (id, number, _text(step.to_wire()), id, *_RUNNING)
        sql = (
            "INSERT INTO steps SELECT ?, 0, ?, ? "
            "WHERE EXISTS (SELECT 1 FROM interactions WHERE id = ? AND status IN (?, ?))"
        )
        await self._call(lambda db: db.execute(sql, row))

    async def update(self, record: Record) -> bool:
        """Keeps a record's status and facts as they are now, with the deliveries that tell of its end. Says whether there are any."""
        now = self._clock()
        return await self._call(lambda db: _update(db, record, now))

    async def chain(self, id: str, oldest: float) -> list[Record]:
        """The record of an id after all those before it, the first of the chain first.

        Raises `NotFound` where one of them is not there any more, or was created before `oldest`.
        """

        def read(db: sqlite3.Connection) -> list[Record]:
            records = [_record(db, row) for row in db.execute(_CHAIN, (id,))]
            if not records:
                raise _gone(id)
            lost = next((record for record in reversed(records) if _expired(record, oldest)), None)
            if records[0].parent is not None or lost is not None:
                raise _gone(lost.id if lost is not None else str(records[0].parent))
            return records

        return await self._call(read)

    async def load(self, id: str, oldest: float) -> Record:
        """The record of an id. Raises `NotFound` where there is none or it was created before `oldest`."""

        def read(db: sqlite3.Connection) -> Record:
            row = db.execute(
                "SELECT id, parent, created, status, facts FROM interactions WHERE id = ?", (id,)
            ).fetchone()
            record = _record(db, row) if row is not None else None
            if record is None or _expired(record, oldest):
                raise _gone(id)
            return record

        return await self._call(read)

    async def delete(self, id: str) -> None:
        """Forgets a record. Raises `NotFound`."""

        def delete(db: sqlite3.Connection) -> None:
            if not db.execute("DELETE FROM interactions WHERE id = ?", (id,)).rowcount:
                raise _gone(id)

        await self._call(delete)

    async def purge(self, oldest: float) -> list[str]:
        """Forgets ended records created, and environments last used, before `oldest`; gives the environments' ids."""

        def purge(db: sqlite3.Connection) -> list[str]:
            db.execute("DELETE FROM interactions WHERE created < ? AND status NOT IN (?, ?)", (oldest, *_RUNNING))
            ids = [row[0] for row in db.execute("SELECT id FROM environments WHERE accessed < ?", (oldest,))]
            db.execute("DELETE FROM environments WHERE accessed < ?", (oldest,))
            return ids

        return await self._call(purge)

    async def add_agent(self, id: str, agent: dict[str, Any]) -> bool:
        """Keeps an agent. False where the id exists."""
        row = (id, _text(agent))
        added = await self._call(lambda db: db.execute("INSERT OR IGNORE INTO agents VALUES (?, ?)", row).rowcount)
        return bool(added)

    async def agent(self, id: str) -> dict[str, Any] | None:
        """An agent by id."""
        row = await self._call(lambda db: db.execute("SELECT agent FROM agents WHERE id = ?", (id,)).fetchone())
        return None if row is None else json.loads(row[0])

    async def agents(self) -> list[dict[str, Any]]:
        """All agents, by id."""
        rows = await self._call(lambda db: db.execute("SELECT agent FROM agents ORDER BY id").fetchall())
        return [json.loads(row[0]) for row in rows]

    async def delete_agent(self, id: str) -> bool:
        """Forgets an agent. False where there is none."""
        return bool(await self._call(lambda db: db.execute("DELETE FROM agents WHERE id = ?", (id,)).rowcount))

    async def put_webhook(self, id: str, webhook: dict[str, Any]) -> None:
        """Keeps a webhook."""
        row = (id, _text(webhook))
        await self._call(lambda db: db.execute("INSERT OR REPLACE INTO webhooks VALUES (?, ?)", row))

    async def change_webhook(
        self, id: str, change: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> dict[str, Any] | None:
        """A webhook as `change`, called in the worker thread, makes it of what it is now; None where there is none."""

        def write(db: sqlite3.Connection) -> dict[str, Any] | None:
            row = db.execute("SELECT webhook FROM webhooks WHERE id = ?", (id,)).fetchone()
            if row is None:
                return None
            changed = change(json.loads(row[0]))
            db.execute("UPDATE webhooks SET webhook = ? WHERE id = ?", (_text(changed), id))
            return changed

        return await self._call(write)

    async def webhook(self, id: str) -> dict[str, Any] | None:
        """A webhook by id."""
        row = await self._call(lambda db: db.execute("SELECT webhook FROM webhooks WHERE id = ?", (id,)).fetchone())
        return None if row is None else json.loads(row[0])

    async def webhooks(self) -> list[dict[str, Any]]:
        """All webhooks, by id."""
        rows = await self._call(lambda db: db.execute("SELECT webhook FROM webhooks ORDER BY id").fetchall())
        return [json.loads(row[0]) for row in rows]

    async def delete_webhook(self, id: str) -> bool:
        """Forgets a webhook. False where there is none."""
        return bool(await self._call(lambda db: db.execute("DELETE FROM webhooks WHERE id = ?", (id,)).rowcount))

    async def due_notices(self, now: float, most: int) -> tuple[list[Notice], float | None]:
        """Deliveries that are due, the longest due first, and when the first of the others is."""

        def read(db: sqlite3.Connection) -> tuple[list[Notice], float | None]:
            due = _notices(db, "due <= ? ORDER BY due, number LIMIT ?", now, most)
            return due, db.execute("SELECT min(due) FROM notices WHERE due > ?", (now,)).fetchone()[0]

        return await self._call(read)

    async def notices(self, interaction: str) -> list[Notice]:
        """The deliveries that tell of an interaction and have not arrived."""
        return await self._call(lambda db: _notices(db, "interaction = ?", interaction))

    async def postpone_notice(self, number: int, due: float) -> None:
        """A delivery did not arrive and is due again then."""
        sql = "UPDATE notices SET due = ?, attempts = attempts + 1 WHERE number = ?"
        await self._call(lambda db: db.execute(sql, (due, number)))

    async def drop_notice(self, number: int) -> None:
        """A delivery arrived, or is given up."""
        await self._call(lambda db: db.execute("DELETE FROM notices WHERE number = ?", (number,)))

    async def put_environment(self, id: str, accessed: float, facts: dict[str, Any]) -> None:
        """Keeps what is known of an environment."""
        row = (id, accessed, _text(facts))
        await self._call(lambda db: db.execute("INSERT OR REPLACE INTO environments VALUES (?, ?, ?)", row))

    async def environment(self, id: str, oldest: float) -> tuple[float, dict[str, Any]] | None:
        """When an environment was used last, and what is known of it; None where there is none used since `oldest`."""
        sql = "SELECT accessed, facts FROM environments WHERE id = ? AND accessed >= ?"
        row = await self._call(lambda db: db.execute(sql, (id, oldest)).fetchone())
        return None if row is None else (row[0], json.loads(row[1]))

    async def environments(self, oldest: float) -> list[str]:
        """The ids of all environments used since `oldest`, in order."""
        sql = "SELECT id FROM environments WHERE accessed >= ? ORDER BY id"
        return [row[0] for row in await self._call(lambda db: db.execute(sql, (oldest,)).fetchall())]

    async def delete_environment(self, id: str) -> bool:
        """Forgets an environment. False where there is none."""
        return bool(await self._call(lambda db: db.execute("DELETE FROM environments WHERE id = ?", (id,)).rowcount))

    async def _call(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Runs a piece of work in the worker thread, all of it or nothing."""
        if self._closed:
            raise api_error("the local service is closed", status=503, code="service_unavailable")
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._transact, work)

    def _transact(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        connection = self._opened.connection or self._open()
        try:
            with connection:
                return work(connection)
        except UnicodeEncodeError:  # half a surrogate pair: JSON can carry it, an id cannot
            raise api_error("an id is not valid text", status=404, code="not_found") from None
        except sqlite3.Error as error:
            _log.error("the local service's store failed: %s", error)
            raise ServiceFailed(
                "the local service could not read or write its data", status=500, code="api_error"
            ) from None

    def _open(self) -> sqlite3.Connection:
        if find_spec("pydantic_monty") is None:
            raise NotConfigured("the local service needs an extra: pip install 'interactions-bridge[local]'")
        try:
            if self._data is None:
                root = self._opened.root or Path(tempfile.mkdtemp(prefix="interactions-bridge-"))
                self._opened.temporary = True
            else:
                root = self._data.absolute()
                root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._opened.root = root
            connection = sqlite3.connect(root / "service.sqlite3", timeout=0.2, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise NotConfigured(f"the data folder {str(self._data)!r} cannot be used: {error}") from None
        try:
            # One process at a time: another one would take the jobs that run here for jobs that were cut.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = " + ("MEMORY" if self._opened.temporary else "WAL"))
            connection.execute("PRAGMA synchronous = " + ("OFF" if self._opened.temporary else "NORMAL"))
            connection.execute("PRAGMA foreign_keys = ON")
            connection.executescript(_SCHEMA)
            with connection:
                self._end_interrupted(connection)
        except sqlite3.Error as error:
            connection.close()
            reason = "is in use by another process" if "locked" in str(error) else f"cannot be used: {error}"
            raise NotConfigured(f"the data folder {str(self._data)!r} {reason}") from None
        self._opened.connection = connection
        return connection

    def _end_interrupted(self, db: sqlite3.Connection) -> None:
        sql = "SELECT id, parent, created, status, facts FROM interactions WHERE status IN (?, ?)"
        for row in db.execute(sql, _RUNNING).fetchall():
            record = _record(db, row)
            record.status = "failed"
            record.updated = self._clock()
            record.errors = [
                {"code": "aborted", "message": "The service was restarted while this interaction ran; create it anew."}
            ]
            _update(db, record, self._clock())


def _update(db: sqlite3.Connection, record: Record, now: float) -> bool:
    row = (record.status, _facts(record), record.id)
    kept = db.execute("UPDATE interactions SET status = ?, facts = ? WHERE id = ?", row).rowcount
    if not kept or not record.ended or not record.background:
        return False
    registered = [json.loads(row[0]) for row in db.execute("SELECT webhook FROM webhooks ORDER BY id")]
    notices = notices_of(record, registered, now)
    sql = "INSERT INTO notices (interaction, due, begun, attempts, id, webhook, uri, body) VALUES (?, ?, ?, 0, ?, ?, ?, ?)"
    db.executemany(sql, [(record.id, n.due, n.begun, n.id, n.webhook, n.uri, n.body) for n in notices])
    return bool(notices)


def _notices(db: sqlite3.Connection, where: str, *values: Any) -> list[Notice]:
    columns = ("number", "due", "begun", "attempts", "id", "webhook", "uri", "body")
    sql = f"SELECT {', '.join(columns)} FROM notices WHERE {where}"  # noqa: S608 - texts of this module
    return [Notice(**dict(zip(columns, row, strict=True))) for row in db.execute(sql, values)]


def _record(db: sqlite3.Connection, row: tuple[str, str | None, float, str, str]) -> Record:
    name, parent, created, status, facts = row
    record = Record(id=name, parent=parent, created=created, status=status, **json.loads(facts))
    sql = "SELECT input, step FROM steps WHERE interaction = ? ORDER BY input, number"
    for is_input, step in db.execute(sql, (name,)):
        (record.input if is_input else record.steps).append(STEP.parse(json.loads(step)))
    return record


def _facts(record: Record) -> str:
    return _text({name: getattr(record, name) for name in _FACTS})


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _expired(record: Record, oldest: float) -> bool:
    return record.created < oldest and record.ended


def _gone(id: str) -> NotFound:
    return NotFound(f"Interaction {id[:120]} not found.", status=404, code="not_found")
