"""One look at a job's interaction: what the service says of it, what of that is new, and whether a term is broken.

A look is one request. Where a term is broken the interaction is cancelled, and looked at again until it has ended. What a look saw is
kept in the store; what it means for a thread is `waking`'s to say.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any

from bridge.errors import BridgeError, ConnectionFailed, NotFound
from bridge.interactions import Interaction, Usage, meaning_of

from .agent import Agent
from .following import cursor_after
from .job import Job
from .stores.store import JobStore
from .terms import Verdict, broken, progressed_at

__all__ = ["Look", "asked", "cancelled", "look", "pause_of", "steps_seen", "stop", "until_term"]

_log = logging.getLogger("bridge.jobs")
# Seconds in which an interaction that was just made may not be found yet. Source: python-genai#2985.
_VISIBLE_WITHIN = 120.0
# Seconds within which a service shows an interaction. Its own time-out is that of whole runs: who looks at many would stand still.
SHOWN_WITHIN = 30.0
# Seconds that stopping may take, its verification included.
STOP_WITHIN = 10.0
_STOP_PAUSE = 0.5
# Seconds in which events that are there already arrive.
_EVENTS_WITHIN = 1.0
_SHORTEST_PAUSE, _FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 2.0, 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look at a job saw. `interaction` is None where the service did not show it, `problem` says why.

    `ended` tells that the wait is over: the interaction has ended, or the job was given up (`job.verdict`).
    """

    job: Job
    interaction: Interaction | None = None
    problem: BridgeError | None = None
    ended: bool = False


async def look(job: Job, backend: Agent, jobs: JobStore) -> Look:
    """Asks the service about a job, once, and keeps what is new. Raises nothing of the service's."""
    if job.interaction_id is None:
        return await _unbound(job, jobs, jobs.now())
    interaction: Interaction | None = None
    problem: BridgeError | None = None
    try:
        interaction = await asked(job.interaction_id, backend)
    except BridgeError as error:
        problem = error
    now = jobs.now()
    if isinstance(problem, NotFound) and now - (job.bound or job.created) > _VISIBLE_WITHIN:
        job = await jobs.note(job.token, verdict="lost", ended=now, looks=job.looks + 1)
        return Look(job=job, problem=problem, ended=True)
    job = await _keep(job, interaction, jobs, now, retry_after=getattr(problem, "retry_after", None))
    if job.ended is not None:
        if interaction is None and job.deadline is not None and now >= job.deadline:  # it ended, and is not to be had
            job = await jobs.note(job.token, verdict="deadline")
        known = interaction is not None or job.verdict is not None
        return Look(job=job, interaction=interaction, problem=problem, ended=known)
    job = await _progress(job, backend, jobs, now)
    if (verdict := broken(job, now)) is None:
        return Look(job=job, interaction=interaction, problem=problem)
    return await stop(job, backend, jobs, verdict)


async def asked(id: str, backend: Agent) -> Interaction:
    """An interaction as the service shows it. Raises what the backend raises, and `ConnectionFailed` where it takes too long."""
    try:
        async with asyncio.timeout(SHOWN_WITHIN):
            return await backend.get(id)
    except TimeoutError:
        raise ConnectionFailed(f"the service did not answer within {SHOWN_WITHIN:g} seconds", sent=True) from None


async def stop(job: Job, backend: Agent, jobs: JobStore, verdict: Verdict) -> Look:
    """Cancels a job's interaction and sees to it that it ended. The wait is over either way; what could not be verified is logged."""
    interaction, problem = await cancelled(job.interaction_id or "", backend)
    job = await _keep(job, interaction, jobs, jobs.now())
    if job.ended is None or (interaction is not None and interaction.status == "cancelled"):
        job = await jobs.note(job.token, verdict=verdict, ended=jobs.now())
    if interaction is None or not meaning_of(interaction.status).ends_wait:
        _log.error("interaction %s could not be cancelled and may still run: %s", job.interaction_id, problem)
    return Look(job=job, interaction=interaction, problem=problem, ended=True)


async def cancelled(id: str, backend: Agent) -> tuple[Interaction | None, BridgeError | None]:
    """Cancels an interaction, and how it stands then: it may have ended by itself, or still run where the service does not answer."""
    interaction: Interaction | None = None
    problem: BridgeError | None = None
    try:
        async with asyncio.timeout(STOP_WITHIN):
            try:
                interaction = await backend.cancel(id)
            except BridgeError as error:  # it may have ended, or the service does not know how to cancel it
                problem = error
            while interaction is None or not meaning_of(interaction.status).ends_wait:
                try:
                    interaction = await backend.get(id)
                except NotFound as error:
                    return None, error
                except BridgeError as error:
                    problem = error
                if interaction is None or not meaning_of(interaction.status).ends_wait:
                    await asyncio.sleep(_STOP_PAUSE)
    except TimeoutError:
        pass
    return interaction, problem


def pause_of(job: Job, now: float) -> float:
    """Seconds until a job that runs is worth another look: the longer it has run, the longer, but not beyond its terms."""
    pause = min(max((now - (job.bound or job.created)) / 10, _FIRST_PAUSE), _LONGEST_PAUSE)
    return min(pause, until_term(job, now))


def until_term(job: Job, now: float) -> float:
    """Seconds until a term of the job asks for a look."""
    ends = [job.deadline] if job.deadline is not None else []
    if "seconds" in job.terms:
        ends.append(job.created + job.terms["seconds"])
    if "stall_after" in job.terms:
        stall_after, progressed = job.terms["stall_after"], progressed_at(job)
        ends += [progressed + share * stall_after for share in (0.5, 1.0) if progressed + share * stall_after > now]
    return max(min(ends, default=inf) - now, _SHORTEST_PAUSE)


async def _progress(job: Job, backend: Agent, jobs: JobStore, now: float) -> Job:
    """Looks for events behind the last one known, where the interaction itself has not changed for half the time it may stand still.

    The first event found counts as new: a job is given up late rather than early.
    """
    stall_after = job.terms.get("stall_after")
    if stall_after is None or now - progressed_at(job) < stall_after / 2:
        return job
    cursor = job.cursor
    with suppress(BridgeError, TimeoutError):
        events = backend.watch(job.interaction_id or "", after=job.cursor)
        try:
            async with asyncio.timeout(_EVENTS_WITHIN):
                async for event in events:
                    cursor = cursor_after(event, cursor)
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()
    return job if cursor == job.cursor else await jobs.note(job.token, progressed=now, cursor=cursor)


async def _unbound(job: Job, jobs: JobStore, now: float) -> Look:
    """A job of which no interaction is known: a webhook may have brought it, or its time is up."""
    for arrival in await jobs.arrivals(token=job.token):
        return Look(job=await jobs.bind(job.token, arrival.interaction_id))
    if (verdict := broken(job, now)) is not None:
        job = await jobs.note(job.token, verdict=verdict, ended=now)
    return Look(job=job, ended=job.ended is not None)


async def _keep(
    job: Job, interaction: Interaction | None, jobs: JobStore, now: float, *, retry_after: float | None = None
) -> Job:
    """Notes what is new of an interaction; one that ended and was seen so before is not noted again."""
    if interaction is None:
        return await jobs.note(job.token, looks=job.looks + 1, due=now + max(pause_of(job, now), retry_after or 0.0))
    steps, known = [step.to_wire() for step in interaction.own_steps], steps_seen(job)
    seen = f"{len(steps)}:{_fingerprint(interaction)}"
    ended = meaning_of(interaction.status).ends_wait
    if seen == job.seen and ended:
        return job
    changes: dict[str, Any] = {
        "status": _text(interaction.status) or "",
        "looks": job.looks + 1,
        "due": now + pause_of(job, now),
    }
    if seen != job.seen:
        changes |= {"seen": seen, "progressed": now, "environment_id": _text(interaction.environment_id)}
        if isinstance(interaction.usage, Usage):
            changes["usage"] = interaction.usage.to_wire()
        # The last one seen before may have grown since; where some were taken back the others may be others.
        known = known if len(steps) >= known else 0
        new = {place: step for place, step in enumerate(steps) if place >= known - 1}
        if new:
            await jobs.keep_steps(job.token, new)
    if ended:
        # Who saw it takes it from here; another comes where that one died.
        changes |= {"ended": now, "due": now + jobs.lease}
    return await jobs.note(job.token, **changes)


def _text(value: Any) -> str | None:
    """A field that is a text; what does not fit is kept by the model as it came, and no column takes it."""
    return value if isinstance(value, str) else None


def steps_seen(job: Job) -> int:
    """How many steps of a job's interaction were seen; what else is kept behind them is not the interaction's."""
    return int(job.seen.partition(":")[0] or 0)


def _fingerprint(interaction: Interaction) -> str:
    # `updated` changes where nothing happened, and stands still where something did.
    body = {name: value for name, value in interaction.to_wire().items() if name != "updated"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=repr).encode("utf-8", "surrogatepass")).hexdigest()[
        :16
    ]
