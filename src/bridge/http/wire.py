"""How requests are read and answers written: JSON, errors in the API's form, queries, pages, events.

Pure functions but for reading a body. Which path does what is `app`'s business.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from bridge.errors import (
    ApiError,
    BridgeError,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidRequest,
    NotConfigured,
    OutcomeUnknown,
    UnsupportedCapability,
    api_error,
)
from bridge.interactions import Event

__all__ = [
    "DONE",
    "answer",
    "error_facts",
    "error_response",
    "flag",
    "frame",
    "json_body",
    "page",
    "read_body",
    "refused",
]

DONE = b"event: done\ndata: [DONE]\n\n"
_T = TypeVar("_T")
_DEFAULT_PAGE = 50
_MAX_PAGE = 1000


def answer(value: Any, headers: dict[str, str] | None = None) -> Response:
    """A 200 with a JSON body. Written in ASCII: what a client sent may hold text that UTF-8 has no form for."""
    return Response(_dump(value), media_type="application/json", headers=headers)


def frame(event: Event) -> bytes:
    """An event as the server-sent event it travels as."""
    wire = event.to_wire()
    return f"event: {wire.get('event_type', '')}\ndata: {_dump(wire)}\n\n".encode()


def error_facts(error: BridgeError) -> tuple[int, str, str]:
    """The HTTP status, the API's code and the message of an error."""
    match error:
        case ApiError():
            return error.status, error.code or "api_error", error.message
        case InvalidRequest():
            return 400, "invalid_request", str(error)
        case UnsupportedCapability():
            return 501, "unimplemented", str(error)
        case DeadlineExceeded():
            return 504, "deadline_exceeded", str(error)
        case ConnectionFailed() | NotConfigured() | OutcomeUnknown():
            return 503, "service_unavailable", str(error)
        case _:
            return 500, "api_error", str(error)


def error_response(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error in the API's form."""
    body = _dump({"error": {"code": code, "message": message}})
    return Response(body, status_code=status, media_type="application/json", headers=headers)


def refused(message: str, *, status: int = 400, code: str = "invalid_request") -> NoReturn:
    """Raises the error that becomes such an answer."""
    raise api_error(message, status=status, code=code)


async def read_body(request: Request, limit: int) -> bytes:
    """A request's body. Raises an `ApiError` of status 413 beyond `limit` bytes, before the rest is read."""
    announced = request.headers.get("content-length", "")
    size = int(announced) if announced.isascii() and announced.isdigit() else 0
    parts: list[bytes] = []
    if size <= limit:
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > limit:
                break
            parts.append(part)
    if size > limit:
        refused(f"The request is too large: at most {limit} bytes.", status=413)
    return b"".join(parts)


async def json_body(request: Request, limit: int) -> dict[str, Any]:
    """A request's JSON object; empty where there is no body. Raises an `ApiError` of status 400 for anything else."""
    body = await read_body(request, limit)
    if not body.strip():
        return {}
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        place = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        refused(f"The request's body is not valid JSON{place}.")
    if not isinstance(value, dict):
        refused("The request's body must be a JSON object.")
    return value


def flag(request: Request, name: str) -> bool | None:
    """A query parameter that is true or false; None where it is absent."""
    text = request.query_params.get(name)
    if text is None or text == "":
        return None
    if text.lower() not in ("true", "false", "1", "0"):
        refused(f"The value {text[:80]!r} is not supported for {name!r}. Supported values: true, false.")
    return text.lower() in ("true", "1")


def page(request: Request, items: Iterable[_T], key: Callable[[_T], Any]) -> tuple[list[_T], dict[str, str]]:
    """One page of things, by `page_size` and `page_token`, and the token of the next where there is one.

    A token names the last thing given by its key, so that a page neither skips nor repeats what others add or delete between.
    """
    text = request.query_params.get("page_size") or request.query_params.get("pageSize")
    if text is not None and not (text.isascii() and text.isdigit() and 0 < len(text) < 10):
        refused(f"The value {text[:80]!r} is not supported for 'page_size': it takes a number up to {_MAX_PAGE}.")
    size = min(int(text or 0) or _DEFAULT_PAGE, _MAX_PAGE)
    after = request.query_params.get("page_token") or request.query_params.get("pageToken")
    ordered = sorted(items, key=key)
    if after:
        last = _read_token(after)
        ordered = [item for item in ordered if _plain(key(item)) > last]
    if len(ordered) <= size:
        return ordered, {}
    return ordered[:size], {"next_page_token": _token(key(ordered[size - 1]))}


def _token(key: Any) -> str:
    return base64.urlsafe_b64encode(_dump(_plain(key)).encode()).decode().rstrip("=")


def _read_token(token: str) -> list[Any]:
    try:
        last = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, binascii.Error):
        last = None
    if not (isinstance(last, list) and len(last) == 2 and isinstance(last[0], bool) and isinstance(last[1], str)):
        refused(f"The value {token[:80]!r} is not supported for 'page_token': it was not issued here.")
    return last


def _plain(key: tuple[bool, str]) -> list[Any]:
    return list(key)


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
