"""The notebooks run from top to bottom."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.covers("repo:notebook")

# In a process of its own: a kernel brings sockets, signal handlers and event loops that are no business of the other tests.
_RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
for cell in notebook.cells:
    for output in cell.get("outputs", []):
        print(output.get("text") or output.get("data", {}).get("text/plain", ""))
"""


# What a reader must see in each.
_SHOWN = {
    "01_first_graph": ["500", "24 degrees", "workspace/report.md"],
    "02_sessions": [
        "You said: The budget is 700.",
        "user_input: The deadline is Friday.",
        "user_input: [Quoted: claude-opus (anthropic) said this",
        "{'changed': 1, 'gone': 1}",
        "('follows',",
    ],
    "03_background_agent": [
        "parked: {'type': 'interaction'",
        "exit status: -9",
        "running analyst",
        "it has ended: completed",
        "resumed / and once more: settled",
        "south has the highest: 250.00",
        "workspace/report.md",
        "jobs: 1\n",
        "1 interaction: ",
    ],
    "04_three_vendors": [
        "anthropic calls format_money {'amount': 500, 'currency': 'EUR'}",
        "user_input: [Quoted: local-claude-sonnet-5-5 (anthropic) said this",
        "user_input: [Quoted: local-gpt-6.2-sol (openai) said this",
        "local-claude-sonnet-5-5 (anthropic) said: format_money",
        "assistant tool_use: ",
        "function_call_output: ",
        "reasoning: reasoning is for its own vendor",
        "(1, [False])",
    ],
    "05_agents_as_mcp_tools": [
        "claude calls agent_wait",
        "south has the highest: 250.00",
        "/files/workspace/report.md",
        "# Analysis of sales.csv",
        'You first said: "Analyse /workspace/sales.csv.',
        "'name': 'approve_order', 'arguments': {'item': 'tea', 'price': 3}",
        "returned: decision = approve",
        "analyst completed | Analyse",
    ],
}


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_notebook_runs(notebook: Path, tmp_path: Path) -> None:
    """Every cell, on the embedded service, with what it prints."""
    command = [sys.executable, "-c", _RUN, str(notebook)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    for text in _SHOWN[notebook.stem]:
        assert text in done.stdout
    assert "for-claude-only" not in done.stdout
