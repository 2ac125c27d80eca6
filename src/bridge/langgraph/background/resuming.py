"""How a thread that waits for a job is set going again: in this process, or by a LangGraph Agent Server.

Before anything is resumed the thread is read: an unknown thread would begin a run, a resumed one whose run is alive would run twice. Who may
resume, and when, is `bridge.jobs.waking`'s business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.errors import UnknownInterruptError
from langgraph.pregel.protocol import PregelProtocol
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Command, Interrupt, PregelTask, StateSnapshot

from bridge.errors import InvalidRequest
from bridge.jobs.job import Job
from bridge.jobs.stores.store import JobStore
from bridge.jobs.waking import Resumed

from .places import STRICT_RESUME

__all__ = ["GraphResumer", "ServerResumer"]

_T = TypeVar("_T")

# Seconds after the last sign of life for which a task of another node, beside a parked job, is taken to be running still.
PATIENCE = 900.0
# What the checkpoints of a run that a wake-up began are marked with: the job's token.
_WOKEN_FOR = "bridge_woken_for"


class GraphResumer:
    """Resumes threads of a graph in this process."""

    def __init__(
        self, graph: PregelProtocol[Any, Any, Any, Any], jobs: JobStore, config: RunnableConfig | None, context: Any
    ) -> None:
        self._graph = graph
        self._jobs = jobs
        self._given: RunnableConfig = config or {}
        self._context = {} if context is None else {"context": context}
        self._in_thread = False  # the graph's checkpointer is one for graphs that run without an event loop

    async def resume(self, job: Job) -> Resumed:
        """Resumes the job's thread where it is parked for the job, and goes on with it where its process died.

        Raises what the graph raises.
        """
        snapshot = await self._state(job)
        if snapshot.created_at is None:
            return "gone"
        if not snapshot.tasks:
            return "taken"
        parked = _parked(job, snapshot)
        if parked is not None:
            if (job.interaction_id is None and job.verdict is None) or await self._runs_beside(job, snapshot):
                return "not_parked"  # what it waits for is not known yet, or the thread is at work
            value = {"interaction_id": job.interaction_id, "status": job.status}
            return await self._run(job, Command(resume={parked.id: value}))
        if await self._waits(job):
            return "not_parked" if self._jobs.now() < job.busy else await self._run(job, None)
        # A run that a wake-up began, and that nobody goes on with, died behind this node. One that its owner began may be alive.
        ours = (snapshot.metadata or {}).get(_WOKEN_FOR) == job.token
        died = ours and _stands_still(snapshot)
        return await self._run(job, None) if died else "taken"

    async def took(self, job: Job) -> bool:
        """Whether the thread waits for the job no more, or has the error of what waited on disk."""
        snapshot = await self._state(job)
        if any(task.error is not None for task in snapshot.tasks if _is_of(job, task.id)):
            return True
        return _parked(job, snapshot) is None and not await self._waits(job)

    async def _run(self, job: Job, input: Command[Any] | None) -> Resumed:
        given = self._given
        config: RunnableConfig = {
            **given,
            "configurable": {
                **given.get("configurable", {}),
                "thread_id": job.thread,
                STRICT_RESUME: input is not None,
            },
            "metadata": {**given.get("metadata", {}), _WOKEN_FOR: job.token},
        }
        try:
            if self._in_thread:
                values = await _whole(asyncio.to_thread(lambda: self._graph.invoke(input, config, **self._context)))
            else:
                values = await self._graph.ainvoke(input, config, **self._context)
        except UnknownInterruptError:
            return "taken"
        parked = values.get("__interrupt__") if isinstance(values, Mapping) else None
        return "not_parked" if interrupt_of(job, parked or ()) is not None else "resumed"

    async def _state(self, job: Job, *, subgraphs: bool = False) -> StateSnapshot:
        config: RunnableConfig = {"configurable": {"thread_id": job.thread}}
        if not self._in_thread:
            try:
                return await self._graph.aget_state(config, subgraphs=subgraphs)
            except NotImplementedError:
                self._in_thread = True
        return await asyncio.to_thread(self._graph.get_state, config, subgraphs=subgraphs)

    async def _runs_beside(self, job: Job, snapshot: StateSnapshot) -> bool:
        """Whether tasks beside the parked one are open, and may be running in a process that is alive.

        Of nodes with jobs the jobs tell; of others nobody knows, and they are given time.
        """
        beside = [task for task in snapshot.tasks if _is_open(task)]
        if not beside:
            return False
        rows = [row for row in await self._jobs.list(thread=job.thread) if not row.terms.get("unattended")]
        ours = {row.place.partition(":")[0] for row in rows}
        patience = 0.0 if all(task.name in ours for task in beside) else PATIENCE
        return self._jobs.now() < max(row.busy for row in [job, *rows]) + patience

    async def _waits(self, job: Job) -> bool:
        """Whether the node that started a job has not come to its end with it: seen from the outermost task down to the job's own graph."""
        snapshot = await self._state(job, subgraphs=True)
        segments = job.place.split("|")
        *outer, start = [segment.partition(":")[2] for segment in segments if not segment.isdigit()]
        for name in outer:
            task = next((task for task in snapshot.tasks if task.id == name), None)
            if task is None or task.result is not None or task.error is not None:
                return False
            if not isinstance(task.state, StateSnapshot):
                return True  # nobody can look into it, and it has not ended
            snapshot = task.state
        if len(segments) > len(outer) + 1 or (outer and not snapshot.tasks):
            return True  # what a retry keeps nobody can look into; or it has ended, and the graph around it does not know yet
        if not _stands_still(snapshot):
            # It failed, or waits for a human's word; or it parked for the job and died before the graph around it knew.
            return _parked(job, snapshot) is not None
        return snapshot.values.get("job") == job.token or any(task.id == start for task in snapshot.tasks)


async def _whole(work: Coroutine[Any, Any, _T]) -> _T:
    """What a thread works at, to its end: it cannot be stopped, so who is cancelled meanwhile keeps the lease until then."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _is_of(job: Job, task: str) -> bool:
    """Whether a task of the graph is the one that a job was started in; each is, where the graph is the node itself."""
    outermost, *inner = job.place.split("|")
    return not inner or outermost.partition(":")[2] == task


def _parked(job: Job, snapshot: StateSnapshot) -> Interrupt | None:
    return interrupt_of(job, (interrupt for task in snapshot.tasks for interrupt in task.interrupts))


def interrupt_of(job: Job, interrupts: Iterable[Interrupt]) -> Interrupt | None:
    """The interrupt that a job is parked with."""
    for interrupt in interrupts:
        value = interrupt.value
        if (
            isinstance(value, Mapping)
            and value.get("type") == "interaction"
            and value.get("name") == job.name
            and value.get("interaction_id") in (job.interaction_id, None)
        ):
            return interrupt
    return None


def _stands_still(snapshot: StateSnapshot) -> bool:
    """Whether somebody has to go on: tasks are open, or all have their results, which nobody has put together."""
    return any(map(_is_open, snapshot.tasks)) or all(task.result is not None for task in snapshot.tasks)


def _is_open(task: PregelTask) -> bool:
    """Whether a task has neither come to its end nor stopped to wait."""
    return task.result is None and task.error is None and not task.interrupts


class ServerResumer:
    """Resumes threads on a LangGraph Agent Server, which runs one at a time of each thread."""

    def __init__(self, graph: RemoteGraph, config: RunnableConfig | None, context: Any) -> None:
        if graph.client is None:
            raise InvalidRequest(
                "the remote graph has no client for an event loop; make it with url=... or client=...", "graph"
            )
        self._client = graph.client
        self._assistant = graph.assistant_id
        self._given = {"config": config, "context": context}

    async def resume(self, job: Job) -> Resumed:
        """Asks the server to resume the job's thread, where it is parked for the job."""
        from langgraph_sdk.errors import ConflictError, NotFoundError

        try:
            state = await self._client.threads.get_state(job.thread)
        except NotFoundError:
            return "gone"
        tasks = [task for task in state["tasks"] if not task.get("result")]
        parked = interrupt_of(job, (Interrupt(**_kept(row)) for task in tasks for row in task.get("interrupts") or ()))
        if parked is None:
            return "not_parked" if _is_at_work(job, state) else "taken"
        if job.interaction_id is None and job.verdict is None:
            return "not_parked"
        value = {"interaction_id": job.interaction_id, "status": job.status}
        try:
            await self._client.runs.create(
                job.thread,
                self._assistant,
                command={"resume": {parked.id: value}},
                strict_resume=True,
                multitask_strategy="reject",
                **{name: given for name, given in self._given.items() if given is not None},
            )
        except ConflictError:  # a run of the thread is under way
            return "not_parked"
        return "queued"

    async def took(self, job: Job) -> bool:
        """False: what the server's runs raise stands at the server."""
        return False


def _is_at_work(job: Job, state: Mapping[str, Any]) -> bool:
    """Whether the task that started a job is open at the server, and does not wait for somebody else."""
    is_open = any(
        _is_of(job, str(task.get("id"))) and not any(task.get(end) for end in ("result", "error", "interrupts"))
        for task in state["tasks"]
    )
    return is_open and ("|" in job.place or (state.get("values") or {}).get("job") == job.token)


def _kept(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("value", "id") if name in row}
