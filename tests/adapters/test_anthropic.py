"""The stand-in for Anthropic's Messages API, by the official SDK: what it says, whole and streamed, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest
from bridge_anthropic.testing import stand_in
from pydantic import BaseModel

from .conftest import KEY, Reach, call, thought, words

ASK: list[Any] = [{"role": "user", "content": "What is the weather in Oslo?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"name": "get_weather", "description": "The weather in a city.", "input_schema": SCHEMA}
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
EVERYTHING = [
    thought("First think."),
    words("Two cities."),
    call("get_weather", "toolu_1", city="Oslo"),
    call("now", "toolu_2"),
]


def asking(**more: Any) -> Any:
    return {"model": "claude-9", "max_tokens": 4000, "messages": ASK, **more}


@pytest.mark.covers("vendors:anthropic:messages")
def test_a_tool_loop_runs_and_says_that_it_is_a_stand_in(reach: Reach) -> None:
    """A question, the call, its result, the answer; each with usage and the name of the model."""
    client = reach("anthropic").anthropic()
    first = client.messages.create(**asking(tools=[WEATHER]))
    assert first.model == "local-claude-9"
    assert first.stop_reason == "tool_use"
    (asked,) = first.content
    assert asked.type == "tool_use"
    assert (asked.name, asked.input) == ("get_weather", {"city": "Oslo"})
    assert asked.id.startswith("toolu_")
    result = {"type": "tool_result", "tool_use_id": asked.id, "content": [{"type": "text", "text": "sunny"}]}
    history: list[Any] = [
        *ASK,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    second = client.messages.create(**asking(tools=[WEATHER], messages=history))
    assert second.stop_reason == "end_turn"
    (said,) = second.content
    assert said.type == "text"
    assert "sunny" in said.text
    assert "stand-in" in said.text
    assert second.usage.input_tokens > first.usage.input_tokens > 0
    assert second.usage.output_tokens > 0


@pytest.mark.covers("vendors:anthropic:stream")
def test_a_stream_has_the_events_of_the_api_and_makes_the_same_message(reach: Reach) -> None:
    """Thinking, text and calls: every block is opened, filled and closed in turn, and the whole equals the unstreamed one."""
    client = reach("anthropic", EVERYTHING, EVERYTHING).anthropic()
    whole = client.messages.create(**asking(thinking=THINKING))
    kinds: list[str] = []
    with client.messages.stream(**asking(thinking=THINKING)) as stream:
        for event in stream:
            if event.type == "content_block_start":
                kinds.append(f"start:{event.content_block.type}")
            elif event.type == "content_block_delta":
                kinds.append(event.delta.type)
            elif event.type in ("message_start", "content_block_stop", "message_delta", "message_stop"):
                kinds.append(event.type)
        streamed = stream.get_final_message()
    assert re.fullmatch(
        "message_start "
        "start:thinking (thinking_delta )+signature_delta content_block_stop "
        "start:text (text_delta ){2,}content_block_stop "
        "start:tool_use (input_json_delta ){3,}content_block_stop "
        "start:tool_use input_json_delta content_block_stop "
        "message_delta message_stop",
        " ".join(kinds),
    )
    assert [block.model_dump(exclude_none=True) for block in streamed.content] == [
        block.model_dump(exclude_none=True) for block in whole.content
    ]
    assert (streamed.stop_reason, streamed.usage.output_tokens) == ("tool_use", whole.usage.output_tokens)


@pytest.mark.covers("vendors:anthropic:stream")
def test_a_raw_stream_begins_with_a_message_and_a_ping(reach: Reach) -> None:
    """As on the wire: the first message is empty and knows its input's length; a ping follows the first block's start."""
    client = reach("anthropic").anthropic()
    events = list(client.messages.create(**asking(stream=True)))
    first = events[0]
    assert first.type == "message_start"
    assert (first.message.content, first.message.stop_reason, first.message.usage.output_tokens) == ([], None, 0)
    assert first.message.usage.input_tokens > 0
    raw = client.messages.with_raw_response.create(**asking(stream=True)).http_response.read().decode()
    names = re.findall(r"^event: (\w+)$", raw, re.MULTILINE)
    assert names[:3] == ["message_start", "content_block_start", "ping"]


@pytest.mark.covers("vendors:anthropic:thinking")
def test_thinking_comes_where_it_is_asked_for_and_goes_back_untouched(reach: Reach) -> None:
    """Shown, without its words, or not at all; its own signature is taken back, and nobody else's."""
    client = reach("anthropic").anthropic()
    plain = client.messages.create(**asking())
    assert [block.type for block in plain.content] == ["text"]
    for display, shown in (("summarized", True), ("omitted", False)):
        answer = client.messages.create(**asking(thinking={"type": "adaptive", "display": display}))
        block = answer.content[0]
        assert block.type == "thinking"
        assert bool(block.thinking) is shown
        history = [*ASK, {"role": "assistant", "content": answer.content}, {"role": "user", "content": "And now?"}]
        again = client.messages.create(**asking(messages=history))
        assert again.content[0].type == "text"
        for change in ({"thinking": "Something else."}, {"signature": "c2ln"}):
            foreign = {**block.model_dump(), **change}
            history[1] = {"role": "assistant", "content": [foreign, {"type": "text", "text": "So."}]}
            with pytest.raises(anthropic.BadRequestError, match="Invalid `signature` in `thinking` block"):
                client.messages.create(**asking(messages=history))


@pytest.mark.covers("vendors:anthropic:messages")
def test_an_answer_ends_where_it_was_told_to(reach: Reach) -> None:
    """At the most tokens, before a stop sequence, with one call where no two may come together."""
    client = reach("anthropic", words("One, two, three, four."), words("One, two, three."), EVERYTHING).anthropic()
    cut = client.messages.create(**asking(max_tokens=3))
    assert (cut.stop_reason, cut.content[0].type, cut.usage.output_tokens) == ("max_tokens", "text", 3)
    stopped = client.messages.create(**asking(stop_sequences=["never", "three"]))
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "three")
    assert [block.model_dump()["text"] for block in stopped.content] == ["One, two, "]
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    single = client.messages.create(**asking(tools=[WEATHER], tool_choice=choice))
    assert [block.type for block in single.content] == ["text", "tool_use"]


class City(BaseModel):
    """A place and its size."""

    name: str
    people: int


@pytest.mark.covers("vendors:anthropic:messages")
def test_an_answer_has_the_schema_it_was_asked_for(reach: Reach) -> None:
    """The SDK's own `parse`, and a tool that must be called."""
    client = reach("anthropic").anthropic()
    question: Any = [{"role": "user", "content": "The city named Oslo has people: 700000"}]
    parsed = client.messages.parse(model="claude-9", max_tokens=500, messages=question, output_format=City)
    assert parsed.parsed_output == City(name="Oslo", people=700000)
    forced = client.messages.create(
        **asking(messages=question, tools=[WEATHER], tool_choice={"type": "tool", "name": "get_weather"})
    )
    assert [block.type for block in forced.content] == ["tool_use"]
    none = client.messages.create(**asking(tools=[WEATHER], tool_choice={"type": "none"}))
    assert [block.type for block in none.content] == ["text"]


@pytest.mark.covers("vendors:anthropic:messages")
def test_everything_a_request_says_reaches_the_responder(reach: Reach) -> None:
    """Media of each kind, the system's words at the top and in between, results with errors; nothing is left out."""
    seen: list[Any] = []

    def script(turn: Any) -> Any:
        seen.append(turn)
        return words("Yes.")

    document = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    given: list[Any] = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "document", "source": document, "title": "A", "cache_control": {"type": "ephemeral"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "inside"}]}},
        {"type": "document", "source": {"type": "content", "content": "bare"}},
    ]
    history: list[Any] = [
        {"role": "user", "content": given},
        {"role": "user", "content": "Look."},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I call."},
                {"type": "tool_use", "id": "t1", "name": "now", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "broken", "is_error": True}],
        },
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Well?"},
    ]
    client = reach("anthropic", script).anthropic()
    system: Any = [{"type": "text", "text": "Be kind."}]
    client.messages.create(**asking(messages=history, system=system))
    (turn,) = seen
    assert turn.request.system_instruction == "Be kind.\n\nBe brief."
    assert [step.type for step in turn.input] == [
        "user_input", "model_output", "function_call", "function_result", "user_input"
    ]  # fmt: skip
    parts = [part.to_wire() for part in turn.input[0].content]
    assert [part["type"] for part in parts] == ["image", "image", "document", "document", *["text"] * 4]
    assert [part.get("uri") for part in parts[:4]] == [
        None,
        "https://example.com/a.png",
        None,
        "https://example.com/a.pdf",
    ]
    assert [part["text"] for part in parts[4:]] == ["plain", "inside", "bare", "Look."]
    assert turn.input[3].to_wire() == {"type": "function_result", "call_id": "t1", "result": "broken", "is_error": True}


@pytest.mark.covers("vendors:anthropic:messages")
def test_a_conversation_is_counted_without_an_answer(reach: Reach) -> None:
    """`count_tokens` gives what the answer's usage would."""
    client = reach("anthropic").anthropic()
    counted = client.messages.count_tokens(model="claude-9", messages=ASK, tools=[WEATHER])
    assert counted.input_tokens == client.messages.create(**asking(tools=[WEATHER])).usage.input_tokens


def user(*blocks: Any) -> Any:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> Any:
    return {"role": "assistant", "content": list(blocks)}


TEXT = {"type": "text", "text": "Hello."}
USE = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no messages": ({"messages": []}, "at least one message is required"),
    "unknown field": ({"extra_body": {"temprature": 1}}, "temprature: Extra inputs are not permitted"),
    "lacking": ({"extra_body": {"mcp_servers": [{}]}}, "mcp_servers: the stand-in has none"),
    "max tokens": ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
    "wrong type": ({"max_tokens": "many"}, "max_tokens: Input should be a valid integer"),
    "role": ({"messages": [{"role": "tool", "content": "x"}]}, 'Unexpected role "tool"'),
    "no role": ({"messages": [{"content": "x"}]}, r"messages\.0\.role: Field required"),
    "no content": ({"messages": [{"role": "user"}]}, r"messages\.0\.content: Field required"),
    "odd content": (
        {"messages": [{"role": "user", "content": 7}]},
        r"messages\.0\.content: Input should be a valid list",
    ),
    "message field": (
        {"messages": [{"role": "user", "content": "x", "name": "n"}]},
        r"messages\.0\.name: Extra inputs",
    ),
    "empty content": ({"messages": [{"role": "user", "content": ""}]}, "must have non-empty content"),
    "empty text": ({"messages": [user({"type": "text", "text": ""})]}, "text content blocks must be non-empty"),
    "blank text": ({"messages": [user({"type": "text", "text": " "})]}, "must contain non-whitespace text"),
    "assistant first": ({"messages": [assistant(TEXT), user(TEXT)]}, 'first message must use the "user" role'),
    "prefill": ({"messages": [user(TEXT), assistant(TEXT)]}, "does not support assistant message prefill"),
    "unknown block": ({"messages": [user({"type": "reasoning"})]}, "Input tag 'reasoning' found using 'type'"),
    "server block": (
        {"messages": [user(TEXT), assistant({"type": "server_tool_use"}), user(TEXT)]},
        "no `server_tool_use` blocks",
    ),
    "block field": ({"messages": [user({**TEXT, "index": 0})]}, r"messages\.0\.content\.0\.text\.index: Extra inputs"),
    "use by user": ({"messages": [user(USE)]}, "`tool_use` blocks can only be in `assistant` messages"),
    "result by assistant": (
        {"messages": [user(TEXT), assistant(RESULT), user(TEXT)]},
        "can only be in `user` messages",
    ),
    "redacted": (
        {"messages": [user(TEXT), assistant({"type": "redacted_thinking", "data": "x"}, TEXT), user(TEXT)]},
        "Invalid `data` in `redacted_thinking` block",
    ),
    "odd id": (
        {"messages": [user(TEXT), assistant({**USE, "id": "call:1"}), user(TEXT)]},
        r"tool_use\.id: String should match pattern",
    ),
    "odd result id": (
        {"messages": [user({**RESULT, "tool_use_id": "a b"})]},
        r"tool_use_id: String should match pattern",
    ),
    "input": (
        {"messages": [user(TEXT), assistant({**USE, "input": "{}"}), user(RESULT)]},
        r"input: Input should be a valid dictionary",
    ),
    "thinking in result": (
        {"messages": [user(TEXT), assistant(USE), user({**RESULT, "content": [RESULT]})]},
        "a `tool_result` holds no `tool_result` blocks",
    ),
    "orphan result": ({"messages": [user(RESULT)]}, "unexpected `tool_use_id` found in `tool_result` blocks: toolu_1"),
    "unanswered": (
        {"messages": [user(TEXT), assistant(USE), user(TEXT)]},
        r"messages\.2: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1",
    ),
    "late result": ({"messages": [user(TEXT), assistant(USE), user(TEXT, RESULT)]}, "immediately after: toolu_1"),
    "answered later": (
        {"messages": [user(TEXT), assistant(USE), user(RESULT), assistant(TEXT), user(RESULT)]},
        r"messages\.4\.content\.0: unexpected `tool_use_id`",
    ),
    "answered twice": ({"messages": [user(TEXT), assistant(USE), user(RESULT, RESULT)]}, "must have a single result"),
    "used twice": ({"messages": [user(TEXT), assistant(USE, USE), user(RESULT)]}, "`tool_use` ids must be unique"),
    "file": ({"messages": [user({**IMAGE, "source": {"type": "file", "file_id": "f"}})]}, "keeps no files"),
    "source": ({"messages": [user({**IMAGE, "source": {"type": "disk"}})]}, "Input tag 'disk'"),
    "source field": (
        {"messages": [user({**IMAGE, "source": {"type": "base64", "data": ""}})]},
        "media_type: Field required",
    ),
    "server tool": (
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        "runs none of the vendor's own tools",
    ),
    "tool name": (
        {"tools": [{**WEATHER, "name": "get weather"}]},
        r"tools\.0\.custom\.name: String should match pattern",
    ),
    "same tool": ({"tools": [WEATHER, WEATHER]}, "Tool names must be unique"),
    "no schema": ({"tools": [{"name": "x"}]}, r"tools\.0\.custom\.input_schema: Field required"),
    "no type": ({"tools": [{"name": "x", "input_schema": {}}]}, r"input_schema\.type: Field required"),
    "root": ({"tools": [{"name": "x", "input_schema": {"type": "array"}}]}, "Input should be 'object'"),
    "union": (
        {"tools": [{"name": "x", "input_schema": {**SCHEMA, "oneOf": []}}]},
        "does not support oneOf, allOf, or anyOf",
    ),
    "choice kind": ({"tools": [WEATHER], "tool_choice": {"type": "required"}}, "Input tag 'required'"),
    "choice alone": ({"tool_choice": {"type": "any"}}, "may only be specified while providing `tools`"),
    "choice name": ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "now"}}, "Tool 'now' not found"),
    "thinking kind": ({"thinking": {"type": "on"}}, "Input tag 'on'"),
    "small budget": ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "greater than or equal to 1024"),
    "large budget": (
        {"thinking": {"type": "enabled", "budget_tokens": 5000}},
        "must be greater than `thinking.budget_tokens`",
    ),
    "thinking and force": (
        {"thinking": THINKING, "tools": [WEATHER], "tool_choice": {"type": "any"}},
        "Thinking may not be enabled when tool_choice forces tool use",
    ),
    "thinking and heat": ({"thinking": THINKING, "extra_body": {"temperature": 0.5}}, "may only be set to 1"),
    "format": ({"output_config": {"format": {"type": "json"}}}, "Input should be 'json_schema'"),
}


@pytest.fixture(scope="module")
def client() -> Iterator[anthropic.Anthropic]:
    """One stand-in for the whole table."""
    with stand_in().served() as url, anthropic.Anthropic(base_url=url, api_key=KEY, timeout=20) as client:
        yield client


@pytest.mark.covers("vendors:anthropic:refused")
@pytest.mark.parametrize("name", REFUSED)
def test_what_the_api_refuses_is_refused_in_its_form(client: anthropic.Anthropic, name: str) -> None:
    """A 400 of the SDK's own class, with the place and the reason; also where a stream was asked for."""
    more, said = REFUSED[name]
    for stream in ({}, {"stream": True}):
        with pytest.raises(anthropic.BadRequestError, match=said) as refused:
            client.messages.create(**asking(**{**more, **stream}))
        body: Any = refused.value.body
        assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
        assert refused.value.request_id


@pytest.mark.covers("vendors:anthropic:messages")
def test_turning_thinking_off_is_no_thinking(reach: Reach) -> None:
    """As if it was not said."""
    answer = reach("anthropic").anthropic().messages.create(**asking(thinking={"type": "disabled"}))
    assert [block.type for block in answer.content] == ["text"]


@pytest.mark.covers("vendors:key")
def test_a_request_without_a_key_or_a_version_is_refused(reach: Reach) -> None:
    """As by the API: 401 without a key, 400 without the header that names its version."""
    service = reach("anthropic")
    answer = httpx2.post(f"{service.url}/v1/messages", json=asking())
    assert answer.status_code == 401
    assert answer.json() == {
        "type": "error",
        "error": {"type": "authentication_error", "message": "x-api-key header is required"},
    }
    with pytest.raises(anthropic.BadRequestError, match="anthropic-version"):
        service.anthropic().messages.create(**asking(extra_headers={"anthropic-version": ""}))


@pytest.mark.covers("vendors:failures")
@pytest.mark.parametrize("streamed", [False, True])
def test_a_responder_that_fails_is_an_error_of_the_service(reach: Reach, streamed: bool) -> None:
    """Once, without a second attempt, and without its inside; what cannot be said on this wire is named."""
    search = {"type": "google_search_call", "id": "s1", "arguments": {"queries": ["x"]}}
    scripts = [[words("I begin."), RuntimeError("inside")], [words("I search."), search]]
    service = reach("anthropic", *scripts)
    for said in ("its log says why", "google_search_call"):
        with pytest.raises(anthropic.APIStatusError, match=said) as failed:
            list(service.anthropic().messages.create(**asking(stream=streamed)))
        assert "inside" not in str(failed.value)
    assert len(service.app.requests) == 2
