"""What Anthropic's Messages API takes of a history that others had a part in, and what its own blocks are to others.

Sources: the request types of anthropic 2.12 (`ContentBlockParam`, `ToolResultBlockParam`) and langchain-anthropic 1.7, which makes these of
LangChain's standard blocks. It takes pictures, PDFs and plain text from the user and in results, and from the assistant text alone.
"""

from __future__ import annotations

import re
from typing import Any

from bridge.portable import Block, Media, MessageRules

from .dialect import DIALECT

__all__ = ["MESSAGES", "from_portable", "to_portable"]

_FILE = re.compile(r"file_[A-Za-z0-9]+")
_MEDIA = {
    "image": Media(frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"}), url=True, file_id=_FILE),
    "file": Media(frozenset({"application/pdf"}), url=True, file_id=_FILE),
    "text-plain": Media(frozenset({"text/plain"})),
}


def to_portable(block: Block) -> list[Block] | None:
    """The standard blocks of a block of Claude's that LangChain has no name for; None for one that is not known here either."""
    match block:
        case {"type": "redacted_thinking"}:
            return [{"type": "reasoning", "reasoning": ""}]
        case {"type": "compaction", "content": str(summary)}:  # Claude's words for what came before
            return [{"type": "text", "text": summary}]
    return None


def from_portable(block: Block) -> Block:
    """A standard block as langchain-anthropic takes it for Claude: plain text is a document of that one type."""
    if block["type"] == "text-plain":
        told: dict[str, Any] = {"title": block["title"]} if isinstance(block.get("title"), str) else {}
        return {"type": "text-plain", "text": block["text"], "mime_type": "text/plain", **told}
    return block


MESSAGES = {
    "anthropic": MessageRules(
        vendor="Anthropic",
        providers=frozenset({"anthropic"}),
        media={"user": _MEDIA, "tool": _MEDIA},
        native={
            "container_upload": "file_id",
            "document": "source",
            "image": "source",
            "search_result": "source",
            "tool_addition": "tool",
            "tool_reference": "tool_name",
            "tool_removal": "tool",
        },
        text_fields=frozenset({"cache_control"}),
        names=DIALECT.names,
        to_portable=to_portable,
        from_portable=from_portable,
    )
}
