"""What the service refuses, in the real service's words: stricter than the model, which accepts what it does not know.

Pure functions over a request and the chain before it; each raises an `ApiError`. Unknown nested fields are accepted, unknown
top-level fields and unknown kinds are not. Which agents there are is `agents`' business.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from bridge.errors import ApiError, api_error
from bridge.interactions import (
    CodeExecutionCall,
    CodeExecutionResult,
    CodeExecutionTool,
    CreateInteraction,
    CreateModelInteraction,
    EnvironmentConfig,
    FunctionCall,
    FunctionResult,
    FunctionTool,
    GenerationConfig,
    Model,
    Source,
    Step,
    TextFormat,
    ToolChoice,
    Unknown,
    UserInput,
    WebhookConfig,
    pending_calls,
)
from bridge.interactions.content import CONTENT
from bridge.interactions.interaction import is_content
from bridge.interactions.requests.config import AGENT_KINDS, FORMAT_KINDS
from bridge.interactions.requests.tools import KINDS as TOOL_KINDS
from bridge.interactions.steps import INPUT_ITEM, STEP

__all__ = ["check_calls", "check_parts", "check_request", "check_tools", "check_uri", "refused"]

_KINDS: dict[str, list[str]] = {
    "agent_config": [*AGENT_KINDS],
    "content": [*CONTENT.kinds],
    "input": [*INPUT_ITEM.kinds],
    "response_format": [*FORMAT_KINDS],
    "step": [*STEP.kinds],
    "tool": [*TOOL_KINDS],
}
# Fields that the API needs although the model, which also reads half a stream, leaves them open.
_NEEDED: dict[type[Model], tuple[str, ...]] = {
    CodeExecutionCall: ("arguments",),
    CodeExecutionResult: ("result",),
    FunctionCall: ("id", "name", "arguments"),
    FunctionResult: ("call_id", "result"),
    FunctionTool: ("name",),
    Source: ("type", "target"),
    UserInput: ("content",),
}
_TOOL_MODES = ("auto", "any", "none", "validated")
_VALUES: dict[type[Model], dict[str, tuple[str, ...]]] = {
    EnvironmentConfig: {"type": ("remote",)},
    GenerationConfig: {
        "thinking_level": ("minimal", "low", "medium", "high", "xhigh"),
        "thinking_summaries": ("auto", "none"),
    },
}
_TIERS = ("flex", "standard", "priority", "deferred")
_LABEL = re.compile(r"[a-z0-9_-]{0,63}")
_MOST_URIS = 10
_LONGEST_URI = 2048  # characters
_PLAIN = re.compile(f"[!-~]{{1,{_LONGEST_URI}}}")


def refused(message: str, *, status: int = 400, code: str = "invalid_request") -> ApiError:
    """The error with which the service refuses a request."""
    return api_error(message, status=status, code=code)


def check_request(request: CreateInteraction, *, streamed: bool) -> None:
    """Everything about a request that can be said without looking at what is stored."""
    for name in request.model_extra or ():
        raise refused(f"Unknown parameter: {name!r}.", code="parameter_unknown")
    who = "model" if isinstance(request, CreateModelInteraction) else "agent"
    if not getattr(request, who):
        raise refused(f"The value '' is not supported for {who!r}: name one.")
    _check_input(request)
    check_parts(request)
    _check_modes(request, streamed)
    _check_labels(request.labels or {})
    _check_webhooks(request)
    _check_unsupported(request)
    if isinstance(request, CreateModelInteraction) and isinstance(request.generation_config, GenerationConfig):
        _check_generation(request.generation_config, request.tools or ())


def check_parts(value: Any, path: str = "") -> None:
    """Refuses unknown kinds, known kinds with a missing or wrong field, and values the API does not have."""
    for where, part in _parts(value, path):
        if isinstance(part, Unknown):
            _check_unknown(where, part)
            continue
        for name in _NEEDED.get(type(part), ()):
            value = getattr(part, name)
            empty = value is None or (name != "result" and value in ("", []))
            if empty or name not in part.model_fields_set:
                raise refused(f"Missing value for {name!r} at {where!r}.")
        for name, values in _VALUES.get(type(part), {}).items():
            given = getattr(part, name)
            if given is not None and given not in values:
                raise _unsupported(given, name, where, values)
        if type(part) in _MEDIA:
            _check_media(part, where)


def check_tools(tools: Sequence[Any], honoured: Container[str]) -> None:
    """Refuses tools the service cannot honour, and two functions of one name. `honoured` are types with a callable."""
    names: set[str] = set()
    for number, tool in enumerate(tools):
        if isinstance(tool, FunctionTool):
            if tool.name in names:
                raise refused(f"Duplicate function name {tool.name!r} at 'tools[{number}]'.")
            names.add(tool.name)
        elif not isinstance(tool, CodeExecutionTool) and tool.type not in honoured:
            raise refused(
                f"The tool {tool.type!r} at 'tools[{number}]' is not supported by the local service, which runs functions and "
                f"code_execution; register a callable for it (server_tools={{{tool.type!r}: ...}}) or leave it out."
            )


def check_uri(uri: Any, where: str) -> None:
    """Refuses what is no address that a webhook's delivery could go to."""
    try:
        scheme, place, *_ = parts = urlsplit(uri if isinstance(uri, str) and _PLAIN.fullmatch(uri) else "")
        fits = scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and "@" not in place
    except ValueError:  # no number for a port, half an IPv6 address
        fits = False
    if not fits:
        raise refused(
            f"Invalid value at {where!r}: expected an http or https address of at most {_LONGEST_URI} characters, "
            "without spaces or a user's name."
        )


def check_calls(parent: Sequence[Step], history: Sequence[Step], steps: Sequence[Step]) -> None:
    """Refuses results of calls that were never asked for or have their answer, and turns that answer only some calls.

    `parent` are the steps of the turn before, `history` those of the whole chain with it, `steps` the new input.
    """
    asked: set[str] = set()
    answered: set[str] = set()
    given: set[str] = set()
    first = len(history)
    for number, step in enumerate([*history, *steps]):
        if isinstance(step, FunctionCall):
            asked.add(step.id)
        elif isinstance(step, FunctionResult):
            if number >= first:
                where = f"'input[{number - first}]'"
                if step.call_id not in asked:
                    raise refused(f"The value {step.call_id!r} for 'call_id' at {where} matches no function call.")
                if step.call_id in answered:
                    raise refused(f"The function call {step.call_id!r} at {where} already has its result.")
                given.add(step.call_id)
            answered.add(step.call_id)
    if given:
        last = max(
            (n for n, step in enumerate(steps) if isinstance(step, UserInput) and n < len(steps) - 1), default=-1
        )
        open_calls = pending_calls([*(parent or steps[last + 1 :]), *(steps if parent else ())])
        if open_calls:
            names = ", ".join(f"{call.id!r} ({call.name})" for call in open_calls)
            raise refused(
                f"Function calls without a result in 'input': {names}. Send the results of all calls at once."
            )


def _parts(value: Any, path: str) -> Iterator[tuple[str, Model | Unknown]]:
    """Every part of a value that is of the model, outermost first, with its path ("tools[0]")."""
    if isinstance(value, Unknown):
        yield path, value
    elif isinstance(value, Model):
        yield path, value
        for name in sorted(value.model_fields_set & type(value).model_fields.keys()):
            alias = type(value).model_fields[name].alias or name
            yield from _parts(getattr(value, name), f"{path}.{alias}" if path else alias)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _parts(item, f"{path}[{number}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _parts(item, f"{path}.{name}")


def _check_unknown(where: str, part: Unknown) -> None:
    kinds = _KINDS.get(part.union)
    if part.reason is not None or not isinstance(part.raw, dict):
        raise refused(f"Invalid value at {where!r}: {part.reason or 'expected an object'}.")
    if kinds is not None and not (part.union == "response_format" and part.kind in _SCHEMA_TYPES):
        if not part.kind:
            raise refused(f"Missing value for 'type' at {where!r}. Supported values: {', '.join(kinds)}.")
        raise _unsupported(part.kind, "type", where, kinds)


# A response format of these types is a bare JSON schema, the old form of the field.
_SCHEMA_TYPES = ("object", "array", "string", "number", "integer", "boolean")
_MEDIA = tuple(kind for name, kind in CONTENT.kinds.items() if name != "text")


def _check_media(part: Any, where: str) -> None:
    if (part.data is None) == (part.uri is None):
        raise refused(f"Exactly one of 'data' and 'uri' must be given at {where!r}.")
    if part.data is not None:
        try:
            base64.b64decode(part.data, validate=True)
        except (binascii.Error, ValueError):
            raise refused(f"The value for 'data' at {where!r} is not base64.") from None


def _check_input(request: CreateInteraction) -> None:
    given = request.input
    if request.continuation_token is not None:
        return
    if given is None or given == "" or given == []:
        raise refused("Missing value for 'input'.")
    if isinstance(given, list):
        kinds = {is_content(item) for item in given if not isinstance(item, Unknown)}
        if len(kinds) > 1:
            raise refused("The list at 'input' mixes content and steps; put the content into a 'user_input' step.")


def _check_modes(request: CreateInteraction, streamed: bool) -> None:
    if request.previous_interaction_id == "":
        raise refused("The value '' is not supported for 'previous_interaction_id': that interaction was not stored.")
    if request.background and request.store is False:
        raise refused("background=true needs store=true.")
    tier = request.service_tier
    if tier is not None and tier not in _TIERS:
        raise _unsupported(tier, "service_tier", "", _TIERS)
    if tier == "deferred":
        if not request.background:
            raise refused("service_tier='deferred' needs background=true.")
        if streamed:
            raise refused("service_tier='deferred' cannot stream.")


def _check_webhooks(request: CreateInteraction) -> None:
    config = request.webhook_config
    if not isinstance(config, WebhookConfig):
        return
    if not request.background:
        raise refused("'webhook_config' needs background=true.")
    uris = config.uris or []
    if len(uris) > _MOST_URIS:
        raise refused(f"Too many values at 'webhook_config.uris': at most {_MOST_URIS}.")
    for number, uri in enumerate(uris):
        check_uri(uri, f"webhook_config.uris[{number}]")


def _check_labels(labels: Mapping[str, str]) -> None:
    if len(labels) > 64:
        raise refused("At most 64 entries are supported for 'labels'.")
    for name, value in labels.items():
        if not (_LABEL.fullmatch(name) and name[:1].isalpha()):
            raise refused(
                f"The label name {name[:80]!r} is not supported: 1 to 63 lowercase letters, digits, '_' or '-', a letter first."
            )
        if not _LABEL.fullmatch(value):
            raise refused(
                f"The value of the label {name!r} is not supported: up to 63 lowercase letters, digits, '_' or '-'."
            )


def _check_unsupported(request: CreateInteraction) -> None:
    """What the API has and the local service has not."""
    formats = request.response_format
    for number, entry in enumerate(formats if isinstance(formats, list) else [formats]):
        if entry is not None and not isinstance(entry, TextFormat | Unknown):
            where = f"response_format[{number}]" if isinstance(formats, list) else "response_format"
            raise refused(
                f"The type {entry.type!r} at {where!r} is not supported by the local service, which writes text."
            )
    for name in request.response_modalities or ():
        if name != "text":
            raise refused(
                f"The value {name!r} at 'response_modalities' is not supported by the local service: it writes text."
            )
    if getattr(request, "cached_content", None) is not None:
        raise refused("'cached_content' is not supported by the local service, which has no explicit caching.")


def _check_generation(config: GenerationConfig, tools: Sequence[Any]) -> None:
    limit = config.max_output_tokens
    if limit is not None and limit < 1:
        raise refused(f"The value {limit} is not supported for 'max_output_tokens' at 'generation_config': at least 1.")
    where = "generation_config.tool_choice"
    choice = config.tool_choice
    names = {tool.name for tool in tools if isinstance(tool, FunctionTool)} | {tool.type for tool in tools}
    if isinstance(choice, ToolChoice):
        allowed = choice.allowed_tools
        if allowed is None:
            raise refused(f"Missing value for 'allowed_tools' at {where!r}.")
        for name in allowed.tools or ():
            if name not in names:
                raise refused(f"The value {name!r} at '{where}.allowed_tools.tools' names no tool of the request.")
        choice = allowed.mode
    if choice is not None and choice not in _TOOL_MODES:
        raise _unsupported(choice, "tool_choice", "generation_config", _TOOL_MODES)
    if choice == "any" and not any(isinstance(tool, FunctionTool) for tool in tools):
        raise refused(f"The value 'any' at {where!r} needs a function in 'tools'.")


def _unsupported(value: object, name: str, where: str, values: Sequence[str]) -> ApiError:
    place = f" at {where!r}" if where else ""
    return refused(f"The value {value!r} is not supported for {name!r}{place}. Supported values: {', '.join(values)}.")
