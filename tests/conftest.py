"""What every test gets: no network, no vendor's key, no blocking call in an event loop, one clock, and clients' environments.

The marks (`covers`, `campaign`) are read here; whether they agree with the manifest is checked by `tests/test_requirements.py`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest
from blockbuster import BlockBuster

from tests.requirements import CAMPAIGN

ROOT = Path(__file__).resolve().parent.parent

KEYS = re.compile(
    r"(GEMINI|GOOGLE|GCLOUD|CLOUDSDK|VERTEX|ANTHROPIC|CLAUDE|OPENAI|AZURE|LANGSMITH|LANGCHAIN|LANGGRAPH|AWS|LITELLM)_.*"
)
"""Names of environment variables through which a vendor's key, address or tracing could reach a test."""

hypothesis.settings.register_profile("default", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.register_profile("campaign", deadline=None, max_examples=2_000, print_blob=True)


def campaign() -> bool:
    """Whether the heavier tests are asked for."""
    return os.environ.get("BRIDGE_CAMPAIGN") == "1"


hypothesis.settings.load_profile("campaign" if campaign() else "default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what only a campaign runs."""
    if not campaign():
        for item in items:
            if item.get_closest_marker("campaign"):
                item.add_marker(pytest.mark.skip(reason=CAMPAIGN))


@pytest.fixture(autouse=True, scope="session")
def _no_keys_at_all() -> Iterator[None]:
    """Before any fixture starts a server or a client, the environment loses every vendor's key."""
    with pytest.MonkeyPatch.context() as patch:
        for name in filter(KEYS.fullmatch, list(os.environ)):
            patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _no_keys(_no_keys_at_all: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that an earlier test's code left behind is gone too."""
    for name in filter(KEYS.fullmatch, list(os.environ)):
        monkeypatch.delenv(name)


def _may_block(buster: BlockBuster) -> None:
    """List what may block although it is called from our code inside a loop, each with its reason."""
    for name in ("os.stat", "io.BufferedReader.read", "os.listdir", "os.scandir", "os.getcwd"):
        # A name that loads lazily imports its module: once, and on purpose (DESIGN: `import bridge` is cheap).
        buster.functions[name].can_block_in("<frozen importlib._bootstrap>", {"_find_and_load"})
    for name in ("os.stat", "os.path.abspath", "os.getcwd", "io.BufferedReader.read", "io.TextIOWrapper.read"):
        # Formatting a traceback, which only a failing or a logging program does, reads the source lines.
        buster.functions[name].can_block_in("traceback.py", {"format", "extract", "_extract_from_extended_frame_gen"})
    for name in ("threading.Lock.acquire", "threading.Lock.acquire_lock"):
        # Bookkeeping locks of the standard library, held for microseconds by other threads.
        buster.functions[name].can_block_in("logging/__init__.py", {"acquire", "handle", "_acquireLock", "isEnabledFor"})
        buster.functions[name].can_block_in("concurrent/futures/thread.py", {"submit", "_adjust_thread_count"})
        buster.functions[name].can_block_in("<frozen importlib._bootstrap>", {"acquire", "_get_module_lock", "_find_and_load"})
        buster.functions[name].can_block_in("threading.py", {"start", "_wait_for_tstate_lock"})


@contextmanager
def blocking_calls_raise() -> Iterator[None]:
    """Inside, a call that blocks an event loop raises `blockbuster.BlockingError` if code of `bridge` is on the stack."""
    import bridge

    buster = BlockBuster([bridge])
    _may_block(buster)
    buster.activate()
    try:
        yield
    finally:
        buster.deactivate()


@pytest.fixture(autouse=True)
def _no_blocking_calls() -> Iterator[None]:
    """Blocking calls of the library fail the test; those of tests and of libraries that tests start do not."""
    with blocking_calls_raise():
        yield


class Clock:
    """A clock that moves only when it is told to; call it for the time in seconds, await `sleep` to move it."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    """An injected clock, standing at a fixed time."""
    return Clock()


def uv(*arguments: str | Path, env: dict[str, str] | None = None) -> str:
    """Run the locked uv; returns its output, and fails with it."""
    program = Path(sys.executable).parent / "uv"
    done = subprocess.run(
        [str(program), *map(str, arguments)], cwd=ROOT, env={**os.environ, **(env or {})}, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"uv {' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a file's lock, so that of several test processes one installs and the others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def install(environment: Path, *locks: Path) -> Path:
    """Bring a virtual environment to exactly what the locks pin; does nothing where it is there already.

    Returns:
        The environment's Python.
    """
    python = environment / "bin" / "python"
    stamp = environment / "installed"
    wanted = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
    with _locked(environment.parent / f".{environment.name}.lock"):
        if stamp.is_file() and stamp.read_text() == wanted and python.exists():
            return python
        shutil.rmtree(environment, ignore_errors=True)
        uv("venv", "--quiet", "--python", sys.executable, environment)
        uv("pip", "sync", "--quiet", "--require-hashes", "--python", python, *locks)
        stamp.write_text(wanted)
    return python


@pytest.fixture(scope="session")
def client_env() -> Callable[[str], Path]:
    """A function from the name of a client (a folder of tests/clients) to the Python of its own environment.

    Start it as a subprocess against a server on loopback. Installing takes seconds the first time, so a test that may be the
    first asks for `@pytest.mark.timeout(300)`.
    """

    def python(name: str) -> Path:
        return install(ROOT / ".venvs" / name, ROOT / "tests" / "clients" / name / "requirements.txt")

    return python
