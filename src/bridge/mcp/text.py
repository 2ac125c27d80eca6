"""Text as it leaves the server: without what a terminal would obey or a person would not see; and results and times as they are told. Pure functions."""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["ANY_TYPE", "cleaned", "dumped", "time_of", "type_of"]

ANY_TYPE = "application/octet-stream"
# Only the types built into Python: those of the host would make answers differ from machine to machine.
_TYPES = mimetypes.MimeTypes()
_TYPES.add_type("text/markdown", ".md")  # a late addition to Python's own list


# Escape sequences of terminals, with their parameters; then all other control characters but tab and newline, and the invisible tags
# of Unicode, in which text hides from people and not from models. A title ends at the next beginning of one too: otherwise a text of
# nothing but beginnings would be read to its end from each of them.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]"  # colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]{0,2000}(?:\x1b\\|[\x07\x9c])"  # titles, links; only where they end
    r"|\x1b[ -/]{0,8}[0-~]"
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\U000e0000-\U000e007f\ud800-\udfff]")


def cleaned(value: Any) -> Any:
    """The same without control sequences in any text, keys included."""
    if isinstance(value, str):
        text = value.replace("\r\n", "\n").replace("\r", "\n")
        # Nearly every text has none, and to look is much faster than to replace.
        return text if _CONTROLS.search(text) is None else _CONTROLS.sub("", _SEQUENCES.sub("", text))
    if isinstance(value, Mapping):
        return {cleaned(key): cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(item) for item in value]
    return value


def dumped(value: Any) -> str:
    """A result as the text that says the same."""
    return json.dumps(value, ensure_ascii=False)


def type_of(path: str) -> str:
    """The MIME type of a file by its name."""
    return _TYPES.guess_type(path)[0] or ANY_TYPE


def time_of(seconds: float) -> str:
    """A time in seconds since 1970 as people and models read it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
