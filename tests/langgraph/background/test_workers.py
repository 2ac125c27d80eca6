"""Several worker processes on one Postgres, which holds the threads and the jobs; one of them is killed."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from bridge.backends.local import LocalBackend
from bridge.http import create_app
from bridge.jobs import PostgresJobStore
from tests.receivers import served

from .worker import LEASE, graph_of
from .working import asked, on, parked_id

WORKERS, JOBS = (3, 3_000) if os.environ.get("BRIDGE_CAMPAIGN") else (2, 200)


@pytest.mark.timeout(1_800)
@pytest.mark.covers("langgraph:sweep:shared")
async def test_workers_share_parked_jobs_and_each_is_resumed_once_though_one_is_killed(
    postgres: str, tmp_path: Path
) -> None:
    """What the killed one had under way goes on elsewhere once its lease is over; nothing is started or answered twice."""
    local = LocalBackend(tmp_path / "service", test_controls=True)
    jobs = PostgresJobStore(postgres, lease=LEASE)
    async with AsyncExitStack() as stack:
        url = stack.enter_context(served(create_app(local)))
        saver = await stack.enter_async_context(AsyncPostgresSaver.from_conn_string(postgres))
        await saver.setup()
        own = await stack.enter_async_context(await psycopg.AsyncConnection.connect(postgres, autocommit=True))
        await own.execute("create table resumed (number serial, thread text, worker text)")
        graph = graph_of(url, jobs, saver, lambda state: {}, delay=20_000)
        parked: dict[str, str] = {}

        async def park(thread: str) -> None:
            parked[thread] = parked_id(await graph.ainvoke(asked("hello"), on(thread)))

        for first in range(0, JOBS, 20):
            await asyncio.gather(*(park(str(thread)) for thread in range(first, first + 20)))
        assert len({*parked.values()}) == JOBS
