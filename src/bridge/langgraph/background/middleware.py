"""`BackgroundAgentsMiddleware`: a chat agent of any vendor starts background agents, goes on talking, and looks after them with tools.

The start, its record and its place are those of `interactions_node`; here is what a model sees of them. No thread is parked and nothing is
resumed: the model asks. So no wake-up concerns these jobs, and a `Sweeper` only keeps their terms.

There are four tools however many agents there are, with the agent as a choice among names: a model picks one of a list more surely than one of
many similar tools, checking and cancelling need no agent, and the definitions do not grow with the agents.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, ToolException
from pydantic import BaseModel, Field, create_model

from bridge._portal import PortalRunner
from bridge.backend import Backend
from bridge.errors import BridgeError, InvalidRequest, NotConfigured, UnsupportedCapability
from bridge.interactions import Interaction, ModelOutput, TextContent, meaning_of
from bridge.jobs.job import Job
from bridge.jobs.looking import Look, look, stop
from bridge.jobs.stores.sqlite import default_store
from bridge.jobs.stores.store import JobStore
from bridge.jobs.waking import settle

from .files import files_of
from .node import interactions_node, settings_of
from .places import Standing, barrier, barrier_in_thread, standing
from .settings import Settings
from .starting import start

try:
    from langchain.agents.middleware import AgentMiddleware
except ImportError as error:
    raise NotConfigured(
        f"BackgroundAgentsMiddleware needs langchain, which is not installed: pip install langchain ({error})"
    ) from None

__all__ = ["ANSWER_LIMIT", "BackgroundAgentsMiddleware"]

# The most characters of an answer that one check gives.
ANSWER_LIMIT = 20_000
# The most files of one agent that are named.
_FILES = 100
# The most agents of a thread that are listed, the newest.
_LISTED = 50
_NOT_HERE = ("approve", "background", "input", "name", "on_abandon", "on_incomplete", "session_name", "wait")
_Told = tuple[str, dict[str, Any]]


class BackgroundAgentsMiddleware(AgentMiddleware[Any, Any, Any]):
    """Gives a chat agent the tools start_, check_, cancel_ and list_background_agent(s).

    `agents` names the agents that may be started, each with keywords of `interactions_node`: `model` or `agent`, and what else holds for
    it (`environment`, `deadline`, `budget`, ...), and a `description` that tells the model what it is for. `backend` and `jobs` are
    those of all that have none of their own.

    A start is recorded before it is paid for, and the same call that is run again (a resume, a retry, a crash) finds it. Ids count in the
    thread that started them and in no other; the graph needs a checkpointer. An answer is given in pieces of `answer_limit` characters.
    What the service refuses is an error of the tool, which the model reads; what is set up wrongly is raised.

    Raises `InvalidRequest` for an agent that cannot run so: one with tools of yours, an approval or a wait.
    """

    def __init__(
        self,
        agents: Mapping[str, Mapping[str, Any]],
        *,
        backend: Backend | str | None = None,
        jobs: JobStore | None = None,
        answer_limit: int = ANSWER_LIMIT,
    ) -> None:
        super().__init__()
        if not agents:
            raise InvalidRequest("name at least one agent: agents={'research': {'agent': ...}}", "agents")
        if answer_limit < 1:
            raise InvalidRequest("answer_limit is a number of characters above 0", "answer_limit")
        self._jobs = jobs if jobs is not None else default_store()
        common: dict[str, Any] = {"jobs": self._jobs} if backend is None else {"jobs": self._jobs, "backend": backend}
        self._settings = {name: _settings(name, {**common, **given}) for name, given in agents.items()}
        self._limit = answer_limit
        told = {name: str(given.get("description") or self._settings[name].target) for name, given in agents.items()}
        self.tools = self._made(told)

    def _made(self, told: Mapping[str, str]) -> list[BaseTool]:
        agents = "\n".join(f"- {name}: {description}" for name, description in told.items())
        choice: Any = Literal[tuple(told)]
        which = (str, Field(description="The id that start_background_agent gave."))
        return [
            _tool(
                "start_background_agent",
                "Starts an agent that works on a task by itself, and gives its id at once. Go on with other things meanwhile, and "
                f"call check_background_agent later. It sees nothing of this conversation. Agents:\n{agents}",
                create_model(
                    "start_background_agent",
                    agent=(choice, Field(description="Which agent.")),
                    task=(str, Field(min_length=1, description="The whole task, with all that the agent must know.")),
                    call_id=(Annotated[str, InjectedToolCallId], ...),
                ),
                self._start,
                starts=True,
            ),
            _tool(
                "check_background_agent",
                f"How an agent stands; once it is done, its answer and its files. {self._limit:,} characters of an answer come at a "
                "time: `next_offset` says where to read on.",
                create_model(
                    "check_background_agent",
                    id=which,
                    offset=(int, Field(default=0, ge=0, description="The character of the answer to begin with.")),
                ),
                self._check,
            ),
            _tool(
                "cancel_background_agent",
                "Stops an agent that still runs.",
                create_model("cancel_background_agent", id=which),
                self._cancel,
            ),
            _tool(
                "list_background_agents",
                f"The agents that were started in this conversation and how each stands, newest first, {_LISTED} at most.",
                create_model("list_background_agents"),
                self._list,
            ),
        ]

    async def _start(self, here: Standing, *, agent: str, task: str, call_id: str) -> _Told:
        settings = self._settings[agent]
        # Calls that one task runs have one namespace between them.
        call = hashlib.sha256(call_id.encode()).hexdigest()[:16]
        place = here._replace(namespace=f"{here.namespace}|call-{call}")
        left = await start(settings, {"messages": [HumanMessage(task)]}, place, _nobody, anew=True)
        job = await self._job(here, left["job"])
        return _told(job, note="It works on its own now; check it later.")

    async def _check(self, here: Standing, *, id: str, offset: int = 0) -> _Told:
        seen = await self._looked(await self._job(here, id))
        if not seen.ended:
            return _told(seen.job, **_progress(seen), **_trouble(seen))
        if seen.interaction is None:
            return _told(seen.job, **_trouble(seen))
        answer = _answer(seen.interaction)
        facts: dict[str, Any] = {"answer": answer[offset : offset + self._limit]}
        if offset + self._limit < len(answer):
            facts |= {"next_offset": offset + self._limit, "characters": len(answer)}
        if seen.interaction.errors:
            facts["errors"] = [error.to_wire() for error in seen.interaction.errors]
        backend = self._settings[seen.job.name].backend
        return _told(seen.job, **facts, **_listed(await files_of(backend, id, seen.interaction.environment_id)))

    async def _cancel(self, here: Standing, *, id: str) -> _Told:
        job = await self._job(here, id)
        if job.ended is not None:
            return _told(job, note="It had ended before; check it for what it left.")
        if job.interaction_id is None:
            raise ToolException(f"Nothing tells yet whether {job.name} {id} was started, so it cannot be stopped.")
        seen = await stop(job, self._settings[job.name].backend, self._jobs, "abandoned")
        await settle(seen.job, self._jobs)
        if seen.interaction is None or not meaning_of(seen.interaction.status).ends_wait:
            raise ToolException(f"{job.name} {id} was told to stop and may still run: {seen.problem or 'no answer'}")
        return _told(seen.job)

    async def _list(self, here: Standing) -> _Told:
        rows = await self._jobs.list(thread=here.thread)
        ours = [job for job in rows if self._is_ours(job)][:_LISTED]
        agents = await asyncio.gather(*(self._listed(job) for job in ours))
        return json.dumps({"agents": agents}, ensure_ascii=False), {"agents": agents}

    async def _listed(self, job: Job) -> dict[str, Any]:
        """How a job stands: one that is known to have ended is not asked for again."""
        if job.ended is not None:
            return _entry(job)
        seen = await self._looked(job)
        return _entry(seen.job, **_trouble(seen))

    async def _looked(self, job: Job) -> Look:
        """How a job stands. One that is over is marked as such: nobody else waits for it."""
        seen = await look(job, self._settings[job.name].backend, self._jobs)
        if seen.ended and seen.job.state != "settled":
            await settle(seen.job, self._jobs)
        return seen

    async def _job(self, here: Standing, id: str) -> Job:
        """The job of an id that this thread was given. Raises `ToolException`, for one of another thread as for none."""
        job = await self._jobs.get(id)
        if job is None or job.thread != here.thread or not self._is_ours(job):
            raise ToolException(
                f"There is no background agent {id[:80]!r} in this conversation; list_background_agents names those there are."
            )
        return job

    def _is_ours(self, job: Job) -> bool:
        return job.name in self._settings and bool(job.terms.get("unattended"))


def _settings(name: str, given: Mapping[str, Any]) -> Settings:
    """The settings of an agent, checked as those of a node; it outlives the turn that started it. Raises `InvalidRequest`."""
    if wrong := sorted(set(given) & set(_NOT_HERE)):
        raise InvalidRequest(f"agent {name!r}: {wrong[0]} is for a node that waits; leave it out", wrong[0])
    keywords = {keyword: value for keyword, value in given.items() if keyword != "description"}
    (settings,) = settings_of(interactions_node(name=name, on_abandon="detach", **keywords))
    if settings.client_tools:
        raise InvalidRequest(f"agent {name!r}: nobody runs tools of yours for it; give it the service's own", "tools")
    return replace(settings, terms=replace(settings.terms, unattended=True))


def _tool(
    name: str, description: str, schema: type[BaseModel], act: Callable[..., Awaitable[_Told]], *, starts: bool = False
) -> BaseTool:
    """A tool that acts where the running task stands; with its twin for graphs that are run without an event loop."""

    async def run(**given: Any) -> _Told:
        here = _standing()
        if starts:
            await barrier(here)
        return await _refusing(act(here, **given))

    def run_in_thread(**given: Any) -> _Told:
        here = _standing()
        if starts:
            barrier_in_thread(here)
        return PortalRunner().run(_refusing(act(here, **given)))

    return StructuredTool.from_function(
        run_in_thread,
        run,
        name=name,
        description=description,
        args_schema=schema,
        infer_schema=False,
        response_format="content_and_artifact",
        handle_tool_error=True,
    )


def _standing() -> Standing:
    here = standing()
    if here.checkpointer is None:
        raise InvalidRequest(
            "background agents belong to a thread: compile the agent with a checkpointer and run it with a thread_id",
            "checkpointer",
        )
    return here


async def _refusing(work: Awaitable[_Told]) -> _Told:
    """What went wrong at the service is the model's to read; what is set up wrongly is its author's."""
    try:
        return await work
    except (InvalidRequest, NotConfigured, UnsupportedCapability):
        raise
    except BridgeError as error:
        raise ToolException(str(error)) from error


def _entry(job: Job, **facts: Any) -> dict[str, Any]:
    """What the model reads of a job."""
    entry: dict[str, Any] = {"id": job.token, "agent": job.name, "status": job.status or "unknown"}
    if job.verdict is not None:
        entry["stopped_because"] = job.verdict
    return {**entry, **facts}


def _told(job: Job, **facts: Any) -> _Told:
    """What the model reads of a job, and beside it the same and more as plain data."""
    entry = _entry(job, **facts)
    beside = {"interaction_id": job.interaction_id, "environment_id": job.environment_id, "usage": job.usage}
    return json.dumps(entry, ensure_ascii=False), {**entry, **beside}


def _answer(interaction: Interaction) -> str:
    """All that the agent said, one paragraph or more for each time it did."""
    said = [step.content or [] for step in interaction.step_list if isinstance(step, ModelOutput)]
    texts = ["".join(part.text for part in content if isinstance(part, TextContent)) for content in said]
    return "\n\n".join(text for text in texts if text)


def _listed(listing: dict[str, Any]) -> dict[str, Any]:
    """The files of an agent, so many at most; nothing where there are none."""
    told = {name: value for name, value in listing.items() if value}
    if len(listing["files"]) > _FILES:
        told |= {"files": listing["files"][:_FILES], "more_files": True}
    return told


def _progress(seen: Look) -> dict[str, Any]:
    """What is there to see of an agent that still runs."""
    return {"steps_so_far": len(seen.interaction.own_steps) if seen.interaction is not None else 0}


def _trouble(seen: Look) -> dict[str, Any]:
    return {"problem": str(seen.problem)} if seen.interaction is None and seen.problem is not None else {}


def _nobody(_: Any) -> None:
    pass
