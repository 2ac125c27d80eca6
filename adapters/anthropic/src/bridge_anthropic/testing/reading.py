"""What a request to the Messages API means, and what the API refuses about it, in the API's own words.

Sources: the request types of anthropic 2.12, the pages "Messages", "Tool use", "Extended thinking" and "Errors", and the API's answers as
its users report them. A conversation comes out in the form of the Interactions wire.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from bridge.backends.local.stand_ins import Refused, conversation, seal
from bridge.interactions import CreateModelInteraction

__all__ = ["Asked", "read"]

_FIELDS = frozenset(
    [
        "cache_control",
        "container",
        "diagnostics",
        "inference_geo",
        "max_tokens",
        "mcp_servers",
        "messages",
        "metadata",
        "model",
        "output_config",
        "output_format",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
        "user_profile_id",
    ]
)
# What the API has and a stand-in has not.
_LACKING = ("container", "mcp_servers")
_BLOCKS: dict[str, frozenset[str]] = {
    kind: frozenset(fields.split()) | {"type"}
    for kind, fields in {
        "document": "source cache_control citations context title",
        "image": "source cache_control transformations",
        "redacted_thinking": "data",
        "text": "text cache_control citations",
        "thinking": "signature thinking",
        "tool_result": "tool_use_id cache_control content is_error toolset_name",
        "tool_use": "id input name cache_control caller toolset_name",
    }.items()
}
# Blocks of the vendor's own tools: the API takes them, and a stand-in never made them.
_OF_SERVER_TOOLS = re.compile(r"search_result|container_upload|server_tool_use|mcp_tool_(use|result)|\w+_tool_result")
_SAID_BY = {"thinking": "assistant", "redacted_thinking": "assistant", "tool_use": "assistant", "tool_result": "user"}
_ID = "^[a-zA-Z0-9_-]+$"
_NAME = "^[a-zA-Z0-9_-]{1,128}$"
_Wire = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request: the conversation, whether thinking is on and shown in words, and whether calls may come together."""

    request: CreateModelInteraction
    thinking: bool
    shown: bool
    parallel: bool


def read(body: Mapping[str, Any]) -> Asked:
    """The meaning of a request's body. Raises `Refused` as the API would refuse it."""
    for name in body:
        if name not in _FIELDS:
            raise Refused(f"{name}: Extra inputs are not permitted")
    for name in _LACKING:
        if body.get(name):
            raise Refused(f"{name}: the stand-in has none of this; leave it out, or use the real API")
    model, limit = _need(body, "model", str, ""), _need(body, "max_tokens", int, "")
    if limit < 1:
        raise Refused("max_tokens: Input should be greater than or equal to 1")
    turns = _merged(_need(body, "messages", list, ""))
    _check_calls(turns)
    tools = _tools(_given(body, "tools", list, "") or [])
    mode, allowed, parallel = _choice(body.get("tool_choice"), tools)
    thinking, shown = _thinking(body, limit, mode)
    steps, system = _steps(turns)
    return Asked(
        request=conversation(
            model=model,
            steps=steps,
            instruction="\n\n".join([*_texts(body.get("system"), "system"), *system]),
            functions=tools,
            mode=mode,
            allowed=allowed,
            schema=_schema(body),
            summaries=thinking and shown,
            max_tokens=limit,
            stops=_given(body, "stop_sequences", list, "") or (),
        ),
        thinking=thinking,
        shown=shown,
        parallel=parallel,
    )


@dataclass(frozen=True)
class _Turn:
    """Consecutive messages of one role, which the API combines. Each block has its place ("messages.1.content.0")."""

    place: str
    role: str
    blocks: list[tuple[str, _Wire]]

    def of(self, kind: str) -> list[tuple[str, _Wire]]:
        return [(place, block) for place, block in self.blocks if block["type"] == kind]


def _need(value: Any, name: str, kind: type, place: str) -> Any:
    where = f"{place}.{name}" if place else name
    if not isinstance(value, Mapping) or name not in value:
        raise Refused(f"{where}: Field required")
    if not isinstance(value[name], kind) or (kind is int and isinstance(value[name], bool)):
        names = {str: "string", int: "integer", list: "list", dict: "dictionary"}
        raise Refused(f"{where}: Input should be a valid {names[kind]}")
    return value[name]


def _given(value: Any, name: str, kind: type, place: str) -> Any:
    """A field that may be left out or null; None then."""
    return _need(value, name, kind, place) if value.get(name) is not None else None


def _merged(messages: list[Any]) -> list[_Turn]:
    """The turns of a conversation, each block checked."""
    if not messages:
        raise Refused("messages: at least one message is required")
    turns: list[_Turn] = []
    for number, message in enumerate(messages):
        place = f"messages.{number}"
        role = _need(message, "role", str, place)
        if role not in ("user", "assistant", "system"):
            raise Refused(f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant"')
        for name in message:
            if name not in ("role", "content"):
                raise Refused(f"{place}.{name}: Extra inputs are not permitted")
        blocks = list(_blocks(message.get("content"), f"{place}.content", role))
        if not blocks:
            raise Refused(
                f"{place}: all messages must have non-empty content except for the optional final assistant message"
            )
        if turns and turns[-1].role == role:
            turns[-1].blocks.extend(blocks)
        else:
            turns.append(_Turn(place, role, blocks))
    spoken = [turn for turn in turns if turn.role != "system"]
    if not spoken or spoken[0].role != "user":
        raise Refused('messages: first message must use the "user" role')
    if spoken[-1].role == "assistant":
        raise Refused(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    return turns


def _blocks(content: Any, place: str, role: str) -> Iterator[tuple[str, _Wire]]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list):
        raise Refused(f"{place}: Input should be a valid list" if content is not None else f"{place}: Field required")
    for number, block in enumerate(content):
        where = f"{place}.{number}"
        kind = _need(block, "type", str, where)
        if kind not in _BLOCKS:
            if _OF_SERVER_TOOLS.fullmatch(kind):
                raise Refused(f"{where}: the stand-in has no `{kind}` blocks; use the real API")
            tags = ", ".join(f"'{name}'" for name in _BLOCKS)
            raise Refused(
                f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}"
            )
        for name in block:
            if name not in _BLOCKS[kind]:
                raise Refused(f"{where}.{kind}.{name}: Extra inputs are not permitted")
        if role != _SAID_BY.get(kind, role):
            raise Refused(f"{where}: `{kind}` blocks can only be in `{_SAID_BY[kind]}` messages")
        _CHECKS[kind](block, where)
        yield where, block


def _check_text(block: _Wire, where: str) -> None:
    text = _need(block, "text", str, f"{where}.text")
    if not text:
        raise Refused("messages: text content blocks must be non-empty")
    if not text.strip():
        raise Refused("messages: text content blocks must contain non-whitespace text")


def _check_thinking(block: _Wire, where: str) -> None:
    text, signature = (
        _need(block, "thinking", str, f"{where}.thinking"),
        _need(block, "signature", str, f"{where}.thinking"),
    )
    if signature != seal("anthropic", text):
        raise Refused(f"{where}: Invalid `signature` in `thinking` block")


def _check_redacted(block: _Wire, where: str) -> None:
    _need(block, "data", str, f"{where}.redacted_thinking")
    raise Refused(f"{where}: Invalid `data` in `redacted_thinking` block")  # the stand-in never makes one


def _check_tool_use(block: _Wire, where: str) -> None:
    _matches(_need(block, "id", str, f"{where}.tool_use"), _ID, f"{where}.tool_use.id")
    _matches(_need(block, "name", str, f"{where}.tool_use"), _NAME, f"{where}.tool_use.name")
    _need(block, "input", dict, f"{where}.tool_use")


def _check_tool_result(block: _Wire, where: str) -> None:
    _matches(_need(block, "tool_use_id", str, f"{where}.tool_result"), _ID, f"{where}.tool_result.tool_use_id")
    for place, part in _blocks(block.get("content") or [], f"{where}.content", "user"):
        if part["type"] not in ("text", "image", "document"):
            raise Refused(f"{place}: a `tool_result` holds no `{part['type']}` blocks")


def _check_source(block: _Wire, where: str) -> None:
    source = _need(block, "source", dict, f"{where}.{block['type']}")
    kind = _need(source, "type", str, f"{where}.{block['type']}.source")
    if kind == "file":
        raise Refused(f"{where}.{block['type']}.source: the stand-in keeps no files; send the data itself")
    needed = {"base64": ("data", "media_type"), "url": ("url",), "text": ("data",), "content": ("content",)}
    if kind not in needed:
        raise Refused(
            f"{where}.{block['type']}.source: Input tag '{kind}' found using 'type' does not match any of the expected tags"
        )
    for name in needed[kind]:
        if name not in source:
            raise Refused(f"{where}.{block['type']}.source.{kind}.{name}: Field required")


def _matches(value: str, pattern: str, where: str) -> None:
    if not re.fullmatch(pattern, value):
        raise Refused(f"{where}: String should match pattern '{pattern}'")


_CHECKS: dict[str, Callable[[_Wire, str], None]] = {
    "document": _check_source,
    "image": _check_source,
    "redacted_thinking": _check_redacted,
    "text": _check_text,
    "thinking": _check_thinking,
    "tool_result": _check_tool_result,
    "tool_use": _check_tool_use,
}


def _check_calls(turns: list[_Turn]) -> None:
    """Every call has its result at the head of the next turn, and every result its call in the one before."""
    seen: set[str] = set()
    for turn, after in zip(turns, [*turns[1:], None], strict=True):
        for place, block in turn.of("tool_use"):
            if block["id"] in seen:
                raise Refused(f"{place}: `tool_use` ids must be unique")
            seen.add(block["id"])
        blocks = after.blocks if after else []
        given = {block["tool_use_id"] for _, block in takewhile(lambda one: one[1]["type"] == "tool_result", blocks)}
        missing = [block["id"] for _, block in turn.of("tool_use") if block["id"] not in given]
        if missing:
            where = after.place if after else turn.place
            raise Refused(
                f"{where}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing)}. "
                "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
            )
    for before, turn in zip([None, *turns], turns, strict=False):
        asked = {block["id"] for _, block in before.of("tool_use")} if before else set()
        for place, block in turn.of("tool_result"):
            if block["tool_use_id"] not in asked:
                raise Refused(
                    f"{place}: unexpected `tool_use_id` found in `tool_result` blocks: {block['tool_use_id']}. Each "
                    "`tool_result` block must have a corresponding `tool_use` block in the previous message."
                )
            if [one["tool_use_id"] for _, one in turn.of("tool_result")].count(block["tool_use_id"]) > 1:
                raise Refused(
                    f"{place}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: "
                    f"{block['tool_use_id']}"
                )


def _tools(tools: list[Any]) -> list[_Wire]:
    functions: list[_Wire] = []
    for number, tool in enumerate(tools):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind not in (None, "custom"):
            raise Refused(f"tools.{number}: the stand-in runs none of the vendor's own tools, and this is {kind!r}")
        place = f"tools.{number}.custom"
        name, schema = _need(tool, "name", str, place), _need(tool, "input_schema", dict, place)
        _matches(name, _NAME, f"{place}.name")
        if "type" not in schema:
            raise Refused(f"{place}.input_schema.type: Field required")
        if schema["type"] != "object":
            raise Refused(f"{place}.input_schema.type: Input should be 'object'")
        for keyword in ("oneOf", "allOf", "anyOf"):
            if keyword in schema:
                raise Refused(
                    f"{place}.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level"
                )
        if name in [function["name"] for function in functions]:
            raise Refused("tools: Tool names must be unique.")
        functions.append({"name": name, "description": tool.get("description"), "parameters": schema})
    return functions


def _choice(choice: Any, tools: list[_Wire]) -> tuple[str, list[str] | None, bool]:
    """The mode, the names that may be called (None for all), and whether several calls may come together."""
    if choice is None:
        return "auto", None, True
    kind = _need(choice, "type", str, "tool_choice")
    if kind not in ("auto", "any", "none", "tool"):
        raise Refused(
            f"tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'"
        )
    if not tools:
        raise Refused("tool_choice: `tool_choice` may only be specified while providing `tools`.")
    parallel = not choice.get("disable_parallel_tool_use")
    if kind != "tool":
        return kind, None, parallel
    name = _need(choice, "name", str, "tool_choice.tool")
    if name not in [tool["name"] for tool in tools]:
        raise Refused(f"tool_choice: Tool '{name}' not found in provided tools")
    return "any", [name], parallel


def _thinking(body: Mapping[str, Any], limit: int, mode: str) -> tuple[bool, bool]:
    """Whether thinking is on, and whether its words are shown."""
    config = body.get("thinking")
    if config is None:
        return False, False
    kind = _need(config, "type", str, "thinking")
    if kind == "disabled":
        return False, False
    if kind not in ("enabled", "adaptive"):
        raise Refused(
            f"thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'disabled', 'enabled', 'adaptive'"
        )
    if kind == "enabled":
        budget = _need(config, "budget_tokens", int, "thinking.enabled")
        if budget < 1024:
            raise Refused("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if budget >= limit:
            raise Refused("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if mode == "any":
        raise Refused("Thinking may not be enabled when tool_choice forces tool use.")
    if body.get("temperature") not in (None, 1):
        raise Refused("`temperature` may only be set to 1 when thinking is enabled.")
    return True, config.get("display") != "omitted"


def _schema(body: Mapping[str, Any]) -> Any:
    config = _given(body, "output_config", dict, "") or {}
    wanted = config.get("format") or body.get("output_format")
    if wanted is None:
        return None
    if _need(wanted, "type", str, "output_config.format") != "json_schema":
        raise Refused("output_config.format.type: Input should be 'json_schema'")
    return _need(wanted, "schema", dict, "output_config.format")


def _texts(content: Any, place: str) -> list[str]:
    return [block["text"] for _, block in _blocks(content or [], place, "system") if block["type"] == "text"]


def _steps(turns: list[_Turn]) -> tuple[list[_Wire], list[str]]:
    """The steps of a conversation, and what the system said inside it."""
    steps: list[_Wire] = []
    system: list[str] = []
    for turn in turns:
        words: _Wire | None = None
        for _, block in turn.blocks:
            if turn.role == "system":
                system.append(block.get("text", ""))
            elif (step := _step(block)) is not None:
                steps.append(step)
                words = None
            elif words is None:
                kind = "user_input" if turn.role == "user" else "model_output"
                words = {"type": kind, "content": _content(block)}
                steps.append(words)
            else:
                words["content"] += _content(block)
    return steps, system


def _step(block: _Wire) -> _Wire | None:
    """What is a step of its own; None for what is said."""
    match block["type"]:
        case "thinking":
            summary = [{"type": "text", "text": block["thinking"]}] if block["thinking"] else []
            return {"type": "thought", "signature": block["signature"], "summary": summary}
        case "tool_use":
            return {"type": "function_call", "id": block["id"], "name": block["name"], "arguments": block["input"]}
        case "tool_result":
            given = block.get("content") or ""
            value = given if isinstance(given, str) else [item for part in given for item in _content(part)]
            error = {"is_error": True} if block.get("is_error") else {}
            return {"type": "function_result", "call_id": block["tool_use_id"], "result": value, **error}
        case _:
            return None


def _content(block: _Wire) -> list[_Wire]:
    if block["type"] == "text":
        return [{"type": "text", "text": block["text"]}]
    source = block["source"]
    match source["type"]:
        case "text":
            return [{"type": "text", "text": source["data"]}]
        case "content":
            parts = source["content"]
            given = [{"type": "text", "text": parts}] if isinstance(parts, str) else parts
            return [item for part in given for item in _content(part)]
        case "base64":
            return [{"type": block["type"], "data": source["data"], "mime_type": source["media_type"]}]
        case _:
            mime = {"mime_type": "application/pdf"} if block["type"] == "document" else {}
            return [{"type": block["type"], "uri": source["url"], **mime}]
