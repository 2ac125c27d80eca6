"""Waking: setting a graph's thread going again once a job of it is over, by one waker at a time.

A wake-up is a hint: the service is asked first, and what the thread is waiting for is read before anything is resumed. How a thread is
resumed is a `Resumer`'s business, so that this knows no graph.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal, Protocol, cast

from bridge.errors import BridgeError, ConnectionFailed, NotConfigured

from .agent import Agent
from .job import Job
from .looking import look
from .stores.store import JobStore

__all__ = ["Resumed", "Resumer", "Woken", "alive", "holding", "resume", "settle", "wake"]

_log = logging.getLogger("bridge.jobs")

Resumed = Literal["resumed", "queued", "not_parked", "taken", "gone"]
"""What became of a thread. resumed: it went on, and what came of it is on disk. queued: somebody else will run it. not_parked: it is
not waiting yet, or a run of it is alive. taken: it had the result already. gone: there is no such thread here."""

Woken = Literal["resumed", "queued", "not_ended", "not_parked", "gone", "held", "settled", "unknown"]
"""What became of a wake-up. not_ended: the interaction still runs. held: another is waking the thread. settled: the job is over.
unknown: there is no such job. The others are as in `Resumed`."""

# Seconds until a thread that another held, or that was not parked yet, is tried again.
_SOON = 2.0
# Seconds after its end in which usage that is missing may still come.
_USAGE_WITHIN = 60.0
# Seconds after its end until a job is given up whose thread nobody knows: it may be another graph's that shares the store.
_FORGOTTEN_AFTER = 7 * 24 * 3600.0


class Resumer(Protocol):
    """Sets threads going again."""

    async def resume(self, job: Job) -> Resumed:
        """Resumes the job's thread, if it waits for the job. Raises what the graph raises."""
        ...

    async def took(self, job: Job) -> bool:
        """Whether, after the graph raised, the thread waits for the job no more: it has the result, or its error is on disk."""
        ...


async def wake(
    resumer: Resumer,
    jobs: JobStore,
    backend: Agent,
    job: Job,
) -> Woken:
    """Resumes the thread that waits for a job, if its interaction has ended. Raises what the graph raises."""
    if job.state == "settled":
        return "settled"
    seen = await look(job, backend, jobs)
    return await resume(resumer, jobs, seen.job) if seen.ended else "not_ended"


async def resume(resumer: Resumer, jobs: JobStore, job: Job) -> Woken:
    """Resumes the thread of a job whose wait is over, and settles the job once its result is on disk."""
    if job.terms.get("unattended"):  # its thread is at work on other things, or on none
        if job.ended is None:
            return "not_ended"
        await settle(job, jobs)
        return "settled"
    if job.verdict == "abandoned":  # only who runs its thread again may start it anew
        await settle(job, jobs)
        return "settled"
    async with holding(jobs, job.thread) as ours:
        if not ours:
            await jobs.note(job.token, due=jobs.now() + _SOON)
            return "held"
        job = await jobs.get(job.token) or job
        if job.state == "settled":
            return "settled"
        try:
            resumed = await resumer.resume(job)
        except (ConnectionFailed, NotConfigured):
            raise  # the store may have been away before the thread took its result: who comes next finds out
        except Exception:
            if await resumer.took(job):
                await settle(job, jobs)
            raise
    if resumed in ("not_parked", "queued"):
        # One that nobody has heard of yet is waited for by its webhook or its deadline.
        pause = _SOON if job.interaction_id is not None else jobs.lease
        await jobs.note(job.token, due=jobs.now() + pause)
        return "queued" if resumed == "queued" else "not_parked"
    over = jobs.now() - (job.ended or jobs.now())
    if resumed == "gone" and over < _FORGOTTEN_AFTER:
        await jobs.note(job.token, due=jobs.now() + max(jobs.lease, over / 2))
        return "gone"
    await settle(job, jobs)
    return "resumed" if resumed == "resumed" else "settled"


async def settle(job: Job, jobs: JobStore) -> None:
    """Marks a job as over. One whose usage is not known yet is looked at once more before."""
    now = jobs.now()
    over = job.ended if job.ended is not None else now
    if job.usage is None and job.interaction_id is not None and job.verdict != "lost" and now < over + _USAGE_WITHIN:
        await jobs.note(job.token, due=over + _USAGE_WITHIN)
    else:
        await jobs.settle(job.token)


@asynccontextmanager
async def holding(jobs: JobStore, thread: str) -> AsyncIterator[bool]:
    """Whether the block has a thread to itself, which it keeps until it is left."""
    holder = secrets.token_hex(8)
    if not await jobs.hold(thread, holder):
        yield False
        return
    try:
        async with _kept(lambda: jobs.renew(thread, holder), jobs.lease):
            yield True
    finally:
        await asyncio.shield(jobs.release(thread, holder))


@asynccontextmanager
async def alive(jobs: JobStore, token: str) -> AsyncIterator[None]:
    """While the block runs, others see that the run which started the job is alive."""

    async def touch() -> bool:
        await jobs.touch(token)
        return True

    async with _kept(touch, jobs.lease):
        yield


@asynccontextmanager
async def _kept(renew: Callable[[], Awaitable[bool]], lease: float) -> AsyncIterator[None]:
    """Renews a lease while the block runs; where it is lost, another may be at the same work, and the block is cancelled."""
    lost, clock = False, asyncio.get_running_loop().time

    async def renewing(work: asyncio.Task[object]) -> None:
        nonlocal lost
        until = clock() + lease
        while not lost:
            await asyncio.sleep(lease / 3)
            begun = clock()
            try:
                lost = not await renew()
                until = begun + lease
            except Exception as error:  # noqa: BLE001 - whatever failed, the store may be back before the lease is over
                _log.warning("a lease could not be renewed: %s", error)
                lost = clock() >= until
        work.cancel()

    work = cast("asyncio.Task[object]", asyncio.current_task())
    renewal = asyncio.create_task(renewing(work))
    try:
        yield
    except asyncio.CancelledError:
        if lost and not work.uncancel():
            raise BridgeError(
                "the lease was lost while its work went on, so that was stopped: whoever has it now goes on; is the store's "
                "`lease` long enough for this machine?"
            ) from None
        raise
    finally:
        renewal.cancel()
