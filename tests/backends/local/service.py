"""What the tests of the embedded service share: scripts for its responder, and turns that wait until they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from bridge.backends.local.responders import Turn

THOUGHT = {"type": "thought", "signature": "c2lnbmF0dXJl"}


def text(words: str) -> dict[str, Any]:
    """A `model_output` of one text."""
    return {"type": "model_output", "content": [{"type": "text", "text": words}]}


def call(name: str, id: str = "call0001", **arguments: Any) -> dict[str, Any]:
    """A `function_call`."""
    return {"type": "function_call", "id": id, "name": name, "arguments": arguments}


def result(call_id: str, value: Any = "done") -> dict[str, Any]:
    """A `function_result`."""
    return {"type": "function_result", "call_id": call_id, "result": value}


def function(name: str) -> dict[str, Any]:
    """A tool that is a function without parameters."""
    return {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}}


class Gate:
    """A turn of which one step comes at once and the rest when the gate opens."""

    def __init__(self, *after: dict[str, Any]) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.left = asyncio.Event()
        self._after = after or (text("And this after the gate."),)

    def script(self, turn: Turn) -> AsyncIterator[dict[str, Any]]:
        """The script for a `ScriptedResponder`."""
        return self._steps()

    async def _steps(self) -> AsyncIterator[dict[str, Any]]:
        try:
            yield THOUGHT
            self.reached.set()
            await self.open.wait()
            for step in self._after:
                yield step
        finally:
            self.left.set()


class Clock:
    """A clock that moves only when it is told to; call it for the seconds since 1970."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Moves the time on."""
        self.now += seconds
