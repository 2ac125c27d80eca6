"""The job store that a command line means: an SQLite file, a Postgres DSN, or the file in the user's data folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bridge.errors import NotConfigured

if TYPE_CHECKING:
    from bridge.jobs.stores.sql import SqlJobStore

__all__ = ["store_of"]

_DSN = ("postgresql://", "postgres://", "host=", "dbname=", "service=")


def store_of(given: str | None, *, make: bool) -> SqlJobStore:
    """The store. Raises `NotConfigured` where there is no such file and it is not to be made."""
    from bridge.jobs.stores.sqlite import SqliteJobStore, default_path

    if given is not None and given.startswith(_DSN):
        from bridge.jobs.stores.postgres import PostgresJobStore

        return PostgresJobStore(given)
    path = Path(given) if given else default_path()
    if not (make or path.is_file()):
        raise NotConfigured(
            f"there is no job store {str(path)!r}: pass --store with the file or the DSN that your graph uses"
        )
    return SqliteJobStore(path)
