"""The programs of the page on background work run as they stand, and what it says in numbers is so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.langgraph.background.middleware import ANSWER_LIMIT
from tests.conftest import ROOT

pytestmark = pytest.mark.covers("repo:readme")

PAGE = (ROOT / "docs" / "background.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
# Serves the second program to one delivery that nobody signed.
DELIVERED = """
async def _main():
    import httpx2

    async with app.router.lifespan_context(app):
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hooks") as client:
            print((await client.post("/hooks/gemini", json={})).status_code)


asyncio.run(_main())
"""


def _run(folder: Path, program: str, **environment: str) -> str:
    """What a program prints, in a folder of its own."""
    script = folder / "program.py"
    script.write_text(program, encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_program_parks_and_is_woken(tmp_path: Path) -> None:
    """Word for word, without a key. On a slow machine the embedded service may be quicker than the node's first look."""
    *parked, rest = re.split(r"^(?=completed )", _run(tmp_path, PROGRAMS[0]), maxsplit=1, flags=re.MULTILINE)
    assert rest.startswith("completed ")
    assert "heat pumps" in rest
    for told in filter(None, parked):
        assert "'type': 'interaction'" in told
        assert "'status': 'in_progress'" in told


def test_the_second_program_sweeps_and_refuses_what_nobody_signed(tmp_path: Path) -> None:
    """As uvicorn would serve it."""
    secret = "whsec_" + "A" * 32
    assert _run(tmp_path, PROGRAMS[1] + DELIVERED, WEBHOOK_SECRET=secret) == "401\n"


def test_the_third_program_starts_an_agent_and_goes_on(tmp_path: Path) -> None:
    """The chat model gets the id of an agent that works by itself."""
    printed = _run(tmp_path, PROGRAMS[2])
    assert "start_background_agent" in printed
    assert re.search(r"\b[0-9a-f]{32}\b", printed)


def test_the_page_says_what_the_code_does() -> None:
    """Defaults and limits that stand in it."""
    import inspect

    from bridge.jobs.looking import _FIRST_PAUSE, _LONGEST_PAUSE
    from bridge.jobs.stores.store import MAX_STEPS
    from bridge.jobs.tasks import WITHIN
    from bridge.langgraph import interactions_node
    from bridge.langgraph.background.resuming import PATIENCE

    defaults = inspect.signature(interactions_node).parameters
    assert f"| {defaults['deadline'].default:.0f} |" in PAGE
    assert (defaults["on_abandon"].default, defaults["on_unknown_start"].default) == ("cancel", "fail")
    assert f"{ANSWER_LIMIT:,} characters" in PAGE
    assert f"{MAX_STEPS:,} a job" in PAGE
    assert f"{PATIENCE / 60:.0f} minutes after the last sign" in PAGE
    assert f"within {WITHIN:.0f} seconds" in PAGE
    assert f"{_FIRST_PAUSE:.0f} seconds after the start" in PAGE
    assert f"every {_LONGEST_PAUSE / 60:.0f} minutes" in PAGE
