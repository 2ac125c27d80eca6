"""From a record to the events of its stream: a pure function, so that a replay equals what was seen live.

Events are made as the JSON objects they travel as. An event's cursor (`event_id`) is its place in this list. Sending the
events, and waiting for more, is left to others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bridge.interactions import Step, meaning_of
from bridge.interactions.steps.server_tools import DELTA_KINDS

if TYPE_CHECKING:
    from .record import Record

__all__ = [
    "Wire",
    "closing_events",
    "event_id",
    "events_of",
    "json_pieces",
    "opening_events",
    "pieces_of",
    "place_of",
    "step_events",
    "timestamp",
]

Wire = dict[str, Any]
_PIECE = 20  # characters of text in a delta, about; more where a text would make too many of them
_MAX_PIECES = 200
# Steps that travel whole in one delta.
_WHOLE = frozenset({"function_result", *DELTA_KINDS})
_WORD = re.compile(r"\s*\S+|\s+$")


def events_of(record: Record) -> list[Wire]:
    """All events of a record as it stands; the last is `interaction.completed` where it ended."""
    events = opening_events(record)
    for index, step in enumerate(record.steps):
        events += step_events(index, step, text_in_start=record.text_in_start)
    return events + closing_events(record)


def opening_events(record: Record) -> list[Wire]:
    """`interaction.created` and the first status update."""
    status = "queued" if record.tier == "deferred" else "in_progress"
    return [
        {"interaction": {**_head(record), "status": status}, "event_type": "interaction.created"},
        {"interaction_id": record.shown_id, "status": "in_progress", "event_type": "interaction.status_update"},
    ]


def closing_events(record: Record) -> list[Wire]:
    """`interaction.completed` of a record that ended, whatever its status; it carries no steps."""
    if not meaning_of(record.status).ends_wait:
        return []
    interaction: Wire = {
        **_head(record),
        "status": record.status,
        "created": timestamp(record.created),
        "updated": timestamp(record.updated),
        "service_tier": record.tier,
    }
    if record.usage is not None:
        interaction["usage"] = record.usage
    if record.errors:
        interaction["errors"] = record.errors
    if record.continuation_token is not None:
        interaction["continuation_token"] = record.continuation_token
    return [{"interaction": interaction, "event_type": "interaction.completed"}]


def step_events(index: int, step: Step, *, text_in_start: bool = False) -> list[Wire]:
    """`step.start`, deltas and `step.stop` of one step that is complete."""
    start, deltas = _split(step.to_wire())
    if text_in_start and deltas and deltas[0]["type"] == "text":
        start = {"content": [deltas[0]], **start}
        deltas = deltas[1:]
    return [
        {"index": index, "step": start, "event_type": "step.start"},
        *({"index": index, "delta": delta, "event_type": "step.delta"} for delta in deltas),
        {"index": index, "event_type": "step.stop"},
    ]


def event_id(record: Record, place: int) -> str:
    """The cursor of the event at a place (0 is the first): opaque to callers, of this interaction only."""
    return f"ev_{record.id[-6:]}_{place + 1:04d}"


def place_of(record: Record, cursor: str) -> int | None:
    """The place a cursor stands for; None where it is none of this record's."""
    head, _, number = cursor.rpartition("_")
    if head != f"ev_{record.id[-6:]}" or not re.fullmatch(r"[0-9]{4,12}", number):
        return None
    return int(number) - 1


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as the API writes them: "2026-11-20T09:00:00Z"."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _head(record: Record) -> Wire:
    head: Wire = {"id": record.shown_id, "object": "interaction", **record.who}
    if record.environment_id is not None:
        head["environment_id"] = record.environment_id
    return head


def _split(wire: Wire) -> tuple[Wire, list[Wire]]:
    """What `step.start` holds of a step, and the deltas that bring the rest."""
    kind = wire.get("type")
    if kind == "model_output" and isinstance(wire.get("content"), list):
        start = {name: value for name, value in wire.items() if name != "content"}
        return start, [delta for content in wire["content"] for delta in _content(content)]
    if kind == "thought":
        start = {name: value for name, value in wire.items() if name not in ("summary", "signature")}
        deltas = [{"content": item, "type": "thought_summary"} for item in wire.get("summary") or ()]
        if wire.get("signature"):
            deltas.append({"signature": wire["signature"], "type": "thought_signature"})
        return start, deltas
    if kind == "function_call":
        text = json.dumps(wire.get("arguments", {}), separators=(",", ":"), ensure_ascii=False)
        pieces = [{"arguments": piece, "type": "arguments_delta"} for piece in json_pieces(text)]
        return {"signature": "", **wire, "arguments": {}}, pieces
    if kind in _WHOLE:
        key = "call_id" if "call_id" in wire else "id"
        start = {name: wire[name] for name in (key, "type", "name", "server_name", "search_type") if name in wire}
        rest = {name: value for name, value in wire.items() if name not in ("id", "search_type")}
        if kind != "function_result":
            rest.pop("call_id", None)
            start["signature"] = ""
        return start, [rest]
    return wire, []


def _content(content: Wire) -> Iterator[Wire]:
    if content.get("type") != "text":
        yield content
        return
    for piece in pieces_of(content["text"]):
        yield {"text": piece, "type": "text"}
    if content.get("annotations"):
        yield {"annotations": content["annotations"], "type": "text_annotation_delta"}


def pieces_of(text: str) -> list[str]:
    """A text as a stream brings it: some words at a time, in two pieces at least."""
    return _halves(_words(text))


def json_pieces(text: str) -> list[str]:
    """JSON as a stream brings it: some letters at a time, in two pieces at least."""
    return _halves(_chunks(text, 16))


def _words(text: str) -> list[str]:
    size = max(_PIECE, len(text) // _MAX_PIECES)
    pieces: list[str] = []
    piece = ""
    for word in _WORD.findall(text):
        piece += word
        if len(piece) >= size:
            pieces.append(piece)
            piece = ""
    return [*pieces, piece] if piece else pieces


def _chunks(text: str, size: int) -> list[str]:
    size = max(size, len(text) // _MAX_PIECES)
    return [text[start : start + size] for start in range(0, len(text), size)]


def _halves(pieces: list[str]) -> list[str]:
    """At least two pieces: a single one is cut in the middle."""
    if len(pieces) > 1:
        return pieces
    text = pieces[0] if pieces else ""
    middle = (len(text) + 1) // 2
    return [text[:middle], text[middle:]]
