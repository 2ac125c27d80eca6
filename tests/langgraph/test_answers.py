"""Answers: the chunks of a stream, the message they make, and the same message from an unstreamed interaction."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from bridge.backend import Capabilities
from bridge.errors import InteractionFailed
from bridge.interactions import Interaction, Usage, assemble, parse_event
from bridge.langgraph.answers import Chunks, blocks_of, events_of, message_of, usage_of
from bridge.langgraph.messages import ANCHOR, PROVIDER
from bridge.sessions import Message, plan

ID = "v1_abc"
PLAN = plan([Message("user", "hi")], "s", Capabilities())


def created(**fields: Any) -> dict[str, Any]:
    return {
        "event_type": "interaction.created",
        "interaction": {"id": ID, "status": "in_progress", "model": "m", **fields},
    }


def completed(status: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"event_type": "interaction.completed", "interaction": {"id": ID, "status": status, "model": "m", **fields}}


def step(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"event_type": "step.start", "index": index, "step": start},
        *({"event_type": "step.delta", "index": index, "delta": delta} for delta in deltas),
        {"event_type": "step.stop", "index": index},
    ]


def say(index: int, *words: str) -> list[dict[str, Any]]:
    return step(index, {"type": "model_output"}, *({"type": "text", "text": word} for word in words))


def streamed(events: Iterable[dict[str, Any]], **options: Any) -> list[AIMessageChunk]:
    answer = Chunks(PLAN, **options)
    chunks = [chunk for event in events for chunk in answer.add(parse_event(event))]
    return [*chunks, *answer.last("asked")]


def merged(events: Iterable[dict[str, Any]], **options: Any) -> AIMessage:
    return message_of(streamed(events, **options))


def unstreamed(interaction: dict[str, Any], **options: Any) -> AIMessage:
    answer = Chunks(PLAN, **options)
    chunks = [chunk for event in events_of(Interaction.parse(interaction)) for chunk in answer.add(event)]
    return message_of([*chunks, *answer.last("asked")])


TEXT = [
    created(),
    *step(0, {"type": "thought"}, {"type": "thought_signature", "signature": "c2ln"}),
    *say(1, "Hello ", "there."),
    completed(),
]


@pytest.mark.covers("langgraph:chat:chunks")
def test_the_first_chunk_names_the_interaction_and_the_last_one_ends_it() -> None:
    """The id is known before the first word; status, model name and usage come once, at the end."""
    chunks = streamed(
        [*TEXT[:-1], completed(usage={"total_input_tokens": 3, "total_output_tokens": 2}, environment_id="e")]
    )
    assert [chunk.id for chunk in chunks] == [ID, None, None, None]
    assert [chunk.content for chunk in chunks] == ["", "Hello ", "there.", ""]
    assert [bool(chunk.usage_metadata) for chunk in chunks] == [False, False, False, True]
    assert chunks[-1].chunk_position == "last"
    assert chunks[-1].response_metadata == {
        "id": ID,
        "status": "completed",
        "model_name": "m",
        "model_provider": PROVIDER,
        "environment_id": "e",
    }
    assert all("status" not in chunk.response_metadata for chunk in chunks[:-1])


@pytest.mark.covers("langgraph:chat:chunks")
def test_text_that_is_in_the_start_of_a_step_is_not_lost() -> None:
    """The first piece of a text may sit in `step.start`."""
    start = {"type": "model_output", "content": [{"type": "text", "text": "Once upon"}]}
    assert (
        merged([created(), *step(0, start, {"type": "text", "text": " a time"}), completed()]).content
        == "Once upon a time"
    )


@pytest.mark.covers("langgraph:chat:chunks")
def test_arguments_stream_in_pieces() -> None:
    """Every piece is a chunk of the same call; together they are the call."""
    call = {"type": "function_call", "id": "k1", "name": "weather", "arguments": {}, "signature": ""}
    pieces = ({"type": "arguments_delta", "arguments": piece} for piece in ('{"city":', ' "Oslo"}'))
    other = step(2, {"type": "function_call", "id": "k2", "name": "now", "arguments": {}})
    chunks = streamed([created(), *say(0, "Look."), *step(1, call, *pieces), *other, completed("requires_action")])
    assert [(c["name"], c["args"], c["index"]) for chunk in chunks for c in chunk.tool_call_chunks] == [
        ("weather", "", 1),
        (None, '{"city":', 1),
        (None, ' "Oslo"}', 1),
        ("now", "", 2),
        (None, "{}", 2),
    ]
    message = message_of(chunks)
    assert message.tool_calls == [
        {"name": "weather", "args": {"city": "Oslo"}, "id": "k1", "type": "tool_call"},
        {"name": "now", "args": {}, "id": "k2", "type": "tool_call"},
    ]
    assert message.response_metadata["status"] == "requires_action"


@pytest.mark.covers("langgraph:chat:invalid-calls")
@pytest.mark.parametrize(
    "text", ['{"city": "Os', '{"city": "Os\\', '{"city"', "{city: 1}", "[1]", "7", '{"a": [1, ', "", "nonsense"]
)
def test_broken_arguments_never_become_a_call(text: str) -> None:
    """LangChain would mend them; here they are an invalid call, streamed or not. No arguments at all are an empty object."""
    call = {"type": "function_call", "id": "k1", "name": "f"}
    events = [
        created(),
        *step(0, {**call, "arguments": {}}, {"type": "arguments_delta", "arguments": text}),
        completed("incomplete"),
    ]
    plain = unstreamed({"id": ID, "status": "incomplete", "steps": [{**call, "arguments": text or {}}]})
    for message in (merged(events), plain):
        if text == "":
            assert (message.tool_calls[0]["args"], message.invalid_tool_calls) == ({}, [])
        else:
            assert message.tool_calls == []
            assert str(message.invalid_tool_calls[0]["args"]).startswith(text)


@pytest.mark.covers("langgraph:chat:server-calls")
def test_calls_that_an_agent_answers_itself_are_no_tool_calls() -> None:
    """With calls held back only the pending one shows, at the end; the pair is in the anchor's steps."""
    events = [
        created(),
        *step(0, {"type": "function_call", "id": "a", "name": "read_file", "arguments": {"path": "x"}}),
        *step(1, {"type": "function_result", "call_id": "a", "result": "text"}),
        *step(2, {"type": "function_call", "id": "b", "name": "ask", "arguments": {"who": "me"}}),
        *say(3, "Wait."),
        completed("requires_action"),
    ]
    message = merged(events, hold_calls=True)
    assert [call["id"] for call in message.tool_calls] == ["b"]
    assert [s["type"] for s in message.additional_kwargs[ANCHOR]["steps"]] == [
        "function_call",
        "function_result",
        "function_call",
        "model_output",
    ]


CODE = [
    *step(
        0,
        {"type": "thought"},
        {"type": "thought_summary", "content": {"type": "text", "text": "Let me "}},
        {"type": "thought_summary", "content": {"type": "text", "text": "count."}},
    ),
    *step(
        1,
        {"type": "code_execution_call", "id": "c"},
        {"type": "code_execution_call", "arguments": {"code": "print(1)", "language": "python"}},
    ),
    *step(
        2,
        {"type": "code_execution_result", "call_id": "c"},
        {"type": "code_execution_result", "result": "1\n", "is_error": False},
    ),
    *step(
        3,
        {"type": "model_output"},
        {"type": "text", "text": "Ås is "},
        {"type": "text", "text": "one."},
        {
            "type": "text_annotation_delta",
            "annotations": [{"type": "url_citation", "url": "https://x", "start_index": 0, "end_index": 3}],
        },
    ),
    *step(
        4,
        {"type": "model_output"},
        {"type": "image", "data": "AAAA", "mime_type": "image/png"},
        {"type": "text", "text": "Done."},
    ),
    *step(5, {"type": "brand_new", "x": 1}),
]
BLOCKS = [
    {"type": "reasoning", "reasoning": "Let me count."},
    {
        "type": "server_tool_call",
        "id": "c",
        "name": "code_interpreter",
        "args": {"code": "print(1)", "language": "python"},
    },
    {"type": "server_tool_result", "tool_call_id": "c", "status": "success", "output": "1\n"},
    {
        "type": "text",
        "text": "Ås is one.",
        "annotations": [{"type": "citation", "url": "https://x", "start_index": 0, "end_index": 2, "cited_text": "Ås"}],
    },
    {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
    {"type": "text", "text": "Done."},
    {"type": "non_standard", "value": {"type": "brand_new", "x": 1}},
]


@pytest.mark.covers("langgraph:chat:portable")
def test_content_is_text_and_media_and_blocks_show_the_rest() -> None:
    """By default other vendors can read the content; `content_blocks` has thinking, server tools and citations too."""
    message = merged([created(), *CODE, completed()])
    assert message.content == ["Ås is one.", {"type": "image", "base64": "AAAA", "mime_type": "image/png"}, "Done."]
    assert message.content_blocks == BLOCKS


@pytest.mark.covers("langgraph:chat:v1")
def test_with_blocks_the_content_is_the_standard_blocks() -> None:
    """Streamed pieces merge to the blocks that the steps stand for."""
    message = merged([created(), *CODE, completed()], blocks=True)
    assert message.content == BLOCKS
    assert message.content_blocks == BLOCKS
    assert message.response_metadata["output_version"] == "v1"


@pytest.mark.covers("langgraph:chat:v1")
def test_with_blocks_a_call_is_a_block_too() -> None:
    """Its pieces merge to one `tool_call` block, equal to the message's call."""
    call = {"type": "function_call", "id": "k1", "name": "f", "arguments": {}}
    message = merged(
        [
            created(),
            *say(0, "Look."),
            *step(1, call, {"type": "arguments_delta", "arguments": '{"x": 1}'}),
            completed("requires_action"),
        ],
        blocks=True,
    )
    assert message.content == [
        {"type": "text", "text": "Look."},
        {"type": "tool_call", "id": "k1", "name": "f", "args": {"x": 1}},
    ]
    assert message.tool_calls[0]["args"] == {"x": 1}


@pytest.mark.covers("langgraph:chat:chunks")
def test_a_chunk_shows_its_own_blocks() -> None:
    """Before the end a chunk's blocks are what it adds; the merged one has them all, the closing one alone none."""
    call = {"type": "function_call", "id": "k1", "name": "f", "arguments": {"x": 1}}
    chunks = streamed([created(), *say(0, "Look."), *step(1, call), completed("requires_action")])
    assert [block["type"] for chunk in chunks for block in chunk.content_blocks] == [
        "text",
        "tool_call_chunk",
        "tool_call_chunk",
    ]
    whole = chunks[0] + chunks[1:]
    assert [block["type"] for block in whole.content_blocks] == ["text", "tool_call"]


@pytest.mark.covers("langgraph:chat:portable")
def test_an_edited_answer_shows_what_it_was_edited_to() -> None:
    """Blocks come from the steps only while the message still says what they say."""
    message = merged(TEXT).model_copy(update={"content": "Edited."})
    assert message.content_blocks == [{"type": "text", "text": "Edited."}]


@pytest.mark.covers("langgraph:chat:one-path")
@pytest.mark.parametrize("blocks", [False, True])
def test_an_unstreamed_answer_is_the_merged_stream(blocks: bool) -> None:
    """Both make the same message, in every field."""
    events = [
        created(),
        *CODE,
        *step(6, {"type": "function_call", "id": "k", "name": "f", "arguments": {"x": 1}}),
        completed("requires_action", usage={"total_input_tokens": 1, "total_output_tokens": 2}),
    ]
    whole = assemble(parse_event(event) for event in events).to_wire()
    assert unstreamed(whole, blocks=blocks) == merged(events, blocks=blocks)


@pytest.mark.covers("langgraph:chat:continuation")
def test_a_continued_turn_is_one_answer_with_the_last_id_as_its_anchor() -> None:
    """The first hop's id names the message, the last one's is followed, usage is the sum."""
    usage: dict[str, Any] = {"usage": {"total_input_tokens": 1, "total_output_tokens": 1}}
    message = merged(
        [
            created(),
            *say(0, "One "),
            completed("requires_continuation", **usage),
            created(id="v1_end"),
            *say(0, "two."),
            completed(id="v1_end", **usage),
        ]
    )
    assert (message.id, message.content, message.response_metadata["id"]) == (ID, "One two.", "v1_end")
    assert message.usage_metadata is not None
    assert message.usage_metadata["total_tokens"] == 4
    assert message.additional_kwargs[ANCHOR]["id"] == "v1_end"


@pytest.mark.covers("langgraph:chat:off")
def test_an_answer_that_was_not_stored_is_no_anchor() -> None:
    """It has no id, and keeps its steps for the replay."""
    message = merged([created(id=""), *say(0, "Hi."), completed(id="")])
    assert message.id is None
    assert "id" not in message.response_metadata
    assert message.additional_kwargs[ANCHOR] == {
        "session": "s",
        "steps": [{"type": "model_output", "content": [{"type": "text", "text": "Hi."}]}],
    }


@pytest.mark.covers("langgraph:chat:plain-data")
def test_what_rides_in_a_message_is_plain_json() -> None:
    """A checkpointer or another process reads it without our classes."""
    message = merged([created(), *CODE, completed()])
    assert json.loads(json.dumps(message.additional_kwargs)) == message.additional_kwargs
    assert json.loads(json.dumps(message.response_metadata)) == message.response_metadata


@pytest.mark.covers("langgraph:chat:status")
@pytest.mark.parametrize("status", ["incomplete", "budget_exceeded", "something_new"])
def test_a_partial_answer_is_given_with_its_status(status: str) -> None:
    """What was paid for reaches the caller, marked."""
    message = merged([created(), *say(0, "Half an ans"), completed(status)])
    assert (message.content, message.response_metadata["status"]) == ("Half an ans", status)


@pytest.mark.covers("langgraph:chat:status")
@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (
            [completed("failed", errors=[{"code": "internal", "message": "It broke."}])],
            "ended as failed (internal: It broke.)",
        ),
        ([completed("failed")], "ended as failed"),
        ([completed("cancelled")], "ended as cancelled"),
        ([{"event_type": "error", "error": {"message": "cut"}}], "(error: cut)"),
    ],
)
def test_a_turn_without_an_answer_raises_with_the_reasons(ending: list[dict[str, Any]], reason: str) -> None:
    """The error holds the whole interaction, with what had been said."""
    with pytest.raises(InteractionFailed) as failure:
        merged([created(), *say(0, "Half"), *ending])
    assert reason in str(failure.value)
    assert ID in str(failure.value)
    assert failure.value.interaction.output_text == "Half"


@pytest.mark.covers("langgraph:chat:usage")
def test_usage_is_told_with_its_details() -> None:
    """Tools count as input, thinking as output; modalities and cached tokens are details; unreported is None, not zero."""
    usage = Usage.parse(
        {
            "total_input_tokens": 10,
            "total_output_tokens": 5,
            "total_thought_tokens": 7,
            "total_tool_use_tokens": 3,
            "total_cached_tokens": 4,
            "total_tokens": 25,
            "input_tokens_by_modality": [{"modality": "text", "tokens": 8}, {"modality": "audio", "tokens": 2}],
            "output_tokens_by_modality": [{"modality": "text", "tokens": 5}],
        }
    )
    assert usage_of(usage) == {
        "input_tokens": 13,
        "output_tokens": 12,
        "total_tokens": 25,
        "input_token_details": {"cache_read": 4, "audio": 2},
        "output_token_details": {"reasoning": 7},
    }
    assert usage_of(Usage.parse({"total_input_tokens": 1})) == {
        "input_tokens": 1,
        "output_tokens": 0,
        "total_tokens": 1,
    }
    assert usage_of(None) is usage_of(Usage.parse({})) is None


@pytest.mark.covers("langgraph:chat:v1")
def test_server_tools_have_langchains_names_and_pairs_are_theirs() -> None:
    """A call the server answered is its own tool, whatever its kind; user input is not part of an answer."""
    blocks = blocks_of(
        [
            {"type": "user_input", "content": []},
            {"type": "function_call", "id": "a", "name": "read_file", "arguments": {"path": "x"}},
            {"type": "function_result", "call_id": "a", "result": "no", "is_error": True},
            {"type": "google_search_call", "id": "g", "arguments": {"queries": ["q"]}},
            {"type": "thought", "signature": "s"},
            {
                "type": "model_output",
                "content": [
                    {"type": "document", "uri": "u", "name": "n"},
                    {"type": "text", "text": "a", "annotations": [{"type": "word_info"}]},
                ],
            },
            "not a step",
        ]
    )
    assert blocks == [
        {"type": "server_tool_call", "id": "a", "name": "read_file", "args": {"path": "x"}},
        {"type": "server_tool_result", "tool_call_id": "a", "status": "error", "output": "no"},
        {"type": "server_tool_call", "id": "g", "name": "web_search", "args": {"queries": ["q"]}},
        {"type": "file", "url": "u", "extras": {"name": "n"}},
        {
            "type": "text",
            "text": "a",
            "annotations": [{"type": "non_standard_annotation", "value": {"type": "word_info"}}],
        },
    ]


def again(index: int, start: dict[str, Any]) -> list[dict[str, Any]]:
    """A step told once more, whole, as a backend does that lost the connection in the middle of it."""
    return step(index, start)


@pytest.mark.covers("langgraph:chat:resumed")
@pytest.mark.parametrize("blocks", [False, True])
def test_a_step_told_once_more_is_shown_once(blocks: bool) -> None:
    """Of what was shown before the connection broke nothing is repeated, and nothing after it is lost."""
    image = {"type": "image", "data": "AAAA", "mime_type": "image/png"}
    whole = [
        {"type": "thought", "summary": [{"type": "text", "text": "Let me see."}]},
        {
            "type": "model_output",
            "content": [{"type": "text", "text": "Once upon"}, image, {"type": "text", "text": " a time"}],
        },
    ]
    cut = [
        *step(0, {"type": "thought"}, {"type": "thought_summary", "content": {"type": "text", "text": "Let me"}})[:-1],
        *again(0, whole[0]),
        *step(1, {"type": "model_output"}, {"type": "text", "text": "Once "}, {"type": "text", "text": "upon"}, image)[
            :-1
        ],
        *again(1, whole[1]),
    ]
    straight = [event for index, start in enumerate(whole) for event in step(index, start)]
    broken = merged([created(), *cut, completed()], blocks=blocks)
    assert broken == merged([created(), *straight, completed()], blocks=blocks)


@pytest.mark.covers("langgraph:chat:resumed")
def test_a_call_told_once_more_is_one_call() -> None:
    """However its arguments had been written before."""
    call = {"type": "function_call", "id": "k1", "name": "f", "arguments": {}}
    for piece in ('{"a": 1, ', '{"a":1,"b', '{"a"'):
        begun = step(0, call, {"type": "arguments_delta", "arguments": piece})[:-1]
        message = merged(
            [created(), *begun, *again(0, {**call, "arguments": {"a": 1, "b": 2}}), completed("requires_action")]
        )
        assert [c["args"] for c in message.tool_calls] == [{"a": 1, "b": 2}]
        assert message.invalid_tool_calls == []


@pytest.mark.covers("langgraph:chat:resumed")
def test_a_step_that_says_something_else_now_is_told_after_what_was_shown() -> None:
    """Nothing shown can be taken back; a call whose arguments cannot go on is none."""
    begun = step(0, {"type": "model_output"}, {"type": "text", "text": "Once"})[:-1]
    said = again(0, {"type": "model_output", "content": [{"type": "text", "text": "Twice"}]})
    assert merged([created(), *begun, *said, completed()]).content == "OnceTwice"
    call = {"type": "function_call", "id": "k1", "name": "f", "arguments": {}}
    begun = step(0, call, {"type": "arguments_delta", "arguments": '{"z":'})[:-1]
    message = merged([created(), *begun, *again(0, {**call, "arguments": {"a": 1}}), completed("requires_action")])
    assert (message.tool_calls, len(message.invalid_tool_calls)) == ([], 1)


@pytest.mark.covers("langgraph:chat:portable")
def test_citations_count_characters_and_keep_what_they_know() -> None:
    """The API counts bytes; places and files are citations too, what is none is kept as it came."""
    rows = [
        {"type": "place_citation", "name": "Ås", "place_id": "p", "start_index": 4, "end_index": 99},
        {"type": "file_citation", "document_uri": "u", "file_name": "n", "page_number": 2},
        "odd",
    ]
    blocks = blocks_of([{"type": "model_output", "content": [{"type": "text", "text": "Å = Ås", "annotations": rows}]}])
    assert blocks[0]["annotations"] == [
        {
            "type": "citation",
            "title": "Ås",
            "start_index": 3,
            "end_index": 6,
            "cited_text": " Ås",
            "extras": {"place_id": "p"},
        },
        {"type": "citation", "url": "u", "title": "n", "extras": {"page_number": 2}},
        {"type": "non_standard_annotation", "value": {"raw": "odd"}},
    ]


@pytest.mark.covers("langgraph:chat:portable")
def test_content_of_a_kind_not_known_yet_is_a_block_and_no_part_of_the_portable_content() -> None:
    """It is in the steps and shows in the blocks."""
    part = {"type": "smell", "data": "AAAA"}
    events = [created(), *step(0, {"type": "model_output", "content": [part, "odd"]}), *say(1, "Hm."), completed()]
    assert merged(events).content == "Hm."
    assert merged(events).content_blocks[0] == {"type": "non_standard", "value": part}
    assert merged(events, blocks=True).content[0] == {"type": "non_standard", "value": part}


@pytest.mark.covers("langgraph:chat:resumed")
@pytest.mark.parametrize("blocks", [False, True])
def test_annotations_told_once_more_are_shown_once(blocks: bool) -> None:
    """Wherever the connection broke: in the text, after it, among its annotations, or in the next text."""
    rows = [{"type": "url_citation", "url": f"https://x/{n}", "start_index": 0, "end_index": 3} for n in range(2)]
    start = {
        "type": "model_output",
        "content": [{"type": "text", "text": "One two.", "annotations": rows}, {"type": "text", "text": "Three."}],
    }
    deltas: list[dict[str, Any]] = [
        {"type": "text", "text": "One "},
        {"type": "text", "text": "two."},
        *({"type": "text_annotation_delta", "annotations": [row]} for row in rows),
        {"type": "text", "text": "Three."},
    ]
    whole = merged([created(), *step(0, {"type": "model_output"}, *deltas), completed()], blocks=blocks)
    for told in range(len(deltas) + 1):
        begun = step(0, {"type": "model_output"}, *deltas[:told])[:-1]
        assert merged([created(), *begun, *again(0, start), completed()], blocks=blocks) == whole


@pytest.mark.covers("langgraph:chat:resumed")
@pytest.mark.parametrize("blocks", [False, True])
def test_a_stream_told_from_its_start_again_is_shown_once(blocks: bool) -> None:
    """Steps that had ended and the first event too; an ended text is not taken up again by what comes late."""
    call = step(6, {"type": "function_call", "id": "k", "name": "f", "arguments": {"x": 1}})
    straight = [created(), *CODE, *call]
    assert merged([*straight, *straight, completed()], blocks=blocks) == merged([*straight, completed()], blocks=blocks)
    late = [*say(0, "Said."), *step(0, {"type": "model_output"}, {"type": "text", "text": "Said. And more."})]
    message = merged([created(), *late, completed()], blocks=True)
    assert [block["text"] for block in message.content if isinstance(block, dict)] == ["Said.", " And more."]


@pytest.mark.covers("langgraph:chat:resumed")
@pytest.mark.parametrize("piece", ['{"city": "Å', '{"city":"Å', '{"city": "\\u00c5', '{"city":"\\u00c5'])
def test_a_call_told_once_more_is_one_call_in_any_script(piece: str) -> None:
    """Services write arguments as UTF-8 or in ASCII."""
    call = {"type": "function_call", "id": "k1", "name": "f", "arguments": {}}
    begun = step(0, call, {"type": "arguments_delta", "arguments": piece})[:-1]
    whole = again(0, {**call, "arguments": {"city": "Ås"}})
    deltas = step(0, call, {"type": "arguments_delta", "arguments": f'{piece}s"}}'})
    for told in (begun + whole, begun + whole + deltas, whole + deltas, deltas + whole):
        message = merged([created(), *told, completed()])
        assert [one["args"] for one in message.tool_calls] == [{"city": "Ås"}]
        assert message.invalid_tool_calls == []


@pytest.mark.covers("langgraph:chat:invalid-calls")
@pytest.mark.parametrize("blocks", [False, True])
def test_a_call_whose_step_never_ended_is_no_call(blocks: bool) -> None:
    """A stream may break off in the middle of the arguments and still be an answer."""
    call = {"type": "function_call", "id": "k1", "name": "f", "arguments": {}}
    begun = step(0, call, {"type": "arguments_delta", "arguments": '{"city": "Os'})[:-1]
    message = merged([created(), *begun, completed("incomplete")], blocks=blocks)
    assert (message.tool_calls, len(message.invalid_tool_calls)) == ([], 1)
    if blocks:
        assert [block["type"] for block in message.content if isinstance(block, dict)] == ["invalid_tool_call"]


@pytest.mark.covers("langgraph:chat:invalid-calls")
def test_a_call_without_a_usable_id_or_name_is_shown_without() -> None:
    """Whatever stands in their place."""
    message = merged([created(), *step(0, {"type": "function_call", "id": [], "name": 7}), completed()])
    assert [(one["id"], one["name"]) for one in message.tool_calls] == [(None, "")]


@pytest.mark.covers("langgraph:chat:server-calls")
@pytest.mark.parametrize("whole", [False, True])
def test_with_blocks_a_call_that_an_agent_answers_stands_before_its_result(whole: bool) -> None:
    """As in the blocks of the portable form; the pending one stands at the end."""
    first = {"type": "function_call", "id": "a", "name": "read_file", "arguments": {"path": "x"}}
    result = {"type": "function_result", "call_id": "a", "result": "text"}
    asked = {"type": "function_call", "id": "b", "name": "ask", "arguments": {"who": "me"}}
    steps = [first, result, asked, {"type": "model_output", "content": [{"type": "text", "text": "Wait."}]}]
    if whole:
        message = unstreamed({"id": ID, "status": "requires_action", "steps": steps}, blocks=True, hold_calls=True)
    else:
        events = [
            *step(0, {**first, "arguments": {}}, {"type": "arguments_delta", "arguments": '{"path": "x"}'}),
            *step(1, {"type": "function_result", "call_id": "a"}, {"type": "function_result", "result": "text"}),
            *step(2, asked),
            *say(3, "Wait."),
        ]
        message = merged([created(), *events, completed("requires_action")], blocks=True, hold_calls=True)
    assert message.content == [
        {"type": "server_tool_call", "id": "a", "name": "read_file", "args": {"path": "x"}},
        {"type": "server_tool_result", "tool_call_id": "a", "status": "success", "output": "text"},
        {"type": "text", "text": "Wait."},
        {"type": "tool_call", "id": "b", "name": "ask", "args": {"who": "me"}},
    ]


@pytest.mark.covers("langgraph:chat:media-out")
@pytest.mark.parametrize("blocks", [False, True])
def test_images_and_sound_come_out_as_blocks(blocks: bool) -> None:
    """With what the API says about them as extras; sound that comes in chunks is a block each, by address or by bytes."""
    sound = {"type": "audio", "data": "aGk=", "mime_type": "audio/l16", "sample_rate": 24000, "channels": 1}
    deltas: list[dict[str, Any]] = [
        {"type": "image", "data": "AAAA", "mime_type": "image/png"},
        sound,
        {**sound, "data": "aG8="},
        {"type": "video", "uri": "files/v", "mime_type": "video/mp4"},
        {"type": "document", "data": "JVBERg==", "mime_type": "application/pdf"},
    ]
    events = [created(), *step(0, {"type": "model_output"}, *deltas), completed()]
    streamed_message = merged(events, blocks=blocks)
    extras = {"sample_rate": 24000, "channels": 1}
    assert streamed_message.content == [
        {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
        {"type": "audio", "base64": "aGk=", "mime_type": "audio/l16", "extras": extras},
        {"type": "audio", "base64": "aG8=", "mime_type": "audio/l16", "extras": extras},
        {"type": "video", "url": "files/v", "mime_type": "video/mp4"},
        {"type": "file", "base64": "JVBERg==", "mime_type": "application/pdf"},
    ]
    assert streamed_message.content_blocks == streamed_message.content
    whole = unstreamed(assemble(parse_event(event) for event in events).to_wire(), blocks=blocks)
    assert whole.content == streamed_message.content


@pytest.mark.covers("langgraph:chat:chunks")
@pytest.mark.parametrize("blocks", [False, True])
def test_no_chunk_shares_anything_with_another(blocks: bool) -> None:
    """What a consumer does to one changes no other, nor the anchor."""
    answer = Chunks(PLAN, blocks=blocks)
    chunks = [chunk for event in TEXT for chunk in answer.add(parse_event(event))]
    untouched = streamed(TEXT, blocks=blocks)
    for chunk in chunks:
        chunk.response_metadata["mine"] = chunk.additional_kwargs["mine"] = True
        chunk.tool_calls.append({"name": "mine", "args": {}, "id": "x"})
        if isinstance(chunk.content, list):
            for block in chunk.content:
                if isinstance(block, dict):
                    block["text"] = "mine"
    assert [chunk.tool_calls for chunk in chunks] == [[{"name": "mine", "args": {}, "id": "x"}]] * len(chunks)
    assert answer.last("asked") == untouched[len(chunks) :]


@pytest.mark.covers("langgraph:chat:invalid-calls")
@pytest.mark.parametrize(
    ("call", "block"),
    [
        (
            {"id": "k", "name": "f", "arguments": {"x": 1}},
            {"type": "tool_call", "id": "k", "name": "f", "args": {"x": 1}},
        ),
        ({"id": "k", "name": "f", "arguments": {}}, {"type": "tool_call", "id": "k", "name": "f", "args": {}}),
        ({"id": "k", "name": "f"}, {"type": "tool_call", "id": "k", "name": "f", "args": {}}),
        ({"id": [], "name": 7, "arguments": {}}, {"type": "tool_call", "id": None, "name": "", "args": {}}),
        (
            {"id": "k", "name": "f", "arguments": '{"x'},
            {"type": "invalid_tool_call", "id": "k", "name": "f", "args": '{"x', "error": None},
        ),
        (
            {"id": "k", "name": "f", "arguments": [1]},
            {"type": "invalid_tool_call", "id": "k", "name": "f", "args": "[1]", "error": None},
        ),
    ],
)
def test_a_call_in_a_step_is_a_block_of_its_own_kind(call: dict[str, Any], block: dict[str, Any]) -> None:
    """What cannot be called is no call of the server's either."""
    assert blocks_of([{"type": "function_call", **call}]) == [block]
