"""What this library promises: the manifest that tests are held against.

A promise has an id (`area:feature[:variant]`), a sentence, and a source: a page of the API's documentation, an issue (ours or of a
library that went wrong there), or "ours". `test_requirements.py` checks that every promise has a test, that every test names the
promises it shows (`@pytest.mark.covers`), and that a test is only skipped for a reason that stands in `SKIPS`.
"""

from __future__ import annotations

from typing import NamedTuple


class Requirement(NamedTuple):
    """One promise."""

    id: str
    sentence: str
    source: str


R = Requirement

MODEL: tuple[Requirement, ...] = ()

GEMINI: tuple[Requirement, ...] = ()

LOCAL: tuple[Requirement, ...] = (
    R(
        "local:sandbox",
        "A program runs on real files below /workspace, which is its working directory.",
        "issue: embedded service",
    ),
    R(
        "local:sandbox:isolation",
        "Nothing of the host is visible but the workspace, and runs share nothing but files.",
        "issue: embedded service",
    ),
    R(
        "local:sandbox:subset",
        "A program that needs more than the subset of Python fails with the name of what is missing.",
        "ours: design of the sandbox",
    ),
    R(
        "local:sandbox:errors",
        "A failure says what and where, keeps what was printed before, and wrong arguments are refused by name.",
        "ours",
    ),
    R(
        "local:sandbox:limits",
        "Time, memory, output and file-call limits hold for computing, sleeping and writing programs alike.",
        "issue: embedded service",
    ),
    R(
        "local:sandbox:cancel",
        "Cancelling a run really stops its program and leaves the pool usable.",
        "issue: embedded service",
    ),
    R(
        "local:sandbox:parallel",
        "The event loop stays responsive and twenty programs at once each get their own result.",
        "issue: embedded service",
    ),
    R(
        "local:sandbox:close",
        "Closing is bounded, ends what runs and refuses what comes.",
        "ours: design of the sandbox",
    ),
    R(
        "local:sandbox:exit",
        "A cancelled, timed-out or forgotten program neither aborts the process at exit nor keeps it alive.",
        "ours: design of the sandbox",
    ),
    R("local:sandbox:install", "A missing extra is named, and nothing is imported before the first run.", "ours"),
    R(
        "local:analysis",
        "A CSV is profiled and grouped into summary.csv and report.md: count, sum, mean, min and max per text value.",
        "issue: embedded service",
    ),
    R("local:analysis:exact", "The figures equal an independent computation.", "ours"),
    R(
        "local:analysis:shapes",
        "Header-only, ragged, delimited, marked, wide, mixed and high-cardinality files are handled, nothing silently.",
        "ours",
    ),
    R("local:analysis:errors", "What cannot be analysed fails in words that name the file.", "ours"),
    R("local:analysis:answer", "The answer names each group with the figure asked for.", "issue: embedded service"),
    R("local:analysis:large", "32 MB and a million rows are analysed within 20 s and 256 MB.", "issue: demo"),
)

HTTP: tuple[Requirement, ...] = ()

LANGGRAPH: tuple[Requirement, ...] = ()

CLI: tuple[Requirement, ...] = (
    R("cli:demo", "The demo answers a question from a real analysis of a real file.", "issue: first interface"),
    R("cli:demo:files", "The demo names and saves the files that the agent left.", "issue: first interface"),
    R(
        "cli:demo:bytes",
        "The session is not sent the history again, and the demo shows the bytes.",
        "issue: first interface",
    ),
    R("cli:demo:upload", "A file over 1 MB is uploaded to the environment.", "issue: first interface"),
    R(
        "cli:demo:refusals",
        "A file that cannot be used gets one short line that names it, and exit status 2.",
        "issue: first interface",
    ),
    R("cli:demo:live", "Live runs need a key and show first what will leave the machine.", "issue: first interface"),
    R("cli:demo:show", "The demo shows each step as it happens, and no data drives the terminal.", "ours"),
)

REPO: tuple[Requirement, ...] = (
    R("repo:manifest", "Every promise has a test, every test names its promise, every skip has a reason here.", "ours"),
    R("repo:layers", "The rooms import each other only as the house allows.", "ours"),
    R(
        "repo:layers:broken",
        "An import against the house breaks a contract, which names the module and its line.",
        "ours",
    ),
    R("repo:blocking", "A call of the library that blocks an event loop fails the test that makes it.", "ours"),
    R("repo:make", "make refuses an unfit Python in one line, and no recipe sees a vendor's key.", "ours"),
    R("repo:clients", "Independent clients run in locked environments of their own.", "ours"),
    R("repo:import", "Importing bridge loads no room that is not asked for.", "ours"),
    R("repo:exports", "Every public name is listed, exists and is documented.", "ours"),
    R(
        "repo:wheel",
        "The built wheel installs over the locked versions, and part of the tests passes against it.",
        "ours",
    ),
    R("repo:readme", "The examples in the README run and do what they say.", "ours"),
    R("repo:notebook", "The notebooks run from top to bottom.", "ours"),
    R("repo:offline", "Tests reach no host but this machine, and see no vendor key.", "ours"),
    R("repo:locks", "No committed file names a package registry's host, and every lock carries hashes.", "ours"),
)

REQUIREMENTS: tuple[Requirement, ...] = (*MODEL, *GEMINI, *LOCAL, *HTTP, *LANGGRAPH, *CLI, *REPO)

# Why a test may be skipped: the reason a skip gives must begin with one of these.
SKIPS: dict[str, str] = {
    "campaign": "Too long for every run; `make campaign` runs it.",
}
