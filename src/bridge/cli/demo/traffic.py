"""What a run sent, and what a client without server-side state would have sent for the same turns.

Counted are the bodies of the requests that start turns; headers and polls are the same for both.
"""

from __future__ import annotations

import json
from typing import Any

from bridge.backend import Backend
from bridge.interactions import CreateModelInteraction
from bridge.interactions.interaction import input_steps

__all__ = ["Traffic"]


class Traffic:
    """Takes every request body as it leaves."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def record(self, method: str, path: str, body: bytes) -> None:
        """Called for every request sent."""
        if method == "POST" and path.endswith("/interactions"):
            self.bodies.append(body)

    @property
    def sent(self) -> int:
        """Bytes of the requests that started turns."""
        return sum(map(len, self.bodies))

    async def stateless(self, backend: Backend) -> int:
        """Bytes of the same turns with `store: false`: each one carries the whole conversation before it."""
        total = 0
        for body in self.bodies:
            request = json.loads(body)
            parent = request.pop("previous_interaction_id", None)
            if parent is None:
                total += len(body)
                continue
            steps: list[Any] = [step.to_wire() for step in input_steps(CreateModelInteraction.parse(request).input)]
            while parent:
                turn = await backend.get(parent, include_input=True)
                steps = [*(step.to_wire() for step in turn.steps or []), *steps]
                parent = turn.previous_interaction_id
            whole = {**request, "store": False, "input": steps}
            total += len(json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode())
        return total
