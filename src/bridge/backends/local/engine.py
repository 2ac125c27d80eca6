"""The engine of the embedded service: takes requests, has a responder answer them, and remembers what happened.

Interactions form a tree: any ended, stored one may be the parent of several. A turn runs on when its caller goes away, as on
the real service, unless nothing of it is stored. What a turn says is the responder's business, what a program may do the
sandbox's, and how a request is refused `checks`'.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, TypedDict

from bridge.errors import ApiError, BridgeError, api_error
from bridge.interactions import (
    Agent,
    CodeExecutionTool,
    CreateAgentInteraction,
    CreateInteraction,
    EnvironmentConfig,
    Event,
    Interaction,
    Step,
    WebhookConfig,
)
from bridge.interactions.interaction import input_steps

from .agents import AgentRegistry, check_agent_call
from .checks import check_calls, check_request, check_tools, refused
from .environments import EnvironmentFiles, EnvironmentFolders
from .responders.base import Ending, Responder, ServerTool, Turn
from .responders.rules import RuleResponder
from .sandbox import MontySandbox, RunResult, Sandbox
from .settings import Controls, Switches, controlled
from .store import Store
from .turns.ending import to_its_end
from .turns.events import place_of
from .turns.record import Record, interaction_of, new_call_id, new_interaction_id
from .turns.run import Run
from .turns.usage import Meter
from .webhooks import Webhooks

__all__ = ["Engine", "EngineSettings"]

_log = logging.getLogger(__name__)
_STOP_WITHIN = 5.0  # seconds a turn that was told to stop may take
_CODES = {400: "invalid_request", 401: "authentication", 403: "permission_denied", 404: "not_found", 409: "aborted"}
_CODES |= {429: "rate_limit_exceeded", 501: "unimplemented", 503: "service_unavailable", 504: "deadline_exceeded"}
_CANCELLED = Ending(status="cancelled")
_STOPPED = Ending(
    status="failed",
    errors=(("aborted", "The service was stopped while this interaction ran; create it anew."),),
)


class EngineSettings(TypedDict, total=False):
    """The settings of an `Engine`, beside its data folder."""

    responder: Responder | None
    sandbox: Sandbox | None
    retention: float | None
    test_controls: bool
    server_tools: Mapping[str, ServerTool] | None
    switches: Switches | None
    run_timeout: float
    clock: Callable[[], float]


class Engine:
    """An Interactions service in this process.

    Args:
        data: the folder that keeps everything, over restarts too; None for a temporary one that goes with the engine.
        responder: who decides the steps of a turn; a `RuleResponder` by default.
        sandbox: where programs run; a `MontySandbox` by default, started when first needed.
        retention: seconds after which interactions, and environments not used since, are gone; None keeps them.
        test_controls: whether the labels `local-delay-ms`, `local-status`, `local-steps`, `local-drop-after`, `local-http`,
            `local-webhook` and `local-webhook-delay-ms` of a request steer its turn.
        server_tools: Python callables that stand in for server tools, by tool type ("google_search").
        switches: how it behaves where the real service's behaviour is in dispute.
        run_timeout: seconds a program may run.
        clock: seconds since 1970.

    `identity` names the place of its data, the same for every service on that folder.
    Made without any work: the first call opens the data folder. Raises `NotConfigured` then, where it cannot be used or the
    extra `local` is missing.
    """

    def __init__(
        self,
        data: str | Path | None = None,
        *,
        responder: Responder | None = None,
        sandbox: Sandbox | None = None,
        retention: float | None = None,
        test_controls: bool = False,
        server_tools: Mapping[str, ServerTool] | None = None,
        switches: Switches | None = None,
        run_timeout: float = 20.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if retention is not None and not retention > 0:
            raise ValueError(f"retention must be above 0 seconds, not {retention!r}")
        self._responder: Responder = responder or RuleResponder()
        self._sandbox = sandbox
        self._own_sandbox = sandbox is None
        self._retention = retention
        self._test_controls = test_controls
        self._server_tools = dict(server_tools or {})
        self._switches = switches or Switches()
        self._run_timeout = run_timeout
        self._clock = clock
        self._store = Store(data, clock)
        # By its text alone: to look at the disk is no work for a constructor.
        place = str(uuid.uuid4()) if data is None else os.path.normpath(data)
        self.identity = hashlib.sha256(f"local\n{place}".encode()).hexdigest()[:16]
        self._runs: dict[str, Run] = {}  # those that go on and are stored, by id
        self._tasks: set[Run] = set()  # all that go on
        self._hidden: dict[str, int] = {}
        self._answered: set[str] = set()
        self._tokens: set[str] = set()
        self._closed = False
        self.agents = AgentRegistry(self._store)
        self.environments = EnvironmentFolders(self._store, clock, retention)
        self.files = EnvironmentFiles(self.environments)
        self.webhooks = Webhooks(self._store, clock)

    async def start(self) -> None:
        """Opens the data folder now; otherwise the first call does. Raises `NotConfigured` where it cannot be used."""
        await self._store.root()
        self.webhooks.resume()

    async def create(self, request: CreateInteraction) -> Interaction:
        """Starts a turn and waits for its end; with `background`, gives it as it starts.

        A caller that stops waiting does not stop a turn that is stored. Raises `ApiError` where the request is refused.
        """
        run = await self._start(request, streamed=False)
        if run.record.background and run.started is not None:
            if run.record.webhook.get("control") == "early":
                await run.ended()
                await self.webhooks.deliver(run.record.id)
            return run.started
        try:
            await run.ended()
        finally:
            self._abandon(run)
        return interaction_of(run.record)

    async def stream(self, request: CreateInteraction) -> AsyncGenerator[Event, None]:
        """Starts a turn and gives its events as they come. Raises `ApiError` at the first where the request is refused."""
        run = await self._start(request, streamed=True)
        ids = run.record.stored and (run.record.background or self._switches.foreground_event_ids)
        try:
            async for event in run.follow(ids=ids):
                yield event
        finally:
            self._abandon(run)

    async def get(self, id: str, *, include_input: bool = False) -> Interaction:
        """A stored turn as it stands: the model's steps, with `include_input` after those of its input.

        Raises `NotFound` where the id is unknown, deleted or expired.
        """
        return interaction_of((await self._find(id)).record, include_input=include_input)

    async def watch(self, id: str, *, after: str | None = None) -> AsyncGenerator[Event, None]:
        """The events of a stored turn, from the start or from after an event id: past ones at once, then live."""
        run = await self._find(id)
        place = -1
        if after is not None:
            found = place_of(run.record, after)
            if found is None or not 0 <= found < len(run):
                raise refused(f"The value {after[:120]!r} is not supported for 'last_event_id': it is none of {id}.")
            place = found
        async for event in run.follow(place + 1):
            yield event

    async def cancel(self, id: str) -> Interaction:
        """Stops a background turn that runs, its program too, and gives it with the steps it made.

        Raises `NotFound`, and `BadRequest` where it has ended or does not run in the background.
        """
        run = await self._find(id)
        if not run.record.background:
            raise refused("Only background interactions can be cancelled.", code="failed_precondition")
        if run.task is not None:
            run.stop(_CANCELLED)
            if not await run.ended(_STOP_WITHIN):
                await self._end(run, _CANCELLED)
        if run.stop_with is not _CANCELLED or run.record.status != "cancelled":
            raise refused(
                f"Interaction {id} has ended ({run.record.status}) and cannot be cancelled.", code="failed_precondition"
            )
        return interaction_of(run.record)

    async def delete(self, id: str) -> None:
        """Forgets a stored turn; one that runs goes on to its end, as on the real service. Raises `NotFound`.

        What was chained onto it stays readable, and can no more be chained onto: its history is not whole.
        """
        await self._store.load(id, self._oldest())
        await self._store.delete(id)
        self._runs.pop(id, None)

    async def aclose(self) -> None:
        """Ends what runs as failed, and closes everything, within a few seconds. Idempotent."""
        self._closed = True
        runs = list(self._tasks)
        for run in runs:
            run.stop(_STOPPED)
        await asyncio.gather(*(run.ended(_STOP_WITHIN) for run in runs))
        for run in runs:
            if not run.closed:
                await self._end(run, _STOPPED)
        await self.webhooks.aclose()
        if self._own_sandbox and self._sandbox is not None:
            await self._sandbox.aclose()
        await self._store.aclose()

    # From here on: how a turn comes about.

    async def _start(self, request: CreateInteraction, *, streamed: bool) -> Run:
        """Checks a request and starts its turn; raises before anything is kept where it is refused."""
        if self._closed:
            raise _stopped()
        check_request(request, streamed=streamed)
        if streamed and request.background and not self._switches.background_stream:
            raise refused("background=true does not go with stream=true.")
        controls = Controls.of(request.labels) if self._test_controls else Controls()
        self._answer_once(controls, request)
        await self._purge()
        agent = None
        if isinstance(request, CreateAgentInteraction):
            agent = await self.agents.resolve(request)
            check_agent_call(agent, request, switches=self._switches)
        tools = [*((agent.tools if agent else request.tools) or ())]
        check_tools(tools, self._server_tools)
        chain = await self._chain(request)
        steps = input_steps(request.input)
        check_calls(chain[-1].steps if chain else (), _steps_of(chain), steps)
        environment = await self._environment(request, agent)
        record = self._record(request, steps, environment, controls)
        if request.continuation_token is not None:
            controls = Controls()
            if chain:  # the next hop answers the input of the hop before it
                steps, chain = chain[-1].input, chain[:-1]
        turn = await self._turn(request, steps, _steps_of(chain), agent, tools, environment)
        meter = Meter.of(request, steps, agent=agent, tools=tools)
        run = Run(record, drop_after=controls.drop_after)
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks.add(run)
        run.task = asyncio.create_task(self._work(run, turn, meter, controls, opened))
        run.task.add_done_callback(lambda _: self._never_began(run, opened))
        try:
            await asyncio.shield(opened)
        except asyncio.CancelledError:
            self._abandon(run)
            raise
        self.webhooks.resume()
        return run

    def _answer_once(self, controls: Controls, request: CreateInteraction) -> None:
        """Answers the first of equal requests with the status that its label asks for."""
        if controls.http is None:
            return
        key = hashlib.sha256(json.dumps(request.to_wire(), sort_keys=True).encode()).hexdigest()
        if key not in self._answered:
            self._answered.add(key)
            code = _CODES.get(controls.http, "api_error" if controls.http >= 500 else "invalid_request")
            raise api_error("Answered so because of the label local-http.", status=controls.http, code=code)

    async def _chain(self, request: CreateInteraction) -> list[Record]:
        """The turns before this one, the parent last. Raises where the parent cannot be one."""
        token, parent = request.continuation_token, request.previous_interaction_id
        if parent is None:
            if token is not None and token not in self._tokens:
                raise _wrong_token(token)
            return []
        run = self._runs.get(parent)
        if run is not None and not run.closed:
            raise refused(
                f"Interaction {parent} is still {run.record.status} and cannot be continued.",
                code="failed_precondition",
            )
        chain = await self._store.chain(parent, self._oldest())
        if token is not None and token != chain[-1].continuation_token:
            raise _wrong_token(token)
        return chain

    async def _environment(self, request: CreateInteraction, agent: Agent | None) -> str | None:
        """The environment of a turn: the one asked for, a new one, or a copy of the agent's own; None where none is."""
        wanted = request.environment
        base = agent.base_environment if agent is not None else None
        if wanted is None and base is None:
            return None
        if isinstance(wanted, str) and wanted != "remote":
            return await self._reused(wanted, None)
        config = wanted if isinstance(wanted, EnvironmentConfig) else None
        if config is not None and config.environment_id is not None:
            return await self._reused(config.environment_id, config)
        if isinstance(base, EnvironmentConfig):
            template = base.environment_id or (base.model_extra or {}).get("env_id")
            copy = await self.environments.provision(base, base=template)
            if config is not None:
                await self.environments.open(copy, config)
            return copy
        return await self.environments.provision(
            config, base=base if isinstance(base, str) and base != "remote" else None
        )

    async def _reused(self, id: str, config: EnvironmentConfig | None) -> str:
        if self._switches.environment_reuse == "fork":
            return await self.environments.provision(config, base=id)
        await self.environments.open(id, config)
        return id.removeprefix("environments/")

    def _record(
        self, request: CreateInteraction, steps: list[Step], environment: str | None, controls: Controls
    ) -> Record:
        now = self._clock()
        if isinstance(request, CreateAgentInteraction):
            who = {"agent": request.agent}
        else:
            who = {"model": f"local-{request.model}"}
        return Record(
            id=new_interaction_id(request.previous_interaction_id),
            who=who,
            created=now,
            updated=now,
            status="queued" if request.service_tier == "deferred" else "in_progress",
            parent=request.previous_interaction_id,
            stored=request.store is not False,
            background=bool(request.background),
            tier=request.service_tier or "standard",
            text_in_start=self._switches.first_text_in_start,
            environment_id=environment,
            input=steps,
            webhook=_webhook(request, controls),
        )

    async def _turn(
        self,
        request: CreateInteraction,
        steps: list[Step],
        history: list[Step],
        agent: Agent | None,
        tools: list[Any],
        environment: str | None,
    ) -> Turn:
        workspace = await self.environments.workspace(environment) if environment is not None else None
        may_run = agent is not None or environment is not None or any(isinstance(t, CodeExecutionTool) for t in tools)
        return Turn(
            request=request,
            input=tuple(steps),
            history=tuple(history),
            agent=agent,
            workspace=workspace,
            environment_id=environment,
            run_python=self._runner(workspace) if may_run else None,
            server_tools={
                tool.type: self._server_tools[tool.type] for tool in tools if tool.type in self._server_tools
            },
            new_id=new_call_id,
        )

    def _runner(self, workspace: Path | None) -> Callable[[str], Any]:
        async def run_python(code: str) -> RunResult:
            if self._sandbox is None:
                self._sandbox = MontySandbox()
            if workspace is not None:
                return await self._sandbox.run(code, workspace=workspace, timeout=self._run_timeout)
            scratch = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="interactions-bridge-scratch-"))
            try:
                return await self._sandbox.run(code, workspace=scratch, timeout=self._run_timeout)
            finally:
                await asyncio.shield(asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True))

        return run_python

    # From here on: what happens while it runs.

    async def _work(self, run: Run, turn: Turn, meter: Meter, controls: Controls, opened: asyncio.Future[None]) -> None:
        """One turn, from its first record to its last. Never raises: every outcome is an ending."""
        record = run.record
        try:
            if record.stored:
                await self._store.insert(record)
                self._runs[record.id] = run
                if record.background and self._switches.hidden_reads:
                    self._hidden[record.id] = self._switches.hidden_reads
            run.started = interaction_of(record)
            opened.set_result(None)
        except (BridgeError, asyncio.CancelledError) as error:
            opened.set_exception(error if isinstance(error, BridgeError) else _stopped())
            opened.exception()  # seen, also where nobody waits any more
            await self._end(run, _STOPPED)
            return
        try:
            if record.status == "queued":
                record.status = "in_progress"
                await self._keep(run)
            ending = await self._answer(run, turn, meter, controls)
        except asyncio.CancelledError:
            ending = run.stop_with or _STOPPED
        except ApiError as error:
            ending = Ending(status="failed", errors=((error.code or "api_error", error.message),))
        except Exception as error:  # noqa: BLE001 - a responder's failure must not cost the caller the interaction
            _log.exception("the responder failed in interaction %s", record.id)
            ending = Ending(status="failed", errors=(("api_error", f"The responder failed: {type(error).__name__}."),))
        record.usage = meter.usage()
        with suppress(asyncio.CancelledError):  # cancelled again while ending: the end goes on in its own task
            await asyncio.shield(asyncio.ensure_future(self._end(run, ending)))

    async def _answer(self, run: Run, turn: Turn, meter: Meter, controls: Controls) -> Ending:
        """Has the responder answer, keeps its steps as they come, and says how the turn ends."""
        answer = self._responder.respond(turn)
        if controls != Controls():
            answer = controlled(answer, controls, turn)
        async with aclosing(to_its_end(answer, meter)) as items:
            async for item in items:
                run.record.usage = meter.usage()
                if isinstance(item, Ending):
                    return item
                if run.record.stored:
                    await self._store.add_step(run.record.id, len(run.record.steps), item)
                if run.closed:
                    break
                run.add(item)
        return _STOPPED

    async def _end(self, run: Run, ending: Ending) -> None:
        """Closes a turn. The first ending counts."""
        if run.closed or run.record.ended:
            return
        record = run.record
        record.errors = [{"code": code, "message": message} for code, message in ending.errors]
        if ending.status == "requires_continuation":
            record.continuation_token = f"local-{new_call_id()}"
            if not record.stored:
                self._tokens.add(record.continuation_token)
        record.updated = self._clock()
        record.status = ending.status
        told = False
        try:
            told = await self._keep(run)
            if record.environment_id is not None:
                await self.environments.touched(record.environment_id)
        except BridgeError as error:  # what was not kept is still told to those who wait
            _log.error("interaction %s could not be kept: %s", record.id, error)
        finally:
            run.close()
            self._runs.pop(record.id, None)
            self._tasks.discard(run)
        if told:
            self.webhooks.wake()

    def _never_began(self, run: Run, opened: asyncio.Future[None]) -> None:
        """Its task is over: where it was cancelled before its first step, those who wait for it are told."""
        if not opened.done():
            opened.set_exception(_stopped())
            run.record.status = _STOPPED.status
            run.close()
            self._tasks.discard(run)

    async def _keep(self, run: Run) -> bool:
        """Keeps the record as it is. Says whether somebody is to be told."""
        return run.record.stored and await self._store.update(run.record)

    def _abandon(self, run: Run) -> None:
        """Its caller is gone: a turn of which nothing is stored has nobody left to end for."""
        if not run.record.stored and not run.closed:
            run.stop(_CANCELLED)

    async def _find(self, id: str) -> Run:
        """A turn by id, running or stored. Raises `NotFound`."""
        left = self._hidden.get(id)
        if left:
            self._hidden[id] = left - 1
            raise refused(f"Interaction {id[:120]} not found.", status=404, code="not_found")
        self._hidden.pop(id, None)
        run = self._runs.get(id)
        if run is None:
            run = Run(await self._store.load(id, self._oldest()))
            self.webhooks.resume()
        return run

    def _oldest(self) -> float:
        return float("-inf") if self._retention is None else self._clock() - self._retention

    async def _purge(self) -> None:
        if self._retention is not None:
            await self.environments.remove(await self._store.purge(self._oldest()))


def _webhook(request: CreateInteraction, controls: Controls) -> dict[str, Any]:
    """Who is told of a turn's end, as its record keeps it."""
    config = request.webhook_config
    asked = {
        **(config.to_wire() if isinstance(config, WebhookConfig) else {}),
        "control": controls.webhook,
        "delay": controls.webhook_delay,
    }
    return {name: asked[name] for name in ("uris", "user_metadata", "control", "delay") if asked.get(name)}


def _steps_of(chain: Sequence[Record]) -> list[Step]:
    """All steps of a chain of turns, inputs included, oldest first."""
    return [step for record in chain for step in (*record.input, *record.steps)]


def _stopped() -> ApiError:
    return api_error("the local service is closed", status=503, code="service_unavailable")


def _wrong_token(token: str) -> ApiError:
    return refused(
        f"The value {token[:120]!r} is not supported for 'continuation_token': it was not issued here for this."
    )
