"""When to try again, and how long to wait: the policy of `Retries`, run by tenacity.

Pure decisions over errors, and one function that repeats an attempt. tenacity is imported with the first failure.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from bridge.errors import ApiError, BridgeError, ConnectionFailed, NotFound

from .calls import Call
from .settings import Retries

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["Recent", "may_repeat", "persist"]

T = TypeVar("T")

FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0  # seconds
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_NOT_BEGUN = frozenset({429, 503})


def may_repeat(call: Call, error: BaseException, retries: Retries) -> bool:
    """Whether a call that failed so may be sent again without doing anything twice."""
    if isinstance(error, ConnectionFailed):
        return not error.sent or call.repeatable or retries.create_when_unknown
    if not isinstance(error, ApiError):
        return False
    if call.repeatable:
        return error.status in _PASSING or (error.status > 504 and error.status < 600)
    # An error in the API's own form: the service itself refused, before it began.
    return error.status in _NOT_BEGUN and isinstance(error.body, dict | list)


class Recent:
    """The ids that were created a moment ago, for which a 404 may mean "not yet visible"."""

    def __init__(self, within: float, now: Callable[[], float]) -> None:
        self._within = within
        self._now = now
        self._until: dict[str, float] = {}  # in the order they were added, so the oldest stand first

    def add(self, id: str) -> None:
        """An id became known."""
        if id:
            now = self._now()
            for old in [*self._until]:
                if self._until[old] > now and len(self._until) < 10_000:
                    break
                del self._until[old]
            self._until.setdefault(id, now + self._within)

    def drop(self, id: str) -> None:
        """It was seen, or deleted: a 404 means what it says."""
        self._until.pop(id, None)

    def __contains__(self, id: object) -> bool:
        until = self._until.get(id) if isinstance(id, str) else None
        return until is not None and self._now() < until


async def persist(
    attempt: Callable[[], Awaitable[T]],
    failure: BridgeError,
    *,
    again: Callable[[BaseException], bool],
    patient: Callable[[], bool],
    retries: Retries,
    deadline: float | None,
    now: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
) -> T:
    """Repeats an attempt that ended in `failure` until it succeeds.

    `again` says which errors allow it, `patient` whether a 404 is still asked again. Raises the last error when attempts or time
    are used up, or where the wait would outlast the deadline.
    """
    from tenacity import AsyncRetrying, retry_if_exception, wait_exponential_jitter

    before = [failure]
    growing = wait_exponential_jitter(initial=FIRST_WAIT, max=LONGEST_WAIT, jitter=FIRST_WAIT)

    async def next_attempt() -> T:
        if before:
            raise before.pop()
        return await attempt()

    def error_of(state: RetryCallState) -> BaseException | None:
        return state.outcome.exception() if state.outcome is not None else None

    def wait(state: RetryCallState) -> float:
        asked = getattr(error_of(state), "retry_after", None)
        return growing(state) if asked is None else float(asked)

    def stop(state: RetryCallState) -> bool:
        if deadline is not None and now() + state.upcoming_sleep > deadline:
            return True
        if isinstance(error_of(state), NotFound):
            return not patient()
        return state.attempt_number > retries.attempts

    return await AsyncRetrying(sleep=sleep, retry=retry_if_exception(again), wait=wait, stop=stop, reraise=True)(
        next_attempt
    )
