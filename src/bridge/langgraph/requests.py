"""What a call of the chat model asks for besides its input: the model's settings with those of the call on top. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from bridge.errors import InvalidRequest
from bridge.interactions import GenerationConfig, Model

from ._tools import response_format_of, tool_choice_of, tools_of

__all__ = ["OWN", "SETTINGS", "call_of", "fields_of", "given_of", "without_secrets"]

_GENERATION = frozenset(GenerationConfig.model_fields) - {"tool_choice"}
SETTINGS = (
    "response_format",
    "environment",
    "agent_config",
    "labels",
    "service_tier",
    "safety_settings",
)
# The chat model's fields that a request is made of.
OWN = (
    *SETTINGS,
    "agent",
    "generation_config",
    "max_tokens",
    "model",
    "session",
    "stop",
    "temperature",
    "thinking_level",
    "thinking_summaries",
    "tools",
)
_PER_CALL = frozenset(
    {
        *_GENERATION,
        *SETTINGS,
        "agent",
        "generation_config",
        "max_tokens",
        "model",
        "previous_interaction_id",
        "response_modalities",
        "tool_choice",
        "tools",
    }
)
# What LangChain passes along for itself.
_LANGCHAINS = frozenset(
    {
        "ls_structured_output_format",
        "stream",
        "stream_usage",
        "structured_output_format",
    }
)

# Settings of other libraries and of the API that a call does not take, and what does the same here.
_ELSEWHERE = {
    "background": "a call waits for its answer; what runs in the background is a node of its own, interactions_node",
    "n": "ask several times, with batch",
    "store": 'session="off" keeps nothing at the service',
}
# Where the API's settings carry credentials: an MCP server's headers, a sandbox's variables, what its proxy adds, a search engine's key.
_CREDENTIALS = frozenset({"api_key", "env", "headers", "transform"})


def given_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def call_of(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of one call. Raises `InvalidRequest` for one that there is not."""
    given = given_of({name: value for name, value in kwargs.items() if name not in _LANGCHAINS})
    if unknown := given.keys() - _PER_CALL:
        instead = "".join(f"; {_ELSEWHERE[name]}" for name in sorted(unknown & _ELSEWHERE.keys()))
        raise InvalidRequest(
            f"a call takes no {', '.join(sorted(unknown))}{instead}; it takes {', '.join(sorted(_PER_CALL))}",
            min(unknown),
        )
    return given


def without_secrets(settings: Any, *, hidden: bool = False) -> Any:
    """Settings as they may be traced and be part of a cache's key: in place of credentials stand their digests."""
    if isinstance(settings, Model):
        settings = settings.to_wire()
    if isinstance(settings, Mapping):
        if settings.get("type") == "function":  # the bulk of most settings, and only a description
            return settings
        return {name: without_secrets(value, hidden=hidden or name in _CREDENTIALS) for name, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [without_secrets(value, hidden=hidden) for value in settings]
    if hidden and isinstance(settings, str):
        return f"sha256:{hashlib.sha256(settings.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    return settings


def fields_of(own: Mapping[str, Any], stop: list[str] | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """The request but for its parent, its input and the system instruction: the model's `OWN` settings with the call's on top.

    Raises `InvalidRequest` for what does not go together.
    """
    fields: dict[str, Any] = {name: given.get(name, own[name]) for name in SETTINGS}
    fields["response_modalities"] = given.get("response_modalities")
    if "model" in given or "agent" in given:
        fields |= {"model": given.get("model"), "agent": given.get("agent")}
    else:
        fields |= {"model": own["model"], "agent": own["agent"]}
    fields["response_format"] = response_format_of(fields["response_format"])
    fields["tools"] = tools = tools_of([*(own["tools"] or ()), *given.get("tools", ())]) or None
    plain = {
        "temperature": own["temperature"],
        "max_output_tokens": own["max_tokens"],
        "thinking_level": own["thinking_level"],
        "thinking_summaries": own["thinking_summaries"],
    }
    config = {
        **(own["generation_config"] or {}),
        **given_of(plain),
        **given.get("generation_config", {}),
        **{name: value for name, value in given.items() if name in _GENERATION},
    }
    if "max_tokens" in given:
        config["max_output_tokens"] = given["max_tokens"]
    if stops := stop or given.get("stop_sequences") or own["stop"]:
        config["stop_sequences"] = stops
    if (choice := tool_choice_of(given.get("tool_choice"), tools or ())) is not None:
        config["tool_choice"] = choice
    if fields["agent"] is not None and config.get("tool_choice") == "auto":
        del config["tool_choice"]  # what agents do anyway
    if fields["agent"] is not None and config:
        raise InvalidRequest(
            f"agents take no generation settings; leave out {', '.join(sorted(config))}",
            "generation_config",
        )
    fields["generation_config"] = config or None
    if own["session"] == "off":
        fields["store"] = False
    return given_of(fields)
