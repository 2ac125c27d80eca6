"""The README's examples run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.covers("repo:readme"), pytest.mark.wheel]


def _blocks(language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def test_the_graph_in_fifteen_lines_answers_from_the_server(tmp_path: Path) -> None:
    """A stranger pastes it into a file and runs it, without a key."""
    (code,) = _blocks("python")
    statements = [line for line in code.splitlines() if line.strip()]
    assert len(statements) <= 16
    script = tmp_path / "graph.py"
    script.write_text(code, encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "500" in done.stdout
    assert not done.stderr


def test_every_file_the_readme_points_to_exists() -> None:
    """No dead link."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).is_file(), target
