"""The Postgres that tests are given."""

from __future__ import annotations

import psycopg
import pytest

from .postgres import schema_of, started

pytestmark = pytest.mark.covers("repo:postgres")


def test_each_test_has_a_schema_of_its_own(postgres: str, postgres_server: str) -> None:
    """What one test writes no other sees, and nothing stays."""
    with psycopg.connect(postgres) as mine:
        mine.execute("create table kept (value int)")
    with schema_of(postgres_server) as other, psycopg.connect(other) as theirs:
        assert theirs.execute("select to_regclass('kept')").fetchone() == (None,)
        schema = theirs.execute("select current_schema()").fetchone()
    with psycopg.connect(postgres_server) as after:
        gone = after.execute("select count(*) from information_schema.schemata where schema_name = %s", schema)
        assert gone.fetchone() == (0,)


def test_a_machine_without_a_postgres_gets_one_while_it_is_needed() -> None:
    """The carried binaries start, serve schemas like any other server, and end."""
    with started() as server, schema_of(server) as url, psycopg.connect(url) as connection:
        assert connection.execute("select current_schema() like 'test_%'").fetchone() == (True,)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server, connect_timeout=2)
