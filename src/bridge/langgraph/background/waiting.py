"""The wait for a background interaction: parked at no cost, or followed in this run; and what it leaves in the state.

Whether it is over is asked of the service each time (`bridge.jobs.looking`): a wake-up is a hint. Where it calls for functions or for an
approval the next node is named here and is `acting`'s business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

from langchain_core.messages import AIMessage, ToolCall
from langgraph.graph import END
from langgraph.types import Command, Send

from bridge.errors import (
    BridgeError,
    DeadlineExceeded,
    InteractionFailed,
    NotFound,
    OutcomeUnknown,
)
from bridge.interactions import Interaction, Usage, meaning_of
from bridge.jobs.job import Job
from bridge.jobs.looking import Look, look, pause_of, stop, until_term
from bridge.jobs.tasks import finish
from bridge.jobs.terms import overrun
from bridge.jobs.waking import alive

from ..answers import Chunks, events_of, message_of
from .files import files_of
from .settings import Settings
from .telling import Teller

__all__ = ["ACT", "APPROVE", "GO_ON", "START_NODE", "WAIT", "acts", "followed", "job_of", "left", "looked", "parked"]

_log = logging.getLogger("bridge.langgraph")
START_NODE, GO_ON, WAIT, APPROVE, ACT = "start", "go_on", "wait", "approve", "act"
# Seconds between two looks at an interaction whose stream is open.
_LOOK_EVERY = 60.0


async def job_of(settings: Settings, state: Mapping[str, Any]) -> Job:
    """The job that a state waits for. Raises `NotFound` where the store does not have it."""
    token = state.get("job")
    job = await settings.jobs.get(token) if token else None
    if job is None:
        raise NotFound(
            f"{settings.name}: the job store has no job {token!r} that this thread waits for; was the thread started with another store?",
            status=404,
            code="job_not_found",
        )
    return job


def parked(settings: Settings, job: Job) -> dict[str, Any]:
    """The value of the interrupt of a parked job."""
    return {
        "type": "interaction",
        "interaction_id": job.interaction_id,
        "name": settings.name,
        "status": job.status or "queued",
    }


async def looked(settings: Settings, job: Job, teller: Teller) -> Look:
    """One look at a job. What it saw is told: how the interaction stands, and its steps once it has ended."""
    seen = await look(job, settings.backend, settings.jobs)
    if seen.ended and seen.interaction is not None:
        teller.look(seen.interaction)
    teller.state(seen.job.interaction_id, seen.job.status or "queued")
    return seen


async def followed(settings: Settings, job: Job, teller: Teller) -> Look:
    """The look that saw the end of a job, which is followed in this run until then. A run that is cancelled gives it up, or not."""
    teller.state(job.interaction_id, job.status or "queued")
    try:
        async with alive(settings.jobs, job.token):
            while not (seen := await look(job, settings.backend, settings.jobs)).ended:
                job = seen.job
                if seen.interaction is not None:
                    teller.look(seen.interaction)
                await _until_next_look(settings, job, teller)
    except asyncio.CancelledError:
        if settings.on_abandon == "cancel" and job.interaction_id is not None:
            await finish(stop(job, settings.backend, settings.jobs, "abandoned"))
        raise
    if seen.interaction is not None:
        teller.look(seen.interaction)
    teller.state(seen.job.interaction_id, seen.job.status)
    return seen


async def _until_next_look(settings: Settings, job: Job, teller: Teller) -> None:
    """Tells steps as they come, until the stream ends or another look is due."""
    now, cursor = settings.jobs.now(), teller.cursor
    if job.interaction_id is not None and settings.backend.capabilities.stream_resume != "none":
        try:
            async with asyncio.timeout(min(_LOOK_EVERY, until_term(job, now))):
                async for event in settings.backend.watch(job.interaction_id, after=cursor):
                    teller.event(event)
            if teller.cursor != cursor:
                return
        except TimeoutError:
            return
        except BridgeError as error:
            _log.info("%s: watching interaction %s broke off: %s", settings.name, job.interaction_id, error)
    await asyncio.sleep(pause_of(job, now))


async def left(settings: Settings, state: Mapping[str, Any], seen: Look) -> Command[Any]:
    """What a job that is over leaves in the state, and where the run goes on.

    Raises `InteractionFailed` where there is no answer, `DeadlineExceeded` where the job was given up here, `OutcomeUnknown` where it
    is not known whether it was started.
    """
    job, interaction = seen.job, seen.interaction
    unknown = job.interaction_id is None and settings.on_unknown_start == "recreate"
    if job.verdict == "abandoned" or unknown:  # and somebody runs it again
        return Command(update={"job": None}, goto=GO_ON)
    _refuse_given_up(settings, seen)
    if interaction is None:
        problem = seen.problem or NotFound(f"{job.interaction_id} was not found", status=404, code="not_found")
        problem.add_note(f"while {settings.name} waited for interaction {job.interaction_id}")
        raise problem
    hops = [Interaction.parse(hop) for hop in state.get("hops") or []]
    outcome = meaning_of(interaction.status).outcome
    if outcome == "more" and interaction.continuation_token:
        return Command(update={"hops": [hop.to_wire() for hop in [*hops, interaction]]}, goto=GO_ON)
    message = _message(settings, state, [*hops, interaction])
    if outcome == "partial" and settings.on_incomplete == "raise":
        raise InteractionFailed(
            f"interaction {interaction.id} of {settings.target} ended {interaction.status}; on_incomplete='keep' gives what there is",
            interaction,
        )
    entry = {
        "id": interaction.id,
        "agent" if settings.is_agent else "model": settings.target,
        "status": interaction.status,
        "environment_id": interaction.environment_id,
        "usage": _used([*hops, interaction]),
    }
    if over := overrun(job):
        entry["overrun"] = over
    update: dict[str, Any] = {"messages": [message], "interactions": {settings.name: entry}, "hops": None}
    if outcome == "calls":
        _refuse_unknown_calls(settings, message, interaction)
        return Command(update=update, goto=APPROVE if "calls" in settings.approve else acts(state, message.tool_calls))
    if outcome == "answer" and "plan" in settings.approve and not state.get("approved"):
        return Command(update=update, goto=APPROVE)
    entry |= await files_of(settings.backend, settings.name, interaction.environment_id)
    return Command(update={**update, "job": None, "approved": None}, goto=END)


def _used(hops: Sequence[Interaction]) -> dict[str, Any] | None:
    """What a turn used in all of its hops; None where nothing is known."""
    known = [hop.usage for hop in hops if isinstance(hop.usage, Usage)]
    return reduce(Usage.__add__, known).to_wire() if known else None


def acts(state: Mapping[str, Any], calls: Sequence[ToolCall]) -> list[Send]:
    """One task for each call, so that none is run again because of another."""
    return [
        Send(ACT, {"call": call, "job": state.get("job"), "messages": state.get("messages") or []}) for call in calls
    ]


def _message(settings: Settings, state: Mapping[str, Any], hops: Sequence[Interaction]) -> AIMessage:
    """The answer, with the anchor that the next turn follows. Raises `InteractionFailed` where there is none."""
    answer = Chunks(settings.answered(state.get("messages") or []), hold_calls=settings.is_agent)
    chunks = [chunk for hop in hops for event in events_of(hop) for chunk in answer.add(event)]
    message = message_of([*chunks, *answer.last(settings.target)])
    message.name, message.id = settings.name, hops[-1].id or None
    return message


def _refuse_given_up(settings: Settings, seen: Look) -> None:
    """Raises for a job that was given up here."""
    job, interaction = seen.job, seen.interaction
    if job.verdict is not None and job.interaction_id is None:
        raise OutcomeUnknown(
            f"{settings.name}: job {job.token} was recorded, and nothing told within its deadline whether {settings.target} was started; "
            "run it in a new thread, or with on_unknown_start='recreate', to start it again"
        )
    if job.verdict not in _TEXTS or (
        interaction is not None and meaning_of(interaction.status).outcome in ("answer", "calls")
    ):
        return
    over = interaction is not None and meaning_of(interaction.status).ends_wait
    fate = (
        f"was {interaction.status}" if over and interaction is not None else "could not be cancelled and may still run"
    )
    raise DeadlineExceeded(
        f"{settings.name}: interaction {job.interaction_id} {_TEXTS[job.verdict](job)} and {fate}", job.interaction_id
    )


_TEXTS: dict[str | None, Callable[[Job], str]] = {
    "deadline": lambda job: f"passed its deadline of {round((job.deadline or 0) - job.created, 3):g} s",
    "stalled": lambda job: f"showed no progress for {job.terms['stall_after']:g} s",
    "budget": lambda job: (
        "went beyond its budget of "
        + " or ".join(f"{job.terms[name]:g} {name}" for name in ("seconds", "tokens", "usd") if name in job.terms)
    ),
}


def _refuse_unknown_calls(settings: Settings, message: AIMessage, interaction: Interaction) -> None:
    unknown = sorted({call["name"] for call in message.tool_calls} - settings.client_tools)
    unknown += [str(call["name"]) for call in message.invalid_tool_calls]
    if unknown or not message.tool_calls:
        raise InteractionFailed(
            f"interaction {interaction.id} of {settings.target} stopped as {interaction.status}: it asks for "
            f"{', '.join(unknown) or 'something'} to be called, and this node holds {', '.join(sorted(settings.client_tools)) or 'no tools'}; "
            "pass the tool in tools=",
            interaction,
        )
