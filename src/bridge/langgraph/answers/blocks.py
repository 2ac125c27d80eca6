"""LangChain's standard blocks of whole steps, and of the messages of ours that it translates.

Contents are mapped in `content`; how blocks grow while a turn runs is `pieces`' to say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.block_translators import register_translator

from bridge.sessions import steps_of

from ..content import block_of
from ..messages import PROVIDER, to_message

__all__ = ["blocks_of", "call_of"]

# LangChain's names for the server tools it has a name for.
_TOOL_NAMES = {
    "code_execution": "code_interpreter",
    "google_search": "web_search",
    "url_context": "web_fetch",
}


def blocks_of(steps: Iterable[Any]) -> list[dict[str, Any]]:
    """LangChain's standard blocks of steps in wire form. Signatures stay in the anchor: no other vendor may get them."""
    steps = [step for step in steps if isinstance(step, dict)]
    answered = {str(step.get("call_id")) for step in steps if step.get("type") == "function_result"}
    blocks: list[dict[str, Any]] = []
    for step in steps:
        kind = str(step.get("type", ""))
        if kind == "model_output":
            blocks += [block_of(part) for part in step.get("content") or () if isinstance(part, dict)]
        elif kind == "thought":
            texts = [part["text"] for part in step.get("summary") or () if isinstance(part, dict) and part.get("text")]
            blocks += [{"type": "reasoning", "reasoning": "".join(texts)}] if texts else []
        elif kind == "function_call" and str(step.get("id")) not in answered:
            blocks.append(call_of(step.get("id"), step.get("name"), step.get("arguments")))
        elif kind.endswith("_call"):
            blocks.append(_server_call(kind.removesuffix("_call"), step))
        elif kind.endswith("_result"):
            blocks.append(_server_result(kind.removesuffix("_result"), step))
        elif kind != "user_input":
            blocks.append({"type": "non_standard", "value": step})
    return blocks


def _server_call(tool: str, step: dict[str, Any]) -> dict[str, Any]:
    arguments = step.get("arguments")
    return {
        "type": "server_tool_call",
        "id": str(step.get("id", "")),
        "name": str(step.get("name") or _TOOL_NAMES.get(tool, tool)),
        "args": arguments if isinstance(arguments, dict) else {},
    }


def _server_result(tool: str, step: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "server_tool_result",
        "tool_call_id": str(step.get("call_id", "")),
        "status": "error" if step.get("is_error") else "success",
        "output": step.get("result"),
    }


def call_of(id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    """The block of a call, whose arguments may be JSON text: an invalid one where they are not an object."""
    read = arguments
    if not arguments:
        read = {}
    elif isinstance(arguments, str):
        try:
            read = json.loads(arguments)
        except (ValueError, RecursionError):
            read = None
    call = {"id": id if isinstance(id, str) else None, "name": name if isinstance(name, str) else ""}
    if isinstance(read, dict):
        return {"type": "tool_call", **call, "args": read}
    raw = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"type": "invalid_tool_call", **call, "args": raw, "error": None}


def _translate(message: AIMessage) -> list[Any]:
    """The blocks of a message of ours with portable content."""
    steps = steps_of(to_message(message))
    if steps is not None:
        return blocks_of(steps)
    return [
        *_content_blocks(message),
        *({**call, "type": "tool_call"} for call in message.tool_calls),
    ]


def _translate_chunk(chunk: AIMessageChunk) -> list[Any]:
    """The blocks that this chunk adds."""
    if chunk.chunk_position == "last":  # of the closing chunk alone nothing is left to show
        return _translate(chunk) if chunk.content or chunk.tool_calls else []
    calls = [{**call, "type": "tool_call_chunk"} for call in chunk.tool_call_chunks]
    return [*_content_blocks(chunk), *calls]


def _content_blocks(message: AIMessage) -> list[Any]:
    content = [message.content] if isinstance(message.content, str) else message.content
    return [{"type": "text", "text": block} if isinstance(block, str) else block for block in content if block]


register_translator(PROVIDER, _translate, _translate_chunk)
