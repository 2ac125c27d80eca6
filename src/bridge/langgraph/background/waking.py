"""The three front ends that set parked threads of a graph going again: a direct call, a sweeper, and a webhook's receiver.

They find the graph's backends and how its threads are resumed; what waking is, `bridge.jobs` says.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.pregel.protocol import PregelProtocol
from langgraph.pregel.remote import RemoteGraph
from starlette.applications import Starlette

from bridge.backend import Backend
from bridge.errors import NotConfigured
from bridge.jobs import waking
from bridge.jobs.job import Job
from bridge.jobs.receiving import Receiver
from bridge.jobs.starting import LABEL
from bridge.jobs.stores.store import JobStore
from bridge.jobs.sweeping import Sweep, sweep
from bridge.jobs.verification import WebhookVerifier
from bridge.jobs.waking import Resumer, Woken

from .node import settings_of
from .resuming import GraphResumer, ServerResumer

__all__ = ["Sweeper", "wake", "webhook_app"]

_log = logging.getLogger("bridge.langgraph")
Graph = PregelProtocol[Any, Any, Any, Any]


async def wake(
    graph: Graph,
    jobs: JobStore,
    interaction_id: str,
    *,
    backend: Backend | None = None,
    config: RunnableConfig | None = None,
    context: Any = None,
) -> Woken:
    """Resumes the thread that is parked for an interaction, if that has ended; what became of it.

    `graph` is compiled with the checkpointer of its threads, or a `RemoteGraph` of a LangGraph Agent Server. `backend` is by default
    that of the graph's own node. `config` and `context` are what the graph's nodes are run with, as in `ainvoke`; LangGraph keeps
    neither with a thread. Of several calls at a time one resumes. Raises what the graph raises.
    """
    job = await jobs.find(interaction_id)
    if job is None:
        return "unknown"
    backend_of, _ = _backends(graph, backend)
    if (found := backend_of(job)) is None:
        raise NotConfigured(
            f"job {job.token} was started by a node {job.name!r} at another service (or with another key) than this graph's; "
            "pass backend=..."
        )
    return await waking.wake(_resumer(graph, jobs, config, context), jobs, found, job)


class Sweeper:
    """Looks at the jobs that are due, and resumes the threads of those that are over: what webhooks miss, and what runs too long.

    Several sweepers may share a store, in one process or many; each job is looked at by one. `interval` is the seconds between two
    rounds; how often a job is looked at depends on how long it has run. The other arguments are as in `wake`; without a `backend`,
    jobs of other services, and of the same one under another key, are left to others.
    """

    def __init__(
        self,
        graph: Graph,
        jobs: JobStore,
        *,
        interval: float = 5.0,
        backend: Backend | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
    ) -> None:
        self._jobs = jobs
        self._interval = interval
        self._resumer = _resumer(graph, jobs, config, context)
        self._backend_of, self._identities = _backends(graph, backend)

    async def run(self) -> None:
        """Goes on until it is cancelled; then what it was resuming is cancelled with it."""
        await self._sweep(self._interval)

    async def run_once(self) -> Sweep:
        """One round over all jobs that are due; how many there were, by what became of them."""
        return await self._sweep(None)

    async def _sweep(self, interval: float | None) -> Sweep:
        resumer, jobs, backend_of = self._resumer, self._jobs, self._backend_of
        return await sweep(resumer, jobs, backend_of, backends=self._identities, interval=interval)


def webhook_app(
    graph: Graph,
    jobs: JobStore,
    *,
    secret: str | Sequence[str] | None = None,
    jwks: str | Mapping[str, Any] | None = None,
    audience: str | None = None,
    backend: Backend | None = None,
    config: RunnableConfig | None = None,
    context: Any = None,
) -> Starlette:
    """An ASGI app that takes webhook deliveries at any path below where it is mounted, and resumes the threads that they tell of.

    `secret` is that of a registered webhook, or several while it is rotated. `jwks` (an address, or the keys) and `audience` (the URI
    given as `webhook=`) verify those of single requests. A delivery is recorded, answered 204, and acted on behind the answer; one that
    is not what it claims is answered 401, and 503 where the store cannot be written. The other arguments are as in `wake`. Raises
    `NotConfigured` without a way to verify.
    """
    verifier = WebhookVerifier(secret=secret, jwks=jwks, audience=audience)
    resumer, (backend_of, _) = _resumer(graph, jobs, config, context), _backends(graph, backend)

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


def _resumer(graph: Graph, jobs: JobStore, config: RunnableConfig | None, context: Any) -> Resumer:
    if isinstance(graph, RemoteGraph):
        return ServerResumer(graph, config, context)
    return GraphResumer(graph, jobs, config, context)


def _backends(graph: Graph, backend: Backend | None) -> tuple[Callable[[Job], Backend | None], frozenset[str] | None]:
    """Who does a job's work: the backend given, else the one of its identity among those of the graph's nodes; and these identities."""
    if backend is not None:
        return lambda job: backend, None
    found = {} if isinstance(graph, RemoteGraph) else {one.backend.identity: one.backend for one in settings_of(graph)}
    if not found:
        raise NotConfigured(
            "no interactions_node was found in this graph (one that a tool calls is not seen); pass backend=..."
        )
    return lambda job: found.get(job.backend), frozenset(found)
