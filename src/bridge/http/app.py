"""The routes of the API, under any version segment, and the door in front of them: key, size, errors.

Every answer is a 200 with JSON or an error in the API's form; no failure shows its inside.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.backend import Backend, Webhooks, webhooks_of
from bridge.errors import ApiError, BridgeError

from .sse import event_response
from .uploads import Uploads
from .wire import answer, error_facts, error_response, flag, json_body, page, refused

__all__ = ["create_app"]

_log = logging.getLogger(__name__)
_Endpoint = Callable[[Request], Awaitable[Response]]
# Where receivers of webhooks find the key; open to all, as on the real service.
_JWKS = "/.well-known/jwks.json"
# The version may be anything; the second form is the one of Vertex.
_PREFIXES = ("/{version}/projects/{project}/locations/{location}", "/{version}")


def create_app(
    backend: Backend,
    *,
    api_key: str | None = None,
    max_body: int = 24 * 1024**2,
    max_upload: int = 64 * 1024**2,
) -> ASGIApp:
    """An ASGI app that serves a backend as the Interactions API.

    Args:
        backend: who does the work. The app does not close it.
        api_key: the key every request must carry (`x-goog-api-key`, `?key=`, or as a bearer token); None for no key.
        max_body: the most bytes of a JSON body; beyond it the answer is 413.
        max_upload: the most bytes of an uploaded file.

    Lists are put in order here and cut into pages, so that any backend's lists page alike.
    """
    api = _Api(backend, max_body, Uploads(backend, max_upload))
    routes: list[BaseRoute] = [route for prefix in _PREFIXES for route in _routes(prefix, api)]
    routes.append(_route(_JWKS, GET=api.jwks))
    app = Starlette(routes=routes, exception_handlers={HTTPException: _no_route})
    app.router.redirect_slashes = False
    return _Door(app, api_key)


class _Door:
    """Checks the key before anything else is looked at; where there is none, keeps pages of other sites out."""

    def __init__(self, app: ASGIApp, key: str | None) -> None:
        self._app = app
        self._key = None if key is None else key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            if self._key is not None and scope["path"] != _JWKS and not self._admitted(request):
                refusal = error_response(401, "authentication", "The API key is missing or not valid.")
                await refusal(scope, receive, send)
                return
            if self._key is None and not _is_local(request.headers.get("origin")):
                message = "Without a key, requests from pages of other sites are refused: serve with a key."
                await error_response(403, "permission_denied", message)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _admitted(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = (
            request.headers.get("x-goog-api-key"),
            request.query_params.get("key"),
            token.strip() if scheme.lower() == "bearer" else None,
        )
        # Every candidate is compared, each in constant time.
        matches = [hmac.compare_digest(key.encode("utf-8", "replace"), self._key or b"") for key in given if key]
        return any(matches)


def _is_local(origin: str | None) -> bool:
    """Whether a request comes from no page, or from one of this machine: any site a browser shows could reach a loopback port."""
    if origin is None:
        return True
    try:
        host = urlsplit(origin).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class _Api:
    """What each route does."""

    def __init__(self, backend: Backend, max_body: int, uploads: Uploads) -> None:
        self._backend = backend
        self._max_body = max_body
        self._uploads = uploads

    async def create(self, request: Request) -> Response:
        body = await json_body(request, self._max_body)
        if body.get("stream") is True:
            return await event_response(self._backend.stream(**body))
        return answer((await self._backend.create(**body)).to_wire())

    async def get(self, request: Request) -> Response:
        asked = request.path_params["id"]
        if flag(request, "stream"):
            after = request.query_params.get("last_event_id") or None
            return await event_response(self._backend.watch(asked, after=after))
        include_input = bool(flag(request, "include_input"))
        return answer((await self._backend.get(asked, include_input=include_input)).to_wire())

    async def cancel(self, request: Request) -> Response:
        return answer((await self._backend.cancel(request.path_params["id"])).to_wire())

    async def delete(self, request: Request) -> Response:
        await self._backend.delete(request.path_params["id"])
        return answer({})

    async def create_agent(self, request: Request) -> Response:
        return answer((await self._backend.agents.create(**await json_body(request, self._max_body))).to_wire())

    async def list_agents(self, request: Request) -> Response:
        agents = [agent async for agent in self._backend.agents.list()]
        found, token = page(request, agents, lambda agent: (False, agent.id))
        return answer({"agents": [agent.to_wire() for agent in found], **token})

    async def get_agent(self, request: Request) -> Response:
        return answer((await self._backend.agents.get(request.path_params["id"])).to_wire())

    async def delete_agent(self, request: Request) -> Response:
        await self._backend.agents.delete(request.path_params["id"])
        return answer({})

    async def create_environment(self, request: Request) -> Response:
        return answer((await self._backend.environments.create(**await json_body(request, self._max_body))).to_wire())

    async def list_environments(self, request: Request) -> Response:
        environments = [environment async for environment in self._backend.environments.list()]
        found, token = page(request, environments, lambda environment: (False, environment.id or ""))
        return answer({"environments": [environment.to_wire() for environment in found], **token})

    async def get_environment(self, request: Request) -> Response:
        return answer((await self._backend.environments.get(request.path_params["id"])).to_wire())

    async def delete_environment(self, request: Request) -> Response:
        await self._backend.environments.delete(request.path_params["id"])
        return answer({})

    async def create_webhook(self, request: Request) -> Response:
        return answer((await self._webhooks.create(**await json_body(request, self._max_body))).to_wire())

    async def list_webhooks(self, request: Request) -> Response:
        webhooks = [webhook async for webhook in self._webhooks.list()]
        found, token = page(request, webhooks, lambda webhook: (False, webhook.id))
        return answer({"webhooks": [webhook.to_wire() for webhook in found], **token})

    async def get_webhook(self, request: Request) -> Response:
        return answer((await self._webhooks.get(request.path_params["id"])).to_wire())

    async def update_webhook(self, request: Request) -> Response:
        fields = await json_body(request, self._max_body)
        _check_known(fields, "name", "uri", "subscribed_events", "state")
        mask = request.query_params.get("update_mask") or None
        return answer((await self._webhooks.update(request.path_params["id"], update_mask=mask, **fields)).to_wire())

    async def delete_webhook(self, request: Request) -> Response:
        await self._webhooks.delete(request.path_params["id"])
        return answer({})

    async def ping_webhook(self, request: Request) -> Response:
        await self._webhooks.ping(request.path_params["id"])
        return answer({})

    async def rotate_webhook(self, request: Request) -> Response:
        fields = await json_body(request, self._max_body)
        _check_known(fields, "revocation_behavior")
        secret = await self._webhooks.rotate_signing_secret(request.path_params["id"], **fields)
        return answer({"secret": secret})

    async def jwks(self, request: Request) -> Response:
        keys = getattr(self._webhooks, "jwks", None)
        if keys is None:  # the signatures are another service's
            refused("This service signs no webhooks itself.", status=404, code="not_found")
        return answer(await keys())

    @property
    def _webhooks(self) -> Webhooks:
        return webhooks_of(self._backend)

    async def files(self, request: Request) -> Response:
        environment, path = request.path_params["id"], request.path_params.get("path", "")
        if request.query_params.get("alt") == "media":
            data = await self._backend.files.read(environment, path)
            headers = {"content-disposition": "attachment", "x-content-type-options": "nosniff"}
            return Response(data, media_type="application/octet-stream", headers=headers)
        recursive = bool(flag(request, "recursive"))
        listed = [file async for file in self._backend.files.list(environment, path, recursive=recursive)]
        found, token = page(
            request, listed, lambda file: (not (file.path or "").startswith("workspace/"), file.path or "")
        )
        return answer({"files": [file.to_wire() for file in found], **token})

    async def upload(self, request: Request) -> Response:
        if "upload_id" in request.query_params:
            size, file = await self._uploads.take(request)
            if file is None:
                headers = {"x-goog-upload-status": "active", "x-goog-upload-size-received": str(size)}
                return answer({}, headers)
            return answer({"file": file.to_wire()}, {"x-goog-upload-status": "final"})
        upload = await self._uploads.start(request)
        url = request.url.replace(path=quote(request.scope["path"]), query=f"upload_id={upload}")
        return answer({}, {"x-goog-upload-url": str(url), "x-goog-upload-status": "active"})


def _check_known(fields: dict[str, Any], *known: str) -> None:
    for name in fields:
        if name not in known:
            refused(f"Unknown parameter: {name[:80]!r}.", code="parameter_unknown")


def _routes(prefix: str, api: _Api) -> list[Route]:
    routes = [
        _route(f"{prefix}/interactions", POST=api.create),
        _route(f"{prefix}/interactions/{{id}}", GET=api.get, DELETE=api.delete),
        _route(f"{prefix}/interactions/{{id}}/cancel", POST=api.cancel),
        _route(f"{prefix}/agents", GET=api.list_agents, POST=api.create_agent),
        _route(f"{prefix}/environments", GET=api.list_environments, POST=api.create_environment),
        _route(f"{prefix}/webhooks", GET=api.list_webhooks, POST=api.create_webhook),
        _route(f"{prefix}/webhooks/{{id}}:ping", POST=api.ping_webhook),
        _route(f"{prefix}/webhooks/{{id}}:rotateSigningSecret", POST=api.rotate_webhook),
        _route(f"{prefix}/environments/{{id}}/files", GET=api.files),
        _route(f"{prefix}/environments/{{id}}/files/{{path:path}}", GET=api.files),
        _route(f"/upload{prefix}/environments/{{environment}}/files/{{path:path}}", PUT=api.upload, POST=api.upload),
    ]
    # The official SDK puts a full name ("agents/x") behind the collection as it is.
    for name, methods in (
        ("agents", {"GET": api.get_agent, "DELETE": api.delete_agent}),
        ("environments", {"GET": api.get_environment, "DELETE": api.delete_environment}),
        ("webhooks", {"GET": api.get_webhook, "PATCH": api.update_webhook, "DELETE": api.delete_webhook}),
    ):
        routes += [_route(f"{prefix}/{name}{again}/{{id}}", **methods) for again in ("", f"/{name}")]
    return routes


def _route(path: str, **by_method: _Endpoint) -> Route:
    """One path with what each of its methods does."""

    async def handle(request: Request) -> Response:
        try:
            return await by_method["GET" if request.method == "HEAD" else request.method](request)
        except BridgeError as error:
            status, code, message = error_facts(error)
            if status >= 500:
                _log.info("%s %s: %s", request.method, request.url.path, error)
            retry = getattr(error, "retry_after", None) if isinstance(error, ApiError) else None
            return error_response(status, code, message, {"retry-after": f"{retry:g}"} if retry is not None else None)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except Exception:  # noqa: BLE001 - the client gets an answer, the log what happened
            _log.exception("%s %s failed", request.method, request.url.path)
            return error_response(500, "api_error", "Internal error.")

    return Route(path, handle, methods=list(by_method))


async def _no_route(request: Request, error: Exception) -> Response:
    """The API's own form for a path that is none and a method it does not take."""
    if isinstance(error, HTTPException) and error.status_code == 405:
        message = f"The method {request.method} is not allowed here."
        return error_response(405, "invalid_request", message, dict(error.headers or {}))
    return error_response(404, "not_found", f"There is nothing at {request.url.path[:200]!r}.")
