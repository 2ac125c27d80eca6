"""A client of this API that is not Google's works against the served stand-in too."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.http.process import serving

DRIVER = Path(__file__).parents[1] / "clients" / "litellm" / "drive.py"


@pytest.mark.timeout(300)
@pytest.mark.covers("http:other-clients")
def test_litellm_creates_chains_streams_reads_and_deletes(client_env: Callable[[str], Path]) -> None:
    """It speaks the wire by itself, with the header that names a revision."""
    with serving(key="the-key") as (url, _):
        command = [str(client_env("litellm")), str(DRIVER), url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (seen["first"]["model"], seen["first"]["status"]) == ("local-gemini-3.8-flash", "completed")
    assert "500" in json.dumps(seen["second"]["steps"])
    kinds = [event["event_type"] for event in seen["events"]]
    assert (kinds[0], kinds[-1]) == ("interaction.created", "interaction.completed")
    assert kinds.count("step.delta") >= 3
    assert seen["got"]["steps"] == seen["first"]["steps"]
    assert (seen["started"]["status"], seen["started"]["agent"]) == ("in_progress", "deep-research-preview-04-2026")
    assert seen["gone"] in (404, "NotFoundError")
