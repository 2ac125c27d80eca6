"""Signatures of deliveries, both kinds of the real service.

A registered webhook's are those of the Standard Webhooks scheme: an HMAC over id, time and body, one per secret that is valid. A
request's own addresses get an RS256 JWT, whose key stands in a JWKS. Sources: Interactions API guide, "Webhooks"; Standard Webhooks 1.0.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from typing import Any

__all__ = ["ISSUER", "KeyPair", "new_secret", "signature_of"]

ISSUER = "interactions-bridge"
_VALID = 300  # seconds
_PREFIX = "whsec_"


def new_secret() -> str:
    """A secret for a registered webhook."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature_of(valid: Iterable[str], id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature per valid secret, so that receivers may rotate."""
    signed = f"{id}.{timestamp}.".encode() + body
    keys = (base64.b64decode(secret.removeprefix(_PREFIX)) for secret in valid)
    return " ".join(f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}" for key in keys)


class KeyPair:
    """The service's key for the signatures of requests' own webhooks. Making one takes some 100 ms."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric import rsa

        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid = secrets.token_hex(8)

    def token(self, audience: str, now: float, id: str) -> str:
        """The header `webhook-signature` of a delivery to an address, which is the audience."""
        import jwt

        claims = {"iss": ISSUER, "aud": audience, "iat": int(now), "exp": int(now) + _VALID, "jti": id}
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self.kid})

    def jwks(self) -> dict[str, Any]:
        """The public key as a JWKS."""
        from jwt.algorithms import RSAAlgorithm

        public = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**public, "kid": self.kid, "alg": "RS256", "use": "sig"}]}
