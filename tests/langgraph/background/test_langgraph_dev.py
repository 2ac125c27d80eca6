"""Parked and woken on a LangGraph Agent Server: `langgraph dev` as a user starts it, without an account and with no network but this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from httpx import ConnectError
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_client

from bridge.backends.gemini import GeminiBackend
from bridge.backends.local import LocalBackend
from bridge.http import create_app
from bridge.jobs import SqliteJobStore
from bridge.langgraph import Sweeper
from tests.conftest import ROOT
from tests.receivers import served

FOLDER = ROOT / "tests" / "clients" / "langgraph_dev"
ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Write a report."}]}


@asynccontextmanager
async def dev(python: Path, folder: Path, service: str, jobs: Path) -> AsyncIterator[tuple[str, Path]]:
    """A running `langgraph dev`: its address and its log. It has a folder of its own, where it keeps its threads."""
    home = folder / "server"
    shutil.copytree(FOLDER, home, ignore=shutil.ignore_patterns("requirements.*", "__pycache__"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", folder / "server.log"
    kept = ("LANGSMITH", "LANGGRAPH", "LANGCHAIN", "COV", "PYTHON")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(kept)}
    environment |= {"PYTHONPATH": f"{home / 'offline'}{os.pathsep}{ROOT / 'src'}", "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"WORK_SERVICE": service, "WORK_SERVER": url, "WORK_JOBS": str(jobs), "HOME": str(folder)}
    command = [str(python.with_name("langgraph")), "dev", "--no-browser", "--no-reload", "--port", str(port)]
    with (
        log.open("wb") as written,
        subprocess.Popen(
            command, cwd=home, env=environment, stdout=written, stderr=written, start_new_session=True
        ) as process,
    ):
        try:
            await _answers(url, process, log)
            yield url, log
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


async def _answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    async with get_client(url=url) as client:

        async def up() -> bool:
            assert process.poll() is None, log.read_text()
            with suppress(ConnectError):
                return bool(await client.assistants.search())
            return False

        await _until(up, log)


async def _until(look: Callable[[], Any], log: Path) -> Any:
    """What `look` gives once that is something."""
    try:
        async with asyncio.timeout(30):
            while not (seen := await look()):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(log.read_text()[-20_000:]) from None
    return seen


@pytest.mark.timeout(300)
@pytest.mark.covers("langgraph:background:agent-server")
async def test_a_thread_parks_and_is_woken_on_an_agent_server(
    client_env: Callable[[str], Path], tmp_path: Path
) -> None:
    """By the service's own webhook, and by a sweeper of another process where no webhook comes; the server's log has no blocking call."""
    python = await asyncio.to_thread(client_env, "langgraph_dev")
    record = tmp_path / "jobs.sqlite"
    async with LocalBackend(tmp_path / "service", test_controls=True) as local:
        with served(create_app(local)) as service:
            async with (
                dev(python, tmp_path, service, record) as (url, log),
                aclosing(SqliteJobStore(record)) as jobs,
                GeminiBackend(base_url=service) as backend,
                get_client(url=url) as client,
            ):

                async def park(graph: str) -> str:
                    thread = (await client.threads.create())["thread_id"]
                    state: Any = await client.runs.wait(thread, graph, input=ASKED)
                    (waiting,) = state["__interrupt__"]
                    (job,) = await jobs.list(thread=thread)
                    assert waiting["value"] == {
                        "type": "interaction",
                        "interaction_id": job.interaction_id,
                        "name": "analyst",
                        "status": "in_progress",
                    }
                    return thread

                async def ended(thread: str) -> Any:
                    state = await client.threads.get_state(thread)
                    return None if state["next"] or state["tasks"] else state["values"]

                async def settled(thread: str) -> bool:
                    (job,) = await jobs.list(thread=thread)
                    return job.state == "settled"

                told = await park("told")
                values = await _until(lambda: ended(told), log)
                assert values["interactions"]["analyst"]["status"] == "completed"
                assert values["messages"][-1]["name"] == "analyst"

                untold = await park("untold")
                sweeper = Sweeper(RemoteGraph("untold", client=client), jobs, backend=backend)

                async def swept() -> Any:
                    await sweeper.run_once()
                    return await ended(untold)

                values = await _until(swept, log)
                assert values["interactions"]["analyst"]["status"] == "completed"

                async def all_settled() -> bool:
                    await sweeper.run_once()
                    return await settled(told) and await settled(untold)

                await _until(all_settled, log)
                rows = await jobs.list()
                assert len(rows) == len({row.thread for row in rows}) == 2
    text = log.read_text()
    assert "BlockingError" not in text
    assert "Traceback" not in text
