"""A job: the record of one background interaction that was started for a graph and is waited for.

Plain immutable values. Who keeps them is `stores`' business, what becomes of them `looking`'s and `waking`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Intent", "Job", "Place", "State"]

State = Literal["intended", "running", "settled"]
"""intended: about to be started, or nothing tells whether it was. running: its interaction is known. settled: its result was taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where in a graph's run a job was started: what tells a run that goes on from one that begins.

    `thread` is the graph's. `exact` names the start itself; a run that is resumed or done again after a crash comes by the same one.
    A retry of the whole subgraph comes by another: it has the same `path`, with the retried node and the retry's number in `attempt`
    ("" for the first), and asks the same (`digest` of the request).
    """

    thread: str
    exact: str
    path: str
    attempt: str = ""
    digest: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """A job about to be started.

    `name` is the node's, `target` the model or agent, `backend` the identity of who does the work. `deadline` is in seconds from now,
    None for none. `terms` is plain data: what holds for the job while it runs (see `terms`).
    """

    place: Place
    name: str
    target: str
    backend: str
    deadline: float | None = None
    terms: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One row of a store. Times are seconds since 1970, None where it has not come to that.

    `token` is the row's random name, the only one that leaves the machine. `status` is the interaction's as last seen, "" before the
    first look. `due` is when a sweeper looks next. `seen` is a fingerprint of what the last look saw, `progressed` when that last
    changed, `cursor` the last event known. `verdict` says why the job was stopped from here: "deadline", "stalled", "budget" or "abandoned". `busy` is until when
    the run that started it is sure to be alive.
    """

    token: str
    thread: str
    place: str
    name: str
    target: str
    backend: str
    state: State
    interaction_id: str | None
    status: str
    created: float
    bound: float | None
    ended: float | None
    settled: float | None
    deadline: float | None
    due: float
    busy: float
    looks: int
    seen: str
    cursor: str | None
    progressed: float | None
    verdict: str | None
    environment_id: str | None
    usage: Mapping[str, Any] | None
    terms: Mapping[str, Any]
