"""Answers as ours: JSON bodies, and errors of both formats that the service uses.

Pure functions over status, headers and bytes. Streams of events are `sse`'s business.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from bridge.errors import ApiError, InvalidResponse, api_error
from bridge.interactions import Model
from bridge.interactions._open import reason_of

from .settings import Settings

__all__ = ["decoded", "error_of", "is_json", "parsed", "refused", "said_by"]

M = TypeVar("M", bound=Model)

_REQUEST_IDS = ("x-request-id", "x-goog-request-id", "x-cloud-trace-context")
_SNIPPET = 200  # characters of a body that is no JSON


def is_json(headers: Mapping[str, str]) -> bool:
    """Whether an answer says that it is JSON."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def refused(status: int, headers: Mapping[str, str], body: bytes, settings: Settings) -> ApiError | InvalidResponse:
    """The error of an answer that is not 200."""
    if status >= 400:
        return error_of(status, headers, body, settings)
    if status >= 300:
        return InvalidResponse(
            f"the service answered {status}, a redirect; set base_url to where it redirects to, if you trust that place"
        )
    return InvalidResponse(f"the service answered {status} where the Interactions API answers 200")


def error_of(status: int, headers: Mapping[str, str], body: bytes, settings: Settings) -> ApiError:
    """The error of an answer of 400 or more, of either format, as a list or not, and of other bodies as well."""
    text = settings.redact(body.decode("utf-8", "replace"))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    code, message = said_by(value)
    if not message:
        message = " ".join(text.split())[:_SNIPPET] or "the answer says no more"
    request_id = next((headers[name] for name in _REQUEST_IDS if name in headers), None)
    return api_error(
        message,
        status=status,
        code=code,
        request_id=settings.redact(request_id) if request_id else None,
        body=text if value is None else value,
        retry_after=_retry_after(headers),
    )


def said_by(value: Any) -> tuple[str, str]:
    """Code and message of a decoded error body, empty where it is none.

    Forms: {"error": {"code": "not_found", "message": ...}}, {"error": {"code": 404, "status": "NOT_FOUND", "message": ...}}, and
    a list with one of these.
    """
    if isinstance(value, list) and value:
        value = value[0]
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, str):
        return "", error
    if not isinstance(error, dict):
        return "", ""
    code, status, message = error.get("code"), error.get("status"), error.get("message")
    if not isinstance(code, str):
        code = status.lower() if isinstance(status, str) else ""
    return code, message if isinstance(message, str) else ""


def decoded(headers: Mapping[str, str], body: bytes, settings: Settings) -> Any:
    """The JSON value of an answer of 200. Raises `InvalidResponse` where it is not JSON."""
    content_type = headers.get("content-type")
    if content_type is not None and not is_json(headers):
        raise InvalidResponse(f"the service answered {content_type!r} where the Interactions API answers JSON")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        snippet = " ".join(settings.redact(body[: _SNIPPET * 4].decode("utf-8", "replace")).split())[:_SNIPPET]
    # Not in the handler: the error of `json` holds the whole body, with whatever secret it tells.
    raise InvalidResponse(f"the service's answer is not JSON: {snippet!r}")


def parsed(kind: type[M], value: Any) -> M:
    """A model of a decoded answer. Raises `InvalidResponse` where it is none."""
    try:
        return kind.parse(value)
    except ValidationError as error:
        reason = reason_of(error)
    raise InvalidResponse(f"the service's answer is no {kind.__name__}: {reason}")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds the service asked to wait, from either header; a date is one of them."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        try:
            seconds = float(value)
        except ValueError:
            from email.utils import parsedate_to_datetime

            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        return max(0.0, seconds)
    except ValueError:
        return None
