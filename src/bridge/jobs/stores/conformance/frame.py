"""What the checks of a job store are made of: a time that is told to pass, two stores over one database, sentences that must hold."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, NamedTuple, TypeVar

from bridge.errors import BridgeError

from ...job import Intent, Job, Place
from ..store import JobStore

__all__ = ["Check", "Clock", "Connect", "Given", "at_once", "intent", "must", "raises", "registrar", "same"]

_T = TypeVar("_T")
_SECONDS = 60  # for one check


class Clock:
    """A time that passes when it is told to; in seconds since 1970."""

    def __init__(self) -> None:
        self.now = 1_750_000_000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Lets seconds pass."""
        self.now += seconds


Connect = Callable[[Callable[[], float]], JobStore]
"""Opens the database of one check once more, with a clock."""
Check = Callable[[Connect], Coroutine[Any, Any, None]]
"""Raises `AssertionError` where a store falls short."""


class Given(NamedTuple):
    """What a check works with: two stores over one database, and their time."""

    clock: Clock
    store: JobStore
    other: JobStore
    connect: Connect

    @property
    def lease(self) -> float:
        """The stores' lease."""
        return self.store.lease

    def turn(self, number: int) -> JobStore:
        """The one and the other store in turn."""
        return (self.store, self.other)[number % 2]

    async def job(self, exact: str = "here", *, bound: str | None = None, **changes: Any) -> Job:
        """A new job, bound where an id is given."""
        job, new = await self.store.intend(intent(exact, **changes))
        must(new, f"a job at the new place {exact!r} is new")
        return job if bound is None else await self.store.bind(job.token, bound)

    async def read(self, token: str) -> Job:
        """A job that is there, as the other store sees it."""
        job = await self.other.get(token)
        if job is None:
            raise AssertionError("does not hold: a job that was kept is there for another store of the same database")
        return job


def registrar(checks: dict[str, Check]) -> Callable[[Callable[[Given], Awaitable[None]]], Check]:
    """A decorator that makes a check of a function of what is given, and puts it into `checks` under its name."""

    def register(body: Callable[[Given], Awaitable[None]]) -> Check:
        @functools.wraps(body)
        async def check(connect: Connect) -> None:
            clock = Clock()
            async with asyncio.timeout(_SECONDS):
                given = Given(clock, connect(clock), connect(clock), connect)
                try:
                    await body(given)
                finally:
                    await given.store.aclose()
                    await given.other.aclose()

        checks[body.__name__] = check
        return check

    return register


def intent(
    exact: str = "here",
    *,
    thread: str = "thread",
    attempt: str = "",
    path: str = "node",
    digest: str = "d",
    **changes: Any,
) -> Intent:
    """A job to start."""
    place = Place(thread=thread, exact=exact, path=path, attempt=attempt, digest=digest)
    return Intent(**{"place": place, "name": "research", "target": "agent-1", "backend": "local", **changes})


def must(holds: object, sentence: str) -> None:
    """Raises where a sentence does not hold."""
    if not holds:
        raise AssertionError(f"does not hold: {sentence}")


def same(found: object, expected: object, sentence: str) -> None:
    """Raises where a sentence does not hold because a value is another than expected."""
    if found != expected:
        raise AssertionError(f"does not hold: {sentence}; expected {expected!r}, found {found!r}")


async def raises(kind: type[BridgeError], call: Awaitable[object], sentence: str) -> None:
    """Raises where a sentence does not hold because a call does not raise what it should."""
    try:
        await call
    except kind:
        return
    except Exception as error:
        raise AssertionError(f"does not hold: {sentence}; it raised {error!r}") from error
    raise AssertionError(f"does not hold: {sentence}; nothing was raised")


async def at_once(calls: Iterable[Awaitable[_T]]) -> list[_T]:
    """What calls give that are made together."""
    return list(await asyncio.gather(*calls))
