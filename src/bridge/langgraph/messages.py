"""LangChain messages as the steps of a request.

Every message becomes steps or an `InvalidRequest` that names it; none is dropped. What another speaker said (another vendor's
model, another session) goes in as a quotation with a header, never as the model's own words. Which messages need to be sent at
all is `_chain`'s to say; answers are read in `answers`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from bridge.errors import InvalidRequest

from ._chain import is_foreign, steps_of
from .content import content_of

__all__ = ["QUOTE_HEADER", "QUOTE_LIMIT", "system_instruction", "to_steps"]

# Opens every quotation. Part of what a server was told, so a change of it is a change of what old threads hold.
QUOTE_HEADER = "[Quoted: {author} said this in the same conversation. It is not from the user.]"
# The longest quoted call or result, in characters; what is cut off is marked.
QUOTE_LIMIT = 20_000


def system_instruction(messages: Iterable[BaseMessage]) -> str | None:
    """The texts of all system messages, joined by blank lines. Raises `InvalidRequest` for media in one of them."""
    texts: list[str] = []
    for number, message in enumerate(messages):
        if not isinstance(message, SystemMessage):
            continue
        for part in content_of(message, _where(number, message)):
            if part["type"] != "text":
                raise InvalidRequest(
                    f"{_where(number, message)}: a system instruction is text, not {part['type']}; "
                    "put the part into a human message",
                    "system_instruction",
                )
            texts.append(part["text"])
    return "\n\n".join(texts) or None


def to_steps(messages: Sequence[BaseMessage], session: str, start: int = 0) -> list[dict[str, Any]]:
    """The steps, in wire form, of the messages from `start` on, as the session (its anchors' key) sees them.

    System messages are left to `system_instruction`. Raises `InvalidRequest` naming the message and part that cannot be sent.
    """
    calls = _calls(messages, session)
    steps: list[dict[str, Any]] = []
    for number, message in enumerate(messages):
        if number < start or isinstance(message, SystemMessage):
            continue
        where = _where(number, message)
        match message:
            case HumanMessage():
                steps += _human(message, where)
            case ToolMessage():
                name, author = calls.get(message.tool_call_id, (None, None))
                if author is not None:
                    text = f"Result of {message.name or name} (call {message.tool_call_id}): "
                    steps.append(_quoted(author, message, text, where))
                else:
                    steps.append(_result(message, message.name or name, where))
            case AIMessage() if is_foreign(message, session):
                steps.append(_quoted(_author(message), message, "", where))
            case AIMessage():
                steps += _own(message, where)
            case _:
                raise InvalidRequest(
                    f"{where} has no place in an interaction; send human, system, tool or AI messages",
                    "input",
                )
    return steps


def _where(number: int, message: BaseMessage) -> str:
    return f"messages[{number}] ({message.type})"


def _calls(messages: Sequence[BaseMessage], session: str) -> dict[str, tuple[str, str | None]]:
    """Of every call its name and, where another speaker made it, that speaker."""
    calls: dict[str, tuple[str, str | None]] = {}
    for message in messages:
        if isinstance(message, AIMessage) and message.tool_calls:
            author = _author(message) if is_foreign(message, session) else None
            calls.update({call["id"]: (call["name"], author) for call in message.tool_calls if call["id"]})
    return calls


def _human(message: HumanMessage, where: str) -> list[dict[str, Any]]:
    content = message.content
    results = (
        [block for block in content if isinstance(block, dict) and block.get("type") == "tool_result"]
        if isinstance(content, list)
        else []
    )
    if not results:
        return [
            {
                "type": "user_input",
                "content": content_of(message, where) or [{"type": "text", "text": ""}],
            }
        ]
    # Anthropic's form: results of tools ahead of what the user says.
    steps: list[dict[str, Any]] = []
    for block in results:
        if not isinstance(block.get("tool_use_id"), str):
            raise InvalidRequest(f"{where}: a tool_result without tool_use_id cannot be sent", "input")
        tool = ToolMessage(
            content=block.get("content") or "",
            tool_call_id=block["tool_use_id"],
            status="error" if block.get("is_error") else "success",
        )
        steps.append(_result(tool, None, where))
    rest = message.model_copy(update={"content": [block for block in content if block not in results]})
    said = content_of(rest, where)
    return [*steps, {"type": "user_input", "content": said}] if said else steps


def _result(message: ToolMessage, name: str | None, where: str) -> dict[str, Any]:
    step: dict[str, Any] = {"type": "function_result", "call_id": message.tool_call_id}
    if name:
        step["name"] = name
    step["result"] = message.content if isinstance(message.content, str) else content_of(message, where)
    if message.status == "error":
        step["is_error"] = True
    return step


def _own(message: AIMessage, where: str) -> list[dict[str, Any]]:
    """The steps the API gave, untouched, while the message still shows what they say; else steps made from the message."""
    steps = steps_of(message)
    if steps is not None:
        # A thought that came without a signature is refused when it is sent back.
        return [step for step in steps if _goes_back(step)]
    said = content_of(message, where)
    said += [
        {"type": "text", "text": f"[invalid call of {call['name']}: {call['args']}]"}
        for call in message.invalid_tool_calls
    ]
    made: list[dict[str, Any]] = [{"type": "model_output", "content": said}] if said else []
    for number, call in enumerate(_tool_calls(message)):
        made.append(
            {
                "type": "function_call",
                "id": call["id"] or f"call_{number}",
                "name": call["name"],
                "arguments": call["args"],
            }
        )
    return made


def _goes_back(step: Any) -> bool:
    kind = step.get("type") if isinstance(step, dict) else None
    return kind != "user_input" and not (kind == "thought" and not step.get("signature"))


def _tool_calls(message: AIMessage) -> list[dict[str, Any]]:
    """The calls of a message, those that stand in its content only (Anthropic's `tool_use`) included."""
    calls: list[dict[str, Any]] = [
        {"id": call["id"], "name": call["name"], "args": call["args"]} for call in message.tool_calls
    ]
    known = {call["id"] for call in calls}
    blocks = [block for block in message.content if isinstance(block, dict) and block.get("type") == "tool_use"]
    return calls + [
        {"id": block.get("id"), "name": block.get("name"), "args": block.get("input") or {}}
        for block in blocks
        if block.get("id") not in known
    ]


def _author(message: AIMessage) -> str:
    """Who said it: the name, or the model and its vendor."""
    facts = message.response_metadata
    model, provider = (
        facts.get("model_name") or facts.get("model"),
        facts.get("model_provider"),
    )
    if message.name:
        return message.name
    return f"{model} ({provider})" if model and provider else str(model or provider or "another participant")


def _quoted(author: str, message: BaseMessage, opening: str, where: str) -> dict[str, Any]:
    """A message of another speaker as one `user_input`: header, texts, calls; media after them."""
    said = content_of(message, where)
    text = "\n".join(part["text"] for part in said if part["type"] == "text")
    lines = [
        QUOTE_HEADER.format(author=author),
        opening + (_cut(text) if opening else text),
    ]
    if isinstance(message, AIMessage):
        lines += [
            _cut(f"Called {call['name']} (call {call['id']}) with {json.dumps(call['args'], ensure_ascii=False)}")
            for call in _tool_calls(message)
        ]
        lines += [
            _cut(f"Tried to call {call['name']} with invalid arguments {call['args']}")
            for call in message.invalid_tool_calls
        ]
    media = [part for part in said if part["type"] != "text"]
    return {
        "type": "user_input",
        "content": [{"type": "text", "text": "\n".join(filter(None, lines))}, *media],
    }


def _cut(text: str) -> str:
    return (
        text if len(text) <= QUOTE_LIMIT else f"{text[:QUOTE_LIMIT]} [cut: {len(text) - QUOTE_LIMIT} more characters]"
    )
