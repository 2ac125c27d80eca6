"""From what a caller has to a backend, and any backend from sync code."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pytest

import bridge.connect as connecting
from bridge._adapters import FOUND, GROUP
from bridge._portal import InlineRunner, PortalRunner, SyncBackend, run_inline
from bridge.backend import Backend, Capabilities
from bridge.backends.gemini import GeminiBackend, SyncGeminiBackend
from bridge.connect import connect, sync_backend
from bridge.errors import BridgeError, NotConfigured, NotFound
from bridge.interactions import (
    Agent,
    Environment,
    EnvironmentFile,
    Event,
    Interaction,
    InteractionCompleted,
    InteractionCreated,
)

LOCAL = "http://127.0.0.1:8787"


class Waiting:
    """A backend that is async only: everything waits for the event loop, and it remembers what became of its streams."""

    name = "waiting"
    identity = "w"
    capabilities = Capabilities(background=False)

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.closed: list[str] = []
        self.threads: set[str] = set()
        self.stuck = asyncio.Event
        self.agents = self.environments = self.files = self

    async def create(self, request: Any = None, /, **fields: Any) -> Any:
        await asyncio.sleep(0)
        self.threads.add(threading.current_thread().name)
        if "base_agent" in fields:
            return Agent(**fields)
        if "network" in fields:
            return Environment(id="e")
        return Interaction(id="v1_a", status="completed", model=fields.get("model"))

    async def stream(self, request: Any = None, /, **fields: Any) -> AsyncIterator[Event]:
        try:
            for number in range(fields.get("count", 3)):
                await asyncio.sleep(0)
                yield InteractionCreated(interaction=Interaction(id=f"v1_{number}"))
            if fields.get("fails"):
                raise NotFound("gone", status=404)
            yield InteractionCompleted(interaction=Interaction(id="v1_a", status="completed"))
        finally:
            await asyncio.sleep(0)
            self.closed.append("stream")

    async def get(self, id: str, *, include_input: bool = False) -> Any:
        await asyncio.sleep(0)
        if id == "forever":
            await asyncio.Event().wait()
        if id == "none":
            raise NotFound("gone", status=404)
        return Interaction(id=id, status="completed")

    async def watch(self, id: str, *, after: str | None = None) -> AsyncIterator[Event]:
        await asyncio.sleep(0)
        yield InteractionCompleted(interaction=Interaction(id=id, status="completed"))

    async def cancel(self, id: str) -> Interaction:
        await asyncio.sleep(0)
        return Interaction(id=id, status="cancelled")

    async def delete(self, id: str) -> None:
        await asyncio.sleep(0)
        self.closed.append(id)

    async def list(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        await asyncio.sleep(0)
        yield EnvironmentFile(path="a")

    async def read(self, environment_id: str, path: str) -> bytes:
        await asyncio.sleep(0)
        return path.encode()

    async def write(self, environment_id: str, path: str, data: bytes, *, overwrite: bool = True) -> EnvironmentFile:
        await asyncio.sleep(0)
        return EnvironmentFile(path=path)

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed.append("backend")


@pytest.mark.covers("connect:choice")
def test_a_backend_is_chosen_by_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ready one as it is, an address, a key, a name."""
    ready = GeminiBackend("K")
    assert connect(ready) is ready
    assert connect(api_key="K").identity == ready.identity
    assert connect("gemini", api_key="K", timeout=5).identity == ready.identity
    assert connect(LOCAL).identity == connect(base_url=LOCAL).identity == GeminiBackend("", LOCAL).identity
    monkeypatch.setenv("GEMINI_API_KEY", "K")
    assert connect().identity == ready.identity


@pytest.mark.covers("connect:never-local")
def test_the_embedded_service_is_chosen_by_name_alone() -> None:
    """Without anything to talk to, the error names the three ways."""
    with pytest.raises(NotConfigured, match="LocalBackend"):
        connect()
    local = connect("local")
    assert local.name == "local"
    assert isinstance(local, Backend)


@pytest.mark.covers("connect:refused")
def test_what_contradicts_itself_is_refused() -> None:
    """A ready backend with settings, two addresses, a name that nobody has."""
    with pytest.raises(NotConfigured, match="api_key, timeout"):
        connect(GeminiBackend("K"), api_key="K", timeout=5)
    with pytest.raises(NotConfigured, match="leave one"):
        connect(LOCAL, base_url=LOCAL)
    with pytest.raises(NotConfigured, match="gemini, local"):
        connect("vertex")


@pytest.mark.covers("connect:adapters")
def test_an_installed_adapter_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the entry-point group, with its options; it is named where another name is wrong."""
    module = ModuleType("waiting_adapter")
    module.__dict__["BACKEND"] = Waiting
    monkeypatch.setitem(sys.modules, "waiting_adapter", module)
    for name, where in (("waiting", "waiting_adapter"), ("half", "types")):
        monkeypatch.setitem(FOUND, name, EntryPoint(name, where, GROUP))
    backend: Any = connect("waiting", api_key="K", size=3)
    assert backend.name == "waiting"
    assert backend.options == {"api_key": "K", "size": 3}
    with pytest.raises(NotConfigured, match=r"known: gemini, local, waiting, and"):
        connect("other")


@pytest.mark.covers("connect:adapters")
def test_an_adapter_need_not_bring_a_backend() -> None:
    """The vendors' own adapters bring other parts, and say so."""
    with pytest.raises(NotConfigured, match="'openai' brings no backend"):
        connect("openai")


@pytest.mark.covers("connect:missing-part")
@pytest.mark.parametrize(("missing", "told"), [("aiosqlite", True), ("bridge.backends.local", False)])
def test_a_part_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, missing: str, told: bool) -> None:
    """With the extra that brings it; an error of our own is not mistaken for that."""

    def fail(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr(connecting, "import_module", fail)
    with pytest.raises(NotConfigured if told else ModuleNotFoundError) as caught:
        connect("local")
    assert missing in str(caught.value)
    assert ("interactions-bridge[local]" in str(caught.value)) == told


@pytest.mark.covers("connect:cheap")
def test_connecting_loads_one_backend_only() -> None:
    """And importing `connect` none."""
    code = """
import sys
from bridge.connect import connect
print("httpx2" in sys.modules)
connect(api_key="K")
print(any(name.startswith("bridge.backends.local") for name in sys.modules), "asyncio" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "False", "False"]


@pytest.mark.covers("connect:sync:native")
def test_a_backend_with_a_sync_twin_is_not_run_in_a_thread() -> None:
    """Its own one is used."""
    backend = GeminiBackend("K")
    twin = sync_backend(backend)
    assert isinstance(twin, SyncGeminiBackend)
    assert twin is backend.sync


@pytest.mark.covers("connect:sync:portal")
def test_an_async_backend_serves_sync_code() -> None:
    """Every method, with results, iterators and errors as they are; one thread for all backends of the process."""
    backend, other = Waiting(), Waiting()
    with sync_backend(backend) as sync:
        assert (sync.name, sync.identity, sync.capabilities.background) == ("waiting", "w", False)
        assert "Waiting" in repr(sync)
        assert sync.create(model="m").model == "m"
        assert [event.event_type for event in sync.stream(model="m")][-1] == "interaction.completed"
        assert sync.get("v1_b", include_input=True).id == "v1_b"
        assert [event.event_type for event in sync.watch("v1_a", after="e")] == ["interaction.completed"]
        assert sync.cancel("v1_a").status == "cancelled"
        sync.delete("v1_a")
        assert sync.agents.create(id="a", base_agent="b").id == "a"
        assert sync.agents.get("a").id == "a"
        assert len(list(sync.agents.list(page_size=1))) == 1
        sync.agents.delete("agent")
        assert sync.environments.create(network="disabled").id == "e"
        assert sync.environments.get("e").id == "e"
        assert len(list(sync.environments.list(page_size=1))) == 1
        sync.environments.delete("environment")
        assert [file.path for file in sync.files.list("e", "", recursive=True)] == ["a"]
        assert sync.files.read("e", "a") == b"a"
        assert sync.files.write("e", "a", b"", overwrite=False).path == "a"
        with pytest.raises(NotFound):
            sync.get("none")
        with pytest.raises(NotFound):
            list(sync.stream(fails=True))
        sync_backend(other).create(model="m")
    assert backend.closed == ["stream", "v1_a", "agent", "environment", "stream", "backend"]
    assert backend.threads == other.threads
    assert len(backend.threads) == 1
    assert threading.current_thread().name not in backend.threads


@pytest.mark.covers("connect:sync:early-close")
def test_leaving_a_stream_early_closes_it_there() -> None:
    """Its own clean-up has run when the loop is left."""
    backend = Waiting()
    stream = sync_backend(backend).stream(count=100)
    for _ in stream:
        break
    stream.close()  # type: ignore[attr-defined]
    assert backend.closed == ["stream"]


@pytest.mark.covers("connect:sync:early-close")
def test_an_iterator_that_cannot_be_closed_need_not_be() -> None:
    """Any async iterator will do."""

    class Endless:
        def __aiter__(self) -> Endless:
            return self

        async def __anext__(self) -> int:
            await asyncio.sleep(0)
            return 7

    for item in PortalRunner().iterate(Endless()):
        assert item == 7
        break


@pytest.mark.covers("connect:sync:threads")
def test_threads_share_the_portal() -> None:
    """Calls of many threads run at once."""
    backend = sync_backend(Waiting())
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(len(list(backend.stream(count=20))))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == [21] * 8


@pytest.mark.covers("connect:sync:exit")
def test_a_process_ends_while_the_portal_runs() -> None:
    """Also where a stream was left open or a wait was interrupted, which ends the work behind it."""
    code = f"""
import signal, sys, threading, os, asyncio
sys.path.insert(0, {str(__file__.rpartition("/")[0])!r})
import pytest
from test_connect import Waiting, sync_backend
backend = Waiting()
sync = sync_backend(backend)
iterator = sync.stream(count=10)
next(iterator)
gone = []
class Stuck(Waiting):
    async def get(self, id, *, include_input=False):
        threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            await asyncio.Event().wait()
        finally:
            gone.append("cancelled")
try:
    sync_backend(Stuck()).get("forever")
except KeyboardInterrupt:
    sync.get("v1_a")
    print("interrupted", gone)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "interrupted ['cancelled']"
    assert done.stderr == ""


@pytest.mark.covers("connect:sync:inline")
def test_a_coroutine_that_waits_cannot_run_without_a_loop() -> None:
    """It is closed, and said."""
    with pytest.raises(RuntimeError, match="waited for an event loop"):
        run_inline(asyncio.sleep(0))
    sync: Any = SyncBackend(Waiting(), InlineRunner())
    with pytest.raises(RuntimeError, match="waited for an event loop"):
        sync.create()
    assert not issubclass(RuntimeError, BridgeError)
