"""Whether a webhook's delivery is genuine, for both kinds the API has: HMACs of registered webhooks, JWTs of a request's own.

It looks at headers and bytes, knows no web framework and no store, and fetches nothing but keys. That a delivery came before (by its
`id`), and what follows from it, is left to the caller. Sources: Interactions API guide, "Webhooks"; Standard Webhooks 1.0; RFC 7515,
7517, 7519.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from bridge._http import AsyncTransport
from bridge.errors import BridgeError, ConnectionFailed, InvalidResponse, NotConfigured, WebhookRefused

__all__ = ["Delivery", "WebhookVerifier"]

WINDOW = 300  # seconds a delivery may be older, or of the future
KEYS_LAST = 3600.0  # seconds after which fetched keys are fetched again
FETCH_EVERY = 60.0  # seconds between two fetches, whatever asks for them
FETCH_WITHIN = 10.0  # seconds
MOST_KEYS = 256 * 1024  # bytes of a JWKS
LONGEST = {"webhook-id": 256, "webhook-timestamp": 16, "webhook-signature": 8192}  # characters of the headers
_LEAST_BITS, _MOST_BITS = 2048, 8192  # of an RSA key
_PREFIX = "whsec_"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A genuine delivery.

    `id` is the same for every attempt; `timestamp` is when this attempt was signed, in seconds since 1970. `interaction_id` is None
    where it tells of no interaction (a ping, a batch). `body` is the whole of it, and may hold what a stranger wrote as
    `user_metadata` or an error's text.
    """

    id: str
    type: str
    timestamp: int
    interaction_id: str | None = None
    user_metadata: Mapping[str, Any] | None = None
    body: Mapping[str, Any] = field(default_factory=dict)


class WebhookVerifier:
    """Tells genuine deliveries from others.

    Args:
        secret: the signing secret of a registered webhook (`whsec_...`), or several while they are rotated.
        jwks: the keys of deliveries to a request's own `webhook_config.uris`: where they are fetched (https, or http on this
            machine), or themselves. Google's are at https://generativelanguage.googleapis.com/.well-known/jwks.json.
        audience: whom these are meant for; with `jwks` it must be given. The embedded service puts the address.
        issuer: who must have made them, where that is to be checked.
        clock: seconds since 1970.

    A registered webhook's signature covers the whole delivery. **A JWT covers itself alone**: it says that the service addressed
    something to this audience in these minutes, and not what, because the API defines no claim that binds the body. Whoever sees such a
    token can put another body and id beside it while it is valid. Take what a delivery says for a hint, and `get()` for the truth.

    Keys are fetched when first needed, once for all who wait, again after an hour, and at most once a minute where a `kid` is unknown. A
    verifier serves one event loop at a time.
    Raises `NotConfigured` where neither kind can be verified, or a secret or address is none.
    """

    def __init__(
        self,
        secret: str | Sequence[str] | None = None,
        jwks: str | Mapping[str, Any] | None = None,
        audience: str | None = None,
        *,
        issuer: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secrets = [_key_of(one) for one in ([secret] if isinstance(secret, str) else secret or ())]
        if not self._secrets and jwks is None:
            raise NotConfigured(
                "nothing says whose webhooks to trust: give secret= (registered webhooks), jwks= and audience= (a request's own), or both"
            )
        if jwks is not None and not audience:
            raise NotConfigured("jwks= needs audience=: without it, tokens meant for others would be taken too")
        self._audience = audience
        self._issuer = issuer
        self._clock = clock
        self._keys = _Keys(jwks, clock) if jwks is not None else None

    async def verify(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """The delivery, where it is genuine and fresh.

        `headers` in any case of letters, `body` as it came. Raises `WebhookRefused` where it is not, and `ConnectionFailed` where the
        keys are not to be had: then answer 503, and it comes again.
        """
        given = _given(headers)
        name, stamp, signature = (given[name] for name in LONGEST)
        if not (stamp.isdigit() and abs(self._clock() - int(stamp)) <= WINDOW):
            raise WebhookRefused(f"its webhook-timestamp is not within {WINDOW} seconds of now")
        if signature.count(".") == 2 and "," not in signature:
            await self._check_token(signature)
        else:
            self._check_hmac(f"{name}.{stamp}.".encode() + body, signature)
        return _delivery(name, int(stamp), body)

    def _check_hmac(self, signed: bytes, signature: str) -> None:
        if not self._secrets:
            raise WebhookRefused("it is signed as a registered webhook's, and no secret is configured")
        # As text, because several texts decode to the same bytes.
        expected = [b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256")) for key in self._secrets]
        candidates = [candidate.encode() for candidate in signature.split(" ")]
        if not any(hmac.compare_digest(one, other) for one in expected for other in candidates):
            raise WebhookRefused("no signature of it was made with a secret that is configured")

    async def _check_token(self, token: str) -> None:
        import jwt

        if self._keys is None:
            raise WebhookRefused("it is signed as a request's own webhook, and no jwks is configured")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise WebhookRefused("its signature is no token") from None
        kid = header.get("kid")
        if header.get("alg") != "RS256" or not isinstance(kid, str):
            raise WebhookRefused("its token is not signed by RS256 under a key's id")
        key = await self._keys.find(kid)
        if key is None:
            raise WebhookRefused("its token is signed under a key that is not known")
        claims = _claims(token, key)
        now = self._clock()
        if not _is_time(claims.get("exp")) or claims["exp"] <= now:
            raise WebhookRefused("its token has expired, or says no end")
        if any(not _is_time(claims[name]) or claims[name] > now + WINDOW for name in ("nbf", "iat") if name in claims):
            raise WebhookRefused("its token is of the future")
        audience = claims.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise WebhookRefused("its token is meant for another audience")
        if self._issuer is not None and claims.get("iss") != self._issuer:
            raise WebhookRefused("its token is another issuer's")


class _Keys:
    """RSA keys by id, given or fetched."""

    def __init__(self, source: str | Mapping[str, Any], clock: Callable[[], float]) -> None:
        self._url = None
        self._known: dict[str, Any] = {}
        self._clock = clock
        self._since = self._asked = float("-inf")  # when the known ones were fetched; when that was last tried
        self._fetching: asyncio.Task[None] | None = None
        self._failure = ""
        if isinstance(source, str):
            self._url = _trusted(source)
            return
        try:
            self._known = _keys_of(source)
        except InvalidResponse as error:
            raise NotConfigured(f"jwks {error}") from None

    async def find(self, kid: str) -> Any:
        """The key of an id; None where there is none. Raises `ConnectionFailed` where the keys are not to be had."""
        if self._url is None:
            return self._known.get(kid)
        if not (self._fresh() and kid in self._known):
            await self._fetched(self._url)
            if not self._fresh() or (kid not in self._known and self._failure):
                raise ConnectionFailed(f"the keys of webhooks could not be fetched: {self._failure}", sent=True)
        return self._known.get(kid)

    def _fresh(self) -> bool:
        return 0 <= self._clock() - self._since < KEYS_LAST

    async def _fetched(self, url: str) -> None:
        """Waits for the fetch that goes on, or for a new one where the last is long enough ago."""
        task = self._fetching
        if task is None or task.done():
            if 0 <= self._clock() - self._asked < FETCH_EVERY:
                return
            task = self._fetching = asyncio.create_task(self._fetch(url))
        await asyncio.shield(task)  # it is for all who wait

    async def _fetch(self, url: str) -> None:
        transport = AsyncTransport()
        try:
            async with asyncio.timeout(FETCH_WITHIN):
                self._known = _keys_of(await _read(transport, url))
            self._since = self._asked = self._clock()
            self._failure = ""
        except (BridgeError, TimeoutError) as error:
            self._asked = self._clock()
            self._failure = str(error) or f"no answer within {FETCH_WITHIN:g} seconds"
        finally:
            await transport.aclose()


async def _read(transport: AsyncTransport, url: str) -> Any:
    reply = await transport.open("GET", url, {"accept": "application/json"}, None, FETCH_WITHIN)
    try:
        if reply.status != 200:
            raise InvalidResponse(f"is answered {reply.status}")
        content = bytearray()
        async with aclosing(reply.chunks()) as chunks:
            async for chunk in chunks:
                content += chunk
                if len(content) > MOST_KEYS:
                    raise InvalidResponse(f"holds more than {MOST_KEYS} bytes")
        return json.loads(content)
    except (ValueError, RecursionError):
        raise InvalidResponse("is not JSON") from None
    finally:
        await reply.aclose()


def _keys_of(jwks: Any) -> dict[str, Any]:
    """The RSA keys of a JWKS that may sign, by id. Raises `InvalidResponse` where it is none or has no such key."""
    from jwt.algorithms import RSAAlgorithm
    from jwt.exceptions import InvalidKeyError

    listed = jwks.get("keys") if isinstance(jwks, Mapping) else None
    found = {}
    for key in listed if isinstance(listed, list) else ():
        if not isinstance(key, Mapping) or not isinstance(key.get("kid"), str):
            continue
        if key.get("kty") != "RSA" or key.get("use", "sig") != "sig" or key.get("alg", "RS256") != "RS256":
            continue
        with suppress(InvalidKeyError, ValueError, TypeError, binascii.Error):
            public = RSAAlgorithm.from_jwk({"kty": "RSA", "n": key.get("n"), "e": key.get("e")})
            if _LEAST_BITS <= public.key_size <= _MOST_BITS:
                found[key["kid"]] = public
    if not found:
        raise InvalidResponse("holds no RSA key that could have signed a webhook")
    return found


def _trusted(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        local = host == "localhost" or (parts.scheme == "http" and ip_address(host).is_loopback)
    except ValueError:
        parts, host, local = urlsplit(""), "", False
    if not host or parts.scheme not in (("http", "https") if local else ("https",)):
        raise NotConfigured(
            "jwks must be an https address (http only on this machine): who can change it can forge webhooks"
        )
    return url


def _key_of(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise NotConfigured(f"a webhook's secret is {_PREFIX} and base64, as create and rotate_signing_secret gave it")
    return key


def _given(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a signed delivery. Raises `WebhookRefused` where one is missing, there twice, or not what it can be."""
    given: dict[str, str] = {}
    for name, value in headers.items():
        lowered = name.lower()
        if lowered in given:
            raise WebhookRefused(f"it has the header {lowered} twice")
        if lowered in LONGEST:
            given[lowered] = value
    for name, longest in LONGEST.items():
        value = given.get(name, "")
        if not value:
            raise WebhookRefused(f"it lacks the header {name}")
        if len(value) > longest or not (value.isascii() and value.isprintable()):
            raise WebhookRefused(f"its header {name} is longer than {longest} characters, or not plain text")
    return given


def _claims(token: str, key: Any) -> dict[str, Any]:
    """What a token says that the key signed. Times and audience are left to the caller, whose clock counts."""
    import jwt

    try:
        claims = json.loads(jwt.PyJWS().decode(token, key, algorithms=["RS256"]))
    except (jwt.PyJWTError, ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise WebhookRefused("its token was not signed with the key that it names")
    return claims


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _delivery(id: str, timestamp: int, body: bytes) -> Delivery:
    try:
        told = json.loads(body.decode())
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("type"), str):
        raise WebhookRefused("its body is no event of the API")
    kind = told["type"]
    data = told["data"] if isinstance(told.get("data"), dict) else {}
    named = data.get("id") if kind.startswith("interaction.") else None
    # The API's guide says that it comes back and not where.
    metadata = told.get("user_metadata", data.get("user_metadata"))
    return Delivery(
        id=id,
        type=kind,
        timestamp=timestamp,
        interaction_id=named if isinstance(named, str) and named else None,
        user_metadata=metadata if isinstance(metadata, dict) else None,
        body=told,
    )
