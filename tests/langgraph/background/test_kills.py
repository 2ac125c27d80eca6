"""Processes are killed at every step of a start, a wait and a wake-up, and no thread is lost, paid for twice or resumed twice."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.langgraph.background.crashes import PAGE, POINTS, Outcome, Point, Service, calls, crash, serving, written
from tests.langgraph.background.crashing import LATER, Deed, Driver, Durability, Policy, Setting, Task
from tests.postgres import schema_of
from tests.receivers import receiving

CAMPAIGN = os.environ.get("BRIDGE_CAMPAIGN") == "1"


class Place(NamedTuple):
    """Where a thread runs and is kept."""

    database: str
    durability: Durability
    retried: bool
    deeper: bool

    def __str__(self) -> str:
        return "-".join(
            [self.database, self.durability, *(name for name in ("retried", "deeper") if getattr(self, name))]
        )


_DURABILITIES: tuple[Durability, ...] = ("async", "sync")
PLACES = [
    Place(*place) for place in itertools.product(("sqlite", "postgres"), _DURABILITIES, (True, False), (True, False))
]
# Every point once, the places in turn. 7 and 16 have no common divisor, so that neighbours differ in more than one thing.
ROUNDS = [(point, PLACES[number * 7 % len(PLACES)]) for number, point in enumerate(POINTS)]


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    """Who starts the processes."""
    with Driver.started() as driver:
        yield driver


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """The service, which is not killed."""
    with serving() as service:
        yield service


@contextmanager
def setting(place: Place, service: Service, server: str, folder: Path, policy: Policy = "fail") -> Iterator[Setting]:
    """A graph with databases of its own."""
    folder.mkdir(exist_ok=True)

    def kept(store: str) -> Setting:
        return Setting(
            service=service.url,
            store=store,
            durability=place.durability,
            retried=place.retried,
            deeper=place.deeper,
            on_unknown_start=policy,
        )

    if place.database == "sqlite":
        yield kept(str(folder))
    else:
        with schema_of(server) as url:
            yield kept(url)


@pytest.mark.covers("jobs:crash", "jobs:crash:window")
@pytest.mark.parametrize(
    ("point", "place"), ROUNDS, ids=[f"{point.name}, {point.policy}, {place}" for point, place in ROUNDS]
)
def test_a_killed_process_costs_what_the_table_says(
    point: Point, place: Place, driver: Driver, service: Service, postgres_server: str, tmp_path: Path
) -> None:
    """At each kill point, in one of the places: paid once, not lost, gone on with by whom the table names."""
    with setting(place, service, postgres_server, tmp_path, point.policy) as here:
        outcome = crash(driver, service, here, point.deed, point.at, log=tmp_path / "log")
    assert outcome == written(PAGE.read_text())[point.name, point.policy]


@pytest.mark.covers("jobs:crash:table")
def test_the_table_has_a_row_for_each_kill_point() -> None:
    """Neither a point that was not written down, nor a row that nobody tests."""
    assert list(written(PAGE.read_text())) == [(point.name, point.policy) for point in POINTS]
    assert {place for _, place in ROUNDS} == set(PLACES)


@pytest.mark.covers("jobs:crash:again")
@pytest.mark.parametrize("at", ["after intend", "after bind", "before interrupt in thread", "parked"])
def test_a_user_may_be_quicker_than_a_sweeper(at: str, driver: Driver, service: Service, tmp_path: Path) -> None:
    """A thread that its user runs again at once ends as well, and the sweeper that comes later changes nothing."""
    with setting(PLACES[-1]._replace(database="sqlite"), service, "", tmp_path) as here:
        outcome = crash(driver, service, here, "run", at, log=tmp_path / "log", user_first=True)
    assert outcome is not None
    assert outcome.paid == "1"


@pytest.mark.covers("jobs:crash:siblings")
@pytest.mark.parametrize(
    ("deed", "at"),
    [
        ("run", "after bind #2"),
        ("run", "before interrupt in work"),
        ("run", "before interrupt in thread #2"),
        ("sweep", "after hold"),
        ("sweep", "before writes in thread #2"),
    ],
)
def test_siblings_are_each_gone_on_with(deed: Deed, at: str, driver: Driver, service: Service, tmp_path: Path) -> None:
    """Two tasks that ask the same, one of them further than the other where their process dies."""
    with setting(PLACES[-1]._replace(database="sqlite"), service, "", tmp_path) as here:
        outcome = crash(driver, service, replace(here, siblings=2), deed, at, log=tmp_path / "log")
    assert outcome == Outcome("2", "sweeper", "1")


@pytest.mark.covers("jobs:wake:lease")
def test_a_dead_wakers_thread_is_taken_over_once_its_lease_is_over(
    driver: Driver, service: Service, tmp_path: Path
) -> None:
    """While the lease is fresh nobody else resumes the thread: its holder may be alive."""
    service.hold()
    with setting(PLACES[-1]._replace(database="sqlite"), service, "", tmp_path) as here:
        log = tmp_path / "log"
        task = Task(setting=here, deed="run", log=str(log))
        assert driver.do(task).parked
        service.end()
        made = service.created[-1][1]
        assert driver.do(Task(setting=here, deed="wake", kill="after hold", log=str(log), interaction_id=made)).killed
        woken = driver.do(Task(setting=here, deed="wake", log=str(log), interaction_id=made))
        assert (woken.counts, woken.open) == ({"held": 1}, True)
        woken = driver.do(Task(setting=here, deed="wake", log=str(log), interaction_id=made, later=LATER))
        assert (woken.counts, woken.open) == ({"resumed": 1}, False)
        assert log.read_text().count("behind\n") == 1


@pytest.mark.covers("jobs:crash:orphan")
def test_a_webhook_tells_of_a_start_that_nobody_knew_of(driver: Driver, service: Service, tmp_path: Path) -> None:
    """A process died before it kept the id; the delivery carries the job's token, binds it, and the thread is gone on with."""
    service.hold()
    log = str(tmp_path / "log")
    with (
        receiving() as receiver,
        setting(PLACES[-1]._replace(database="sqlite"), service, "", tmp_path, "wait") as here,
    ):
        here, before = replace(here, webhook=receiver.url), len(service.created)
        assert driver.do(Task(setting=here, deed="run", kill="after create", log=log)).killed
        service.end()
        (delivery,) = asyncio.run(receiver.got(1))
        told = Task(setting=here, deed="deliver", log=log, headers=delivery.headers, body=delivery.raw.decode())
        report = driver.do(told)
        assert (report.counts, report.states, report.open) == ({"204": 1}, ("running",), True)
        report = driver.do(Task(setting=here, deed="sweep", log=log, later=LATER))
        assert (report.counts, report.states, report.open) == ({"resumed": 1}, ("settled",), False)
    assert len(service.created) - before == 1


@pytest.mark.skipif(not CAMPAIGN, reason="campaign: a thousand processes")
@pytest.mark.timeout(3_000)
@pytest.mark.covers("jobs:crash", "jobs:crash:window")
@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_process_may_be_killed_at_every_call_it_makes(
    place: Place, driver: Driver, service: Service, postgres_server: str, tmp_path: Path
) -> None:
    """Every call of a run, of a sweeper and of a user who runs the thread again: before and after it, sweeper or user first."""
    rounds = 0
    for deed in ("run", "sweep", "invoke"):
        with setting(place, service, postgres_server, tmp_path / deed) as here:
            told = calls(driver, service, here, deed, log=tmp_path / deed / "log")
        for number, at in enumerate(told):
            policies: tuple[Policy, ...] = ("fail",)
            if deed == "run" and at in ("after intend", "before create", "after create", "before bind"):
                policies = ("fail", "recreate", "wait")
            for policy in policies:
                folder = tmp_path / f"{deed}-{number}-{policy}"
                with setting(place, service, postgres_server, folder, policy) as here:
                    user_first = number % 2 == 1
                    rounds += (
                        crash(driver, service, here, deed, at, log=folder / "log", user_first=user_first) is not None
                    )
    assert rounds > 70
