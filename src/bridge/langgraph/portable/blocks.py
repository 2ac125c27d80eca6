"""One message's blocks as LangChain's standard ones, whoever made them. What becomes of them is `history`'s to say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage

from bridge.portable import Block

from ..content import MEDIA, NOT_SAID, block_of, standard_blocks
from ..messages import PROVIDER
from .targets import known

__all__ = ["answer_blocks", "input_blocks", "long_form"]

_STANDARD = frozenset({"audio", "file", "image", "text", "text-plain", "video"})
# Fields of other forms that share their types with the standard one.
_OTHER_FORMS = frozenset({"data", "file", "source", "source_type", "uri"})


def answer_blocks(message: AIMessage) -> Iterator[Block]:
    """The blocks of an assistant's message."""
    content: list[Any] = message.content if isinstance(message.content, list) else [message.content]
    if message.response_metadata.get("model_provider") != PROVIDER and not all(
        isinstance(block, str) or block.get("type") == "text" for block in content
    ):
        # LangChain takes fields out of blocks while it translates them.
        copies = [dict(block) if isinstance(block, dict) else {"type": "text", "text": block} for block in content]
        with suppress(AttributeError, KeyError, TypeError, ValueError):  # what stands there is nobody's form
            content = standard_blocks(message.model_copy(update={"content": copies}))
    for block in content:
        yield from _named(block) if isinstance(block, dict) else [{"type": "text", "text": block}]
    beside = message.additional_kwargs  # OpenAI's Chat Completions say this outside of the content
    if isinstance(refusal := beside.get("refusal"), str):
        yield {"type": "text", "text": refusal}
    if isinstance(audio := beside.get("audio"), dict):
        if transcript := audio.get("transcript"):
            yield {"type": "text", "text": transcript}
        else:
            yield {"type": "audio", "base64": audio.get("data"), "mime_type": None}


def input_blocks(block: Block) -> Iterable[Block]:
    """What one block of a user's, a system's or a tool's message is in standard blocks; `non_standard` where it is nobody's form."""
    if block.get("type") in _STANDARD and _OTHER_FORMS.isdisjoint(block):
        return [block]
    if block.get("type") in MEDIA and (block.get("data") or block.get("uri")) and "source_type" not in block:
        return [block_of(block)]  # the API's own form
    if (told := _told_by_adapters(block)) is not None:
        return told
    try:
        blocks = standard_blocks(HumanMessage(content=[dict(block)]))
    except (AttributeError, KeyError, TypeError, ValueError):
        blocks = [{"type": "non_standard", "value": block}]
    return [part for standard in blocks for part in _named(standard)]


def long_form(block: Block) -> Block:
    """The short form of OpenAI's `image_url`, which not even LangChain's class for OpenAI takes, made long."""
    if block.get("type") == "image_url" and isinstance(block["image_url"], str):
        return {**block, "image_url": {"url": block["image_url"]}}
    return block


def _named(block: Block) -> Iterable[Block]:
    """A block that LangChain has no name for as what its vendor's adapter says that it is."""
    value = block.get("value") if block.get("type") == "non_standard" else None
    if not isinstance(value, dict):
        return [block]
    if (told := _told_by_adapters(value)) is not None:
        return told
    if value.get("type") in NOT_SAID:
        return [{"type": "reasoning", "reasoning": ""}] if "thinking" in str(value["type"]) else [value]
    for words in ("text", "refusal"):
        if isinstance(text := value.get(words), str):
            return [{"type": "text", "text": text}]
    return [block]


def _told_by_adapters(block: Block) -> list[Block] | None:
    return next((told for rules in known().values() if (told := rules.to_portable(block)) is not None), None)
