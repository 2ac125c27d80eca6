"""Uploads in two steps, as the API takes them: a start that names the file, then its bytes to the address it was given.

Bytes wait here until the upload is finalised; then the backend writes them at once. Uploads nobody finishes are forgotten.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from starlette.requests import Request

from bridge.backend import Backend
from bridge.interactions import EnvironmentFile

from .wire import flag, read_body, refused

__all__ = ["Uploads"]

_MAX_OPEN = 20  # uploads that are under way at a time; beyond it the oldest is forgotten


@dataclass
class _Upload:
    environment: str
    path: str
    overwrite: bool
    data: bytearray = field(default_factory=bytearray)


class Uploads:
    """The uploads that are under way. `limit` is the most bytes of a file."""

    def __init__(self, backend: Backend, limit: int) -> None:
        self._backend = backend
        self._limit = limit
        self._open: OrderedDict[str, _Upload] = OrderedDict()

    async def start(self, request: Request) -> str:
        """Takes note of a file to come; gives the upload's id. Raises where it could not be written anyway."""
        command = request.headers.get("x-goog-upload-command", "")
        if command != "start":
            refused(
                f"The value {command[:80]!r} is not supported for 'X-Goog-Upload-Command'. Supported values: start."
            )
        if flag(request, "extract"):
            refused("extract=true is not supported here: upload the files one by one.")
        size = request.headers.get("x-goog-upload-header-content-length", "0")
        if size.isascii() and size.isdigit() and int(size) > self._limit:
            refused(f"The file is too large: at most {self._limit} bytes.", status=413)
        environment = request.path_params["environment"]
        await self._backend.environments.get(environment)
        upload = _Upload(environment, request.path_params["path"], flag(request, "overwrite") is not False)
        name = secrets.token_urlsafe(16)
        self._open[name] = upload
        while len(self._open) > _MAX_OPEN:
            self._open.popitem(last=False)
        return name

    async def take(self, request: Request) -> tuple[int, EnvironmentFile | None]:
        """Takes the next bytes; gives how many there are now, and the file where the upload is finalised."""
        name = request.query_params.get("upload_id", "")
        upload = self._open.get(name)
        if upload is None:
            refused("This upload is not known: it is finished, or was never started.", status=404, code="not_found")
        commands = {part.strip() for part in request.headers.get("x-goog-upload-command", "").split(",")}
        if commands == {"query"}:
            return len(upload.data), None
        if not commands or not commands <= {"upload", "finalize"}:
            refused("'X-Goog-Upload-Command' takes 'upload', 'finalize' or both.")
        offset = request.headers.get("x-goog-upload-offset", "0")
        if "upload" in commands and offset != str(len(upload.data)):
            refused(
                f"The next bytes start at offset {len(upload.data)}, not {offset[:40]}.",
                status=416,
                code="out_of_range",
            )
        upload.data += await read_body(request, self._limit - len(upload.data))
        if "finalize" not in commands:
            return len(upload.data), None
        del self._open[name]
        return len(upload.data), await self._backend.files.write(
            upload.environment, upload.path, bytes(upload.data), overwrite=upload.overwrite
        )
