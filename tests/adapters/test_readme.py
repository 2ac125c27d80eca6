"""The examples of the adapters' own pages run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.covers("vendors:readme")
@pytest.mark.parametrize("adapter", ["anthropic", "openai"])
def test_the_examples_of_an_adapters_page_run(adapter: str, tmp_path: Path) -> None:
    """One after the other, word for word, without a key and without a warning; the stand-in says what it is."""
    page = (ROOT / "adapters" / adapter / "README.md").read_text(encoding="utf-8")
    script = tmp_path / "page.py"
    script.write_text("\n".join(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)), encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "stand-in" in done.stdout
