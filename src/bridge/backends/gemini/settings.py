"""Where requests go and how often: the settings of a gemini backend, read once from arguments and environment.

Nothing here sends anything. The key leaves this module only through `Settings.headers`; it is in no text, repr or hash that
could give it away.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

from bridge.errors import NotConfigured

__all__ = ["DEFAULT_BASE_URL", "Retries", "Settings", "settings_from"]

DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"
_KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")  # the first one wins
_BASE_URL = "GOOGLE_GEMINI_BASE_URL"
_VERSION_IN_PATH = re.compile(r"/(v\d+[a-z]*\d*(?:/projects/[^/]+/locations/[^/]+)?)$")
_VERSION = re.compile(r"v\d+[a-z]*\d*(/projects/[^/]+/locations/[^/]+)?")
_KEY = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, kw_only=True)
class Retries:
    """When a call is tried again: on failures after which that surely does no harm, and never beyond the call's `timeout`.

    Reading, listing, deleting and cancelling are tried again on broken connections and on 408, 429 and 5xx (but 501). A create
    only where it surely was not begun: no connection, 429 and 503. Waits are jittered and double from half a second to
    eight; a Retry-After of the service replaces them.
    """

    attempts: int = 4
    """Further attempts after the first; 0 for none."""
    create_when_unknown: bool = False
    """Send a create again although nothing tells whether the first one runs. It may run, and bill, twice."""
    visible_within: float = 10.0
    """Seconds for which a 404 on an id that this backend just created means "not yet visible" and is asked again."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where and how. `root` is scheme, host and any prefix; `version` the path segment after it; `timeout` in seconds."""

    root: str
    version: str
    key: str | None = field(repr=False)
    timeout: float | None
    retries: Retries

    @cached_property
    def base(self) -> str:
        """What the path of every call is appended to."""
        return f"{self.root}/{self.version}"

    @cached_property
    def identity(self) -> str:
        """Names host, version and account without telling the key."""
        fingerprint = sha256(self.key.encode()).hexdigest() if self.key else ""
        return sha256(f"{self.base}|{fingerprint}".encode()).hexdigest()[:24]

    @cached_property
    def headers(self) -> dict[str, str]:
        """What every request carries. Holds the key."""
        headers = {"content-type": "application/json", "user-agent": "interactions-bridge"}
        if self.key:
            headers["x-goog-api-key"] = self.key
        return headers

    def redact(self, text: str) -> str:
        """A text from outside without the key in it."""
        return text.replace(self.key, "***") if self.key else text


def settings_from(
    api_key: str | None,
    base_url: str | None,
    api_version: str,
    timeout: float | None,
    retries: int | Retries,
    allow_insecure: bool,
) -> Settings:
    """The settings of arguments and, where those are None, of the environment.

    Raises `NotConfigured` where no key is found for Google's own service, where the base URL is none, names another version than
    `api_version`, or would carry the key unencrypted over a network.
    """
    key = api_key if api_key is not None else next((os.environ[name] for name in _KEYS if os.environ.get(name)), None)
    key = key.strip() or None if key is not None else None
    if key is not None and not _KEY.fullmatch(key):
        raise NotConfigured("the API key holds blanks or characters that no header can carry; copy it again")
    base_url = base_url or os.environ.get(_BASE_URL) or DEFAULT_BASE_URL
    root, host, secure, named_version = _split(base_url)
    if not _VERSION.fullmatch(api_version):
        raise NotConfigured(f"api_version {api_version!r} is none; give one such as 'v1' or 'v1beta'")
    if named_version and api_version not in ("v1", named_version):
        raise NotConfigured(
            f"base_url names version {named_version!r} and api_version {api_version!r}: leave one of them out"
        )
    if key is None and host == urlsplit(DEFAULT_BASE_URL).hostname:
        raise NotConfigured(
            "the Gemini API needs a key, and none was found. Three ways on: set GEMINI_API_KEY (or GOOGLE_API_KEY, or pass"
            " api_key=...); or pass base_url=... (or set GOOGLE_GEMINI_BASE_URL) of a running `interactions-bridge serve`;"
            " or pass backend=LocalBackend() to run without any service"
        )
    if key is not None and not secure and not allow_insecure and not _is_loopback(host):
        raise NotConfigured(
            f"the key would travel unencrypted to {host}: use https, leave the key out, or pass allow_insecure=True"
        )
    return Settings(
        root=root,
        version=named_version or api_version,
        key=key,
        timeout=timeout,
        retries=Retries(attempts=retries) if isinstance(retries, int) else retries,
    )


def _split(base_url: str) -> tuple[str, str, bool, str]:
    """Root without a version, host, whether encrypted, and the version that the URL named or ""."""
    try:
        parts = urlsplit(base_url.strip())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotConfigured("the base URL is none; give one such as 'http://127.0.0.1:8787'")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise NotConfigured(
            "the base URL may hold scheme, host, port and path, nothing else (no user, query or fragment)"
        )
    path = parts.path.rstrip("/")
    match = _VERSION_IN_PATH.search(path)
    if match:
        path = path[: match.start()]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    root = f"{parts.scheme}://{host}{f':{port}' if port else ''}{path}"
    return root, parts.hostname, parts.scheme == "https", match[1] if match else ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
