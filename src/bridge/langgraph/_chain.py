"""Which stored interaction a turn may follow, and what must be sent with it. Pure functions over messages, no I/O.

An answer of ours carries an anchor in its `additional_kwargs`: the interaction's id, its session, a digest of everything visible
up to and including the answer, and the steps as the API gave them. A turn follows the latest anchor of its own session whose
digest still fits the messages before it; where none fits, everything is sent again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage

from .content import MEDIA, NOT_SAID

__all__ = [
    "ANCHOR",
    "NOTHING_SAID",
    "PROVIDER",
    "Plan",
    "anchor_of",
    "digest_after",
    "is_foreign",
    "plan",
    "steps_of",
]

PROVIDER = "google_interactions"
# Where the anchor stands in a message's `additional_kwargs`.
ANCHOR = "google_interactions"
# The digest of no messages at all. The number is the digest's version: another form of it must not match this one.
NOTHING_SAID = "1:"

_FORM = frozenset({"id", "index", "cache_control", "annotations", "extras"})


@dataclass(frozen=True)
class Plan:
    """How the next turn is sent: after `parent` with the messages from `start` on, or, without a parent, with all of them."""

    parent: str | None
    start: int
    reason: str
    digest: str
    """Of all messages: what the answer's own digest builds on."""


def plan(messages: Sequence[BaseMessage], session: str) -> Plan:
    """The turn that follows these messages in a session, given as the key that its anchors carry."""
    parent, start, digest, stale = None, 0, NOTHING_SAID, False
    for number, message in enumerate(messages):
        digest = digest_after(digest, message)
        anchor = anchor_of(message)
        if anchor.get("session") == session and anchor.get("id") and anchor.get("digest"):
            stale = anchor["digest"] != digest
            if not stale:
                parent, start = anchor["id"], number + 1
    if parent is not None:
        return Plan(parent, start, "follows", digest)
    return Plan(None, 0, "the history was changed" if stale else "a new chain", digest)


def anchor_of(message: BaseMessage) -> dict[str, Any]:
    """The anchor of a message, empty where it has none."""
    anchor = message.additional_kwargs.get(ANCHOR) if isinstance(message, AIMessage) else None
    return anchor if isinstance(anchor, dict) else {}


def steps_of(message: AIMessage) -> list[Any] | None:
    """The steps of the answer as the API gave them, None where the message does not show (any more) what they say."""
    steps = anchor_of(message).get("steps")
    if isinstance(steps, list) and not message.invalid_tool_calls and _shown_by(steps) == _shown_in(message):
        return steps
    return None


def is_foreign(message: BaseMessage, session: str) -> bool:
    """Whether another speaker said this: another vendor, another session, or somebody with a name of his own.

    An assistant's message that names nobody (an example, a message made by hand) counts as the session's own.
    """
    if not isinstance(message, AIMessage):
        return False
    if spoken_in := anchor_of(message).get("session"):
        return bool(spoken_in != session)
    provider = message.response_metadata.get("model_provider")
    return provider != PROVIDER if provider else bool(message.name)


def digest_after(digest: str, message: BaseMessage) -> str:
    """The digest of a history and the message after it.

    It sees who spoke, texts, media, calls and results, and does not see ids of messages and blocks, usage, or in which of
    LangChain's forms a text is written. System messages are not part of it: they are sent with every turn.
    """
    if isinstance(message, SystemMessage):
        return digest
    row: list[Any] = [
        "ai" if isinstance(message, AIMessage) else message.type,
        _said(message),
    ]
    if isinstance(message, AIMessage):
        row += [[call["name"], call["args"], call["id"]] for call in message.tool_calls]
        row += [[call["name"], call["args"], call["id"]] for call in message.invalid_tool_calls]
    elif isinstance(message, ToolMessage):
        row += [message.tool_call_id, message.status]
    text = json.dumps(row, sort_keys=True, default=str, separators=(",", ":"))
    return NOTHING_SAID + hashlib.sha256(f"{digest}{text}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _said(message: BaseMessage) -> list[Any]:
    """The content with adjacent texts joined, so that "x" and [{"type": "text", "text": "x"}] are the same."""
    content = message.content
    if isinstance(content, str):
        return [content] if content else []
    said: list[Any] = []
    for block in _without_form(content, only_said=isinstance(message, AIMessage)):
        if isinstance(block, str) and said and isinstance(said[-1], str):
            said[-1] += block
        elif block:
            said.append(block)
    return said


def _without_form(content: Iterable[Any], *, only_said: bool) -> Iterable[Any]:
    for block in content:
        if not isinstance(block, dict):
            yield block
        elif block.get("type") == "text":
            yield str(block.get("text", ""))
        elif not only_said or block.get("type") not in NOT_SAID:
            yield {name: value for name, value in block.items() if name not in _FORM}


def _shown_by(steps: Iterable[Any]) -> tuple[str, int, list[str]]:
    """What a message of these steps (in wire form) shows: its text, how many media, and the calls it leaves open."""
    text, media, calls, answered = "", 0, [], set()
    for step in steps:
        match step:
            case {"type": "model_output", "content": list(parts)}:
                parts = [part for part in parts if isinstance(part, dict)]
                text += "".join(part["text"] for part in parts if part.get("type") == "text")
                media += sum(part.get("type") in MEDIA for part in parts)
            case {"type": "function_call"}:
                calls.append(step)
            case {"type": "function_result"}:
                answered.add(step.get("call_id"))
    return (
        text,
        media,
        [_call(c["id"], c["name"], c.get("arguments", {})) for c in calls if c["id"] not in answered],
    )


def _shown_in(message: AIMessage) -> tuple[str, int, list[str]]:
    blocks = message.content if isinstance(message.content, list) else []
    media = sum(isinstance(block, dict) and block.get("type") in (*MEDIA, "file") for block in blocks)
    return (
        str(message.text),
        media,
        [_call(call["id"], call["name"], call["args"]) for call in message.tool_calls],
    )


def _call(id: str | None, name: str, arguments: Any) -> str:
    return json.dumps([id, name, arguments], sort_keys=True)
