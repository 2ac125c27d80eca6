"""A server of agents on the embedded service, and real clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from bridge.backends.local import LocalBackend, ScriptedResponder
from bridge.jobs import JobStore, SqliteJobStore
from bridge.mcp import DEFAULT_AGENTS, agent_server
from tests.mcp.calling import KEY


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    """A job store of the test's own."""
    store = SqliteJobStore(tmp_path / "jobs.sqlite")
    yield store
    await store.aclose()


@pytest.fixture
async def backend() -> AsyncIterator[LocalBackend]:
    """The embedded service as it answers by its rules."""
    async with LocalBackend() as local:
        yield local


@pytest.fixture
async def scripted() -> AsyncIterator[Callable[..., LocalBackend]]:
    """Makes embedded services that answer turn by turn what they are told."""
    async with AsyncExitStack() as stack:

        def make(*scripts: Any, **options: Any) -> LocalBackend:
            local = LocalBackend(responder=ScriptedResponder(scripts), **options)
            stack.push_async_callback(local.aclose)
            return local

        yield make


@pytest.fixture
def serving(jobs: JobStore) -> Callable[..., Any]:
    """Makes servers that share the test's job store and key."""

    def make(backend: Any, agents: Any = DEFAULT_AGENTS, **options: Any) -> Any:
        return agent_server(agents, backend, **{"jobs": jobs, "handle_key": KEY, **options})

    return make
