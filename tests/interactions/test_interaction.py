"""The interaction's own answers, and the requests that make one."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bridge.interactions import (
    AntigravityConfig,
    CodeExecutionTool,
    CreateAgentInteraction,
    CreateModelInteraction,
    EnvironmentConfig,
    FunctionCall,
    FunctionResult,
    FunctionTool,
    GenerationConfig,
    ImageContent,
    Interaction,
    ModelOutput,
    Source,
    Step,
    TextContent,
    TextFormat,
    Thought,
    Unknown,
    Usage,
    UserInput,
    pending_calls,
)
from bridge.interactions.interaction import input_steps, is_content


def said(*texts: str) -> ModelOutput:
    return ModelOutput(content=[TextContent(text=text) for text in texts])


CALL = FunctionCall(id="c", name="f", arguments={})


@pytest.mark.covers("model:output-text")
@pytest.mark.parametrize(
    ("steps", "text"),
    [
        (None, ""),
        ([], ""),
        ([said("a", "b")], "ab"),
        ([said("a"), Thought(signature="s"), said("b")], "ab"),
        ([said("a"), CALL, said("b")], "b"),
        ([said("a"), CALL], "a"),
        ([said("a"), CALL, said("b"), CALL, Thought()], "b"),
        ([said("a"), UserInput(content=[TextContent(text="q")]), CALL], ""),
        ([said("a"), UserInput(content=[TextContent(text="q")]), said("b")], "b"),
        ([ModelOutput(content=[TextContent(text="a"), ImageContent(uri="i"), TextContent(text="b")])], "b"),
        ([ModelOutput(content=[TextContent(text="a"), ImageContent(uri="i")])], "a"),
        ([ModelOutput(content=None), said("a"), ModelOutput()], "a"),
        ([said("a"), Unknown("step", "dream", {"type": "dream"}), said("b")], "b"),
        ([said("a"), Unknown("step", "thought", {"type": "thought", "summary": 7}), said("b")], "ab"),
    ],
)
def test_output_text_is_what_was_said_last(steps: list[Step] | None, text: str) -> None:
    """A tool's step or a medium before the text ends it, one after it does not hide it, as in the official client."""
    from google.genai._gaos.types.interactions.interaction import Interaction as OfficialInteraction

    ours = Interaction(id="i", status="completed", steps=steps)
    assert ours.output_text == text
    if not any(isinstance(step, Unknown) for step in steps or []):
        assert OfficialInteraction.model_validate(ours.to_wire()).output_text == text


@pytest.mark.covers("model:output-text")
def test_output_content_is_all_that_was_said() -> None:
    """Every block of every output, in order; thoughts and tools are left out."""
    image = ImageContent(uri="i")
    interaction = Interaction(
        steps=[said("a"), Thought(), ModelOutput(content=[image]), CALL, ModelOutput(), said("b")]
    )
    assert interaction.output_content == [TextContent(text="a"), image, TextContent(text="b")]


@pytest.mark.covers("model:trap:pending")
def test_pending_calls_are_those_without_a_result_of_their_id() -> None:
    """Wherever the result stands, and also where its other fields are not known."""
    other = FunctionCall(id="d", name="f", arguments={})
    odd = Unknown(
        "step", "function_result", {"type": "function_result", "call_id": "c", "result": 7}, "result: not valid"
    )
    assert pending_calls([CALL, other]) == [CALL, other]
    assert pending_calls([CALL, FunctionResult(call_id="d", result="x"), other]) == [CALL]
    assert pending_calls([CALL, other, odd]) == [other]
    assert pending_calls([CALL, Unknown("step", "later", {"type": "later", "call_id": "c"})]) == [CALL]
    assert pending_calls([CALL, Unknown("step", "function_result", {"type": "function_result", "call_id": ["c"]})]) == [
        CALL
    ]
    assert pending_calls(iter([CALL])) == [CALL]
    assert Interaction(steps=[CALL]).pending_calls == [CALL]


@pytest.mark.covers("model:request:model")
def test_request_to_a_model_is_what_was_given_and_no_more() -> None:
    """Nothing that was not set is sent; models and plain dictionaries mix."""
    request = CreateModelInteraction(
        model="m",
        input=[TextContent(text="x"), {"type": "image", "uri": "i"}],  # type: ignore[list-item]
        tools=[FunctionTool(name="f"), CodeExecutionTool(), {"type": "later", "x": 1}],  # type: ignore[list-item]
        generation_config=GenerationConfig(temperature=1, thinking_level="low"),
        response_format=TextFormat(schema={"type": "object"}),
        store=False,
        labels=None,
    )
    assert request.to_wire() == {
        "model": "m",
        "input": [{"type": "text", "text": "x"}, {"type": "image", "uri": "i"}],
        "tools": [{"type": "function", "name": "f"}, {"type": "code_execution"}, {"type": "later", "x": 1}],
        "generation_config": {"temperature": 1, "thinking_level": "low"},
        "response_format": {"type": "text", "schema": {"type": "object"}},
        "store": False,
        "labels": None,
    }
    assert CreateModelInteraction.parse(request.to_wire()) == request
    with pytest.raises(ValidationError, match="model"):
        CreateModelInteraction(input="x")  # type: ignore[call-arg]


@pytest.mark.covers("model:request:agent")
def test_request_to_an_agent_is_what_was_given_and_no_more() -> None:
    """An environment may be a name or settings; a kind's own field is filled in."""
    source = Source(type="inline", target="/workspace/a.txt", content="x")
    request = CreateAgentInteraction(
        agent="a",
        input="x",
        environment=EnvironmentConfig(sources=[source], env={"A": "1"}, network="disabled"),
        agent_config=AntigravityConfig(max_total_tokens=7),
        background=True,
    )
    assert request.to_wire() == {
        "agent": "a",
        "input": "x",
        "environment": {
            "type": "remote",
            "sources": [{"type": "inline", "target": "/workspace/a.txt", "content": "x"}],
            "env": {"A": "1"},
            "network": "disabled",
        },
        "agent_config": {"type": "antigravity", "max_total_tokens": "7"},
        "background": True,
    }
    assert CreateAgentInteraction(agent="a", environment="remote").environment == "remote"
    with pytest.raises(ValidationError, match="agent"):
        CreateAgentInteraction(input="x")  # type: ignore[call-arg]


@pytest.mark.covers("model:request:invalid")
def test_settings_that_do_not_fit_are_kept_with_the_reason() -> None:
    """So that who sends or serves the request can name them."""
    wire: dict[str, Any] = {
        "model": "m",
        "generation_config": {"temperature": "hot"},
        "environment": 7,
        "webhook_config": [],
        "safety_settings": [{"threshold": "off"}],
        "response_format": {"type": "text", "schema": "x"},
    }
    request = CreateModelInteraction.parse(wire)
    assert request.to_wire() == wire
    parts = [
        request.generation_config,
        request.environment,
        request.webhook_config,
        (request.safety_settings or [])[0],
        request.response_format,
    ]
    reasons = [part.reason for part in parts if isinstance(part, Unknown)]
    assert (
        reasons[0]
        == "temperature.int: Input should be a valid integer; temperature.float: Input should be a valid number"
    )
    assert reasons[1:3] == ["expected an object, got int", "expected an object, got list"]
    assert [str(reason).partition(":")[0] for reason in reasons[3:]] == ["type", "schema"]


@pytest.mark.covers("model:request:input")
@pytest.mark.parametrize(
    ("value", "steps"),
    [
        (None, []),
        ("x", [{"type": "user_input", "content": [{"type": "text", "text": "x"}]}]),
        ({"type": "text", "text": "x"}, [{"type": "user_input", "content": [{"type": "text", "text": "x"}]}]),
        (
            [{"type": "text", "text": "x"}, {"type": "image", "uri": "i"}],
            [{"type": "user_input", "content": [{"type": "text", "text": "x"}, {"type": "image", "uri": "i"}]}],
        ),
        ([{"type": "thought", "signature": "s"}], [{"type": "thought", "signature": "s"}]),
        ({"type": "function_result", "call_id": "c"}, [{"type": "function_result", "call_id": "c"}]),
        ([], []),
    ],
)
def test_every_form_of_input_stands_for_steps(value: Any, steps: Any) -> None:
    """A text, one content, a list of content, one step, a list of steps."""
    request = CreateModelInteraction.parse({"model": "m", "input": value})
    assert [step.to_wire() for step in input_steps(request.input)] == steps
    assert not is_content(CALL)


@pytest.mark.covers("model:usage")
def test_usages_add_up_field_by_field() -> None:
    """What only one of them reports is kept, rows of the same name are summed, and the first input stays the first."""
    first = Usage.parse(
        {
            "total_tokens": 3,
            "total_input_tokens": 2,
            "input_tokens_by_modality": [{"modality": "text", "tokens": 1}],
            "grounding_tool_count": [{"type": "google_search", "count": 1}],
            "later": [1, {"x": 1}],
            "cost": 1.5,
        }
    )
    second = Usage.parse(
        {
            "total_tokens": 4,
            "total_cached_tokens": None,
            "total_output_tokens": 9,
            "input_tokens_by_modality": [
                {"modality": "text", "tokens": 2},
                {"modality": "image"},
                {"modality": "image", "tokens": 5},
            ],
            "grounding_tool_count": [{"type": "google_search", "count": 2}, {"type": "google_maps", "count": 1}],
            "later": [2],
            "cost": 2.5,
        }
    )
    assert (first + second).to_wire() == {
        "total_tokens": 7,
        "total_input_tokens": 2,
        "initial_input_tokens": 2,
        "total_output_tokens": 9,
        "total_cached_tokens": None,
        "input_tokens_by_modality": [{"modality": "text", "tokens": 3}, {"modality": "image", "tokens": 5}],
        "grounding_tool_count": [{"type": "google_search", "count": 3}, {"type": "google_maps", "count": 1}],
        "later": [1, {"x": 1}, 2],
        "cost": 2.5,
    }
    assert (Usage() + Usage(total_tokens=1)).to_wire() == {"total_tokens": 1}
