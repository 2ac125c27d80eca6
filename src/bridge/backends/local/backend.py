"""`LocalBackend`: the embedded service as a backend, in this process and without HTTP.

It gives an `Engine` the protocol of `bridge.backend`, and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self, Unpack

from bridge.backend import Capabilities, as_request
from bridge.errors import InvalidRequest
from bridge.interactions import CreateInteraction, Event, Interaction

from .engine import Engine, EngineSettings

__all__ = ["LocalBackend"]


class LocalBackend:
    """A service in this process. Takes the arguments of `Engine`, or an `engine` that others may use as well.

    Meets `bridge.backend.Backend`. Nothing is started before the first call; `aclose()`, or leaving it as an async context
    manager, ends the engine, a shared one too.
    """

    name = "local"
    capabilities = Capabilities(webhooks=True)

    def __init__(
        self, data: str | Path | None = None, *, engine: Engine | None = None, **settings: Unpack[EngineSettings]
    ) -> None:
        if engine is not None and (data is not None or settings):
            raise InvalidRequest("LocalBackend takes an engine or the settings of one, not both", "engine")
        self.engine = engine or Engine(data, **settings)
        self.identity = self.engine.identity
        self.agents = self.engine.agents
        self.environments = self.engine.environments
        self.files = self.engine.files
        self.webhooks = self.engine.webhooks

    async def create(self, request: CreateInteraction | None = None, /, **fields: Any) -> Interaction:
        """Starts a turn and waits for its end, or for its start where `background` is set."""
        wanted = as_request(request, fields)
        if wanted.stream:
            raise InvalidRequest("create() does not stream; call stream()", "stream")
        return await self.engine.create(wanted)

    async def stream(self, request: CreateInteraction | None = None, /, **fields: Any) -> AsyncIterator[Event]:
        """Starts a turn and gives its events as they come, to `interaction.completed`."""
        async with aclosing(self.engine.stream(as_request(request, fields))) as events:
            async for event in events:
                yield event

    async def get(self, id: str, *, include_input: bool = False) -> Interaction:
        """A stored turn as it stands. Raises `NotFound`."""
        return await self.engine.get(id, include_input=include_input)

    async def watch(self, id: str, *, after: str | None = None) -> AsyncIterator[Event]:
        """The events of a stored turn, from the start or from after an event id, to its end."""
        async with aclosing(self.engine.watch(id, after=after)) as events:
            async for event in events:
                yield event

    async def cancel(self, id: str) -> Interaction:
        """Stops a background turn that still runs."""
        return await self.engine.cancel(id)

    async def delete(self, id: str) -> None:
        """Deletes a stored turn. Raises `NotFound`."""
        await self.engine.delete(id)

    async def aclose(self) -> None:
        """Ends what runs and closes the service. Idempotent."""
        await self.engine.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
