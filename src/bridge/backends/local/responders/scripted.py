"""The scripted responder: answers turns from a list, for tests that need exact steps.

It decides nothing; what comes out is what the script says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, TypeAlias

from bridge.interactions import Model, Step
from bridge.interactions.steps import STEP

from .base import Ending, Turn

__all__ = ["Script", "ScriptExhausted", "ScriptedResponder"]

_Item: TypeAlias = Model | dict[str, Any] | Ending | BaseException
_Items: TypeAlias = Iterable[_Item] | AsyncIterator[_Item] | _Item
Script: TypeAlias = _Items | Callable[[Turn], _Items]
"""One turn: its steps (models or their wire form), an `Ending`, an exception to raise; or a function of the turn that gives these."""


class ScriptExhausted(RuntimeError):
    """Raised when more turns are asked for than the script has."""

    def __init__(self, length: int) -> None:
        super().__init__(
            f"the script has {length} turn{'' if length == 1 else 's'} and one more was asked for; add a turn to ScriptedResponder"
        )


class ScriptedResponder:
    """Answers the n-th turn with the n-th script, whoever asks.

    Args:
        scripts: one per turn, in order. In each, steps are yielded in turn and an exception is raised where it stands.

    `turns` holds every turn it was asked for, in order.
    """

    def __init__(self, scripts: Iterable[Script]) -> None:
        self._scripts = list(scripts)
        self.turns: list[Turn] = []

    async def respond(self, turn: Turn) -> AsyncIterator[Step | Ending]:
        """Yields the next script's steps. Raises `ScriptExhausted` after the last, and what the script raises."""
        number = len(self.turns)
        self.turns.append(turn)
        if number >= len(self._scripts):
            raise ScriptExhausted(len(self._scripts))
        script = self._scripts[number]
        items = script(turn) if callable(script) else script
        if isinstance(items, AsyncIterator):
            async for item in items:
                yield _step(item)
        elif isinstance(items, Model | dict | Ending | BaseException):
            yield _step(items)
        else:
            for item in items:
                yield _step(item)


def _step(item: Any) -> Step | Ending:
    if isinstance(item, BaseException):
        raise item
    if isinstance(item, Ending):
        return item
    step: Step = STEP.parse(item)
    return step
