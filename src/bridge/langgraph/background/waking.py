"""The three front ends that set parked threads of a graph going again: a direct call, a sweeper, and a webhook's receiver.

They find the graph's backends and how its threads are resumed; what waking is, `bridge.jobs` says.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from langgraph.pregel.protocol import PregelProtocol
from langgraph.pregel.remote import RemoteGraph
from starlette.applications import Starlette

from bridge.backend import Backend
from bridge.errors import NotConfigured
from bridge.jobs import waking
from bridge.jobs.job import Job
from bridge.jobs.receiving import Receiver
from bridge.jobs.stores.store import JobStore
from bridge.jobs.sweeping import Sweep, forever, sweep
from bridge.jobs.verification import WebhookVerifier
from bridge.jobs.waking import Resumer, Woken

from .node import settings_of
from .resuming import GraphResumer, ServerResumer
from .settings import LABEL

__all__ = ["Sweeper", "wake", "webhook_app"]

_log = logging.getLogger("bridge.langgraph")
Graph = PregelProtocol[Any, Any, Any, Any]


async def wake(graph: Graph, jobs: JobStore, interaction_id: str, *, backend: Backend | None = None) -> Woken:
    """Resumes the thread that is parked for an interaction, if that has ended; what became of it.

    `graph` is compiled with the checkpointer of its threads, or a `RemoteGraph` of a LangGraph Agent Server. `backend` is by default
    that of the graph's own node. Of several calls at a time one resumes. Raises what the graph raises.
    """
    job = await jobs.find(interaction_id)
    if job is None:
        return "unknown"
    found = _backends(graph, backend)(job)
    if found is None:
        raise NotConfigured(
            f"job {job.token} was started by a node {job.name!r}, which this graph does not have; pass backend=..."
        )
    return await waking.wake(_resumer(graph, jobs), jobs, found, job)


class Sweeper:
    """Looks at the jobs that are due, and resumes the threads of those that are over: what webhooks miss, and what runs too long.

    Several sweepers may share a store, in one process or many; each job is looked at by one. `interval` is the seconds between two
    rounds; how often a job is looked at depends on how long it has run.
    """

    def __init__(
        self,
        graph: Graph,
        jobs: JobStore,
        *,
        interval: float = 5.0,
        backend: Backend | None = None,
    ) -> None:
        self._jobs = jobs
        self._interval = interval
        self._resumer = _resumer(graph, jobs)
        self._backend_of = _backends(graph, backend)

    async def run(self) -> None:
        """Rounds until it is cancelled."""
        await forever(self.run_once, self._interval)

    async def run_once(self) -> Sweep:
        """One round over all jobs that are due; how many there were, by what became of them."""
        return await sweep(self._resumer, self._jobs, self._backend_of)


def webhook_app(
    graph: Graph,
    jobs: JobStore,
    *,
    secret: str | Sequence[str] | None = None,
    jwks: str | Mapping[str, Any] | None = None,
    audience: str | None = None,
    backend: Backend | None = None,
) -> Starlette:
    """An ASGI app that takes webhook deliveries at any path below where it is mounted, and resumes the threads that they tell of.

    `secret` is that of a registered webhook, or several while it is rotated. `jwks` (an address, or the keys) and `audience` (the URI
    given as `webhook=`) verify those of single requests. A delivery is recorded, answered 204, and acted on behind the answer; one that
    is not what it claims is answered 401, and 503 where the store cannot be written. Raises `NotConfigured` without a way to verify.
    """
    verifier = WebhookVerifier(secret=secret, jwks=jwks, audience=audience)
    resumer, backend_of = _resumer(graph, jobs), _backends(graph, backend)

    async def woken(interaction_id: str) -> Woken:
        job = await jobs.find(interaction_id)
        found = None if job is None else backend_of(job)
        return "unknown" if job is None or found is None else await waking.wake(resumer, jobs, found, job)

    receiver = Receiver(verifier, jobs, woken, LABEL)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await receiver.aclose()

    app = Starlette(lifespan=lifespan)
    app.mount("/", receiver)
    return app


def _resumer(graph: Graph, jobs: JobStore) -> Resumer:
    return ServerResumer(graph) if isinstance(graph, RemoteGraph) else GraphResumer(graph, jobs)


def _backends(graph: Graph, backend: Backend | None) -> Callable[[Job], Backend | None]:
    """Who does a job's work: the backend of its identity, else that of the node of its name, else the only one there is."""
    if backend is not None:
        return lambda job: backend
    settings = [] if isinstance(graph, RemoteGraph) else settings_of(graph)
    by_name = {one.name: one.backend for one in settings}
    by_identity = {one.backend.identity: one.backend for one in settings}
    if not by_identity:
        raise NotConfigured(
            "no interactions_node was found in this graph (one that a tool calls is not seen); pass backend=..."
        )
    only = next(iter(by_identity.values())) if len(by_identity) == 1 else None
    return lambda job: by_identity.get(job.backend) or by_name.get(job.name) or only
