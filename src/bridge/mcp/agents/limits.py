"""What one caller may use of a server, so that none of them uses up the key that all share. Counting is of this process and its job store."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields

from bridge.errors import InvalidRequest
from bridge.jobs.job import Job
from bridge.jobs.stores.store import JobStore
from bridge.jobs.terms import tokens_of
from bridge.tools import ToolError

__all__ = ["Gate", "Limits"]

_MINUTE, _DAY = 60.0, 86_400.0
# The most rows that are counted.
_COUNTED = 10_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of each caller. `tokens_per_day` counts what runs of the last 24 hours are known to have used; None is no limit.

    `input_chars` bounds the words of one run, and with them its files, whose contents may have four times as many.
    """

    running: int = 256
    starts_per_minute: int = 600
    tokens_per_day: int | None = None
    input_chars: int = 200_000

    def __post_init__(self) -> None:
        for field in fields(self):
            limit = getattr(self, field.name)
            optional = limit is None and field.name == "tokens_per_day"
            if not optional and not (type(limit) is int and limit > 0):
                raise InvalidRequest(f"limits.{field.name} is a whole number above 0, not {limit!r}", "limits")


class Gate:
    """Lets a caller start another run, or says why not."""

    def __init__(self, limits: Limits, jobs: JobStore) -> None:
        self._limits = limits
        self._jobs = jobs
        self._starts: dict[str, deque[float]] = {}

    async def enter(self, owner: str, name: str) -> None:
        """Counts a start of the caller whose jobs are called `name`. Raises `ToolError`, which says when or how it can go on."""
        limits, now = self._limits, self._jobs.now()
        starts = self._recent(owner, now)
        if len(starts) >= limits.starts_per_minute:
            wait = starts[0] + _MINUTE - now
            raise ToolError(f"{limits.starts_per_minute} runs were started within a minute; try again in {wait:.0f} s")
        starts.append(now)
        running = 0
        for state in ("intended", "running"):
            rows = await self._jobs.list(state=state, name=name, limit=_COUNTED)
            running += sum(job.ended is None for job in rows)
        if running >= limits.running:
            raise ToolError(
                f"{running} runs are under way, and {limits.running} may be; wait for one with agent_wait, or cancel one with agent_cancel"
            )
        if limits.tokens_per_day is not None:
            used = _tokens(await self._jobs.list(name=name, limit=_COUNTED), now - _DAY)
            if used >= limits.tokens_per_day:
                raise ToolError(
                    f"runs of the last 24 hours used {used} tokens, and {limits.tokens_per_day} may be used; try again later"
                )

    def _recent(self, owner: str, now: float) -> deque[float]:
        for known, times in list(self._starts.items()):
            while times and times[0] <= now - _MINUTE:
                times.popleft()
            if not times:
                del self._starts[known]
        return self._starts.setdefault(owner, deque())


def _tokens(jobs: Sequence[Job], since: float) -> int:
    return sum(tokens_of(job.usage) or 0 for job in jobs if job.created >= since)
