"""Several worker processes on one Postgres, which holds the threads and the jobs; one of them is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from bridge.backends.gemini import GeminiBackend
from bridge.backends.local import LocalBackend
from bridge.http import create_app
from bridge.jobs import PostgresJobStore
from tests.conftest import ROOT
from tests.langgraph.conftest import RecordingApp
from tests.receivers import served

from .worker import LEASE, graph_of
from .working import Together, asked, on, parked_id

WORKERS, JOBS = (3, 3_000) if os.environ.get("BRIDGE_CAMPAIGN") else (2, 200)


class Elsewhere(Together):
    """The same, in the event loop of a thread."""

    loop: asyncio.AbstractEventLoop | None = None

    async def respond(self, turn: Any) -> AsyncIterator[Any]:
        self.loop = asyncio.get_running_loop()
        async for step in super().respond(turn):
            yield step

    def let_go(self) -> None:
        """Lets all turns end."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.open.set)


def killed(workers: list[asyncio.subprocess.Process]) -> None:
    """Leaves no worker behind."""
    for worker in workers:
        if worker.returncode is None:
            worker.kill()


@pytest.mark.timeout(1_800)
@pytest.mark.covers("langgraph:sweep:shared")
async def test_workers_share_parked_jobs_and_each_is_resumed_once_though_one_is_killed(
    postgres: str, tmp_path: Path
) -> None:
    """What the killed one had under way goes on elsewhere once its lease is over; nothing is started or answered twice."""
    elsewhere = Elsewhere()
    sent: list[dict[str, Any]] = []
    local, jobs = LocalBackend(tmp_path / "service", responder=elsewhere), PostgresJobStore(postgres, lease=LEASE)
    async with AsyncExitStack() as stack:
        url = stack.enter_context(served(RecordingApp(create_app(local), sent)))
        saver = await stack.enter_async_context(AsyncPostgresSaver.from_conn_string(postgres))
        await saver.setup()
        own = await stack.enter_async_context(await psycopg.AsyncConnection.connect(postgres, autocommit=True))
        await own.execute("create table resumed (number serial, thread text, worker text)")
        backend = GeminiBackend(base_url=url)
        stack.push_async_callback(backend.aclose)
        stack.push_async_callback(jobs.aclose)
        graph = graph_of(backend, jobs, saver, lambda state: {})

        async def park(thread: str) -> str:
            return parked_id(await graph.ainvoke(asked("hello"), on(thread)))

        parked: list[str] = []
        for first in range(0, JOBS, 20):
            parked += await asyncio.gather(*(park(str(thread)) for thread in range(first, first + 20)))
        assert len({*parked}) == JOBS

        async def rows() -> list[tuple[str, str]]:
            return await (await own.execute("select thread, worker from resumed order by number")).fetchall()

        workers = []
        for number in range(WORKERS):
            arguments = [
                sys.executable,
                "-m",
                "tests.langgraph.background.worker",
                postgres,
                url,
                f"w{number}",
                str(JOBS),
            ]
            workers.append(await asyncio.create_subprocess_exec(*arguments, cwd=ROOT))
        stack.callback(killed, workers)
        elsewhere.let_go()
        async with asyncio.timeout(60 + JOBS):
            while sum(worker == "w0" for _, worker in await rows()) < JOBS // 10:
                await asyncio.sleep(0.01)
            workers[0].send_signal(signal.SIGKILL)
            ends = [await worker.wait() for worker in workers]
        assert ends == [-signal.SIGKILL, *[0] * (WORKERS - 1)]

        resumed = await rows()
        assert {thread for thread, _ in resumed} == {str(thread) for thread in range(JOBS)}
        # What a process does and dies before it is on disk is done again: of the node behind, once, by another.
        again = [thread for thread, count in Counter(one for one, _ in resumed).items() if count > 1]
        assert all(next(worker for one, worker in resumed if one == thread) == "w0" for thread in again)
        others = Counter(thread for thread, worker in resumed if worker != "w0")
        assert max(others.values()) == 1
        assert len({worker for _, worker in resumed}) == WORKERS
        assert len(sent) == JOBS
        assert len(await jobs.list(state="settled", limit=JOBS + 1)) == JOBS == len(await jobs.list(limit=JOBS + 1))
        for thread in range(JOBS):
            state = await graph.aget_state(on(str(thread)))
            assert [message.type for message in state.values["messages"]] == ["human", "ai", "human"], thread
            assert not state.tasks
