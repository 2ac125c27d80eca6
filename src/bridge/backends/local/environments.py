"""Environments: folders of real files that outlive a turn, and the one way from a path of the API to a file in them.

An environment's root holds `workspace`, where programs run. No path leads out of the root and no link is followed. Two turns
may work in one environment at a time, as two programs on one machine do. Running programs is left to the sandbox.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import mimetypes
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from pydantic import ValidationError

from bridge.errors import ApiError, InvalidRequest
from bridge.interactions import (
    CreateEnvironment,
    Environment,
    EnvironmentConfig,
    EnvironmentFile,
    Source,
)
from bridge.interactions._open import reason_of

from .agents import without_secrets
from .checks import check_parts, refused
from .store import Store
from .turns.events import timestamp

__all__ = ["EnvironmentFiles", "EnvironmentFolders"]

_T = TypeVar("_T")
_MAX_INLINE = 1024**2  # bytes of one inline source
_MAX_INLINE_TOTAL = 2 * 1024**2
_WORKSPACE = "workspace"
_ID = re.compile(r"[0-9a-f-]{36}")
# Only the types built into Python: those of the host would make answers differ from machine to machine.
_TYPES = mimetypes.MimeTypes()
_TYPES.add_type("text/markdown", ".md")  # a late addition to Python's own list
# A file to be written: its path below the root, and its bytes.
_Mounted = tuple[PurePosixPath, bytes]


class EnvironmentFolders:
    """The environments of one service. Meets `bridge.backend.Environments`.

    One that was not used for `retention` seconds is gone; with None they stay.
    """

    def __init__(self, store: Store, clock: Callable[[], float], retention: float | None) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention

    async def create(self, /, **fields: Any) -> Environment:
        """A new environment from `sources` and `network`, or a copy of `from_environment`.

        Raises `BadRequest` where a source cannot be mounted, `NotFound` where there is nothing to copy.
        """
        try:
            request = CreateEnvironment.parse({name: value for name, value in fields.items() if value is not None})
        except ValidationError as error:
            raise InvalidRequest(f"the environment does not fit the API: {reason_of(error)}", "environment") from None
        for name in request.model_extra or ():
            raise refused(f"Unknown parameter: {name!r}.", code="parameter_unknown")
        if request.from_environment is not None and request.sources is not None:
            raise refused("'from_environment' does not go with 'sources'.")
        settings = {name: value for name, value in request.to_wire().items() if name != "from_environment"}
        config = EnvironmentConfig.parse(settings)
        check_parts(config)
        return await self.get(await self.provision(config, base=request.from_environment))

    async def get(self, id: str) -> Environment:
        """An environment by id. Raises `NotFound`."""
        accessed, facts = await self._known(id)
        root = await self._root(id)
        count, size = await asyncio.to_thread(_measure, root)
        wire = {
            "id": _bare(id),
            "created": timestamp(facts["created"]),
            "updated": timestamp(facts["updated"]),
            "last_accessed": timestamp(accessed),
            "status": "active",
            "file_count": str(count),
            "size_bytes": str(size),
        }
        return Environment.parse(wire | {name: facts[name] for name in ("network", "sources", "env") if name in facts})

    async def list(self, *, page_size: int | None = None) -> AsyncIterator[Environment]:
        """All environments, by id."""
        for known in await self._store.environments(self._oldest()):
            yield await self.get(known)

    async def delete(self, id: str) -> None:
        """Deletes an environment and its files. Raises `NotFound`."""
        await self._known(id)
        await self._store.delete_environment(_bare(id))
        await self.remove([_bare(id)])

    async def provision(self, config: EnvironmentConfig | None, *, base: str | None = None) -> str:
        """A new environment, empty or a copy of `base`, with a configuration's sources on top; gives its id."""
        files = _mounted((config.sources if config else None) or ())
        facts: dict[str, Any] = {}
        if base is not None:
            facts = dict((await self._known(base))[1])
        new = str(uuid.uuid4())
        source = None if base is None else await self._root(base)
        await asyncio.to_thread(_build, await self._root(new), source, files)
        await self._keep(new, facts, config)
        return new

    async def open(self, id: str, config: EnvironmentConfig | None = None) -> None:
        """Uses an environment: its time starts anew, and a configuration's settings and sources go on top."""
        facts = dict((await self._known(id))[1])
        files = _mounted((config.sources if config else None) or ())
        if files:
            await asyncio.to_thread(_build, await self._root(id), None, files)
        await self._keep(_bare(id), facts, config)

    async def touched(self, id: str) -> None:
        """Says that an environment was used just now. One that was deleted meanwhile stays so."""
        known = await self._store.environment(id, self._oldest())
        if known is not None:
            await self._store.put_environment(id, self._clock(), {**known[1], "updated": self._clock()})

    async def workspace(self, id: str) -> Path:
        """The folder of an environment in which programs run."""
        return await self._root(id) / _WORKSPACE

    async def root(self, id: str) -> Path:
        """The folder of an environment that exists. Raises `NotFound`."""
        await self._known(id)
        return await self._root(id)

    async def remove(self, ids: Iterable[str]) -> None:
        """Removes the folders of environments."""
        for each in ids:
            await asyncio.to_thread(shutil.rmtree, await self._root(each), ignore_errors=True)

    async def _root(self, id: str) -> Path:
        return await self._store.root() / "environments" / _bare(id)

    async def _known(self, id: str) -> tuple[float, dict[str, Any]]:
        known = await self._store.environment(_bare(id), self._oldest()) if _ID.fullmatch(_bare(id)) else None
        if known is None:
            raise refused(f"Environment {id[:120]!r} not found.", status=404, code="not_found")
        return known

    async def _keep(self, id: str, facts: dict[str, Any], config: EnvironmentConfig | None) -> None:
        now = self._clock()
        facts = {**facts, "created": facts.get("created", now), "updated": now}
        if config is not None:
            shown = without_secrets(config.to_wire())
            facts |= {name: shown[name] for name in ("network", "env") if name in shown}
            sources = [{k: v for k, v in source.items() if k != "content"} for source in shown.get("sources") or ()]
            if sources:
                facts["sources"] = [*facts.get("sources", ()), *sources]
        await self._store.put_environment(id, now, facts)

    def _oldest(self) -> float:
        return float("-inf") if self._retention is None else self._clock() - self._retention


class EnvironmentFiles:
    """The files of environments. Meets `bridge.backend.Files`.

    A path that begins with "/" starts at the root, as does a relative one whose first part is a folder of the root
    ("workspace/a.txt"); any other starts at the workspace. The empty path lists the workspace, then the rest of the root.
    """

    def __init__(self, environments: EnvironmentFolders) -> None:
        self._environments = environments

    async def list(
        self, environment_id: str, path: str = "", *, recursive: bool = False
    ) -> AsyncIterator[EnvironmentFile]:
        """The files and folders below a folder, or the one file of that path. Raises `NotFound`."""
        root = await self._environments.root(environment_id)
        for file in await self._work(path, lambda: list(_listed(root, path, recursive))):
            yield file

    async def read(self, environment_id: str, path: str) -> bytes:
        """A file's bytes. Raises `NotFound`; `BadRequest` for a folder."""
        root = await self._environments.root(environment_id)

        def read() -> bytes:
            file = _resolved(root, path)
            if file.is_dir():
                raise refused(f"{path[:200]!r} is a directory.")
            return file.read_bytes()

        return await self._work(path, read)

    async def write(self, environment_id: str, path: str, data: bytes, *, overwrite: bool = True) -> EnvironmentFile:
        """Writes a file, and the folders it needs. Raises `Conflict` where it exists and `overwrite` is False."""
        root = await self._environments.root(environment_id)

        def write() -> EnvironmentFile:
            target = _below(root, path)
            file = root / target
            _refuse_links(root, target)
            if file.is_dir() or (len(target.parts) < 2 and str(target) == _WORKSPACE):
                raise refused(f"{path[:200]!r} is a directory.")
            if not overwrite and file.exists():
                raise refused(f"File {path[:200]!r} already exists.", status=409, code="already_exists")
            _put(file, data)
            return _entry(root, file)

        written = await self._work(path, write)
        await self._environments.touched(environment_id.removeprefix("environments/"))
        return written

    async def _work(self, path: str, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.to_thread(work)
        except (FileNotFoundError, NotADirectoryError):
            raise _missing(path) from None
        except (OSError, ValueError) as error:  # a name the file system does not take
            raise _unusable(path, error) from None


def _mounted(sources: Sequence[Source]) -> list[_Mounted]:
    """The files that sources stand for. Raises `BadRequest` for the first that cannot be mounted."""
    files: list[_Mounted] = []
    total = 0
    for number, source in enumerate(sources):
        where = f"sources[{number}]"
        if source.type != "inline":
            raise refused(
                f"The value {source.type!r} is not supported for 'type' at {where!r} by the local service, which reaches no "
                "network: mount the files as 'inline'."
            )
        if source.content is None:
            raise refused(f"Missing value for 'content' at {where!r}.")
        data = _decoded(source, where)
        total += len(data)
        if len(data) > _MAX_INLINE or total > _MAX_INLINE_TOTAL:
            raise refused(
                f"The inline sources are too large at {where!r}: at most {_MAX_INLINE} bytes each and {_MAX_INLINE_TOTAL} in "
                "all; upload larger files to an environment."
            )
        try:
            target = _below(None, source.target or "")
        except ApiError:
            target = PurePosixPath()
        if not target.parts or target == PurePosixPath(_WORKSPACE) or (source.target or "").endswith("/"):
            raise refused(
                f"The value {source.target!r} is not supported for 'target' at {where!r}: name a file below /."
            )
        files.append((target, data))
    return files


def _decoded(source: Source, where: str) -> bytes:
    content = source.content or ""
    try:
        if source.encoding == "base64":
            return base64.b64decode(content, validate=True)
        if source.encoding in (None, "utf-8", "text"):
            return content.encode()
    except (binascii.Error, ValueError):
        raise refused(f"The value for 'content' at {where!r} is not {source.encoding or 'valid text'}.") from None
    raise refused(
        f"The value {source.encoding!r} is not supported for 'encoding' at {where!r}. Supported values: base64."
    )


def _build(root: Path, source: Path | None, files: Sequence[_Mounted]) -> None:
    """Makes a folder ready: a copy of another, and files on top. Leaves nothing behind where that fails."""
    fresh = not root.exists()
    try:
        if source is not None:
            shutil.copytree(source, root, symlinks=True, ignore_dangling_symlinks=True)
        (root / _WORKSPACE).mkdir(parents=True, exist_ok=True)
        for target, data in files:
            _refuse_links(root, target)
            _put(root / target, data)
    except (OSError, ValueError) as error:
        if fresh:
            shutil.rmtree(root, ignore_errors=True)
        raise refused(f"The sources cannot be mounted: {getattr(error, 'strerror', None) or error}.") from None


def _put(file: Path, data: bytes) -> None:
    """Writes a file in one go: readers see the old bytes or the new ones."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".upload-")
    try:
        with os.fdopen(handle, "wb") as part:
            part.write(data)
        os.chmod(name, 0o644)
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise


def _below(root: Path | None, path: str) -> PurePosixPath:
    """A path of the API as one below the root, by its text alone. Raises `BadRequest` where it leads out."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path or (os.name == "nt" and re.search(r"[\\:]", path)):
        raise refused(f"The path {path[:200]!r} is not supported: it leads out of the environment.")
    if not path.startswith("/") and parts and parts[0] != _WORKSPACE:
        outside = root is not None and (root / parts[0]).is_dir()
        if not outside:
            parts.insert(0, _WORKSPACE)
    return PurePosixPath(*parts)


def _refuse_links(root: Path, target: PurePosixPath) -> None:
    place = root
    for part in target.parts:
        place = place / part
        if place.is_symlink():
            raise refused(f"The path {str(target)[:200]!r} is not supported: it leads over a link.")


def _resolved(root: Path, path: str) -> Path:
    """The existing file or folder of a path. Raises `NotFound`."""
    target = _below(root, path)
    _refuse_links(root, target)
    file = root / target
    if not file.exists():
        raise _missing(path)
    return file


def _listed(root: Path, path: str, recursive: bool) -> Iterator[EnvironmentFile]:
    if path == "":
        others = sorted(entry for entry in root.iterdir() if entry.name != _WORKSPACE)
        places = [*sorted((root / _WORKSPACE).iterdir()), *others]
    else:
        place = _resolved(root, path)
        places = sorted(place.iterdir()) if place.is_dir() else [place]
    for place in places:
        if place.is_symlink() or not (place.is_dir() or place.is_file()):
            continue
        yield _entry(root, place)
        if recursive and place.is_dir():
            yield from _listed(root, "/" + place.relative_to(root).as_posix(), recursive)


def _entry(root: Path, file: Path) -> EnvironmentFile:
    wire: dict[str, Any] = {"name": file.name, "path": file.relative_to(root).as_posix()}
    if file.is_dir():
        return EnvironmentFile.parse({**wire, "type": "directory"})
    facts = file.stat()
    return EnvironmentFile.parse(
        {
            **wire,
            "type": "file",
            "size_bytes": str(facts.st_size),
            "mime_type": _TYPES.guess_type(file.name)[0] or "application/octet-stream",
            "created": timestamp(facts.st_ctime),
            "modified": timestamp(facts.st_mtime),
        }
    )


def _measure(root: Path) -> tuple[int, int]:
    """How many files there are, and their bytes."""
    sizes = [
        os.lstat(os.path.join(folder, name)).st_size
        for folder, _, names in os.walk(root)
        for name in names
        if not os.path.islink(os.path.join(folder, name))
    ]
    return len(sizes), sum(sizes)


def _bare(id: str) -> str:
    return id.removeprefix("environments/")


def _missing(path: str) -> ApiError:
    return refused(f"File {path[:200]!r} not found.", status=404, code="not_found")


def _unusable(path: str, error: Exception) -> ApiError:
    return refused(
        f"The path {path[:200]!r} is not supported: {getattr(error, 'strerror', None) or 'not a file name'}."
    )
