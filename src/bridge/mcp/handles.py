"""Handles: the names that a caller gets for runs and environments, each of use to that caller alone.

A handle is an id and a code over who may use it, what it names, and the id. It is nothing secret by itself, and nothing has to be kept
to check it but the key.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Literal

from mcp.server.request_state import AESGCMRequestStateCodec, InvalidRequestState

from bridge.errors import InvalidRequest, NotConfigured

__all__ = ["Handles", "Kind", "Seal", "checked_key", "load_key"]

Kind = Literal["run", "environment"]
_MARK = "~"
_SHORTEST = 16


class Handles:
    """The handles of one key, which is 16 bytes at least."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, owner: str, kind: Kind, id: str) -> str:
        """The handle of an id for its owner."""
        return f"{id}{_MARK}{self._code(owner, kind, id)}"

    def read(self, owner: str, kind: Kind, handle: str) -> str | None:
        """The id of a handle; None where it is not one of this owner's."""
        named, _, code = handle.rpartition(_MARK)
        ours = hmac.compare_digest(code.encode("utf-8", "replace"), self._code(owner, kind, named).encode())
        return named if named and ours else None

    @cached_property
    def codec(self) -> AESGCMRequestStateCodec:
        """Seals what a client carries between a question and its answer: any server of the key can read it."""
        return AESGCMRequestStateCodec([hmac.digest(self._key, b"request state", "sha256")])

    def _code(self, owner: str, kind: Kind, id: str) -> str:
        told = "\0".join((kind, owner, id)).encode("utf-8", "replace")
        return base64.urlsafe_b64encode(hmac.digest(self._key, told, "sha256"))[:16].decode()


class Seal:
    """The `RequestStateCodec` of a server whose handles may not be known yet."""

    def __init__(self, handles: Callable[[], Handles | None]) -> None:
        self._handles = handles

    def seal(self, payload: bytes) -> str:
        """Seals a state."""
        return self._codec().seal(payload)

    def unseal(self, token: str) -> bytes:
        """Reads a sealed state. Raises `InvalidRequestState`."""
        return self._codec().unseal(token)

    def _codec(self) -> AESGCMRequestStateCodec:
        handles = self._handles()
        if handles is None:
            raise InvalidRequestState("the key of handles cannot be used")
        return handles.codec


def checked_key(key: bytes | str) -> bytes:
    """A key that was given. Raises `InvalidRequest` where it is too short to keep anybody out."""
    key = key.encode() if isinstance(key, str) else key
    if len(key) < _SHORTEST:
        raise InvalidRequest(
            f"handle_key has {len(key)} bytes; give {_SHORTEST} random ones at least, or leave it out", "handle_key"
        )
    return key


def load_key(path: Path) -> bytes:
    """The key that a user's servers share, made at the first use, readable by its owner alone. Raises `NotConfigured`."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
            with open(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(secrets.token_bytes(32))
            try:
                os.link(fresh, path)  # of two who make it at once, one does
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        return checked_key(path.read_bytes())
    except OSError as error:
        raise NotConfigured(
            f"the key of handles {str(path)!r} cannot be used: {error.strerror}; give handle_key"
        ) from None
    except InvalidRequest:
        raise NotConfigured(
            f"the key of handles {str(path)!r} is broken: delete it, and handles given out end with it"
        ) from None
