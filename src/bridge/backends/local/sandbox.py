"""The sandbox of the embedded service: run one program over one workspace folder, within limits.

Programs run in pydantic-monty worker processes: a *subset of Python* (no class inheritance, `yield`, `del`, third-party
packages, shell or network), no access to the host but the workspace, which is mounted at `/workspace` and is the
program's working directory. What a program needs and the subset lacks ends in `RunResult.error`, by name.

Deliberately left to others: which folder is whose workspace, what a run looks like as interaction steps, and what a
program says. A run keeps no state; only the files in its workspace outlive it.
"""

from __future__ import annotations

import asyncio
import builtins
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bridge._finalizers import when_forgotten

if TYPE_CHECKING:
    from pydantic_monty import Monty, MontyError, OsFunction

__all__ = ["LONGEST_RUN", "WORKSPACE", "MontySandbox", "RunResult", "Sandbox"]

WORKSPACE = "/workspace"
"""Where a program sees its folder; relative paths start here."""

LONGEST_RUN = 600.0
"""Seconds a run may ask for at most: the pool's own watchdog has to sit above every run."""

_GRACE = 0.25  # seconds in which the worker may report its own time limit, which keeps its last output
_STOP_WITHIN = 5.0  # seconds to wait for what was killed
_MAX_SUSPENSIONS = 1_000_000  # monty's own 1,000 file calls end every later one of the session
_MAX_WRITTEN = 1024**3  # bytes one run may write, so that it cannot fill the disk
_SUBSET = "the local sandbox runs a subset of Python"


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a program left behind, beside its files.

    `stdout` is all it printed (stderr too, in order), also before a failure. `error` is None or one text that says what
    failed. `duration` is in seconds, without the wait for a free worker. `timed_out` is true where the time
    limit ended it.
    """

    stdout: str
    error: str | None
    duration: float
    timed_out: bool


class Sandbox(Protocol):
    """What the service asks of a sandbox."""

    async def run(
        self, code: str, *, workspace: Path, timeout: float = 20.0, on_print: Callable[[str], None] | None = None
    ) -> RunResult:
        """Run `code` with the folder `workspace` as its working directory, for at most `timeout` seconds."""

    async def aclose(self) -> None:
        """Stop what runs and give everything back."""


class MontySandbox:
    """A `Sandbox` on pydantic-monty worker processes, started at the first run.

    Args:
        workers: programs that run at the same time; further ones wait their turn.
        memory: bytes a program may use.
        max_output: characters of printed text that are kept; what follows is replaced by one mark.

    The synchronous pool in worker threads is used on purpose: the asynchronous one lets a cancelled program run on
    to its limit, and can abort the whole process when it exits soon after. The threads are daemons and are stopped at
    exit, so that a forgotten run cannot keep the process alive. Use one instance from one event loop.
    """

    def __init__(self, *, workers: int = 2, memory: int = 512 * 1024**2, max_output: int = 1024**2) -> None:
        if min(workers, memory, max_output) < 1:
            raise ValueError("workers, memory and max_output must be at least 1")
        self._memory = memory
        self._max_output = max_output
        self._slots = asyncio.Semaphore(workers)
        self._pool = _Pool(workers)
        # Runs at interpreter exit too: a thread that is inside the pool when Python finalizes would abort the process.
        self._finalizer = when_forgotten(self, self._pool.close)

    async def run(
        self, code: str, *, workspace: Path, timeout: float = 20.0, on_print: Callable[[str], None] | None = None
    ) -> RunResult:
        """Run one program to its end, its failure or its time limit.

        Args:
            code: the program, in the subset of Python that the sandbox has.
            workspace: an existing folder of the host, mounted read-write at `/workspace`; nothing else is visible, and
                links out of it are refused.
            timeout: seconds of wall time, from when a worker is free, sleeps included; above 0, at most `LONGEST_RUN`.
            on_print: called in the event loop with each piece of output as it comes (a few milliseconds late).

        Returns:
            The result. A program that fails is a result with `error`, not an exception.

        Raises:
            ValueError: `timeout` is out of range.
            OSError: `workspace` is not a folder that can be opened.
            ImportError: the extra `local` is not installed.
            RuntimeError: the sandbox is closed.

        Cancelling stops the program and frees its worker before the cancellation goes on.
        """
        if not 0 < timeout <= LONGEST_RUN:
            raise ValueError(f"timeout must be above 0 and at most {LONGEST_RUN:g} seconds, not {timeout!r}")
        async with self._slots:
            output = _Output(self._max_output, asyncio.get_running_loop(), on_print)
            job = _Job(code, workspace, timeout, self._memory, output)
            self._pool.start(job)
            ended = asyncio.wrap_future(job.ended)
            try:
                await asyncio.wait({ended}, timeout=timeout + _GRACE)
                if not ended.done():
                    job.stop(_Stopped(f"stopped after {timeout:g} s", timed_out=True))
                    await asyncio.wait({ended}, timeout=_STOP_WITHIN)
            except asyncio.CancelledError:
                output.on_print = None
                job.stop(_Stopped("cancelled"))
                await asyncio.wait({ended}, timeout=_STOP_WITHIN)
                raise
            finally:
                if ended.done() and not ended.cancelled():
                    ended.exception()  # seen, also where a cancellation hides it
            if not ended.done():  # the worker could not be killed; its thread ends with the pool's own limits
                return job.result(job.stopped)
            return ended.result()

    async def aclose(self) -> None:
        """Stop what runs (its `run` returns with an error that says so) and end the workers, within a few seconds."""
        closed: Future[None] = Future()

        def close() -> None:
            self._finalizer()
            closed.set_result(None)

        threading.Thread(target=close, name="bridge-sandbox-close", daemon=True).start()
        await asyncio.wait({asyncio.wrap_future(closed)}, timeout=2 * _STOP_WITHIN)


@dataclass(frozen=True)
class _Stopped:
    """Why a program was ended from outside."""

    reason: str
    timed_out: bool = False


class _Output:
    """Collects what a program prints, up to a limit, and passes it on to the event loop."""

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop, on_print: Callable[[str], None] | None) -> None:
        self.on_print = on_print
        self._limit = limit
        self._room = limit
        self._loop = loop
        self._parts: list[str] = []

    def add(self, _stream: str, text: str) -> None:
        if self._room < 0:
            return
        if len(text) > self._room:
            text = text[: self._room] + f"\n[output cut after {self._limit} characters]\n"
            self._room = -1
        else:
            self._room -= len(text)
        self._parts.append(text)
        if self.on_print is not None:
            try:
                self._loop.call_soon_threadsafe(self._pass_on, text)
            except RuntimeError:  # the loop is closed: nobody listens any more
                self.on_print = None

    def _pass_on(self, text: str) -> None:
        if self.on_print is not None:
            self.on_print(text)

    def text(self) -> str:
        return "".join(self._parts)


class _Job:
    """One program in one worker: runs in a thread of its own, can be stopped from any other."""

    def __init__(self, code: str, workspace: Path, timeout: float, memory: int, output: _Output) -> None:
        self.ended: Future[RunResult] = Future()
        self.stopped: _Stopped | None = None
        self._code = code
        self._workspace = workspace
        self._timeout = timeout
        self._memory = memory
        self._output = output
        self._woken = threading.Event()
        self._lock = threading.Lock()
        self._worker: int | None = None
        self._started = time.monotonic()

    def run(self, pool: Callable[[], Monty]) -> None:
        """Body of the thread: every outcome, also an unexpected one, ends in `ended`."""
        self.ended.set_running_or_notify_cancel()
        try:
            self.ended.set_result(self._run(pool()))
        except BaseException as error:  # noqa: BLE001 - nothing may be lost in a thread: `run` raises it
            self.ended.set_exception(error)

    def stop(self, why: _Stopped) -> None:
        """End the program now. The lock makes sure that a worker is killed only while it is this program's."""
        with self._lock:
            self.stopped = self.stopped or why
            self._woken.set()
            if self._worker is not None:
                os.kill(self._worker, getattr(signal, "SIGKILL", signal.SIGTERM))

    def result(self, stopped: _Stopped | None, error: str | None = None) -> RunResult:
        return RunResult(
            stdout=self._output.text(),
            error=error if stopped is None else stopped.reason,
            duration=time.monotonic() - self._started,
            timed_out=stopped is not None and stopped.timed_out,
        )

    def _run(self, pool: Monty) -> RunResult:
        from pydantic_monty import MontyError, MountDir

        try:
            mount = MountDir(
                host_path=self._workspace, virtual_path=WORKSPACE, mode="read-write", write_bytes_limit=_MAX_WRITTEN
            )
        except TypeError as failure:  # what monty raises for a path that is no folder
            raise NotADirectoryError(f"the workspace cannot be opened as a folder: {failure}") from failure
        checkout = pool.checkout(
            limits={
                "max_feed_duration_secs": self._timeout,
                "max_memory": self._memory,
                "max_suspensions": _MAX_SUSPENSIONS,
            },
            os_policy={"sleep": "call_host"},
        )
        stopped: _Stopped | None = None
        error: str | None = None
        with mount:
            try:
                with checkout as session:
                    with self._lock:
                        self._worker = session.worker_pid
                        stopped = self.stopped
                    self._started = time.monotonic()
                    try:
                        if stopped is None:
                            session.feed_run(
                                self._code,
                                mount=mount,
                                cwd=WORKSPACE,
                                os=self._os_call,
                                print_callback=self._output.add,
                            )
                    finally:
                        with self._lock:
                            self._worker = None
            except MontyError as failure:
                stopped = self.stopped or _limit_reached(failure, self._timeout)
                error = _explain(failure, self._memory)
        return self.result(stopped, error)

    def _os_call(
        self, *, name: OsFunction, args: tuple[object, ...], kwargs: dict[str, object], is_async: bool, **_: object
    ) -> object:
        """Sleeps here, where `stop` can wake it (monty's own sleep cannot be interrupted); all else is refused."""
        from pydantic_monty import NOT_HANDLED

        if name not in ("time.sleep", "asyncio.sleep"):
            return NOT_HANDLED
        seconds = args[0]
        if not isinstance(seconds, int | float) or not seconds >= 0:
            raise ValueError("sleep length must be a non-negative number")
        self._woken.wait(min(seconds, LONGEST_RUN))
        return args[1] if len(args) > 1 else None


class _Pool:
    """The lazily started worker pool and the jobs that are in it."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._monty: Monty | None = None
        self._jobs: dict[_Job, threading.Thread] = {}
        self._closed = False

    def start(self, job: _Job) -> None:
        def work() -> None:
            try:
                job.run(self._open)
            finally:
                with self._lock:
                    self._jobs.pop(job, None)

        thread = threading.Thread(target=work, name="bridge-sandbox", daemon=True)
        with self._lock:
            if self._closed:
                raise RuntimeError("the sandbox is closed")
            self._jobs[job] = thread
            thread.start()

    def close(self) -> None:
        """Stop the jobs, wait (bounded) until their threads have left the pool, end the workers."""
        with self._lock:
            self._closed = True
            jobs = dict(self._jobs)
            monty, self._monty = self._monty, None
        for job in jobs:
            job.stop(_Stopped("stopped: the sandbox was closed"))
        until = time.monotonic() + _STOP_WITHIN
        for thread in jobs.values():
            thread.join(max(0.0, until - time.monotonic()))
        if monty is not None:
            monty.__exit__(None, None, None)

    def _open(self) -> Monty:
        with self._lock:
            if self._monty is None:
                if self._closed:
                    raise RuntimeError("the sandbox is closed")
                try:
                    from pydantic_monty import Monty
                except ImportError as error:
                    raise ImportError(
                        "the local sandbox needs pydantic-monty: pip install 'interactions-bridge[local]'"
                    ) from error
                self._monty = Monty(
                    min_processes=1, max_processes=self._workers, request_timeout=LONGEST_RUN + _STOP_WITHIN
                ).__enter__()
            return self._monty


def _limit_reached(failure: MontyError, timeout: float) -> _Stopped | None:
    from pydantic_monty import MontyCrashedError

    text = str(failure)
    killed = isinstance(failure, MontyCrashedError) and failure.timed_out
    if killed or "feed time limit exceeded" in text:
        return _Stopped(f"stopped after {timeout:g} s", timed_out=True)
    if f"suspension limit {_MAX_SUSPENSIONS} exceeded" in text:
        return _Stopped(f"stopped after {_MAX_SUSPENSIONS} file calls: write files in one piece")
    return None


# What monty says where its subset ends, and what to name instead. The first match counts.
_LACKING: tuple[tuple[str, str], ...] = (
    (r"ModuleNotFoundError: No module named '(.+?)'", r"module '\1' is not available"),
    (r"AttributeError: module '(.+?)' has no attribute '(.+?)'", r"'\1.\2' is not available"),
    (r"NotImplementedError: The monty syntax parser does not yet support (.+)", r"it does not support \1"),
    (r"TypeError: '(encoding)' argument is not yet supported", r"files are UTF-8, another '\1' is not available"),
    (r"\w+: (.+?) (?:is|are) not (?:yet )?supported.*", r"\1 is not available"),
    (r"TypeError: ((?:read|write)_text\(\)) takes no keyword arguments", r"\1 takes no keyword arguments"),
    (r"RuntimeError: Internal error in monty: (.+)", r"\1"),
)


def _explain(failure: MontyError, memory: int) -> str | None:
    """One text for a program's failure: what the subset lacks by name, or the exception; with the line."""
    from pydantic_monty import MontyRuntimeError, MontySyntaxError

    if not isinstance(failure, MontyRuntimeError | MontySyntaxError):
        return f"the program ended its worker process: {failure}"
    kind = type(failure.exception()).__name__
    text = failure.display("type-msg")
    if kind == "SystemExit" and text in ("SystemExit", "SystemExit: ", "SystemExit: 0"):
        return None
    if "memory limit exceeded" in text:
        text = f"MemoryError: the program needed more than its {memory / 1024**2:g} MiB of memory"
    missing = re.fullmatch(r"NameError: name '(.+?)' is not defined", text)
    if missing and hasattr(builtins, missing[1]):
        text = f"{_SUBSET}: built-in '{missing[1]}' is not available"
    attribute = re.fullmatch(r"AttributeError: (?:type object )?'(\w+)'(?: object)? has no attribute '(\w+)'", text)
    if attribute and hasattr(getattr(builtins, attribute[1], None), attribute[2]):
        text = f"{_SUBSET}: '{attribute[1]}.{attribute[2]}' is not available here"
    for pattern, lacking in _LACKING:
        if match := re.fullmatch(pattern, text, re.DOTALL):
            text = f"{_SUBSET}: {match.expand(lacking)}"
            break
    frames = failure.traceback()
    return f"{text} (line {frames[-1].line})" if frames else text
