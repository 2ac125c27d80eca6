"""Server-sent events from bytes: any chunking in, events out.

Follows the HTML standard's "event stream interpretation" (CR, LF and CRLF, comments, several data lines, byte-order mark), with
what this API adds: [DONE] at the end, and raw JSON of an error where the service's front end cut a stream. Which events a
consumer should see is `progress`'s business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from bridge.interactions import Event, Unknown, count_unknown, parse_event

from .answers import said_by

__all__ = ["Decoder"]

_MAX_STRAY = 64 * 1024  # characters kept of what is no event stream
_TORN_ID = re.compile(r'"interaction"\s*:\s*\{[^{}]*?"id"\s*:\s*"([^"\\]+)"')
_KNOWN = ("event", ":", "id", "retry")  # lines that say nothing to us
_read = json.JSONDecoder().raw_decode  # half of what `json.loads` does; the other half is looking for blanks


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
        self._data: list[str] = []
        self._stray: list[str] = []
        self._stray_size = 0

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that this chunk completes, made one by one as they are taken; take them all before the next chunk."""
        if self._after_cr and chunk:  # the LF of a CRLF that was split
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        if not end:
            if chunk:
                self._pieces.append(chunk)
            return iter(())
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
        events = list(self._lines(rest + b"\n")) if rest else []
        text = "\n".join(self._data)
        if text.startswith("{") and not self.done:
            event = _event_of(text)
            if not isinstance(event, Unknown) or isinstance(event.raw, dict):
                self._data.clear()
                events.append(event)
        self._read_stray()
        return events

    def torn_id(self) -> str:
        """After `end`: the id in the first event where that broke off after it, else ""."""
        match = _TORN_ID.search("\n".join(self._data))
        return match[1] if match else ""

    def _lines(self, block: bytes) -> Iterator[Event]:
        """The events in a block that ends where a line ends."""
        text = block.decode("utf-8", "replace")
        if not self._begun:
            self._begun = True
            text = text.removeprefix("\ufeff")
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        data = self._data
        for line in text[:-1].split("\n"):
            if line.startswith("data: "):
                data.append(line[6:])
            elif not line:
                if data and not self.done:
                    value = data[0] if len(data) == 1 else "\n".join(data)
                    data.clear()
                    if value == "[DONE]":
                        self.done = True
                    else:
                        yield _event_of(value)
                else:
                    data.clear()
            elif line.startswith("data:"):
                data.append(line[5:])
            elif not line.startswith(_KNOWN):
                self._keep_stray(line)

    def _keep_stray(self, line: str) -> None:
        if self._stray_size < _MAX_STRAY:
            self._stray.append(line)
            self._stray_size += len(line)

    def _read_stray(self) -> None:
        if self._stray:
            try:
                code, message = said_by(json.loads("\n".join(self._stray)))
            except (ValueError, RecursionError):
                return
            self.error = f"{code}: {message}" if code else message


def _event_of(text: str) -> Event:
    try:
        value, end = _read(text)
        if end != len(text):
            value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            value = json.loads(text)  # it begins with blanks, or is none
        except (ValueError, RecursionError):
            count_unknown("event", "")
            return Unknown("event", "", text, "not JSON")
    event: Event = parse_event(value)
    return event
