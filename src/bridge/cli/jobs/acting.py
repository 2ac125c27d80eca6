"""The verbs that do something: `cancel`, `watch`, `bind` and `prune`. A thread is never resumed from here: that needs its graph.

`cancel` and `watch` reach the service as the environment or their options say.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from bridge.backend import Backend
from bridge.connect import connect
from bridge.errors import ConnectionFailed, DeadlineExceeded, InvalidRequest, NotFound, ServiceFailed, api_error
from bridge.interactions import Step, meaning_of
from bridge.jobs.following import Follower
from bridge.jobs.job import Job
from bridge.jobs.looking import cancelled, look, pause_of
from bridge.jobs.stores.store import JobStore

from .reading import found

__all__ = ["bind_", "cancel_", "prune_", "watch_"]

_DAY = 86_400.0


async def cancel_(store: JobStore, args: argparse.Namespace) -> int:
    """Stops a job's interaction and sees that it ended. Its thread then gets the error that it was cancelled, and starts nothing anew.

    It is not noted as "abandoned": what was given up by its own run is started again when its thread goes on.
    """
    job = await found(store, args.id)
    started = _bound(job)
    if job.ended is not None:
        return _say(args, started, job.status, f"it had ended before ({job.status or job.verdict}). {_wakes(job)}")
    async with _service(args) as backend:
        await _known(backend, started)
        interaction, problem = await cancelled(started, backend)
        if interaction is None or not meaning_of(interaction.status).ends_wait:
            raise DeadlineExceeded(
                f"interaction {started} was told to stop and may still run{f' ({problem})' if problem else ''}: try again",
                started,
            )
        job = (await look(job, backend, store)).job
    return _say(args, started, interaction.status, f"it has ended: {interaction.status}. {_wakes(job)}")


async def watch_(store: JobStore, args: argparse.Namespace) -> int:
    """Follows a job's steps, each once and in order, until its interaction ends. Reads only."""
    job = await found(store, args.id)
    started, follower = _bound(job), Follower()
    if args.json:
        tell = _print_json
    else:
        from .show import tell_step as tell
    async with _service(args) as backend:
        await _known(backend, started)
        while True:
            with suppress(ConnectionFailed, ServiceFailed):  # it may be back; what was told is not told again
                async for event in backend.watch(started, after=follower.cursor):
                    for place, step in follower.add(event):
                        tell(place, step)
                interaction = await backend.get(started)
                for place, step in follower.look(interaction):
                    tell(place, step)
                if meaning_of(interaction.status).ends_wait:
                    break
            await asyncio.sleep(pause_of(job, store.now()))
    return _say(args, started, interaction.status, f"it has ended: {interaction.status}. {_wakes(job)}")


async def bind_(store: JobStore, args: argparse.Namespace) -> int:
    """Notes which interaction a job started, where its process died before it knew."""
    job = await store.bind(args.token, args.id)
    return _say(args, args.id, job.status, f"it is that of job {job.token} now. {_wakes(job)}")


async def prune_(store: JobStore, args: argparse.Namespace) -> int:
    """Forgets jobs that were settled so many days ago."""
    count = await store.prune(store.now() - args.days * _DAY)
    if args.json:
        print(json.dumps({"forgotten": count}))
    else:
        print(f"{count} {'job' if count == 1 else 'jobs'} forgotten, with their steps")
    return 0


def _bound(job: Job) -> str:
    if job.interaction_id is None:
        raise InvalidRequest(
            f"nothing tells which interaction job {job.token} started: look for the one with the label bridge-job={job.token}, and name "
            f"it with `interactions-bridge jobs bind {job.token} ID`",
            "id",
        )
    return job.interaction_id


@asynccontextmanager
async def _service(args: argparse.Namespace) -> AsyncIterator[Backend]:
    given = {"base_url": args.base_url, "api_key": args.api_key}
    backend = connect(None, **{name: value for name, value in given.items() if value})
    try:
        yield backend
    finally:
        await backend.aclose()


async def _known(backend: Backend, interaction_id: str) -> None:
    """Raises where the service does not know the interaction: another key or address must not make a job look as if it were gone."""
    try:
        await backend.get(interaction_id)
    except NotFound as error:
        raise api_error(
            f"this service does not know interaction {interaction_id}, and nothing was changed: pass the --base-url and the key that it was started with",
            status=error.status,
            code=error.code,
        ) from None


def _wakes(job: Job) -> str:
    if job.state == "settled":
        return "Its thread has the result."
    return f"Thread {job.thread!r} goes on when its Sweeper, its webhook_app or wake(graph, jobs, interaction_id) wakes it."


def _say(args: argparse.Namespace, interaction_id: str, status: str, text: str) -> int:
    """Says what became of an interaction."""
    if args.json:
        print(json.dumps({"interaction_id": interaction_id, "status": status}))
    else:
        print(f"interaction {interaction_id}: {text}")
    return 0


def _print_json(place: int, step: Step) -> None:
    print(json.dumps({"index": place, "step": step.to_wire()}), flush=True)
