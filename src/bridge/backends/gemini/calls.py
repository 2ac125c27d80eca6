"""Requests as the API wants them: method, path, query and JSON body of every call, as pure functions.

What leaves equals what the official SDK sends for the same call; the tests compare the two on the wire. Sending is `backend`'s
business, reading the answers that of `answers`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from bridge.errors import InvalidRequest
from bridge.interactions import CreateInteraction, CreateModelInteraction, Interaction
from bridge.interactions.steps import STEP

if TYPE_CHECKING:
    from bridge.interactions import Agent

__all__ = [
    "Call",
    "agent_body",
    "bare_environment",
    "content_of",
    "continuation_body",
    "create_body",
    "create_call",
    "file_path",
    "resource_call",
    "upload_start",
    "upload_step",
    "watch_call",
]

_JSON = "application/json"
_EVENTS = "text/event-stream"
_Query = Mapping[str, str | int | bool | None]


class Call(NamedTuple):
    """One request. `path` is below the versioned base URL and begins with "/"; with a query it goes on after "?"."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    accept: str = _JSON
    repeatable: bool = True
    """Sending it twice does what sending it once does."""
    id: str = ""
    """The interaction it is about."""
    url: str = ""
    """Where it goes in full, in place of `path`."""
    headers: Mapping[str, str] = MappingProxyType({})
    """What it carries beside the usual ones."""
    content: bytes | None = None
    """Bytes in place of a JSON body."""


def create_call(body: dict[str, Any]) -> Call:
    """POST /interactions."""
    return Call("POST", "/interactions", body, _EVENTS if body.get("stream") else _JSON, repeatable=False)


def watch_call(id: str, after: str | None) -> Call:
    """GET /interactions/{id} as a stream of events, from the start or from after an event."""
    query = _query({"last_event_id": after, "stream": True})
    return Call("GET", f"/interactions/{_segment(id, 'id')}{query}", accept=_EVENTS, id=id)


def resource_call(
    method: str,
    collection: str,
    id: str | None = None,
    suffix: str = "",
    *,
    body: dict[str, Any] | None = None,
    query: _Query | None = None,
) -> Call:
    """A call on a collection ("agents") or on one of its members. A POST with a body makes something new, so it is not repeatable."""
    path = f"/{collection}" if id is None else f"/{collection}/{_segment(id, 'id')}"
    return Call(
        method,
        f"{path}{suffix}{_query(query or {})}",
        body,
        repeatable=body is None,
        id=id or "" if collection == "interactions" else "",
    )


def upload_start(root: str, version: str, environment_id: str, path: str, size: int, *, overwrite: bool) -> Call:
    """The first step of an upload: its answer's x-goog-upload-url says where the bytes go."""
    where = f"/environments/{_segment(bare_environment(environment_id), 'environment_id')}/files/{file_path(path)}"
    headers = {
        "x-goog-upload-protocol": "resumable",
        "x-goog-upload-command": "start",
        "x-goog-upload-header-content-length": str(size),
        "x-goog-upload-header-content-type": "application/octet-stream",
    }
    return Call("PUT", "", url=f"{root}/upload/{version}{where}{_query({'overwrite': overwrite})}", headers=headers)


def upload_step(root: str, upload_url: str, data: bytes, offset: int, *, last: bool) -> Call:
    """One piece of the bytes. They go to the host that the backend talks to, whatever host the answer named."""
    there, here = urlsplit(upload_url), urlsplit(root)
    headers = {
        "x-goog-upload-command": "upload, finalize" if last else "upload",
        "x-goog-upload-offset": str(offset),
    }
    url = urlunsplit((here.scheme, here.netloc, there.path, there.query, ""))
    return Call("POST", "", repeatable=False, url=url, headers=headers, content=data)


def bare_environment(id: str) -> str:
    """An environment's id without the collection that some answers put before it."""
    return id.removeprefix("environments/")


def file_path(path: str) -> str:
    """A file's path for a URL. Raises `InvalidRequest` where it would lead out of the environment."""
    parts = path.strip("/").split("/") if path.strip("/") else []
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidRequest(
            f"path {path!r} has an empty part, '.' or '..'; give it as seen from the environment's root", "path"
        )
    return "/".join(_quoted(part, "path") for part in parts)


def content_of(call: Call) -> bytes | None:
    """The bytes a call sends. Raises `InvalidRequest` where JSON cannot hold its body."""
    body = call.body
    if body is None:
        return call.content
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"the request cannot be written as JSON: {error}") from None
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which only the escaped form can carry
        return json.dumps(body, separators=(",", ":")).encode()


def create_body(request: CreateInteraction, *, stream: bool) -> dict[str, Any]:
    """The body of a create. Raises `InvalidRequest` where a request for a stream is not used as one."""
    body = {name: value for name, value in request.to_wire().items() if value is not None}
    if stream:
        body["stream"] = True
    elif body.get("stream"):
        raise InvalidRequest("stream=True goes with stream(...); create(...) waits for the whole answer", "stream")
    items = body.get("input")
    if isinstance(items, list) and items and all(map(_is_content, items)):
        body["input"] = [{"type": "user_input", "content": [_typed(item) for item in items]}]
    return _with_int64(body)


def agent_body(agent: Agent) -> dict[str, Any]:
    """The body that creates an agent."""
    return _with_int64({name: value for name, value in agent.to_wire().items() if value is not None})


def continuation_body(request: CreateInteraction, body: dict[str, Any], hop: Interaction) -> dict[str, Any] | None:
    """The body of the next hop of a turn that stopped at the server's limit for one request, None where there is none to make.

    Runs in the background and agents are continued by the server itself. A hop that hands back the token it was started with
    makes no progress.
    """
    token = hop.continuation_token
    if (
        hop.status != "requires_continuation"
        or not token
        or token == body.get("continuation_token")
        or not isinstance(request, CreateModelInteraction)
        or request.background
    ):
        return None
    following = {**body, "continuation_token": token}
    if body.get("store") is not False and hop.id:  # the server knows the input
        following["previous_interaction_id"] = hop.id
        following.pop("input", None)
    return following


def _is_content(item: Any) -> bool:
    return (
        isinstance(item, dict) and "role" not in item and "content" not in item and item.get("type") not in STEP.kinds
    )


def _typed(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "type": "text"} if "text" in content and "type" not in content else content


def _with_int64(body: dict[str, Any]) -> dict[str, Any]:
    """64-bit integers travel as text."""
    config = body.get("agent_config")
    if isinstance(config, dict) and type(config.get("max_total_tokens")) is int:
        return {**body, "agent_config": {**config, "max_total_tokens": str(config["max_total_tokens"])}}
    return body


def _query(fields: _Query) -> str:
    given = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in fields.items()
        if value is not None
    }
    return f"?{urlencode(given)}" if given else ""


def _segment(value: str, field: str) -> str:
    if not value or value in (".", ".."):
        raise InvalidRequest(f"{field} {value!r} names nothing", field)
    return _quoted(value, field)


def _quoted(value: str, field: str) -> str:
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise InvalidRequest(f"{field} {value!r} is not text that a URL can carry", field) from None
