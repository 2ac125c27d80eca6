"""The sweeper's loop: looks at jobs that are due, and wakes the threads of those that are over.

It is what lost webhooks, deadlines, stalls and dead processes are found by. Several may share a store: each job is taken by one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from bridge.errors import BridgeError

from .agent import Agent
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
    backend_of: Callable[[Job], Agent | None],
    *,
    backends: Collection[str] | None = None,
    interval: float | None = None,
    at_once: int = _AT_ONCE,
) -> Sweep:
    """Looks at the jobs that are due, each with one request, so many at once; one that takes long or fails costs the others nothing.

    Without an `interval` it ends when nothing is due any more, and raises where the store is away. With one it asks again after so
    many seconds, and goes on until it is cancelled. `backends` are the identities of those that it can ask, None for all.
    """
    counts: Counter[str] = Counter()
    under_way: set[asyncio.Task[None]] = set()

    async def work(job: Job) -> None:
        try:
            counts[await _look_and_wake(job, resumer, jobs, backend_of)] += 1
        except Exception as error:  # noqa: BLE001 - what a user's graph raises must not end the sweep
            counts["failed"] += 1
            _log.error("job %s (%s, interaction %s): %s", job.token, job.name, job.interaction_id, _told(error))

    try:
        while True:
            if len(under_way) >= at_once:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                continue
            failure = None
            try:
                taken = await jobs.take_due(1, backends=backends)
            except BridgeError as error:
                taken, failure = [], error
            for job in taken:
                task = asyncio.create_task(work(job))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            if taken:
                continue
            if interval is not None:
                if failure is not None:  # it may be back
                    _log.error("a sweep failed: %s", failure)
                elif counts:
                    _log.info("sweep: %s", ", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
                    counts.clear()
                await asyncio.sleep(interval)
            elif under_way:  # what they do may make others due
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            elif failure is not None:
                raise failure
            else:
                return counts
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _look_and_wake(
    job: Job,
    resumer: Resumer,
    jobs: JobStore,
    backend_of: Callable[[Job], Agent | None],
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
