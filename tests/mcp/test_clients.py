"""Real clients of others' making, driven as their users drive them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest


@pytest.mark.covers("mcp:clients")
def test_they_are_there(typescript: Callable[[str], list[str]]) -> None:
    """The TypeScript ones, without anything that a machine would have to bring."""
    for name in ("mcp-inspector", "conformance"):
        shown = subprocess.run([*typescript(name), "--help"], capture_output=True, text=True, timeout=60)
        assert shown.returncode == 0, shown.stderr
