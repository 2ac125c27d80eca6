"""The file the demo works on: checked before anything is sent.

What is done with it is the graph's business.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from bridge.errors import InvalidRequest

__all__ = ["INLINE_BYTES", "LIMIT_BYTES", "DataFile", "read_data_file"]

LIMIT_BYTES = 32 * 1024 * 1024
INLINE_BYTES = 1_000_000  # what the API takes inside a request; a larger file is uploaded to the environment


@dataclass(frozen=True)
class DataFile:
    """A CSV text and the name it gets in the sandbox."""

    name: str
    data: bytes
    origin: str
    """What to call it to a person: the path given, or the shipped example."""

    @property
    def inline(self) -> bool:
        """Whether it travels inside the request."""
        return len(self.data) <= INLINE_BYTES

    @property
    def target(self) -> str:
        """Its path in the sandbox."""
        return f"/workspace/{self.name}"


def read_data_file(path: Path | None) -> DataFile:
    """The file at `path`, or the example that ships with the demo.

    Raises `InvalidRequest` with one line that names the file: missing, unreadable, a folder, empty, binary or too large.
    """
    if path is None:
        example = files(__package__).joinpath("data/sales.csv")
        return DataFile("sales.csv", example.read_bytes(), "sales.csv (the example that ships with the demo)")
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InvalidRequest(f"{path} is a folder; give one CSV file", "FILE")
        if not stat.S_ISREG(status.st_mode):
            raise InvalidRequest(f"{path} is not a regular file; give one CSV file", "FILE")
        if status.st_size == 0:
            raise InvalidRequest(f"{path} is empty; give a CSV file with a header and rows", "FILE")
        if status.st_size > LIMIT_BYTES:
            size, limit = status.st_size / 1024**2, LIMIT_BYTES // 1024**2
            raise InvalidRequest(
                f"{path} is {size:.1f} MB, the demo's limit is {limit} MB; give a smaller file", "FILE"
            )
        data = path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror or error}", "FILE") from None
    except ValueError:  # a NUL byte in the name
        raise InvalidRequest(f"{str(path)!r} is not a file name", "FILE") from None
    if b"\0" in data:
        raise InvalidRequest(f"{path} is a binary file; give a CSV file", "FILE")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequest(f"{path} is not UTF-8 text; save the CSV as UTF-8", "FILE") from None
    if not text.strip():
        raise InvalidRequest(f"{path} is empty; give a CSV file with a header and rows", "FILE")
    return DataFile(_safe_name(path.name), data, str(path))


def _safe_name(name: str) -> str:
    """The name with only what every shell and sandbox takes as it is; always a `.csv`."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(name).stem).strip("_")[:60] or "data"
    return f"{stem}.csv"
