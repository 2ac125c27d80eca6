"""The files of environments as a caller lists, reads and gives them. Nothing of this machine's own files is read or written."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from bridge.backend import Backend
from bridge.errors import BridgeError, NotFound
from bridge.jobs.agent import Agent
from bridge.tools import ToolError

from ..text import cleaned, type_of
from .places import file_uri, inside
from .settings import AgentSettings

__all__ = ["MAX_ENTRIES", "entries_of", "read_file", "text_of", "with_files"]

# The most entries of a listing, and the most bytes of a file that are read into one result.
MAX_ENTRIES = 500
_MAX_BYTES = 20 * 1024**2
_WORKSPACE = "workspace"
# Seconds that the list of files beside a result may take, and those for which a caller waits who asks for a list or a file.
_LISTED_WITHIN, _GIVEN_WITHIN = 10.0, 30.0
# Source: Interactions API reference, "Source": inline sources of 1 MiB each and 2 MiB in all.
_MAX_SOURCE, _MAX_SOURCES = 1024**2, 2 * 1024**2


def backends_of(agents: Mapping[str, AgentSettings]) -> list[Backend]:
    """The backends among the agents that have environments, each once."""
    found: dict[str, Agent] = {
        agent.runs.identity: agent.runs for agent in agents.values() if agent.runs.capabilities.environments
    }
    return [cast(Backend, runs) for runs in found.values()]


async def entries_of(
    backends: Sequence[Backend], environment: str, handle: str, path: str = "", most: int = MAX_ENTRIES
) -> tuple[list[dict[str, Any]], bool]:
    """What lies below a path of an environment, and whether there is more. Raises `NotFound`, and `ToolError` where it takes too long."""
    async with _in_time():
        return await _entries(backends, environment, handle, path, most)


async def _entries(
    backends: Sequence[Backend], environment: str, handle: str, path: str, most: int
) -> tuple[list[dict[str, Any]], bool]:
    found: list[dict[str, Any]] = []
    backend = await _home_of(backends, environment)
    async for entry in backend.files.list(environment, path, recursive=True):
        if len(found) == most:
            return found, True
        told = {name: getattr(entry, name) for name in ("path", "type", "size_bytes", "mime_type", "modified")}
        line = cleaned({name: value for name, value in told.items() if value is not None})
        if entry.type != "directory" and entry.path:
            line["uri"] = file_uri(handle, entry.path)
        found.append(line)
    return found, False


async def read_file(backends: Sequence[Backend], environment: str, path: str) -> tuple[bytes, str]:
    """A file's bytes and its MIME type. Raises `NotFound`, and `ToolError` where it is too large or takes too long."""
    async with _in_time():
        backend = await _home_of(backends, environment)
        data = await backend.files.read(environment, inside(path, "uri"))
    if len(data) > _MAX_BYTES:
        raise ToolError(f"uri: the file has {len(data)} bytes, and at most {_MAX_BYTES} can be read here")
    return data, type_of(path)


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_GIVEN_WITHIN):
            yield
    except TimeoutError:
        raise ToolError(f"the service did not give it within {_GIVEN_WITHIN:g} seconds; ask again") from None


async def _home_of(backends: Sequence[Backend], environment: str) -> Backend:
    """The backend that has an environment."""
    for backend in backends[:-1]:
        try:
            await backend.environments.get(environment)
        except NotFound:
            continue
        return backend
    if not backends:
        raise ToolError("no agent of this server works in environments")
    return backends[-1]


def text_of(data: bytes) -> str | None:
    """A file's text; None where it is none."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else str(cleaned(text))


def with_files(
    agent: AgentSettings, words: str, files: Sequence[tuple[str, bytes]], environment: str | None
) -> tuple[Any, Any]:
    """The input and the environment of a run that is given files: mounted below /workspace where its agent works in an environment,
    else texts and pictures beside the words.

    Raises `ToolError` where there are too many bytes, or an agent without environment is given another kind of file.
    """
    total = sum(len(data) for _, data in files)
    for path, data in files:
        if len(data) > _MAX_SOURCE or total > _MAX_SOURCES:
            raise ToolError(
                f"files: {path!r} has {len(data)} bytes of {total} in all; a file may have {_MAX_SOURCE}, all together {_MAX_SOURCES}"
            )
    place: Any = environment if environment is not None else agent.environment
    if not files:
        return words, place
    if agent.environment is None:
        return [{"type": "text", "text": words}, *(_beside(agent, path, data) for path, data in files)], None
    sources = [_source(path, data) for path, data in files]
    settings = dict(place) if isinstance(place, Mapping) else {} if place == "remote" else {"environment_id": place}
    return words, {"type": "remote", **settings, "sources": [*settings.get("sources", ()), *sources]}


def _source(path: str, data: bytes) -> dict[str, Any]:
    target = path if path.split("/", maxsplit=1)[0] == _WORKSPACE else f"{_WORKSPACE}/{path}"
    return {
        "type": "inline",
        "target": f"/{target}",
        "content": base64.b64encode(data).decode(),
        "encoding": "base64",
    }


def _beside(agent: AgentSettings, path: str, data: bytes) -> dict[str, Any]:
    text = text_of(data)
    if text is not None:
        return {"type": "text", "text": f"File {path}:\n\n{text}"}
    kind = type_of(path)
    if not kind.startswith("image/"):
        raise ToolError(
            f"files: {agent.name} works in no environment, so it can be given texts and pictures; {path!r} is neither"
        )
    return {"type": "image", "mime_type": kind, "data": base64.b64encode(data).decode()}


async def listed_for(backends: Sequence[Backend], environment: str | None, handle: str | None) -> list[str]:
    """The URIs of the files that a run left. A listing that fails or takes long costs the list, and not the result."""
    if environment is None or handle is None:
        return []
    try:
        async with asyncio.timeout(_LISTED_WITHIN):
            entries, _ = await entries_of(backends, environment, handle)
    except (BridgeError, ToolError, TimeoutError):
        return []
    return [entry["uri"] for entry in entries if "uri" in entry]
