"""Server tools that a Python callable stands in for: searches, pages, places.

Offered only where one was registered with the engine. What the callable returns is the result; nothing is fetched here.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import anyio.to_thread

from bridge.interactions import Step
from bridge.interactions.steps import STEP

from ...base import Ending, ServerTool
from ..answers import facts, spoken
from ..filling.evidence import Evidence
from ..situation import Plan, Situation
from ..words import is_request, shorten

__all__ = ["call_server_tools", "use"]

_ORDER = re.compile(
    r"^\W*(?:please\s)?(?:search|look up|google|find)\s(?:(?:on |in )?(?:the )?(?:web|internet|online|files|map|maps)\s)?(?:for\s)?",
    re.IGNORECASE,
)
_SEARCHES = ("google_search", "google_maps", "retrieval", "file_search")


def call_server_tools(situation: Situation) -> Plan | None:
    """Asks the tools that stand in for the API's own what the conversation does not know."""
    if not is_request(situation.prompt):
        return None
    urls = Evidence(situation.prompt).of_format("uri")
    wanted: dict[str, dict[str, Any]] = {"url_context": {"urls": urls}} if urls else {}
    wanted |= {kind: {"queries": [_query(situation.prompt)]} for kind in _SEARCHES}
    offered = situation.turn.server_tools
    uses = [(kind, arguments) for kind, arguments in wanted.items() if situation.offers(kind) and kind in offered]
    if not uses:
        return None
    names = ", ".join(kind for kind, _ in uses)
    return Plan(thought=f"I ask {names}.", steps=_answer(situation, uses))


def _query(prompt: str) -> str:
    """What to search for: the prompt without the order to search."""
    return shorten(_ORDER.sub("", prompt, count=1).strip() or prompt, 1_000)


async def _answer(situation: Situation, uses: list[tuple[str, dict[str, Any]]]) -> AsyncGenerator[Step | Ending]:
    told = []
    for kind, arguments in uses:
        call, result, text = await use(situation, kind, arguments)
        yield call
        yield result
        told.append(text)
    yield spoken(*told)


async def use(situation: Situation, kind: str, arguments: dict[str, Any]) -> tuple[Step, Step, str]:
    """Uses a server tool once: its call, its result, and both in words. A callable that raises is a failed result."""
    call_id = situation.turn.new_id()
    call = {"type": f"{kind}_call", "id": call_id, "signature": ""} | (
        {} if kind == "file_search" else {"arguments": arguments}
    )
    result: dict[str, Any] = {"type": f"{kind}_result", "call_id": call_id, "signature": ""}
    try:
        value = await _called(situation.turn.server_tools[kind], arguments)
    except Exception as error:  # noqa: BLE001 - the callable is the user's: whatever it raises is the tool's failure
        text = f"{kind} failed: {type(error).__name__}: {error}"
        return (
            STEP.parse(call),
            STEP.parse(result | {"is_error": True} | _shaped(kind, arguments, str(error), "error")),
            text,
        )
    told = "; ".join(facts(value)) or "nothing"
    shaped = result | {"is_error": False} | _shaped(kind, arguments, value, "success")
    return STEP.parse(call), STEP.parse(shaped), f"{kind} returned: {shorten(told, 5_000)}"


async def _called(tool: ServerTool, arguments: dict[str, Any]) -> Any:
    """A plain function runs in a thread, so that it may block."""
    if inspect.iscoroutinefunction(tool):
        return await tool(**arguments)
    value = await anyio.to_thread.run_sync(partial(tool, **arguments))
    return await value if inspect.isawaitable(value) else value


def _shaped(kind: str, arguments: dict[str, Any], value: Any, status: str) -> dict[str, Any]:
    """A result as the API has it; a list of objects is taken to be in that shape already."""
    if kind == "retrieval":
        return {}
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return {"result": value}
    text = "; ".join(facts(value))
    shapes: dict[str, list[dict[str, Any]]] = {
        "url_context": [{"url": url, "status": status} for url in arguments.get("urls", ())],
        "google_search": [{"search_suggestions": text}],
        "google_maps": [{"places": [{"name": text}]}],
        "file_search": [{"text": text}],
    }
    return {"result": shapes[kind]}
