"""`interactions-bridge demo`: the main job, on real input, through the command line."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import main
from bridge.cli.demo.source import INLINE_BYTES, LIMIT_BYTES, read_data_file

DATA = read_data_file(None)


@pytest.fixture(autouse=True)
def saved_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the demo saves goes with the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    status = main(["demo", "--json", *arguments])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    assert not printed.err
    result: dict[str, Any] = json.loads(printed.out)
    return result


def _sums(text: str, group: str, measure: str) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for row in csv.DictReader(text.splitlines()):
        sums[row[group]] += float(row[measure])
    return sums


@pytest.mark.covers("cli:demo")
@pytest.mark.wheel
def test_the_demo_answers_from_a_real_analysis(capsys: pytest.CaptureFixture[str]) -> None:
    """The answer names each group with the figure that an independent computation gives."""
    result = _run(capsys)
    for region, total in _sums(DATA.data.decode(), "region", "revenue").items():
        assert f"{region} {total:.2f}" in result["answer"]
    kinds = [step["type"] for step in result["steps"]]
    assert kinds.index("code_execution_call") < kinds.index("code_execution_result") < kinds.index("model_output")
    assert result["status"] == "completed"


@pytest.mark.covers("cli:demo:files")
def test_the_demo_saves_the_files_the_agent_left(capsys: pytest.CaptureFixture[str]) -> None:
    """Named in the output, and on this machine's disk."""
    result = _run(capsys, "--question", "What is the average units per channel?")
    files = {row["path"]: Path(row["saved_to"]) for row in result["files"]}
    assert {"workspace/summary.csv", "workspace/report.md"} <= files.keys()
    rows = list(csv.DictReader(files["workspace/summary.csv"].read_text().splitlines()))
    assert {row["column"] for row in rows} >= {"region", "product", "channel"}
    assert {"count", "sum", "mean", "min", "max"} <= rows[0].keys()
    assert "average" in result["answer"].lower()


@pytest.mark.covers("cli:demo:files")
def test_the_demo_leaves_nothing_but_what_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The record of its jobs goes with it, and the user's own data folder is not touched."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    result = _run(capsys)
    assert [path.name for path in tmp_path.iterdir()] == [Path(result["saved_to"]).name]


@pytest.mark.covers("cli:demo:bytes")
def test_the_session_is_not_sent_the_history_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Three requests, and fewer bytes than a client that resends the conversation."""
    result = _run(capsys)
    assert result["bytes"]["requests"] == 3
    assert 0 < result["bytes"]["sent"] < result["bytes"]["stateless"]
    assert len(set(result["interactions"].values())) == 3


@pytest.mark.covers("cli:demo:upload")
def test_a_file_too_large_for_a_request_is_uploaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It travels outside the request, and its name cannot disturb anything."""
    path = tmp_path / "Sales & more (2026).csv"
    row = "north,10.5\nsouth,4.25\n"
    path.write_text("region,amount\n" + row * (INLINE_BYTES // len(row) + 1))
    assert path.stat().st_size > INLINE_BYTES
    result = _run(capsys, str(path), "--question", "total amount by region?")
    assert result["bytes"]["sent"] < 20_000
    assert result["bytes"]["uploaded"] == path.stat().st_size
    for region, total in _sums(path.read_text(), "region", "amount").items():
        assert f"{region} {total:.2f}" in result["answer"]


def _bad_file(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.csv"
    match kind:
        case "missing":
            pass
        case "empty":
            path.touch()
        case "blank":
            path.write_text("\n \n")
        case "binary":
            path.write_bytes(b"PK\x03\x04\0\0")
        case "latin":
            path.write_bytes("café,1\n".encode("latin-1"))
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "large":
            with path.open("wb") as file:
                file.truncate(LIMIT_BYTES + 1)
    return path


@pytest.mark.covers("cli:demo:refusals")
@pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["show", "json"])
@pytest.mark.parametrize("kind", ["missing", "empty", "blank", "binary", "latin", "folder", "fifo", "large"])
def test_a_file_that_cannot_be_used_gets_one_line(
    kind: str, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the file, says why, and the exit status is 2."""
    path = _bad_file(kind, tmp_path)
    assert main(["demo", str(path), *arguments]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.count("\n") == 1
    assert str(path) in printed.err
    if kind == "large":
        assert "32.0 MB" in printed.err
        assert "limit is 32 MB" in printed.err


@pytest.mark.covers("cli:demo:refusals")
def test_a_name_no_file_can_have_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Even then there is no traceback."""
    assert main(["demo", "a\0b.csv"]) == 2
    assert "not a file name" in capsys.readouterr().err


@pytest.mark.covers("cli:demo:live")
def test_live_without_a_key_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is sent, and nothing falls back to the embedded service."""
    assert main(["demo", "--live", "--json"]) == 2
    assert "GEMINI_API_KEY" in capsys.readouterr().err


@pytest.mark.covers("cli:demo:live")
def test_live_says_what_leaves_the_machine_before_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against an address where nobody answers: the upload and the token cap are shown, then the failure in one line."""
    monkeypatch.setenv("GEMINI_API_KEY", "canary-key")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["demo", "--live"]) == 1
    printed = capsys.readouterr()
    assert "12.0 kB inside the request to /workspace/sales.csv" in printed.out
    assert "200,000 tokens" in printed.out
    assert "could not be reached" in printed.err
    assert "canary-key" not in printed.out + printed.err


@pytest.mark.covers("cli:demo:show")
def test_the_show_goes_step_by_step_and_lets_no_file_drive_the_terminal(tmp_path: Path) -> None:
    """As a person sees it: nodes, program, output, answer, files, tokens, bytes; control characters of the data are gone."""
    path = tmp_path / "esc.csv"
    path.write_text("name\x1b[31m,amount\n\x1b]0;title\x07north,2\n")
    done = subprocess.run(
        [sys.executable, "-m", "bridge.cli", "demo", str(path), "--question", "total amount by name?"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    marks = [
        "question  gemini",
        "analyst  antigravity",
        "code execution call",
        "code execution result",
        "answer  gemini",
    ]
    places = [shown.index(mark) for mark in [*marks, "tokens    ", "sent      "]]
    assert places == sorted(places)
    assert "\x1b" not in shown
    assert "\x07" not in shown


@pytest.mark.covers("cli:demo:show")
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without rich the demo says what to install, or to ask for JSON."""
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert main(["demo"]) == 2
    assert "interactions-bridge[cli,local]" in capsys.readouterr().err
