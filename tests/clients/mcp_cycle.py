"""One conversation with a server of agents, whatever the client: run, wait, respond, files, read, follow up, cancel, ask the person.

Clients in other environments share it, so it needs nothing but Python. What they got is judged by the tests; nothing is here. The agents
are the tests' own: "helper" leaves what it asks to the caller, "asking" asks the person at the client.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Generator
from typing import Any

# What the person at the client answers to a form, where the client shows forms.
ANSWER = {"result": "It is blue."}

_Call = tuple[str, str, dict[str, Any]]


async def through(call: Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Makes every call of the cycle; gives what each gave, by name, as `call` does: {"is_error", "text", "structured"}."""
    got: dict[str, dict[str, Any]] = {}
    steps = _cycle()
    name, tool, arguments = next(steps)
    while True:
        got[name] = await call(tool, arguments)
        try:
            name, tool, arguments = steps.send(_read(got[name]["text"]))
        except StopIteration:
            return got


def _cycle() -> Generator[_Call, Any, None]:
    """The name of each call, its tool and its arguments; is sent what the text of its result says."""
    started = yield "started", "agent_run", {"input": "What does it cost?", "wait_s": 0}
    run = {"run_id": started["run_id"]}
    asked = yield "asked", "agent_wait", run
    (pending,) = asked["pending_calls"]
    yield "answered", "agent_respond", {**run, "call_id": pending["call_id"], "result": "12 euros"}
    yield "done", "agent_wait", run
    files = yield "files", "agent_files", run
    yield "file", "agent_read_file", {"uri": files["entries"][0]["uri"]}
    yield "more", "agent_run", {"input": "What did I ask?", "previous_run_id": run["run_id"]}
    running = yield "running", "agent_run", {"input": "Think.", "wait_s": 0}
    yield "cancelled", "agent_cancel", {"run_id": running["run_id"]}
    yield "failed", "agent_run", {"input": "Fail."}
    yield "refused", "agent_wait", {"run_id": "nobody's"}
    yield "person", "agent_run", {"input": "Ask.", "agent": "asking", "idempotency_key": "asks once"}
    yield "listed", "agent_list", {}


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
