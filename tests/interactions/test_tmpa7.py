"""From a stream to what the unstreamed answer would have been: the known traps, one by one, and any stream at all."""

from __future__ import annotations

import json
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import given, settings, HealthCheck
from hypothesis import strategies as st

from bridge.interactions import (
    NOT_STREAMED,
    Assembler,
    FunctionCall,
    Interaction,
    ModelOutput,
    TextContent,
    Unknown,
    Usage,
    assemble,
    parse_event,
)
from tests.interactions.samples import events_of, json_of, streams
from tests.interactions.streams import completed, created, parsed, step, streamed, unstreamed, wild_events

# stream -> the unstreamed answer of the same turn, and the fields that the service itself answers differently
TWINS: dict[str, tuple[str, set[str]]] = {
    "01_text.sse": ("01_text.response.json", set()),
    "01b_text_first_chunk_in_step_start.sse": ("01_text.response.json", set()),
    "02_tool_turn1.sse": ("02_tool_turn1.response.json", set()),
    "02_tool_turn2.sse": ("02_tool_turn2.response.json", set()),
    "03_code.sse": ("03_code.response.json", set()),
    "06_search.sse": ("06_search.response.json", set()),
    "07_hop1.sse": ("07_hop1.response.json", set()),
    # A read stamps `created` anew when the run has ended.
    "04c_research_replay_from_start.sse": ("04_research_poll_done.response.json", {"created"}),
}


def text(*pieces: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": piece} for piece in pieces]


def whole(*events: dict[str, Any]) -> Interaction:
    """The interaction of a complete stream with these events in its middle."""
    return assemble(parsed([created(), *events, completed()]))


def steps_of(interaction: Interaction) -> Any:
    return interaction.to_wire()["steps"]


@pytest.mark.covers("model:assemble:twins")
@pytest.mark.parametrize(("stream", "answer", "later"), [(name, *twin) for name, twin in TWINS.items()])
def test_stream_comes_to_the_unstreamed_answer_in_every_field_but_those_it_does_not_carry(
    stream: str, answer: str, later: set[str]
) -> None:
    """Field by field, and the fields left out are those of the list beside `assemble`."""
    assembled, wanted = assemble(parsed(events_of(stream))).to_wire(), json_of(answer)
    if stream.startswith("04c"):  # a read repeats the input
        wanted["steps"] = [one for one in wanted["steps"] if one["type"] != "user_input"]
    assert {name for name in wanted if name not in assembled} <= NOT_STREAMED | later
    assert {name: value for name, value in assembled.items() if name not in later} == {
        name: value for name, value in wanted.items() if name not in NOT_STREAMED | later
    }


@pytest.mark.covers("model:assemble:not-streamed")
def test_what_a_stream_does_not_carry_is_a_list_of_fields_of_the_interaction() -> None:
    """Names of fields that exist, and none that a stream does carry."""
    assert {*Interaction.model_fields} > NOT_STREAMED
    carried = {name for stream in streams() for event in events_of(stream) for name in event.get("interaction", {})}
    assert not carried & NOT_STREAMED


@pytest.mark.covers("model:trap:first-chunk")
def test_first_chunk_of_text_may_sit_in_step_start() -> None:
    """A reader of deltas alone would lose the beginning."""
    start = {"type": "model_output", "content": text("Once upon")}
    interaction = whole(*step(0, start, *text(" a time")))
    assert interaction.output_text == "Once upon a time"
    assert steps_of(interaction) == [{"type": "model_output", "content": text("Once upon a time")}]


@pytest.mark.covers("model:trap:first-chunk")
def test_first_summary_and_signature_of_a_thought_may_sit_in_step_start() -> None:
    """And go on in deltas."""
    start = {"type": "thought", "summary": text("a"), "signature": "c2ln"}
    assert steps_of(whole(*step(0, start, {"type": "thought_summary", "content": text("b")[0]}))) == [
        {"type": "thought", "summary": text("a", "b"), "signature": "c2ln"}
    ]


@pytest.mark.covers("model:trap:index")
def test_deltas_belong_to_the_step_of_their_index() -> None:
    """Also where steps are sent interleaved, and out of order."""
    events = [
        {"event_type": "step.start", "index": 3, "step": {"type": "model_output"}},
        {
            "event_type": "step.start",
            "index": 1,
            "step": {"type": "function_call", "id": "c", "name": "f", "arguments": {}},
        },
        {"event_type": "step.delta", "index": 3, "delta": text("a")[0]},
        {"event_type": "step.delta", "index": 1, "delta": {"type": "arguments_delta", "arguments": '{"x":'}},
        {"event_type": "step.delta", "index": 3, "delta": text("b")[0]},
        {"event_type": "step.delta", "index": 1, "delta": {"type": "arguments_delta", "arguments": "1}"}},
        {"event_type": "step.stop", "index": 1},
        {"event_type": "step.stop", "index": 3},
    ]
    assert steps_of(whole(*events)) == [
        {"type": "function_call", "id": "c", "name": "f", "arguments": {"x": 1}},
        {"type": "model_output", "content": text("ab")},
    ]


@pytest.mark.covers("model:trap:arguments")
def test_arguments_arrive_as_pieces_of_a_json_string() -> None:
    """Cut anywhere, also inside an escape."""
    arguments = {"city": "Z\u00fcrich \U0001f600", "n": [1, {"deep": None}]}
    raw = json.dumps(arguments)
    start = {"type": "function_call", "id": "c", "name": "f", "arguments": {}, "signature": ""}
    for cut in range(len(raw) + 1):
        deltas = [{"type": "arguments_delta", "arguments": piece} for piece in (raw[:cut], raw[cut:])]
        interaction = whole(*step(0, start, *deltas))
        assert steps_of(interaction) == [{"type": "function_call", "id": "c", "name": "f", "arguments": arguments}]
    assert whole(*step(0, start)).pending_calls == [FunctionCall(id="c", name="f", arguments={})]


@pytest.mark.covers("model:trap:arguments")
@pytest.mark.parametrize("raw", ['{"city": "Lis', "[1]", "nothing", "[" * 100_000, '"text"'])
def test_arguments_that_are_no_json_object_are_kept_and_never_called(raw: str) -> None:
    """No guess at what was meant: the step is there, as an unknown, and no call waits."""
    start = {"type": "function_call", "id": "c", "name": "f", "arguments": {}}
    interaction = whole(*step(0, start, {"type": "arguments_delta", "arguments": raw}))
    kept = (interaction.steps or [])[0]
    assert isinstance(kept, Unknown)
    assert kept.arguments in (raw, json.loads(raw) if raw in ("[1]", '"text"') else raw)
    assert interaction.pending_calls == []


@pytest.mark.covers("model:trap:arguments")
def test_arguments_of_a_stream_that_broke_off_are_kept_and_never_called() -> None:
    """A call with half its arguments is no call with none."""
    events = step(
        0,
        {"type": "function_call", "id": "c", "name": "f", "arguments": {}},
        {"type": "arguments_delta", "arguments": "{"},
    )
    interaction = assemble(parsed([created(), *events[:-1]]))
    assert interaction.pending_calls == []
    assert steps_of(interaction)[0]["arguments"] == "{"
    assert assemble(parsed([created(), *events[:-1], completed()])).pending_calls == []


@pytest.mark.covers("model:trap:media")
@pytest.mark.parametrize("kind", ["image", "video", "document"])
def test_media_is_replaced_not_appended(kind: str) -> None:
    """A medium comes whole: a later one takes the earlier one's place, and no base64 is ever joined."""
    first, second = ({"type": kind, "data": data, "mime_type": "x/y"} for data in ("QUFB", "QkJC"))
    blocks = [*text("see"), second]
    assert steps_of(whole(*step(0, {"type": "model_output"}, *text("see"), first, second))) == [
        {"type": "model_output", "content": blocks}
    ]
    announced = {"type": "model_output", "content": [{"type": kind, "mime_type": "x/y"}]}
    assert steps_of(whole(*step(0, announced, {"type": kind, "data": "QkJC"}))) == [
        {"type": "model_output", "content": [second]}
    ]
    begun = {"type": "model_output", "content": [first]}
    assert steps_of(whole(*step(0, begun, second))) == [{"type": "model_output", "content": [second]}]
    both = [first, *text("and"), second]
    assert steps_of(whole(*step(0, {"type": "model_output"}, *both))) == [{"type": "model_output", "content": both}]


@pytest.mark.covers("model:trap:media")
def test_chunks_of_sound_stay_blocks_of_their_own() -> None:
    """Each is base64 by itself, so joining their texts would break them."""
    chunks = [{"type": "audio", "data": data, "mime_type": "audio/l16"} for data in ("QQ==", "QkI=")]
    assert steps_of(whole(*step(0, {"type": "model_output"}, *chunks))) == [{"type": "model_output", "content": chunks}]


@pytest.mark.covers("model:trap:continuation")
def test_one_stream_may_hold_several_completed_hops() -> None:
    """As the official client merges them: steps follow one another, usages are summed, the id is the last one's."""
    first = events_of("07_hop1.sse")
    answer = json_of("07_hop2.response.json")
    end = {key: value for key, value in answer.items() if key not in {"steps", *NOT_STREAMED}}
    repeated = [{"type": "user_input", "content": text("again")}, *answer["steps"]]
    second = [{"event_type": "interaction.created", "interaction": {"id": answer["id"], "status": "in_progress"}}]
    for index, one in enumerate(repeated):
        second += step(index, one)
    second.append({"event_type": "interaction.completed", "interaction": end})
    interaction = assemble(parsed([*first, *second]))
    one = json_of("07_hop1.response.json")
    assert (interaction.id, interaction.status, interaction.created) == (answer["id"], "completed", one["created"])
    assert interaction.continuation_ids == [one["id"], answer["id"]]
    assert steps_of(interaction) == [*one["steps"], *answer["steps"]]
    assert interaction.output_text == "Part one, part two."
    assert isinstance(interaction.usage, Usage)
    for name in ("total_tokens", "total_output_tokens", "total_input_tokens"):
        assert getattr(interaction.usage, name) == one["usage"][name] + answer["usage"][name]
    assert interaction.continuation_token is None


@pytest.mark.covers("model:trap:continuation")
def test_hops_are_merged_as_the_official_client_merges_them() -> None:
    """Its own merge of two unstreamed hops gives what our two streamed ones give."""
    from google.genai._interactions_continuation import merge_unary_hops

    usages = [
        {"total_tokens": 3, "total_input_tokens": 1, "input_tokens_by_modality": [{"modality": "text", "tokens": 1}]},
        {
            "total_tokens": 4,
            "input_tokens_by_modality": [{"modality": "text", "tokens": 2}, {"modality": "image", "tokens": 5}],
        },
        {"total_tokens": 5, "total_input_tokens": 2, "grounding_tool_count": [{"type": "google_search", "count": 1}]},
    ]
    hops: list[dict[str, Any]] = [
        {
            "id": f"v1_{n}",
            "status": status,
            "created": f"t{n}",
            "steps": [{"type": "model_output", "content": text(f"{n}")}],
            "usage": usage,
        }
        for n, (status, usage) in enumerate(
            zip(("requires_continuation", "requires_continuation", "completed"), usages, strict=True)
        )
    ]
    events = []
    for hop in hops:
        events.append(created(id=hop["id"]))
        events += step(0, hop["steps"][0])
        events.append(completed(**{key: value for key, value in hop.items() if key != "steps"}))
    wanted = {key: value for key, value in merge_unary_hops(hops).items() if value is not None}
    assert assemble(parsed(events)).to_wire() == wanted


@pytest.mark.covers("model:trap:continuation")
def test_hops_without_ids_are_told_apart_where_nothing_is_stored() -> None:
    """Ids are empty then; a new beginning after a hop that must go on is the next hop."""
    events = [
        created(id=""),
        *step(0, {"type": "model_output"}, *text("a")),
        completed(id="", status="requires_continuation", continuation_token="T"),
        *step(0, {"type": "model_output"}, *text("b")),
        completed(id=""),
    ]
    interaction = assemble(parsed(events))
    assert (interaction.output_text, interaction.status, interaction.id) == ("ab", "completed", "")
    assert interaction.continuation_ids == []
    assert "previous_interaction_id" not in interaction.to_wire()


@pytest.mark.covers("model:trap:continuation")
def test_a_token_sent_on_the_way_does_not_outlive_the_end() -> None:
    """The end says whether there is more."""
    update = {
        "event_type": "interaction.status_update",
        "interaction_id": "v1_a",
        "status": "in_progress",
        "continuation_token": "T",
    }
    assert assemble(parsed([created(), update])).continuation_token == "T"
    assert assemble(parsed([created(), update, completed()])).continuation_token is None
    more = completed(status="requires_continuation", continuation_token="U")
    assert assemble(parsed([created(), update, more])).continuation_token == "U"


@pytest.mark.covers("model:trap:replay")
def test_what_comes_again_changes_nothing() -> None:
    """A replay from the start, a second end, an update after the end: the same interaction, its usage counted once."""
    for name in TWINS:
        events = parsed(events_of(name))
        once = assemble(events)
        assert assemble([*events, *events]) == once, name
        assert assemble([*events, events[-1], events[-1]]) == once, name
        assert assemble([*events, *(event for event in events if event.event_type == "error")]) == once
    hop = [created(), completed(status="requires_continuation", usage={"total_tokens": 2})]
    late = {"event_type": "interaction.status_update", "interaction_id": "v1_a", "status": "requires_continuation"}
    again = assemble(parsed([*hop, hop[-1], late]))
    assert isinstance(again.usage, Usage)
    assert (again.usage.total_tokens, again.continuation_ids) == (2, None)
    other = {"event_type": "interaction.status_update", "interaction_id": "v1_b", "status": "in_progress"}
    assert assemble(parsed([*hop, other])).continuation_ids == ["v1_a", "v1_b"]


@pytest.mark.covers("model:trap:completed")
def test_completed_carries_no_steps_and_where_it_does_they_are_the_answer() -> None:
    """The steps come from the stream; an end that holds them anyway is right."""
    body = step(0, {"type": "model_output"}, *text("streamed"))
    assert whole(*body).output_text == "streamed"
    steps = [{"type": "model_output", "content": text("told")}]
    nothing: list[dict[str, Any]] = [{}, {"steps": []}, {"steps": None}]
    for empty in nothing:
        assert assemble(parsed([created(), *body, completed(**empty)])).output_text == "streamed"
    assert assemble(parsed([created(), *body, completed(steps=steps)])).to_wire()["steps"] == steps


@pytest.mark.covers("model:trap:usage")
def test_usage_may_be_absent_live_and_present_later() -> None:
    """Absent is None, not zero; one that was sent on the way counts where the end has none."""
    live = assemble(parsed(events_of("05_agent_stream.sse")))
    assert live.usage is None
    later = Interaction.parse(json_of("04_research_poll_done.response.json"))
    assert isinstance(later.usage, Usage)
    assert later.usage.total_tokens
    update = {
        "event_type": "interaction.status_update",
        "interaction_id": "v1_a",
        "status": "in_progress",
        "usage": {"total_tokens": 5},
    }
    assert assemble(parsed([created(), update, completed()])).usage == Usage(total_tokens=5)
    assert assemble(parsed([created(), update, completed(usage={"total_tokens": 9})])).usage == Usage(total_tokens=9)


@pytest.mark.covers("model:trap:pending")
def test_a_call_is_pending_unless_a_result_of_its_id_is_there() -> None:
    """Agents' own file tools come as pairs that the server made."""
    agent = assemble(parsed(events_of("05_agent_stream.sse")))
    assert [one["type"] for one in steps_of(agent)] == ["function_call", "function_result"]
    assert agent.pending_calls == []
    waiting = Interaction.parse(json_of("05_agent_requires_action.response.json"))
    calls = [one for one in waiting.steps or [] if isinstance(one, FunctionCall)]
    assert len(calls) > len(waiting.pending_calls) == 1
    assert waiting.pending_calls[0] is calls[-1]


@pytest.mark.covers("model:assemble:annotations")
def test_annotations_finish_a_text_and_what_follows_is_the_next_one() -> None:
    """In one delta or several, under the present name or the old one, after a picture too."""
    cite = {"type": "url_citation", "url": "u"}
    note = {"type": "text_annotation_delta", "annotations": [cite]}
    old = {"type": "text_annotation", "annotations": [cite]}
    first = {**text("a")[0], "annotations": [cite, cite]}
    image = {"type": "image", "uri": "i"}
    assert steps_of(whole(*step(0, {"type": "model_output"}, *text("a"), note, old, *text("b"))))[0]["content"] == [
        first,
        *text("b"),
    ]
    assert steps_of(whole(*step(0, {"type": "model_output"}, *text("a"), image, note, note)))[0]["content"] == [
        first,
        image,
    ]
    assert steps_of(whole(*step(0, {"type": "model_output"}, note)))[0]["content"] == [
        {**text("")[0], "annotations": [cite]}
    ]


@pytest.mark.covers("model:assemble:unknown")
def test_unknown_deltas_and_fields_reach_the_step() -> None:
    """Nothing that a later version sends is lost on the way."""
    delta = {"type": "text", "text": "b", "tone": "warm"}
    interaction = whole(
        *step(0, {"type": "model_output"}, *text("a"), delta, *text("c")),
        *step(1, {"type": "dream", "depth": 1}, {"type": "dream_more", "colour": "blue", "signature": ""}),
        {"event_type": "step.delta", "index": 2, "delta": {"type": "vision", "sight": 1}},
        {"event_type": "step.paused", "index": 0},
    )
    assert steps_of(interaction) == [
        {"type": "model_output", "content": [{"type": "text", "text": "abc", "tone": "warm"}]},
        {"type": "dream", "depth": 1, "colour": "blue"},
        {"type": "vision", "sight": 1},
    ]


@pytest.mark.covers("model:assemble:unknown")
def test_deltas_without_a_start_make_the_step_they_must_belong_to() -> None:
    """As after a resumed stream whose beginning is lost."""
    deltas = [
        text("a")[0],
        {"type": "thought_summary", "content": text("b")[0]},
        {"type": "thought_signature", "signature": "s"},
    ]
    deltas += [{"type": "image", "uri": "i"}]
    events = [{"event_type": "step.delta", "index": n, "delta": delta} for n, delta in enumerate(deltas)]
    assert steps_of(whole(*events)) == [
        {"type": "model_output", "content": text("a")},
        {"type": "thought", "summary": text("b")},
        {"type": "thought", "signature": "s"},
        {"type": "model_output", "content": [{"type": "image", "uri": "i"}]},
    ]


@pytest.mark.covers("model:assemble:errors")
def test_errors_inside_a_stream_are_kept_and_told_once() -> None:
    """Also one after the end, one of another shape, and one that the end repeats."""
    error = {"code": "api_error", "message": "m"}
    event = {"event_type": "error", "error": error}
    recorded = assemble(parsed(events_of("08_error_event.sse"))).to_wire()
    assert recorded["errors"]
    assert assemble(parsed([created(), event])).to_wire() == {"id": "v1_a", "status": "in_progress", "errors": [error]}
    assert assemble(parsed([created(), completed(), event])).to_wire()["errors"] == [error]
    told = completed(status="failed", errors=[error])
    assert assemble(parsed([created(), event, told])).to_wire()["errors"] == [error]
    odd = {"event_type": "error", "error": {"code": {"deep": 1}}}
    assert assemble(parsed([odd, {"event_type": "error"}])).to_wire()["errors"] == [odd["error"]]
    hops = [
        created(),
        event,
        completed(status="requires_continuation"),
        created(id="v1_b"),
        event,
        completed(id="v1_b"),
    ]
    assert assemble(parsed(hops)).to_wire()["errors"] == [error, error]


@pytest.mark.covers("model:assemble:partial")
@pytest.mark.parametrize("name", streams())
def test_a_stream_cut_after_any_event_gives_what_had_arrived(name: str) -> None:
    """Never an error; id and status as soon as they are known; text that only grows."""
    events = parsed(events_of(name))
    cuts = [assemble(events[:count]) for count in range(len(events) + 1)]
    assert cuts[0] == Interaction()
    for shorter, longer in pairwise(cuts):
        assert longer.id == shorter.id or not shorter.id
        assert len(longer.steps or []) >= len(shorter.steps or [])
    assembler = Assembler()
    for event, cut in zip(events, cuts[1:], strict=True):
        assembler.add(event)
        assert assembler.interaction() == cut
        assert (assembler.id, assembler.status) == (cut.id, cut.status)


@pytest.mark.covers("model:assemble:snapshots")
def test_a_snapshot_does_not_change_as_the_stream_goes_on() -> None:
    """Also where it holds what is not known."""
    events = parsed(
        [
            created(),
            *step(0, {"type": "dream", "notes": [1]}, *text("a", "b")),
            *step(1, {"type": "model_output"}, *text("c", "d")),
        ]
    )
    assembler = Assembler()
    taken = []
    for event in events:
        assembler.add(event)
        snapshot = assembler.interaction()
        taken.append((snapshot, json.dumps(snapshot.to_wire())))
    assert [json.dumps(snapshot.to_wire()) for snapshot, _ in taken] == [text for _, text in taken]


@pytest.mark.covers("model:assemble:snapshots")
def test_the_id_stays_known_between_hops() -> None:
    """The next hop's id is not there yet; the last one's is what can be read."""
    assembler = Assembler()
    assert (assembler.id, assembler.status) == ("", "")
    for event in parsed([created(), completed(status="requires_continuation"), created(id="")]):
        assembler.add(event)
        assert assembler.id == "v1_a"
    assert assembler.status == "in_progress"


@pytest.mark.covers("model:assemble:linear")
def test_a_long_answer_costs_time_in_proportion_to_its_length() -> None:
    """Counted in pieces copied, not in seconds: the text is joined once, however many deltas it came in."""
    assembler = Assembler()
    assembler.add(parse_event({"event_type": "step.start", "index": 0, "step": {"type": "model_output"}}))
    for _ in range(1_000):
        assembler.add(parse_event({"event_type": "step.delta", "index": 0, "delta": text("word ")[0]}))
    (pieces,) = assembler._hop.texts.values()
    assert len(pieces) == 1_001
    assert assembler.interaction().output_text == "word " * 1_000


@pytest.mark.covers("model:assemble:generated")
@settings(max_examples=1500, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_stream_of_an_answer_comes_to_the_answer(data: st.DataObject) -> None:
    """Texts and arguments cut anywhere, first pieces in `step.start` or not, annotations in one delta or two."""
    answer = data.draw(unstreamed())
    events = data.draw(streamed(answer))
    assert assemble(parsed(events)).to_wire() == answer


@pytest.mark.covers("model:assemble:generated")
@settings(max_examples=1500, suppress_health_check=list(HealthCheck))
@given(wild_events())
def test_no_events_in_any_order_raise(events: list[Any]) -> None:
    """Whatever was sent, there is an interaction, and it reads."""
    known = parsed(events)
    for interaction in (assemble(known), *accumulate(known, lambda _, event: assemble([event]), initial=Interaction())):
        assert isinstance(interaction, Interaction)
        json.dumps(interaction.to_wire())
        assert isinstance(interaction.output_text, str)


@pytest.mark.covers("model:assemble:generated")
@settings(max_examples=1500, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_stream_cut_anywhere_gives_a_part_of_the_answer(data: st.DataObject) -> None:
    """Every step that is there is the answer's own, or the beginning of it."""
    answer = data.draw(unstreamed())
    events = data.draw(streamed(answer))
    cut = assemble(parsed(events[: data.draw(st.integers(0, len(events)))])).to_wire()
    for mine, wanted in zip(cut.get("steps", []), answer["steps"], strict=False):
        assert mine["type"] == wanted["type"]
        if mine["type"] == "model_output" and mine.get("content"):
            block, full = mine["content"][0], wanted["content"][0]
            assert str(full.get("text", "")).startswith(str(block.get("text", "")))


@pytest.mark.covers("model:assemble:twins")
def test_output_is_typed() -> None:
    """What was assembled is the same model as an unstreamed answer."""
    output = (whole(*step(0, {"type": "model_output"}, *text("a"))).steps or [])[0]
    assert isinstance(output, ModelOutput)
    assert output.content == [TextContent(text="a")]
