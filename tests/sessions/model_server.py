"""A server that keeps the chains it is told and nothing else: a backend for proofs about what a session's server knows.

It holds callers to the API's rules of calls and results, can lose what it stored in the three ways that services tell it, and answers
with what it was told to answer next.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any, Literal

from bridge.backend import Capabilities, as_request
from bridge.errors import api_error
from bridge.interactions import CreateInteraction, Event, Interaction, parse_event

__all__ = ["ModelServer", "check_calls"]

Loss = Literal["404", "400", "403"]


class ModelServer:
    """Keeps for every interaction its parent, its input and its output, in wire form."""

    name = "model server"
    identity = "model-server"
    capabilities = Capabilities()
    agents = environments = files = None

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.gone: dict[str, Loss] = {}
        self.next_calls = 0
        """How many functions the next answer calls."""
        self.next_rich = False
        """Whether the next answer runs code on the server, and thinks aloud without a signature."""
        self.refusals: list[Exception] = []
        """What the next creates raise, whatever they ask."""
        self._kept: dict[str, tuple[str | None, list[Any], list[Any]]] = {}
        self._numbers = itertools.count(1)

    @property
    def ids(self) -> list[str]:
        """Of all stored interactions that are still there."""
        return [kept for kept in self._kept if kept not in self.gone]

    def chain(self, id: str | None) -> list[dict[str, Any]]:
        """All steps that the server knows at an interaction, inputs and outputs, from the root on."""
        steps: list[dict[str, Any]] = []
        parent = id
        while parent is not None:
            parent, inputs, outputs = self._kept[parent]
            steps = [*inputs, *outputs, *steps]
        return steps

    async def create(self, request: CreateInteraction | None = None, /, **fields: Any) -> Interaction:
        """Answers a turn at once."""
        wire = as_request(request, fields).to_wire()
        self.requests.append(wire)
        if self.refusals:
            raise self.refusals.pop(0)
        parent = wire.get("previous_interaction_id")
        if parent is not None and (parent in self.gone or parent not in self._kept):
            raise self._refusal(parent)
        check_calls([*self.chain(parent), *wire["input"]])
        number = next(self._numbers)
        stored = wire.get("store", True)
        steps = self._answer(number)
        if stored:
            self._kept[f"v1_{number}"] = (parent, wire["input"], steps)
        return Interaction.parse(
            {
                **({"id": f"v1_{number}"} if stored else {}),
                "status": "requires_action" if self.next_calls else "completed",
                "model": wire["model"],
                "steps": steps,
            }
        )

    async def stream(self, request: CreateInteraction | None = None, /, **fields: Any) -> AsyncIterator[Event]:
        """The same as events, each text in two pieces."""
        whole = (await self.create(request, **fields)).to_wire()
        steps = whole.pop("steps")
        rows: list[dict[str, Any]] = [
            {"event_type": "interaction.created", "interaction": {**whole, "status": "in_progress"}}
        ]
        for index, step in enumerate(steps):
            deltas = []
            if step["type"] == "model_output":
                (part,) = step["content"]
                step = {"type": "model_output"}
                deltas = [{"type": "text", "text": piece} for piece in (part["text"][:2], part["text"][2:])]
            rows.append({"event_type": "step.start", "index": index, "step": step})
            rows += [{"event_type": "step.delta", "index": index, "delta": delta} for delta in deltas]
            rows.append({"event_type": "step.stop", "index": index})
        for row in [*rows, {"event_type": "interaction.completed", "interaction": whole}]:
            yield parse_event(row)

    async def get(self, id: str, *, include_input: bool = False) -> Interaction:
        """A stored interaction, without its steps."""
        if id not in self.ids:
            raise api_error("you may not, or it does not exist", status=403 if self.gone.get(id) == "403" else 404)
        return Interaction.parse({"id": id, "status": "completed"})

    async def delete(self, id: str) -> None:
        """Loses an interaction."""
        self.gone[id] = "404"

    async def cancel(self, id: str) -> Interaction:
        """Nothing runs here for long."""
        return await self.get(id)

    async def watch(self, id: str, *, after: str | None = None) -> AsyncIterator[Event]:
        """Nothing runs here for long."""
        yield parse_event({"event_type": "interaction.completed", "interaction": (await self.get(id)).to_wire()})

    async def aclose(self) -> None:
        """Holds nothing."""

    def _refusal(self, parent: str) -> Exception:
        match self.gone.get(parent, "404"):
            case "404":
                return api_error(f"interaction {parent} not found", status=404, code="not_found")
            case "400":
                body = {"error": {"message": "previous_interaction_id: no such interaction"}}
                return api_error("previous_interaction_id: no such interaction", status=400, body=body)
            case _:  # says nothing of the parent, which a look at it shows
                return api_error("you may not, or it does not exist", status=403, code="permission_denied")

    def _answer(self, number: int) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = [{"type": "thought", "signature": f"sig-{number}"}]
        if self.next_rich:
            run = f"run_{number}"
            steps += [
                {"type": "thought", "summary": [{"type": "text", "text": "unsigned"}]},
                {"type": "code_execution_call", "id": run, "arguments": {"code": "1", "language": "python"}},
                {"type": "code_execution_result", "call_id": run, "result": f"ran {number}"},
            ]
        if number % 3 or not self.next_calls:  # a model that calls does not always talk
            steps.append({"type": "model_output", "content": [{"type": "text", "text": f"answer {number}."}]})
        for place in range(self.next_calls):
            call = {"id": f"call_{number}_{place}", "name": "look", "arguments": {"at": number}}
            steps.append({"type": "function_call", **call})
        return steps


def check_calls(steps: list[dict[str, Any]]) -> None:
    """Fails where the API would refuse: a result of no open call, a call without its result behind it or a signature before it."""
    waiting: list[str] = []
    signed = answering = False
    for step in steps:
        match step["type"]:
            case "function_call":
                assert signed, f"a call without a signature before it: {step}"
                assert not (waiting and answering), f"a call between a call and its result: {step}"
                waiting.append(step["id"])
                answering = False
            case "function_result":
                assert step["call_id"] in waiting, f"a result of no open call: {step}"
                waiting.remove(step["call_id"])
                answering = True
            case kind:
                assert not waiting, f"{waiting} have no result before {step}"
                signed = bool(step.get("signature")) or (signed and kind != "user_input")
    assert not waiting, f"{waiting} have no result"
