"""Processes that run a graph with an interactions node, and die where they are told to.

Run as a program this is a server of processes: it has imported everything, and forks one for each line of its input (a `Task`). What a
process does is traced from outside the library: the job store, the checkpointer and the backend that it passes in tell each of their calls, before
and after, and the process kills itself at the call that it was given. What is expected of it all is `crashes`' business.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

import aiosqlite
import httpx2
import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import RetryPolicy, Send

from bridge.backends.gemini import GeminiBackend
from bridge.errors import BridgeError
from bridge.jobs.stores.postgres import PostgresJobStore
from bridge.jobs.stores.sqlite import SqliteJobStore
from bridge.langgraph import InteractionsState, Sweeper, interactions_node, wake, webhook_app

__all__ = ["ANSWERED", "LATER", "Deed", "Driver", "Durability", "Policy", "Report", "Setting", "Task"]

THREAD, NODE, QUESTION = "thread", "work", "What is 6 * 7?"
# What a process does, and the seconds that it may take.
Deed = Literal["run", "sweep", "wake", "invoke", "bind", "deliver"]
Durability = Literal["sync", "async"]
Policy = Literal["fail", "recreate", "wait"]
LIMIT = 30
# The store's, in seconds: for so long a start that nobody knows of is taken to be under way elsewhere.
LEASE = 5.0
# The seconds by which a round of a sweeper is later than the one before: more than the lease, so that nothing is waited for.
LATER = 40.0
ANSWERED = "answered"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A graph and where it is kept. `store` is the folder of SQLite's files, or the URL of a Postgres."""

    service: str
    store: str
    durability: Durability = "async"
    retried: bool = False
    """Whether the node has a RetryPolicy, and its first wait fails once."""
    deeper: bool = False
    """Whether the node is in a graph that is a node of the outer one."""
    siblings: int = 1
    """How many tasks the node is run as at once, with the same input."""
    on_unknown_start: Policy = "fail"
    webhook: str | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a process does in a setting, and the call at which it dies: "before" or "after", and what it is called."""

    setting: Setting
    deed: Deed
    kill: str | None = None
    log: str
    """The file in which it tells its calls, as they come."""
    token: str = ""
    interaction_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of the webhook that is delivered, with its body."""
    body: str = ""
    later: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of a process. `error` is what the graph raised; `states` are those of the jobs, `open` says whether the thread has tasks."""

    killed: bool
    began: bool = False
    open: bool = True
    parked: bool = False
    error: str | None = None
    answer: str | None = None
    states: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    counts: dict[str, int] | None = None


class Tracer:
    """Tells the calls of a process to its log, and ends it at one of them, as a power cut would."""

    def __init__(self, task: Task) -> None:
        self._log = os.open(task.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        self._kill = task.kill
        self._seen: Counter[str] = Counter()

    def tell(self, what: str) -> None:
        """A call, the number of which is told where it is not the first of its name."""
        self._seen[what] += 1
        name = what if self._seen[what] == 1 else f"{what} #{self._seen[what]}"
        os.write(self._log, f"{name}\n".encode())
        if name == self._kill:
            os.kill(os.getpid(), signal.SIGKILL)

    async def around(self, what: str, call: Callable[[], Any]) -> Any:
        self.tell(f"before {what}")
        result = await call()
        self.tell(f"after {what}")
        return result


class Traced:
    """An object whose async methods of these names are told, and which is otherwise the one it wraps."""

    def __init__(self, wrapped: Any, tracer: Tracer, names: tuple[str, ...]) -> None:
        self._wrapped = wrapped
        self._tracer = tracer
        self._names = names

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._wrapped, name)
        if name not in self._names:
            return value

        async def told(*args: Any, **kwargs: Any) -> Any:
            return await self._tracer.around(name, lambda: value(*args, **kwargs))

        return told


_STORE = ("intend", "bind", "note", "settle", "hold", "release")
_BACKEND = ("create", "get")


class FailsOnce:
    """A backend whose first look fails in a way that only a RetryPolicy helps against."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped
        self._failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    async def get(self, *args: Any, **kwargs: Any) -> Any:
        if not self._failed:
            self._failed = True
            raise RuntimeError("the first look fails")
        return await self._wrapped.get(*args, **kwargs)


class _Saving:
    """Tells the writes of a checkpointer: of which graph, and a checkpoint's step or what a task left."""

    tracer: Tracer

    async def aput(self, config: RunnableConfig, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        put: Any = super().aput  # type: ignore[misc]  # of the saver beside
        what = f"checkpoint {metadata['step']} of {_graph(config)}"
        return await self.tracer.around(what, lambda: put(config, checkpoint, metadata, new_versions))

    async def aput_writes(self, config: RunnableConfig, writes: Any, task_id: str, task_path: str = "") -> None:
        put: Any = super().aput_writes  # type: ignore[misc]
        channel = writes[0][0]
        left = channel.strip("_") if channel in ("__interrupt__", "__error__") else "writes"
        await self.tracer.around(f"{left} in {_graph(config)}", lambda: put(config, writes, task_id, task_path))


def _graph(config: RunnableConfig) -> str:
    """The graph that a write is of: the name of its node."""
    segments = config["configurable"].get("checkpoint_ns", "").split("|")
    return [segment.partition(":")[0] for segment in segments if not segment.isdigit()][-1] or "thread"


class _Sqlite(_Saving, AsyncSqliteSaver):
    pass


class _Postgres(_Saving, AsyncPostgresSaver):
    pass


@asynccontextmanager
async def _saver(store: str, tracer: Tracer) -> AsyncIterator[AsyncSqliteSaver | AsyncPostgresSaver]:
    if store.startswith("postgres"):
        async with await psycopg.AsyncConnection.connect(
            store, autocommit=True, prepare_threshold=0, row_factory=psycopg.rows.dict_row
        ) as postgres_connection:
            postgres = _Postgres(postgres_connection)
            postgres.tracer = tracer
            await postgres.setup()
            yield postgres
    else:
        async with aiosqlite.connect(Path(store) / "checkpoints.sqlite") as connection:
            sqlite = _Sqlite(connection)
            sqlite.tracer = tracer
            yield sqlite


def _jobs(store: str, clock: Callable[[], float]) -> SqliteJobStore | PostgresJobStore:
    if store.startswith("postgres"):
        return PostgresJobStore(store, lease=LEASE, clock=clock)
    return SqliteJobStore(Path(store) / "jobs.sqlite", lease=LEASE, clock=clock)


def _graph_of(setting: Setting, backend: Any, jobs: Any, tracer: Tracer) -> StateGraph[Any, Any, Any, Any]:
    async def behind(state: InteractionsState) -> dict[str, Any]:
        tracer.tell("behind")
        return {"messages": [("ai", f"{ANSWERED}: {state['messages'][-1].text}")]}

    node = interactions_node(
        model="gemini-3.8-flash",
        backend=backend,
        jobs=jobs,
        name=NODE,
        on_unknown_start=setting.on_unknown_start,
        webhook=setting.webhook,
    )
    policy = RetryPolicy(initial_interval=0.0, jitter=False, retry_on=RuntimeError) if setting.retried else None
    first: CompiledStateGraph[Any, Any, Any, Any] = node
    graph = StateGraph(InteractionsState)
    if setting.deeper:
        middle = StateGraph(InteractionsState)
        middle.add_node(NODE, node, retry_policy=policy)
        middle.add_edge(START, NODE)
        first, policy = middle.compile(), None
    name = "middle" if setting.deeper else NODE
    graph.add_node(name, first, retry_policy=policy)
    graph.add_node("behind", behind)
    if setting.siblings == 1:
        graph.add_edge(START, name)
    else:
        asked = {"messages": [("user", QUESTION)]}
        graph.add_conditional_edges(START, lambda _: [Send(name, asked) for _ in range(setting.siblings)], [name])
    graph.add_edge(name, "behind")
    return graph


class _Process:
    """One process's graph and what it does with it."""

    def __init__(self, task: Task, tracer: Tracer, graph: CompiledStateGraph[Any, Any, Any, Any], jobs: Any) -> None:
        self._task = task
        self._tracer = tracer
        self._graph = graph
        self._jobs = jobs
        self._config: RunnableConfig = {"configurable": {"thread_id": THREAD}}
        self.counts: Counter[str] = Counter()

    async def do(self, deed: Deed) -> None:
        match deed:
            case "run":  # what a user does first
                await self._invoke({"messages": [("user", QUESTION)]})
                self._tracer.tell("parked")
            case "sweep":
                self.counts.update(await Sweeper(self._graph, self._jobs).run_once())
            case "wake":
                self.counts[await wake(self._graph, self._jobs, self._task.interaction_id)] += 1
            case "invoke":
                await self._go_on()
            case "bind":  # what a user does who has looked the interaction up
                await self._jobs.bind(self._task.token, self._task.interaction_id)
            case "deliver":
                await self._deliver()

    async def _deliver(self) -> None:
        task, keys = self._task, f"{self._task.setting.service}/.well-known/jwks.json"
        app = webhook_app(self._graph, self._jobs, jwks=keys, audience=task.setting.webhook)
        transport = httpx2.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport) as client:
            answer = await client.post("http://here/hook", headers=dict(task.headers), content=task.body)
        self.counts[str(answer.status_code)] += 1

    async def _go_on(self) -> None:
        """What a user does after a crash: runs on where there is something to go on from, and asks again where there is not."""
        state = await self._graph.aget_state(self._config)
        if state.created_at is None:
            await self._invoke({"messages": [("user", QUESTION)]})
        elif state.tasks:
            await self._invoke(None)

    async def _invoke(self, given: Any) -> None:
        await self._graph.ainvoke(given, self._config, durability=self._task.setting.durability)

    async def report(self, error: BaseException | None) -> Report:
        state = await self._graph.aget_state(self._config)
        jobs = await self._jobs.list()
        messages = state.values.get("messages") or []
        return Report(
            killed=False,
            began=state.created_at is not None,
            open=bool(state.tasks),
            parked=bool(state.interrupts),
            error=None if error is None else f"{type(error).__name__}: {error}",
            answer=messages[-1].text if messages and not state.tasks else None,
            states=tuple(job.state for job in jobs),
            tokens=tuple(job.token for job in jobs),
            counts=dict(self.counts),
        )


async def perform(task: Task) -> Report:
    """Does a task in this process."""
    tracer = Tracer(task)
    tracer.tell(f"{task.deed}:")
    later = task.later

    def clock() -> float:
        return time.time() + later

    client: Any = GeminiBackend(base_url=task.setting.service, retries=0)
    store = _jobs(task.setting.store, clock)
    backend = Traced(FailsOnce(client) if task.setting.retried and task.deed == "run" else client, tracer, _BACKEND)
    jobs = Traced(store, tracer, _STORE)
    error: BaseException | None = None
    try:
        async with _saver(task.setting.store, tracer) as saver:
            graph = _graph_of(task.setting, backend, jobs, tracer).compile(checkpointer=saver)
            process = _Process(task, tracer, graph, jobs)
            try:
                await process.do(task.deed)
            except BridgeError as raised:
                error = raised
            return await process.report(error)
    finally:
        await store.aclose()
        await client.aclose()


def _forked(task: Task) -> Report:
    """The report of a process of its own that did a task."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reading)
        signal.alarm(LIMIT)
        code = 1
        try:
            report = asyncio.run(perform(task))
            os.write(writing, json.dumps(asdict(report)).encode())
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        told = stream.read()
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    if ended == -signal.SIGKILL:
        return Report(killed=True)
    if ended != 0:
        raise RuntimeError(f"a process ended with {ended}")
    return Report(**json.loads(told))


def _warm_up() -> None:
    """Does everything once that only the first time takes long, so that no process does."""
    with tempfile.TemporaryDirectory() as folder:
        nowhere = Setting(service="http://127.0.0.1:1", store=folder)
        report = asyncio.run(perform(Task(setting=nowhere, deed="run", log=str(Path(folder) / "log"))))
    assert report.error is not None
    assert report.error.startswith("ConnectionFailed"), report
    assert threading.active_count() == 1, "a process with threads cannot be forked"
    gc.collect()
    gc.freeze()


class Driver:
    """The server of processes, as its client sees it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Self]:
        """A server for the block."""
        root = Path(__file__).parents[3]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        with subprocess.Popen(
            [sys.executable, "-m", "tests.langgraph.background.crashing"],
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            yield cls(process)
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=LIMIT + 5)

    def do(self, task: Task) -> Report:
        """Lets a process do a task, and what became of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(task)) + "\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        if "failure" in told:
            raise RuntimeError(f"{told['failure']}: {task}\n{Path(task.log).read_text()}")
        for name in ("states", "tokens"):
            told[name] = tuple(told[name])
        return Report(**told)


def main() -> None:
    """Forks a process for each line, and answers with its report."""
    _warm_up()
    for line in sys.stdin:
        given = json.loads(line)
        task = replace(Task(**given), setting=Setting(**given["setting"]))
        try:
            told = asdict(_forked(task))
        except RuntimeError as error:
            told = {"failure": str(error)}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
