"""What a call costs where there were many runs before it, counted in the instructions that the job store runs and not by a clock."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.backends.local import LocalBackend
from bridge.jobs import SqliteJobStore
from bridge.mcp import Limits
from tests.mcp.calling import ASKING, Caller, calling
from tests.mcp.history import copied

_FEW, _MANY = 30, 300
_TOOLS = ("agent_run", "agent_wait", "agent_get", "agent_list")


@pytest.mark.covers("mcp:history")
async def test_a_call_costs_the_same_however_many_runs_there_were(
    backend: LocalBackend, tmp_path: Path, serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each tool that every client uses, whether the runs were its caller's or another's."""
    connect, path, ticks, now = sqlite3.connect, tmp_path / "history.sqlite", [0], [time.time()]

    def tick() -> None:
        ticks[0] += 1

    def counting(database: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(database, **options)
        if database == path:
            connection.set_progress_handler(tick, 1)
        return connection

    async def costs(call: Caller, run: str) -> dict[str, int]:
        """The least of three calls each: the server looks after its runs now and then, too."""
        seen: dict[str, list[int]] = {tool: [] for tool in _TOOLS}
        for tool in _TOOLS * 3:
            before = ticks[0]
            await call(tool, **{"agent_run": {"input": "1"}, "agent_list": {}}.get(tool, {"run_id": run}))
            seen[tool].append(ticks[0] - before)
        return {tool: min(values) for tool, values in seen.items()}

    monkeypatch.setattr(sqlite3, "connect", counting)
    store = SqliteJobStore(path, clock=lambda: now[0])
    async with calling(serving(backend, ASKING, jobs=store, limits=Limits(running=4, starts_per_minute=8))) as call:
        run = (await call("agent_run", input="1"))["run_id"]
        await copied(store, _FEW)
        now[0] += 3_600
        few = await costs(call, run)
        now[0] += 3_600
        await copied(store, _MANY)
        await copied(store, _MANY, caller="another")
        now[0] += 3_600
        many = await costs(call, run)
    await store.aclose()
    assert min(few.values()) > 0
    assert {tool: many[tool] for tool in _TOOLS if many[tool] > 1.2 * few[tool]} == {}, few
