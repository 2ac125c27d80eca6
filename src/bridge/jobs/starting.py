"""The start of a job: recorded before it is paid for, made once, and bound to what was paid for.

What is asked for, and what becomes of a start whose asker is gone, is the interfaces' business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bridge.errors import (
    ApiError,
    BridgeError,
    ConnectionFailed,
    InvalidRequest,
    NotConfigured,
    OutcomeUnknown,
    UnsupportedCapability,
)
from bridge.interactions import Interaction

from .job import Intent, Job
from .stores.store import JobStore
from .tasks import finish, held
from .waking import alive

__all__ = ["LABEL", "bound", "known", "made", "recorded"]

# The label, and the field of a webhook's metadata, that carries a job's token.
LABEL = "bridge-job"
# Seconds between two looks at a start that another is making.
_UNDER_WAY_PAUSE = 0.1
# Seconds after each attempt to record what was paid for.
_BIND_PAUSES = (0.1, 1.0, 3.0, 5.0, 0.0)


async def recorded(jobs: JobStore, intent: Intent) -> tuple[Job, bool]:
    """The job of a place, and whether it is new. Who is cancelled meanwhile leaves no record of a start that was never made."""
    work = held(jobs.intend(intent))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:

        async def undo() -> None:
            job, new = await work
            if new:
                await jobs.withdraw(job.token)

        await finish(undo())
        raise


async def known(jobs: JobStore, intent: Intent, job: Job) -> tuple[Job, bool]:
    """What is known of a job that was recorded before and has no interaction: the job, and whether it is the caller's to start.

    Where another may be making it that is waited for, one lease at most; then a webhook may have told. A job that is still without an
    interaction then, and not the caller's, is one of which nobody knows whether it was started.
    """
    clock = asyncio.get_running_loop().time
    until = clock() + jobs.lease
    while job.interaction_id is None and jobs.now() < job.busy and clock() < until:
        await asyncio.sleep(_UNDER_WAY_PAUSE)
        found = await jobs.get(job.token)
        if found is None:  # it was refused
            job, new = await recorded(jobs, intent)
            if new:
                return job, True
        else:
            job = found
    if job.interaction_id is None:
        for arrival in await jobs.arrivals(token=job.token):
            return await jobs.bind(job.token, arrival.interaction_id), False
    return job, False


async def made(
    jobs: JobStore, job: Job, create: Callable[[], Awaitable[Interaction]], seen: Callable[[], str] = lambda: ""
) -> Job:
    """The job, bound to what `create` starts. `seen` gives the id of an interaction that `create` knows of before it ends, or "".

    A start that surely was not made is forgotten. Raises what `create` raises, and `OutcomeUnknown` where the store is away for longer.
    """
    async with alive(jobs, job.token):
        try:
            interaction = await create()
            # What does not fit is kept as it came, so an id may be anything.
            if not isinstance(interaction.id, str) or not interaction.id:
                raise OutcomeUnknown(
                    f"{job.name}: the service answered a start without an id; nothing tells whether it runs"
                )
        except BridgeError as error:
            if started := seen():  # it runs, or ran: who comes by again finds it
                await jobs.bind(job.token, started)
            elif _never_began(error):
                await jobs.withdraw(job.token)
            else:
                await jobs.note(job.token, busy=jobs.now())  # nobody is making it any more
            raise
        return await bound(jobs, job, interaction)


async def bound(jobs: JobStore, job: Job, interaction: Interaction) -> Job:
    """The job with the interaction that was paid for. Where the store is away for longer, the error names both."""
    status = interaction.status if isinstance(interaction.status, str) else ""
    for pause in _BIND_PAUSES:
        try:
            return await jobs.bind(job.token, interaction.id, status)
        except (ConnectionFailed, NotConfigured) as error:
            failure = error
            await asyncio.sleep(pause)
    raise OutcomeUnknown(
        f"{job.name}: interaction {interaction.id} was started, and the job store could not be told ({failure}); once it is back, bind "
        f"it with `interactions-bridge jobs bind {job.token} {interaction.id}`, then run the thread again",
        partial=interaction,
    )


def _never_began(error: BridgeError) -> bool:
    """Whether an error of a create means that surely nothing was started."""
    if isinstance(error, ConnectionFailed):
        return not error.sent
    if isinstance(error, ApiError):  # refused, in the API's own form where it is the server's fault
        return error.status not in (408, 499) and (
            error.status < 500 or (error.status == 503 and isinstance(error.body, dict | list))
        )
    return isinstance(error, InvalidRequest | UnsupportedCapability | NotConfigured)
