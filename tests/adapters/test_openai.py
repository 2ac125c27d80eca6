"""The stand-in for OpenAI's two APIs, by the official SDK: what it says, whole and streamed, and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from bridge_openai.testing import stand_in
from openai.types.responses import ResponseFunctionToolCall
from pydantic import BaseModel

from .conftest import KEY, Reach, call, thought, words

QUESTION = "What is the weather in Oslo?"
SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"name": "get_weather", "description": "The weather in a city.", "parameters": SCHEMA}
FLAT: Any = {"type": "function", "strict": False, **WEATHER}
NESTED: Any = {"type": "function", "function": WEATHER}
PNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "data:application/pdf;base64,JVBERi0="
EVERYTHING = [
    thought("First think."),
    words("Two cities."),
    call("get_weather", "call_1", city="Oslo"),
    call("now", "call_2"),
]
ENCRYPTED: Any = {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}


def responding(**more: Any) -> Any:
    return {"model": "gpt-9", "input": QUESTION, **more}


def chatting(**more: Any) -> Any:
    return {"model": "gpt-9", "messages": [{"role": "user", "content": QUESTION}], **more}


def the_call(response: Any) -> ResponseFunctionToolCall:
    (item,) = [item for item in response.output if item.type == "function_call"]
    assert isinstance(item, ResponseFunctionToolCall)
    return item


def output(call_id: str, value: Any = "sunny") -> Any:
    return {"type": "function_call_output", "call_id": call_id, "output": value}


def dumped(items: Any) -> list[Any]:
    """Items without the ids that are new each time."""
    return [item.model_dump(exclude={"id", "encrypted_content"}, exclude_none=True) for item in items]


@pytest.mark.covers("vendors:openai:responses")
def test_a_tool_loop_runs_over_responses(reach: Reach) -> None:
    """A question, the call, its result sent after the id of the response before, the answer; each with usage."""
    client = reach("openai").openai()
    first = client.responses.create(**responding(tools=[FLAT]))
    asked = the_call(first)
    assert (first.model, first.status) == ("local-gpt-9", "completed")
    assert (asked.name, json.loads(asked.arguments)) == ("get_weather", {"city": "Oslo"})
    assert re.fullmatch(r"call_\w+ fc_\w+", f"{asked.call_id} {asked.id}")
    second = client.responses.create(
        **responding(tools=[FLAT], previous_response_id=first.id, input=[output(asked.call_id)])
    )
    assert "sunny" in second.output_text
    assert "stand-in" in second.output_text
    third = client.responses.create(**responding(previous_response_id=second.id, input="What did I ask first?"))
    assert "weather in Oslo" in third.output_text
    again = client.responses.create(**responding(previous_response_id=third.id, input=[]))
    assert again.output_text == third.output_text
    for response in (first, second, third):
        usage = response.usage
        assert usage is not None
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens > 0


@pytest.mark.covers("vendors:openai:responses")
def test_a_tool_loop_runs_over_responses_without_a_store(reach: Reach) -> None:
    """All items go back, the reasoning with its encrypted content; one that was changed or is another's is refused."""
    client = reach("openai").openai()
    first = client.responses.create(**responding(tools=[FLAT], store=False, **ENCRYPTED))
    items = [item.model_dump(exclude_none=True) for item in first.output]
    assert [item["type"] for item in items] == ["reasoning", "function_call"]
    history: list[Any] = [{"role": "user", "content": QUESTION}, *items, output(the_call(first).call_id)]
    assert "sunny" in client.responses.create(**responding(tools=[FLAT], store=False, input=history)).output_text
    history[1] = {**items[0], "encrypted_content": "Zm9yZWlnbg=="}
    with pytest.raises(openai.BadRequestError, match="encrypted content") as refused:
        client.responses.create(**responding(store=False, input=history))
    assert refused.value.code == "invalid_encrypted_content"
    del history[1]["encrypted_content"]
    with pytest.raises(openai.NotFoundError, match="Items are not persisted when `store` is set to false"):
        client.responses.create(**responding(store=False, input=history))
    with pytest.raises(openai.BadRequestError, match="not found") as lost:
        client.responses.create(**responding(previous_response_id=first.id))
    assert lost.value.code == "previous_response_not_found"


@pytest.mark.covers("vendors:openai:responses")
def test_stored_items_go_back_by_their_names_and_not_without_their_reasons(reach: Reach) -> None:
    """A reference stands for its item; a call without the reasoning before it, or the reasoning without the call, is refused."""
    client = reach("openai").openai()
    first = client.responses.create(**responding(tools=[FLAT], reasoning={"effort": "low"}))
    reason, asked = first.output
    names: list[Any] = [{"type": "item_reference", "id": str(item.id)} for item in (reason, asked)]
    result = output(the_call(first).call_id)
    assert "sunny" in client.responses.create(**responding(input=[*names, result])).output_text
    for given, said in (
        ([names[1], result], "provided without its required 'reasoning' item"),
        ([names[0], {"role": "user", "content": "Well?"}], "provided without its required following item"),
        ([{"type": "item_reference", "id": "msg_unknown"}], "not found"),
    ):
        with pytest.raises(openai.APIStatusError, match=said):
            client.responses.create(**responding(input=given))


@pytest.mark.covers("vendors:openai:stream")
def test_a_stream_of_responses_has_the_events_of_the_api_and_makes_the_same_response(reach: Reach) -> None:
    """Reasoning, text and calls: every item is added, filled and done in turn, numbered without a gap."""
    client = reach("openai", EVERYTHING, EVERYTHING).openai()
    whole = client.responses.create(**responding(**ENCRYPTED))
    events = list(client.responses.create(**responding(stream=True, **ENCRYPTED)))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    done = "response.output_item.done "
    assert re.fullmatch(
        "response.created response.in_progress "
        "response.output_item.added response.reasoning_summary_part.added (response.reasoning_summary_text.delta )+"
        f"response.reasoning_summary_text.done response.reasoning_summary_part.done {done}"
        "response.output_item.added response.content_part.added (response.output_text.delta ){2,}"
        f"response.output_text.done response.content_part.done {done}"
        f"(response.output_item.added (response.function_call_arguments.delta )+response.function_call_arguments.done {done}){{2}}"
        "response.completed",
        " ".join(event.type for event in events),
    )
    last = events[-1]
    assert last.type == "response.completed"
    assert dumped(last.response.output) == dumped(whole.output)
    with reach("openai", EVERYTHING).openai().responses.stream(**responding()) as stream:
        assert "".join(event.delta for event in stream if event.type == "response.output_text.delta") == "Two cities."
        assert stream.get_final_response().output_text == "Two cities."


@pytest.mark.covers("vendors:openai:responses")
def test_reasoning_is_told_where_it_is_asked_for(reach: Reach) -> None:
    """Not at all, without words, with a summary; its tokens are counted."""
    client = reach("openai").openai()
    assert [item.type for item in client.responses.create(**responding()).output] == ["message"]
    for reasoning, told in (({"effort": "low"}, 0), ({"effort": "low", "summary": "auto"}, 1)):
        response = client.responses.create(**responding(reasoning=reasoning))
        item = response.output[0]
        assert item.type == "reasoning"
        assert (len(item.summary), item.encrypted_content) == (told, None)
        assert response.usage is not None
        assert response.usage.output_tokens_details.reasoning_tokens > 0


@pytest.mark.covers("vendors:openai:chat")
def test_a_tool_loop_runs_over_chat_completions(reach: Reach) -> None:
    """A question, the call, its result, the answer; each with usage and the name of the model."""
    client = reach("openai").openai()
    first = client.chat.completions.create(**chatting(tools=[NESTED], reasoning_effort="low"))
    (choice,) = first.choices
    assert (first.model, choice.finish_reason, choice.message.content) == ("local-gpt-9", "tool_calls", None)
    (asked,) = choice.message.tool_calls or []
    assert asked.type == "function"
    assert (asked.function.name, json.loads(asked.function.arguments)) == ("get_weather", {"city": "Oslo"})
    assert first.usage is not None
    assert first.usage.completion_tokens_details is not None
    assert first.usage.completion_tokens_details.reasoning_tokens
    history = [*chatting()["messages"], choice.message, {"role": "tool", "tool_call_id": asked.id, "content": "sunny"}]
    second = client.chat.completions.create(**chatting(tools=[NESTED], messages=history))
    (choice,) = second.choices
    assert choice.finish_reason == "stop"
    assert "sunny" in str(choice.message.content)
    assert "stand-in" in str(choice.message.content)


@pytest.mark.covers("vendors:openai:stream")
def test_the_chunks_of_a_chat_make_the_same_completion(reach: Reach) -> None:
    """By the SDK's own accumulation; usage comes last, and only where it was asked for."""
    client = reach("openai", EVERYTHING, EVERYTHING, EVERYTHING).openai()
    whole = client.chat.completions.create(**chatting()).choices[0]
    with client.chat.completions.stream(**chatting(stream_options={"include_usage": True})) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_completion()
    (choice,) = streamed.choices
    assert (choice.finish_reason, choice.message.content) == (whole.finish_reason, whole.message.content)
    calls = [(one.id, one.function.name, one.function.arguments) for one in choice.message.tool_calls or ()]
    assert calls == [("call_1", "get_weather", '{"city": "Oslo"}'), ("call_2", "now", "{}")]
    assert streamed.usage is not None
    assert streamed.usage.completion_tokens > 0
    bare = list(client.chat.completions.create(**chatting(stream=True)))
    assert all(chunk.usage is None and chunk.choices for chunk in bare)


@pytest.mark.covers("vendors:openai:responses", "vendors:openai:chat")
def test_an_answer_ends_where_it_was_told_to(reach: Reach) -> None:
    """At the most tokens, before a stop, with one call where no two may come together."""
    long = words("one two three " * 20)
    client = reach("openai", long, long, long, long, EVERYTHING, EVERYTHING).openai()
    cut = client.responses.create(**responding(max_output_tokens=16))
    assert cut.status == "incomplete"
    assert cut.incomplete_details is not None
    assert cut.incomplete_details.reason == "max_output_tokens"
    assert (
        list(client.responses.create(**responding(max_output_tokens=16, stream=True)))[-1].type == "response.incomplete"
    )
    assert client.chat.completions.create(**chatting(max_completion_tokens=3)).choices[0].finish_reason == "length"
    stopped = client.chat.completions.create(**chatting(stop="three")).choices[0]
    assert (stopped.finish_reason, stopped.message.content) == ("stop", "one two ")
    single = client.responses.create(**responding(parallel_tool_calls=False))
    assert [item.type for item in single.output] == ["message", "function_call"]
    alone = client.chat.completions.create(**chatting(tools=[NESTED], parallel_tool_calls=False)).choices[0].message
    assert len(alone.tool_calls or ()) == 1


class City(BaseModel):
    """A place and its size."""

    name: str
    people: int


@pytest.mark.covers("vendors:openai:responses", "vendors:openai:chat")
def test_an_answer_has_the_schema_it_was_asked_for(reach: Reach) -> None:
    """The SDK's own `parse` over both APIs, any JSON, and tools that must or must not be called."""
    client = reach("openai").openai()
    told = "The city named Oslo has people: 700000"
    asked: Any = [{"role": "user", "content": told}]
    assert client.responses.parse(model="g", input=told, text_format=City).output_parsed == City(
        name="Oslo", people=700000
    )
    parsed = client.chat.completions.parse(model="g", messages=asked, response_format=City)
    assert parsed.choices[0].message.parsed == City(name="Oslo", people=700000)
    free = [{"role": "user", "content": "Some JSON with the key `city`."}]
    completion = client.chat.completions.create(**chatting(messages=free, response_format={"type": "json_object"}))
    assert json.loads(str(completion.choices[0].message.content)).keys() == {"city"}
    plain = client.responses.create(
        **responding(text={"format": {"type": "text"}}, tools=[{"type": "function", "name": "nap", "strict": False}])
    )
    assert "stand-in" in plain.output_text
    allowed = {"mode": "required", "tools": [{"type": "function", "name": "get_weather"}]}
    for choice, kinds in (
        ("required", ["function_call"]),
        ({"type": "function", "name": "get_weather"}, ["function_call"]),
        ({"type": "allowed_tools", **allowed}, ["function_call"]),
        ("none", ["message"]),
    ):
        response = client.responses.create(**responding(input=told, tools=[FLAT], tool_choice=choice))
        assert [item.type for item in response.output] == kinds
    named: Any = {"type": "function", "function": {"name": "get_weather"}}
    some = {"mode": "auto", "tools": [named]}
    choices: list[tuple[Any, int]] = [(named, 1), ({"type": "allowed_tools", "allowed_tools": some}, 0), ("none", 0)]
    for choice, calls in choices:
        answer = client.chat.completions.create(**chatting(messages=asked, tools=[NESTED], tool_choice=choice))
        assert len(answer.choices[0].message.tool_calls or ()) == calls


@pytest.mark.covers("vendors:openai:responses", "vendors:openai:chat")
def test_everything_a_request_says_reaches_the_responder(reach: Reach) -> None:
    """Media of each kind, the system's words wherever they stand, refusals, results of parts; nothing is left out."""
    seen: list[Any] = []

    def script(turn: Any) -> Any:
        seen.append(turn)
        return words("Yes.")

    client = reach("openai", script, script).openai()
    items: list[Any] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [
            {"type": "input_text", "text": "Look."},
            {"type": "input_image", "image_url": PNG, "detail": "auto"},
            {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"},
            {"type": "input_file", "file_data": PDF, "filename": "a.pdf"},
            {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        ]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "assistant", "content": ""},
        {"type": "function_call", "call_id": "c1", "name": "now", "arguments": ""},
        output("c1", [{"type": "input_text", "text": "noon"}]),
    ]  # fmt: skip
    client.responses.create(**responding(instructions="Be kind.", input=items))
    messages: list[Any] = [
        {"role": "system", "content": "Be kind."},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [
            {"type": "text", "text": "Look."},
            {"type": "image_url", "image_url": {"url": PNG}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}},
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        ]},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "noon"}]},
    ]  # fmt: skip
    client.chat.completions.create(**chatting(messages=messages))
    for turn in seen:
        assert turn.request.system_instruction == "Be kind.\n\nBe brief."
    kinds = [[step.type for step in turn.input] for turn in seen]
    assert kinds[0] == ["user_input", "model_output", "function_call", "function_result"]
    assert kinds[1] == ["user_input", "function_call", "function_result"]
    parts = [[part.to_wire() for part in turn.input[0].content] for turn in seen]
    assert [part["type"] for part in parts[0]] == ["text", "image", "image", "document", "document"]
    assert [part["type"] for part in parts[1]] == ["text", "image", "image", "document", "audio"]
    for found in parts:
        assert found[1]["mime_type"] == "image/png"
        assert found[2]["uri"] == "https://example.com/a.png"
    assert seen[0].input[3].result[0].text == "noon"
    assert seen[1].input[2].result == "noon"


def said(role: str, content: Any) -> Any:
    return {"role": role, "content": content}


USER = said("user", "Hello.")
CALL = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}
REASON = {"type": "reasoning", "id": "rs_1", "summary": []}
STRICT = {"type": "json_schema", "name": "x", "strict": True, "schema": SCHEMA}
NO_REQUIRED = {"type": "object", "properties": {"a": {"anyOf": [{"type": "object", "properties": {"b": {}}, "additionalProperties": False}]}}, "required": ["a"], "additionalProperties": False}  # fmt: skip
RESPONSES: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "no input": ({"input": []}, "must be provided", "missing_required_parameter"),
    "unknown field": ({"extra_body": {"temprature": 1}}, "Unknown parameter: 'temprature'", "unknown_parameter"),
    "lacking": ({"background": True}, "no 'background'", None),
    "logprobs": ({"include": ["message.output_text.logprobs"]}, "no log probabilities", None),
    "few tokens": ({"max_output_tokens": 5}, "Expected a value >= 16, but got 5", "integer_below_min_value"),
    "type": (
        {"extra_body": {"model": 7}},
        "Invalid type for 'model': expected a string, but got an integer",
        "invalid_type",
    ),
    "odd type": ({"extra_body": {"input": 0.5}}, "expected an array, but got something else", "invalid_type"),
    "item type": ({"input": [{"type": "tool_use"}]}, r"Invalid value: 'tool_use'", "invalid_value"),
    "no item": ({"input": ["hi"]}, r"Invalid type for 'input\[0\]'", "invalid_type"),
    "item field": ({"input": [{**USER, "name": "n"}]}, r"Unknown parameter: 'input\[0\]\.name'", "unknown_parameter"),
    "role": (
        {"input": [said("tool", "x")]},
        "Supported values are: 'assistant', 'system', 'developer', and 'user'",
        "invalid_value",
    ),
    "part": (
        {"input": [said("user", [{"type": "text", "text": "x"}])]},
        "Supported values are: 'input_text'",
        "invalid_value",
    ),
    "part of assistant": (
        {"input": [said("assistant", [{"type": "input_text", "text": "x"}])]},
        "Supported values are: 'output_text' and 'refusal'",
        "invalid_value",
    ),
    "foreign id": ({"input": [{**CALL, "id": "toolu_1"}]}, "Expected an ID that begins with 'fc'", "invalid_value"),
    "long id": (
        {"input": [{**CALL, "call_id": "c" * 65}]},
        "maximum length 64, but got a string with length 65",
        "string_above_max_length",
    ),
    "long result id": ({"input": [output("c" * 65)]}, "maximum length 64", "string_above_max_length"),
    "arguments": ({"input": [{**CALL, "arguments": "[]"}]}, "JSON object, and this is none", None),
    "broken arguments": ({"input": [{**CALL, "arguments": "{"}]}, "JSON object, and this is none", None),
    "no output": (
        {"input": [CALL, {"type": "function_call_output", "call_id": "call_1"}]},
        "parameter: 'input.1..output'",
        "missing_required_parameter",
    ),
    "orphan result": (
        {"input": [USER, output("call_9")]},
        "No tool call found for function call output with call_id call_9",
        None,
    ),
    "unanswered": ({"input": [USER, CALL]}, "No tool output found for function call call_1", None),
    "two results": ({"input": [CALL, output("call_1"), output("call_1")]}, "No tool call found", None),
    "file id": ({"input": [said("user", [{"type": "input_file", "file_id": "f"}])]}, "keeps no files", None),
    "address": (
        {"input": [said("user", [{"type": "input_image", "image_url": "a.png"}])]},
        "Expected a valid URL",
        "invalid_value",
    ),
    "server tool": ({"tools": [{"type": "web_search"}]}, "runs none of the vendor's own tools", None),
    "nested tool": (
        {"tools": [NESTED]},
        r"Missing required parameter: 'tools\[0\]\.name'",
        "missing_required_parameter",
    ),
    "tool name": ({"tools": [{**FLAT, "name": "get weather"}]}, "string does not match pattern", "invalid_value"),
    "long name": ({"tools": [{**FLAT, "name": "x" * 65}]}, "maximum length 64", "string_above_max_length"),
    "root": (
        {"tools": [{**FLAT, "parameters": {"type": "array"}}]},
        "got 'type: \"array\"'",
        "invalid_function_schema",
    ),
    "strict": (
        {"tools": [{**FLAT, "strict": True}]},
        "'additionalProperties' is required to be supplied and to be false",
        "invalid_function_schema",
    ),
    "choice": ({"tools": [FLAT], "tool_choice": "any"}, "'none', 'auto', and 'required'", "invalid_value"),
    "choice alone": ({"tool_choice": "required"}, "must be specified with 'tools'", None),
    "choice name": (
        {"tools": [FLAT], "tool_choice": {"type": "function", "name": "now"}},
        "Tool choice 'now' not found",
        None,
    ),
    "format": ({"text": {"format": STRICT}}, "Invalid schema for response_format 'x'", None),
    "json": ({"text": {"format": {"type": "json_object"}}}, "must contain the word 'json'", None),
    "required": (
        {"text": {"format": {**STRICT, "schema": NO_REQUIRED}}},
        "including every key in properties. Missing 'b'",
        None,
    ),
}
TOOL = {"role": "tool", "tool_call_id": "call_1", "content": "x"}


def called(**more: Any) -> Any:
    function = {"name": "get_weather", "arguments": "{}"}
    return {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function, **more}]}


CHAT: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "no messages": ({"messages": []}, "Invalid 'messages': empty array", "empty_array"),
    "unknown field": ({"extra_body": {"temprature": 1}}, "Unknown parameter: 'temprature'", "unknown_parameter"),
    "lacking": ({"logprobs": True}, "no 'logprobs'", None),
    "choices": ({"n": 2}, "gives one choice", None),
    "modalities": ({"modalities": ["text", "audio"]}, "writes text", None),
    "role": ({"messages": [said("model", "x")]}, "Invalid value: 'model'", "invalid_value"),
    "no content": ({"messages": [{"role": "user"}]}, "expected a string, got null", None),
    "odd content": ({"messages": [said("user", 7)]}, "expected a string or an array", "invalid_type"),
    "nothing said": ({"messages": [USER, {"role": "assistant"}]}, "expected a string, got null", None),
    "no calls": ({"messages": [USER, {"role": "assistant", "tool_calls": []}]}, "tool_calls': empty array", "empty_array"),
    "part": ({"messages": [said("user", [{"type": "tool_use"}])]}, "Invalid value: 'tool_use'", "invalid_value"),
    "part of tool": ({"messages": [USER, called(), {**TOOL, "content": [{"type": "image_url"}]}]}, "Supported values are: 'text'", "invalid_value"),
    "sound": (
        {"messages": [said("user", [{"type": "input_audio", "input_audio": {"data": "", "format": "ogg"}}])]},
        "Supported values are: 'wav' and 'mp3'",
        "invalid_value",
    ),
    "file id": ({"messages": [said("user", [{"type": "file", "file": {"file_id": "f"}}])]}, "keeps no files", None),
    "long id": ({"messages": [USER, called(id="c" * 41)]}, "maximum length 40, but got a string with length 41", "string_above_max_length"),
    "kind of call": ({"messages": [USER, called(type="custom")]}, "Supported values are: 'function'", "invalid_value"),
    "orphan result": ({"messages": [USER, TOOL]}, "must be a response to a preceeding message with 'tool_calls'", None),
    "late result": ({"messages": [USER, called(), TOOL, USER, TOOL]}, "must be a response to a preceeding message", None),
    "unanswered": ({"messages": [USER, called(), USER]}, "did not have response messages: call_1", None),
    "unanswered at the end": ({"messages": [USER, called()]}, "did not have response messages: call_1", None),
    "flat tool": ({"tools": [FLAT]}, r"Missing required parameter: 'tools\[0\]\.function'", "missing_required_parameter"),
    "strict": ({"tools": [{"type": "function", "function": {**WEATHER, "strict": True}}]}, "'additionalProperties' is required", "invalid_function_schema"),
    "choice name": (
        {"tools": [NESTED], "tool_choice": {"type": "function", "function": {"name": "now"}}},
        "Tool choice 'now' not found",
        None,
    ),
    "format": ({"response_format": {"type": "json_schema", "json_schema": STRICT}}, "Invalid schema for response_format 'x'", None),
    "json": ({"response_format": {"type": "json_object"}}, "must contain the word 'json'", None),
}  # fmt: skip


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    """One stand-in for the tables."""
    with stand_in().served() as url, openai.OpenAI(base_url=url, api_key=KEY, timeout=20) as client:
        yield client


@pytest.mark.covers("vendors:openai:refused")
@pytest.mark.parametrize("name", [*(f"responses: {name}" for name in RESPONSES), *(f"chat: {name}" for name in CHAT)])
def test_what_the_apis_refuse_is_refused_in_their_form(client: openai.OpenAI, name: str) -> None:
    """A 400 of the SDK's own class, with the reason and the code; also where a stream was asked for."""
    api, _, row = name.partition(": ")
    more, told, code = (RESPONSES if api == "responses" else CHAT)[row]
    for stream in ({}, {"stream": True}):
        ask, body = (
            (client.responses.create, responding) if api == "responses" else (client.chat.completions.create, chatting)
        )
        with pytest.raises(openai.BadRequestError, match=told) as refused:
            ask(**body(**{**more, **stream}))
        assert (refused.value.type, refused.value.code) == ("invalid_request_error", code)
        assert refused.value.request_id


@pytest.mark.covers("vendors:key")
def test_a_request_without_a_key_is_refused(reach: Reach) -> None:
    """As by the API: 401 and its words."""
    answer = httpx2.post(f"{reach('openai').url}/responses", json=responding(), headers={"authorization": "Bearer"})
    assert answer.status_code == 401
    assert "You didn't provide an API key" in answer.json()["error"]["message"]


@pytest.mark.covers("vendors:failures")
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("api", ["responses", "chat"])
def test_a_responder_that_fails_is_an_error_of_the_service(reach: Reach, api: str, streamed: bool) -> None:
    """Once, without a second attempt, and without its inside; what cannot be said on this wire is named."""
    picture = {"type": "model_output", "content": [{"type": "image", "data": "aGk=", "mime_type": "image/png"}]}
    ended = {"type": "model_output", "content": []}
    service = reach("openai", [words("I begin."), RuntimeError("inside")], [ended, picture])
    client = service.openai()
    for told in ("its log says why", "model_output"):
        ask, body = (
            (client.responses.create, responding) if api == "responses" else (client.chat.completions.create, chatting)
        )
        with pytest.raises(openai.APIError, match=told) as failed:
            list(ask(**body(stream=streamed)))
        assert "inside" not in str(failed.value)
    assert len(service.app.requests) == 2
