"""The manifest: every behaviour this repository promises, and where the promise comes from.

An entry is an id (`area:feature[:variant]`), one sentence and its source: "API: ..." (the documentation of the Interactions
API), "issue: ..." (a report of a user of this or of a peer library) or "ours". Tests name their entries with
`@pytest.mark.covers(...)`; `tests/test_requirements.py` checks that every entry has a test, and every test an entry.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Requirement:
    """One promised behaviour.

    Attributes:
        id: `area:feature` or `area:feature:variant`, in lower case.
        sentence: The behaviour, as one sentence.
        source: "API: ...", "issue: ..." or "ours".
        skips: Every reason with which a test of this entry may be skipped.
    """

    id: str
    sentence: str
    source: str
    skips: tuple[str, ...] = ()


CAMPAIGN = "runs under `make campaign`"
"""The reason with which a test marked `campaign` is skipped elsewhere; it is always allowed."""

MODEL: tuple[Requirement, ...] = ()

GEMINI: tuple[Requirement, ...] = ()

LOCAL: tuple[Requirement, ...] = ()

HTTP: tuple[Requirement, ...] = ()

LANGGRAPH: tuple[Requirement, ...] = ()

CLI: tuple[Requirement, ...] = ()

REPO: tuple[Requirement, ...] = (
    Requirement("repo:manifest", "Every promise has a test, and every test names the promise it proves.", "ours"),
    Requirement("repo:manifest:skips", "A test is skipped only with a reason that stands in the manifest.", "ours"),
    Requirement("repo:layers", "The rooms of the library import each other only as the design allows.", "ours"),
    Requirement("repo:layers:broken", "An import against the design is reported with its file and line.", "ours"),
    Requirement("repo:import", "`import bridge` loads no other library; names load when they are used.", "ours"),
    Requirement("repo:import:surface", "Each public name of `bridge` resolves, and an unknown one is an AttributeError.", "ours"),
    Requirement("repo:typed", "The package is marked as typed.", "ours"),
    Requirement("repo:wheel", "The wheel and the sdist hold the package, its data and its licence, and no tests.", "ours"),
    Requirement("repo:wheel:runs", "The built wheel installs into a fresh environment, imports, and has its command.", "ours"),
    Requirement("repo:wheel:tests", "Part of the tests passes against the built wheel.", "ours"),
    Requirement("repo:locks", "Locks are pinned by hash and name no package index; the demo's is part of the test lock.", "ours"),
    Requirement("repo:clients", "Clients that conflict with the main lock live in locked environments of their own.", "ours"),
    Requirement("repo:make", "make finds a Python of 3.11 or later, or says what to install.", "ours"),
    Requirement("repo:make:keys", "Vendors' keys never reach what make runs.", "ours"),
    Requirement("repo:guards:network", "Tests reach no host but this machine.", "ours"),
    Requirement("repo:guards:blocking", "A blocking call of the library inside an event loop fails the test.", "ours"),
    Requirement("repo:guards:keys", "Tests see no vendor's key.", "ours"),
)

REQUIREMENTS: tuple[Requirement, ...] = (*MODEL, *GEMINI, *LOCAL, *HTTP, *LANGGRAPH, *CLI, *REPO)
