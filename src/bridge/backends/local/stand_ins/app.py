"""The ASGI app of a stand-in: reads requests, keeps them, and answers whole or as a stream, with the vendor's own errors.

What an endpoint takes and says is the vendor's; listening on a socket is `loopback`'s.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ..responders.base import Responder
from ..responders.rules import RuleResponder
from ..turns.record import new_call_id
from .loopback import Loopback

__all__ = ["DONE", "Event", "Refused", "Reply", "Sent", "StandIn", "Vendor"]

_log = logging.getLogger(__name__)


class Refused(Exception):
    """Raised for a request that the vendor would refuse; the client gets it in the vendor's form.

    `kind` and `code` are the vendor's own names; `param` is the place in the request.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code


@dataclass(frozen=True)
class Event:
    """One event of a stream: its name, None where the vendor gives none, and its data, sent as JSON."""

    name: str | None
    data: Any


DONE = Event(None, "[DONE]")
"""Ends the streams of vendors that end them so."""


class Reply(Protocol):
    """An answer in the vendor's form."""

    def events(self) -> AsyncGenerator[Event, None]:
        """The answer as a stream; asked for once."""
        ...

    def whole(self) -> dict[str, Any]:
        """The answer as one object, once the events are over."""
        ...


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """What makes a stand-in one of a vendor.

    `endpoints` maps a path to the function that makes a reply of a body, or at once an answer that is never streamed, or raises `Refused`. `admit` raises it for headers
    without a key. `error` gives the body of an error, `failure` the event that tells of one inside a stream. `request_id` is the header
    with the id of each answer. `base` is what `base_url` has behind the host.
    """

    endpoints: Mapping[str, Callable[[dict[str, Any], Responder], Reply | dict[str, Any]]]
    admit: Callable[[Headers], None]
    error: Callable[[Refused], dict[str, Any]]
    failure: Callable[[Refused], Event]
    request_id: str
    base: str = ""


@dataclass(frozen=True)
class Sent:
    """A request as it came. Headers, where the key is, are not kept."""

    path: str
    body: Any


class StandIn:
    """A vendor's service in this process: an ASGI app, on a socket of this machine with `served()`.

    `requests` holds everything it was sent, in order, refused or not.
    """

    def __init__(self, vendor: Vendor, responder: Responder | None = None) -> None:
        self.requests: list[Sent] = []
        self._vendor = vendor
        self._responder = responder or RuleResponder()
        routes = [Route(path, self._endpoint(path), methods=["POST"]) for path in vendor.endpoints]
        handlers: Any = {HTTPException: self._no_route}
        self._app = Starlette(routes=routes, exception_handlers=handlers)
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def served(self) -> Loopback:
        """Answers on a port of this machine, in a thread of its own: `with` or `async with` it for what a client takes as `base_url`."""
        return Loopback(self, self._vendor.base)

    def _endpoint(self, path: str) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            try:
                return await self._answer(path, request)
            except Refused as refusal:
                return self._refusal(refusal)
            except Exception:  # noqa: BLE001 - a responder's failure is an answer to the client
                _log.exception("the stand-in failed at %s", path)
                return self._refusal(_BROKEN)

        return answer

    async def _answer(self, path: str, request: Request) -> Response:
        self._vendor.admit(request.headers)
        try:
            body = json.loads(await request.body())
        except (ValueError, RecursionError):
            raise Refused("The body of the request is not valid JSON.") from None
        self.requests.append(Sent(path, body))
        if not isinstance(body, dict):
            raise Refused("The body of the request is not a JSON object.")
        reply = self._vendor.endpoints[path](body, self._responder)
        if isinstance(reply, dict):
            return JSONResponse(reply, headers=self._headers())
        if body.get("stream"):
            return StreamingResponse(self._frames(reply), media_type="text/event-stream", headers=self._headers())
        async for _ in reply.events():
            pass
        return JSONResponse(reply.whole(), headers=self._headers())

    async def _frames(self, reply: Reply) -> AsyncGenerator[bytes, None]:
        try:
            async for event in reply.events():
                yield _frame(event)
        except Refused as refusal:
            yield _frame(self._vendor.failure(refusal))
        except Exception:  # noqa: BLE001 - the status is sent: the client is told inside the stream
            _log.exception("a stream of the stand-in failed")
            yield _frame(self._vendor.failure(_BROKEN))

    def _headers(self) -> dict[str, str]:
        # Connections are closed after each answer: an idle one of an event loop that ended can be closed by nobody.
        return {"connection": "close", self._vendor.request_id: f"req_{new_call_id()}"}

    def _refusal(self, refusal: Refused) -> Response:
        # No attempt after it would get another answer, so the SDKs are told not to make one.
        headers = {**self._headers(), "x-should-retry": "false"}
        return JSONResponse(self._vendor.error(refusal), status_code=refusal.status, headers=headers)

    async def _no_route(self, request: Request, error: Exception) -> Response:
        paths = ", ".join(f"POST {path}" for path in self._vendor.endpoints)
        message = f"The stand-in answers {paths}, not {request.method} {request.url.path}."
        return self._refusal(Refused(message, status=404, kind="not_found_error"))


_BROKEN = Refused("The stand-in failed; its log says why.", status=500, kind="api_error")


def _frame(event: Event) -> bytes:
    head = "" if event.name is None else f"event: {event.name}\n"
    data = event.data if isinstance(event.data, str) else json.dumps(event.data)
    return f"{head}data: {data}\n\n".encode()
