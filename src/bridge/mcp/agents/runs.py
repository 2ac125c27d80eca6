"""The life of a run: started once, looked at, answered, gone on with, stopped, all of it in the job store. Knows no MCP.

A run is one piece of work as its caller sees it. It is one job, or several where an interaction stopped to be answered or continued:
then each follows the one before on the same thread of the store. So any server on that store goes on where another stopped. What is
shown of a run is `views`'.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any
from weakref import WeakValueDictionary

from bridge.errors import BridgeError, InvalidRequest, NotConfigured
from bridge.interactions import FunctionCall, Interaction, meaning_of
from bridge.jobs.following import Follower
from bridge.jobs.job import Intent, Job, Place
from bridge.jobs.looking import asked, look, pause_of, steps_seen, stop
from bridge.jobs.starting import LABEL, made, recorded
from bridge.jobs.stores.store import JobStore
from bridge.jobs.tasks import WITHIN, held
from bridge.jobs.waking import holding, settle
from bridge.tools import ToolError

from .settings import AgentSettings

__all__ = ["BEAT", "START", "Run", "Runs", "Tell", "fresh_id", "name_of"]

_log = logging.getLogger("bridge.mcp")
# Seconds within which a waiting caller hears something.
BEAT = 8.0
_PAUSE = 1.0
# Seconds that a caller waits for one look or one cancel, and for a start: what takes longer goes on without being waited for.
PATIENCE, STARTED_WITHIN = 20.0, 10.0
_AT_ONCE = 16
# What the job store knows our jobs by, and where their terms hold what is ours.
_NAME, _OURS = "mcp", "mcp"
_SUMMARY = 200
# Where the job of a run is that began it.
START = "start"

Tell = Callable[[str], Awaitable[None]]
"""Tells a waiting caller, in words, what is going on."""


@dataclass(frozen=True)
class Run:
    """A run as it stands: its jobs, oldest first, and the steps of all of them.

    `late` tells that its last job may or may not have been started: who recorded it shows no sign of life. `served` are the functions
    that the server runs itself. `problem` is what the last look ran into.
    """

    id: str
    owner: str
    jobs: tuple[Job, ...]
    steps: tuple[Mapping[str, Any], ...]
    late: bool = False
    served: frozenset[str] = frozenset()
    problem: BridgeError | None = None

    @property
    def last(self) -> Job:
        """The job that it stands at."""
        return self.jobs[-1]

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was noted when it was started: `agent`, `input` (its beginning), `previous` (the run it follows), `digest`."""
        facts: Mapping[str, Any] = self.last.terms[_OURS]
        return facts

    @cached_property
    def interaction(self) -> Interaction:
        """Its turn, from all of its steps."""
        return Interaction.parse({"status": self.status, "steps": [dict(step) for step in self.steps]})

    @property
    def status(self) -> str:
        """A status of the API, or "unknown" where nothing tells whether it was started."""
        job = self.last
        if job.interaction_id is None:
            return "unknown" if self.late or job.ended is not None else "queued"
        meaning = meaning_of(job.status)
        if job.verdict == "abandoned" and meaning.ends_wait and not meaning.ends_turn:
            return "cancelled"  # it waited for an answer that nobody will give
        return job.status or "queued"

    @property
    def calls(self) -> list[FunctionCall]:
        """The calls that wait for the caller's answer."""
        if self.last.ended is None or self.last.verdict is not None or meaning_of(self.status).outcome != "calls":
            return []
        return [call for call in self.interaction.pending_calls if call.name not in self.served]

    @property
    def goes_on(self) -> bool:
        """Whether its last job has ended and another follows, for which nobody has to do anything."""
        meaning = meaning_of(self.status)
        ended = self.last.ended is not None and self.last.verdict is None
        return ended and meaning.ends_wait and not meaning.ends_turn and not self.calls

    @property
    def over(self) -> bool:
        """Whether waiting longer changes nothing: it has ended, or its caller has to do something."""
        if self.last.interaction_id is None:
            return self.late or self.last.ended is not None
        return self.last.ended is not None and not self.goes_on

    @property
    def failed(self) -> bool:
        """Whether it is over without the whole answer it was asked for, and not because its caller stopped it."""
        if not self.over or self.calls:
            return False
        given_up = self.last.verdict not in (None, "abandoned")
        return given_up or meaning_of(self.status).outcome not in ("answer", "cancelled")


class Runs:
    """The runs of a server's agents. `changed` is told of each run that a look found changed."""

    def __init__(
        self,
        agents: Mapping[str, AgentSettings],
        jobs: JobStore,
        changed: Callable[[Run], Awaitable[None]] | None = None,
    ) -> None:
        self.agents = agents
        self.jobs = jobs
        self._changed = changed
        self._stopping: dict[str, asyncio.Future[None]] = {}
        self._starting: dict[str, asyncio.Future[Job]] = {}
        self._doors: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # --- starting

    async def start(
        self,
        owner: str,
        agent: AgentSettings,
        request: Mapping[str, Any],
        *,
        id: str,
        summary: str,
        previous: str | None = None,
        admit: Callable[[], Awaitable[None]],
    ) -> Run:
        """Starts the run of this id, or gives the one that was started under it. Raises `ToolError` where that was another one.

        `admit` lets a new one in, or raises; starts of one owner pass it one after the other. Who stops waiting here does not stop the
        start. Raises what the agent raises.
        """
        digest = _digest({**request, "agent of the server": agent.name})
        facts = {"agent": agent.name, "input": summary[:_SUMMARY], "previous": previous, "digest": digest}
        async with self._doors.setdefault(owner, asyncio.Lock()):
            if await self.find(owner, id) is None:
                await admit()
            job, new = await recorded(self.jobs, self._intent(owner, id, agent, START, facts))
        if job.terms[_OURS]["digest"] != digest:
            raise ToolError(
                "idempotency_key was used for another request: take a new one, or repeat that request as it was"
            )
        await self._made(job, agent, request, new=new)
        return await self.again(owner, id)

    def _intent(self, owner: str, id: str, agent: AgentSettings, place: str, facts: Mapping[str, Any]) -> Intent:
        return Intent(
            place=Place(thread=_thread(owner, id), exact=place, path=place),
            name=name_of(owner),
            target=agent.target,
            backend=agent.runs.identity,
            deadline=agent.deadline,
            terms={**agent.terms.as_data(), "unattended": True, _OURS: facts},
        )

    async def _made(self, job: Job, agent: AgentSettings, request: Mapping[str, Any], *, new: bool) -> None:
        call = self._starting.get(job.token)
        if new:
            create = partial(agent.runs.create, **request, labels={LABEL: job.token})
            call = self._starting[job.token] = held(made(self.jobs, job, create))
            call.add_done_callback(lambda _: self._starting.pop(job.token, None))
            call.add_done_callback(_heard)
        if call is not None:
            done, _ = await asyncio.wait({call}, timeout=STARTED_WITHIN)
            if done:
                await call

    async def done(self) -> None:
        """Waits, a bounded time, for every start and every cancel under way: what is paid for is not forgotten, what is given up is stopped."""
        work: set[asyncio.Future[Any]] = {*self._starting.values(), *self._stopping.values()}
        if work:
            await asyncio.wait(work, timeout=WITHIN)

    # --- reading

    async def find(self, owner: str, id: str) -> Run | None:
        """A run of this owner's, as the store knows it."""
        rows = tuple(reversed(await self.jobs.list(thread=_thread(owner, id))))
        if not rows:
            return None
        steps = [step for row in rows for _, step in _shown(row, await self.jobs.steps(row.token))]
        last = rows[-1]
        late = last.interaction_id is None and self.jobs.now() >= last.busy and last.token not in self._starting
        run = Run(id, owner, rows, tuple(steps), late)
        agent = self.agent_of(run)
        return replace(run, served=frozenset(agent.held.names)) if agent is not None and agent.held is not None else run

    async def again(self, owner: str, id: str) -> Run:
        """A run that was found before. Raises `InvalidRequest` where it was withdrawn or pruned meanwhile."""
        run = await self.find(owner, id)
        if run is None:
            gone = (
                "the run is not in the job store any more: the service refused to start it, or it was pruned meanwhile"
            )
            raise InvalidRequest(gone, "run_id")
        return run

    async def listed(self, owner: str, limit: int, after: str | None) -> tuple[Sequence[Run], str | None]:
        """Runs of this owner's, newest first, from behind the run `after`; and the id to go on after, where there are more."""
        before = None
        if after is not None:
            begun = await self.jobs.list(thread=_thread(owner, after), place=START)
            if not begun:
                return [], None
            before = begun[0].token
        rows = await self.jobs.list(name=name_of(owner), place=START, before=before, limit=limit + 1)
        ids = [job.thread.rpartition(":")[2] for job in rows]
        found = [run for known in ids[:limit] if (run := await self.find(owner, known)) is not None]
        return found, ids[limit - 1] if len(ids) > limit else None

    def agent_of(self, run: Run) -> AgentSettings | None:
        """The agent that does a run, where this server has it still."""
        agent = self.agents.get(run.facts["agent"])
        return agent if agent is not None and agent.runs.identity == run.last.backend else None

    # --- waiting

    async def look(self, run: Run, within: float | None = None, tell: Tell | None = None) -> Run:
        """The run after one look at it: one request while it runs, none once it is over. As it was, where that takes longer; `tell`
        hears meanwhile that it does.

        Who stops waiting stops nothing: what a look leads to, such as the call of a function, is done to its end, and once.
        """
        work = held(self._look(run))
        work.add_done_callback(_heard)
        until = time.monotonic() + (PATIENCE if within is None else within)
        while not work.done() and (left := until - time.monotonic()) > 0:
            await asyncio.wait({work}, timeout=min(left, BEAT))
            if tell is not None and not work.done():
                await tell(f"{run.facts['agent']}: {run.status}, still asking how it stands")
        return await work if work.done() else run

    async def _look(self, run: Run) -> Run:
        agent = self.agent_of(run)
        if run.over and run.last.ended is not None:
            return run
        if agent is None:
            gone = f"this server has no agent {run.facts['agent']!r} any more, and cannot ask how its run stands"
            return replace(run, problem=NotConfigured(gone))
        before, problem = run.last, None
        if (
            run.last.ended is None
            and run.last.token not in self._starting
            and (run.late or run.last.interaction_id is not None)
        ):
            seen = await look(run.last, agent.runs, self.jobs)
            problem = seen.problem
        run = await self.again(run.owner, run.id)
        try:
            run = await self._gone_on(run, agent)
        except BridgeError as error:
            problem = error
        if not run.goes_on:
            for job in run.jobs:
                if job.ended is not None and job.state != "settled":
                    await settle(job, self.jobs)
        if self._changed is not None and (before.token, before.seen, before.ended) != _mark(run.last):
            await self._changed(run)
        return replace(run, problem=problem) if problem is not None else run

    async def follow(self, run: Run, seconds: float, tell: Tell) -> Run:
        """The run once it is over, or as it stands after so many seconds. `tell` hears of it every few seconds and at every step."""
        until, follower, at = time.monotonic() + seconds, Follower(), run.last.token
        while True:
            run = await self.look(run, max(until - time.monotonic(), BEAT), tell)
            left = until - time.monotonic()
            agent = self.agent_of(run)
            if run.over or left <= 0 or agent is None:
                return run
            if run.last.token != at:
                follower, at = Follower(), run.last.token
            await tell(f"{agent.name}: {run.status}, {len(run.steps)} steps")
            await self._news(run, agent, follower, min(left, BEAT), tell)

    async def _news(self, run: Run, agent: AgentSettings, follower: Follower, seconds: float, tell: Tell) -> None:
        """Waits until the stream of a run ends or so many seconds are over, and tells of its steps."""
        job, cursor = run.last, follower.cursor
        try:
            async with asyncio.timeout(seconds):
                if job.interaction_id is not None and agent.runs.capabilities.stream_resume != "none":
                    try:
                        async for event in agent.runs.watch(job.interaction_id, after=cursor):
                            for place, step in follower.add(event):
                                await tell(f"{agent.name}: step {place + 1}, {getattr(step, 'type', 'step')}")
                    except BridgeError as error:
                        _log.info("watching interaction %s broke off: %s", job.interaction_id, error)
                if follower.cursor == cursor:  # nothing came of it: the next look must not come at once
                    await asyncio.sleep(min(_PAUSE, pause_of(job, self.jobs.now())))
        except TimeoutError:
            pass

    # --- going on

    async def answer(self, run: Run, call_id: str, result: Any, *, is_error: bool) -> Run:
        """Keeps the answer to a pending call; once all are answered, the run goes on. An answer given again changes nothing.

        Raises `ToolError` where the call does not wait for one.
        """
        async with holding(self.jobs, run.last.thread) as ours:
            run = await self.again(run.owner, run.id)
            call = next((call for call in run.calls if call.id == call_id), None)
            if call is None:
                if any(step.get("call_id") == call_id for step in run.steps):
                    return run
                waiting = ", ".join(repr(call.id) for call in run.calls) or "no call"
                raise ToolError(f"call_id: no call {call_id!r} waits for an answer; {waiting} does")
            if not ours:
                raise ToolError("another answer to this run is being taken; give this one again")
            await self._keep(run, [(call, result, is_error)])
        return await self.look(await self.again(run.owner, run.id))

    async def _keep(self, run: Run, answers: Sequence[tuple[FunctionCall, Any, bool]]) -> None:
        token = run.last.token
        place = max(await self.jobs.steps(token), default=-1) + 1
        steps = {
            place + number: {
                "type": "function_result",
                "call_id": call.id,
                "name": call.name,
                "result": result,
                **({"is_error": True} if is_error else {}),
            }
            for number, (call, result, is_error) in enumerate(answers)
        }
        await self.jobs.keep_steps(token, steps)

    async def _gone_on(self, run: Run, agent: AgentSettings) -> Run:
        """The run with what follows from a job that ended without ending the turn, where nobody else has to do something."""
        if not run.goes_on:
            return run
        async with holding(self.jobs, run.last.thread) as ours:
            run, before = await self.again(run.owner, run.id), run.last.token
            if not ours or not run.goes_on or run.last.token != before:
                return run
            if agent.held is not None and (mine := run.interaction.pending_calls):
                done = [await agent.held.run(call) for call in mine]
                await self._keep(run, [(call, one.content, one.is_error) for call, one in zip(mine, done, strict=True)])
            if run.last.thread not in self._stopping:
                await self._next(run, agent)
        return await self.again(run.owner, run.id)

    async def _next(self, run: Run, agent: AgentSettings) -> None:
        """Starts the interaction that goes on from the last one."""
        job = run.last
        request = agent.request(None, previous=job.interaction_id, environment=job.environment_id)
        if meaning_of(job.status).outcome == "more":
            interaction = await asked(job.interaction_id or "", agent.runs)
            request["continuation_token"] = interaction.continuation_token
        else:
            kept = _shown(job, await self.jobs.steps(job.token))
            request["input"] = [step for place, step in kept if place >= steps_seen(job)]
        intent = self._intent(run.owner, run.id, agent, f"after {job.token}", run.facts)
        following, new = await recorded(self.jobs, intent)
        await self._made(following, agent, request, new=new)

    # --- stopping

    async def cancel(self, run: Run) -> Run:
        """Stops a run, once, and sees that it stopped; where that takes longer it goes on. One that is over stays as it is."""
        stopping = self._stopping.get(run.last.thread)
        if stopping is None:
            stopping = self._stopping[run.last.thread] = held(self._cancel(run))
            stopping.add_done_callback(lambda _: self._stopping.pop(run.last.thread, None))
            stopping.add_done_callback(_heard)
        done, _ = await asyncio.wait({stopping}, timeout=PATIENCE)
        if done:
            await stopping
        return await self.again(run.owner, run.id)

    async def _cancel(self, run: Run) -> None:
        while not await self._stopped(run):  # a turn that is just going on is stopped once it is clear what follows
            await asyncio.sleep(_PAUSE)
            run = await self.again(run.owner, run.id)
        if self._changed is not None and (now := await self.find(run.owner, run.id)) is not None:
            await self._changed(now)

    async def _stopped(self, run: Run) -> bool:
        """Stops what a run stands at; False where another is taking it further."""
        if (call := self._starting.get(run.last.token)) is not None:
            await asyncio.wait({call})
            run = await self.again(run.owner, run.id)
        run = await self.look(run)
        job, agent = run.last, self.agent_of(run)
        # One that was given up without being seen to end may still run, and is stopped again.
        unsure = job.verdict is not None and job.interaction_id is not None and not meaning_of(job.status).ends_wait
        if job.ended is not None and not unsure:
            return await self._given_up(run) if run.calls or run.goes_on else True
        if job.interaction_id is None:
            ends = "" if job.deadline is None else "; it ends at its deadline"
            raise ToolError(f"nothing tells whether this run was started, so there is nothing to stop{ends}")
        if agent is None:
            raise ToolError(f"this server has no agent {run.facts['agent']!r} any more, which does this run")
        seen = await stop(job, agent.runs, self.jobs, "abandoned")
        await settle(seen.job, self.jobs)
        return True

    async def _given_up(self, run: Run) -> bool:
        """Gives up a run between two of its jobs; False where another is starting the next one."""
        async with holding(self.jobs, run.last.thread) as ours:
            if not ours or (await self.again(run.owner, run.id)).last.token != run.last.token:
                return False
            await self.jobs.note(run.last.token, verdict="abandoned")
            return True

    # --- keeping to terms

    async def tend(self) -> int:
        """One look at each run that is due, which keeps it to its deadline and budget though nobody waits; how many.

        Of several servers on one store one looks.
        """
        backends, count = {agent.runs.identity for agent in self.agents.values()}, 0

        async def tend(job: Job) -> None:
            run = await self.find(*job.thread.split(":", 2)[1:])
            if run is not None and run.over and job.ended is not None:
                await settle(job, self.jobs)  # its usage may have come
            elif run is not None:
                await self.look(run)

        while due := await self.jobs.take_due(_AT_ONCE, backends=backends, names=name_of("")):
            results = await asyncio.gather(*(tend(job) for job in due), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    _log.error("a run could not be looked at: %s", type(result).__name__)
            count += len(due)
        return count


def name_of(owner: str) -> str:
    """What the jobs of an owner are called in the store."""
    return f"{_NAME}:{owner}"


def fresh_id(owner: str, key: str | None) -> str:
    """The id of a new run; the same for the same idempotency key of the same owner."""
    if key is None:
        return f"run_{secrets.token_hex(8)}"
    return f"run_{hashlib.sha256(f'{owner} {key}'.encode('utf-8', 'replace')).hexdigest()[:16]}"


def _shown(job: Job, kept: Mapping[int, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    """The steps of a job as the service showed them last, and the answers behind them. What it took back or is no step is left out."""
    seen = steps_seen(job)
    steps = [(place, step) for place, step in sorted(kept.items()) if isinstance(step, Mapping)]
    return [(place, step) for place, step in steps if place < seen or step.get("type") == "function_result"]


def _thread(owner: str, id: str) -> str:
    return f"{_NAME}:{owner}:{id}"


def _digest(request: Mapping[str, Any]) -> str:
    body = json.dumps(request, sort_keys=True, default=repr).encode("utf-8", "surrogatepass")
    return hashlib.sha256(body).hexdigest()[:32]


def _heard(work: asyncio.Future[Any]) -> None:
    """Says what became of work that nobody may be waiting for any more."""
    if not work.cancelled() and (error := work.exception()) is not None:
        _log.info("a call of a run failed: %s", type(error).__name__)


def _mark(job: Job) -> tuple[str, str, float | None]:
    return job.token, job.seen, job.ended
