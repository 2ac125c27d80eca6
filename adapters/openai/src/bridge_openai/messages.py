"""What OpenAI's two APIs take of a history that others had a part in, and what their own blocks are to others.

Sources: the request types of openai 3.54 (`ResponseInputItemParam`, `ChatCompletionMessageParam`) and langchain-openai 1.7, which makes these
of LangChain's standard blocks. Responses takes no audio, Chat Completions no address of a file and nothing but text in a result;
the assistant says text alone in both. "openai" is safe for either; "openai-chat" says that it is Chat Completions.
"""

from __future__ import annotations

import re
from dataclasses import replace

from bridge.portable import Block, Media, MessageRules

from .dialect import DIALECT

__all__ = ["MESSAGES", "from_portable", "to_portable"]

_FILE = re.compile(r"file-[A-Za-z0-9_-]+")
_MEDIA = {
    "image": Media(frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"}), url=True),
    "file": Media(frozenset({"application/pdf"}), file_id=_FILE),
}
_SPOKEN = {"audio": Media(frozenset({"audio/wav", "audio/mpeg"}))}
# What a hosted tool was asked, by the type of its item.
_ASKED = {
    "computer_call": "action",
    "image_generation_call": "prompt",
    "local_shell_call": "action",
    "shell_call": "action",
}


def to_portable(block: Block) -> list[Block] | None:
    """The standard blocks of an item of OpenAI's that LangChain has no name for; None for one that is not known here either."""
    match block:
        case {"type": "refusal", "refusal": str(words)}:
            return [{"type": "text", "text": words}]
        case {
            "type": "custom_tool_call",
            "call_id": str(called),
            "name": str(name),
        }:  # as LangChain has it among its calls
            return [{"type": "tool_call", "id": called, "name": name, "args": {"__arg1": block.get("input")}}]
        case {"type": "input_text", "text": str(words)}:
            return [{"type": "text", "text": words}]
        case {"type": "input_image", "image_url": str(address)}:
            return [{"type": "image", "url": address}]
        case {"type": "input_file"}:
            named = {"url": block.get("file_url") or block.get("file_data"), "file_id": block.get("file_id")}
            return [{"type": "file", **{name: value for name, value in named.items() if value}}]
        case {"type": "compaction"}:  # encrypted, for OpenAI alone
            return [{"type": "reasoning", "reasoning": ""}]
        case {"type": str(kind)} if kind in _ASKED:
            asked = block.get(_ASKED[kind])
            args = asked if isinstance(asked, dict) else {}
            return [
                {
                    "type": "server_tool_call",
                    "id": str(block.get("id", "")),
                    "name": kind.removesuffix("_call"),
                    "args": args,
                }
            ]
    return None


def from_portable(block: Block) -> Block:
    """A standard block as langchain-openai takes it: files have names, and the type of audio is that of its format."""
    if block["type"] == "file" and "base64" in block:
        extras = block.get("extras")
        named = block.get("filename") or (extras.get("filename") if isinstance(extras, dict) else None)
        return {**block, "filename": named or "document.pdf"}
    if block["type"] == "audio" and block["mime_type"] == "audio/mpeg":
        return {**block, "mime_type": "audio/mp3"}
    return block


_EITHER = MessageRules(
    vendor="OpenAI",
    providers=frozenset({"openai"}),
    media={"user": _MEDIA},
    native={
        "additional_tools": "tools",
        "apply_patch_call_output": "call_id",
        "image_url": "image_url",
        "input_file": "type",
        "input_image": "type",
        "input_text": "text",
        "mcp_approval_response": "approval_request_id",
        "tool_search_output": "tools",
    },
    names=DIALECT.names,
    to_portable=to_portable,
    from_portable=from_portable,
)
MESSAGES = {
    "openai": _EITHER,
    # A text is its own there too; the items of a response are not.
    "openai-chat": replace(
        _EITHER,
        own_blocks=False,
        media={"user": {**_MEDIA, **_SPOKEN}},
        native={"file": "file", "image_url": "image_url", "input_audio": "input_audio"},
    ),
}
