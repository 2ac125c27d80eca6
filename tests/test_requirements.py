"""The manifest and the tests agree."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements import REQUIREMENTS, SKIPS

# Collecting the whole tree takes half a minute on a machine that is busy.
pytestmark = [pytest.mark.covers("repo:manifest"), pytest.mark.timeout(330)]

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, list[str]]]:
    """Every test of the tree with the promises it names, collected in a process of its own."""
    target = tmp_path_factory.mktemp("manifest") / "tests.json"
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    environment = {**os.environ, "BRIDGE_MANIFEST": str(target)}
    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "PYTEST_XDIST_WORKER"):
        environment.pop(name, None)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    rows: list[dict[str, list[str]]] = json.loads(target.read_text())
    return rows


def test_ids_are_unique_and_well_formed() -> None:
    """An id is `area:feature[:variant]`, and stands once."""
    ids = [requirement.id for requirement in REQUIREMENTS]
    assert len(ids) == len(set(ids))
    for requirement in REQUIREMENTS:
        parts = requirement.id.split(":")
        assert 2 <= len(parts) <= 3, requirement
        assert all(parts), requirement
        assert requirement.sentence.endswith("."), requirement
        assert requirement.source, requirement


def test_every_requirement_of_security_has_a_test_of_its_name(collected: list[dict[str, list[str]]]) -> None:
    """T1 to T32 of what a server of agents must withstand, by the numbers in the names of tests and of their cases."""
    names = [str(test["test"]) for test in collected if str(test["test"]).startswith(("tests/mcp/", "tests/tools/"))]
    named = {
        int(number) for name in names for number in re.findall(r"(?<=[_\[])t(\d+)(?=[_-])", name.partition("::")[2])
    }
    assert named == set(range(1, 33))


def test_every_promise_has_a_test_and_every_test_a_promise(collected: list[dict[str, list[str]]]) -> None:
    """Neither a promise nobody shows, nor a test nobody can place."""
    promised = {requirement.id for requirement in REQUIREMENTS}
    shown = {promise for test in collected for promise in test["covers"]}
    assert not promised - shown, "promises without a test"
    assert not shown - promised, "tests that name a promise which is not in the manifest"
    assert not [test["test"] for test in collected if not test["covers"]], "tests that name no promise"


def test_skips_give_a_reason_of_the_manifest(collected: list[dict[str, list[str]]]) -> None:
    """A skip, also one that only some machines meet, is one the manifest explains."""
    reasons = {reason for test in collected for reason in test["skips"]}
    unexplained = [reason for reason in reasons if not reason.startswith(tuple(SKIPS))]
    assert not unexplained
