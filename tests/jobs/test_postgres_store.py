"""What is Postgres' own of the job store on a server: connections that end, locks, its tables, and the secrets of a DSN."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from bridge.errors import ConnectionFailed, InvalidRequest, NotConfigured
from bridge.jobs import Arrival, PostgresJobStore

from .racer import intent


@contextmanager
def named(url: str) -> Iterator[tuple[PostgresJobStore, psycopg.Connection[Any], str]]:
    """A store, another connection, and the name under which the server knows the store."""
    name = f"jobs {time.monotonic_ns()}"
    with psycopg.connect(url, autocommit=True) as other:
        yield PostgresJobStore(f"{url}&application_name={name.replace(' ', '%20')}", lease=0.5), other, name


def end(other: psycopg.Connection[Any], name: str) -> None:
    """Ends the store's connections at the server, and waits until they are gone."""
    found = other.execute(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name = %s", (name,)
    ).fetchall()
    assert found
    assert all(gone for (gone,) in found)


@pytest.mark.covers("jobs:store:postgres")
async def test_a_connection_that_the_server_ended_is_opened_again(postgres: str) -> None:
    """The next call works, of one connection and of all."""
    with named(postgres) as (store, other, name):
        job, _ = await store.intend(intent("here"))
        end(other, name)
        assert await store.get(job.token) == job
        await asyncio.gather(*(store.touch(job.token) for _ in range(20)))
        end(other, name)
        assert all(await asyncio.gather(*(store.get(job.token) for _ in range(20))))
        await store.aclose()


@pytest.mark.covers("jobs:store:postgres")
async def test_a_connection_that_ends_during_a_call_is_an_error(postgres: str) -> None:
    """Nothing tells whether the change was made, and the error says so; the next call works."""
    with named(postgres) as (store, other, name):
        await store.list()
        with other.transaction():
            other.execute("lock table bridge_leases")
            call = asyncio.create_task(store.hold("thread", "a"))
            async with asyncio.timeout(10):
                waiting = "select 1 from pg_stat_activity where application_name = %s and wait_event_type = 'Lock'"
                while not other.execute(waiting, (name,)).fetchall():
                    await asyncio.sleep(0)
            end(other, name)
            with pytest.raises(ConnectionFailed, match="nothing tells whether the change was made") as raised:
                await call
            assert raised.value.sent
        assert await store.hold("thread", "a")
        await store.aclose()


@pytest.mark.covers("jobs:store:postgres")
async def test_a_lock_is_not_waited_for_longer_than_a_lease(postgres: str) -> None:
    """The call is an error, nothing changes, and the connection goes on."""
    with named(postgres) as (store, other, _):
        await store.list()
        with other.transaction():
            other.execute("lock table bridge_jobs")
            with pytest.raises(
                ConnectionFailed, match="nothing changed: canceling statement due to lock timeout"
            ) as raised:
                await store.intend(intent("here"))
            assert not raised.value.sent
        assert (await store.intend(intent("here")))[1]
        await store.aclose()


@pytest.mark.covers("jobs:store:postgres")
async def test_the_tables_stand_in_the_schema_of_the_url(postgres: str) -> None:
    """They are made where the search path begins, with few connections, and once."""
    with named(postgres) as (store, other, name):
        await asyncio.gather(*(store.intend(intent(f"{n}", path=f"{n}")) for n in range(40)))
        tables = other.execute(
            "select tablename from pg_tables where schemaname = current_schema() order by 1"
        ).fetchall()
        assert [table for (table,) in tables] == ["bridge_arrivals", "bridge_jobs", "bridge_leases", "bridge_steps"]
        found = other.execute("select count(*) from pg_stat_activity where application_name = %s", (name,)).fetchone()
        assert found is not None
        assert 1 <= found[0] <= 4
        await store.aclose()


@pytest.mark.covers("jobs:store:postgres")
async def test_a_database_in_which_no_table_can_be_made_is_an_error_that_says_so(postgres: str) -> None:
    """The error is the server's own, and nothing is half made."""
    store = PostgresJobStore(f"{postgres}%20-cdefault_transaction_read_only%3Don")
    with pytest.raises(NotConfigured, match="cannot execute CREATE TABLE in a read-only transaction"):
        await store.list()
    with psycopg.connect(postgres) as other:
        assert other.execute("select to_regclass('bridge_jobs')").fetchone() == (None,)
    await store.aclose()


@pytest.mark.covers("jobs:store:postgres")
async def test_text_that_postgres_cannot_keep_is_refused(postgres: str) -> None:
    """NUL in an id is an error of the caller's, and the store goes on."""
    store = PostgresJobStore(postgres)
    with pytest.raises(InvalidRequest, match="NUL"):
        await store.deliver(Arrival("d-\x00", "i"))
    assert await store.deliver(Arrival("d", "i"))
    await store.aclose()


@pytest.mark.covers("jobs:store:postgres")
async def test_without_psycopg_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named by the first call."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    store = PostgresJobStore("postgresql://127.0.0.1/test")
    with pytest.raises(NotConfigured, match=r"pip install 'interactions-bridge\[postgres\]'"):
        await store.list()
    await store.aclose()


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.covers("jobs:store:secrets")
@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://user:s3cr3t@127.0.0.1:{port}/jobs",
        "postgresql://user:s3cr3t@pass@127.0.0.1:{port}/jobs",
        "postgresql://user:pass/s3cr3t@127.0.0.1:{port}/jobs",
        "postgresql://user:pass s3cr3t@127.0.0.1:{port}/jobs",
        "postgresql://user:100%s3cr3t@127.0.0.1:{port}/jobs",
        "postgresql://127.0.0.1:{port}/jobs?user=u&password=s3cr3t&unknown=1",
        "host=127.0.0.1 port={port} user=u password=s3cr3t",
        "host=127.0.0.1 port={port} user=u password='it is s3cr3t' unknown=1",
        "host=127.0.0.1 port={port} user=u password=it is s3cr3t",
        "postgres//user:s3cr3t@127.0.0.1:{port}",
    ],
)
async def test_no_part_of_a_password_is_shown(dsn: str) -> None:
    """Not by the store, nor by the errors of a server that is not there or of a DSN that cannot be read."""
    store = PostgresJobStore(dsn.format(port=closed_port()))
    assert "s3cr3t" not in f"{store!r} {store}"
    with pytest.raises(NotConfigured, match="the Postgres of the job store cannot be used") as raised:
        await store.list()
    assert "s3cr3t" not in "".join(traceback.format_exception(raised.value))
    assert "s3cr3t" not in repr(raised.value)
    assert raised.value.__context__ is None
    await store.aclose()
