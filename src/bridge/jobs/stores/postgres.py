"""The job store in a Postgres database, for any number of processes and machines. Statements and rows are `sql`'s.

psycopg is imported by the first call, in its thread. No part of a password stands in an error: what the driver says of a DSN is
shown without it.
"""

from __future__ import annotations

import re
import selectors
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from bridge.errors import BridgeError, ConnectionFailed, InvalidRequest, NotConfigured

from .sql import SCHEMA, Cursor, Database, SqlJobStore

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresJobStore"]

_CONNECTIONS = 4
_LOCKS = 0x62726467  # the first half of our advisory locks' keys, so that they meet nobody else's
# For a server that is gone without a word: no wait of a connection is without a limit. A DSN may say otherwise. The last is in ms.
_LIMITS: dict[str, str | int] = {
    "application_name": "interactions-bridge",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


class PostgresJobStore(SqlJobStore):
    """Jobs in tables `bridge_*` of the database that `dsn` names, made at the first call in the first schema of its search path.

    `dsn` is what libpq takes (`postgresql://user:password@host/database`, or "host=... dbname=..."); for another schema add
    `?options=-csearch_path%3Dname`. At most 4 connections are opened, and opened again after they were lost; a call waits for a lock for
    up to `lease` seconds. `clock` gives seconds since 1970; the clocks of machines that share the store must agree to a small part of the
    lease. Needs the extra `interactions-bridge[postgres]`. Calls raise `NotConfigured` where the server cannot be reached,
    `ConnectionFailed` where it goes away during one; `sent` says whether the change may have been made.
    """

    def __init__(self, dsn: str, *, lease: float = 30.0, clock: Callable[[], float] = time.time) -> None:
        super().__init__(partial(_Postgres, dsn, lease), threads=_CONNECTIONS, lease=lease, clock=clock)


class _Postgres(Database):
    def __init__(self, dsn: str, patience: float) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise NotConfigured(
                f"the Postgres job store needs an extra: pip install 'interactions-bridge[postgres]' ({error})"
            ) from None
        self._driver = psycopg
        connection: psycopg.Connection[Any] | None = None
        try:
            given = psycopg.conninfo.conninfo_to_dict(dsn)
            limits = {name: limit for name, limit in _LIMITS.items() if name not in given}
            connection = psycopg.connect(psycopg.conninfo.make_conninfo(dsn, **limits), autocommit=True)
            connection.execute(f"SET lock_timeout = {max(int(patience * 1_000), 1)}")
            self._connection = connection
            self._prepare()
        except psycopg.Error as error:
            reason = _shown(error, dsn)
        else:
            return
        if connection is not None:
            connection.close()
        raise NotConfigured(f"the Postgres of the job store cannot be used: {reason}")

    def _prepare(self) -> None:
        if self.execute("SELECT to_regclass('bridge_leases')").fetchone() == (None,):
            self.begin("schema")
            number = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
            self._connection.execute(SCHEMA.format(number=number), prepare=False)
            self.execute("COMMIT")

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> Cursor:
        return self._connection.execute(_written(statement), parameters)

    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        self._connection.cursor().executemany(_written(statement), rows)

    def begin(self, key: str) -> None:
        lock = zlib.crc32(key.encode()) - 2**31
        # One message for both, which cannot be prepared.
        begin = f"BEGIN; SELECT pg_advisory_xact_lock({_LOCKS}, {lock})"
        self._connection.execute(begin, prepare=False)

    def lasting(self, yes: bool) -> None:
        """Left to the server's own settings."""

    def usable(self) -> bool:
        if self._connection.closed:
            return False
        # Nobody was asked anything: what can be read now is the server's farewell, or the end.
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection.fileno(), selectors.EVENT_READ)
            return not selector.select(0)

    def failure(self, error: Exception) -> BridgeError | None:
        if not isinstance(error, self._driver.Error):
            return None
        if isinstance(error, self._driver.DataError):  # NUL in a text, a number too large
            return InvalidRequest(f"the job store cannot keep this: {error}")
        reason = error.diag.message_primary or type(error).__name__
        sent = self._connection.closed
        known = "and nothing tells whether the change was made" if sent else "and nothing changed"
        return ConnectionFailed(f"the Postgres of the job store failed, {known}: {reason}", sent=sent)

    def taken(self, error: Exception) -> bool:
        return isinstance(error, self._driver.errors.UniqueViolation)

    def close(self) -> None:
        self._connection.close()


@cache
def _written(statement: str) -> str:
    """A statement as psycopg reads it. Every one is made in `sql`, of names alone."""
    return statement.replace("?", "%s")


def _shown(error: Exception, dsn: str) -> str:
    """What an error says, without anything that stood in the place of a password, even of one that was not escaped."""
    secrets = re.findall(r"password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)", dsn)
    if user := re.match(r"\w+://[^:]*:(.*)@", dsn):
        secrets.append(user[1])
    text = str(error).replace(dsn, "the DSN")
    for secret in sorted(
        {part for whole in secrets for part in (whole, *re.split(r"[\W_]+", whole))}, key=len, reverse=True
    ):
        if len(secret) > 2:
            text = text.replace(secret, "***")
    return " ".join(text.split())
