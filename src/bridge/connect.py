"""From what a caller has (nothing, a key, a base URL, a name, a backend) to a backend.

The one place that knows which backends there are. They are imported by dotted name when they are asked for; the embedded service is
never chosen unless it is named.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

from ._portal import PortalRunner, SyncBackend
from .backend import Backend
from .errors import NotConfigured

__all__ = ["connect", "sync_backend"]

_BUILT_IN = {
    "gemini": ("bridge.backends.gemini", "GeminiBackend"),
    "local": ("bridge.backends.local", "LocalBackend"),
}


def connect(
    backend: Backend | str | None = None,
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    **options: Any,
) -> Backend:
    """The backend that is meant.

    `backend`: a ready one, returned as it is; "gemini"; "local"; the name of an installed adapter
    that brings one; a base URL, such as that of a
    running `interactions-bridge serve`; or None for the Gemini API with the key and base URL given or found in the
    environment. `options` go to the backend's constructor. Raises `NotConfigured` where that leaves nothing to talk to.
    """
    given = {name: value for name, value in {"api_key": api_key, "base_url": base_url}.items() if value is not None}
    given |= options
    if backend is None:
        backend = "gemini"
    elif not isinstance(backend, str):
        if given:
            raise NotConfigured(f"a ready backend takes no {', '.join(given)}: give them to its constructor")
        return backend
    elif "://" in backend:
        if base_url is not None:
            raise NotConfigured("backend names a base URL and base_url does too: leave one of them out")
        backend, given = "gemini", {**given, "base_url": backend}
    return cast(Backend, _factory(backend)(**given))


def sync_backend(backend: Backend) -> SyncBackend:
    """A backend's methods without `await`: its own sync twin, or one that runs it in a thread with an event loop of its own."""
    twin = getattr(backend, "sync", None)
    return twin if isinstance(twin, SyncBackend) else SyncBackend(backend, PortalRunner())


def _factory(name: str) -> Any:
    if name in _BUILT_IN:
        module, attribute = _BUILT_IN[name]
        try:
            return getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] == "bridge":
                raise
            raise NotConfigured(
                f"backend {name!r} needs {error.name!r}, which is not installed: pip install 'interactions-bridge[{name}]'"
            ) from None
    from ._adapters import FOUND, adapter

    brought = getattr(adapter(name), "BACKEND", None)
    if brought is not None:
        return brought
    if name in FOUND:
        raise NotConfigured(f"the adapter {name!r} brings no backend; it serves other parts of this library")
    known = ", ".join(sorted({*_BUILT_IN, *(other for other in FOUND if hasattr(adapter(other), "BACKEND"))}))
    raise NotConfigured(f"there is no backend {name!r}; known: {known}, and any base URL")
