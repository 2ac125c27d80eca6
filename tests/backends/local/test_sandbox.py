"""The sandbox: limits, isolation, honest errors, cancellation and a clean exit, on real worker processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.backends.local.sandbox import LONGEST_RUN, MontySandbox

FOREVER = "print('on')\nwhile True: pass"


@pytest.fixture
async def sandbox() -> AsyncIterator[MontySandbox]:
    box = MontySandbox()
    yield box
    await box.aclose()


async def _started(box: MontySandbox, code: str, workspace: Path) -> asyncio.Task[object]:
    """A running program that has printed its first words."""
    printed = asyncio.Event()
    task: asyncio.Task[object] = asyncio.create_task(
        box.run(code, workspace=workspace, on_print=lambda _text: printed.set())
    )
    await asyncio.wait_for(printed.wait(), 10)
    return task


@pytest.mark.covers("local:sandbox")
async def test_a_program_works_on_real_files_below_its_working_directory(sandbox: MontySandbox, tmp_path: Path) -> None:
    """Relative and absolute paths name the same real files, and stdout and stderr come back in order."""
    (tmp_path / "in.txt").write_text("grüße")
    code = (
        "import os, sys\nprint(os.getcwd())\nprint('e', file=sys.stderr)\n"
        "text = open('in.txt', encoding='utf-8').read()\nopen('/workspace/out.txt', 'w').write(text + '!')"
    )
    live: list[str] = []
    result = await sandbox.run(code, workspace=tmp_path, on_print=live.append)
    assert (result.error, result.timed_out) == (None, False)
    assert result.stdout == "/workspace\ne\n" == "".join(live)
    assert (tmp_path / "out.txt").read_text() == "grüße!"
    assert 0 < result.duration < 20


@pytest.mark.covers("local:sandbox:isolation")
@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd').read()",
        "open('../secret.txt').read()",
        "open('link/secret.txt').read()",
        "open('relative.txt').read()",
        "open('../new.txt', 'w').write('x')",
        "import os\nprint(os.listdir('/'))",
        "import os\nprint(os.environ)",
    ],
)
async def test_nothing_of_the_host_is_visible_but_the_workspace(
    sandbox: MontySandbox, tmp_path: Path, code: str
) -> None:
    """Absolute paths, `..`, links out of the folder and the environment are all refused."""
    workspace = tmp_path / "inside"
    workspace.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (workspace / "link").symlink_to(tmp_path)
    (workspace / "relative.txt").symlink_to("../secret.txt")
    result = await sandbox.run(f"print({code!r})\n{code}", workspace=workspace)
    assert result.error is not None
    assert result.stdout == f"{code}\n"
    assert "secret\n" not in result.stdout
    assert str(tmp_path) not in result.error
    assert not (tmp_path / "new.txt").exists()


@pytest.mark.covers("local:sandbox:isolation")
async def test_runs_share_nothing_but_files(sandbox: MontySandbox, tmp_path: Path) -> None:
    """A name defined in one run does not exist in the next one, in the same worker."""
    await sandbox.run("x = 1", workspace=tmp_path)
    result = await sandbox.run("print(x)", workspace=tmp_path)
    assert result.error == "NameError: name 'x' is not defined (line 1)"


@pytest.mark.covers("local:sandbox:subset")
@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("import statistics", "module 'statistics' is not available"),
        ("import sys\nsys.exit(1)", "'sys.exit' is not available"),
        ("class A(Exception): pass", "class inheritance"),
        ("def f():\n  yield 1", "yield expressions"),
        ("x = {1: 2}\ndel x[1]", "'del' statement"),
        ("open('f', encoding='latin-1')", "files are UTF-8"),
        ("from pathlib import Path\nPath('f').read_text(encoding='utf-8')", "read_text() takes no keyword"),
        ("input()", "built-in 'input' is not available"),
        ("import os\nos.getenv('HOME')", "'os.getenv' is not available"),
        ("raise SystemExit(2)", "exceptions can only be called"),
        ("print(list(map(str.strip, ['a'])))", "'str.strip'"),
    ],
)
async def test_what_the_subset_lacks_is_named(sandbox: MontySandbox, tmp_path: Path, code: str, named: str) -> None:
    """A program that needs more than the subset fails with the name of what is missing."""
    (tmp_path / "f").write_text("x")
    result = await sandbox.run(code, workspace=tmp_path)
    assert result.error is not None
    assert result.error.startswith("the local sandbox runs a subset of Python: ")
    assert named in result.error


@pytest.mark.covers("local:sandbox:errors")
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("print('a')\n1/0", "ZeroDivisionError: division by zero (line 2)"),
        ("print('a')\nraise TimeoutError('mine')", "TimeoutError: mine (line 2)"),
        ("print('a')\nx = 'b' * 10**10", "MemoryError: the program needed more than its 512 MiB of memory (line 2)"),
        ("print('a')\nraise SystemExit", None),
        ("print('a')\nimport time\ntime.sleep(-1)", "ValueError: sleep length must be"),
    ],
)
async def test_a_failure_says_what_and_where_and_keeps_the_output(
    sandbox: MontySandbox, tmp_path: Path, code: str, error: str | None
) -> None:
    """What was printed before a failure is kept; leaving by SystemExit is no failure."""
    result = await sandbox.run(code, workspace=tmp_path)
    assert (result.error or "").startswith(error or "")
    assert (result.error is None) == (error is None)
    assert result.stdout == "a\n"


@pytest.mark.covers("local:sandbox:errors")
@pytest.mark.parametrize("code", ["def f(:", "\ud800", "(" * 100_000])
async def test_a_text_that_is_no_program_is_a_failed_run(sandbox: MontySandbox, tmp_path: Path, code: str) -> None:
    """Broken, undecodable and absurdly nested programs end as errors, not as exceptions."""
    result = await sandbox.run(code, workspace=tmp_path)
    assert result.error is not None
    assert "SyntaxError" in result.error


@pytest.mark.covers("local:sandbox:limits")
@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "import time\nwhile True: time.sleep(100)",
        "import asyncio\nasync def f(): await asyncio.sleep(100)\nasyncio.run(f())",
        "while True: open('f', 'w').write('x')",
        "while True:\n  try:\n    while True: pass\n  except BaseException: pass",
    ],
)
async def test_the_time_limit_ends_every_kind_of_endless_program(
    sandbox: MontySandbox, tmp_path: Path, body: str
) -> None:
    """Computing, sleeping and writing programs end at the limit, and the next run works."""
    result = await sandbox.run(f"print('on')\n{body}", workspace=tmp_path, timeout=0.3)
    assert (result.stdout, result.error, result.timed_out) == ("on\n", "stopped after 0.3 s", True)
    assert result.duration < 5
    assert (await sandbox.run("print(1)", workspace=tmp_path)).stdout == "1\n"


@pytest.mark.covers("local:sandbox:limits")
async def test_sleeping_works_and_can_return_a_value(sandbox: MontySandbox, tmp_path: Path) -> None:
    """Both kinds of sleep return to the program."""
    code = (
        "import asyncio, time\ntime.sleep(0.01)\n"
        "async def f(): return await asyncio.sleep(0.01, 7)\nprint(asyncio.run(f()))"
    )
    result = await sandbox.run(code, workspace=tmp_path)
    assert (result.error, result.stdout) == (None, "7\n")


@pytest.mark.covers("local:sandbox:limits")
async def test_more_than_a_thousand_file_calls_are_fine(sandbox: MontySandbox, tmp_path: Path) -> None:
    """The worker's own small limit on host calls is raised."""
    result = await sandbox.run("for _ in range(2500): open('f', 'a').write('x')", workspace=tmp_path)
    assert result.error is None
    assert (tmp_path / "f").stat().st_size == 2500


@pytest.mark.covers("local:sandbox:limits")
async def test_output_is_cut_with_a_mark(tmp_path: Path) -> None:
    """A flood of output is kept up to the limit, marked, and does not stop the program."""
    box = MontySandbox(max_output=10)
    live: list[str] = []
    code = "print('x' * 30)\nimport time\ntime.sleep(0.05)\nprint('y')\nopen('done', 'w').write('1')"
    result = await box.run(code, workspace=tmp_path, on_print=live.append)
    assert result.stdout == "x" * 10 + "\n[output cut after 10 characters]\n" == "".join(live)
    assert (tmp_path / "done").exists()
    await box.aclose()


@pytest.mark.covers("local:sandbox:cancel")
@pytest.mark.parametrize(
    "body", ["while True: pass", "import time\ntime.sleep(100)", "while True: open('f', 'w').write('x')"]
)
async def test_cancelling_stops_the_program_and_leaves_the_pool_usable(tmp_path: Path, body: str) -> None:
    """With a single worker: the next program only runs if the cancelled one is really gone."""
    box = MontySandbox(workers=1)
    task = await _started(box, f"print('on')\n{body}", tmp_path)
    begun = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await box.run("print(2)", workspace=tmp_path)).stdout == "2\n"
    assert time.monotonic() - begun < 3
    await box.aclose()


@pytest.mark.covers("local:sandbox:cancel")
async def test_a_waiting_program_can_be_cancelled_before_it_starts(tmp_path: Path) -> None:
    """A run that waits for a worker leaves at once and never runs."""
    box = MontySandbox(workers=1)
    running = await _started(box, FOREVER, tmp_path)
    waiting = asyncio.create_task(box.run("open('f', 'w').write('x')", workspace=tmp_path))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await box.aclose()
    await running
    assert not (tmp_path / "f").exists()


@pytest.mark.covers("local:sandbox:parallel")
async def test_the_loop_stays_responsive_while_a_hostile_program_runs(sandbox: MontySandbox, tmp_path: Path) -> None:
    """Two endless loops fill both workers; the event loop keeps turning."""
    worst = 0.0
    runs = asyncio.gather(
        *(sandbox.run("while True: print('x' * 1000)", workspace=tmp_path, timeout=0.5) for _ in "ab")
    )
    while not runs.done():
        begun = time.monotonic()
        await asyncio.sleep(0)
        worst = max(worst, time.monotonic() - begun)
    assert all(result.timed_out for result in await runs)
    assert worst < 0.25


@pytest.mark.covers("local:sandbox:parallel")
async def test_twenty_programs_at_once_each_get_their_own_result(sandbox: MontySandbox, tmp_path: Path) -> None:
    """More programs than workers wait their turn, and none sees another's output or folder."""
    folders = [tmp_path / str(n) for n in range(20)]
    for folder in folders:
        folder.mkdir()
    results = await asyncio.gather(
        *(sandbox.run(f"open('f', 'w').write('{n}')\nprint({n})", workspace=f) for n, f in enumerate(folders))
    )
    assert [result.stdout for result in results] == [f"{n}\n" for n in range(20)]
    assert [(folder / "f").read_text() for folder in folders] == [str(n) for n in range(20)]


@pytest.mark.covers("local:sandbox:close")
async def test_closing_ends_what_runs_and_refuses_what_comes(tmp_path: Path) -> None:
    """A running program's caller is told why it ended; closing twice is fine."""
    box = MontySandbox()
    task = await _started(box, FOREVER, tmp_path)
    await box.aclose()
    await box.aclose()
    assert "the sandbox was closed" in str(await task)
    with pytest.raises(RuntimeError, match="closed"):
        await box.run("1", workspace=tmp_path)


@pytest.mark.covers("local:sandbox:errors")
async def test_wrong_arguments_are_refused_by_name(sandbox: MontySandbox, tmp_path: Path) -> None:
    """Limits out of range and a missing folder are the caller's errors."""
    for timeout in (0, -1, LONGEST_RUN + 1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            await sandbox.run("1", workspace=tmp_path, timeout=timeout)
    with pytest.raises(NotADirectoryError):
        await sandbox.run("1", workspace=tmp_path / "missing")
    with pytest.raises(ValueError, match="workers"):
        MontySandbox(workers=0)


_EXIT = """
import asyncio, sys
from pathlib import Path
from bridge.backends.local.sandbox import MontySandbox

mode, folder = sys.argv[1], Path(sys.argv[2])
box = MontySandbox()
kept = []

async def main():
    printed = asyncio.Event()
    timeout = 0.05 if mode == "timeout" else 20
    run = box.run("print(1)\\nwhile True: pass", workspace=folder, timeout=timeout, on_print=lambda _: printed.set())
    task = asyncio.ensure_future(run)
    kept.append(task)
    await printed.wait()
    if mode == "abandon":
        return
    if mode == "cancel":
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)

asyncio.new_event_loop().run_until_complete(main())
"""

_TIMES = 50 if os.environ.get("BRIDGE_CAMPAIGN") == "1" else 3


@pytest.mark.covers("local:sandbox:exit")
@pytest.mark.parametrize("mode", ["cancel", "timeout", "abandon"])
def test_the_process_exits_cleanly_right_after(mode: str, tmp_path: Path) -> None:
    """A cancelled, timed-out or forgotten program neither aborts the process at exit nor keeps it alive."""
    for _ in range(_TIMES):
        ended = subprocess.run(
            [sys.executable, "-c", _EXIT, mode, str(tmp_path)], timeout=10, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr


@pytest.mark.covers("local:sandbox:install")
def test_a_missing_extra_is_named_and_nothing_is_imported_early(tmp_path: Path) -> None:
    """Importing the module does not import pydantic-monty; running without it says what to install."""
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom bridge.backends.local.sandbox import MontySandbox\n"
        "assert 'pydantic_monty' not in sys.modules\nsys.modules['pydantic_monty'] = None\n"
        "try:\n    asyncio.run(MontySandbox().run('1', workspace=Path('.')))\nexcept ImportError as e:\n    print(e)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "pip install 'interactions-bridge[local]'" in ended.stdout
