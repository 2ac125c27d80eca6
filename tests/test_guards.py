"""The guards of this repository can fail: each is shown the fault that it is there to catch."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from blockbuster import BlockingError

import bridge
from tests.conftest import ROOT

FAULTS = {
    "interactions": ("interactions/usage.py", "from bridge.errors import BridgeError"),
    "http": ("langgraph/state.py", "import httpx2"),
    "http-next-to-langgraph": ("http/__init__.py", "import bridge.langgraph"),
    "backend": ("langgraph/state.py", "from bridge.backends import gemini"),
    "backend-to-interface": ("backends/gemini/__init__.py", "import bridge.http"),
    "langchain": ("http/__init__.py", "import langchain_core"),
    "mcp": ("errors.py", "import mcp"),
    "mcp-in-tools": ("tools/running.py", "import mcp_types"),
    "adapter": ("tools/dialects/__init__.py", "import bridge_openai"),
    "command-line": ("connect.py", "import bridge.cli"),
    "new-room": ("attic.py", "pass"),
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the library's source with the contracts beside it."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "src" / "bridge", folder / "bridge", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.mark.covers("repo:layers:broken")
@pytest.mark.parametrize("fault", FAULTS)
def test_an_import_against_the_house_is_reported(house: Path, fault: str) -> None:
    """The contracts are broken by one wrong line, and name where it is."""
    where, line = FAULTS[fault]
    module = house / "bridge" / where
    before = module.read_text() if module.exists() else None
    module.write_text(f"{before or ''}\n{line}\n")
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=house,
        env={**os.environ, "PYTHONPATH": str(house)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if before is None:
        module.unlink()
    else:
        module.write_text(before)
    assert done.returncode == 1, done.stdout + done.stderr
    name = ".".join(module.relative_to(house).with_suffix("").parts).removesuffix(".__init__")
    assert name.rpartition(".")[2] in done.stdout


@pytest.mark.covers("repo:blocking")
async def test_a_blocking_call_of_the_library_in_a_loop_fails() -> None:
    """The same call is let through in a worker thread, and where no code of the library takes part."""
    namespace = {"time": time}
    exec(compile("def nap(): time.sleep(0)", f"{bridge.__path__[0]}/nap.py", "exec"), namespace)
    nap = namespace["nap"]
    assert callable(nap)
    with pytest.raises(BlockingError, match=r"time\.sleep"):
        nap()
    await asyncio.to_thread(nap)
    time.sleep(0)


def _make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    shutil.copy(ROOT / "pyproject.toml", folder)
    # A make of its own, not a part of the one that may run these tests.
    own = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={**own, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.covers("repo:make")
@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("/nonexistent/python", "/nonexistent/python is no Python 3.11 or later"),
        ("", "No Python 3.11 or later was found"),
    ],
)
def test_make_says_which_python_it_needs(tmp_path: Path, python: str, said: str) -> None:
    """One line that says what is wrong and what to do; nothing is installed."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    done = _make(folder, "demo", f"PYTHON={python}")
    assert done.returncode == 2
    assert said in done.stdout
    assert not (folder / ".venv").exists()


@pytest.mark.covers("repo:make")
def test_make_names_the_package_that_a_bare_python_lacks(tmp_path: Path) -> None:
    """Debian's own Python has no ensurepip until python3-venv is installed."""
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexec "{sys.executable}" "$@"\n')
    bare.chmod(0o755)
    folder = tmp_path / "clone"
    folder.mkdir()
    done = _make(folder, "test", f"PYTHON={bare}")
    assert done.returncode == 2
    assert "apt install python3-venv" in done.stdout


@pytest.mark.covers("repo:make")
@pytest.mark.parametrize("target", ["demo", "test", "campaign", "bench"])
def test_make_runs_without_the_keys_of_vendors(tmp_path: Path, target: str) -> None:
    """What a recipe starts has each key of a vendor taken away, by name and never by value."""
    keys = {"GEMINI_API_KEY": "s3cret", "OPENAI_API_KEY": "s3cret", "LANGSMITH_TRACING": "s3cret"}
    done = _make(tmp_path, "--dry-run", target, **keys)
    assert done.returncode == 0, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert all(f"-u {key}" in last for key in keys)
    assert "s3cret" not in done.stdout


@pytest.mark.covers("repo:clients")
@pytest.mark.timeout(300)
def test_a_client_that_conflicts_has_an_environment_of_its_own(client_env: Callable[[str], Path]) -> None:
    """The official SDK's next major version runs beside the one of the main lock."""
    code = "import importlib.metadata as m; print(m.version('google-genai'))"
    done = subprocess.run([client_env("genai3"), "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("3.")
