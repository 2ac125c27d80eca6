"""Who hears that a resource changed: who listens to it, in the newest protocol, and who subscribed to it, in those before.

Telling is a hint and never holds up the work: a client that does not read is not told any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourceUpdated
from mcp_types import INVALID_PARAMS, EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams

from .access import AtOnce, owner_of
from .text import cleaned

__all__ = ["Updates"]

# Seconds within which a client takes a notification; the most resources that one connection may subscribe to, and the most streams
# that one caller may listen on at once.
_TAKEN_WITHIN, _MOST, _STREAMS = 2.0, 1_000, 64


class Updates:
    """The listeners of a server. `may_read` says whether an owner may read a URI: of others' resources nobody is told."""

    def __init__(self, may_read: Callable[[str, str], Awaitable[bool]]) -> None:
        self.bus = InMemorySubscriptionBus()
        self._may_read = may_read
        self._listening = AtOnce(_STREAMS)
        self._subscribed: WeakKeyDictionary[Connection, set[str]] = WeakKeyDictionary()

    async def publish(self, uris: Iterable[str]) -> None:
        """Tells of resources that changed."""
        for uri in uris:
            await self.bus.publish(ResourceUpdated(uri=uri))
            for connection, wanted in list(self._subscribed.items()):
                if uri not in wanted:
                    continue
                try:
                    async with asyncio.timeout(_TAKEN_WITHIN):
                        await connection.notify("notifications/resources/updated", {"uri": uri})
                except TimeoutError:
                    self._subscribed.pop(connection, None)

    async def only_own(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """The middleware that refuses to tell a caller of another's resources."""
        if ctx.method == "subscriptions/listen":
            for uri in ((ctx.params or {}).get("notifications") or {}).get("resourceSubscriptions") or ():
                await self._check(ctx, str(uri))
            refusal = MCPError(INVALID_PARAMS, f"A caller may listen on {_STREAMS} streams at once: close one")
            with self._listening.one(owner_of(ctx.request), refusal):
                return await call_next(ctx)
        return await call_next(ctx)

    def serve(self, server: MCPServer[Any]) -> None:
        """Lets clients of the older protocols subscribe; the SDK's server has nothing of its own for them."""
        handlers = server._lowlevel_server  # where the SDK says that methods of older protocols are added
        handlers.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
        handlers.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe)

    async def _subscribe(self, ctx: ServerRequestContext[Any, Any], params: SubscribeRequestParams) -> EmptyResult:
        await self._check(ctx, str(params.uri))
        wanted = self._subscribed.setdefault(_connection_of(ctx), set())
        if len(wanted) >= _MOST:
            raise MCPError(INVALID_PARAMS, f"A connection may subscribe to {_MOST} resources: unsubscribe from one")
        wanted.add(str(params.uri))
        return EmptyResult()

    async def _unsubscribe(self, ctx: ServerRequestContext[Any, Any], params: UnsubscribeRequestParams) -> EmptyResult:
        self._subscribed.get(_connection_of(ctx), set()).discard(str(params.uri))
        return EmptyResult()

    async def _check(self, ctx: ServerRequestContext[Any, Any], uri: str) -> None:
        if not await self._may_read(owner_of(ctx.request), uri):
            raise MCPError(INVALID_PARAMS, f"Unknown resource: {cleaned(uri)[:200]}")


def _connection_of(ctx: ServerRequestContext[Any, Any]) -> Connection:
    return ctx.session._connection  # a session is made for each request; what lasts is its connection
