"""Where a node of a run stands: the one module that knows LangGraph's private keys.

A start is named by its checkpoint namespace and task id, which are the same over resumes and crashes once the checkpoints they were made
from are on disk. `barrier` waits for that; `place_of` gives the name. `tests/langgraph/background/test_places.py` fails where LangGraph
moves a key.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config
from langgraph.runtime import get_runtime

from bridge.errors import InvalidRequest
from bridge.jobs.job import Place

__all__ = ["STRICT_RESUME", "Standing", "barrier", "barrier_in_thread", "standing"]

_log = logging.getLogger("bridge.langgraph")
_CHECKPOINTER = "__pregel_checkpointer"
_DURABILITY = "__pregel_durability"
STRICT_RESUME = "__pregel_strict_resume"
_CHECKPOINT_MAP = "checkpoint_map"
_SEPARATOR = "|"
# Seconds that a checkpoint may take to be on disk; the first look comes at once.
_PATIENCE = 30.0
_PAUSE = 0.001

_NOT_KEPT = (
    "this graph runs with durability='exit', which writes its checkpoints at the end only: after a crash a started interaction could "
    "not be found again and would be paid twice; use durability='async' or 'sync'"
)


class Standing(NamedTuple):
    """Where the running node stands. `checkpointer` is None where nothing is kept of the run."""

    thread: str
    namespace: str
    run: str
    checkpointer: BaseCheckpointSaver[Any] | None
    checkpoints: Mapping[str, str]
    """Of this graph and all around it, by namespace."""
    durability: str | None

    def place(self, request: Mapping[str, Any]) -> Place:
        """The place of a start that sends this request."""
        segments = self.namespace.split(_SEPARATOR)
        number = next((place for place, segment in enumerate(segments) if segment.isdigit()), None)
        names = [segment.partition(":")[0] for segment in segments[1:] if not segment.isdigit()]
        # Without the environment: the first attempt may have made one that the next one works in.
        asked = {name: value for name, value in request.items() if name != "environment"}
        body = json.dumps(asked, sort_keys=True, default=repr).encode("utf-8", "surrogatepass")
        return Place(
            thread=self.thread,
            exact=self.namespace,
            path=_SEPARATOR.join([segments[0], *names]),
            attempt="" if number is None else _SEPARATOR.join(segments[: number + 1]),
            digest=hashlib.sha256(body).hexdigest()[:32],
        )


def standing() -> Standing:
    """Where the running node stands."""
    config: RunnableConfig = get_config()
    info, held = get_runtime().execution_info, config["configurable"]
    checkpointer = held.get(_CHECKPOINTER)
    run = str(config.get("run_id") or held.get("run_id") or "")
    namespace = info.checkpoint_ns if info is not None else ""
    kept = isinstance(checkpointer, BaseCheckpointSaver) and bool(held.get("thread_id"))
    return Standing(
        thread=str(held["thread_id"]) if kept else f"run:{namespace}:{run or id(held)}",
        namespace=namespace,
        run=run,
        checkpointer=checkpointer if kept else None,
        checkpoints=dict(held.get(_CHECKPOINT_MAP) or {}),
        durability=held.get(_DURABILITY),
    )


async def barrier(place: Standing) -> None:
    """Waits until the checkpoints that the node would be resumed from can be read back.

    Raises `InvalidRequest` where they are not written while the graph runs.
    """
    checkpointer = _checked(place)
    if checkpointer is None:
        return
    until = time.monotonic() + _PATIENCE
    for config in _configs(place):
        while await checkpointer.aget_tuple(config) is None:
            _check(until)
            await asyncio.sleep(_PAUSE)


def barrier_in_thread(place: Standing) -> None:
    """The same without an event loop."""
    checkpointer = _checked(place)
    if checkpointer is None:
        return
    until = time.monotonic() + _PATIENCE
    for config in _configs(place):
        while checkpointer.get_tuple(config) is None:
            _check(until)
            time.sleep(_PAUSE)


_warned = False


def _checked(place: Standing) -> BaseCheckpointSaver[Any] | None:
    global _warned  # noqa: PLW0603 - once in a process
    if place.durability == "exit" and place.checkpointer is not None:
        raise InvalidRequest(_NOT_KEPT, "durability")
    if isinstance(place.checkpointer, InMemorySaver) and not _warned:
        _warned = True
        _log.warning("the graph's checkpointer is in memory: its threads, parked ones too, are gone with this process")
    return place.checkpointer


def _configs(place: Standing) -> list[RunnableConfig]:
    return [
        {"configurable": {"thread_id": place.thread, "checkpoint_ns": namespace, "checkpoint_id": checkpoint}}
        for namespace, checkpoint in place.checkpoints.items()
    ]


def _check(until: float) -> None:
    if time.monotonic() > until:
        raise InvalidRequest(
            f"the checkpoint that this node would be resumed from was not written within {_PATIENCE:g} s, so nothing was started: "
            f"is the checkpointer reachable? ({_NOT_KEPT})",
            "durability",
        )
