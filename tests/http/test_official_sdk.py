"""The official SDK, unmodified and in both of its major versions, drives `interactions-bridge serve` through all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.http.process import serving

DRIVER = Path(__file__).parents[1] / "clients" / "genai3" / "drive.py"


@pytest.fixture(scope="module", params=["2", "3"])
def seen(request: pytest.FixtureRequest, client_env: Callable[[str], Path]) -> Any:
    """What the SDK saw of a service that runs in a process of its own."""
    python = Path(sys.executable) if request.param == "2" else client_env("genai3")
    with serving("--test-controls", key="the-key") as (url, _):
        done = subprocess.run([str(python), str(DRIVER), url], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["version"].startswith(f"{request.param}.")
    return answer


pytestmark = [pytest.mark.timeout(300), pytest.mark.covers("http:official-sdk")]


def test_it_creates_chains_and_reads_turns(seen: Any) -> None:
    """The answer knows what was said before; usage and steps are where the SDK looks for them."""
    part = seen["create"]
    assert part.pop("id").startswith("v1_")
    assert "500" in part.pop("text")
    assert part.pop("tokens") > 0
    assert part == {"model": "local-gemini-3.8-flash", "status": "completed", "same": True, "input": "user_input"}


def test_it_streams(seen: Any) -> None:
    """From created to completed, with the text in several deltas."""
    part = seen["stream"]
    assert part["kinds"][0] == "interaction.created"
    assert part["kinds"][-1] == "interaction.completed"
    assert part["kinds"].count("step.delta") >= 3
    assert (bool(part["text"]), part["status"]) == (True, "completed")


def test_it_goes_through_a_function_calling_loop(seen: Any) -> None:
    """Two calls in one turn, their results in the answer."""
    part = seen["functions"]
    assert part["status"] == "requires_action"
    assert part["arguments"] == [{"city": "Oslo"}, {"city": "Rome"}]
    assert part["after"] == "completed"
    assert "7" in part["text"]
    assert "8" in part["text"]


def test_it_polls_and_resumes_a_background_turn(seen: Any) -> None:
    """Started, polled to its end, replayed, resumed after an event id."""
    assert seen["background"] == {
        "first": "in_progress",
        "last": "completed",
        "steps": 4,
        "polled": True,
        "resumed": True,
    }


def test_it_resumes_a_stream_that_broke(seen: Any) -> None:
    """The cut is seen, and the rest comes."""
    assert seen["resumed"]["seen"] == 5
    assert seen["resumed"]["last"] == "interaction.completed"


def test_it_cancels_and_deletes(seen: Any) -> None:
    """A job that still had minutes to go is cancelled; a deleted turn is the SDK's NotFoundError."""
    assert seen["cancel"] == {"status": "cancelled", "got": "cancelled"}
    assert seen["delete"] == {"error": ["NotFoundError", 404, "not_found"]}


def test_it_works_with_environments_and_files(seen: Any) -> None:
    """Created, a file uploaded, an agent works on it, what it left is listed and downloaded."""
    part = seen["environments"]
    assert (part["same"], part["agent"], part["listed"]) == (True, "antigravity-preview-09-2026", True)
    assert "code_execution_call" in part["steps"]
    assert {"workspace/a.txt", "workspace/notes", "workspace/report.md", "workspace/summary.csv"} <= set(part["names"])
    assert (part["files"], part["large"]) == (6, True)
    assert part["spaced"] == "spaced"
    assert part["report"] > 0
    assert "7" in part["text"]
    assert part["gone"] == ["NotFoundError", 404, "not_found"]


def test_it_manages_agents(seen: Any) -> None:
    """Create, get, list, run, delete; an id that exists is the SDK's ConflictError."""
    assert seen["agents"] == {
        "made": "reviewer",
        "instruction": "Review.",
        "listed": ["reviewer"],
        "conflict": ["ConflictError", 409, "already_exists"],
        "agent": "reviewer",
        "status": "completed",
        "gone": ["NotFoundError", 404, "not_found"],
    }


def test_it_registers_webhooks_and_is_told(seen: Any) -> None:
    """Created, pinged, told of an end under a signature that its secret makes, rotated, changed, listed, deleted."""
    assert seen["webhooks"] == {
        "made": ["jobs", True, "enabled", True],
        "ping": "ping",
        "told": ["interaction.completed", True],
        "signed": True,
        "rotated": True,
        "changed": ["jobs", "disabled"],
        "listed": [True],
        "shown": [None, 1],
        "gone": ["NotFoundError", 404, "not_found"],
    }


def test_errors_are_the_sdks_exceptions(seen: Any) -> None:
    """By their status; one that may pass is retried by the SDK and passes."""
    assert seen["refusals"] == {
        "bad_request": ["BadRequestError", 400, "invalid_request"],
        "not_found": ["NotFoundError", 404, "not_found"],
        "limited": ["PermissionDeniedError", 403, "permission_denied"],
        "retried": "completed",
    }
