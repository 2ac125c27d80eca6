"""Fixtures of the embedded service's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bridge.backends.local import LocalBackend, ScriptedResponder

from .service import Clock


@pytest.fixture
async def service() -> AsyncIterator[Callable[..., LocalBackend]]:
    """Makes services: scripts of turns first, settings by name; all are closed at the end."""
    made: list[LocalBackend] = []

    def make(*scripts: Any, **settings: Any) -> LocalBackend:
        if scripts:
            settings["responder"] = ScriptedResponder(scripts)
        made.append(LocalBackend(**settings))
        return made[-1]

    yield make
    for backend in made:
        await backend.aclose()


@pytest.fixture
def clock() -> Clock:
    """An injected clock, standing at a fixed time."""
    return Clock()
