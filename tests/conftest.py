"""What holds for every test: no foreign host, no key, no blocked event loop, and the promises it names."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import blockbuster
import hypothesis
import pytest

from tests.environments import ROOT, node_of, python_of
from tests.postgres import postgres, postgres_server

__all__ = ["LOOPBACK", "ROOT", "postgres", "postgres_server"]

LOOPBACK = ["127.0.0.1", "::1", "localhost"]
_KEYS = ("GEMINI", "GOOGLE", "ANTHROPIC", "OPENAI", "AZURE", "LANGSMITH", "LANGCHAIN", "INTERACTIONS_BRIDGE")

hypothesis.settings.register_profile("default", deadline=None, print_blob=True)
hypothesis.settings.register_profile("campaign", deadline=None, max_examples=5_000, print_blob=True)
hypothesis.settings.load_profile("campaign" if os.environ.get("BRIDGE_CAMPAIGN") else "default")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Writes which test shows which promise, where `test_requirements.py` asks for it."""
    target = os.environ.get("BRIDGE_MANIFEST")
    if target is None:
        return
    rows = []
    for item in items:
        covers = [str(name) for mark in item.iter_markers("covers") for name in mark.args]
        marks = [mark for name in ("skip", "skipif") for mark in item.iter_markers(name)]
        skips = [str(mark.kwargs.get("reason", "no reason")) for mark in marks]
        rows.append({"test": item.nodeid, "covers": covers, "skips": skips})
    Path(target).write_text(json.dumps(rows))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Sockets reach this machine alone."""
    import pytest_socket

    pytest_socket.socket_allow_hosts(LOOPBACK, allow_unix_socket=True)


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees a key or an address of the machine it runs on."""
    for name in list(os.environ):
        if name.startswith(_KEYS):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_blocking() -> Iterator[None]:
    """A blocking call made by our code inside a running event loop fails the test.

    Blockbuster watches the calls; those in which no line of `src/bridge` has a part (a test's own file access, a library that
    reads its certificates) are not ours to answer for.
    """
    with blockbuster.blockbuster_ctx("bridge") as guard:
        for function in guard.functions.values():
            # Imports read files, once per process; lazy ones are a promise of ours.
            function.can_block_in("<frozen importlib._bootstrap>", "_find_and_load")
            # The tracer's own lock, met wherever a new file is first traced while other threads run.
            function.can_block_in("coverage/collector.py", "lock_data")
        yield


@pytest.fixture(scope="session")
def client_env() -> Callable[[str], Path]:
    """The Python of an independent client, by name: see `environments.python_of`."""
    return python_of


@pytest.fixture(scope="session")
def typescript(client_env: Callable[[str], Path]) -> Callable[[str], list[str]]:
    """The command that runs a TypeScript judge of MCP: "mcp-inspector" or "conformance" (`tests/clients/mcp_node`)."""

    def command(name: str) -> list[str]:
        python = client_env("mcp_node")
        return [str(node_of(python)), str(ROOT / ".venvs" / "mcp_node" / "node_modules" / ".bin" / name)]

    return command
