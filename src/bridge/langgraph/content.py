"""Content in both directions: LangChain's content blocks to the API's content, and back.

LangChain itself translates the blocks of other vendors (OpenAI, Anthropic, Gemini, its own old form) to its standard ones; here
only those are mapped. Who said what, and in which step it travels, is `messages`' and `answers`' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from bridge.sessions import Part, Refused

__all__ = ["MEDIA", "NOT_SAID", "PROVIDER", "block_of", "citation_of", "parts_of", "standard_blocks"]

# What LangChain calls the vendor of this API's answers.
PROVIDER = "google_interactions"
MEDIA = ("image", "audio", "video", "document")
# What a media block may say beyond its bytes, under the API's own names.
_EXTRAS = ("resolution", "sample_rate", "channels", "processing")
# Keys of blocks in other forms than LangChain's standard one and the API's.
_NEEDS_LANGCHAIN = frozenset({"file", "image_url", "input_audio", "source", "source_type"})
# Parts of an assistant's message that are not what it said: calls travel as steps of their own, the thinking, the server tools
# and the private forms of another vendor never leave for this one.
NOT_SAID = frozenset(
    {
        "invalid_tool_call",
        "non_standard",
        "reasoning",
        "redacted_thinking",
        "server_tool_call",
        "server_tool_call_chunk",
        "server_tool_result",
        "thinking",
        "tool_call",
        "tool_call_chunk",
        "tool_use",
    }
)


def parts_of(message: BaseMessage) -> str | list[Part]:
    """What a message says as API contents, in order: its text where it is one, and `Refused` for a part the API cannot take.

    Of an assistant's message only what it said.
    """
    content = message.content
    if isinstance(content, str):
        return content
    from_assistant = isinstance(message, AIMessage)
    parts: list[Part] = []
    for block in content:
        if isinstance(block, str):
            parts.append({"type": "text", "text": block})
            continue
        kind = block.get("type")
        if kind == "text" and isinstance(block.get("text"), str):
            parts.append({"type": "text", "text": block["text"]})
        elif from_assistant and kind in NOT_SAID and kind != "non_standard":
            continue
        elif _NEEDS_LANGCHAIN.isdisjoint(block) and (part := _part(block)) is not None:
            parts.append(part)
        else:
            return _translated(message, from_assistant)
    return parts


def _translated(message: BaseMessage, from_assistant: bool) -> list[Part]:
    """The same by way of LangChain's translation of other vendors' blocks, which takes its time."""
    parts: list[Part] = []
    for number, outer in enumerate(standard_blocks(message)):
        private = outer.get("type") == "non_standard" and isinstance(outer.get("value"), dict)
        block = outer["value"] if private else outer
        kind = block.get("type")
        part = _part(block)
        if part is not None:
            parts.append(part)
        elif not (from_assistant and (private or kind in NOT_SAID)):
            reason = (
                f"part {number} of type {kind!r} cannot be sent to the Interactions API, which takes text, image, audio, video and "
                "document (with base64 data or an address); convert it or leave it out"
            )
            parts.append(Refused(reason, block))
    return parts


def standard_blocks(message: BaseMessage) -> list[dict[str, Any]]:
    """LangChain's standard blocks of a message, with the short form of `image_url` it does not know made long."""
    content: Any = message.content
    if message.response_metadata.get("model_provider") == PROVIDER:
        # Its translation is made of what this makes of the content.
        facts = {name: value for name, value in message.response_metadata.items() if name != "model_provider"}
        message = message.model_copy(update={"response_metadata": facts})
    if any(isinstance(block, dict) and isinstance(block.get("image_url"), str) for block in content):
        content = [
            {**block, "image_url": {"url": block["image_url"]}}
            if isinstance(block, dict) and isinstance(block.get("image_url"), str)
            else block
            for block in content
        ]
        message = message.model_copy(update={"content": content})
    return [
        {"type": "text", "text": block} if isinstance(block, str) else dict(block) for block in message.content_blocks
    ]


def _part(block: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = block.get("type")
    if kind in ("text", "text-plain") and isinstance(block.get("text"), str):
        return {"type": "text", "text": block["text"]}
    if kind == "refusal" and isinstance(block.get("refusal"), str):  # OpenAI's word for a text that says no
        return {"type": "text", "text": block["refusal"]}
    if kind not in (*MEDIA, "file", "text-plain", "media"):
        return None
    if kind in MEDIA and (block.get("data") or block.get("uri")):  # the API's own form
        return dict(block)
    mime_type = block.get("mime_type")
    source: dict[str, Any]
    if isinstance(data := block.get("base64") or block.get("data"), str) and data:
        source = {"data": data}
    elif address := _address(block):
        head, comma, body = address.partition(";base64,")
        if comma and head.startswith("data:"):
            source, mime_type = {"data": body}, mime_type or head.removeprefix("data:")
        else:
            source = {"uri": address}
    else:
        return None
    extras: Any = block.get("extras") if isinstance(block.get("extras"), dict) else {}
    more = {name: extras[name] for name in _EXTRAS if name in extras}
    if extras.get("detail") in ("low", "high"):  # OpenAI's word for the same thing
        more.setdefault("resolution", extras["detail"])
    kind = kind if kind in ("image", "audio", "video") else _kind_of(mime_type)
    return {
        "type": kind,
        **source,
        **({"mime_type": mime_type} if mime_type else {}),
        **more,
    }


def _address(block: Mapping[str, Any]) -> str | None:
    for name in (
        "url",
        "file_id",
        "file_uri",
        "id",
    ):  # LangChain puts the file id of some vendors into `id`
        value = block.get(name)
        if isinstance(value, str) and value and not (name == "id" and value.startswith("lc_")):
            return value
    return None


def _kind_of(mime_type: str | None) -> str:
    major = (mime_type or "").partition("/")[0]
    return major if major in ("image", "audio", "video") else "document"


def block_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """The standard block of an API content (in its wire form). What is not known is kept as a `non_standard` block."""
    kind = content.get("type")
    if kind == "text" and isinstance(content.get("text"), str):
        text = content["text"]
        citations = [citation_of(row, text) for row in content.get("annotations") or ()]
        return {
            "type": "text",
            "text": text,
            **({"annotations": citations} if citations else {}),
        }
    source = next((name for name in ("data", "uri") if content.get(name) and isinstance(content[name], str)), None)
    if kind in MEDIA and source is not None:
        block: dict[str, Any] = {"type": "file" if kind == "document" else kind}
        block["base64" if source == "data" else "url"] = content[source]
        if content.get("mime_type"):
            block["mime_type"] = content["mime_type"]
        extras = {name: value for name, value in content.items() if name not in ("type", source, "mime_type")}
        return {**block, **({"extras": extras} if extras else {})}
    return {"type": "non_standard", "value": dict(content)}


def citation_of(annotation: Any, text: str) -> dict[str, Any]:
    """LangChain's citation of an API annotation. The API counts bytes of the UTF-8 text, LangChain characters."""
    if not isinstance(annotation, dict) or annotation.get("type") not in (
        "url_citation",
        "file_citation",
        "place_citation",
    ):
        return {
            "type": "non_standard_annotation",
            "value": annotation if isinstance(annotation, dict) else {"raw": annotation},
        }
    citation: dict[str, Any] = {"type": "citation"}
    if url := annotation.get("url") or annotation.get("document_uri"):
        citation["url"] = url
    if title := annotation.get("title") or annotation.get("file_name") or annotation.get("name"):
        citation["title"] = title
    encoded = text.encode("utf-8", "surrogatepass")
    for name in ("start_index", "end_index"):
        if isinstance(offset := annotation.get(name), int):
            citation[name] = len(encoded[: max(offset, 0)].decode("utf-8", "ignore"))
    if "start_index" in citation and "end_index" in citation:
        citation["cited_text"] = text[citation["start_index"] : citation["end_index"]]
    named = {
        "type",
        "url",
        "document_uri",
        "title",
        "file_name",
        "name",
        "start_index",
        "end_index",
    }
    extras = {name: value for name, value in annotation.items() if name not in named}
    return {**citation, **({"extras": extras} if extras else {})}
