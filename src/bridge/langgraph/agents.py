"""`as_agent`: a compiled graph as an agent that others can serve: a thread for each conversation, an interaction for each turn of it.

What the graph interrupts for is a call of that interaction, and the answer to it resumes the thread. All that is told of a turn is read
from the graph's checkpointer, so another process tells the same; one that died in the middle of a turn is replaced by the next that is
asked, which the job store's lease keeps from being two. Who serves it is the interfaces' business.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.constants import END
from langgraph.pregel import Pregel
from langgraph.types import Command, Interrupt, StateSnapshot
from pydantic_core import to_json, to_jsonable_python

from bridge.backend import Capabilities
from bridge.errors import InvalidRequest, OutcomeUnknown, UnsupportedCapability, api_error
from bridge.interactions import Event, Interaction
from bridge.jobs.agent import Agent
from bridge.jobs.stores.sqlite import default_store
from bridge.jobs.stores.store import JobStore
from bridge.jobs.tasks import held
from bridge.jobs.waking import holding

__all__ = ["as_agent"]

_log = logging.getLogger("bridge.langgraph")
Graph = Pregel[Any, Any, Any, Any]
# What a turn's checkpoints are marked with: which turn of its thread it is, how many messages were there before it, and how it ended where
# its state does not say so.
_TURN, _FROM, _ENDED = "bridge_turn", "bridge_from", "bridge_ended"
_TAKEN = frozenset({"input", "previous_interaction_id", "background", "store", "labels"})
# Seconds within which the first checkpoint of a turn can be read back.
_KEPT_WITHIN, _PAUSE = 30.0, 0.002


def as_agent(
    graph: Graph,
    *,
    name: str | None = None,
    description: str = "",
    input: Callable[[str], Any] | None = None,
    output: Callable[[Any], str] | None = None,
    jobs: JobStore | None = None,
) -> Agent:
    """A graph that was compiled with a checkpointer, as an `Agent` for `bridge.mcp.agent_server` and whoever else serves agents.

    `input` makes the graph's input of the caller's words, by default a human message in `messages`; `output` makes the answer of the
    graph's values, by default the text of the last message, else the values as JSON. `name` and `description` are what callers see.
    An interrupt is a call named "interrupt" with its value in `value`: `True` and `False` answer it where the caller decides, anything
    else is what `interrupt()` returns; approvals of LangChain's HumanInTheLoopMiddleware get decisions in its own form. `jobs` holds the
    leases of its threads, by default in the user's data folder.

    Raises `InvalidRequest` where the graph has no checkpointer.
    """
    checkpointer = getattr(graph, "checkpointer", None)
    if not isinstance(checkpointer, BaseCheckpointSaver):
        raise InvalidRequest("an agent's threads outlive a call: compile the graph with a checkpointer", "graph")
    return _GraphAgent(
        graph,
        name or getattr(graph, "name", None) or "graph",
        description,
        input or _asked,
        output or _answered,
        jobs if jobs is not None else default_store(),
    )


class _GraphAgent:
    """Meets `Agent`."""

    capabilities = Capabilities(
        handle="mutable",
        fork=False,
        stream_resume="none",
        environments=False,
        agents=False,
        budgets=frozenset(),
        resend=frozenset(),
    )

    def __init__(
        self,
        graph: Graph,
        name: str,
        description: str,
        asked: Callable[[str], Any],
        answered: Callable[[Any], str],
        jobs: JobStore,
    ) -> None:
        self.name = name
        self.description = description
        self.identity = f"graph/{name}"
        self._graph = graph
        self._asked = asked
        self._answered = answered
        self._jobs = jobs
        self._running: dict[str, asyncio.Future[None]] = {}

    async def create(self, /, **fields: Any) -> Interaction:
        """Starts a turn: of a new thread, or of that of `previous_interaction_id`."""
        given = {name: value for name, value in fields.items() if value is not None}
        if unknown := sorted(set(given) - _TAKEN):
            raise UnsupportedCapability(self.name, unknown[0], "a graph takes input and previous_interaction_id")
        previous, thread, turn = given.get("previous_interaction_id"), secrets.token_hex(16), 1
        asked: Sequence[Interrupt] = ()
        told = 0
        if previous is not None:
            thread, before = _place_of(previous)
            now = await self._snapshot(previous)
            latest = await self._graph.aget_state({"configurable": {"thread_id": thread}})
            if (latest.metadata or {}).get(_TURN) != before or self._status(previous, now) == "in_progress":
                raise api_error(
                    f"{previous} is not the last turn of its thread, or still runs", status=409, code="aborted"
                )
            turn, asked, told = before + 1, now.interrupts, len(_messages(now.values))
        new = f"{thread}:{turn}"
        self._run(new, self._read(given.get("input"), asked), told)
        until = time.monotonic() + _KEPT_WITHIN
        while await self._found(new) is None and new in self._running:
            if time.monotonic() >= until:
                raise OutcomeUnknown(
                    f"{self.name}: the first checkpoint of turn {new} was not written within {_KEPT_WITHIN:g} s"
                )
            await asyncio.sleep(_PAUSE)
        return await self.get(new)

    async def get(self, id: str) -> Interaction:
        """A turn as it stands; one whose process is gone goes on here. Raises `NotFound`."""
        snapshot = await self._snapshot(id)
        status = self._status(id, snapshot)
        if status == "in_progress" and id not in self._running:
            self._run(id, None, _from(snapshot))
        return self._interaction(id, status, snapshot)

    async def watch(self, id: str, *, after: str | None = None) -> AsyncIterator[Event]:
        """A graph has no stream that could be taken up again."""
        raise UnsupportedCapability(self.name, "stream_resume", "look at the turn again")
        yield

    async def cancel(self, id: str) -> Interaction:
        """Stops a turn that runs here, or nowhere."""
        if (work := self._running.get(id)) is not None:
            work.cancel()
            await asyncio.wait({work})
        snapshot = await self._snapshot(id)
        if self._status(id, snapshot) != "in_progress":
            return self._interaction(id, self._status(id, snapshot), snapshot)
        async with holding(self._jobs, _lease_of(id)) as ours:
            if not ours:
                raise api_error(f"{id} runs in another process", status=409, code="aborted")
            await self._graph.aupdate_state(self._config(id, {_ENDED: "cancelled"}), None, as_node=END)
        return self._interaction(id, "cancelled", await self._snapshot(id))

    def _run(self, id: str, input: Any, told: int) -> None:
        """Runs the graph for a turn in the background: from its input, or on from where it stands. `told` messages were there before."""
        work = self._running[id] = held(self._work(id, input, told))
        work.add_done_callback(lambda _: self._running.pop(id, None))

    async def _work(self, id: str, input: Any, told: int) -> None:
        async with holding(self._jobs, _lease_of(id)) as ours:
            if not ours:
                return  # another process is at it
            try:
                await self._graph.ainvoke(input, self._config(id, {_FROM: told}), durability="sync")
            except Exception as error:  # noqa: BLE001 - whatever a user's graph raises: its checkpoint says that it failed
                _log.error("%s: turn %s failed: %s", self.name, id, type(error).__name__)
                _log.debug("%s: turn %s failed", self.name, id, exc_info=error)

    def _config(self, id: str, marks: Mapping[str, Any]) -> RunnableConfig:
        thread, turn = _place_of(id)
        return {"configurable": {"thread_id": thread}, "metadata": {_TURN: turn, **marks}}

    async def _found(self, id: str) -> StateSnapshot | None:
        """The last checkpoint of a turn."""
        thread, turn = _place_of(id)
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        async for snapshot in self._graph.aget_state_history(config, filter={_TURN: turn}, limit=1):
            return snapshot
        return None

    async def _snapshot(self, id: str) -> StateSnapshot:
        snapshot = await self._found(id)
        if snapshot is None:
            raise api_error(f"there is no turn {id[:100]!r}", status=404, code="not_found")
        return snapshot

    def _status(self, id: str, snapshot: StateSnapshot) -> str:
        ended = (snapshot.metadata or {}).get(_ENDED)
        if isinstance(ended, str):
            return ended
        if id in self._running:
            return "in_progress"
        if snapshot.interrupts:
            return "requires_action"
        if any(task.error is not None for task in snapshot.tasks):
            return "failed"
        return "in_progress" if snapshot.next else "completed"

    def _interaction(self, id: str, status: str, snapshot: StateSnapshot) -> Interaction:
        steps = _steps(_messages(snapshot.values), _from(snapshot))
        wire: dict[str, Any] = {"id": id, "status": status, "object": "interaction", "agent": self.name, "steps": steps}
        if status == "completed":
            text = self._answered(snapshot.values)
            if steps and steps[-1] == _thought(text):  # the answer itself
                steps.pop()
            steps.append({"type": "model_output", "content": [{"type": "text", "text": text}]})
        elif status == "requires_action":
            for interrupt in snapshot.interrupts:
                value = to_jsonable_python(interrupt.value, fallback=repr)
                steps.append(
                    {"type": "function_call", "id": interrupt.id, "name": "interrupt", "arguments": {"value": value}}
                )
        elif status == "failed":
            wire["errors"] = [
                {"code": "graph_failed", "message": "the graph raised an error; its server's log says more"}
            ]
        return Interaction.parse(wire)

    def _read(self, input: Any, asked: Sequence[Interrupt]) -> Any:
        """What the graph is given: its input, or the answers to what it interrupted for."""
        if isinstance(input, str):
            return self._asked(input)
        parts: Sequence[Any] = input if isinstance(input, list) else [input]
        if parts and all(_kind(part) == "text" for part in parts):
            return self._asked("\n\n".join(part["text"] for part in parts))
        if parts and all(_kind(part) == "function_result" for part in parts):
            values = {interrupt.id: interrupt.value for interrupt in asked}
            told = {part["call_id"]: _word(part.get("result"), values.get(part["call_id"])) for part in parts}
            return Command(resume=told)
        raise UnsupportedCapability(
            self.name, "input of that kind", "a graph takes texts, and answers to its interrupts"
        )


def _place_of(id: str) -> tuple[str, int]:
    thread, _, turn = id.rpartition(":")
    if not (thread and turn.isascii() and turn.isdigit()):
        raise api_error(f"there is no turn {id[:100]!r}", status=404, code="not_found")
    return thread, int(turn)


def _lease_of(id: str) -> str:
    return f"graph:{id}"


def _kind(part: Any) -> Any:
    return part.get("type") if isinstance(part, Mapping) else None


def _word(result: Any, asked: Any) -> Any:
    """What `interrupt()` returns for an answer to what it was called with: the answer itself, or a decision as True or False.

    Where it asks for approvals as LangChain's HumanInTheLoopMiddleware does, a decision is one in that form, and so are words: they
    reject with that message, or respond where rejecting is not allowed.
    """
    match result:
        case {"result": value, **more} if not more:
            return value
        case {"decision": "approve" | "reject" as decision}:
            made = {"type": decision}
        case str():
            made = {"type": "reject", "message": result}
        case _:
            return result
    match asked:
        case {"action_requests": [*requests], **more}:
            return {"decisions": [_allowed(made, more, place) for place in range(len(requests))]}
        case {"type": "tool_approval"}:
            return made
    return result if isinstance(result, str) else made["type"] == "approve"


def _allowed(made: dict[str, Any], asked: Mapping[Any, Any], place: int) -> dict[str, Any]:
    """A decision on one of several calls: words respond where rejecting is not allowed."""
    match asked.get("review_configs"):
        case [*configs] if place < len(configs) and "message" in made:
            allowed = configs[place].get("allowed_decisions", ()) if isinstance(configs[place], Mapping) else ()
            return {**made, "type": "respond"} if "respond" in allowed and "reject" not in allowed else made
    return made


def _messages(values: Any) -> Sequence[AnyMessage]:
    found: Sequence[AnyMessage] = values.get("messages") or [] if isinstance(values, Mapping) else []
    return found


def _from(snapshot: StateSnapshot) -> int:
    told = (snapshot.metadata or {}).get(_FROM)
    return told if isinstance(told, int) else 0


def _steps(messages: Sequence[AnyMessage], told: int) -> list[dict[str, Any]]:
    """What a graph's messages behind the first `told` tell of its work: what was said on the way, and the calls that were answered.

    Calls that were not are for the graph itself to answer.
    """
    calls = {call["id"]: call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls}
    steps: list[dict[str, Any]] = []
    for message in messages[told:]:
        if isinstance(message, AIMessage) and message.text:
            steps.append(_thought(message.text))
        elif isinstance(message, ToolMessage) and (call := calls.get(message.tool_call_id)) is not None:
            called = {"type": "function_call", "id": call["id"], "name": call["name"], "arguments": call["args"]}
            failed = {"is_error": True} if message.status == "error" else {}
            result = {"call_id": call["id"], "name": call["name"], "result": message.text, **failed}
            steps += [called, {"type": "function_result", **result}]
    return steps


def _thought(text: str) -> dict[str, Any]:
    return {"type": "thought", "summary": [{"type": "text", "text": text}]}


def _asked(words: str) -> Any:
    return {"messages": [HumanMessage(words)]}


def _answered(values: Any) -> str:
    if messages := _messages(values):
        return str(messages[-1].text)
    return to_json(values, fallback=repr).decode()
