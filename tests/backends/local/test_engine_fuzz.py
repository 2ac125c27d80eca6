"""Whatever a request holds, the service answers it or refuses it: it never fails."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from bridge.backends.local import LocalBackend
from bridge.errors import ApiError, InvalidRequest

TEXTS = some.one_of(
    some.sampled_from(["", "x", "text", "remote", "../x", "\ud800", "a\0b", "function"]), some.text(max_size=8)
)
SCALARS = some.one_of(some.none(), some.booleans(), some.integers(), some.floats(allow_nan=False), TEXTS)
KEYS = some.one_of(
    some.sampled_from(
        ["type", "text", "content", "id", "call_id", "name", "arguments", "result", "data", "uri", "target", "sources"]
    ),
    some.text(max_size=4),
)
KINDS = some.sampled_from(
    [
        *("text", "image", "document", "user_input", "model_output", "thought", "function_call", "function_result"),
        *(
            "code_execution_call",
            "code_execution_result",
            "google_search_call",
            "function",
            "code_execution",
            "google_search",
        ),
        *("remote", "inline", "antigravity", "deep-research", "unheard-of"),
    ]
)
VALUES = some.recursive(
    SCALARS,
    lambda inner: some.one_of(
        some.lists(inner, max_size=3),
        some.dictionaries(KEYS, inner, max_size=4),
        some.builds(lambda kind, rest: {**rest, "type": kind}, KINDS, some.dictionaries(KEYS, inner, max_size=4)),
    ),
    max_leaves=12,
)
FIELDS = some.sampled_from(
    [
        *("input", "tools", "system_instruction", "generation_config", "response_format", "previous_interaction_id"),
        *("store", "background", "environment", "continuation_token", "service_tier", "safety_settings", "labels"),
        *(
            "agent_config",
            "cached_content",
            "response_mime_type",
            "response_modalities",
            "unheard_of",
            "self",
            "request",
        ),
    ]
)
WHO = some.sampled_from(
    [
        {"model": "m"},
        {"agent": "antigravity-x", "environment": "remote"},
        {"agent": "deep-research-x", "background": True},
    ]
)


async def outcome(call: Any) -> Any:
    """What a call gives; None where it was refused as the caller's error, in words that can be written."""
    given_back: Any = (await asyncio.gather(call, return_exceptions=True))[0]
    if not isinstance(given_back, BaseException):
        return given_back
    assert isinstance(given_back, ApiError | InvalidRequest), given_back
    assert 400 <= getattr(given_back, "status", 400) < 500, given_back
    json.dumps(str(given_back))
    return None


@pytest.mark.covers("local:checks:any")
@settings(max_examples=150)
@given(who=WHO, fields=some.dictionaries(FIELDS, VALUES, max_size=3), valid_input=some.booleans())
def test_any_request_is_answered_or_refused(who: dict[str, Any], fields: dict[str, Any], valid_input: bool) -> None:
    """Refusals are errors of the caller (4xx) and their text can be written; answers can be written as JSON and read again."""
    request = {**fields, **who, **({"input": "Hello"} if valid_input else {})}

    async def ask() -> None:
        async with LocalBackend() as backend:
            turn = await outcome(backend.create(**request))
            if turn is None:
                return
            assert turn.status in ("completed", "requires_action", "incomplete", "in_progress"), turn.to_wire()
            json.dumps(turn.to_wire())
            if turn.id:
                assert (await backend.get(turn.id, include_input=True)).id == turn.id

    asyncio.run(ask())


@pytest.mark.covers("local:checks:any")
@settings(max_examples=100)
@given(
    kind=some.sampled_from(["agents", "environments"]),
    fields=some.dictionaries(
        some.sampled_from(
            ["id", "base_agent", "base_environment", "tools", "sources", "network", "from_environment", "agent_config"]
        ),
        VALUES,
        max_size=4,
    ),
)
def test_any_definition_is_taken_or_refused(kind: str, fields: dict[str, Any]) -> None:
    """Agents and environments alike."""

    async def ask() -> None:
        async with LocalBackend() as backend:
            made = await outcome(getattr(backend, kind).create(**fields))
            if made is not None:
                json.dumps(made.to_wire())

    asyncio.run(ask())
