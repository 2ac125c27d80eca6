"""Bytes in, events out, whatever the cuts."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.backends.gemini.sse import Decoder
from bridge.interactions import Event, StepDelta, TextDelta, Unknown
from tests.backends.gemini.wire import SAMPLES, sample

pytestmark = pytest.mark.covers("gemini:sse")

CREATED = '{"event_type":"interaction.created","interaction":{"id":"v1_a","status":"in_progress"}}'


def decoded(*chunks: bytes) -> tuple[list[Event], Decoder]:
    decoder = Decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return [*events, *decoder.end()], decoder


def delta(text: str, index: int = 0) -> dict[str, Any]:
    return {"event_type": "step.delta", "index": index, "delta": {"type": "text", "text": text}}


def text_of(events: list[Event]) -> str:
    return "".join(
        event.delta.text for event in events if isinstance(event, StepDelta) and isinstance(event.delta, TextDelta)
    )


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[a:b] for a, b in pairwise(edges)]


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=6),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    places=st.lists(st.integers(0, 5_000), max_size=12),
    mark=st.booleans(),
    ascii=st.booleans(),
)
def test_any_chunking_and_line_ending_gives_the_same_events(
    texts: list[str], ending: str, places: list[int], mark: bool, ascii: bool
) -> None:
    """Characters of several bytes, a byte-order mark, comments and unused fields are cut anywhere."""
    frames = [
        f": note{ending}id: 7{ending}retry: 10{ending}event: step.delta{ending}"
        f"data: {json.dumps(delta(text), ensure_ascii=ascii)}{ending}{ending}"
        for text in texts
    ]
    body = ("\ufeff" * mark + "".join(frames) + f"data: [DONE]{ending}{ending}").encode()
    events, decoder = decoded(*cut(body, places))
    assert [event.to_wire() for event in events] == [delta(text) for text in texts]
    assert decoder.done
    assert decoder.error == ""


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.sse")), ids=lambda path: path.name)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100_000])
def test_every_sample_gives_its_data_lines(path: Any, size: int) -> None:
    """One event for each data line, equal to it, in whatever pieces it comes."""
    body = path.read_bytes()
    events, decoder = decoded(*[body[i : i + size] for i in range(0, len(body), size)])
    wanted = [json.loads(row) for row in re.findall(rb"^data: (\{.*)$", body, re.MULTILINE)]
    assert [event.to_wire() for event in events] == wanted
    assert decoder.done == (b"[DONE]" in body)


def test_data_in_several_lines_is_one_value() -> None:
    """Lines of data are joined; the blank after the colon may be missing."""
    body = b'data: {"event_type": "step.delta",\ndata:"index": 0,\ndata: "delta": {"type": "text", "text": "a"}}\n\n'
    assert text_of(decoded(body)[0]) == "a"


def test_an_event_of_many_mib_costs_what_its_bytes_cost() -> None:
    """Each byte is looked at a fixed number of times, however small the pieces are."""
    body = b"data: " + json.dumps(delta("x" * (24 << 20))).encode() + b"\n\n"
    events, _ = decoded(*[body[i : i + 4096] for i in range(0, len(body), 4096)])
    assert len(text_of(events)) == 24 << 20


def test_nothing_after_done_counts() -> None:
    """[DONE] ends the stream, also inside a chunk."""
    events, decoder = decoded(f"data: {CREATED}\n\ndata: [DONE]\n\ndata: {CREATED}\n\ndata: {CREATED}".encode())
    assert len(events) == 1
    assert decoder.done


def test_what_is_not_json_is_kept_as_it_came() -> None:
    """An event whose data cannot be read is passed on, not dropped and not raised."""
    events, _ = decoded(b'data: {"index": \n\ndata: 5\n\ndata:  {"a": 1} \n\ndata: {} \n\n')
    assert [type(event) for event in events] == [Unknown] * 4
    assert [event.to_wire() for event in events] == ['{"index": ', 5, {"a": 1}, {}]


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    """A broken character costs itself, not the event."""
    body = json.dumps(delta("a?b")).encode().replace(b"?", b"\xff")
    assert text_of(decoded(b"data: " + body + b"\n\n")[0]) == "a\ufffdb"


def test_a_whole_event_at_the_very_end_counts_and_a_torn_one_does_not() -> None:
    """The blank line after the last event may be lost with the connection."""
    whole = f"data: {CREATED}"
    assert len(decoded(whole.encode())[0]) == 1
    assert len(decoded(f"{whole}\n".encode())[0]) == 1
    for end in range(6, len(whole)):
        assert decoded(whole[:end].encode())[0] == []


@pytest.mark.parametrize("name", ["04d_research_cut_at_600s.sse"])
def test_raw_json_of_an_error_at_the_end_is_told(name: str) -> None:
    """The service's front end cuts a stream with a JSON array in place of an event."""
    events, decoder = decoded(sample(name))
    assert len(events) == 5
    assert not decoder.done
    assert decoder.error == "cancelled: The operation was cancelled."


def test_raw_json_in_the_middle_does_not_stop_what_follows() -> None:
    """Both the error and the events around it come through; other stray lines are ignored."""
    error = '{\n  "error": {"code": "overloaded", "message": "Later."}\n}'
    events, decoder = decoded(f"data: {CREATED}\n\n{error}\ndata: {CREATED}\n\n".encode())
    assert len(events) == 2
    assert decoder.error == "overloaded: Later."
    assert decoded(b"stray\n\nlines {\n")[1].error == ""
    assert decoded(b'{"error": "plain"}')[1].error == "plain"


def test_stray_bytes_are_kept_up_to_a_bound() -> None:
    """A stream that is none (a page, say) does not fill the memory."""
    decoder = Decoder()
    for _ in range(3_000):
        assert list(decoder.feed(b"<p>" + b"x" * 100 + b"\n")) == []
    assert decoder._stray_size < 70_000


def test_the_id_of_a_torn_first_event_is_found() -> None:
    """From the id's closing quote on, the interaction can be asked for."""
    text = f"event: interaction.created\ndata: {CREATED}"
    end = text.index("v1_a") + len("v1_a")
    assert decoded(text[:end].encode())[1].torn_id() == ""
    assert decoded(text[: end + 1].encode())[1].torn_id() == "v1_a"
    assert decoded(b'data: {"interaction":{"id":""')[1].torn_id() == ""
