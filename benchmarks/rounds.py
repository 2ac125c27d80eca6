"""How a row of the table is measured: several things in turn, round after round, against one server in a process of its own."""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Row", "cpu", "ratio", "rounds", "server"]


@dataclass(frozen=True)
class Row:
    """One line of the table: what, the ratio or time measured, and the target it is held against."""

    what: str
    measured: float
    target: str
    ok: bool
    detail: str


@contextmanager
def server(deltas: int) -> Iterator[str]:
    """The canned server in a process of its own; gives its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", str(deltas)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


async def cpu(action: Callable[[], Awaitable[object]], times: int) -> float:
    """CPU seconds of this process per call."""
    start = time.process_time()
    for _ in range(times):
        await action()
    return (time.process_time() - start) / times


async def rounds(actions: dict[str, tuple[Callable[[], Awaitable[object]], int]], count: int) -> dict[str, list[float]]:
    """Every action in turn, `count` times over, so that a slow moment of the machine falls on all of them."""
    for action, _ in actions.values():  # warm up
        await action()
        await action()
    seen: dict[str, list[float]] = {name: [] for name in actions}
    # A full collection of what was there before would fall on whoever is measured just then.
    gc.collect()
    gc.freeze()
    try:
        for _ in range(count):
            for name, (action, times) in actions.items():
                seen[name].append(await cpu(action, times))
    finally:
        gc.unfreeze()
    return seen


def ratio(over: list[float], under: list[float]) -> float:
    """The median of the rounds' own ratios."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))
