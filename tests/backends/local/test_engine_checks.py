"""What the embedded service refuses, and what it takes although it does not know it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bridge.backends.local import LocalBackend
from bridge.errors import BadRequest, InvalidRequest

from .service import function, text

Service = Callable[..., Any]
F = function("f")


def source(**fields: Any) -> dict[str, Any]:
    return {
        "environment": {"type": "remote", "sources": [{"type": "inline", "target": "a.txt", "content": "x", **fields}]}
    }


def said(**fields: Any) -> dict[str, Any]:
    return {"input": [{"type": "user_input", "content": [{"type": "text", "text": "x"}]}, fields]}


def config(**fields: Any) -> dict[str, Any]:
    return {"generation_config": fields}


async def refuses(backend: LocalBackend, fields: dict[str, Any], *facts: str) -> None:
    with pytest.raises((BadRequest, InvalidRequest)) as refused:
        await backend.create(**{"model": "m", "input": "x", **fields})
    assert getattr(refused.value, "status", 400) == 400
    for fact in facts:
        assert fact in str(refused.value)


@pytest.mark.covers("local:checks:fields")
@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({"input": [{"type": "text"}]}, ["input[0]", "text"]),
        ({"input": [{"type": "text", "text": 5}]}, ["input[0]", "text"]),
        ({"input": 5}, ["'input'", "object"]),
        ({"input": [5]}, ["input[0]"]),
        ({"input": [{"type": "user_input"}]}, ["content", "input[0]"]),
        ({"input": [{"type": "user_input", "content": []}]}, ["content", "input[0]"]),
        ({"input": [{"type": "user_input", "content": [{"type": "text"}]}]}, ["input[0].content[0]", "text"]),
        ({"input": {"type": "image", "mime_type": "image/png"}}, ["data", "uri", "'input'"]),
        ({"input": {"type": "image", "data": "aWk=", "uri": "http://x"}}, ["data", "uri"]),
        ({"input": {"type": "image", "data": "not base64!"}}, ["base64"]),
        (said(type="function_call", id="", name="f", arguments={}), ["id", "input[1]"]),
        (said(type="function_call", id="c", name="f"), ["arguments", "input[1]"]),
        (said(type="function_result", call_id="c"), ["result", "input[1]"]),
        (said(type="function_result", result="r"), ["call_id", "input[1]"]),
        (said(type="code_execution_call", id="c"), ["arguments", "input[1]"]),
        (said(type="text", text="mixed"), ["mixes content and steps"]),
        ({"tools": [{"type": "function"}]}, ["tools[0]", "name"]),
        ({"tools": [{"type": "function", "name": ""}]}, ["tools[0]", "name"]),
        ({"tools": [{"type": "function", "name": 5}]}, ["tools[0]", "name"]),
        ({"tools": F}, ["tools"]),
        ({"store": "maybe"}, ["store"]),
        ({"background": 1}, ["background"]),
        ({"labels": {"a": 1}}, ["labels"]),
        (config(temperature="hot"), ["generation_config", "temperature"]),
        (config(max_output_tokens=0), ["max_output_tokens", "at least 1"]),
        (config(thinking_level="deep"), ["'deep'", "thinking_level", "minimal, low, medium, high, xhigh"]),
        (config(thinking_summaries="all"), ["'all'", "thinking_summaries"]),
        (config(tool_choice="some"), ["'some'", "tool_choice", "auto, any, none, validated"]),
        (config(tool_choice="any"), ["'any'", "needs a function"]),
        ({**config(tool_choice={}), "tools": [F]}, ["allowed_tools"]),
        ({**config(tool_choice={"allowed_tools": {"mode": "maybe"}}), "tools": [F]}, ["'maybe'"]),
        ({**config(tool_choice={"allowed_tools": {"tools": ["g"]}}), "tools": [F]}, ["'g'", "names no tool"]),
        ({"service_tier": "gold"}, ["'gold'", "flex, standard, priority, deferred"]),
        ({"environment": {"type": "local"}}, ["environment", "type"]),
        (source(target=None), ["target"]),
        (source(target=""), ["target"]),
        ({"response_format": {"type": "text", "schema": "no"}}, ["response_format", "schema"]),
        ({"agent_config": {"type": "antigravity"}}, ["agent_config"]),
        ({"model": ""}, ["model"]),
        ({"agent": "antigravity-preview-09-2026"}, ["model", "agent", "both"]),
        ({"model": None}, ["model", "agent", "neither"]),
        ({"input": None}, ["'input'"]),
        ({"input": ""}, ["'input'"]),
        ({"input": []}, ["'input'"]),
        ({"continuation_token": "guessed"}, ["'guessed'", "continuation_token"]),
    ],
)
async def test_a_known_kind_with_a_missing_or_wrong_field_is_400(
    service: Service, fields: dict[str, Any], facts: list[str]
) -> None:
    """Stricter than the model: the place and the field are named, as the real service names them."""
    await refuses(service(), fields, *facts)


@pytest.mark.covers("local:checks:kinds")
@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        (
            {"tools": [{"type": "teleport"}]},
            ["'teleport'", "'type'", "tools[0]", "Supported values: function, code_execution"],
        ),
        ({"tools": [{"name": "f"}]}, ["'type'", "tools[0]", "Supported values"]),
        ({"input": [{"type": "smell", "data": "x"}]}, ["'smell'", "input[0]", "user_input", "text, image"]),
        ({"input": [{"role": "user", "content": "x"}]}, ["'type'", "input[0]"]),
        ({"input": [{"type": "user_input", "content": [{"type": "smell"}]}]}, ["'smell'", "input[0].content[0]"]),
        ({"response_format": {"type": "smell"}}, ["'smell'", "response_format"]),
    ],
)
async def test_an_unknown_kind_is_400_and_names_what_there_is(
    service: Service, fields: dict[str, Any], facts: list[str]
) -> None:
    """A misspelt kind must not be taken for one of the future."""
    await refuses(service(), fields, *facts)


@pytest.mark.covers("local:checks:unknown-fields")
async def test_unknown_top_level_fields_are_400_and_unknown_nested_ones_are_taken(service: Service) -> None:
    """The API's own code names the first; the next version of an SDK may send the second."""
    backend = service([text("ok")], [text("ok")])
    with pytest.raises(BadRequest, match="'session_id'") as refused:
        await backend.create(model="m", input="x", session_id="s")
    assert refused.value.code == "parameter_unknown"
    turn = await backend.create(
        model="m",
        input=[{"type": "user_input", "content": [{"type": "text", "text": "x", "mood": "good"}], "future": 1}],
        tools=[{**F, "defer_loading": True, "future": {"x": 1}}],
        generation_config={"top_k": 3, "future": [1]},
    )
    assert turn.status == "completed"
    annotated = {"type": "text", "text": "x", "annotations": [{"type": "annotation_of_the_future"}]}
    assert (await backend.create(model="m", input=[annotated])).status == "completed"


@pytest.mark.covers("local:checks:tools")
@pytest.mark.parametrize(
    "tool",
    [
        {"type": "google_search"},
        {"type": "url_context"},
        {"type": "google_maps"},
        {"type": "file_search"},
        {"type": "computer_use"},
        {"type": "mcp_server", "name": "n", "url": "http://127.0.0.1/", "headers": {"Authorization": "secret-token"}},
        {"type": "retrieval"},
        {"type": "tool_search"},
    ],
)
async def test_a_tool_that_cannot_be_honoured_is_400_with_its_name(service: Service, tool: dict[str, Any]) -> None:
    """What it takes instead, or what to register, is said; what the tool held is not."""
    backend = service()
    await refuses(backend, {"tools": [F, tool]}, tool["type"], "tools[1]", "server_tools")
    with pytest.raises(BadRequest) as refused:
        await backend.create(model="m", input="x", tools=[tool])
    assert "secret-token" not in f"{refused.value!r} {refused.value}"


@pytest.mark.covers("local:checks:tools")
async def test_two_functions_of_one_name_are_400(service: Service) -> None:
    """The second could never be meant."""
    await refuses(service(), {"tools": [F, F]}, "'f'", "tools[1]")


@pytest.mark.covers("local:checks:modes")
@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({"background": True, "store": False}, ["background", "store"]),
        ({"service_tier": "deferred"}, ["deferred", "background=true"]),
        ({"service_tier": "deferred", "background": True, "store": False}, ["store"]),
        ({"webhook_config": {"uris": ["http://127.0.0.1/"]}}, ["webhook_config", "background=true"]),
        ({"cached_content": "cachedContents/x"}, ["cached_content"]),
        ({"response_modalities": ["text", "image"]}, ["'image'", "response_modalities"]),
        ({"response_format": {"type": "image"}}, ["'image'", "response_format"]),
        ({"response_format": [{"type": "text"}, {"type": "audio"}]}, ["'audio'", "response_format[1]"]),
    ],
)
async def test_what_does_not_go_together_or_does_not_exist_here_is_400(
    service: Service, fields: dict[str, Any], facts: list[str]
) -> None:
    """Refused with a reason instead of dropped."""
    await refuses(service(), fields, *facts)


@pytest.mark.covers("local:checks:modes")
async def test_a_deferred_turn_cannot_stream(service: Service) -> None:
    """As the API says of this tier."""
    with pytest.raises(BadRequest, match="cannot stream"):
        await anext(service().stream(model="m", input="x", service_tier="deferred", background=True))


@pytest.mark.covers("local:checks:labels")
@pytest.mark.parametrize(
    ("labels", "right"),
    [
        ({"team": "", "a-1_b": "x_y-9", "k" * 63: "v" * 63}, True),
        ({"1team": "a"}, False),
        ({"Team": "a"}, False),
        ({"": "a"}, False),
        ({"k" * 64: "a"}, False),
        ({"team": "A"}, False),
        ({"team": "v" * 64}, False),
        ({f"k{n}": "" for n in range(65)}, False),
    ],
)
async def test_labels_keep_the_rules_of_the_api(service: Service, labels: dict[str, str], right: bool) -> None:
    """Up to 63 lowercase letters, digits, _ and -; names start with a letter; values may be empty."""
    backend = service([text("ok")])
    if right:
        assert (await backend.create(model="m", input="x", labels=labels)).status == "completed"
    else:
        await refuses(backend, {"labels": labels}, "label")


@pytest.mark.covers("local:checks:accepted")
@pytest.mark.parametrize(
    "fields",
    [
        {"input": {"type": "text", "text": "x"}},
        {"input": [{"type": "text", "text": "x"}, {"type": "image", "uri": "http://127.0.0.1/x.png"}]},
        {"input": [{"type": "document", "data": "aWk=", "mime_type": "application/pdf"}]},
        {"response_format": {"type": "text", "mime_type": "application/json", "schema": {"type": "object"}}},
        {"response_format": {"type": "object", "properties": {}}, "response_mime_type": "application/json"},
        {"response_modalities": ["text"]},
        {"service_tier": "flex"},
        {"safety_settings": [{"type": "hate_speech", "threshold": "off"}]},
        {
            "tools": [F, {"type": "code_execution"}],
            "generation_config": {"tool_choice": "any", "thinking_level": "high"},
        },
        {"tools": [F], "generation_config": {"tool_choice": {"allowed_tools": {"mode": "validated", "tools": ["f"]}}}},
    ],
)
async def test_what_the_api_takes_is_taken(service: Service, fields: dict[str, Any]) -> None:
    """The other side of the table: strictness must not refuse what is right."""
    backend = service([text("ok")])
    assert (await backend.create(**{"model": "m", "input": "x", **fields})).status == "completed"
