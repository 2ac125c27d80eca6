"""One process of several that use a job store at once: `python -m tests.jobs.racer <store> <number> <what>`.

It says "ready", waits for a line, and writes what its store answered as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from bridge.jobs import Intent, JobStore, Place, PostgresJobStore, SqliteJobStore

PLACES = 25


def opened(where: str, lease: float = 30.0) -> JobStore:
    """The store of a path or a URL."""
    kind = PostgresJobStore if where.startswith("postgresql:") else SqliteJobStore
    return kind(where, lease=lease)


def intent(place: str, attempt: str = "", path: str = "node") -> Intent:
    return Intent(
        place=Place(thread="thread", exact=f"{place}#{attempt}", path=path, attempt=attempt, digest="d"),
        name="n",
        target="m",
        backend="b",
    )


async def race(store: JobStore, number: str) -> dict[str, list[str]]:
    """The jobs that this process was told to start, at first and when it retried, those it took, and the threads it held."""
    first = [await store.intend(intent(place, path=place)) for place in map(str, range(PLACES))]
    retry = [await store.intend(intent(place, "1", path=place)) for place in map(str, range(PLACES))]
    held = [thread for thread in map(str, range(PLACES)) if await store.hold(thread, number)]
    taken: list[str] = []
    while jobs := await store.take_due(3):
        taken += [job.token for job in jobs]
    return {
        "started": [job.token for job, new in first if new],
        "retried": [job.token for job, new in retry if new],
        "held": held,
        "taken": taken,
    }


async def main(where: str, number: str, what: str) -> None:
    store = opened(where)
    print("ready", flush=True)
    sys.stdin.readline()
    if what == "race":
        print(json.dumps(await race(store, number)))
        await store.aclose()
    elif what == "killed":
        job, _ = await store.intend(intent("killed"))
        await store.bind(job.token, "i-killed")
        os.kill(os.getpid(), signal.SIGKILL)
    else:
        await store.intend(intent("left open"))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
