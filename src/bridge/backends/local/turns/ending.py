"""A responder's answer up to its end: within its budgets, and with the ending that its steps mean.

What becomes of the steps (kept, streamed, told in a vendor's words) is left to others.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from bridge.interactions import Step, meaning_of, pending_calls

from ..responders.base import Ending
from .usage import Meter

__all__ = ["to_its_end"]


async def to_its_end(answer: AsyncIterator[Step | Ending], meter: Meter) -> AsyncGenerator[Step | Ending, None]:
    """The steps of an answer as the meter keeps them, and last, always, how the turn ends.

    Closes the answer. Raises what the responder raises, and `ValueError` where its ending is none.
    """
    steps: list[Step] = []
    try:
        async for item in answer:
            if isinstance(item, Ending):
                if not meaning_of(item.status).ends_wait:
                    raise ValueError(f"no turn ends with the status {item.status!r}")
                yield item
                return
            step, status = meter.take(item)
            if step is not None:
                steps.append(step)
                yield step
            if status is not None:
                yield Ending(status=status)
                return
    finally:
        if isinstance(answer, AsyncGenerator):
            await answer.aclose()
    yield Ending(status="requires_action" if pending_calls(steps) else "completed")
