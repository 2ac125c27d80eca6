"""The shape of the repository: its rooms, its public names, its locks, and what importing it costs."""

from __future__ import annotations

import importlib.util
import json
import os
import pkgutil
import re
import socket
import subprocess
import sys

import bridge_anthropic
import bridge_openai
import pytest
import pytest_socket

import bridge
from tests.conftest import ROOT

ROOMS = [
    "bridge",
    "bridge.backend",
    "bridge.backends.gemini",
    "bridge.backends.local",
    "bridge.backends.local.stand_ins",
    "bridge.connect",
    "bridge.errors",
    "bridge.http",
    "bridge.interactions",
    "bridge.jobs",
    "bridge.langgraph",
    "bridge.mcp",
    "bridge.portable",
    "bridge.sessions",
    "bridge.tools",
    "bridge_anthropic",
    "bridge_anthropic.testing",
    "bridge_openai",
    "bridge_openai.testing",
]


@pytest.mark.covers("repo:layers")
def test_the_rooms_import_each_other_only_as_the_house_allows() -> None:
    """The import contracts of pyproject.toml hold."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.covers("repo:import")
@pytest.mark.wheel
@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        (
            "import bridge",
            {"pydantic", "httpx2", "langgraph", "langchain_core", "mcp", "starlette", "sqlite3", "asyncio"},
        ),
        ("from bridge.interactions import assemble", {"httpx2", "langgraph", "langchain_core", "mcp", "starlette"}),
        ("from bridge.backends.gemini import GeminiBackend", {"langgraph", "langchain_core", "mcp", "starlette"}),
        (
            "from bridge.langgraph import ChatInteractions",
            {"mcp", "starlette", "pydantic_monty", "aiosqlite"},
        ),
        (
            "from bridge.jobs import WebhookVerifier",
            {"jwt", "cryptography", "langgraph", "mcp", "starlette", "sqlite3"},
        ),
        (
            "from bridge.tools import Tools; Tools([]).compile('interactions')",
            {"mcp", "langgraph", "langchain_core", "httpx2", "jsonschema", "starlette"},
        ),
        (
            "from bridge.mcp import agent_server",
            {"langgraph", "langchain_core", "jsonschema", "pydantic_monty", "jwt", "psycopg"},
        ),
        ("import bridge.cli", {"httpx2", "langgraph", "langchain_core", "mcp", "starlette", "pydantic"}),
    ],
)
def test_importing_loads_no_room_that_is_not_asked_for(statement: str, unwanted: set[str]) -> None:
    """Each entrance stays cheap: what others need is loaded when they are used."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    # Without the coverage of subprocesses, which loads modules of its own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    assert not unwanted & loaded


@pytest.mark.covers("repo:exports")
@pytest.mark.wheel
@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_exists_and_is_documented(room: str) -> None:
    """`__all__` names each thing once, and each class and function in it has a docstring. (That it is sorted, ruff checks.)"""
    module = importlib.import_module(room)
    assert module.__doc__
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        value = getattr(module, name)
        if callable(value) and hasattr(value, "__qualname__"):
            assert value.__doc__, f"{room}.{name} has no docstring"
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.covers("repo:exports")
def test_a_name_that_does_not_exist_says_so() -> None:
    """Lazy loading does not turn a typo into something else."""
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = bridge.Nothing


@pytest.mark.covers("repo:exports")
def test_every_module_opens_with_its_boundary() -> None:
    """A docstring at the top of each module, and none beyond about 600 lines."""
    packages = (bridge, bridge_anthropic, bridge_openai)
    for info in (
        info for package in packages for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ):
        spec = importlib.util.find_spec(info.name)
        assert spec is not None
        assert spec.origin is not None
        with open(spec.origin, encoding="utf-8") as file:
            text = file.read()
        assert text.startswith('"""'), info.name
        assert text.count("\n") <= 620, info.name


@pytest.mark.covers("repo:offline")
def test_no_test_reaches_another_host() -> None:
    """A connection beyond this machine is refused before it leaves."""
    with pytest.raises(pytest_socket.SocketConnectBlockedError), socket.socket() as connection:
        connection.connect(("192.0.2.1", 80))


# A package with its version and where it is wanted, or one of its hashes; nothing else, such as where it comes from.
_LOCKED = re.compile(r"[A-Za-z0-9._-]+==\S+( ; [^:]+)?( \\)?|    --hash=sha256:[0-9a-f]{64}( \\)?")


@pytest.mark.covers("repo:locks")
def test_no_committed_file_names_an_index_and_every_lock_carries_hashes() -> None:
    """Locks are universal, hash-pinned, and leave the choice of the index to the machine."""
    locks = [*(ROOT / "requirements").glob("*.txt"), *(ROOT / "tests" / "clients").glob("*/requirements.txt")]
    assert len(locks) >= 5
    for lock in locks:
        text = lock.read_text()
        odd = [line for line in text.splitlines() if not _LOCKED.fullmatch(line)]
        assert not odd, f"{lock}: {odd[0]}"
        packages = re.findall(r"^[A-Za-z0-9._-]+==\S+", text, re.MULTILINE)
        assert packages
        assert text.count("--hash=sha256:") >= len(packages), lock
    for lock in (ROOT / "tests" / "clients").glob("*/package-lock.json"):
        packages = json.loads(lock.read_text())["packages"]
        assert all(
            "integrity" in package and "resolved" not in package for name, package in packages.items() if name
        ), lock
    assert not list(ROOT.glob("**/uv.lock"))
