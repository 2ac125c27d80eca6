"""Tools, tool choice and answer formats: every form LangChain callers use, as the API takes it."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.tools import tool
from pydantic import BaseModel
from typing_extensions import TypedDict

from bridge.errors import InvalidRequest
from bridge.interactions import CodeExecutionTool
from bridge.interactions import TextFormat as ApiTextFormat
from bridge.langgraph._tools import response_format_of, tool_choice_of, tool_of, tools_of

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@tool
def weather(city: str) -> str:
    """The weather."""
    return city


def plain(city: str) -> str:
    """The weather."""
    return city


class Weather(BaseModel):
    """The weather."""

    city: str


class WeatherDict(TypedDict):
    """The weather."""

    city: str


@pytest.mark.covers("langgraph:tools:forms")
@pytest.mark.parametrize(
    ("given", "name"),
    [
        (weather, "weather"),
        (plain, "plain"),
        (Weather, "Weather"),
        (WeatherDict, "WeatherDict"),
        (
            {
                "type": "function",
                "function": {"name": "f", "description": "The weather.", "parameters": CITY, "strict": True},
            },
            "f",
        ),
        ({"type": "function", "name": "f", "description": "The weather.", "parameters": CITY}, "f"),
        ({"name": "f", "description": "The weather.", "input_schema": CITY}, "f"),
        ({"title": "f", "description": "The weather.", **CITY}, "f"),
    ],
)
def test_every_form_of_a_function_becomes_the_apis_function(given: Any, name: str) -> None:
    """Name, description and schema survive."""
    made = tool_of(given)
    assert (made["type"], made["name"], made["description"]) == ("function", name, "The weather.")
    assert made["parameters"]["properties"]["city"]["type"] == "string"
    assert made["parameters"]["required"] == ["city"]
    assert set(made) == {"type", "name", "description", "parameters"}


@pytest.mark.covers("langgraph:tools:builtin")
def test_the_apis_own_tools_go_in_as_they_are() -> None:
    """As dicts or as the model's classes; the caller's dict is not shared."""
    own: dict[str, Any] = {"type": "mcp_server", "name": "m", "url": "https://x", "headers": {"a": "b"}}
    made = tools_of([own, {"type": "code_execution"}, CodeExecutionTool()])
    assert made == [own, {"type": "code_execution"}, {"type": "code_execution"}]
    made[0]["headers"]["a"] = "changed"
    assert own["headers"] == {"a": "b"}


@pytest.mark.covers("langgraph:tools:refused")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"type": "web_search_20250305"}, ["tools[1]", "web_search_20250305", "google_search"]),
        ({"type": "function", "description": "nameless"}, ["name"]),
        ({"nothing": 1}, ["tools[1]"]),
        (7, ["tools[1]"]),
    ],
)
def test_a_tool_the_api_does_not_have_is_refused_by_place(given: Any, said: list[str]) -> None:
    """With what there is instead."""
    with pytest.raises(InvalidRequest) as refusal:
        tools_of([weather, given])
    assert all(part in str(refusal.value) for part in said)


@pytest.mark.covers("langgraph:tools:forms")
def test_a_schema_is_not_shared_and_an_empty_required_list_is_left_out() -> None:
    """The service refuses `required: []`; the caller keeps its dict."""
    given = {"type": "function", "name": "f", "parameters": {"properties": {}, "required": []}}
    assert tool_of(given) == {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    assert given["parameters"] == {"properties": {}, "required": []}


FUNCTIONS = [{"type": "function", "name": "f"}, {"type": "function", "name": "auto"}, {"type": "code_execution"}]
FORCED = {"allowed_tools": {"mode": "any", "tools": ["f"]}}


@pytest.mark.covers("langgraph:tools:choice")
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, None),
        (False, None),
        (True, "any"),
        ("any", "any"),
        ("required", "any"),
        ("auto", "auto"),
        ("none", "none"),
        ("validated", "validated"),
        ("f", FORCED),
        ({"type": "function", "function": {"name": "f"}}, FORCED),
        ({"type": "function", "function": {"name": "auto"}}, {"allowed_tools": {"mode": "any", "tools": ["auto"]}}),
        ({"type": "tool", "name": "f"}, FORCED),
        ({"type": "any"}, "any"),
        ({"type": "auto"}, "auto"),
        (FORCED, FORCED),
    ],
)
def test_every_form_of_tool_choice_is_understood(given: Any, sent: Any) -> None:
    """LangChain's, OpenAI's, Anthropic's and the API's own."""
    assert tool_choice_of(given, FUNCTIONS) == sent


@pytest.mark.covers("langgraph:tools:choice")
@pytest.mark.parametrize("given", ["g", "code_execution", {"type": "tool", "name": "g"}, {"x": 1}, 7])
def test_a_choice_that_is_none_of_the_tools_is_refused(given: Any) -> None:
    """A typo does not silently free the model."""
    with pytest.raises(InvalidRequest, match="tool_choice"):
        tool_choice_of(given, FUNCTIONS)


SENT = {"type": "text", "mime_type": "application/json", "schema": CITY}


@pytest.mark.covers("langgraph:structured:formats")
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, None),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": CITY, "strict": True}}, SENT),
        ({"type": "json_schema", "name": "x", "schema": CITY}, SENT),
        ({"type": "json_object"}, {"type": "text", "mime_type": "application/json"}),
        (CITY, SENT),
        (SENT, SENT),
        (ApiTextFormat.parse(SENT), SENT),
        ([SENT, {"type": "image", "aspect_ratio": "1:1"}], [SENT, {"type": "image", "aspect_ratio": "1:1"}]),
    ],
)
def test_every_form_of_response_format_is_understood(given: Any, sent: Any) -> None:
    """OpenAI's is translated, a bare schema is wrapped, the API's own stays."""
    assert response_format_of(given) == sent


@pytest.mark.covers("langgraph:structured:formats")
def test_a_class_is_a_response_format() -> None:
    """Its JSON schema is sent."""
    sent = response_format_of(Weather)
    assert sent["schema"]["properties"]["city"]["type"] == "string"


@pytest.mark.covers("langgraph:structured:formats")
@pytest.mark.parametrize("given", ["json", {"type": "yaml"}, 7])
def test_an_unknown_response_format_is_refused(given: Any) -> None:
    """It is not sent on in the hope that somebody understands it."""
    with pytest.raises(InvalidRequest, match="response_format"):
        response_format_of(given)
