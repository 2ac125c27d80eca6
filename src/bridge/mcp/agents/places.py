"""URIs of what a caller can read: `agent://runs/{run_id}…` and `agent://environments/{environment_id}/files/{path}`. Pure functions."""

from __future__ import annotations

from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

from bridge.tools import ToolError

__all__ = ["RUN", "Place", "file_uri", "inside", "place_of", "run_uri"]

_RUNS, _ENVIRONMENTS, _FILES = "agent://runs/", "agent://environments/", "/files/"
RUN: tuple[Literal["", "output", "steps"], ...] = ("", "output", "steps")


class Place(NamedTuple):
    """What a URI names: a part of a run, or the file at `path` of an environment. `handle` is the run's or the environment's."""

    kind: Literal["run", "environment"]
    handle: str
    path: str


def run_uri(handle: str, part: str = "") -> str:
    """The URI of a run or of a part of it."""
    return f"{_RUNS}{handle}{f'/{part}' if part else ''}"


def file_uri(handle: str, path: str) -> str:
    """The URI of a file."""
    return f"{_ENVIRONMENTS}{handle}{_FILES}{quote(path.lstrip('/'), safe='/')}"


def place_of(uri: str) -> Place | None:
    """What a URI names; None where it is none of ours."""
    if uri.startswith(_RUNS):
        handle, _, part = uri.removeprefix(_RUNS).partition("/")
        return Place("run", handle, part) if part in RUN else None
    handle, found, path = uri.removeprefix(_ENVIRONMENTS).partition(_FILES)
    if not uri.startswith(_ENVIRONMENTS) or not found or not path:
        return None
    return Place("environment", handle, unquote(path))


def inside(path: str, where: str) -> str:
    """A path below an environment's root. Raises `ToolError` for one that is none, or that could lead out of it."""
    parts = path.strip("/").split("/")
    if not path.strip("/") or any(part in ("", ".", "..") for part in parts) or "\\" in path or not path.isprintable():
        raise ToolError(
            f"{where}: {path[:200]!r} is no path below the environment's root, such as 'workspace/data.csv'"
        )
    return "/".join(parts)
