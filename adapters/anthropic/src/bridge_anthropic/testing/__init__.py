"""A stand-in for Anthropic's Messages API, for tests, notebooks and demos without a key.

`stand_in()` gives an ASGI app that answers `/v1/messages`, whole and streamed, by the embedded service's responder; as strict as the API
where that is documented. What a request means is in `reading`, what is answered in `telling`.
"""

from __future__ import annotations

from starlette.datastructures import Headers

from bridge.backends.local import Responder
from bridge.backends.local.stand_ins import Refused, StandIn, Vendor

from .reading import read
from .telling import Message, counted, error_of, failure_of

__all__ = ["stand_in"]


def stand_in(responder: Responder | None = None) -> StandIn:
    """A service that speaks as Anthropic's does.

    Args:
        responder: who decides what it says; by default the `RuleResponder` of the embedded service. One that is given answers every
            request, whichever client sends it.

    Use it as an ASGI app, or on a port of this machine: `with stand_in().served() as url: ChatAnthropic(base_url=url, ...)`. Any key will do.
    Its answers name the model as `local-` + the name asked for. It runs none of the vendor's own tools and refuses them by name.
    """
    return StandIn(
        Vendor(
            endpoints={
                "/v1/messages": lambda body, by: Message(read(body), by),
                "/v1/messages/count_tokens": lambda body, by: counted(read({"max_tokens": 1, **body}), by),
            },
            admit=_admit,
            error=error_of,
            failure=failure_of,
            request_id="request-id",
        ),
        responder,
    )


def _admit(headers: Headers) -> None:
    if not headers.get("x-api-key") and not headers.get("authorization"):
        raise Refused("x-api-key header is required", status=401, kind="authentication_error")
    if not headers.get("anthropic-version"):
        raise Refused("anthropic-version: header is required")
