"""`interactions-bridge demo`: the main job, on real input, through the command line."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bridge_anthropic.testing
import bridge_openai.testing
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse

from bridge import _adapters
from bridge.backends.local import LocalBackend
from bridge.backends.local.stand_ins.loopback import Loopback
from bridge.cli import main
from bridge.cli.demo.lookup import column_of, lookup_in
from bridge.cli.demo.source import INLINE_BYTES, LIMIT_BYTES, DataFile, read_data_file
from bridge.http import create_app
from bridge.sessions import QUOTE_HEADER
from bridge.tools import Tools

DATA = read_data_file(None)
KEY = "canary-key"


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
    """Nothing is sent, and nothing falls back to stand-ins alone."""
    assert main(["demo", "--live", "--json"]) == 2
    error = capsys.readouterr().err
    assert all(key in error for key in ("GEMINI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"))


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
        "plan  gemini",
        "analyst  antigravity",
        "code execution call",
        "code execution result",
        "review  claude",
        'calls lookup {"column": "amount"}',
        '"sum":2.0',
        "write  gpt",
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


@pytest.mark.covers("cli:demo:vendors")
def test_each_speaker_takes_part_on_its_stand_in(capsys: pytest.CaptureFixture[str]) -> None:
    """Gemini plans and concludes, its agent analyses, Claude reviews with the shared tool, GPT writes; each is named as a stand-in."""
    result = _run(capsys)
    rows = [(row["node"], row["name"], row["service"]) for row in result["speakers"]]
    assert rows == [
        ("plan", "Gemini", "stand-in"),
        ("analyst", "Gemini", "stand-in"),
        ("review", "Claude", "stand-in"),
        ("write", "GPT", "stand-in"),
        ("answer", "Gemini", "stand-in"),
    ]
    assert list(result["said"]) == [node for node, *_ in rows]
    assert all("not a model" in text for text in result["said"].values())
    (call,) = result["calls"]
    whole = sum(_sums(DATA.data.decode(), "region", "revenue").values())
    assert (call["node"], call["name"], call["args"]) == ("review", "lookup", {"column": "revenue"})
    assert json.loads(call["result"])["sum"] == pytest.approx(whole)
    assert f"{whole:.2f}" in result["said"]["review"]


def _texts(value: Any) -> Iterator[str]:
    """Every text of content in a request's body."""
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for name in ("input", "messages", "content", "text", "output", "result"):
            held = value.get(name)
            yield from [held] if isinstance(held, str) else _texts(held)


def _times(body: Any, told: str) -> int:
    """How often a text is told: as it is, or quoted under its author's name."""
    quoted = QUOTE_HEADER.partition("{author}")[0]
    return sum(text == told or (text.startswith(quoted) and text.endswith(f"\n{told}")) for text in _texts(body))


@pytest.mark.covers("cli:demo:vendors", "cli:demo:live")
def test_every_fact_is_told_to_each_vendor_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the wire of each, where `--live` goes to services on sockets: the whole history in a request, and to the session only what is new."""
    at_gemini: list[Any] = []
    gemini = create_app(LocalBackend())

    async def recorded(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        if request.method == "POST" and request.url.path.endswith("/interactions"):
            body = await request.body()
            at_gemini.append(json.loads(body))
            messages = [{"type": "http.request", "body": body}]

            async def again() -> Any:
                return messages.pop() if messages else await receive()

            await gemini(scope, again, send)
        else:
            await gemini(scope, receive, send)

    at_claude, at_gpt = bridge_anthropic.testing.stand_in(), bridge_openai.testing.stand_in()
    with Loopback(recorded) as gemini_url, at_claude.served() as claude_url, at_gpt.served() as gpt_url:
        for name, url in (("GOOGLE_GEMINI", gemini_url), ("ANTHROPIC", claude_url), ("OPENAI", gpt_url)):
            monkeypatch.setenv(f"{name}_BASE_URL", url)
        for name in ("GEMINI", "ANTHROPIC", "OPENAI"):
            monkeypatch.setenv(f"{name}_API_KEY", KEY)
        result = _run(capsys, "--live")
    assert {row["service"] for row in result["speakers"]} == {"live"}
    said = result["said"]
    looked_up = result["calls"][0]["result"]
    review, write = at_claude.requests[-1].body, at_gpt.requests[-1].body
    assert [_times(review, said[node]) for node in ("plan", "analyst")] == [1, 1]
    assert _times(review, looked_up) == 1
    assert [_times(write, said[node]) for node in ("plan", "analyst", "review")] == [1, 1, 1]
    assert _times(write, looked_up) == 1
    plan, _, answer = at_gemini
    assert [_times(answer, said[node]) for node in ("plan", "analyst", "review", "write")] == [0, 1, 1, 1]
    assert answer["previous_interaction_id"] == result["interactions"]["plan"]
    assert sum(_times(body, said["analyst"]) for body in at_gemini) == 1
    assert not set(_texts(plan)) & set(_texts(answer))
    # One tool, told to all four in their own words.
    assert [body["tools"][0]["name"] for body in (*at_gemini, review, write)] == ["lookup"] * 5
    assert KEY not in json.dumps(result)


@pytest.mark.covers("cli:demo:live")
def test_live_is_each_vendor_whose_key_is_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With Claude's alone the others are stand-ins; that it is told of the findings is said first, and who is what."""
    monkeypatch.setenv("COLUMNS", "200")
    at_claude = bridge_anthropic.testing.stand_in()
    with at_claude.served() as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        assert main(["demo", "--live"]) == 0
    shown = capsys.readouterr().out
    lines = ["review   Claude, live: claude", "go to Claude; an answer stops at 4,000 tokens", "plan  gemini"]
    places = [shown.index(line) for line in lines]
    assert places == sorted(places)
    assert "write    GPT, stand-in: gpt" in shown
    assert "plan     Gemini, stand-in: gemini" in shown
    assert len(at_claude.requests) == 2
    assert KEY not in shown


@pytest.mark.covers("cli:demo:live")
@pytest.mark.parametrize("status", [401, 404, None])
def test_a_vendor_that_does_not_answer_is_named_in_one_line(
    status: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1, its own words where they hold no key, and nothing of the key."""

    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        error = {"message": f"Refused.\nYour key {KEY if status == 401 else ''}", "type": "error", "code": "no"}
        # Closed after each answer: the client keeps connections for longer than a run's event loop.
        answer = JSONResponse({"error": error}, status_code=status or 500, headers={"connection": "close"})
        await answer(scope, receive, send)

    with Loopback(refuse, "/v1") as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url if status else "http://127.0.0.1:9/v1")
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        assert main(["demo", "--live", "--json"]) == 1
    printed = capsys.readouterr()
    said = {401: "does not accept the key", 404: "Refused.", None: "Connection error"}[status]
    assert not printed.out
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("interactions-bridge demo: GPT (gpt-")
    assert said in printed.err
    assert KEY not in printed.err


@pytest.mark.covers("cli:demo:vendors")
@pytest.mark.parametrize("way", ["json", "show"])
def test_who_is_not_installed_is_left_out_by_name(
    way: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without Claude's client and without OpenAI's adapter the session and its agent go on, and it is said what to install."""
    monkeypatch.setitem(sys.modules, "langchain_anthropic", None)
    monkeypatch.delitem(_adapters.FOUND, "openai")
    installs = [
        f"pip install 'interactions-bridge[{extra}]' interactions-bridge-{adapter}"
        for extra, adapter in (("claude", "anthropic"), ("gpt", "openai"))
    ]
    if way == "json":
        result = _run(capsys)
        assert [row["install"] for row in result["speakers"] if row["service"] == "left out"] == installs
        assert list(result["said"]) == ["plan", "analyst", "answer"]
        assert "south 16415.96" in result["answer"]
    else:
        assert main(["demo"]) == 0
        shown = capsys.readouterr().out
        assert f"review   Claude, left out: {installs[0]}" in shown
        assert f"write    GPT, left out: {installs[1]}" in shown


@pytest.mark.covers("cli:demo:vendors")
@pytest.mark.parametrize(
    ("text", "column", "told"),
    [
        ("a;b\n1;2,5\n3;x\n", "a", {"column": "a", "rows": 2, "sum": 4.0, "min": 1.0, "max": 3.0}),
        ("\n\na,b\n1,inf\n2\n", "b", {"column": "b", "rows": 1, "different values": 1}),
        ("a,b\n", "c", "there is no column 'c'; there are: a, b"),
        ("\ufeffa\n1e3\n", "a", {"column": "a", "rows": 1, "sum": 1000.0, "min": 1000.0, "max": 1000.0}),
    ],
)
async def test_the_shared_tool_tells_what_a_column_holds(text: str, column: str, told: Any) -> None:
    """Numbers summed, other values counted, a column that is not there named with those that are."""
    result = await Tools([lookup_in(DataFile("t.csv", text.encode(), "t.csv"))]).run(
        {"name": "lookup", "args": {"column": column}, "id": "1"}
    )
    assert result.is_error == isinstance(told, str)
    assert (result.content if result.is_error else json.loads(result.content)) == told


@pytest.mark.covers("cli:demo:vendors")
def test_the_reviewer_looks_up_the_column_in_question() -> None:
    """The last that the question names, else the last of all."""
    file = DataFile("t.csv", b"region,Units,price,note\n", "t.csv")
    assert column_of(file, "How many units by region?") == "Units"
    assert column_of(file, "Which is best?") == "note"


@pytest.mark.covers("cli:demo")
def test_a_question_that_is_an_order_is_answered_too(capsys: pytest.CaptureFixture[str]) -> None:
    """The figures come from whoever said what fits, whoever spoke last."""
    result = _run(capsys, "--question", "Compare north and south.")
    assert "south 16415.96" in result["answer"]
