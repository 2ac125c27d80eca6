"""A long history of runs, without the time that it takes to have one."""

from __future__ import annotations

from bridge.jobs import Intent, JobStore, Place

__all__ = ["copied"]


async def copied(jobs: JobStore, count: int, *, caller: str | None = None) -> None:
    """Makes the newest run of a store, which is over, into so many more, of the same caller or of another."""
    [run] = await jobs.list(limit=1)
    steps, name = await jobs.steps(run.token), run.name if caller is None else f"mcp:{caller}"
    for number in range(count):
        place = Place(thread=f"{name}:{run.token}{number}", exact=run.place, path=run.place)
        intent = Intent(place=place, name=name, target=run.target, backend=run.backend, terms=run.terms)
        job, _ = await jobs.intend(intent)
        await jobs.bind(job.token, f"{place.thread} {run.interaction_id}", run.status)
        await jobs.keep_steps(job.token, steps)
        await jobs.note(job.token, ended=run.ended, usage=run.usage)
        await jobs.settle(job.token)
