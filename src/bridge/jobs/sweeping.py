"""The sweeper's loop: looks at jobs that are due, and wakes the threads of those that are over.

It is what lost webhooks, deadlines, stalls and dead processes are found by. Several may share a store: each job is taken by one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from bridge.backend import Backend
from bridge.errors import BridgeError

from .job import Job
from .looking import look
from .stores.store import JobStore
from .waking import Resumer, resume

__all__ = ["Sweep", "sweep"]

_log = logging.getLogger("bridge.jobs")
_AT_ONCE = 16

Sweep = Mapping[str, int]
"""What a round came to: how many jobs it looked at by what became of them (see `waking.Woken`), those that failed as "failed"."""


async def sweep(
    resumer: Resumer,
    jobs: JobStore,
    backend_of: Callable[[Job], Backend | None],
    *,
    at_once: int = _AT_ONCE,
) -> Sweep:
    """One round over all jobs that are due, each with one request, so many at once. A job that fails costs the others nothing."""
    counts: Counter[str] = Counter()
    failures: list[BridgeError] = []

    async def work() -> None:
        while True:
            try:
                taken = await jobs.take_due(1)
            except BridgeError as error:  # the store's; what others resume meanwhile goes on
                failures.append(error)
                return
            if not taken:
                return
            for job in taken:
                try:
                    counts[await _look_and_wake(job, resumer, jobs, backend_of)] += 1
                except Exception as error:  # noqa: BLE001 - what a user's graph raises must not end the sweep
                    counts["failed"] += 1
                    _log.error("job %s (%s, interaction %s): %s", job.token, job.name, job.interaction_id, _told(error))

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    if failures:
        raise failures[0]
    return counts


async def _look_and_wake(
    job: Job,
    resumer: Resumer,
    jobs: JobStore,
    backend_of: Callable[[Job], Backend | None],
) -> str:
    backend = backend_of(job)
    if backend is None:
        return "foreign"
    if job.interaction_id is None and jobs.now() < job.busy:
        return "not_ended"  # it is being started
    seen = await look(job, backend, jobs)
    if not seen.ended and not (job.interaction_id is None and seen.job.interaction_id is None):
        return "not_ended"
    return await resume(resumer, jobs, seen.job)


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, BridgeError) else f"{type(error).__name__}: {error}"


async def forever(round: Callable[[], Awaitable[Sweep]], interval: float) -> None:
    """Rounds, one after the other, with `interval` seconds between; ends when it is cancelled."""
    while True:
        try:
            counts = await round()
            if counts:
                _log.info("sweep: %s", ", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
        except BridgeError as error:  # the store is away; it may be back
            _log.error("a sweep failed: %s", error)
        await asyncio.sleep(interval)
