"""Server-sent events from bytes: any chunking in, events out.

Follows the HTML standard's "event stream interpretation" (CR, LF and CRLF, comments, several data lines, byte-order mark), with
what this API adds: [DONE] at the end, and raw JSON of an error where the service's front end cut a stream. Which events a
consumer should see is `progress`'s business.
"""

from __future__ import annotations

import json
import re
from typing import Any

from bridge.interactions import Event, Unknown, count_unknown, parse_event

from .answers import said_by

__all__ = ["Decoder"]

_MAX_STRAY = 64 * 1024  # bytes kept of what is no event stream
_TORN_ID = re.compile(rb'"interaction"\s*:\s*\{[^{}]*?"id"\s*:\s*"([^"\\]+)"')


class Decoder:
    """Events of one connection.

    `done` is set once [DONE] came; `error` is what a raw JSON error in the stream said, "" where there was none.
    """

    def __init__(self) -> None:
        self.done = False
        self.error = ""
        self._pieces: list[bytes] = []  # of a line whose end has not come; joined once, however many they are
        self._after_cr = False
        self._begun = False
        self._data: list[bytes] = []
        self._stray: list[bytes] = []
        self._stray_size = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes."""
        if self._after_cr and chunk:  # the LF of a CRLF that was split
            self._after_cr = False
            if chunk.startswith(b"\n"):
                chunk = chunk[1:]
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        if not end:
            if chunk:
                self._pieces.append(chunk)
            return []
        self._after_cr = chunk.endswith(b"\r")
        block = chunk[:end]
        if self._pieces:
            self._pieces.append(block)
            block = b"".join(self._pieces)
        self._pieces = [chunk[end:]] if end < len(chunk) else []
        return self._lines(block)

    def end(self) -> list[Event]:
        """The stream is over. An event that came whole counts even where the blank line after it did not come."""
        rest = b"".join(self._pieces)
        self._pieces = []
        events = self._lines(rest) if rest else []
        if self._data and not self.done:
            data = b"\n".join(self._data)
            if _is_whole(data):
                events.append(self._event())
        self._read_stray()
        return events

    def torn_id(self) -> str:
        """After `end`: the id in the first event where that broke off after it, else ""."""
        match = _TORN_ID.search(b"\n".join(self._data))
        return match[1].decode("utf-8", "replace") if match else ""

    def _lines(self, block: bytes) -> list[Event]:
        if not self._begun:
            self._begun = True
            block = block.removeprefix(b"\xef\xbb\xbf")
        events: list[Event] = []
        data = self._data
        for line in block.splitlines():
            if line.startswith(b"data:"):
                data.append(line[6:] if line.startswith(b" ", 5) else line[5:])
            elif not line:
                if data and not self.done:
                    if data == [b"[DONE]"]:
                        self.done = True
                        data.clear()
                    else:
                        events.append(self._event())
            elif not line.startswith((b"event", b":", b"id", b"retry")):
                self._keep_stray(line)
        return events

    def _event(self) -> Event:
        data = self._data
        raw = data[0] if len(data) == 1 else b"\n".join(data)
        data.clear()
        text = raw.decode("utf-8", "replace")
        try:
            value: Any = json.loads(text)
        except (ValueError, RecursionError):
            count_unknown("event", "")
            return Unknown("event", "", text, "not JSON")
        event: Event = parse_event(value)
        return event

    def _keep_stray(self, line: bytes) -> None:
        if self._stray_size < _MAX_STRAY:
            self._stray.append(line)
            self._stray_size += len(line)

    def _read_stray(self) -> None:
        if self._stray:
            text = b"\n".join(self._stray).decode("utf-8", "replace")
            try:
                code, message = said_by(json.loads(text))
            except (ValueError, RecursionError):
                return
            self.error = f"{code}: {message}" if code else message


def _is_whole(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False
