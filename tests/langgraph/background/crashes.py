"""What becomes of a thread whose process dies: the points at which one is killed, what follows, and the table of it.

`python -m tests.langgraph.background.crashes --write` writes the table of docs/crashes.md from what it sees. The processes are
`crashing`'s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.backends.gemini import GeminiBackend
from bridge.backends.local import LocalBackend
from bridge.backends.local.responders.base import Ending, Turn
from bridge.backends.local.responders.rules import RuleResponder
from bridge.connect import sync_backend
from bridge.http import create_app
from bridge.interactions import Step, meaning_of
from tests.langgraph.background.crashing import ANSWERED, LATER, Deed, Driver, Policy, Report, Setting, Task
from tests.receivers import served

# Seconds after which a job is given up, by default.
_DEADLINE = 7_200.0

__all__ = ["PAGE", "POINTS", "Gated", "Outcome", "Point", "Service", "calls", "crash", "rows", "serving", "written"]

PAGE = Path(__file__).parents[3] / "docs" / "crashes.md"


_POLICIES: tuple[Policy, ...] = ("fail", "recreate", "wait")


class Point(NamedTuple):
    """Where a process is killed: in which of its deeds, at which call, under which policy for starts that nobody knows of."""

    name: str
    deed: Deed
    at: str
    policy: Policy = "fail"


_STARTED = (
    ("the thread's first checkpoint is written", "before checkpoint -1 of thread"),
    ("the thread's second checkpoint is written", "before checkpoint 0 of thread"),
    ("the node's first checkpoint is written", "before checkpoint -1 of work"),
    ("the node's second checkpoint is written", "before checkpoint 0 of work"),
    ("the start is recorded", "before intend"),
)
_BOUND = (
    ("the start's result is written", "before writes in work #2"),
    ("the checkpoint behind the start is written", "before checkpoint 1 of work"),
    ("the first look", "before get"),
    ("the interrupt is written in the node", "before interrupt in work"),
    ("the interrupt is written in the thread", "before interrupt in thread"),
)
_WOKEN = (
    ("the lease is taken", "before hold"),
    ("the thread is read", "after hold"),
    ("the resumed wait looks", "before get #2"),
    ("the wait's result is written", "before writes in work"),
    ("the checkpoint behind the wait is written", "before checkpoint 2 of work"),
    ("the node's result is written", "before writes in thread"),
    ("the checkpoint behind the node is written", "before checkpoint 1 of thread"),
    ("the node behind has ended", "behind"),
    ("the thread's last checkpoint is written", "before checkpoint 2 of thread"),
    ("the lease is given back", "before release"),
    ("the job is settled", "before settle"),
)
POINTS: tuple[Point, ...] = (
    *(Point(f"run: before {name}", "run", at) for name, at in _STARTED),
    *(Point("run: recorded, before the call", "run", "before create", policy) for policy in _POLICIES),
    *(Point("run: called, before its id is kept", "run", "after create", policy) for policy in _POLICIES),
    Point("run: its id is kept", "run", "after bind"),
    *(Point(f"run: before {name}", "run", at) for name, at in _BOUND),
    Point("parked", "run", "parked"),
    *(Point(f"wake: before {name}", "sweep", at) for name, at in _WOKEN),
    Point("wake: the job is settled", "sweep", "after settle"),
)


class Outcome(NamedTuple):
    """What followed a kill: the cells of its row in the table."""

    paid: str
    """Starts that reached the service."""
    by: str
    """Who brought the thread to its end."""
    behind: str
    """How often the node behind ran: a step that was not kept is done again, as LangGraph has it."""


class Gated:
    """A responder that answers once it may."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self._rules = RuleResponder()

    async def respond(self, turn: Turn) -> AsyncIterator[Step | Ending]:
        while not self.open.is_set():
            await asyncio.sleep(0.002)
        async for step in self._rules.respond(turn):
            yield step


class Service:
    """The embedded service in this process, whose interactions end once they may."""

    def __init__(self, url: str, gate: threading.Event, created: list[tuple[str, str]]) -> None:
        self.url = url
        self.created = created
        """The token and the id of each interaction that was created, in order."""
        self._gate = gate
        self._client = sync_backend(GeminiBackend(base_url=url))

    def close(self) -> None:
        """Lets go of its connection."""
        self._client.close()

    def hold(self) -> None:
        """From here on no interaction ends."""
        self._gate.clear()

    def end(self) -> None:
        """Lets all interactions end, and waits until they have."""
        self._gate.set()
        until = time.monotonic() + 20.0
        while self.created and not meaning_of(self._client.get(self.created[-1][1]).status).ends_wait:
            assert time.monotonic() < until, "an interaction did not end"
            time.sleep(0.002)


class _Counting:
    """An ASGI app that keeps what was created, and is otherwise the one it wraps."""

    def __init__(self, app: ASGIApp, created: list[tuple[str, str]]) -> None:
        self._app = app
        self._created = created

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        creates = scope["method"] == "POST" and scope["path"].endswith("/interactions")
        asked, answered = bytearray(), bytearray()

        async def read() -> Message:
            message = await receive()
            asked.extend(message.get("body", b""))
            return message

        async def write(message: Message) -> None:
            if creates and message["type"] == "http.response.body":
                answered.extend(message.get("body", b""))
                if not message.get("more_body"):  # before the caller can have it
                    self._created.append((json.loads(asked)["labels"]["bridge-job"], json.loads(answered)["id"]))
            await send(message)

        await self._app(scope, read, write)


@contextmanager
def serving() -> Iterator[Service]:
    """The service in this process, which outlives those that are killed."""
    gated = Gated()
    local = LocalBackend(responder=gated)
    created: list[tuple[str, str]] = []
    try:
        with served(_Counting(create_app(local), created)) as url:
            service = Service(url, gated.open, created)
            yield service
            service.close()
    finally:
        gated.open.set()
        sync_backend(local).close()


def crash(
    driver: Driver, service: Service, setting: Setting, deed: Deed, at: str, *, log: Path, user_first: bool = False
) -> Outcome | None:
    """Kills a process and brings its thread to an end, as its users would: what followed. None where it never came to that call.

    First a sweeper goes its rounds; where it cannot bring the thread to its end, the user runs it again (or comes first), and where
    nobody knows whether it was started, looks that up and binds it, or else has it started again. `deed` is "run", or that of a second
    process, which is killed in place of the first. Raises AssertionError for whatever must not follow.
    """
    thread = _Thread(driver, service, setting, log)
    return thread.ended(user_first) if thread.killed(deed, at) else None


def calls(driver: Driver, service: Service, setting: Setting, deed: Deed, *, log: Path) -> list[str]:
    """The calls of a process to which nothing happens."""
    thread = _Thread(driver, service, setting, log)
    assert not thread.killed(deed, "")
    told = log.read_text().splitlines()
    return told[told.index(f"{deed}:") + 1 :]


class _Thread:
    """One thread in a store of its own."""

    def __init__(self, driver: Driver, service: Service, setting: Setting, log: Path) -> None:
        self._driver = driver
        self._service = service
        self._setting = setting
        self._log = log
        self._later = 0.0
        self._before = len(service.created)
        self._left = ""  # what the killed process had told
        service.hold()

    def do(self, deed: Deed, **more: Any) -> Report:
        """A process that does this."""
        task = Task(setting=self._setting, deed=deed, log=str(self._log), later=self._later, **more)
        return self._driver.do(task)

    def killed(self, deed: Deed, at: str) -> bool:
        """Whether the process came to the call at which it is killed."""
        report = self.do("run", kill=at if deed == "run" else None)
        if deed != "run":
            assert report.parked, self._why(report)
            self._later += LATER
            self._service.end()
            report = self.do(deed, kill=at)
        self._left = self._log.read_text()
        return report.killed

    def swept(self) -> Report:
        """Rounds of a sweeper until the thread is at its end, or there is nothing more that it could do."""
        self._service.end()
        for _ in range(4):
            self._later += LATER
            report = self.do("sweep")
            if not report.counts:
                break
        return report

    def ended(self, user_first: bool) -> Outcome:
        """What followed, with all that must hold wherever it was killed."""
        by, told = "user", False
        report = self.do("invoke") if user_first else self.swept()
        if not user_first and report.began and not report.open:
            by = "sweeper"
        else:
            if not user_first:
                report = self.do("invoke")
            if _unknown(self._left) and self._setting.on_unknown_start != "recreate":
                told = self._setting.on_unknown_start == "fail"
                assert (report.error or "").startswith("OutcomeUnknown" if told else ""), self._why(report)
                self._decide(report)
                report = self.do("invoke")
            assert report.error is None, self._why(report)
            report = self.swept()
        self._check(report)
        paid = len(self._service.created) - self._before
        may_pay_twice = (
            _unknown(self._left) and self._setting.on_unknown_start == "recreate" and "after create\n" in self._left
        )
        due = self._setting.siblings + may_pay_twice
        assert paid == due, f"{paid} paid starts: {self._why(report)}"
        behind, may_run_twice = self._log.read_text().count("behind\n"), _behind(self._left)
        assert behind in ((1, 2) if may_run_twice else (1,)), f"{behind} runs of the node behind: {self._why(report)}"
        who = f"{by}, who is told `OutcomeUnknown`" if told else by
        return Outcome(str(paid), who, "1 or 2" if may_run_twice else "1")

    def _check(self, report: Report) -> None:
        assert report.began, self._why(report)
        assert not report.open, self._why(report)
        assert report.error is None, self._why(report)
        assert report.answer is not None, self._why(report)
        assert report.answer.startswith(f"{ANSWERED}: Nothing in this conversation"), self._why(report)
        assert set(report.states) == {"settled"}, self._why(report)

    def _decide(self, report: Report) -> None:
        """What a user does who was told that nobody knows whether an interaction was started, or is tired of waiting for that."""
        (token,) = report.tokens
        found = [made for of, made in self._service.created if of == token]
        if found:
            self.do("bind", token=token, interaction_id=found[0])
        else:
            if self._setting.on_unknown_start == "wait":
                self._later += _DEADLINE
                self.swept()
            self._setting = replace(self._setting, on_unknown_start="recreate")

    def _why(self, report: Report) -> str:
        return f"{report}\n{self._setting}\n{self._log.read_text()}"


def _unknown(left: str) -> bool:
    """Whether a killed process had recorded its start, and not its id."""
    return "after intend\n" in left and "after bind\n" not in left


def _behind(left: str) -> bool:
    """Whether a killed process was in the node behind, or what that left was not kept yet."""
    return "behind\n" in left and "after checkpoint 2 of thread\n" not in left


def rows(outcomes: Sequence[tuple[Point, Outcome]]) -> str:
    """The table of what followed, as Markdown."""
    lines = [
        "| killed | `on_unknown_start` | paid starts | who goes on | runs of the node behind |",
        "|---|---|---|---|---|",
    ]
    for point, outcome in outcomes:
        lines.append("| " + " | ".join((point.name, point.policy, *outcome)) + " |")
    return "\n".join(lines) + "\n"


def written(text: str) -> dict[tuple[str, str], Outcome]:
    """What a table says, by kill point and policy."""
    cells = [
        [cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]
    return {(name, policy): Outcome(*rest) for name, policy, *rest in cells[1:]}


def main() -> None:
    """Kills a process at each point, and prints the table of what followed, or writes it into the page."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--write", action="store_true", help=f"write the table into docs/{PAGE.name}")
    options = parser.parse_args()
    outcomes = []
    with tempfile.TemporaryDirectory() as folder, serving() as service, Driver.started() as driver:
        for number, point in enumerate(POINTS):
            store = Path(folder) / str(number)
            store.mkdir()
            setting = Setting(service=service.url, store=str(store), on_unknown_start=point.policy)
            outcome = crash(driver, service, setting, point.deed, point.at, log=store / "log")
            assert outcome is not None, point
            outcomes.append((point, outcome))
    table = rows(outcomes)
    if not options.write:
        sys.stdout.write(table)
        return
    before, _, _ = PAGE.read_text().partition("| killed |")
    PAGE.write_text(before + table)


if __name__ == "__main__":
    main()
