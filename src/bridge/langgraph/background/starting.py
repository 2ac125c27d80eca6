"""The start of a background interaction: recorded before it is paid for, so that a run that comes by again finds it.

Waiting for it is `waiting`'s business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any

from bridge.errors import ApiError, BridgeError, DeadlineExceeded, OutcomeUnknown
from bridge.interactions import Assembler, Interaction, InteractionCreated
from bridge.jobs.job import Intent, Job
from bridge.jobs.looking import stop, until_term
from bridge.jobs.starting import LABEL, known, made, recorded
from bridge.jobs.tasks import finish, held
from bridge.jobs.terms import Verdict, remaining

from ..turns import Turn, parent_is_gone
from .places import Standing
from .settings import Settings
from .telling import Teller

__all__ = ["start"]

_log = logging.getLogger("bridge.langgraph")


async def start(
    settings: Settings, state: Mapping[str, Any], standing: Standing, write: Callable[[Any], None], *, anew: bool
) -> dict[str, Any]:
    """Starts the interaction that the state asks for, or finds the one that was started from this place; what it leaves in the state.

    A turn begins `anew` whatever the one before it left behind, where that failed or is still parked. Raises `OutcomeUnknown` where a
    start was recorded and nothing tells what became of it, and what the service answers.
    """
    token, jobs = state.get("job"), settings.jobs
    earlier = await jobs.get(token) if token is not None else None
    if anew:
        state = {**state, "job": None, "hops": None, "approved": None}
    terms, environment = settings.terms.as_data(), None
    if not anew and earlier is not None:
        terms = remaining(terms, earlier)
        environment = earlier.environment_id
    if environment is None:
        environment = await settings.place_to_work(state, standing.thread)
    fields = settings.fields(state, planning=not state.get("approved"), terms=terms)
    if environment is not None:
        fields["environment"] = environment
    turn: Turn | None = None
    if hops := state.get("hops"):
        # What the service could not end in one go goes on from where it stopped, without its input.
        last = hops[-1]
        request = {**fields, "previous_interaction_id": last["id"], "continuation_token": last["continuation_token"]}
    elif settings.input is not None and state.get("job") is None:
        request = {**fields, "input": settings.input(state)}
    else:
        turn = settings.turn(state.get("messages") or [], fields)
        request = turn.request
    intent = Intent(
        place=standing.place({**request, "node": settings.name}),
        name=settings.name,
        target=settings.target,
        backend=settings.backend.identity,
        deadline=settings.deadline,
        terms=terms,
    )
    job, new = await recorded(jobs, intent)
    if earlier is not None and earlier.token != job.token:
        await _superseded(settings, earlier)
    if not new and job.interaction_id is None:
        job, new = await _unknown(settings, intent, job)
    if new:
        if turn is not None:
            turn.note()
        job = await _paid(settings, job, request, turn, write)
    left: dict[str, Any] = {"id": job.interaction_id, "status": job.status or "queued"}
    if environment is not None and environment != "remote" and isinstance(environment, str):
        left["environment_id"] = environment
    kept = {name: state.get(name) for name in ("hops", "approved")}
    return {**kept, "job": job.token, "interactions": {settings.name: left}}


async def _superseded(settings: Settings, earlier: Job) -> None:
    """Settles the job that this start goes on from, whose result is on disk. One that still runs was left behind, and is given up or not."""
    if earlier.state == "settled":
        return
    if earlier.ended is None and earlier.interaction_id is not None and settings.on_abandon == "cancel":
        await stop(earlier, settings.backend, settings.jobs, "abandoned")
    await settings.jobs.settle(earlier.token)


async def _unknown(settings: Settings, intent: Intent, job: Job) -> tuple[Job, bool]:
    """A start that was recorded before, and whether it is this run's to make: where nobody knows, what the node was told to do."""
    job, new = await known(settings.jobs, intent, job)
    if new or job.interaction_id is not None:
        return job, new
    if settings.on_unknown_start == "recreate":
        _log.warning(
            "%s: job %s was recorded and may have been started before; it is started again", job.name, job.token
        )
        return job, True
    if settings.on_unknown_start == "wait":
        return job, False
    raise OutcomeUnknown(
        f"{job.name}: a start was recorded (job {job.token}, thread {job.thread}) and the process ended before it was known whether "
        f"{job.target} was started, so starting again may pay twice. Three ways on: look for an interaction with the label "
        f"{LABEL}={job.token} and bind it (`interactions-bridge jobs bind {job.token} ID`), then run the thread again; "
        "on_unknown_start='wait' lets its webhook or the deadline decide; on_unknown_start='recreate' starts again"
    )


async def _paid(
    settings: Settings, job: Job, request: Mapping[str, Any], turn: Turn | None, write: Callable[[Any], None]
) -> Job:
    """Makes the call. It is never cut off: what is paid for gets an id, and a run that was cancelled meanwhile then gives it up.

    Without `background` the call is the interaction, and ends with its run or at its deadline.
    """
    seen = Assembler()
    call = _call(settings, job, request, turn, write, seen)
    if not settings.background:
        return await _in_foreground(settings, job, call, seen)
    work = held(call)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        if not work.cancelled():
            await _abandon(settings, job, work)
        raise


async def _in_foreground(settings: Settings, job: Job, call: Coroutine[Any, Any, Job], seen: Assembler) -> Job:
    async def given_up(verdict: Verdict) -> None:
        if not seen.id:
            await settings.jobs.withdraw(job.token)
            return
        await settings.jobs.bind(job.token, seen.id, seen.status)
        await settings.jobs.note(job.token, verdict=verdict, ended=settings.jobs.now())

    try:
        async with asyncio.timeout(until_term(job, settings.jobs.now())) as limit:
            return await call
    except asyncio.CancelledError:
        await finish(given_up("abandoned"))
        raise
    except TimeoutError:
        if not limit.expired():
            raise
        await given_up("deadline")
        raise DeadlineExceeded(
            f"{settings.name}: interaction {seen.id or '(not known yet)'} passed its deadline or its budget of seconds in the foreground, "
            "where it cannot be cancelled, and may still run",
            seen.id or None,
        ) from None


async def _call(
    settings: Settings,
    job: Job,
    request: Mapping[str, Any],
    turn: Turn | None,
    write: Callable[[Any], None],
    seen: Assembler,
) -> Job:
    """Starts the interaction and binds it. `seen` is what has come of one that runs inside its start."""
    marks = settings.marks(job.token)

    async def create() -> Interaction:
        try:
            return await _created(settings, {**request, **marks}, write, seen)
        except ApiError as error:
            if turn is None or not await parent_is_gone(turn, error, settings.backend):
                raise
            # The turn as a new chain, once.
            return await _created(settings, {**turn.replay(error), **marks}, write, seen)

    return await made(settings.jobs, job, create, lambda: seen.id)


async def _created(
    settings: Settings, fields: Mapping[str, Any], write: Callable[[Any], None], seen: Assembler
) -> Interaction:
    if settings.background:
        return await settings.backend.create(**fields)
    teller = Teller(settings.name, write)
    events = settings.backend.stream(**fields)
    try:
        async for event in events:
            seen.add(event)
            if isinstance(event, InteractionCreated):
                teller.state(event.interaction.id, event.interaction.status)
            teller.event(event)
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()
    interaction = seen.interaction()
    teller.look(interaction)
    teller.state(interaction.id, interaction.status)
    return interaction


async def _abandon(settings: Settings, job: Job, call: asyncio.Future[Job]) -> None:
    """What becomes of a start whose run was cancelled: it is waited for and recorded, and given up where the node says so."""

    async def end() -> None:
        try:
            bound = await call
        except BridgeError:
            return  # nothing was started, or nobody knows, and the row says so
        if settings.on_abandon == "cancel" and bound.interaction_id is not None:
            await stop(bound, settings.backend, settings.jobs, "abandoned")

    if not await finish(end()):
        _log.error("%s: job %s is still being started although its run was cancelled", job.name, job.token)
