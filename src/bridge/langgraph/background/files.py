"""The files that an interaction left in its environment, as plain data for a graph's state. Reading them is the backend's business."""

from __future__ import annotations

import logging
from typing import Any

from bridge.backend import Backend
from bridge.errors import BridgeError

__all__ = ["MAX_FILES", "files_of"]

_log = logging.getLogger("bridge.langgraph")
# The most files of an environment that are listed; an entry says `more_files` where there are more.
MAX_FILES = 1_000


async def files_of(backend: Backend, name: str, environment_id: str | None) -> dict[str, Any]:
    """The files of an environment. A listing that fails costs the list, not the answer that was paid for."""
    files: list[dict[str, Any]] = []
    if environment_id is None:
        return {"files": files}
    try:
        async for entry in backend.files.list(environment_id, "", recursive=True):
            if entry.type == "directory":
                continue
            if len(files) == MAX_FILES:
                return {"files": files, "more_files": True}
            facts = ("path", "name", "size_bytes", "mime_type")
            files.append({fact: getattr(entry, fact) for fact in facts if getattr(entry, fact) is not None})
    except BridgeError as error:
        _log.warning("%s: the files of environment %s could not be listed: %s", name, environment_id, error)
        return {"files": files, "files_error": str(error)}
    return {"files": files}
