"""Who calls: the owner of what a call starts, and the plainest way of signing in. That a request carries a valid token the SDK checks."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken, principal_components
from mcp.server.auth.settings import AuthSettings

from bridge.errors import InvalidRequest

__all__ = ["LOCAL", "AtOnce", "SharedToken", "owner_of"]

# The caller where nobody signs in: whoever may start this process or reach it on this machine.
LOCAL = "local"
_SHORTEST = 16


def owner_of(request: Any) -> str:
    """Who makes a request, as a short name of their own: of the token's client, issuer and subject, never of a header.

    `request` is the transport's, None where there is none.
    """
    user = request.scope.get("user") if request is not None else None
    if not isinstance(user, AuthenticatedUser):
        return LOCAL
    principal = json.dumps(principal_components(user.access_token))
    return hashlib.sha256(principal.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class AtOnce:
    """What each caller may have at once of something that lasts, in this process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    @contextmanager
    def one(self, owner: str, refusal: Exception) -> Iterator[None]:
        """One more for as long as the block runs. Raises `refusal` where the caller has as many as there may be."""
        if self._taken[owner] >= self._most:
            raise refusal
        self._taken[owner] += 1
        try:
            yield
        finally:
            self._taken[owner] -= 1
            self._taken = +self._taken  # nobody is remembered who has none


class SharedToken:
    """A `TokenVerifier` for a server of one caller: whoever brings this token. Raises `InvalidRequest` for a token that can be guessed."""

    def __init__(self, token: str) -> None:
        if len(token) < _SHORTEST:
            raise InvalidRequest(
                f"the token has {len(token)} characters; take {_SHORTEST} random ones at least", "token"
            )
        self._token = token.encode("utf-8", "surrogatepass")

    async def verify_token(self, token: str) -> AccessToken | None:
        """Who brings the token; None for another one."""
        if not hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self._token):
            return None
        return AccessToken(token=token, client_id="shared", scopes=[])

    def auth(self, url: str) -> AuthSettings:
        """The settings that go with it, for a server at `url`."""
        return AuthSettings.model_validate({"issuer_url": url, "resource_server_url": None})
