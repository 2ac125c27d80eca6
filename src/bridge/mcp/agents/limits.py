"""What one caller may use of a server, so that none of them uses up the key that all share. Counted in the job store, for all servers on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from bridge.errors import InvalidRequest
from bridge.jobs.job import Job
from bridge.jobs.stores.store import JobStore
from bridge.jobs.terms import tokens_of
from bridge.tools import ToolError

from .runs import START, name_of
from .settings import AgentSettings

__all__ = ["Gate", "Limits", "check_priced"]

_MINUTE, _DAY = 60.0, 86_400.0
# Seconds for which a count of a day's use holds: it reads every job of that day.
_COUNTED_EVERY = 10.0
# Jobs that are read at once.
_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of each caller. None is no limit.

    `running` bounds runs under way, `waiting` the calls that wait for one. `tokens_per_day` and `usd_per_day` count what runs that were started in the last 24 hours are known to have used. `input_chars`
    bounds the words of one run, and with them its files, whose contents may have four times as many.
    """

    running: int = 256
    waiting: int = 512
    starts_per_minute: int = 600
    tokens_per_day: int | None = None
    usd_per_day: float | None = None
    input_chars: int = 200_000

    def __post_init__(self) -> None:
        for name in ("running", "waiting", "starts_per_minute", "tokens_per_day", "input_chars"):
            limit = getattr(self, name)
            optional = limit is None and name == "tokens_per_day"
            if not optional and not (type(limit) is int and limit > 0):
                raise InvalidRequest(f"limits.{name} is a whole number above 0, not {limit!r}", "limits")
        usd = self.usd_per_day
        if usd is not None and not (type(usd) in (int, float) and usd > 0):
            raise InvalidRequest(f"limits.usd_per_day is a number above 0, not {usd!r}", "limits")


class Gate:
    """Lets a caller start another run, or says why not. What it asks costs the same however many runs there were before this day."""

    def __init__(self, limits: Limits, jobs: JobStore) -> None:
        self._limits = limits
        self._jobs = jobs
        self._days: dict[str, tuple[float, int, float]] = {}  # when it was counted, tokens, US dollars

    async def enter(self, owner: str) -> None:
        """Raises `ToolError`, which says when or how the caller can go on."""
        limits, name, now = self._limits, name_of(owner), self._jobs.now()
        # A limit is reached where there is a job behind so many less one.
        for job in await self._jobs.list(name=name, place=START, skip=limits.starts_per_minute - 1, limit=1):
            if (wait := job.created + _MINUTE - now) > 0:
                raise ToolError(
                    f"{limits.starts_per_minute} runs were started within a minute; try again in {wait:.0f} s"
                )
        if await self._jobs.list(name=name, open=True, skip=limits.running - 1, limit=1):
            raise ToolError(
                f"{limits.running} runs are under way, and no more may be: wait for one with agent_wait, or cancel one with agent_cancel"
            )
        if limits.tokens_per_day is not None or limits.usd_per_day is not None:
            await self._check_day(name, now)

    async def _check_day(self, name: str, now: float) -> None:
        limits = self._limits
        if name not in self._days or not 0 <= now - self._days[name][0] < _COUNTED_EVERY:
            self._days = {known: day for known, day in self._days.items() if 0 <= now - day[0] < _COUNTED_EVERY}
            self._days[name] = (now, *await self._used(name, now - _DAY))
        _, tokens, usd = self._days[name]
        if limits.tokens_per_day is not None and tokens >= limits.tokens_per_day:
            raise _spent(f"{tokens} tokens", f"{limits.tokens_per_day}")
        if limits.usd_per_day is not None and usd >= limits.usd_per_day:
            raise _spent(f"{usd:.4g} US dollars", f"{limits.usd_per_day:g}")

    async def _used(self, name: str, since: float) -> tuple[int, float]:
        tokens, usd = 0, 0.0
        async for job in self._started(name, since):
            tokens += tokens_of(job.usage) or 0
            if self._limits.usd_per_day is not None:
                from bridge.jobs.prices import usd_of

                usd += usd_of(job.usage, job.terms.get("priced_as")) or 0.0
        return tokens, usd

    async def _started(self, name: str, since: float) -> AsyncIterator[Job]:
        """The jobs since then, newest first."""
        before = None
        while rows := await self._jobs.list(name=name, before=before, limit=_PAGE):
            for job in rows:
                if job.created < since:
                    return
                yield job
            before = rows[-1].token


def check_priced(limits: Limits, agents: Iterable[AgentSettings]) -> None:
    """Raises `InvalidRequest` where there is a limit in money and an agent whose price is not known, `NotConfigured` without any prices."""
    if limits.usd_per_day is None:
        return
    from bridge.jobs.prices import usd_of

    for agent in agents:
        if usd_of({"total_input_tokens": 1}, agent.terms.priced_as) is None:
            raise InvalidRequest(
                f"limits.usd_per_day: what agent {agent.name!r} costs is not known: name a model with a price as its model or in its "
                "agent_config, or limit tokens_per_day",
                "limits",
            )


def _spent(used: str, limit: str) -> ToolError:
    return ToolError(f"runs of the last 24 hours used {used}, and {limit} may be used; try again later")
