"""The protocol's own conformance suite, pinned, on the server of agents and on one that has the fixtures the suite asks for.

A check that fails, or warns, fails the test unless a baseline beside this file names it; so does an entry of a baseline that passes.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.backends.local import LocalBackend
from bridge.mcp import SharedToken
from tests.mcp.calling import over_http
from tests.mcp.conformance.fixtures import Events, FixtureServer

pytestmark = [
    pytest.mark.timeout(120),
    # The suite asks for them in the older protocols, and the SDK warns wherever they are used.
    pytest.mark.filterwarnings("ignore:The (logging|sampling) capability is deprecated"),
]
HERE = Path(__file__).parent
TOKEN = "the token of whoever runs the suite"
# The suite's frozen sets, by revision of the protocol, and how many scenarios for servers each has.
REVISIONS = {"2026-07-28": 50, "2025-11-25": 33}

Typescript = Callable[[str], list[str]]


@pytest.mark.covers("mcp:conformance:agents")
@pytest.mark.parametrize("revision", REVISIONS)
async def test_the_server_of_agents_conforms(
    revision: str, typescript: Typescript, tmp_path: Path, serving: Callable[..., Any], backend: LocalBackend
) -> None:
    """In every scenario that needs nothing which only a server made for the suite has."""
    async with over_http(serving(backend)) as url:
        ran = await _judged(typescript, url, tmp_path, "agents.yml", "--requirements", revision)
    assert ran == REVISIONS[revision]


@pytest.mark.covers("mcp:conformance")
async def test_the_whole_suite_passes_where_its_fixtures_are(typescript: Typescript, tmp_path: Path) -> None:
    """Each scenario in the newest revision of the protocol that it is about."""
    async with over_http(FixtureServer(), event_store=Events(), retry_interval=100) as url:
        assert await _judged(typescript, url, tmp_path, "baseline.yml", "--suite", "all") == 65


@pytest.mark.covers("mcp:conformance")
@pytest.mark.parametrize("revision", REVISIONS)
async def test_each_revision_passes_where_callers_sign_in(
    revision: str, typescript: Typescript, tmp_path: Path
) -> None:
    """What a revision asks of a server, with a token checked in front of it."""
    async with over_http(SignedIn(), event_store=Events(), retry_interval=100) as url:
        ran = await _judged(typescript, url, tmp_path, "baseline.yml", "--requirements", revision)
    assert ran == REVISIONS[revision]


class SignedIn(FixtureServer):
    """The server with the fixtures, for callers with a token. The suite cannot bring one: it is added on the way."""

    def __init__(self) -> None:
        token = SharedToken(TOKEN)
        super().__init__(token_verifier=token, auth=token.auth("http://127.0.0.1"))

    def streamable_http_app(self, **options: Any) -> Starlette:
        """The app behind what adds the token."""
        app = super().streamable_http_app(**options)
        app.add_middleware(_Bringing)
        return app


class _Bringing:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["headers"] = [*scope["headers"], (b"authorization", f"Bearer {TOKEN}".encode())]
        await self._app(scope, receive, send)


async def _judged(typescript: Typescript, url: str, folder: Path, baseline: str, *what: str) -> int:
    """Runs the suite and fails with what it found; gives how many scenarios there were.

    The suite judges by the baseline too, but of a revision's set not what it calls "not scored".
    """
    expected = HERE / baseline
    command = [*await asyncio.to_thread(typescript, "conformance"), "server", "--url", url, *what]
    process = await asyncio.create_subprocess_exec(
        *command,
        *("--expected-failures", str(expected), "-o", str(folder)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 90)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    known = set(re.findall(r"^  - (\S+)$", expected.read_text(), re.MULTILINE))
    checks = _checks(folder)
    wrong, found = [], set()
    for scenario, its in checks.items():
        for check in its:
            if check["status"] in ("FAILURE", "WARNING"):
                names = {scenario, f"{scenario}:{check['id']}"}
                found |= names
                if not names & known:
                    told = check.get("errorMessage", check["description"])
                    wrong.append(f"{check['status']} {scenario}:{check['id']}: {told}")
    wrong += [f"{entry} passes: take it out of {baseline}" for entry in known - found if entry.split(":")[0] in checks]
    assert not wrong, "\n".join(wrong)
    assert process.returncode == 0, said.decode()
    return len(checks)


def _checks(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The checks of each scenario, which stands in the name of its folder between the kind of target and the time."""
    return {
        re.sub(r"-\d{4}-\d\d-\d\dT[\d-]+Z$", "", path.parent.name.removeprefix("server-")): json.loads(path.read_text())
        for path in sorted(folder.glob("server-*/checks.json"))
    }
