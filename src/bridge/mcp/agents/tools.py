"""The eight tools: from a caller's arguments to a run and back to a result. What they are called and take is `schemas`'."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import Context
from mcp_types import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    ElicitRequest,
    ImageContent,
    InputRequiredResult,
)

from bridge.errors import BridgeError, NotFound
from bridge.interactions import Error, meaning_of
from bridge.jobs.looking import asked
from bridge.jobs.stores.sqlite import default_path
from bridge.jobs.stores.store import JobStore
from bridge.tools import ToolError

from ..access import AtOnce, owner_of
from ..base import ServedTool, success
from ..handles import Handles, Kind, load_key
from ..tasks import MODERN
from ..text import cleaned, dumped
from .asking import answers_of, forms_for, shown, shows_forms
from .files import MAX_ENTRIES, backends_of, entries_of, listed_for, read_file, text_of, with_files
from .limits import Gate, Limits
from .places import Place, inside, place_of, run_uri
from .runs import Run, Runs, fresh_id
from .schemas import MAX_URI, WAIT, tools_for
from .settings import AgentSettings
from .views import page, run_view, steps_page, summary_of

__all__ = ["AgentTools", "owner_in"]

# The most bytes of a picture or a sound that a result carries.
_MAX_MEDIA = 4 * 1024**2
# The calls that are remembered to have been put away unanswered.
_REMEMBERED = 10_000


class AgentTools:
    """What the tools and the resources of a server with these agents do. `key` makes its handles, by default one of the user's own."""

    def __init__(
        self, agents: dict[str, AgentSettings], jobs: JobStore, *, key: bytes | None, limits: Limits, runs: Runs
    ) -> None:
        self._agents = agents
        self._jobs = jobs
        self._given_key = key
        self.known_handles: Handles | None = None
        self._limits = limits
        self._gate = Gate(limits, jobs)
        self._waits = AtOnce(limits.waiting)
        self._runs = runs
        # Calls whose form was put away unanswered. Another server may ask once more, which does no harm.
        self._dismissed: dict[tuple[str, str], None] = {}

    @property
    def served(self) -> list[ServedTool]:
        """The tools as they are listed and run."""
        return [
            ServedTool(tool, getattr(self, f"_{tool.name}"))
            for tool in tools_for(self._agents, self._limits.input_chars)
        ]

    @cached_property
    def _backends(self) -> list[Any]:
        return backends_of(self._agents)

    async def handles(self) -> Handles:
        """The handles of this server's key."""
        if self.known_handles is None:
            key = self._given_key
            if key is None:
                key = await asyncio.to_thread(load_key, _key_path())
            self.known_handles = Handles(key)
        return self.known_handles

    # --- the tools

    async def _agent_run(self, given: dict[str, Any], context: Context) -> CallToolResult | InputRequiredResult:
        with self._waiting(context):  # refused before anything is started
            return await self._ran(given, context)

    async def _ran(self, given: dict[str, Any], context: Context) -> CallToolResult | InputRequiredResult:
        owner, handles = owner_in(context), await self.handles()
        if context.request_state is not None:  # it was started, and its client brings what was asked for
            return await self._waited(await self._runs.again(owner, context.request_state), given, context)
        if context.input_responses is not None:
            raise ToolError(
                "inputResponses came without their requestState, so nothing tells which run they answer; agent_list() finds it"
            )
        previous = (
            await self.run_of(owner, given["previous_run_id"], "previous_run_id")
            if "previous_run_id" in given
            else None
        )
        agent = self._agents[self._agent_for(given, previous)]
        if previous is not None:
            previous = await self._runs.look(previous)
            _check_follow_up(previous, agent)
        environment = self._environment_for(given, agent, previous, owner, handles)
        files = [await self._file(owner, file, number) for number, file in enumerate(given.get("files", ()))]
        words, place = with_files(agent, given["input"], files, environment)
        request = agent.request(words, previous=previous.last.interaction_id if previous else None, environment=place)
        new = fresh_id(owner, given.get("idempotency_key"))
        try:
            run = await self._runs.start(
                owner,
                agent,
                request,
                id=new,
                summary=given["input"],
                previous=previous.id if previous else None,
                admit=lambda: self._gate.enter(owner),
            )
        except BridgeError as error:
            started = await self._runs.find(owner, new)
            if started is None:
                raise
            return await self.result(started, str(error))
        return await self._waited(run, given, context, again="idempotency_key" in given)

    async def _agent_wait(self, given: dict[str, Any], context: Context) -> CallToolResult | InputRequiredResult:
        with self._waiting(context):
            return await self._waited(await self.run_of(owner_in(context), given["run_id"]), given, context)

    def _waiting(self, context: Context) -> AbstractContextManager[None]:
        refusal = ToolError(
            f"{self._limits.waiting} calls wait already, and no more may: agent_get shows a run without waiting"
        )
        return self._waits.one(owner_in(context), refusal)

    async def _waited(
        self, run: Run, given: dict[str, Any], context: Context, *, again: bool = True
    ) -> CallToolResult | InputRequiredResult:
        """What a call gives that waits for a run: the run, or what its client has to ask its user first.

        `again` tells whether the call may be made anew without starting anything: where a client asks in between two calls, some
        forget the first one.
        """
        wait, tell = given.get("wait_s", WAIT), _teller(context)
        run = await self.take(run, context.input_responses or {})
        while True:
            run = await self._runs.follow(run, wait, tell)
            forms = self.forms(run, context)
            if not forms or not wait:
                return await self.result(run)
            if context.protocol_version in MODERN and not again:
                return await self.result(run, asks=True)
            if context.protocol_version in MODERN:
                return InputRequiredResult(input_requests=dict(forms), request_state=run.id)
            run = await self.take(run, {key: await shown(form, context, tell) for key, form in forms.items()})

    async def _agent_get(self, given: dict[str, Any], context: Context) -> CallToolResult:
        run = await self._runs.look(await self.run_of(owner_in(context), given["run_id"]))
        more = steps_page(run.steps, given.get("after_step", 0)) if given.get("include_steps") else {}
        return await self.result(run, more=more)

    async def _agent_respond(self, given: dict[str, Any], context: Context) -> CallToolResult:
        if ("result" in given) == ("decision" in given):
            raise ToolError("give a result or a decision, one of the two")
        run = await self._runs.look(await self.run_of(owner_in(context), given["run_id"]))
        decision = given.get("decision")
        result = given["result"] if decision is None else {"decision": decision}
        if not isinstance(result, str | dict):
            result = {"result": result}
        return await self.result(await self._runs.answer(run, given["call_id"], result, is_error=decision == "reject"))

    async def _agent_cancel(self, given: dict[str, Any], context: Context) -> CallToolResult:
        return await self.result(await self._runs.cancel(await self.run_of(owner_in(context), given["run_id"])))

    async def _agent_list(self, given: dict[str, Any], context: Context) -> CallToolResult:
        owner, handles = owner_in(context), await self.handles()
        after = given.get("cursor")
        if after is not None and (after := handles.read(owner, "run", after)) is None:
            raise ToolError("cursor: it is none that this list gave")
        runs, following = await self._runs.listed(owner, given.get("limit", 20), after)
        lines = [summary_of(run, handles.make(owner, "run", run.id)) for run in runs]
        cursor = None if following is None else handles.make(owner, "run", following)
        return success({"runs": lines, "next_cursor": cursor})

    async def _agent_files(self, given: dict[str, Any], context: Context) -> CallToolResult:
        owner, handles = owner_in(context), await self.handles()
        if ("run_id" in given) == ("environment_id" in given):
            raise ToolError("give a run_id or an environment_id, one of the two")
        if "run_id" in given:
            run = await self._runs.look(await self.run_of(owner, given["run_id"]))
            environment = _environment_of(run)
            if environment is None:
                raise ToolError("run_id: this run has no environment, and so no files")
        else:
            environment = self._named(handles, owner, "environment", given["environment_id"], "environment_id")
        path = inside(given["path"], "path") if given.get("path", "").strip("/") else ""
        handle = handles.make(owner, "environment", environment)
        entries, more = await entries_of(self._backends, environment, handle, path, MAX_ENTRIES)
        return success({"environment_id": handle, "entries": entries, "more": more})

    async def _agent_read_file(self, given: dict[str, Any], context: Context) -> CallToolResult:
        uri = given["uri"]
        data, kind = await self.read(owner_in(context), uri)
        media: list[ContentBlock] = []
        if isinstance(data, bytes):
            text = text_of(data)
            media = [_media(data, kind)] if text is None else []
            data = text or ""
        parts = page(data, given.get("offset", 0), given.get("max_chars", 20_000))
        return success({"uri": cleaned(uri), "mime_type": kind, **parts}, *media)

    # --- asking

    def forms(self, run: Run, context: Context) -> dict[str, ElicitRequest]:
        """What a client that shows forms is to ask its user for a run: the pending calls that are not left to the caller."""
        agent = self._runs.agent_of(run)
        if agent is None or not agent.ask_user or not shows_forms(context.client_capabilities):
            return {}
        forms = forms_for(agent.name, run.calls)
        return {key: form for key, form in forms.items() if (run.last.token, key) not in self._dismissed}

    async def take(self, run: Run, responses: Mapping[str, Any]) -> Run:
        """The run with what its user answered. Where they answered nothing the call is not asked again, but left to the caller."""
        forms = forms_for(str(run.facts["agent"]), run.calls)
        answers = answers_of(forms, responses)
        for key in (responses.keys() & forms.keys()) - {answer.call_id for answer in answers}:
            self._dismissed[run.last.token, key] = None
        while len(self._dismissed) > _REMEMBERED:
            self._dismissed.pop(next(iter(self._dismissed)))
        for answer in answers:
            run = await self._runs.answer(run, answer.call_id, answer.result, is_error=answer.refused)
        return run

    # --- reading, which resources do too

    async def read(self, owner: str, uri: str) -> tuple[str | bytes, str]:
        """What a URI names, and its MIME type. Raises `ToolError` where it names nothing of this owner's."""
        place = place_of(uri)
        if place is None:
            raise ToolError(f"uri: unknown resource {uri[:200]!r}")
        if place.kind == "run":
            return await self._part_of(await self.run_of(owner, place.handle, "uri"), place)
        environment = self._named(await self.handles(), owner, "environment", place.handle, "uri")
        try:
            return await read_file(self._backends, environment, place.path)
        except NotFound:
            raise ToolError(f"uri: unknown resource {uri[:200]!r}") from None

    async def _part_of(self, run: Run, place: Place) -> tuple[str, str]:
        run = await self._runs.look(run)
        match place.path:
            case "output":
                return cleaned(run.interaction.output_text), "text/markdown"
            case "steps":
                return dumped(steps_page(run.steps, 0)), "application/json"
        return dumped(await self._view(run)), "application/json"

    async def steps(self, owner: str, handle: str, after: int) -> str:
        """A page of a run's steps, as JSON."""
        run = await self._runs.look(await self.run_of(owner, handle, "uri"))
        return dumped(steps_page(run.steps, after))

    async def may_read(self, owner: str, uri: str) -> bool:
        """Whether a URI carries a handle of this owner's, and is none that nothing has: it is kept for as long as its listener is there."""
        place = place_of(uri) if len(uri) <= MAX_URI else None
        return place is not None and (await self.handles()).read(owner, place.kind, place.handle) is not None

    async def looked(self, run: Run) -> Run:
        """A run after one look at it."""
        return await self._runs.look(run)

    async def cancelled(self, run: Run) -> Run:
        """A run that was stopped."""
        return await self._runs.cancel(run)

    async def uri_of(self, run: Run) -> str:
        """The URI of a run, for its owner."""
        return run_uri((await self.handles()).make(run.owner, "run", run.id))

    # --- what they have in common

    async def run_of(self, owner: str, handle: str, where: str = "run_id") -> Run:
        """The run of a handle. One of another caller's is as unknown as one that never was."""
        named = (await self.handles()).read(owner, "run", handle)
        run = await self._runs.find(owner, named) if named is not None else None
        if run is None:
            raise _unknown(where, "run", handle)
        return run

    def _named(self, handles: Handles, owner: str, kind: Kind, handle: str, where: str) -> str:
        named = handles.read(owner, kind, handle)
        if named is None:
            raise _unknown(where, kind, handle)
        return named

    def _agent_for(self, given: dict[str, Any], previous: Run | None) -> str:
        if "agent" in given:
            return str(given["agent"])
        if previous is None:
            return next(iter(self._agents))
        name = str(previous.facts["agent"])
        if name not in self._agents:
            raise ToolError(
                f"previous_run_id: this server has no agent {name!r} any more; name one of {', '.join(self._agents)}"
            )
        return name

    def _environment_for(
        self, given: dict[str, Any], agent: AgentSettings, previous: Run | None, owner: str, handles: Handles
    ) -> str | None:
        """The environment to go on in: the one that is named, else that of the run before, for an agent that works in one."""
        if "environment_id" in given:
            if agent.environment is None:
                raise ToolError(
                    f"environment_id: {agent.name} works in no environment; leave it out, or choose another agent"
                )
            return self._named(handles, owner, "environment", given["environment_id"], "environment_id")
        return _environment_of(previous) if previous is not None and agent.environment is not None else None

    async def _file(self, owner: str, file: dict[str, Any], number: int) -> tuple[str, bytes]:
        where = f"files[{number}]"
        if "uri" not in file:
            if not file.keys() >= {"path", "content"}:
                raise ToolError(f"{where}: give a path and its content, or a uri")
            return inside(file["path"], f"{where}.path"), file["content"].encode("utf-8", "replace")
        if "content" in file:
            raise ToolError(f"{where}: give content or a uri, not both")
        data, _ = await self.read(owner, file["uri"])
        place = place_of(file["uri"])
        name = place.path if place is not None and place.kind == "environment" else f"{place.path if place else ''}.md"
        return inside(file.get("path", name), f"{where}.path"), data.encode() if isinstance(data, str) else data

    async def _view(self, run: Run, problem: str | None = None) -> dict[str, Any]:
        handles = await self.handles()
        environment, previous = _environment_of(run), run.facts["previous"]
        handle = None if environment is None else handles.make(run.owner, "environment", environment)
        if problem is None and run.problem is not None:
            problem = str(run.problem)
        return run_view(
            run,
            handle=handles.make(run.owner, "run", run.id),
            previous=None if previous is None else handles.make(run.owner, "run", previous),
            environment=handle,
            files=await listed_for(self._backends, environment, handle) if run.over else (),
            now=self._jobs.now(),
            problem=problem or await self._said(run),
        )

    async def _said(self, run: Run) -> str | None:
        """What the service says of a failure; it is no part of what is kept."""
        agent = self._runs.agent_of(run)
        if not run.failed or run.last.verdict is not None or meaning_of(run.status).outcome != "error" or agent is None:
            return None
        try:
            interaction = await asked(run.last.interaction_id or "", agent.runs)
        except BridgeError:
            return None
        told = [error.message for error in interaction.errors or [] if isinstance(error, Error) and error.message]
        return "; ".join(told) or None

    async def result(
        self, run: Run, problem: str | None = None, more: dict[str, Any] | None = None, *, asks: bool = False
    ) -> CallToolResult:
        """What a tool gives of a run; `asks` where agent_wait would ask the user for what it waits for."""
        view = await self._view(run, problem)
        if asks:
            view["next"] = (
                f"agent_wait(run_id='{view['run_id']}') asks the user for it. To answer without: {view['next']}"
            )
        return success({**view, **(more or {})}, is_error=run.failed or problem is not None)


def owner_in(context: Context) -> str:
    """Who makes a call."""
    return owner_of(context.request_context.request)


def _teller(context: Context) -> Any:
    """Tells a waiting client how it goes; each time the progress is one more, as the protocol wants it."""
    told = 0

    async def tell(message: str) -> None:
        nonlocal told
        told += 1
        await context.report_progress(told, None, cleaned(message))

    return tell


def _environment_of(run: Run) -> str | None:
    return next((job.environment_id for job in reversed(run.jobs) if job.environment_id is not None), None)


def _check_follow_up(previous: Run, agent: AgentSettings) -> None:
    if not previous.over:
        raise ToolError("previous_run_id: that run still goes on; wait for it with agent_wait first")
    if previous.calls:
        raise ToolError(
            "previous_run_id: that run waits for an answer: give it with agent_respond, or stop it with agent_cancel"
        )
    if previous.last.interaction_id is None or previous.last.backend != agent.runs.identity:
        raise ToolError(
            f"previous_run_id: {agent.name} cannot go on from that run; leave it out, and say in input what it needs"
        )


def _unknown(where: str, kind: str, handle: str) -> ToolError:
    return ToolError(f"{where}: there is no {kind} {cleaned(handle)[:100]!r}; agent_list() shows your runs")


def _media(data: bytes, kind: str) -> ContentBlock:
    if len(data) <= _MAX_MEDIA and kind.startswith(("image/", "audio/")):
        encoded = base64.b64encode(data).decode()
        if kind.startswith("image/"):
            return ImageContent(type="image", data=encoded, mime_type=kind)
        return AudioContent(type="audio", data=encoded, mime_type=kind)
    raise ToolError(
        f"uri: a file of {len(data)} bytes of {kind} is neither a text nor a picture or sound of at most {_MAX_MEDIA} bytes; read it as a "
        "resource"
    )


def _key_path() -> Path:
    return default_path().with_name("handle.key")
