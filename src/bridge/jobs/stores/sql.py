"""The job store in SQL, written once for every database: what is kept, in which statements, in which transactions.

A call runs whole in a worker thread, each of which has a connection of its own that it opens, and opens again when it is lost; so no
call blocks an event loop, and several loops may use one store. What differs between databases is a `Database`'s business: how it is
reached, how a transaction begins, and how it writes a placeholder, a row's number and a lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import Any, Protocol, TypeVar

from bridge._finalizers import when_forgotten
from bridge.errors import BridgeError, InvalidRequest, NotConfigured, api_error

from ..job import Intent, Job, State
from .store import MAX_STEPS, Arrival

__all__ = ["SCHEMA", "Cursor", "Database", "SqlJobStore"]

_T = TypeVar("_T")

# `{number}` is the type of a row's number, which the database gives, each larger than those before.
SCHEMA = """
CREATE TABLE IF NOT EXISTS bridge_jobs (
    number {number},
    created DOUBLE PRECISION NOT NULL,
    due DOUBLE PRECISION NOT NULL,
    busy DOUBLE PRECISION NOT NULL,
    deadline DOUBLE PRECISION,
    bound DOUBLE PRECISION,
    ended DOUBLE PRECISION,
    settled DOUBLE PRECISION,
    progressed DOUBLE PRECISION,
    looks INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'intended',
    status TEXT NOT NULL DEFAULT '',
    seen TEXT NOT NULL DEFAULT '',
    cursor TEXT,
    token TEXT NOT NULL UNIQUE,
    interaction_id TEXT UNIQUE,
    thread TEXT NOT NULL,
    place TEXT NOT NULL,
    path TEXT NOT NULL,
    attempt TEXT NOT NULL,
    digest TEXT NOT NULL,
    name TEXT NOT NULL,
    target TEXT NOT NULL,
    backend TEXT NOT NULL,
    verdict TEXT,
    environment_id TEXT,
    usage TEXT,
    terms TEXT,
    UNIQUE (thread, place)
);
CREATE INDEX IF NOT EXISTS bridge_jobs_due ON bridge_jobs (due) WHERE state <> 'settled';
CREATE INDEX IF NOT EXISTS bridge_jobs_name ON bridge_jobs (name, number);
CREATE INDEX IF NOT EXISTS bridge_jobs_place ON bridge_jobs (name, place, number);
CREATE INDEX IF NOT EXISTS bridge_jobs_open ON bridge_jobs (name, number) WHERE ended IS NULL AND state <> 'settled';
CREATE TABLE IF NOT EXISTS bridge_steps (
    job BIGINT NOT NULL REFERENCES bridge_jobs (number) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    step TEXT NOT NULL,
    PRIMARY KEY (job, place)
);
CREATE TABLE IF NOT EXISTS bridge_arrivals (
    number {number},
    came DOUBLE PRECISION NOT NULL,
    id TEXT NOT NULL UNIQUE,
    interaction_id TEXT NOT NULL,
    type TEXT NOT NULL,
    token TEXT
);
CREATE INDEX IF NOT EXISTS bridge_arrivals_interaction ON bridge_arrivals (interaction_id);
CREATE INDEX IF NOT EXISTS bridge_arrivals_token ON bridge_arrivals (token) WHERE token IS NOT NULL;
CREATE TABLE IF NOT EXISTS bridge_leases (
    thread TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until DOUBLE PRECISION NOT NULL
);
"""

_FIELDS = tuple(field.name for field in fields(Job))
_JOB = ", ".join(_FIELDS)

# An attempt is the retried node and its number: the two starts must be inside of the same retried node, whoever's attempt is numbered.
_PLACED = f"""
UPDATE bridge_jobs
SET place = ?, attempt = ?, busy = CASE WHEN interaction_id IS NULL THEN busy ELSE ? END
WHERE number = (
    SELECT number FROM bridge_jobs
    WHERE thread = ? AND (place = ? OR (
        path = ? AND digest = ? AND attempt <> ?
        AND substr(place, 1, length(CAST(? AS TEXT))) = CAST(? AS TEXT)
        AND substr(CAST(? AS TEXT), 1, length(rtrim(attempt, '0123456789'))) = rtrim(attempt, '0123456789')
    ))
    ORDER BY (place = ?) DESC, number LIMIT 1
) RETURNING {_JOB}
"""  # noqa: S608 - names of columns, no data
_INTEND = f"""
INSERT INTO bridge_jobs
    (token, thread, place, path, attempt, digest, name, target, backend, created, due, busy, deadline, terms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING {_JOB}
"""  # noqa: S608
_BIND = f"""
UPDATE bridge_jobs
SET interaction_id = ?, status = ?, bound = ?, due = ?, busy = ?, state = 'running', settled = NULL
WHERE token = ? AND interaction_id IS NULL RETURNING {_JOB}
"""  # noqa: S608
_GET = f"SELECT {_JOB} FROM bridge_jobs WHERE token = ?"  # noqa: S608
_FIND = f"SELECT {_JOB} FROM bridge_jobs WHERE interaction_id = ?"  # noqa: S608
_OPEN = "ended IS NULL AND state <> 'settled'"
# `{only}` is for conditions on the backend and the name. Materialized, or Postgres may take the inner rows more than once and so more than `limit`.
_TAKE = """
WITH taken AS MATERIALIZED (
    SELECT number AS job, due AS since FROM bridge_jobs
    WHERE state <> 'settled' AND due <= ?{only} ORDER BY due, number LIMIT ? FOR UPDATE SKIP LOCKED
)
UPDATE bridge_jobs SET due = ? FROM taken WHERE number = taken.job
RETURNING {columns}, (SELECT since FROM taken WHERE taken.job = number), number
"""
_HOLD = """
INSERT INTO bridge_leases (thread, holder, until) VALUES (?, ?, ?)
ON CONFLICT (thread) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE bridge_leases.until <= ? OR bridge_leases.holder = excluded.holder
"""
_RENEW = "UPDATE bridge_leases SET until = ? WHERE thread = ? AND holder = ? AND until > ?"
_DELIVER = """
INSERT INTO bridge_arrivals (id, interaction_id, type, token, came) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
"""
_ARRIVALS = """
SELECT id, interaction_id, type, token FROM bridge_arrivals WHERE interaction_id = ? OR token = ? ORDER BY number
"""
_KEEP_STEP = """
INSERT INTO bridge_steps (job, place, step) VALUES (?, ?, ?) ON CONFLICT (job, place) DO UPDATE SET step = excluded.step
"""
_STEPS = """
SELECT bridge_steps.place, step FROM bridge_steps JOIN bridge_jobs ON job = number WHERE token = ? ORDER BY bridge_steps.place
"""
_PRUNE_ARRIVALS = """
DELETE FROM bridge_arrivals WHERE came < ? AND NOT EXISTS (
    SELECT 1 FROM bridge_jobs
    WHERE bridge_jobs.interaction_id = bridge_arrivals.interaction_id OR bridge_jobs.token = bridge_arrivals.token
)
"""


class Cursor(Protocol):
    """What came of a statement."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Database(ABC):
    """One open connection, used by one thread. A statement outside a transaction is one of its own."""

    @abstractmethod
    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Cursor:
        """Runs a statement, written with `?` as placeholder and with Postgres' row locks."""

    @abstractmethod
    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Runs a statement once for each of the rows, inside a transaction."""

    @abstractmethod
    def begin(self, key: str) -> None:
        """Begins a transaction, and waits until no other one of the same key is under way."""

    @abstractmethod
    def lasting(self, yes: bool) -> None:
        """Whether what is committed from now on must outlast the machine's power too, or the process alone."""

    @abstractmethod
    def usable(self) -> bool:
        """False where the connection is known to be lost. Asks nobody."""

    @abstractmethod
    def failure(self, error: Exception) -> BridgeError | None:
        """What an error of the database is to our callers; None where it is none of the database's."""

    @abstractmethod
    def taken(self, error: Exception) -> bool:
        """Whether an error says that a unique value exists already."""

    @abstractmethod
    def close(self) -> None:
        """Closes the connection; never raises."""


class SqlJobStore:
    """A `JobStore` over a database that `connect` opens, from at most `threads` threads.

    `lease` is in seconds; `clock` gives seconds since 1970, and those who share a store must agree about it to a small part of the
    lease.
    """

    def __init__(
        self, connect: Callable[[], Database], *, threads: int, lease: float, clock: Callable[[], float]
    ) -> None:
        if not lease > 0:
            raise InvalidRequest(f"lease is {lease!r}; give a number of seconds above 0", "lease")
        self._connect = connect
        self._lease = lease
        self._clock = clock
        self._threads = ThreadPoolExecutor(threads, "bridge-jobs")
        self._connections: dict[int, Database] = {}
        self._closed = False
        self._disconnect = when_forgotten(self, _close, self._connections)

    @property
    def lease(self) -> float:
        """Seconds for which a hold, a taken job and a sign of life count."""
        return self._lease

    def now(self) -> float:
        """The time that all of a job's are told in."""
        return self._clock()

    async def intend(self, intent: Intent) -> tuple[Job, bool]:
        """The job of a place, and whether it is new."""
        place, now, token = intent.place, self._clock(), secrets.token_hex(16)
        until = now + self._lease
        retried = place.attempt.rstrip("0123456789")
        alike = (place.path, place.digest, place.attempt, retried, retried, place.exact)
        same = (place.thread, place.exact, *alike, place.exact)
        row = (
            *(token, place.thread, place.exact, place.path, place.attempt, place.digest),
            *(intent.name, intent.target, intent.backend, now, until, until),
            None if intent.deadline is None else now + intent.deadline,
            _text(intent.terms) if intent.terms else None,
        )

        def work(db: Database) -> tuple[Job, bool]:
            with _transaction(db, place.thread):
                found = db.execute(_PLACED, (place.exact, place.attempt, until, *same)).fetchone()
                return _job(found or db.execute(_INTEND, row).fetchone()), found is None

        return await self._do(work, lasting=True)

    async def bind(self, token: str, interaction_id: str, status: str = "") -> Job:
        """Notes which interaction a job started. Raises `Conflict` and `NotFound`."""
        now = self._clock()
        row = (interaction_id, status, now, now + self._lease, now + self._lease, token)

        def work(db: Database) -> Job:
            try:
                bound = db.execute(_BIND, row).fetchone()
            except Exception as error:
                if db.taken(error):
                    raise _conflict(f"interaction {interaction_id[:120]} belongs to another job already") from None
                raise
            job = _job(bound or _existing(db, token))
            if job.interaction_id != interaction_id:
                raise _conflict(f"the job has interaction {job.interaction_id}, and cannot get {interaction_id[:120]}")
            return job

        return await self._do(work, lasting=True)

    async def withdraw(self, token: str) -> None:
        """Forgets a job that surely was not started. One that is bound stays."""
        await self._change("DELETE FROM bridge_jobs WHERE token = ? AND interaction_id IS NULL", token)

    async def touch(self, token: str) -> None:
        """A sign of life: the run that started the job is alive for another lease."""
        await self._change("UPDATE bridge_jobs SET busy = ? WHERE token = ?", self._clock() + self._lease, token)

    async def get(self, token: str) -> Job | None:
        """A job by its token."""
        return await self._one(_GET, token)

    async def find(self, interaction_id: str) -> Job | None:
        """A job by its interaction."""
        return await self._one(_FIND, interaction_id)

    async def list(
        self,
        *,
        state: State | None = None,
        thread: str | None = None,
        place: str | None = None,
        name: str | None = None,
        open: bool = False,
        before: str | None = None,
        skip: int = 0,
        limit: int = 1_000,
    ) -> Sequence[Job]:
        """Jobs, newest first."""
        wanted = {
            "state = ?": state,
            "thread = ?": thread,
            "place = ?": place,
            "name = ?": name,
            "number < (SELECT number FROM bridge_jobs WHERE token = ?)": before,
        }
        given = {condition: value for condition, value in wanted.items() if value is not None}
        where = " AND ".join([_OPEN if open else "TRUE", *given])
        statement = f"SELECT {_JOB} FROM bridge_jobs WHERE {where} ORDER BY number DESC LIMIT ? OFFSET ?"  # noqa: S608
        row = (*given.values(), _checked(limit), _checked(skip, "skip"))
        return await self._do(lambda db: [_job(found) for found in db.execute(statement, row).fetchall()])

    async def note(self, token: str, **seen: Any) -> Job:
        """Keeps what was seen of a job. Raises `NotFound`."""
        if unknown := sorted(set(seen) - set(_NOTED)):
            raise InvalidRequest(f"a job has no {unknown[0]!r} to note; there are {', '.join(_NOTED)}", unknown[0])
        # In the order of `_NOTED`, so that the same facts are the same statement.
        names = [name for name in _NOTED if name in seen]
        values = [_ENCODED.get(name, _same)(seen[name]) for name in names]
        changes = ", ".join(_NOTED[name] for name in names)
        statement = f"UPDATE bridge_jobs SET {changes} WHERE token = ? RETURNING {_JOB}" if names else _GET  # noqa: S608

        def work(db: Database) -> Any:
            return db.execute(statement, (*values, token)).fetchone() or _existing(db, token)

        return _job(await self._do(work))

    async def settle(self, token: str) -> None:
        """Marks a job as over. Idempotent."""
        statement = "UPDATE bridge_jobs SET state = 'settled', settled = ? WHERE token = ? AND state <> 'settled'"
        await self._change(statement, self._clock(), token)

    async def take_due(
        self, limit: int = 100, *, backends: Collection[str] | None = None, names: str = ""
    ) -> Sequence[Job]:
        """Jobs that are due and not settled, longest due first; each is due again after one lease."""
        now, wanted = self._clock(), sorted(backends or ())
        only = "" if backends is None else f" AND backend IN ({', '.join('?' * len(wanted)) or 'NULL'})"
        only += " AND substr(name, 1, ?) = ?"
        statement = _TAKE.format(only=only, columns=_JOB)
        row = (now, *wanted, len(names), names, _checked(limit), now + self._lease)
        rows = await self._do(lambda db: db.execute(statement, row).fetchall())
        return [_job(row[:-2]) for row in sorted(rows, key=lambda row: row[-2:])]

    async def hold(self, thread: str, holder: str) -> bool:
        """Whether `holder` has the thread to itself now, for one lease."""
        now = self._clock()
        return await self._change(_HOLD, thread, holder, now + self._lease, now) > 0

    async def renew(self, thread: str, holder: str) -> bool:
        """Another lease for who holds the thread."""
        now = self._clock()
        return await self._change(_RENEW, now + self._lease, thread, holder, now) > 0

    async def release(self, thread: str, holder: str) -> None:
        """Gives the thread back, if `holder` has it."""
        await self._change("DELETE FROM bridge_leases WHERE thread = ? AND holder = ?", thread, holder)

    async def deliver(self, arrival: Arrival) -> bool:
        """Keeps a webhook delivery. False where one of that id was kept before."""
        row = (*arrival, self._clock())
        return await self._do(lambda db: db.execute(_DELIVER, row).rowcount, lasting=True) > 0

    async def arrivals(self, *, interaction_id: str | None = None, token: str | None = None) -> Sequence[Arrival]:
        """The deliveries that tell of an interaction or bring a token, oldest first."""
        rows = await self._do(lambda db: db.execute(_ARRIVALS, (interaction_id, token)).fetchall())
        return [Arrival(*row) for row in rows]

    async def keep_steps(self, token: str, steps: Mapping[int, Mapping[str, Any]]) -> None:
        """Keeps steps of a job's interaction by their place in it. Raises `NotFound`."""
        if (first := min(steps, default=0)) < 0:
            raise InvalidRequest(f"a step's place is counted from 0, not {first}", "steps")
        rows = [(place, _text(step)) for place, step in steps.items() if place < MAX_STEPS]

        def work(db: Database) -> None:
            with _transaction(db, token):
                found = db.execute("SELECT number FROM bridge_jobs WHERE token = ? FOR UPDATE", (token,)).fetchone()
                if found is None:
                    raise _unknown(token)
                db.executemany(_KEEP_STEP, [(found[0], *row) for row in rows])

        await self._do(work)

    async def steps(self, token: str) -> Mapping[int, Mapping[str, Any]]:
        """The steps kept of a job, in order."""
        rows = await self._do(lambda db: db.execute(_STEPS, (token,)).fetchall())
        return {place: json.loads(step) for place, step in rows}

    async def prune(self, before: float) -> int:
        """Forgets jobs settled before a time, with their steps, and deliveries that came before it and belong to none."""
        now = self._clock()

        def work(db: Database) -> int:
            with _transaction(db, "prune"):
                jobs = db.execute("DELETE FROM bridge_jobs WHERE settled < ?", (before,)).rowcount
                db.execute(_PRUNE_ARRIVALS, (before,))
                db.execute("DELETE FROM bridge_leases WHERE until <= ?", (now,))
                return jobs

        return await self._do(work)

    async def aclose(self) -> None:
        """Lets go of connections and threads, after the calls that are under way. Idempotent."""
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        self._threads.shutdown()
        self._disconnect()

    async def _one(self, statement: str, *parameters: Any) -> Job | None:
        row = await self._do(lambda db: db.execute(statement, parameters).fetchone())
        return None if row is None else _job(row)

    async def _change(self, statement: str, *parameters: Any) -> int:
        return await self._do(lambda db: db.execute(statement, parameters).rowcount)

    async def _do(self, work: Callable[[Database], _T], *, lasting: bool = False) -> _T:
        if self._closed:
            raise NotConfigured("this job store is closed; make a new one")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._work, work, lasting)

    def _work(self, work: Callable[[Database], _T], lasting: bool) -> _T:
        thread = threading.get_ident()
        db = self._connections.get(thread)
        if db is None or not db.usable():
            if db is not None:
                db.close()
            db = self._connections[thread] = self._connect()
        try:
            db.lasting(lasting)
            return work(db)
        except (UnicodeEncodeError, OverflowError) as error:  # half a surrogate pair; an integer of more than 64 bits
            raise InvalidRequest(f"the job store cannot keep this: {error}") from None
        except Exception as error:
            failure = db.failure(error)
            if failure is None:
                raise
            raise failure from None


@contextlib.contextmanager
def _transaction(db: Database, key: str) -> Iterator[None]:
    db.begin(key)
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):  # the connection may be what failed
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _close(connections: dict[int, Database]) -> None:
    while connections:
        connections.popitem()[1].close()


def _existing(db: Database, token: str) -> Any:
    row = db.execute(_GET, (token,)).fetchone()
    if row is None:
        raise _unknown(token)
    return row


def _unknown(token: str) -> BridgeError:
    return api_error(f"there is no job {token[:120]!r}", status=404, code="not_found")


def _conflict(message: str) -> BridgeError:
    return api_error(message, status=409, code="aborted")


def _checked(limit: int, name: str = "limit") -> int:
    if limit < 0:
        raise InvalidRequest(f"{name} is {limit}; give 0 or more", name)
    return limit


def _job(row: Sequence[Any]) -> Job:
    values = dict(zip(_FIELDS, row, strict=True))
    values["usage"] = None if values["usage"] is None else json.loads(values["usage"])
    values["terms"] = {} if values["terms"] is None else json.loads(values["terms"])
    return Job(**values)


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _same(value: Any) -> Any:
    return value


# What `note` may change, and how; and what is kept in another form.
_NOTED = {
    **{
        name: f"{name} = ?"
        for name in (
            "status",
            "due",
            "busy",
            "looks",
            "seen",
            "cursor",
            "progressed",
            "environment_id",
            "usage",
        )
    },
    **{name: f"{name} = COALESCE({name}, ?)" for name in ("ended", "verdict")},
}
_ENCODED: Mapping[str, Callable[[Any], Any]] = {
    "usage": lambda usage: None if usage is None else _text(usage),
}
