"""Async backends from sync code.

`SyncBackend` gives any backend's methods without `await`. How a coroutine is run is a `Runner`'s business: `run_inline` drives
one that never suspends (a backend over `_http.BlockingTransport`), `PortalRunner` hands everything else to one event loop in a
thread of its own, started at first use and shared by the process. Which backend gets which is `bridge.connect`'s to say.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from .backend import Agents, Backend, Capabilities, Environments, Files, Webhooks
    from .interactions import Agent, CreateInteraction, Environment, EnvironmentFile, Event, Interaction, Webhook

__all__ = ["InlineRunner", "PortalRunner", "Runner", "SyncBackend", "run_inline"]

T = TypeVar("T")


class Runner(Protocol):
    """Runs coroutines from sync code."""

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result, or what it raises."""
        ...

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """The items one by one; closing this iterator early closes that one."""
        ...


def run_inline(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that never suspends, with no event loop. Raises RuntimeError where it does."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine over a blocking transport waited for an event loop")


class InlineRunner:
    """For coroutines that never suspend."""

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return run_inline(coroutine)

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        try:
            while True:
                try:
                    item: T = run_inline(items.__anext__())  # type: ignore[arg-type]
                except StopAsyncIteration:
                    return
                yield item
        finally:
            run_inline(_closed(items))


class PortalRunner:
    """For all others: one event loop in a thread of its own."""

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        async def call() -> T:
            return await coroutine

        return _in_portal(call)

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        async def step() -> tuple[bool, Any]:
            try:
                return True, await items.__anext__()
            except StopAsyncIteration:  # may not leave a coroutine
                return False, None

        try:
            while True:
                more, item = _in_portal(step)
                if not more:
                    return
                yield item
        finally:
            if not _over.is_set():  # at the end of the interpreter, the portal and all its tasks are gone already
                _in_portal(_closed, items)


async def _closed(items: AsyncIterator[Any]) -> None:
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()


_lock = threading.Lock()
_over = threading.Event()


def _portal() -> BlockingPortal:
    """The one portal of this process, started at first use and stopped when the interpreter ends."""
    with _lock:
        return _started_portal()


@cache
def _started_portal() -> BlockingPortal:
    from anyio.from_thread import start_blocking_portal

    context = start_blocking_portal(name="bridge-portal")
    portal = context.__enter__()

    def stop() -> None:
        _over.set()
        context.__exit__(None, None, None)

    atexit.register(stop)
    return portal


def _in_portal(function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    future = _portal().start_task_soon(function, *arguments)
    try:
        return future.result()
    except BaseException:
        future.cancel()  # a KeyboardInterrupt ends the wait, so it ends the work as well
        raise


class SyncBackend:
    """A backend without `await`: the same methods with the same arguments, iterators in place of async iterators.

    Usable from any thread that does not run an event loop. Closing it (or leaving its `with` block) closes the backend.
    """

    def __init__(self, backend: Backend, runner: Runner) -> None:
        self._backend = backend
        self._runner = runner
        self.agents = SyncAgents(backend.agents, runner)
        self.environments = SyncEnvironments(backend.environments, runner)
        self.files = SyncFiles(backend.files, runner)

    @property
    def name(self) -> str:
        """What errors call it."""
        return self._backend.name

    @property
    def identity(self) -> str:
        """As on the backend."""
        return self._backend.identity

    @property
    def capabilities(self) -> Capabilities:
        """As on the backend."""
        return self._backend.capabilities

    @property
    def webhooks(self) -> SyncWebhooks:
        """Addresses that are told of ends. Raises `UnsupportedCapability` where the backend has none."""
        from .backend import webhooks_of

        return SyncWebhooks(webhooks_of(self._backend), self._runner)

    def create(self, request: CreateInteraction | None = None, /, **fields: Any) -> Interaction:
        """Starts a turn and waits for its end, or for its start where `background` is set."""
        return self._runner.run(self._backend.create(request, **fields))

    def stream(self, request: CreateInteraction | None = None, /, **fields: Any) -> Iterator[Event]:
        """Starts a turn and gives its events as they come, to the last `interaction.completed`."""
        return self._runner.iterate(self._backend.stream(request, **fields))

    def get(self, id: str, *, include_input: bool = False) -> Interaction:
        """A stored turn as it stands. Raises `NotFound`."""
        return self._runner.run(self._backend.get(id, include_input=include_input))

    def watch(self, id: str, *, after: str | None = None) -> Iterator[Event]:
        """The events of a stored turn, from the start or from after an event id, to its end."""
        return self._runner.iterate(self._backend.watch(id, after=after))

    def cancel(self, id: str) -> Interaction:
        """Stops a background turn that still runs."""
        return self._runner.run(self._backend.cancel(id))

    def delete(self, id: str) -> None:
        """Deletes a stored turn. Raises `NotFound`."""
        self._runner.run(self._backend.delete(id))

    def close(self) -> None:
        """Lets go of connections and processes. Idempotent."""
        self._runner.run(self._backend.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._backend!r})"


class SyncAgents:
    """`Agents` without `await`."""

    def __init__(self, agents: Agents, runner: Runner) -> None:
        self._agents = agents
        self._runner = runner

    def create(self, agent: Agent | None = None, /, **fields: Any) -> Agent:
        """Creates an agent. Raises `Conflict` where the id exists."""
        return self._runner.run(self._agents.create(agent, **fields))

    def get(self, id: str) -> Agent:
        """An agent by id. Raises `NotFound`."""
        return self._runner.run(self._agents.get(id))

    def list(self, *, page_size: int | None = None) -> Iterator[Agent]:
        """All agents, page by page."""
        return self._runner.iterate(self._agents.list(page_size=page_size))

    def delete(self, id: str) -> None:
        """Deletes an agent. Raises `NotFound`."""
        self._runner.run(self._agents.delete(id))


class SyncEnvironments:
    """`Environments` without `await`."""

    def __init__(self, environments: Environments, runner: Runner) -> None:
        self._environments = environments
        self._runner = runner

    def create(self, **fields: Any) -> Environment:
        """A new environment from `sources` and `network`, or a copy of `from_environment`."""
        return self._runner.run(self._environments.create(**fields))

    def get(self, id: str) -> Environment:
        """An environment by id. Raises `NotFound`."""
        return self._runner.run(self._environments.get(id))

    def list(self, *, page_size: int | None = None) -> Iterator[Environment]:
        """All environments, page by page."""
        return self._runner.iterate(self._environments.list(page_size=page_size))

    def delete(self, id: str) -> None:
        """Deletes an environment and its files. Raises `NotFound`."""
        self._runner.run(self._environments.delete(id))


class SyncFiles:
    """`Files` without `await`."""

    def __init__(self, files: Files, runner: Runner) -> None:
        self._files = files
        self._runner = runner

    def list(self, environment_id: str, path: str = "", *, recursive: bool = False) -> Iterator[EnvironmentFile]:
        """The files below a directory, page by page. Raises `NotFound`."""
        return self._runner.iterate(self._files.list(environment_id, path, recursive=recursive))

    def read(self, environment_id: str, path: str) -> bytes:
        """A file's bytes. Raises `NotFound`."""
        return self._runner.run(self._files.read(environment_id, path))

    def write(self, environment_id: str, path: str, data: bytes, *, overwrite: bool = True) -> EnvironmentFile:
        """Writes a file. Raises `Conflict` where it exists and `overwrite` is False."""
        return self._runner.run(self._files.write(environment_id, path, data, overwrite=overwrite))


class SyncWebhooks:
    """`Webhooks` without `await`."""

    def __init__(self, webhooks: Webhooks, runner: Runner) -> None:
        self._webhooks = webhooks
        self._runner = runner

    def create(self, /, **fields: Any) -> Webhook:
        """Registers `uri` for `subscribed_events`, with a `name`. The answer, and no later one, has `new_signing_secret`."""
        return self._runner.run(self._webhooks.create(**fields))

    def get(self, id: str) -> Webhook:
        """A webhook by id. Raises `NotFound`."""
        return self._runner.run(self._webhooks.get(id))

    def list(self, *, page_size: int | None = None) -> Iterator[Webhook]:
        """All webhooks, page by page."""
        return self._runner.iterate(self._webhooks.list(page_size=page_size))

    def update(self, id: str, *, update_mask: str | None = None, **fields: Any) -> Webhook:
        """Changes `name`, `uri`, `subscribed_events` or `state`. Raises `NotFound`."""
        return self._runner.run(self._webhooks.update(id, update_mask=update_mask, **fields))

    def delete(self, id: str) -> None:
        """Forgets a webhook. Raises `NotFound`."""
        self._runner.run(self._webhooks.delete(id))

    def ping(self, id: str) -> None:
        """Has a delivery sent that tells nothing. Raises `NotFound`."""
        self._runner.run(self._webhooks.ping(id))

    def rotate_signing_secret(self, id: str, *, revocation_behavior: str | None = None) -> str:
        """A new secret; `revocation_behavior` says when the ones before it end. Raises `NotFound`."""
        return self._runner.run(self._webhooks.rotate_signing_secret(id, revocation_behavior=revocation_behavior))
