"""How jobs look on a terminal: tables, one job's page, a step that just ended. It prints; what is printed is `reading`'s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.interactions import Step
from bridge.jobs.job import Job

from ..steps import plain, print_step

__all__ = ["job_page", "job_table", "tell_step", "usage_table"]

_UNKNOWN = "unknown"
# Columns that are folded less than others where a terminal is narrow.
_WIDE = {"token": 16, "interaction": 16}
_console = Console()


def job_table(jobs: Sequence[Job], now: float) -> None:
    """The jobs, one a row."""
    if not jobs:
        _console.print("no jobs")
        return
    table = _table("token", "state", "name", "target", "status", "age", "deadline", "looks", "verdict")
    for job in jobs:
        table.add_row(
            job.token,
            job.state,
            _text(job.name),
            _text(job.target),
            _text(job.status or "-"),
            _ago(now - job.created),
            _deadline(job, now),
            str(job.looks),
            job.verdict or "-",
        )
    _console.print(table)


def job_page(job: Job, steps: Mapping[int, Mapping[str, Any]], now: float) -> None:
    """One job: what its row says, its terms, the steps observed of it."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    usage = job.usage or {}
    facts: dict[str, str] = {
        "token": job.token,
        "interaction": job.interaction_id
        or f"{_UNKNOWN}: it was recorded, and nothing told yet whether it was started",
        "thread": job.thread,
        "place": job.place,
        "node": job.name,
        "target": job.target,
        "state": job.state,
        "status": job.status or _UNKNOWN,
        "verdict": job.verdict or "-",
        "started": f"{_ago(now - job.created)} ago",
        "ended": "-" if job.ended is None else f"{_ago(now - job.ended)} ago",
        "deadline": _deadline(job, now),
        "last progress": "-" if job.progressed is None else f"{_ago(now - job.progressed)} ago",
        "looks": str(job.looks),
        "environment": job.environment_id or "-",
        "usage": ", ".join(f"{name} {usage[name]}" for name in usage if isinstance(usage[name], int)) or _UNKNOWN,
        "terms": ", ".join(f"{name} {value}" for name, value in job.terms.items()) or "-",
    }
    for name, fact in facts.items():
        grid.add_row(name, _text(fact))
    _console.print(grid)
    for place, step in steps.items():
        _numbered(place, step)
    if not steps:
        _console.print("no steps observed", style="dim")


def usage_table(rows: Sequence[Mapping[str, Any]], total: Mapping[str, Any]) -> None:
    """What was used, one interaction a row, and the sums of what is known."""
    table = _table(
        "thread", "node", "interaction", "status", "in", "tools", "out", "thought", "total", "USD", "overrun"
    )
    for row in rows:
        kinds = (_number(row[f"{kind}_tokens"]) for kind in ("input", "tool_use", "output", "thought"))
        table.add_row(
            _text(row["thread"]),
            _text(row["name"]),
            _text(row["interaction_id"] or "-"),
            _text(row["status"] or "-"),
            *kinds,
            _number(row["total_tokens"]),
            _money(row["usd"]),
            _over(row["overrun"]),
        )
    _console.print(table)
    count = total["interactions"]
    tokens = _sum(_number(total["total_tokens"]), total["total_tokens_unknown"], count)
    money = _sum(_money(total["usd"]), total["usd_unknown"], count)
    _console.print(
        f"{count} {'interaction' if count == 1 else 'interactions'}: {tokens} tokens, {money} USD", highlight=False
    )


def tell_step(place: int, step: Step) -> None:
    """A step that just ended."""
    _numbered(place, step.to_wire())


def _numbered(place: int, step: Mapping[str, Any]) -> None:
    _console.print(f"{place}", end="  ", style="dim", highlight=False)
    print_step(_console, step)


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold", min_width=_WIDE.get(column))
    return table


def _text(value: str) -> Text:
    return Text(plain(value))


def _deadline(job: Job, now: float) -> str:
    if job.deadline is None:
        return "none"
    if job.ended is not None or job.state == "settled":
        return "-"
    return f"in {_ago(job.deadline - now)}" if job.deadline > now else f"passed {_ago(now - job.deadline)} ago"


def _ago(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _number(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{value:,}"


def _money(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.4f}"


def _over(value: Mapping[str, float] | None) -> str:
    if value is None:
        return _UNKNOWN
    return ", ".join(f"{amount:g} {name}" for name, amount in value.items()) or "-"


def _sum(known: str, unknown: int, count: int) -> str:
    """A sum, and of how many it knows nothing."""
    return f"{known} and {unknown} unknown" if 0 < unknown < count else known
