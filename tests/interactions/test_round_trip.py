"""Parse and dump lose nothing: for every wire sample, at every level of it, and for values nobody has sent yet."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.interactions import (
    CreateAgentInteraction,
    CreateModelInteraction,
    Interaction,
    Model,
    Unknown,
    parse_event,
)
from tests.interactions import strategies
from tests.interactions.samples import delivery, events_of, json_of, json_samples, streams, type_of


def same(dumped: Any, given: Any) -> bool:
    """Whether two values are the same JSON, with 1 and true, and 1 and 1.0 told apart by their texts where Python does not."""
    a, b = json.dumps(dumped, sort_keys=True), json.dumps(given, sort_keys=True)
    return a == b or (json.loads(a) == json.loads(b) and a.replace(".0", "") == b.replace(".0", ""))


def parts_of(value: Any, wire: Any, path: str = "$") -> list[str]:
    """Where a parsed value and the JSON it came from differ, or hold an `Unknown`, at any level."""
    if isinstance(value, Unknown):
        return [f"{path}: {value!r}"]
    if isinstance(value, Model):
        found = [] if same(value.to_wire(), wire) else [f"{path}: {value.to_wire()} is not {wire}"]
        for name in value.model_fields_set - {*(value.model_extra or {})}:
            key = type(value).model_fields[name].alias or name
            found += parts_of(getattr(value, name), wire[key], f"{path}.{key}")
        return found
    if isinstance(value, list):
        return [
            row
            for n, (item, raw) in enumerate(zip(value, wire, strict=True))
            for row in parts_of(item, raw, f"{path}[{n}]")
        ]
    return []


@pytest.mark.covers("model:lossless:samples")
@pytest.mark.parametrize("stem", json_samples())
def test_json_sample_comes_back_as_it_was_at_every_level_and_holds_nothing_unknown(stem: str) -> None:
    """Each recorded request and answer fits its type, and so does each part of it."""
    wire = json_of(f"{stem}.json")
    assert parts_of(type_of(stem).parse(wire), wire) == []


@pytest.mark.covers("model:lossless:samples")
@pytest.mark.parametrize("name", streams())
def test_recorded_event_comes_back_as_it_was_at_every_level_and_is_not_unknown(name: str) -> None:
    """Each event of each recorded stream, with its step or delta."""
    events = events_of(name)
    assert events
    assert [row for wire in events for row in parts_of(parse_event(wire), wire)] == []


@pytest.mark.covers("model:lossless:samples")
def test_recorded_webhook_delivery_comes_back_as_it_was() -> None:
    """The body of a delivery has a type of its own."""
    _, wire, kind = delivery()
    assert parts_of(kind.parse(wire), wire) == []


@pytest.mark.covers("model:kinds")
def test_samples_hold_every_kind_of_step_delta_and_event() -> None:
    """What the samples prove, they prove for all kinds but those that are newer than they."""
    from bridge.interactions import events, steps
    from bridge.interactions.steps import deltas, server_tools

    seen_events = [event for name in streams() for event in events_of(name)]
    met = {event["delta"]["type"] for event in seen_events if event["event_type"] == "step.delta"}
    newer = {"tool_search_call", "tool_search_result"}
    assert {*deltas.KINDS, *server_tools.DELTA_KINDS} - met == newer
    assert {event["event_type"] for event in seen_events} == {*events.KINDS}
    answers = [json_of(f"{stem}.json") for stem in json_samples() if stem.endswith("response")]
    assert {*steps.KINDS, *server_tools.STEP_KINDS} - {s["type"] for a in answers for s in a.get("steps", ())} == newer


@pytest.mark.covers("model:lossless:generated")
@settings(max_examples=settings().max_examples // 8)  # of each of a hundred types
@given(data=st.data())
@pytest.mark.parametrize("model", strategies.models(), ids=lambda model: model.__name__)
def test_any_value_of_a_type_comes_back_as_it_was(model: type[Model], data: st.DataObject) -> None:
    """Known fields in any combination, unknown ones beside them, nulls, huge numbers, fields named like methods."""
    wire = data.draw(strategies.of_model(model, strategies.WILD))
    before = json.dumps(wire)
    value = model.parse(wire)
    assert same(value.to_wire(), wire)
    assert same(model.parse(json.loads(json.dumps(value.to_wire()))).to_wire(), wire)
    assert json.dumps(wire) == before


@pytest.mark.covers("model:lossless:open")
@given(
    strategies.anything
    | strategies.with_a_wrong_field(Interaction).map(
        lambda one: {"event_type": "interaction.created", "interaction": one}
    )
)
def test_an_event_may_be_anything_and_comes_back_as_it_was(wire: Any) -> None:
    """Parsing an event never raises, whatever JSON came."""
    assert same(parse_event(wire).to_wire(), wire)


@pytest.mark.covers("model:lossless:open")
@given(st.data())
def test_events_of_known_kinds_with_wrong_parts_come_back_as_they_were(data: st.DataObject) -> None:
    """Steps, deltas and whole events that do not validate are kept raw."""
    from bridge.interactions.events import EVENT

    wire = data.draw(strategies.of_union(EVENT, strategies.WILD))
    assert same(parse_event(wire).to_wire(), wire)


@pytest.mark.covers("model:lossless:open")
@given(strategies.with_a_wrong_field(Interaction))
def test_an_interaction_with_a_field_of_another_type_is_kept_whole(wire: dict[str, Any]) -> None:
    """One field that does not fit costs neither the interaction nor its properties."""
    interaction = Interaction.parse(wire)
    assert same(interaction.to_wire(), wire)
    assert isinstance(interaction.output_text, str)
    assert isinstance(interaction.pending_calls, list)
    assert isinstance(interaction.output_content, list)


@pytest.mark.covers("model:lossless:depth")
@pytest.mark.parametrize("place", ["arguments", "extra", "unknown"])
def test_nesting_as_deep_as_json_can_be_read_is_written_again(place: str) -> None:
    """Depth of a call's arguments, of an unknown field and of an unknown kind."""
    deep = json.loads('{"a":[' * 400 + "1" + "]}" * 400)
    step = {"type": "function_call", "id": "c", "name": "f", "arguments": {}}
    if place == "arguments":
        step["arguments"] = deep
    elif place == "extra":
        step["later"] = deep
    else:
        step = {"type": "not_known_yet", "later": deep}
    wire = {"event_type": "step.start", "index": 0, "step": step}
    assert json.dumps(parse_event(wire).to_wire(), sort_keys=True) == json.dumps(wire, sort_keys=True)


@pytest.mark.covers("model:lossless:text")
@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\u0000", "👩‍👩‍👧", "\u2028"])
def test_text_that_is_hard_to_encode_comes_back_as_it_was(text: str) -> None:
    """Lone surrogates, which JSON can carry and UTF-8 cannot, in values and in names of fields."""
    wires: list[dict[str, Any]] = [
        {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": text}},
        {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "x", text: text}},
        {
            "event_type": "step.start",
            "index": 0,
            "step": {"type": "model_output", "content": [{"type": "text", "text": text}]},
        },
        {"event_type": "interaction.created", "interaction": {"id": text, "labels": {text: text}, text: 1}},
    ]
    for wire in wires:
        assert same(parse_event(wire).to_wire(), wire)
    for request in (CreateModelInteraction, CreateAgentInteraction):
        wire = {"model": "m", "agent": "a", "input": [{"type": "text", "text": text}]}
        assert same(request.parse(wire).to_wire(), wire)
