"""The README's examples run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.sessions import QUOTE_HEADER, QUOTE_LIMIT
from tests.conftest import ROOT

pytestmark = [pytest.mark.covers("repo:readme"), pytest.mark.wheel]


def _blocks(language: str, page: str = "README.md") -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
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


def test_the_example_of_the_page_on_sessions_runs(tmp_path: Path) -> None:
    """Word for word, without a key."""
    (code,) = _blocks("python", "docs/sessions.md")
    script = tmp_path / "sessions.py"
    script.write_text(f"{code}\nprint(answer.text)", encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "700" in done.stdout  # the edit reached the server


def test_the_page_on_sessions_shows_the_header_as_it_is() -> None:
    """A server was told this; a change is one of the version."""
    (shown,) = _blocks("text", "docs/sessions.md")
    assert shown.strip() == QUOTE_HEADER.format(author="gpt-9 (openai)")
    assert f"{QUOTE_LIMIT:,} characters" in (ROOT / "docs" / "sessions.md").read_text(encoding="utf-8")


def test_the_example_of_the_page_on_tools_runs(tmp_path: Path) -> None:
    """Word for word, for all vendors."""
    code, _ = _blocks("python", "docs/tools.md")
    script = tmp_path / "tools.py"
    script.write_text(code, encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "sun in Paris for 1 days False" in done.stdout
    assert "google_search" in done.stdout


def test_the_agent_on_the_page_on_tools_runs(tmp_path: Path) -> None:
    """Its tool is called, and its model answers from the result."""
    _, code = _blocks("python", "docs/tools.md")
    script = tmp_path / "agent.py"
    script.write_text(code, encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    _, _, result = done.stdout.partition("Tool Message")
    assert result.count("sun in Paris") == 2


@pytest.mark.parametrize("vendor", ["anthropic", "openai"])
def test_the_example_of_an_adapter_runs(vendor: str, tmp_path: Path) -> None:
    """As it stands in its README."""
    code, *_ = _blocks("python", f"adapters/{vendor}/README.md")
    script = tmp_path / "adapter.py"
    script.write_text(f"{code}\nprint(len(compiled.definitions))", encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "2"


def test_every_file_the_readme_points_to_exists() -> None:
    """No dead link."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).is_file(), target


def test_the_example_of_the_page_on_several_vendors_runs(tmp_path: Path) -> None:
    """It prints what the page shows."""
    code, _ = _blocks("python", "docs/mixing.md")
    (shown,) = _blocks("text", "docs/mixing.md")
    script = tmp_path / "mixing.py"
    script.write_text(code, encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown
