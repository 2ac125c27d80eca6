"""`managed_agent_node`: a LangGraph node that runs a managed agent and returns its text, its environment and the files it left.

One interaction per run of the node, started in the background and followed to its end inside the run. Parking and waking, so that
a run survives its process, are left to `interactions_node`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableLambda
from langgraph.config import get_stream_writer

from bridge._portal import PortalRunner
from bridge.backend import Backend, require
from bridge.errors import (
    ApiError,
    BridgeError,
    DeadlineExceeded,
    InteractionFailed,
    InvalidRequest,
)
from bridge.interactions import (
    Assembler,
    Event,
    Interaction,
    InteractionCreated,
    Step,
    StepDelta,
    StepStart,
    StepStop,
    TextContent,
    Usage,
    assemble,
    meaning_of,
)
from bridge.sessions import plan

from .answers import metadata_of, raise_if_failed, usage_of
from .messages import ANCHOR, system_instruction, to_history

if TYPE_CHECKING:
    from .state import InteractionsState

__all__ = ["MAX_FILES", "managed_agent_node"]

_log = logging.getLogger("bridge.langgraph")

# The most files of an environment that are listed; an entry says `more_files` where there are more.
MAX_FILES = 1_000
_ABANDON_TIMEOUT = 10.0  # seconds that stopping an abandoned interaction may take
_POLL = (1.0, 15.0)  # seconds: the first pause between two looks, and the longest

Input = str | Sequence[Mapping[str, Any]]
Sleep = Callable[[float], Awaitable[None]]


def managed_agent_node(
    agent: str,
    *,
    backend: Backend | str | None = None,
    api_key: str | None = None,
    base_url: str | None = None,
    name: str | None = None,
    input: Callable[[Any], Input] | None = None,
    environment: Any = "remote",
    agent_config: Mapping[str, Any] | None = None,
    tools: Sequence[Any] | None = None,
    labels: Mapping[str, str] | None = None,
    background: bool = True,
    deadline: float | None = 7200.0,
    on_abandon: Literal["cancel", "detach"] = "cancel",
    sleep: Sleep = asyncio.sleep,
) -> Runnable[Any, InteractionsState]:
    """A node that runs a managed agent, for a graph whose state has `messages` and `interactions` (see `InteractionsState`).

    `agent` is the agent's id. The service is given by `backend` (a ready one or a name), `base_url` or `api_key`, as for
    `ChatInteractions`. `name` is the node's key in `interactions` and the author of its message, by default the agent's id.
    `input` makes the agent's input (a text, contents or steps) of the state; by default it is the state's messages, what models
    said in them as quotations. `environment` is "remote" for a new sandbox, an id, settings with sources, a callable that makes one
    of these of the state, or None. `deadline` is seconds for the whole run, None for none.

    Each step goes to the graph's custom stream when it is done, as {"type": "step", "name", "interaction_id", "index", "step"}, after
    {"type": "interaction", "name", "interaction_id", "status"} at the start; the same again at the end.

    Raises `InteractionFailed` where the agent failed or asks for a function to be called, `DeadlineExceeded` past the deadline. A turn
    that ends `incomplete` or `budget_exceeded` gives what there is, with that status. Where the run is cancelled or past its deadline,
    a background interaction is cancelled, or with `on_abandon="detach"` goes on at the service.
    """
    if deadline is not None and deadline <= 0:
        raise InvalidRequest("deadline is a number of seconds above 0, or None", "deadline")
    if on_abandon not in ("cancel", "detach"):
        raise InvalidRequest(f"on_abandon is 'cancel' or 'detach', not {on_abandon!r}", "on_abandon")
    from bridge.connect import connect

    client = connect(
        backend,
        **{k: v for k, v in (("api_key", api_key), ("base_url", base_url)) if v is not None},
    )
    require(client, "agents", "pass a backend that runs managed agents")
    if background:
        require(client, "background", "pass background=False")
    label = name or agent

    def request_of(state: Any) -> dict[str, Any]:
        place = environment(state) if callable(environment) else environment
        fields: dict[str, Any] = {
            "agent": agent,
            "environment": place,
            "agent_config": dict(agent_config) if agent_config else None,
            "tools": list(tools) if tools else None,
            "labels": dict(labels) if labels else None,
            "background": background or None,
        }
        if input is not None:
            fields["input"] = input(state)
        else:
            messages = state["messages"]
            fields["input"] = plan(to_history(messages), "", client.capabilities, follow=False).steps
            fields["system_instruction"] = system_instruction(messages)
        return {key: value for key, value in fields.items() if value is not None}

    async def follow(state: Any, write: Callable[[Any], None]) -> InteractionsState:
        run = _Run(client, label, write, sleep)
        fields = request_of(state)
        try:
            async with asyncio.timeout(deadline) as clock:
                if background:
                    interaction = await run.in_background(fields, cancel=on_abandon == "cancel")
                else:
                    interaction = await run.in_foreground(fields)
        except TimeoutError:
            if not clock.expired():
                raise
            fate = "was cancelled" if run.stopped else "may still run at the service"
            raise DeadlineExceeded(
                f"{label}: interaction {run.id or '(not known yet)'} passed the deadline of {deadline:g} s and {fate}",
                run.id,
            ) from None
        except BridgeError as error:
            if run.id is not None:
                error.add_note(f"while {label} waited for interaction {run.id}")
            raise
        return await _left(client, label, agent, interaction)

    async def in_loop(state: Any) -> InteractionsState:
        return await follow(state, _writer())

    def in_thread(state: Any) -> InteractionsState:
        return PortalRunner().run(follow(state, _writer()))

    return RunnableLambda(in_thread, in_loop, name=label)


class _Run:
    """One run of the node: follows one interaction and tells its steps."""

    def __init__(self, client: Backend, label: str, write: Callable[[Any], None], sleep: Sleep) -> None:
        self._client = client
        self._label = label
        self._write = write
        self._sleep = sleep
        self.id: str | None = None
        self.stopped = False
        self._cursor: str | None = None
        self._open: dict[int, list[Event]] = {}  # the events of steps that are not over
        self._order: dict[int, int] = {}  # a stream's index of a step -> its place among the steps told
        self._told: set[int] = set()

    async def in_foreground(self, fields: Mapping[str, Any]) -> Interaction:
        """The interaction of a stream, which ends with its connection."""
        assembler = Assembler()
        async for event in self._client.stream(**fields):
            assembler.add(event)
            if isinstance(event, InteractionCreated):
                self._began(event.interaction)
            self._tell(event)
        interaction = assembler.interaction()
        self._ended(interaction)
        return interaction

    async def in_background(self, fields: Mapping[str, Any], *, cancel: bool) -> Interaction:
        """The interaction as it stands at its end. Where this is cancelled, so is the interaction, if `cancel` says so."""
        start = asyncio.ensure_future(self._client.create(**fields))
        try:
            # The start is never cut off: what was paid for must have an id.
            interaction = await asyncio.shield(start)
            self._began(interaction)
            pause, longest = _POLL
            while not meaning_of(interaction.status).ends_wait:
                await self._watch(interaction.id)
                interaction = await self._client.get(interaction.id)
                self._tell_steps(interaction)
                if not meaning_of(interaction.status).ends_wait:
                    await self._sleep(pause)
                    pause = min(2 * pause, longest)
        except asyncio.CancelledError:
            if cancel:
                await self._abandon(start)
            raise
        self._ended(interaction)
        return interaction

    async def _watch(self, id: str) -> None:
        """Tells the steps as they come. However it ends, the next look at the interaction says how things stand."""
        if self._client.capabilities.stream_resume == "none":
            return
        try:
            async for event in self._client.watch(id, after=self._cursor):
                self._cursor = event.event_id or self._cursor
                self._tell(event)
        except BridgeError as error:
            _log.info("%s: watching interaction %s broke off: %s", self._label, id, error)

    async def _abandon(self, start: asyncio.Future[Interaction]) -> None:
        """Stops the interaction and sees to it that it stopped, within `_ABANDON_TIMEOUT`, also where this is cancelled again."""
        task = asyncio.ensure_future(self._stop(start))
        _stopping.add(task)
        task.add_done_callback(_stopping.discard)
        await asyncio.wait({task}, timeout=_ABANDON_TIMEOUT)
        if not task.done() or task.exception() is not None:
            reason = task.exception() if task.done() else f"no answer within {_ABANDON_TIMEOUT:g} s"
            _log.error(
                "%s: interaction %s could not be cancelled and may still run: %s",
                self._label,
                self.id,
                reason,
            )

    async def _stop(self, start: asyncio.Future[Interaction]) -> None:
        interaction = await start
        self.id = interaction.id
        try:
            interaction = await self._client.cancel(interaction.id)
        except ApiError as error:  # it may have ended by itself
            _log.info("%s: cancelling interaction %s: %s", self._label, self.id, error)
            interaction = await self._client.get(interaction.id)
        while not meaning_of(interaction.status).ends_wait:
            await self._sleep(_POLL[0])
            interaction = await self._client.get(interaction.id)
        self.stopped = True

    def _began(self, interaction: Interaction) -> None:
        self.id = interaction.id or None
        self._state(interaction)

    def _ended(self, interaction: Interaction) -> None:
        self._tell_steps(interaction)
        self._state(interaction)

    def _state(self, interaction: Interaction) -> None:
        facts = {
            "name": self._label,
            "interaction_id": self.id,
            "status": interaction.status,
        }
        self._write({"type": "interaction", **facts})

    def _tell(self, event: Event) -> None:
        """Tells a step when its last event is there."""
        match event:
            case StepStart():
                if event.step.type != "user_input":  # told once more after a broken connection, it is the same step
                    self._order.setdefault(event.index, len(self._order))
                    self._open[event.index] = [event]
            case StepDelta() if event.index in self._open:
                self._open[event.index].append(event)
            case StepStop() if event.index in self._open:
                for step in assemble([*self._open.pop(event.index), event]).steps or []:
                    self._tell_step(self._order[event.index], step)

    def _tell_steps(self, interaction: Interaction) -> None:
        """Tells what a stream did not: all steps of an interaction that ended, all but the last of one that runs."""
        steps = [step for step in interaction.steps or [] if step.type != "user_input"]
        over = len(steps) if meaning_of(interaction.status).ends_wait else len(steps) - 1
        for place, step in enumerate(steps[: max(over, 0)]):
            self._tell_step(place, step)

    def _tell_step(self, place: int, step: Step) -> None:
        if place not in self._told:
            self._told.add(place)
            facts = {
                "name": self._label,
                "interaction_id": self.id,
                "index": place,
                "step": step.to_wire(),
            }
            self._write({"type": "step", **facts})


# Interactions being stopped: the event loop itself keeps tasks alive only weakly.
_stopping: set[asyncio.Future[None]] = set()


async def _left(client: Backend, label: str, agent: str, interaction: Interaction) -> InteractionsState:
    """What the node leaves in the state. Raises `InteractionFailed` where there is no answer."""
    raise_if_failed(interaction)
    outcome = meaning_of(interaction.status).outcome
    if outcome not in ("answer", "partial"):
        calls = ", ".join(call.name for call in interaction.pending_calls)
        raise InteractionFailed(
            f"interaction {interaction.id} of {agent} stopped as {interaction.status}"
            f"{f': it asks for {calls} to be called' if calls else ''}; this node has nobody to act, "
            "use ChatInteractions(agent=...) with tools",
            interaction,
        )
    said = [part.text for part in interaction.output_content if isinstance(part, TextContent)]
    message = AIMessage(
        content=interaction.output_text or "\n\n".join(said),
        id=interaction.id or None,
        name=label,
        response_metadata=metadata_of(interaction, agent),
        usage_metadata=usage_of(interaction.usage),
        additional_kwargs={ANCHOR: {"session": f"{client.identity}/{label}"}},
    )
    entry: dict[str, Any] = {
        "id": interaction.id,
        "agent": agent,
        "status": interaction.status,
        "environment_id": interaction.environment_id,
        "usage": interaction.usage.to_wire() if isinstance(interaction.usage, Usage) else None,
        **await _files(client, label, interaction.environment_id),
    }
    return {"messages": [message], "interactions": {label: entry}}


async def _files(client: Backend, label: str, environment_id: str | None) -> dict[str, Any]:
    """The files of the environment. A listing that fails costs the list, not the answer that was paid for."""
    files: list[dict[str, Any]] = []
    if environment_id is None:
        return {"files": files}
    try:
        async for entry in client.files.list(environment_id, "", recursive=True):
            if entry.type == "directory":
                continue
            if len(files) == MAX_FILES:
                return {"files": files, "more_files": True}
            facts = ("path", "name", "size_bytes", "mime_type")
            files.append({fact: getattr(entry, fact) for fact in facts if getattr(entry, fact) is not None})
    except BridgeError as error:
        _log.warning(
            "%s: the files of environment %s could not be listed: %s",
            label,
            environment_id,
            error,
        )
        return {"files": files, "files_error": str(error)}
    return {"files": files}


def _writer() -> Callable[[Any], None]:
    """The graph's custom stream; outside of a graph nobody listens."""
    try:
        return get_stream_writer()
    except (RuntimeError, KeyError):
        return lambda _: None
