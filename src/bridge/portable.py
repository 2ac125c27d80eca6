"""What a vendor takes of a history that others had a part in: rules as data, and a block held against them.

The portable form is LangChain's standard content blocks, as plain dicts. What a vendor says of itself stands in its adapter
(`bridge.adapters`, attribute `MESSAGES`); walking a history and reading LangChain's messages is `bridge.langgraph.portable`'s business.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

__all__ = ["Block", "Media", "MessageRules", "fit", "with_type"]

Block: TypeAlias = dict[str, Any]

_NEVER = re.compile(r"(?!)")
_ANY_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
# Other names of the same types.
_ALIASES = {
    "audio/mp3": "audio/mpeg",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "image/jpg": "image/jpeg",
}
# How data of a type begins, in base64: some vendors do not say the type of what they drew.
_BEGINNINGS = {
    ("file", "JVBERi"): "application/pdf",
    ("image", "/9j/"): "image/jpeg",
    ("image", "R0lGOD"): "image/gif",
    ("image", "UklGR"): "image/webp",
    ("image", "iVBOR"): "image/png",
}
# Addresses that only the vendor's own key opens.
_KEYED = ("https://generativelanguage.googleapis.com/",)


class Media(NamedTuple):
    """How a kind of media is taken: as base64 data of these types, by an address, by the id of a file that lies with the vendor."""

    types: frozenset[str]
    url: bool = False
    file_id: re.Pattern[str] = _NEVER


def _nothing(block: Block) -> list[Block] | None:
    return None


def _itself(block: Block) -> Block:
    return block


@dataclass(frozen=True, kw_only=True, eq=False)
class MessageRules:
    """What one vendor's request takes, and which messages are its own.

    `vendor` is its name in notes and errors. Messages whose `model_provider` is one of `providers` are its own and stay as they are,
    signatures and server tools included; with `own_blocks` False only those whose content is a text. `media` says, for the roles
    "user" and "tool" (results), how each kind is taken; a kind that is missing is not. `native` are the vendor's own input blocks: a
    type, and the field by which it is known; they stay as they are too. Text blocks keep the fields in `text_fields`. A
    function whose name does not match `names` is called by a safe one.

    `to_portable` gives the standard blocks of a block of this vendor that LangChain has no name for, or None. `from_portable` gives a
    standard block the last touch that this vendor asks for.
    """

    vendor: str
    providers: frozenset[str] = frozenset()
    own_blocks: bool = True
    media: Mapping[str, Mapping[str, Media]] = field(default_factory=dict)
    native: Mapping[str, str] = field(default_factory=dict)
    text_fields: frozenset[str] = frozenset()
    names: re.Pattern[str] = _ANY_NAME
    to_portable: Callable[[Block], list[Block] | None] = _nothing
    from_portable: Callable[[Block], Block] = _itself

    def is_native(self, block: Mapping[str, Any]) -> bool:
        """Whether it is an input block of the vendor's own."""
        known_by = self.native.get(str(block.get("type")))
        return known_by is not None and known_by in block


def fit(block: Block, rules: MessageRules, role: Literal["system", "user", "tool"]) -> Block | str:
    """A standard block of text, media or a file as the vendor takes it from that role, or the reason why it does not."""
    block = _told_plainly(block)
    taken = rules.media.get(role, {})
    kind = block["type"]
    if kind in ("text", "text-plain") and isinstance(text := block.get("text"), str):
        return rules.from_portable(block) if kind in taken else {"type": "text", "text": text}
    media = taken.get(kind)
    where = {"system": "a system message", "user": "a message", "tool": "a result"}[role]
    if media is None:
        return f"{rules.vendor} takes no {kind} in {where}"
    if block.get("base64"):
        mime_type = block.get("mime_type")
        if mime_type in media.types:
            return rules.from_portable(block)
        if mime_type is None:
            return f"the block does not say its mime_type, and {rules.vendor} asks for it"
        return f"{rules.vendor} takes no {mime_type} in {where}"
    if url := block.get("url"):
        if not str(url).startswith(("https://", "http://")) or str(url).startswith(_KEYED):
            return f"{rules.vendor} cannot open this address"
        return rules.from_portable(block) if media.url else f"{rules.vendor} takes no address of a {kind} in {where}"
    file_id = block.get("file_id") or block.get("id")
    if isinstance(file_id, str) and media.file_id.fullmatch(file_id):
        held = {name: value for name, value in block.items() if name != "id"}
        return rules.from_portable({**held, "file_id": file_id})
    return f"the file does not lie with {rules.vendor}"


def _told_plainly(block: Block) -> Block:
    """The block with data in place of a `data:` address, its type under the usual name, and text in place of a file of text."""
    if isinstance(url := block.get("url"), str) and url.startswith("data:"):
        head, comma, body = url.partition(";base64,")
        if comma:
            block = {name: value for name, value in block.items() if name != "url"}
            block = {"mime_type": head.removeprefix("data:"), **block, "base64": body}
    block = with_type(block)
    mime_type = block.get("mime_type")
    if block["type"] == "file" and str(mime_type).startswith("text/") and block.get("base64"):
        try:
            text = base64.b64decode(block["base64"], validate=True).decode()
        except (binascii.Error, TypeError, ValueError):
            return block
        return {"type": "text-plain", "text": text, "mime_type": mime_type}
    return block


def with_type(block: Block) -> Block:
    """A block of data with its `mime_type` under the usual name; where it says none, the one that its beginning tells."""
    mime_type, data = block.get("mime_type"), block.get("base64")
    if not mime_type and isinstance(data, str):
        told = (
            known for (kind, start), known in _BEGINNINGS.items() if kind == block["type"] and data.startswith(start)
        )
        mime_type = next(told, None)
    mime_type = _ALIASES.get(str(mime_type), mime_type)
    return block if mime_type == block.get("mime_type") else {**block, "mime_type": mime_type}
