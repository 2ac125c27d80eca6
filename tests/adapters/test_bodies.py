"""Bodies that no SDK would send: a stand-in answers or refuses each, and fails at none."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import bridge_anthropic.testing
import bridge_openai.testing
import httpx2
import pytest

from bridge.backends.local.stand_ins import StandIn

from .conftest import KEY
from .test_anthropic import IMAGE, RESULT, TEXT, USE, WEATHER, assistant, user
from .test_openai import CALL, FLAT, NESTED, PNG, STRICT, TOOL, USER, called, output, said

HEADERS = {"x-api-key": KEY, "anthropic-version": "2023-06-01", "authorization": f"Bearer {KEY}"}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/messages": {
        "model": "claude-9",
        "max_tokens": 4000,
        "system": [TEXT],
        "messages": [user(TEXT, IMAGE), assistant(TEXT, USE), user(RESULT, TEXT), {"role": "user", "content": "Well?"}],
        "tools": [WEATHER],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "thinking": {"type": "adaptive", "display": "omitted"},
        "stop_sequences": ["stop"],
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        "temperature": 1,
        "stream": False,
    },
    "/v1/responses": {
        "model": "gpt-9",
        "instructions": "Be kind.",
        "input": [
            said("user", [{"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": PNG}]),
            {**CALL, "id": "fc_1"},
            output("call_1", [{"type": "input_text", "text": "x"}]),
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
            USER,
        ],
        "tools": [FLAT],
        "tool_choice": {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "get_weather"}],
        },
        "text": {"format": {**STRICT, "strict": False}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 50,
        "parallel_tool_calls": False,
        "store": True,
        "stream": False,
    },
    "/v1/chat/completions": {
        "model": "gpt-9",
        "messages": [
            said("system", "Be kind."),
            said("user", [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": PNG}}]),
            called(),
            TOOL,
            USER,
        ],
        "tools": [NESTED],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "response_format": {"type": "json_schema", "json_schema": {**STRICT, "strict": False}},
        "stream_options": {"include_usage": True},
        "stop": ["stop"],
        "max_tokens": 50,
        "n": 1,
        "stream": False,
    },
}
GONE = object()
VALUES: list[Any] = [
    GONE,
    None,
    True,
    0,
    -1,
    0.5,
    "",
    "x",
    "none",
    [],
    ["x"],
    [[]],
    [None],
    {},
    {"type": "x"},
    {"x": {}},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside a body."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def service(path: str) -> StandIn:
    vendor = bridge_anthropic.testing if path == "/v1/messages" else bridge_openai.testing
    return vendor.stand_in()


@pytest.mark.covers("vendors:bodies")
@pytest.mark.parametrize("path", BODIES)
async def test_no_body_is_too_odd_to_be_answered_or_refused(path: str) -> None:
    """Each value of a good body is another or gone: an answer or a refusal in the vendor's form, and never a failure."""
    transport = httpx2.ASGITransport(service(path))
    async with httpx2.AsyncClient(transport=transport, base_url="http://stand-in", headers=HEADERS) as client:
        for *way, last in places(BODIES[path]):
            for value in VALUES:
                body = copy.deepcopy(BODIES[path])
                place: Any = body
                for key in way:
                    place = place[key]
                if value is GONE:
                    del place[last]
                else:
                    place[last] = value
                answer = await client.post(path, json=body)
                assert answer.status_code in (200, 400, 404), json.dumps(body)
                if answer.status_code != 200:
                    assert answer.json()["error"]["message"]


@pytest.mark.covers("vendors:bodies")
@pytest.mark.parametrize("path", BODIES)
async def test_the_body_that_is_changed_is_a_good_one(path: str) -> None:
    """As it stands, it is answered."""
    transport = httpx2.ASGITransport(service(path))
    async with httpx2.AsyncClient(transport=transport, base_url="http://stand-in", headers=HEADERS) as client:
        assert (await client.post(path, json=BODIES[path])).status_code == 200
