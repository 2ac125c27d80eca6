"""Work that goes on when the run that began it is cancelled: what was paid for gets its id, what is given up is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["WITHIN", "finish", "held"]

_T = TypeVar("_T")

# Seconds that a run which is being cancelled waits for such work.
WITHIN = 15.0
# The event loop itself keeps tasks alive only weakly.
_work: set[asyncio.Future[Any]] = set()


def held(work: Coroutine[Any, Any, _T]) -> asyncio.Future[_T]:
    """Begins work that nobody has to wait for."""
    task = asyncio.ensure_future(work)
    _work.add(task)
    task.add_done_callback(_work.discard)
    return task


async def finish(work: Coroutine[Any, Any, Any]) -> bool:
    """Whether work was done `WITHIN` its time, in a run that is being cancelled; where it was not, it goes on."""
    done, _ = await asyncio.wait({held(work)}, timeout=WITHIN)
    return bool(done)
