"""The gemini backend: the Interactions API over HTTP, for event loops and (through `sync`) for plain threads.

What it adds to the wire: repeats what may be repeated, follows continuations, and sees a stream to its end when connections
break. Requests are built in `calls`, answers read in `answers`, `sse` and `progress`; these decide, this module sends.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, Self

from bridge._http import AsyncTransport, BlockingTransport, Reply
from bridge._portal import InlineRunner, SyncBackend
from bridge.backend import Capabilities, as_request
from bridge.errors import (
    BridgeError,
    ConnectionFailed,
    DeadlineExceeded,
    InteractionFailed,
    OutcomeUnknown,
)
from bridge.interactions import (
    CreateInteraction,
    Event,
    Interaction,
    InteractionCompleted,
    assemble,
    meaning_of,
)

from .answers import decoded, is_json, parsed
from .calls import Call, continuation_body, create_body, create_call, resource_call, watch_call
from .progress import Progress
from .resources import GeminiAgents, GeminiEnvironments, GeminiFiles, GeminiWebhooks, SyncGeminiFiles
from .sending import Wire
from .settings import Retries, settings_from
from .sse import Decoder

__all__ = ["GeminiBackend", "SyncGeminiBackend"]

logger = logging.getLogger(__name__)

TIMEOUT = 3600.0  # seconds; no run is allowed longer (Deep Research, the longest, ends at 60 minutes)
RETRIES = Retries()
RESUMES = 3  # connections in a row that may bring no news before a stream is given up and the result is asked for
FIRST_POLL, LONGEST_POLL = 0.5, 10.0  # seconds between two looks at a run whose stream is gone


class Client:
    """Everything the backend does, over a transport. `GeminiBackend` and its sync twin are two ways to reach it."""

    name = "gemini"
    capabilities = Capabilities(webhooks=True)

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.agents = GeminiAgents(wire)
        self.environments = GeminiEnvironments(wire)
        self.files = GeminiFiles(wire)
        self.webhooks = GeminiWebhooks(wire)

    @property
    def identity(self) -> str:
        """Names host, version and account, without the key."""
        return self._wire.settings.identity

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._wire.settings.base!r})"

    async def create(self, request: CreateInteraction | None = None, /, **fields: Any) -> Interaction:
        """Starts a turn and waits for its end, or for its start where `background` is set.

        Takes a request, or its fields (`model=..., input=...`), or both. A turn that stops at the service's limit for one request is
        continued, and the hops are joined. Raises `OutcomeUnknown` where the connection broke after sending, `InteractionFailed`
        where a continuation failed (with what had come), `InvalidRequest`, `ApiError`, `ConnectionFailed`, `InvalidResponse`.
        """
        request = as_request(request, fields)
        body = create_body(request, stream=False)
        deadline = self._wire.deadline()
        hops: list[Interaction] = []
        following: dict[str, Any] | None = body
        while following is not None:
            try:
                hop = parsed(Interaction, await self._wire.send(create_call(following), deadline))
            except BridgeError as error:
                raise _interrupted(error, hops) from None
            hops.append(hop)
            self._wire.recent.add(hop.id)
            following = continuation_body(request, following, hop)
        return _joined(hops)

    async def stream(self, request: CreateInteraction | None = None, /, **fields: Any) -> AsyncGenerator[Event, None]:
        """Starts a turn and gives its events as they come, to the last `interaction.completed`.

        A stream that breaks is resumed after the last event; where that is refused, or brings nothing, the result is asked for and what
        was missing comes as events, so that `assemble` of all of them is the whole turn. A `step.start` of an index that was there
        before replaces that step. Leaving the iteration early closes the connection and does not cancel the run.
        Raises as `create` does; `OutcomeUnknown` holds what had arrived, `DeadlineExceeded` the id of a run that goes on.
        """
        request = as_request(request, fields)
        body: dict[str, Any] | None = create_body(request, stream=True)
        before: list[Interaction] = []
        while body is not None:
            progress = Progress(stored=body.get("store") is not False, before=before)
            async with aclosing(self._follow(create_call(body), progress)) as batches:
                async for batch in batches:
                    for event in batch:
                        yield event
            if progress.completed is None:
                return
            body = continuation_body(request, body, progress.completed)
            if body is not None:
                before = progress.hops

    async def get(self, id: str, *, include_input: bool = False) -> Interaction:
        """A stored turn as it stands. Raises `NotFound`."""
        return await self._get(id, self._wire.deadline(), include_input=include_input)

    async def watch(self, id: str, *, after: str | None = None) -> AsyncGenerator[Event, None]:
        """The events of a stored turn, from the start or from after an event id, to its end.

        Broken streams are resumed as in `stream`. Raises `NotFound`, or why the service could not be asked.
        """
        progress = Progress(id=id, after=after)
        async with aclosing(self._follow(watch_call(id, after), progress)) as batches:
            async for batch in batches:
                for event in batch:
                    yield event

    async def cancel(self, id: str) -> Interaction:
        """Stops a background turn that still runs. Returns it as it then stands."""
        call = resource_call("POST", "interactions", id, "/cancel")
        return parsed(Interaction, await self._wire.send(call))

    async def delete(self, id: str) -> None:
        """Deletes a stored turn. Raises `NotFound`."""
        self._wire.recent.drop(id)
        await self._wire.send(resource_call("DELETE", "interactions", id))

    async def aclose(self) -> None:
        """Lets go of connections; a client given as `http` stays open. Idempotent."""
        await self._wire.transport.aclose()

    async def _get(self, id: str, deadline: float | None, *, include_input: bool = False) -> Interaction:
        query = {"include_input": True if include_input else None, "stream": False}
        call = resource_call("GET", "interactions", id, query=query)
        interaction = parsed(Interaction, await self._wire.send(call, deadline))
        self._wire.recent.drop(id)
        return interaction

    async def _follow(self, call: Call, progress: Progress) -> AsyncGenerator[Iterable[Event], None]:
        """The events of one hop, as many at a time as came together, over as many connections as it takes."""
        creating = not call.repeatable
        deadline = self._wire.deadline()
        try:
            reply: Reply | None = await self._wire.open(call, deadline)
        except BridgeError as error:
            raise (_interrupted(error, progress.hops) if creating else error) from None
        while reply is not None:
            async with aclosing(self._events(reply, progress)) as batches:
                async for batch in batches:
                    yield batch
            if creating:
                self._wire.recent.add(progress.id)
            if progress.completed is not None:
                return
            if not progress.recoverable:
                if progress.failed:  # the service said why there is no more
                    return
                raise OutcomeUnknown(_unknown(progress.why), partial=progress.partial())
            logger.info("a stream of %s broke: %s", progress.id, progress.why)
            if not progress.fruitless:
                deadline = self._wire.deadline()
            reply = await self._resumed(progress, deadline)
        ended = await self._settled(progress, deadline, creating)
        if ended is not None:
            yield progress.rest(ended)

    async def _events(self, reply: Reply, progress: Progress) -> AsyncGenerator[Iterable[Event], None]:
        """What one connection brings. It ends quietly however it ends; `progress` knows how."""
        decoder = Decoder()
        count, why, fresh = progress.count, "", progress.fresh
        try:
            if is_json(reply.headers):  # the service answered without streaming
                whole = parsed(Interaction, decoded(reply.headers, await reply.read(), self._wire.settings))
                progress.learn_id(whole.id)
                if meaning_of(whole.status).ends_wait:
                    yield progress.rest(whole)
            else:
                async with aclosing(reply.chunks()) as chunks:
                    async for chunk in chunks:
                        events = decoder.feed(chunk)
                        yield progress.first(chunk, events) if fresh else progress.new(events)
                        if decoder.done:
                            await self._wire.transport.drain(chunks)
                            break
        except ConnectionFailed as error:
            why = str(error)
        finally:
            await reply.aclose()
        if progress.completed is not None and decoder.done:
            return
        progress.catch_up()
        yield progress.new(decoder.end())
        progress.learn_id(progress.id or decoder.torn_id())
        progress.ended(decoder.error or why or "it ended early", news=progress.count > count)

    async def _resumed(self, progress: Progress, deadline: float | None) -> Reply | None:
        """The stream from where it broke; None where events carry no ids, or resuming is refused or brings nothing."""
        if progress.cursor is None or progress.fruitless >= RESUMES:
            return None
        if progress.fruitless:
            await self._wire.transport.sleep(FIRST_POLL * 2**progress.fruitless)
        call = watch_call(progress.id, progress.cursor)
        try:
            return await self._wire.open(call, deadline)
        except BridgeError as error:
            progress.why += f"; resuming it: {error}"
            return None

    async def _settled(self, progress: Progress, deadline: float | None, creating: bool) -> Interaction | None:
        """The interaction once it has ended; None where the service said in the stream why it will not."""
        pause = FIRST_POLL
        if progress.failed:
            self._wire.recent.drop(progress.id)
        while True:
            try:
                whole = await self._get(progress.id, deadline)
            except BridgeError as error:
                if progress.failed:
                    return None
                if creating:
                    raise OutcomeUnknown(
                        _unknown(f"{progress.why}; then: {error}"), partial=progress.partial()
                    ) from None
                raise
            if meaning_of(whole.status).ends_wait:
                return whole
            if progress.failed:
                return None
            if deadline is not None and self._wire.now() + pause > deadline:
                raise DeadlineExceeded(
                    f"the stream of {progress.id} broke ({progress.why}) and the run has not ended in time; it goes on, get(id) tells",
                    progress.id,
                )
            await self._wire.transport.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL)


class GeminiBackend(Client):
    """The Gemini Interactions API.

    `api_key`: else from GOOGLE_API_KEY or GEMINI_API_KEY, the first one winning; "" for none. `base_url`: else from
    GOOGLE_GEMINI_BASE_URL, else Google's; it may end in a version, which then counts. `api_version`: "v1", "v1beta". `http`: an
    `httpx2.AsyncClient` or `httpx.AsyncClient` of the caller's, who closes it. `timeout`: seconds one call may take in all, retries
    included, and for a stream the seconds it may go without news once it broke; None for no bound. `retries`: further
    attempts, or `Retries`. `allow_insecure`: send the key over plain http to other machines. `clock` and `sleep`: for tests.

    Vertex is not supported: there is no `vertexai`, `project` or `location`. Raises `NotConfigured` where nothing says what to talk to.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        api_version: str = "v1",
        *,
        http: Any = None,
        timeout: float | None = TIMEOUT,
        retries: int | Retries = RETRIES,
        allow_insecure: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        settings = settings_from(api_key, base_url, api_version, timeout, retries, allow_insecure)
        super().__init__(Wire(settings, AsyncTransport(http, sleep), clock))
        self._sleep = sleep
        self._twin: SyncGeminiBackend | None = None

    @property
    def sync(self) -> SyncGeminiBackend:
        """The same without `await`, over a client of its own. Closed with this one."""
        if self._twin is None:
            self._twin = SyncGeminiBackend._over(
                Client(Wire(self._wire.settings, BlockingTransport(None, self._sleep), self._wire.now))
            )
        return self._twin

    async def aclose(self) -> None:
        """Lets go of connections; a client given as `http` stays open. Idempotent."""
        if self._twin is not None:
            self._twin.close()
        await super().aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


class SyncGeminiBackend(SyncBackend):
    """`GeminiBackend` without `await`: the same arguments, an `httpx2.Client` or `httpx.Client` as `http`."""

    files: SyncGeminiFiles

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        api_version: str = "v1",
        *,
        http: Any = None,
        timeout: float | None = TIMEOUT,
        retries: int | Retries = RETRIES,
        allow_insecure: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        settings = settings_from(api_key, base_url, api_version, timeout, retries, allow_insecure)
        self._take(Client(Wire(settings, BlockingTransport(http, sleep), clock)))

    @classmethod
    def _over(cls, client: Client) -> Self:
        backend = cls.__new__(cls)
        backend._take(client)
        return backend

    def _take(self, client: Client) -> None:
        runner = InlineRunner()
        super().__init__(client, runner)
        self.files = SyncGeminiFiles(client.files, runner)


def _joined(hops: list[Interaction]) -> Interaction:
    return hops[0] if len(hops) == 1 else assemble(InteractionCompleted(interaction=hop) for hop in hops)


def _interrupted(error: BridgeError, hops: list[Interaction]) -> BridgeError:
    """What a create raises where one of its requests failed after `hops` of the turn were answered."""
    joined = _joined(hops) if hops else None
    if isinstance(error, ConnectionFailed) and error.sent:
        return OutcomeUnknown(_unknown(str(error)), partial=joined)
    if joined is not None:
        return InteractionFailed(
            f"the turn was answered in part, and its continuation failed: {error}; continuation_token goes on from there",
            joined,
        )
    return error


def _unknown(why: str) -> str:
    return f"the create was sent and nothing tells whether it runs ({why}); it was not sent again, because it may bill twice"
