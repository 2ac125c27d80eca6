"""What a job store is: the record of jobs that outlives the process, shared by all that start, wake and sweep them.

Two are ours, `SqliteJobStore` and `PostgresJobStore`; `conformance` holds what each must do, for a user's own as well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ..job import Intent, Job, State

__all__ = ["MAX_STEPS", "Arrival", "JobStore"]

# The most steps of one job that are kept; those after them are counted by the interaction itself.
MAX_STEPS = 10_000


class Arrival(NamedTuple):
    """A webhook delivery as it is kept: its own id, whom it tells of, and the token that its sender was given, if it brought it."""

    id: str
    interaction_id: str
    type: str = ""
    token: str | None = None


@runtime_checkable
class JobStore(Protocol):
    """Keeps jobs. Every method is atomic: of several callers, also in other processes, each sees all of another's change or none.

    No method blocks the event loop, and a store may be used from several loops. Raises `NotConfigured` where it cannot be reached.
    """

    @property
    def lease(self) -> float:
        """Seconds for which a hold, a taken job and a sign of life count; whoever works longer renews them."""
        ...

    def now(self) -> float:
        """The time that all of a job's are told in, in seconds since 1970. Those who share a store agree about it."""
        ...

    # --- starting

    async def intend(self, intent: Intent) -> tuple[Job, bool]:
        """The job of a place, and whether it is new.

        It is that of the exact place; else the oldest one of the same thread, path and digest that another attempt at the same retried
        node started, which from then on is at this place; else a new row, "intended", with a random token and due after one lease.
        The retried node is the same where either `attempt`, without its number, is what the other's exact place begins with.

        A new one is `busy` for one lease, and so is one that has its interaction; of one that has none it tells whether who began it
        is alive.
        """
        ...

    async def bind(self, token: str, interaction_id: str, status: str = "") -> Job:
        """Notes which interaction a job started: it is "running" now, also where it was settled as unknown, and due after one lease.

        Binding the same id again changes nothing. Raises `Conflict` where the job has another, `NotFound` where there is no such job.
        """
        ...

    async def withdraw(self, token: str) -> None:
        """Forgets a job that surely was not started. One that is bound stays."""
        ...

    async def touch(self, token: str) -> None:
        """A sign of life: the run that started the job is alive for another lease."""
        ...

    # --- reading

    async def get(self, token: str) -> Job | None:
        """A job by its token."""
        ...

    async def find(self, interaction_id: str) -> Job | None:
        """A job by its interaction."""
        ...

    async def list(
        self,
        *,
        state: State | None = None,
        thread: str | None = None,
        place: str | None = None,
        name: str | None = None,
        open: bool = False,
        before: str | None = None,
        skip: int = 0,
        limit: int = 1_000,
    ) -> Sequence[Job]:
        """Jobs, newest first.

        Those of a state, a thread, an exact place and a name; with `open` those that are not settled and were not seen to have ended; those older
        than the job of the token `before`. The newest `skip` of them are left out.
        """
        ...

    # --- waiting

    async def note(self, token: str, **seen: Any) -> Job:
        """Keeps what was seen of a job: any of status, ended, due, busy, looks, seen, cursor, progressed, verdict, environment_id,
        usage.

        A time in `ended` and a `verdict` once noted stay as they are. Raises `NotFound`.
        """
        ...

    async def settle(self, token: str) -> None:
        """Marks a job as over: its result has been taken, and nobody looks at it again. Idempotent."""
        ...

    async def take_due(
        self, limit: int = 100, *, backends: Collection[str] | None = None, names: str = ""
    ) -> Sequence[Job]:
        """Jobs that are due and not settled, of these backends' identities or of all, of names that begin so, longest due first.

        Each is due again after one lease, so that two never take the same.
        """
        ...

    # --- one at a time on a thread

    async def hold(self, thread: str, holder: str) -> bool:
        """Whether `holder` has the thread to itself now, for one lease. False where another has it."""
        ...

    async def renew(self, thread: str, holder: str) -> bool:
        """Another lease for who holds the thread. False where it is not held any more."""
        ...

    async def release(self, thread: str, holder: str) -> None:
        """Gives the thread back, if `holder` has it."""
        ...

    # --- webhooks

    async def deliver(self, arrival: Arrival) -> bool:
        """Keeps a webhook delivery. False where one of that id was kept before."""
        ...

    async def arrivals(self, *, interaction_id: str | None = None, token: str | None = None) -> Sequence[Arrival]:
        """The deliveries that tell of an interaction or bring a token, oldest first."""
        ...

    # --- for the record

    async def keep_steps(self, token: str, steps: Mapping[int, Mapping[str, Any]]) -> None:
        """Keeps steps of a job's interaction by their place in it, counted from 0.

        A step kept before is replaced; beyond `MAX_STEPS` none is kept. Raises `NotFound`.
        """
        ...

    async def steps(self, token: str) -> Mapping[int, Mapping[str, Any]]:
        """The steps kept of a job, in order."""
        ...

    async def prune(self, before: float) -> int:
        """Forgets jobs settled before a time, with their steps, and deliveries that came before it and belong to none. The jobs' number."""
        ...

    async def aclose(self) -> None:
        """Lets go of connections and threads. Idempotent."""
        ...
