"""The job stores: the shared checks over SQLite and Postgres, and what holds for both."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.errors import Conflict, ConnectionFailed, InvalidRequest, NotConfigured, NotFound
from bridge.jobs import Arrival, Intent, Job, PostgresJobStore, SqliteJobStore
from bridge.jobs.stores.conformance import CHECKS, Check, Clock
from tests.conftest import ROOT

from .racer import PLACES, intent, opened

COVERED = {
    "jobs:store:binding": ["binding", "binding_otherwise", "one_binding_of_many"],
    "jobs:store:life": ["signs_of_life", "withdrawing"],
    "jobs:store:reading": ["finding", "listing"],
    "jobs:store:noting": ["noting", "noting_once", "noting_what_cannot_be"],
    "jobs:store:due": ["settling", "taking_what_is_due", "taking_at_once"],
    "jobs:store:lease": ["holding", "renewing", "releasing", "one_hold_of_many", "pruning_takes_no_thread"],
    "jobs:store:deliveries": ["deliveries", "one_delivery_of_many"],
    "jobs:store:record": ["keeping_steps", "keeping_at_once", "pruning"],
    "jobs:store:sharing": ["a_store", "closing", "several_loops"],
    "jobs:store:adopted": [
        "a_retry_adopts",
        "a_retry_adopts_its_own",
        "what_is_not_adopted",
        "siblings_are_adopted_in_turn",
        "one_adoption_of_many",
    ],
    "jobs:store:once": ["a_new_job", "a_token_is_random", "a_place_has_one_job", "places_differ", "one_start_of_many"],
}
PROMISE = {name: promise for promise, names in COVERED.items() for name in names}


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, as a path or a URL."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres"))
    return str(tmp_path / "jobs" / "jobs.sqlite3")


STEP = st.fixed_dictionaries({"type": st.text(max_size=3)})
NOTED: dict[str, st.SearchStrategy[Any]] = {
    "status": st.sampled_from(["", "completed"]),
    "ended": st.sampled_from([1.0, 2.0, None]),
    "due": st.sampled_from([0.0, 1_750_000_010.0, 2e9]),
    "verdict": st.sampled_from(["deadline", "budget", None]),
    "usage": st.none() | STEP,
}


def kind_of(where: str) -> type[SqliteJobStore | PostgresJobStore]:
    return PostgresJobStore if where.startswith("postgresql:") else SqliteJobStore


@pytest.mark.parametrize(
    "check", [pytest.param(check, id=name, marks=pytest.mark.covers(PROMISE[name])) for name, check in CHECKS.items()]
)
async def test_a_store_does_what_every_store_must(check: Check, where: str) -> None:
    """The shared checks hold over both databases."""
    await check(lambda clock: kind_of(where)(where, clock=clock))


@pytest.mark.covers("jobs:store:conformance")
def test_every_check_says_what_it_is_about() -> None:
    """Each has a sentence, and proves a promise above."""
    assert all(check.__doc__ for check in CHECKS.values())
    assert set(PROMISE) == set(CHECKS)


class AlwaysNew(SqliteJobStore):
    """Starts again what was started."""

    async def intend(self, intent: Intent) -> tuple[Job, bool]:
        return (await super().intend(intent))[0], True


class BindsAnything(SqliteJobStore):
    """Gives a job whatever interaction comes."""

    async def bind(self, token: str, interaction_id: str, status: str = "") -> Job:
        job = await self.get(token)
        assert job is not None
        return job


class HeldByAll(SqliteJobStore):
    """Gives a thread to everyone."""

    async def hold(self, thread: str, holder: str) -> bool:
        return True


class Forgetful(SqliteJobStore):
    """Forgets its jobs."""

    async def get(self, token: str) -> Job | None:
        return None


class Lax(SqliteJobStore):
    """Takes what it should refuse."""

    async def keep_steps(self, token: str, steps: Any) -> None:
        if await self.get(token) is not None and min(steps, default=0) >= 0:
            await super().keep_steps(token, steps)


class Confused(SqliteJobStore):
    """Raises another error than it should."""

    async def note(self, token: str, **seen: Any) -> Job:
        if token == "nothing":
            raise ConnectionFailed("lost", sent=True)
        return await super().note(token, **seen)


@pytest.mark.covers("jobs:store:conformance")
@pytest.mark.parametrize(
    ("store", "check", "sentence"),
    [
        (AlwaysNew, "a_place_has_one_job", "the job of a place is found again"),
        (AlwaysNew, "one_start_of_many", "one of many at one place is told that the job is new; expected 1, found 20"),
        (BindsAnything, "binding", "a bound job runs; expected"),
        (HeldByAll, "holding", "a held thread cannot be held by another"),
        (Forgetful, "a_new_job", "a job that was kept is there"),
        (Lax, "keeping_steps", "keeping steps of no job raises NotFound; nothing was raised"),
        (Confused, "noting_what_cannot_be", "raises NotFound; it raised ConnectionFailed"),
    ],
)
async def test_a_store_that_falls_short_is_told_so(
    store: type[SqliteJobStore], check: str, sentence: str, tmp_path: Path
) -> None:
    """A check fails with the sentence that does not hold."""
    with pytest.raises(AssertionError, match="does not hold") as raised:
        await CHECKS[check](lambda clock: store(tmp_path / "jobs", clock=clock))
    assert sentence in str(raised.value)


@contextmanager
def racing(where: str, number: int, what: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that use a store, set off together."""
    command = [sys.executable, "-W", "error", "-m", "tests.jobs.racer", where]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    runners = [subprocess.Popen([*command, str(index), what], cwd=ROOT, text=True, **pipes) for index in range(number)]
    try:
        for runner in runners:
            assert runner.stdout is not None
            assert runner.stdout.readline() == "ready\n"
        yield runners
    finally:
        for runner in runners:
            runner.kill()
            runner.communicate(timeout=10)


@pytest.mark.covers("jobs:store:processes")
def test_processes_that_share_a_store_start_take_and_hold_each_thing_once(where: str) -> None:
    """Three processes make one database together, and none does what another has done."""
    with racing(where, 3, "race") as runners:
        for runner in runners:
            assert runner.stdin is not None
            runner.stdin.write("go\n")
            runner.stdin.flush()
        ended = [runner.communicate(timeout=50) for runner in runners]
    assert [errors for _, errors in ended] == ["", "", ""]
    answers = [json.loads(text) for text, _ in ended]
    started = [token for answer in answers for token in answer["started"]]
    assert len(set(started)) == len(started) == PLACES
    assert [answer["retried"] for answer in answers] == [[], [], []]
    held = [thread for answer in answers for thread in answer["held"]]
    assert sorted(held, key=int) == [str(number) for number in range(PLACES)]
    assert [answer["taken"] for answer in answers] == [[], [], []]


@pytest.mark.covers("jobs:store:processes")
async def test_processes_share_what_is_due(where: str) -> None:
    """Each due job is taken by one of three processes."""
    past = Clock()
    store = kind_of(where)(where, clock=past)
    tokens = [(await store.intend(intent(f"due {number}", path=f"{number}")))[0].token for number in range(60)]
    await store.aclose()
    with racing(where, 3, "race") as runners:
        ended = await asyncio.gather(*(asyncio.to_thread(runner.communicate, "go\n", 50) for runner in runners))
    taken = [token for text, _ in ended for token in json.loads(text)["taken"]]
    assert sorted(taken) == sorted(tokens)


@pytest.mark.covers("jobs:store:killed")
async def test_what_was_recorded_outlasts_a_kill(where: str) -> None:
    """A process that is killed when `bind` has just returned leaves the job and its interaction."""
    with racing(where, 1, "killed") as (runner,):
        await asyncio.to_thread(runner.communicate, "go\n", 50)
        assert runner.returncode == -signal.SIGKILL
    store = opened(where)
    job = await store.find("i-killed")
    assert job is not None
    assert (job.state, job.place) == ("running", "killed#")
    await store.aclose()


@pytest.mark.covers("jobs:store:threads")
def test_a_store_that_nobody_closes_keeps_no_process_alive(where: str) -> None:
    """The process ends, with nothing to say."""
    with racing(where, 1, "left open") as (runner,):
        assert runner.communicate("go\n", 30) == ("", "")
        assert runner.returncode == 0


@pytest.mark.covers("jobs:store:threads")
async def test_a_store_that_is_forgotten_lets_go_of_its_connections(where: str) -> None:
    """A store that is collected leaves no open file or connection, which would be a warning and so an error here."""
    store = opened(where)
    await store.intend(intent("forgotten"))
    del store
    gc.collect()
    again = opened(where)
    assert len(await again.list()) == 1
    await again.aclose()


@pytest.mark.covers("jobs:store:refused")
async def test_a_closed_store_says_so(where: str) -> None:
    """A call after closing is refused."""
    store = opened(where)
    await store.aclose()
    with pytest.raises(NotConfigured, match="closed"):
        await store.get("x")


@pytest.mark.covers("jobs:store:refused")
async def test_what_no_store_can_keep_is_refused(where: str) -> None:
    """A text that is no Unicode, a number beyond 64 bits, a lease of nothing; the store goes on."""
    store = opened(where)
    job, _ = await store.intend(intent("here"))
    for call in (
        store.bind(job.token, "half \ud800"),
        store.note(job.token, looks=2**70),
        store.intend(intent("half \ud800")),
    ):
        with pytest.raises(InvalidRequest, match="cannot keep this"):
            await call
    assert await store.get(job.token) == job
    await store.aclose()
    with pytest.raises(InvalidRequest, match="lease is 0"):
        opened(where, lease=0)


@pytest.mark.covers("jobs:store:sharing")
async def test_a_cancelled_call_leaves_the_store_working(where: str) -> None:
    """Whoever is cancelled while the store works takes nothing of others' calls away."""
    store = opened(where)
    calls = [asyncio.create_task(store.intend(intent(f"{number}", path=f"{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    done = await asyncio.gather(*calls, return_exceptions=True)
    kept = [answer[0].token for answer in done if not isinstance(answer, BaseException)]
    assert len(kept) >= 10
    assert set(kept) <= {job.token for job in await store.list()}
    await store.aclose()


CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("intend"), st.sampled_from("ab"), st.sampled_from(["", "1", "2"]), st.sampled_from("pq")),
        st.tuples(st.just("bind"), st.integers(0, 3), st.sampled_from(["i-1", "i-2", "i-3"])),
        st.tuples(st.sampled_from(["withdraw", "touch", "settle", "get", "steps"]), st.integers(0, 3)),
        st.tuples(st.just("note"), st.integers(0, 3), st.fixed_dictionaries({}, optional=NOTED)),
        st.tuples(st.just("take_due"), st.integers(0, 3)),
        st.tuples(st.sampled_from(["hold", "renew", "release"]), st.sampled_from("ab"), st.sampled_from("xy")),
        st.tuples(st.just("deliver"), st.sampled_from(["d-1", "d-2"]), st.sampled_from(["i-1", "i-9"])),
        st.tuples(st.just("keep_steps"), st.integers(0, 3), st.dictionaries(st.integers(-1, 3), STEP, max_size=3)),
        st.tuples(st.sampled_from(["prune", "pass_by"]), st.sampled_from([0.0, 10.0, 30.0])),
        st.tuples(st.just("list"), st.sampled_from([None, "intended", "running", "settled"])),
    ),
    max_size=40,
)


async def answers(store: SqliteJobStore | PostgresJobStore, clock: Clock, calls: list[tuple[Any, ...]]) -> list[object]:
    """What a store answers to calls one after another, with its tokens numbered."""
    tokens: list[str] = []

    def plain(answer: object) -> object:
        if isinstance(answer, Job):
            return replace(answer, token=str(tokens.index(answer.token)))
        return [plain(one) for one in answer] if isinstance(answer, (list, tuple)) else answer

    async def made(name: str, *rest: Any) -> object:
        if name == "intend":
            place, attempt, path = rest
            job, new = await store.intend(intent(place, attempt, path))
            tokens.extend([job.token] if new else [])
            return job, new
        if name == "pass_by":
            clock.pass_by(*rest)
            return None
        if name == "prune":
            return await store.prune(clock.now - rest[0])
        if name == "deliver":
            return await store.deliver(Arrival(*rest)), await store.arrivals(interaction_id=rest[1])
        if name == "note":
            return await store.note(known(rest[0]), **rest[1])
        if name == "list":
            return await store.list(state=rest[0])
        if name in ("take_due", "hold", "renew", "release"):
            return await getattr(store, name)(*rest)
        return await getattr(store, name)(known(rest[0]), *rest[1:])

    def known(number: int) -> str:
        return tokens[number] if number < len(tokens) else "nothing"

    found: list[object] = []
    for name, *rest in calls:
        try:
            found.append(plain(await made(name, *rest)))
        except (NotFound, Conflict, InvalidRequest) as error:
            found.append(type(error))
    return found


@pytest.mark.covers("jobs:store:alike")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(calls=CALLS)
def test_both_databases_answer_alike(postgres: str, calls: list[tuple[Any, ...]]) -> None:
    """Whatever is called in whatever order, each answer of SQLite is that of Postgres."""

    async def both() -> None:
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = Clock(), Clock()
            sqlite = SqliteJobStore(Path(folder) / "jobs", clock=ours)
            server = PostgresJobStore(postgres, clock=theirs)
            try:
                await server.list()
                with psycopg.connect(postgres) as other:
                    other.execute("truncate bridge_jobs, bridge_steps, bridge_arrivals, bridge_leases restart identity")
                assert await answers(sqlite, ours, calls) == await answers(server, theirs, calls)
            finally:
                await sqlite.aclose()
                await server.aclose()

    asyncio.run(both())
