"""The verbs that only read the job store: `list`, `show` and `usage`. What is unknown is said to be; it is never zero.

The facts are plain data here, which `--json` prints as they are; how they look on a terminal is `show`'s.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from bridge.errors import BridgeError, NotConfigured, api_error
from bridge.jobs.job import Job
from bridge.jobs.prices import usd_of
from bridge.jobs.stores.store import JobStore
from bridge.jobs.terms import overrun, tokens_of

__all__ = ["found", "list_", "show_", "usage_"]

_EVERYTHING = 2**62


async def list_(store: JobStore, args: argparse.Namespace) -> int:
    """The jobs, newest first."""
    rows = await store.list(state=args.state, thread=args.thread, limit=args.limit + 1)
    shown = rows[: args.limit]
    if args.json:
        print(json.dumps([data_of(job) for job in shown]))
    else:
        from .show import job_table

        job_table(shown, store.now())
    if len(rows) > args.limit:
        print(f"interactions-bridge jobs: there are more than {args.limit}: --limit shows them", file=sys.stderr)
    return 0


async def show_(store: JobStore, args: argparse.Namespace) -> int:
    """One job: its row, its terms and the steps observed of it."""
    job = await found(store, args.id)
    steps = await store.steps(job.token)
    if args.json:
        print(json.dumps({"job": data_of(job), "steps": [{"index": at, "step": step} for at, step in steps.items()]}))
        return 0
    from .show import job_page

    job_page(job, steps, store.now())
    return 0


async def usage_(store: JobStore, args: argparse.Namespace) -> int:
    """What each interaction used, by thread and node, and the sums of what is known."""
    jobs = await store.list(thread=args.thread, limit=_EVERYTHING)
    rows = [usage_of(job) for job in sorted(jobs, key=lambda job: (job.thread, job.name, job.created))]
    total = total_of(rows)
    if args.json:
        print(json.dumps({"rows": rows, "total": total}))
        return 0
    from .show import usage_table

    usage_table(rows, total)
    return 0


async def found(store: JobStore, id: str) -> Job:
    """The job of an interaction, or of a token. Raises `NotFound`."""
    job = await store.find(id) or await store.get(id)
    if job is None:
        raise api_error(
            f"this store has no job {id[:120]!r}; `interactions-bridge jobs list` shows those it has",
            status=404,
            code="not_found",
        )
    return job


def data_of(job: Job) -> dict[str, Any]:
    """A job as plain data."""
    return {field.name: getattr(job, field.name) for field in fields(job)}


def usage_of(job: Job) -> dict[str, Any]:
    """What a job's interaction used; None for what is not known."""
    usage = job.usage or {}
    tokens = {f"{name}_tokens": usage.get(f"total_{name}_tokens") for name in _KINDS}
    try:
        over: dict[str, float] | None = overrun(job)
    except BridgeError:  # no list of prices
        over = None
    total = tokens_of(job.usage)
    return {
        "thread": job.thread,
        "name": job.name,
        "target": job.target,
        "interaction_id": job.interaction_id,
        "status": job.status,
        **tokens,
        "total_tokens": total,
        "usd": None if total is None else _usd(job),
        "overrun": over,
    }


def total_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sums of what is known, and of how many rows it is not."""
    counted = list(rows)
    total: dict[str, Any] = {"interactions": len(counted)}
    for name in ("total_tokens", "usd"):
        known = [row[name] for row in counted if row[name] is not None]
        total[name] = sum(known) if known else None
        total[f"{name}_unknown"] = len(counted) - len(known)
    return total


_KINDS: Sequence[str] = ("input", "tool_use", "output", "thought", "cached")


def _usd(job: Job) -> float | None:
    try:
        return usd_of(job.usage, job.terms.get("priced_as") or job.target)
    except NotConfigured:
        return None
