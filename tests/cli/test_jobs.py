"""`interactions-bridge jobs`: the record of background work, read and acted on from a terminal, over real files and HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph

from bridge.backends.gemini import GeminiBackend
from bridge.backends.local import LocalBackend
from bridge.cli import main
from bridge.connect import sync_backend
from bridge.errors import InteractionFailed
from bridge.http import create_app
from bridge.jobs import Intent, Job, JobStore, Place, PostgresJobStore, SqliteJobStore
from bridge.langgraph import InteractionsState, interactions_node, wake
from tests.http.process import COMMAND
from tests.receivers import served

AGENT = "antigravity-preview-09-2026"
SLOW = {"local-delay-ms": "600000"}


@dataclass
class Work:
    """A graph whose threads park for background work, on files of this test; each call is a process of its own, in small."""

    url: str
    folder: Path

    @property
    def store(self) -> str:
        return str(self.folder / "jobs.sqlite")

    def run(self, act: Callable[[Any, JobStore, GeminiBackend], Any], **settings: Any) -> Any:
        """What `act` gives of the graph, its store and its backend."""

        async def work() -> Any:
            async with (
                GeminiBackend(base_url=self.url, retries=0) as backend,
                aclosing(SqliteJobStore(self.store)) as jobs,
                AsyncSqliteSaver.from_conn_string(str(self.folder / "threads.sqlite")) as saver,
            ):
                made = {"agent": AGENT, "name": "analyst", "backend": backend, "jobs": jobs, **settings}
                graph = StateGraph(InteractionsState).add_node("analyst", interactions_node(**made))
                return await act(graph.add_edge(START, "analyst").compile(checkpointer=saver), jobs, backend)

        return asyncio.run(work())

    def park(self, thread: str = "1", labels: dict[str, str] | None = None, **settings: Any) -> Job:
        """The job that a thread is parked for."""

        async def act(graph: Any, jobs: JobStore, _: GeminiBackend) -> Job:
            asked = {"messages": [HumanMessage("Write a report.")]}
            await graph.ainvoke(asked, {"configurable": {"thread_id": thread}})
            return (await jobs.list(thread=thread))[0]

        job: Job = self.run(act, labels=labels, **settings)
        return job

    def wake(self, job: Job, **settings: Any) -> Any:
        """What became of a wake-up, once the interaction has ended."""

        async def act(graph: Any, jobs: JobStore, _: GeminiBackend) -> Any:
            async with asyncio.timeout(20):
                while (woken := await wake(graph, jobs, job.interaction_id or "")) == "not_ended":
                    await asyncio.sleep(0.01)
            return woken

        return self.run(act, **settings)

    def job(self, token: str) -> Job:
        """A job as the store has it now."""

        async def act(_: Any, jobs: JobStore, __: GeminiBackend) -> Job | None:
            return await jobs.get(token)

        job = self.run(act)
        assert isinstance(job, Job)
        return job


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Work]:
    """A graph on the embedded service over HTTP."""
    local = LocalBackend(tmp_path / "service", test_controls=True)
    with served(create_app(local)) as url:
        yield Work(url, tmp_path)
        sync_backend(local).close()


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A terminal on which a row is a line, and a data folder of this test's own."""
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a verb prints; it must succeed, and say nothing on the side."""

    def call(*arguments: str) -> str:
        status = main(["jobs", *arguments])
        printed = capsys.readouterr()
        assert (status, printed.err) == (0, "")
        return printed.out

    return call


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """The exit status of a verb that fails, and the one line that it says."""

    def call(*arguments: str) -> tuple[int, str]:
        status = main(["jobs", *arguments])
        printed = capsys.readouterr()
        assert status != 0
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        return status, printed.err

    return call


@pytest.mark.covers("cli:jobs:list")
def test_the_list_shows_each_job_and_narrows(work: Work, said: Callable[..., str]) -> None:
    """Newest first, for people as a table and for programs as the rows themselves."""
    parked = work.park("1", SLOW)
    done = work.park("2")
    work.wake(done)
    rows = json.loads(said("list", "--store", work.store, "--json"))
    assert [row["interaction_id"] for row in rows] == [done.interaction_id, parked.interaction_id]
    assert [row["state"] for row in rows] == ["settled", "running"]
    assert rows[1]["terms"] == {}
    lines = said("list", "--store", work.store).splitlines()
    assert lines[0].split()[-8:] == ["state", "name", "target", "status", "age", "deadline", "looks", "verdict"]
    assert lines[2].startswith(f"{parked.token} running analyst {AGENT} ")
    assert "in 2.0 h" in lines[2]
    only = json.loads(said("list", "--store", work.store, "--json", "--state", "settled"))
    assert [row["thread"] for row in only] == ["2"]
    only = json.loads(said("list", "--store", work.store, "--json", "--thread", "1"))
    assert [row["thread"] for row in only] == ["1"]


@pytest.mark.covers("cli:jobs:list")
def test_a_list_that_is_cut_says_so(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows are never left out in silence."""
    for thread in ("1", "2"):
        work.park(thread, SLOW)
    assert main(["jobs", "list", "--store", work.store, "--limit", "1", "--json"]) == 0
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)) == 1
    assert "--limit" in printed.err


@pytest.mark.covers("cli:jobs:store")
def test_the_store_is_the_users_own_unless_another_is_named(
    tmp_path: Path, said: Callable[..., str], refused: Callable[..., tuple[int, str]]
) -> None:
    """A file that is not there is never made by looking for it."""
    own = tmp_path / "data" / "interactions-bridge" / "jobs.sqlite"
    status, line = refused("list")
    assert (status, str(own) in line, "--store" in line) == (2, True, True)
    assert not own.exists()
    asyncio.run(_intended(SqliteJobStore(own)))
    assert len(json.loads(said("list", "--json"))) == 1
    assert "intended" in said("list")


@pytest.mark.covers("cli:jobs:store")
def test_the_store_may_be_a_postgres(postgres: str, said: Callable[..., str]) -> None:
    """By its DSN."""
    token = asyncio.run(_intended(PostgresJobStore(postgres))).token
    assert json.loads(said("show", token, "--store", postgres, "--json"))["job"]["token"] == token


async def _intended(store: Any, **facts: Any) -> Job:
    async with aclosing(store):
        intent = Intent(place=Place(thread="t", exact="e", path="p"), name="n", target="m", backend="b")
        job, _ = await store.intend(intent)
        if facts:
            job = await store.bind(job.token, facts.pop("interaction_id", "i-1"))
            job = await store.note(job.token, **facts)
        return job


@pytest.mark.covers("cli:jobs:show")
def test_show_gives_the_row_its_terms_and_its_steps(work: Work, said: Callable[..., str]) -> None:
    """By the interaction's id or by the job's token."""
    done = work.park(budget={"seconds": 600})
    work.wake(done, budget={"seconds": 600})
    facts = json.loads(said("show", done.token, "--store", work.store, "--json"))
    assert facts["job"]["interaction_id"] == done.interaction_id
    assert facts["job"]["terms"] == {"seconds": 600}
    assert [step["index"] for step in facts["steps"]] == list(range(len(facts["steps"])))
    assert facts["steps"][-1]["step"]["type"] == "model_output"
    page = said("show", str(done.interaction_id), "--store", work.store)
    assert done.token in page
    assert "seconds 600" in page
    assert "model output" in page
    assert "total_tokens" in page


@pytest.mark.covers("cli:jobs:show")
def test_no_data_of_a_job_drives_the_terminal(tmp_path: Path, said: Callable[..., str]) -> None:
    """Control characters of a name, a status or a step are gone; what is not known is called unknown."""
    store = tmp_path / "jobs.sqlite"

    async def make() -> Job:
        job = await _intended(SqliteJobStore(store), status="odd\x1b[31m")
        async with aclosing(SqliteJobStore(store)) as jobs:
            step = {"type": "model_output", "content": [{"type": "text", "text": "\x1b]0;title\x07hello"}]}
            await jobs.keep_steps(job.token, {0: step})
        return job

    job = asyncio.run(make())
    page = said("list", "--store", str(store)) + re.sub(
        r" +$", "", said("show", job.token, "--store", str(store)), flags=re.MULTILINE
    )
    assert "\x1b" not in page
    assert "\x07" not in page
    assert "hello" in page
    assert re.search(r"^usage +unknown$", page, re.MULTILINE)


@pytest.mark.covers("cli:jobs:usage")
def test_usage_names_what_is_known_and_what_is_not(work: Work, said: Callable[..., str]) -> None:
    """A row per thread, node and interaction; unknown is never zero, and the sums say of how many rows they know nothing."""
    work.park("1", SLOW)
    done = work.park("2", model="gemini-3.8-flash", agent=None, name="writer")
    work.wake(done, model="gemini-3.8-flash", agent=None, name="writer")
    facts = json.loads(said("usage", "--store", work.store, "--json"))
    running, ended = facts["rows"]
    assert (running["thread"], running["name"], running["total_tokens"], running["usd"]) == ("1", "analyst", None, None)
    assert (ended["thread"], ended["name"], ended["interaction_id"]) == ("2", "writer", done.interaction_id)
    assert ended["total_tokens"] > 0
    assert ended["usd"] > 0
    assert facts["total"] == {
        "interactions": 2,
        "total_tokens": ended["total_tokens"],
        "total_tokens_unknown": 1,
        "usd": ended["usd"],
        "usd_unknown": 1,
    }
    table = said("usage", "--store", work.store)
    assert "unknown" in table.splitlines()[1]
    assert (
        f"2 interactions: {ended['total_tokens']:,} and 1 unknown tokens, {ended['usd']:.4f} and 1 unknown USD" in table
    )


@pytest.mark.covers("cli:jobs:usage")
def test_an_overrun_is_shown(tmp_path: Path, said: Callable[..., str]) -> None:
    """By how much, of which limit."""
    store = tmp_path / "jobs.sqlite"

    async def make() -> None:
        async with aclosing(SqliteJobStore(store)) as jobs:
            place = Place(thread="t", exact="e", path="p")
            intent = Intent(place=place, name="n", target="m", backend="b", terms={"tokens": 10})
            job, _ = await jobs.intend(intent)
            await jobs.bind(job.token, "i")
            await jobs.note(job.token, usage={"total_tokens": 25})

    asyncio.run(make())
    assert json.loads(said("usage", "--store", str(store), "--json"))["rows"][0]["overrun"] == {"tokens": 15}
    assert "15 tokens" in said("usage", "--store", str(store))
    assert "0 interactions" in said("usage", "--store", str(store), "--thread", "another")


@pytest.mark.covers("cli:jobs:usage")
def test_without_a_list_of_prices_money_is_unknown(
    work: Work, said: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so is an overrun of a budget in money."""
    settings: dict[str, Any] = {"model": "gemini-3.8-flash", "agent": None, "budget": {"usd": 5, "observe": True}}
    work.wake(work.park(**settings), **settings)
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    row = json.loads(said("usage", "--store", work.store, "--json"))["rows"][0]
    assert row["total_tokens"] > 0
    assert (row["usd"], row["overrun"]) == (None, None)
    assert "unknown USD" in said("usage", "--store", work.store)


@pytest.mark.covers("cli:jobs:cancel")
def test_cancel_stops_the_interaction_and_its_thread_starts_nothing_anew(work: Work, said: Callable[..., str]) -> None:
    """It is verified at the service, and the thread that is woken then gets the error."""
    job = work.park(labels=SLOW)
    text = said("cancel", str(job.interaction_id), "--store", work.store, "--base-url", work.url)
    assert "it has ended: cancelled" in text
    assert "Sweeper" in text

    async def status(_: Any, jobs: JobStore, backend: GeminiBackend) -> str:
        return (await backend.get(job.interaction_id or "")).status

    assert work.run(status) == "cancelled"
    assert work.job(job.token).status == "cancelled"
    with pytest.raises(InteractionFailed, match="cancelled"):
        work.wake(job)

    async def count(_: Any, jobs: JobStore, __: GeminiBackend) -> int:
        return len(await jobs.list())

    assert work.run(count) == 1
    assert "had ended before (cancelled). Its thread has the result" in said(
        "cancel", job.token, "--store", work.store, "--base-url", work.url
    )


@pytest.mark.covers("cli:jobs:cancel")
def test_cancel_at_a_service_that_does_not_know_it_changes_nothing(
    work: Work, tmp_path: Path, refused: Callable[..., tuple[int, str]]
) -> None:
    """Another address or key must not make a running job look as if it were gone."""
    job = work.park(labels=SLOW)
    other = LocalBackend(tmp_path / "other")
    with served(create_app(other)) as url:
        status, line = refused("cancel", job.token, "--store", work.store, "--base-url", url)
        sync_backend(other).close()
    assert (status, "nothing was changed" in line) == (1, True)
    assert work.job(job.token).ended is None


@pytest.mark.covers("cli:jobs:watch")
@pytest.mark.parametrize("labels", [{}, {"local-drop-after": "3"}], ids=["whole", "cut"])
def test_watch_shows_each_step_once_and_in_order(work: Work, said: Callable[..., str], labels: dict[str, str]) -> None:
    """Also where the stream is cut on the way; it ends with the interaction, and changes nothing in the store."""
    job = work.park(labels=labels)
    *steps, last = [
        json.loads(line)
        for line in said("watch", job.token, "--store", work.store, "--base-url", work.url, "--json").splitlines()
    ]
    assert last == {"interaction_id": job.interaction_id, "status": "completed"}
    assert work.job(job.token) == job

    async def stored(_: Any, __: JobStore, backend: GeminiBackend) -> list[Any]:
        return [step.to_wire() for step in (await backend.get(job.interaction_id or "")).steps or []]

    assert [step["step"] for step in steps] == work.run(stored)
    assert [step["index"] for step in steps] == list(range(len(steps)))
    shown = said("watch", job.token, "--store", work.store, "--base-url", work.url)
    assert shown.index("0  thought") < shown.index("model output") < shown.index("it has ended: completed")


@pytest.mark.covers("cli:jobs:watch")
def test_leaving_a_watch_leaves_the_job_running(work: Work) -> None:
    """Ctrl+C ends the watch, says that the work goes on, and how to follow it again."""
    job = work.park(labels={"local-delay-ms": "600000", "local-steps": "1000"})
    command = [str(COMMAND), "jobs", "watch", job.token, "--store", work.store, "--base-url", work.url, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["index"] == 0
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == (
        f"interactions-bridge jobs: left; its interaction runs on; `interactions-bridge jobs watch {job.token}` follows it again\n"
    )

    async def status(_: Any, __: JobStore, backend: GeminiBackend) -> str:
        return (await backend.get(job.interaction_id or "")).status

    assert work.run(status) == "in_progress"


@pytest.mark.timeout(120)
@pytest.mark.covers("cli:jobs:watch")
def test_a_watch_goes_on_when_the_service_is_back(tmp_path: Path) -> None:
    """It waits for a service that went away, and tells no step again; here the restart cut the work, so it ends failed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url, data = f"http://127.0.0.1:{port}", str(tmp_path / "service")

    @contextmanager
    def service() -> Iterator[None]:
        command = [str(COMMAND), "serve", "--port", str(port), "--data", data, "--test-controls", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            try:
                yield
            finally:
                process.send_signal(signal.SIGKILL)

    work = Work(url, tmp_path)
    with service():
        job = work.park(labels={"local-delay-ms": "600000", "local-steps": "1000"})
        command = [str(COMMAND), "jobs", "watch", job.token, "--store", work.store, "--base-url", url, "--json"]
        watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())
    with watching, service():
        rest, errors = watching.communicate(timeout=90)
    assert (watching.returncode, errors) == (0, "")
    *steps, last = [json.loads(line) for line in rest.splitlines()]
    assert last == {"interaction_id": job.interaction_id, "status": "failed"}
    places = [first["index"], *(step["index"] for step in steps)]
    assert places == list(range(len(places)))


@pytest.mark.covers("cli:jobs:cancel")
def test_a_cancel_that_could_not_be_verified_says_so(
    work: Work, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., tuple[int, str]]
) -> None:
    """And nothing in the record says that it ended."""
    job = work.park(labels=SLOW)
    monkeypatch.setattr("bridge.jobs.looking.STOP_WITHIN", 0.0)
    status, line = refused("cancel", job.token, "--store", work.store, "--base-url", work.url)
    assert (status, "may still run" in line) == (1, True)
    assert work.job(job.token).ended is None


@pytest.mark.covers("cli:jobs:bind")
def test_bind_names_the_interaction_of_a_start_whose_answer_was_lost(
    work: Work, tmp_path: Path, said: Callable[..., str], refused: Callable[..., tuple[int, str]]
) -> None:
    """Once; what belongs to another job, or has one, is refused."""
    store = tmp_path / "lost.sqlite"
    job = asyncio.run(_intended(SqliteJobStore(store)))
    for verb in ("cancel", "watch"):
        status, line = refused(verb, job.token, "--store", str(store), "--base-url", work.url)
        assert (status, f"jobs bind {job.token} ID" in line) == (2, True)
    assert "unknown: it was recorded" in said("show", job.token, "--store", str(store))
    assert job.token in said("bind", job.token, "v1_x", "--store", str(store))
    assert json.loads(said("show", "v1_x", "--store", str(store), "--json"))["job"]["state"] == "running"
    status, line = refused("bind", job.token, "v1_y", "--store", str(store))
    assert (status, "v1_x" in line) == (1, True)
    assert refused("bind", "nobody", "v1_z", "--store", str(store))[0] == 1


@pytest.mark.covers("cli:jobs:prune")
def test_prune_forgets_what_is_long_over(tmp_path: Path, said: Callable[..., str]) -> None:
    """Jobs that still run stay, however old."""
    store = tmp_path / "jobs.sqlite"

    async def make() -> None:
        old = time.time() - 10 * 86_400
        async with aclosing(SqliteJobStore(store, clock=lambda: old)) as jobs:
            for number, settled in enumerate([True, True, False]):
                place = Place(thread=str(number), exact="e", path="p")
                job, _ = await jobs.intend(Intent(place=place, name="n", target="m", backend="b"))
                await jobs.bind(job.token, f"i-{number}")
                if settled:
                    await jobs.settle(job.token)

    asyncio.run(make())
    assert json.loads(said("prune", "--days", "11", "--store", str(store), "--json")) == {"forgotten": 0}
    assert said("prune", "--days", "9.5", "--store", str(store)) == "2 jobs forgotten, with their steps\n"
    assert [row["thread"] for row in json.loads(said("list", "--store", str(store), "--json"))] == ["2"]


@pytest.mark.covers("cli:jobs:refused")
def test_what_cannot_be_done_is_one_line_that_says_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    refused: Callable[..., tuple[int, str]],
) -> None:
    """An unknown id, a file that is no store, no key, no rich; and what argparse refuses by itself."""
    store = tmp_path / "jobs.sqlite"
    job = asyncio.run(_intended(SqliteJobStore(store), status="in_progress"))
    status, line = refused("show", "nobody", "--store", str(store))
    assert (status, "jobs list" in line) == (1, True)
    text = tmp_path / "notes.txt"
    text.write_text("no database\n" * 100)
    status, line = refused("list", "--store", str(text))
    assert (status, str(text) in line) == (2, True)
    assert refused("cancel", job.token, "--store", str(store))[0] == 2  # no key, no address
    status, line = refused("cancel", job.token, "--store", str(store), "--base-url", "http://127.0.0.1:9")
    assert (status, "could not be reached" in line) == (1, True)
    monkeypatch.setitem(sys.modules, "rich", None)
    status, line = refused("list", "--store", str(store))
    assert (status, "--json" in line) == (2, True)
    for wrong in (
        ["prune", "--days", "soon"],
        ["prune", "--days", "-1"],
        ["list", "--limit", "0"],
        ["list", "--limit", "x"],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["jobs", *wrong, "--store", str(store)])
        assert stopped.value.code == 2
        assert "it takes a number" in capsys.readouterr().err


@pytest.mark.covers("cli:jobs:store")
def test_an_empty_store_has_no_jobs(tmp_path: Path, said: Callable[..., str]) -> None:
    """And says so."""
    store = tmp_path / "jobs.sqlite"

    async def make() -> None:
        async with aclosing(SqliteJobStore(store)) as jobs:
            await jobs.list()

    asyncio.run(make())
    assert said("list", "--store", str(store)) == "no jobs\n"
    assert os.stat(store).st_size > 0
