"""LangChain messages as the history that a session is planned from.

Every message becomes part of it, what cannot be sent as such; who is sent what is `bridge.sessions`' to say. Content is mapped in
`content`, answers are read in `answers`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from bridge.errors import InvalidRequest
from bridge.sessions import Anchor, Call, Message, Part, Refused

from .content import PROVIDER, parts_of

__all__ = ["ANCHOR", "PROVIDER", "anchor_of", "author_of", "system_instruction", "to_history", "to_message"]

# Where the anchor stands in a message's `additional_kwargs`.
ANCHOR = "google_interactions"


def system_instruction(messages: Iterable[BaseMessage]) -> str | None:
    """The texts of all system messages, joined by blank lines. Raises `InvalidRequest` for media in one of them."""
    texts: list[str] = []
    for number, message in enumerate(messages):
        if not isinstance(message, SystemMessage):
            continue
        content = parts_of(message)
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            if isinstance(part, Refused) or part["type"] != "text":
                kind = part.reason if isinstance(part, Refused) else part["type"]
                raise InvalidRequest(
                    f"messages[{number}] (system): a system instruction is text, not {kind}; put the part into a human message",
                    "system_instruction",
                )
            texts.append(part["text"])
    return "\n\n".join(filter(None, texts)) or None


def to_history(messages: Iterable[BaseMessage]) -> list[Message]:
    """The messages in order, without system messages, which are sent with every turn."""
    history: list[Message] = []
    for number, message in enumerate(messages):
        # By the type's name: looking for the class of every message would take most of the time of a plan.
        match message.type:
            case "human" | "HumanMessageChunk":
                content = message.content
                if isinstance(content, str):
                    history.append(Message("user", content, number=number))
                else:
                    history += _human(message, number)
            case "system" | "SystemMessageChunk":
                pass
            case _:
                history.append(to_message(message, number))
    return history


def to_message(message: BaseMessage, number: int = 0) -> Message:
    """An answer, a tool's result, or what is neither and is refused where it would have to be sent."""
    if isinstance(message, AIMessage):
        anchor, content, facts = anchor_of(message), message.content, message.response_metadata
        in_blocks = isinstance(content, list)
        return Message(
            "model",
            content if isinstance(content, str) else parts_of(message),
            _calls(message, number) if in_blocks or message.tool_calls or message.invalid_tool_calls else (),
            _author(message.name, facts, anchor),
            anchor,
            interaction=facts.get("id"),
            number=number,
        )
    if isinstance(message, ToolMessage):
        return Message(
            "tool",
            parts_of(message),
            call_id=message.tool_call_id,
            name=message.name,
            is_error=message.status == "error",
            number=number,
        )
    reason = (
        f"a message of type {message.type!r} has no place in an interaction; send human, system, tool or AI messages"
    )
    return Message("user", [Refused(reason, [message.type, message.content])], number=number)


def anchor_of(message: AIMessage) -> Anchor:
    """The anchor of a message, empty where it has none."""
    anchor = message.additional_kwargs.get(ANCHOR)
    return cast("Anchor", anchor) if isinstance(anchor, dict) else _NO_ANCHOR


_NO_ANCHOR: Anchor = {}


def _author(name: str | None, facts: dict[str, Any], anchor: Anchor) -> str | None:
    """Who said it: the name, or the model and its vendor.

    None for a model of this API that keeps no anchor, and where nobody is named (an example, a message made by hand): these count as
    the session's own.
    """
    provider = facts.get("model_provider")
    if provider == PROVIDER and "session" not in anchor:
        return None
    return author_of(name, facts)


def author_of(name: str | None, facts: dict[str, Any]) -> str | None:
    """The name of who said it, or the model and its vendor; None where neither is told."""
    provider = facts.get("model_provider")
    if name or not provider:
        return name
    model = facts.get("model_name") or facts.get("model")
    return f"{model} ({provider})" if model else str(provider)


def _calls(message: AIMessage, number: int) -> list[Call]:
    """The calls of a message, also those that stand in its content only (Anthropic's `tool_use`) and those that cannot be read."""
    calls = [
        Call(call["id"] or f"call_{number}_{place}", call["name"], call["args"])
        for place, call in enumerate(message.tool_calls)
    ]
    for block in message.content if isinstance(message.content, list) else ():
        if (
            isinstance(block, dict)
            and block.get("type") == "tool_use"
            and all(block["id"] != call.id for call in calls)
        ):
            calls.append(Call(str(block["id"]), str(block.get("name")), block.get("input") or {}))
    for place, call in enumerate(message.invalid_tool_calls):
        named = call["id"] or f"call_{number}_invalid_{place}"
        calls.append(Call(named, call["name"] or "", call["args"] or "", invalid=True))
    return calls


def _human(message: BaseMessage, number: int) -> list[Message]:
    """A human message of blocks; in Anthropic's form results of tools stand ahead of what the user says."""
    results = [block for block in message.content if isinstance(block, dict) and block.get("type") == "tool_result"]
    if not results:
        return [Message("user", parts_of(message), number=number)]
    history: list[Message] = []
    for block in results:
        if not isinstance(call_id := block.get("tool_use_id"), str):
            refused: list[Part] = [Refused("a tool_result without tool_use_id cannot be sent", block)]
            history.append(Message("user", refused, number=number))
            continue
        content = parts_of(HumanMessage(block.get("content") or ""))
        history.append(Message("tool", content, call_id=call_id, is_error=bool(block.get("is_error")), number=number))
    rest = [block for block in message.content if block not in results]
    if rest:
        history.append(Message("user", parts_of(message.model_copy(update={"content": rest})), number=number))
    return history
