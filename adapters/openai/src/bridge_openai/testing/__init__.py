"""A stand-in for OpenAI's Responses and Chat Completions APIs, for tests, notebooks and demos without a key.

`stand_in()` gives an ASGI app that answers `/v1/responses` and `/v1/chat/completions`, whole and streamed, by the embedded service's
responder; as strict as the APIs where that is documented. What the two have in common is in `checks`, each has a module of its own, and
how an item of the Responses API is streamed is in `items`.
"""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers

from bridge.backends.local import Responder
from bridge.backends.local.stand_ins import Event, Refused, StandIn, Vendor

from .chat import Completion
from .kept import Kept
from .responses import Response

__all__ = ["stand_in"]


def stand_in(responder: Responder | None = None) -> StandIn:
    """A service that speaks as OpenAI's does.

    Args:
        responder: who decides what it says; by default the `RuleResponder` of the embedded service. One that is given answers every
            request, whichever client sends it.

    Use it as an ASGI app, or on a port of this machine: `with stand_in().served() as url: ChatOpenAI(base_url=url, ...)`. Any key will do.
    Its answers name the model as `local-` + the name asked for. It runs none of the vendor's own tools and refuses them by name. Responses
    are kept for `previous_response_id` as long as the stand-in is, unless `store` is false.
    """
    kept = Kept()
    return StandIn(
        Vendor(
            endpoints={
                "/v1/responses": lambda body, by: Response(body, kept, by),
                "/v1/chat/completions": Completion,
            },
            admit=_admit,
            error=_error,
            failure=_failure,
            request_id="x-request-id",
            base="/v1",
        ),
        responder,
    )


def _admit(headers: Headers) -> None:
    if not headers.get("authorization", "").removeprefix("Bearer").strip():
        message = "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth."
        raise Refused(message, status=401)


def _error(refusal: Refused) -> dict[str, Any]:
    kind = {"api_error": "server_error"}.get(refusal.kind, refusal.kind)
    return {"error": {"message": refusal.message, "type": kind, "param": refusal.param, "code": refusal.code}}


def _failure(refusal: Refused) -> Event:
    return Event("error", _error(refusal))
