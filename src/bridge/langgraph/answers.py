"""Answers: from the events of a turn to LangChain messages.

One path for both: a stream's events become chunks as they come, an unstreamed interaction is told as events first and its chunks
are merged, so that the two are the same message. By default the content is the text (and media blocks where there are media),
which every other vendor's model can read; everything else travels in the anchor and shows as `content_blocks`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.block_translators import register_translator
from langchain_core.utils.json import parse_partial_json

from bridge.errors import InteractionFailed
from bridge.interactions import (
    ArgumentsDelta,
    Assembler,
    Event,
    Interaction,
    InteractionCompleted,
    InteractionCreated,
    StepDelta,
    StepStart,
    StepStop,
    TextDelta,
    ThoughtSummaryDelta,
    Unknown,
    Usage,
    assemble,
    meaning_of,
)
from bridge.sessions import Message, Plan, steps_of

from .content import MEDIA, block_of, citation_of
from .messages import ANCHOR, PROVIDER, to_message

__all__ = ["Answer", "blocks_of", "message_of", "usage_of"]

# LangChain's names for the server tools it has a name for.
_TOOL_NAMES = {
    "code_execution": "code_interpreter",
    "google_search": "web_search",
    "url_context": "web_fetch",
}


class Answer:
    """The chunks of one turn: `add` gives those of an event, `last` the closing one.

    `plan` is the turn's, which makes the anchor. With `blocks` the content is LangChain's standard blocks.
    With `hold_calls` a function call is shown at the end, once it is known that the server did not answer it itself.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        blocks: bool = False,
        hold_calls: bool = False,
    ) -> None:
        self._plan = plan
        self._blocks = blocks
        self._hold_calls = hold_calls
        self._assembler = Assembler()
        self._steps: dict[int, _Step] = {}
        self._shown = 0  # how many blocks and calls have an index by now
        self._chunks: list[AIMessageChunk] = []
        self.started = False

    def add(self, event: Event) -> list[AIMessageChunk]:
        """The chunks of the next event, often none."""
        self._assembler.add(event)
        chunks: list[AIMessageChunk] = []
        match event:
            case StepDelta():
                step = self._steps.get(event.index)
                if step is not None:
                    chunks = self._delta(step, event)
            case StepStart():
                step = self._steps[event.index] = _Step(event, self._steps.get(event.index))
                chunks = self._start(step)
            case StepStop():
                step = self._steps.get(event.index)
                if step is not None:
                    step.events.append(event)
                    chunks = self._stop(step)
            case InteractionCreated():
                self._steps = {}  # the next hop of a continued turn counts its steps anew
                if not self.started:
                    chunks = [self._chunk("", id=event.interaction.id or None)]
                self.started = True
        self._chunks += chunks
        return chunks

    def last(self, requested: str) -> list[AIMessageChunk]:
        """The calls held back, and the closing chunk: status, usage and the anchor. `requested` is the model or agent asked for.

        Raises `InteractionFailed` where the turn failed or was cancelled.
        """
        interaction = self._assembler.interaction()
        raise_if_failed(interaction)
        chunks: list[AIMessageChunk] = []
        if self._hold_calls:
            for call in interaction.pending_calls:
                chunks += self._call(call.id, call.name, json.dumps(call.arguments))
        steps = [step.to_wire() for step in interaction.steps or []]
        anchor = self._plan.anchor(_shown([*self._chunks, *chunks]), id=interaction.id, steps=steps)
        chunks.append(
            self._chunk(
                "",
                additional_kwargs={ANCHOR: anchor},
                response_metadata=metadata_of(interaction, requested),
                usage_metadata=usage_of(interaction.usage),
                chunk_position="last",
            )
        )
        return chunks

    def _chunk(self, content: str | list[dict[str, Any]], **fields: Any) -> AIMessageChunk:
        metadata = {"model_provider": PROVIDER, **fields.pop("response_metadata", {})}
        if self._blocks:
            metadata["output_version"] = "v1"
            content = content or []
        return AIMessageChunk(content=content, response_metadata=metadata, **fields)

    def _start(self, step: _Step) -> list[AIMessageChunk]:
        """What a step says already as it begins."""
        wire = step.wire
        if step.kind == "model_output":
            return [chunk for part in wire.get("content") or () for chunk in self._said(step, part)]
        if step.kind == "thought":
            return [chunk for part in wire.get("summary") or () for chunk in self._thought(step, part)]
        if step.kind == "function_call" and not self._hold_calls and step.index is None:
            step.index = self._next()
            return self._call_piece(step.index, id=wire.get("id"), name=wire.get("name"), args="")
        return []

    def _delta(self, step: _Step, event: StepDelta) -> list[AIMessageChunk]:
        delta = event.delta
        if isinstance(delta, TextDelta):
            return self._text(step, delta.text) if step.kind == "model_output" else []
        kind = delta.kind if isinstance(delta, Unknown) else delta.type
        step.events.append(event)
        if step.kind == "function_call" and isinstance(delta, ArgumentsDelta):
            step.arguments += delta.arguments or ""
            piece = step.beyond(delta.arguments or "")
            return self._call_piece(step.index, args=piece) if piece and step.index is not None else []
        if step.kind == "model_output" and kind in MEDIA:
            return self._medium(step, delta.to_wire())
        if step.kind == "model_output" and kind.startswith("text_annotation"):
            return self._annotated(step, delta.to_wire().get("annotations") or ())
        if step.kind == "thought" and isinstance(delta, ThoughtSummaryDelta):
            return self._thought(step, delta.to_wire().get("content"))
        return []

    def _stop(self, step: _Step) -> list[AIMessageChunk]:
        if step.kind == "function_call":
            rest = step.rest_of_arguments()
            return self._call_piece(step.index, args=rest) if rest and step.index is not None else []
        if self._blocks and step.kind not in ("model_output", "thought", "user_input") and step.index is None:
            whole = assemble(step.events).steps or []
            blocks = blocks_of([part.to_wire() for part in whole])
            step.index = self._shown
            return [self._chunk([{**block, "index": self._next()}]) for block in blocks]
        return []

    def _said(self, step: _Step, part: Any) -> list[AIMessageChunk]:
        """A whole part of the answer."""
        if not isinstance(part, dict):
            return []
        if part.get("type") != "text" or not isinstance(part.get("text"), str):
            return self._medium(step, part)
        chunks = self._text(step, part["text"])
        return chunks + self._annotated(step, part["annotations"]) if part.get("annotations") else chunks

    def _text(self, step: _Step, text: str) -> list[AIMessageChunk]:
        text = step.beyond(text)
        if not text:
            return []
        if not self._blocks:
            return [self._chunk(text)]
        if step.index is None or step.sealed:
            step.index, step.text, step.sealed = self._next(), "", False
        step.text += text
        return [self._chunk([{"type": "text", "text": text, "index": step.index}])]

    def _annotated(self, step: _Step, rows: Iterable[Any]) -> list[AIMessageChunk]:
        """Annotations on the text so far; the next text is another block."""
        if not self._blocks or step.index is None or step.behind:
            return []
        step.sealed = True
        citations = [citation_of(row, step.text) for row in rows]
        return [self._chunk([{"type": "text", "text": "", "annotations": citations, "index": step.index}])]

    def _medium(self, step: _Step, part: dict[str, Any]) -> list[AIMessageChunk]:
        if step.media_behind:
            step.media_behind -= 1
            return []
        step.media += 1
        step.sealed = True
        block = block_of(part)
        if self._blocks:
            return [self._chunk([{**block, "index": self._next()}])]
        return [self._chunk([block])] if block["type"] != "non_standard" else []

    def _thought(self, step: _Step, part: Any) -> list[AIMessageChunk]:
        """A piece of a thought's summary, shown in blocks only."""
        text = part.get("text") if self._blocks and isinstance(part, dict) else None
        text = step.beyond(text) if isinstance(text, str) else ""
        if not text:
            return []
        if step.index is None:
            step.index = self._next()
        return [self._chunk([{"type": "reasoning", "reasoning": text, "index": step.index}])]

    def _call(self, id: str, name: str, args: str) -> list[AIMessageChunk]:
        return self._call_piece(self._next(), id=id, name=name, args=args)

    def _call_piece(self, index: int, **piece: Any) -> list[AIMessageChunk]:
        call = {
            "type": "tool_call_chunk",
            "id": None,
            "name": None,
            "index": index,
            **piece,
        }
        content = [dict(call)] if self._blocks else ""
        return [self._chunk(content, tool_call_chunks=[call])]

    def _next(self) -> int:
        self._shown += 1
        return self._shown - 1


class _Step:
    """A step as it is told: what began it, what came since, where it shows.

    After a broken connection a step may be told once more from its start (`before` is what it was). What has been shown cannot
    be taken back, so only what goes beyond it is shown.
    """

    def __init__(self, event: StepStart, before: _Step | None) -> None:
        wire = event.step.to_wire()
        self.wire: dict[str, Any] = wire if isinstance(wire, dict) else {}
        self.kind = str(self.wire.get("type", ""))
        self.events: list[Event] = [event]
        self.arguments = ""
        self.sealed: bool = before is not None and before.sealed
        self.text: str = before.text if before is not None else ""  # of the block that is being shown
        self.index: int | None = before.index if before is not None else None
        self.shown: str = before.shown if before is not None else ""  # all text, or arguments, shown so far
        self.behind = self.shown
        self.media: int = before.media if before is not None else 0
        self.media_behind = self.media

    def beyond(self, text: str) -> str:
        """What of the next text has not been shown yet."""
        if self.behind:
            if self.behind.startswith(text):
                self.behind = self.behind[len(text) :]
                return ""
            # Where it says something else now, that is shown after what was.
            text, self.behind = text.removeprefix(self.behind), ""
        self.shown += text
        return text

    def rest_of_arguments(self) -> str:
        """What is left to show of a call's arguments as it ends; of what is no JSON object something that keeps it none."""
        given = self.wire.get("arguments")
        if self.arguments:
            return _spoiler(self.shown)
        if isinstance(given, str):  # what came was not JSON, and is kept as it came
            return self.beyond(given) + _spoiler(given)
        forms = [json.dumps(given or {}), json.dumps(given or {}, separators=(",", ":"))]
        return next((self.beyond(form) for form in forms if form.startswith(self.behind)), _spoiler(self.shown))


def _spoiler(arguments: str) -> str:
    """What to append to arguments that are not a JSON object, so that LangChain, which mends JSON, does not make a call of them."""
    try:
        if isinstance(json.loads(arguments), dict):
            return ""
    except ValueError:
        pass
    for tail in ("", "]", "}", '"]', '"}', '""]', '""}'):
        try:
            if not isinstance(parse_partial_json(arguments + tail), dict):
                return tail
        except ValueError:
            return tail
    return ""  # pragma: no cover - one of a bracket and a brace never fits


def events_of(interaction: Interaction) -> Iterator[Event]:
    """An interaction told as the events of its stream, every step at once."""
    first = (interaction.continuation_ids or [interaction.id])[0]
    yield InteractionCreated(interaction=interaction.replace(id=first, steps=None))
    for index, step in enumerate(interaction.steps or []):
        yield StepStart(index=index, step=step)
        yield StepStop(index=index)
    yield InteractionCompleted(interaction=interaction)


def message_of(chunks: Iterable[AIMessageChunk]) -> AIMessage:
    """The message that chunks make."""
    first, *rest = chunks
    whole = first + rest if rest else first
    content = whole.content
    if isinstance(content, list):  # the index says where a piece belongs, which is over now
        content = [{k: v for k, v in b.items() if k != "index"} if isinstance(b, dict) else b for b in content]
    skipped = ("type", "content", "tool_call_chunks", "chunk_position")
    return AIMessage(
        content=content,
        **{name: value for name, value in whole.__dict__.items() if name not in skipped},
    )


def _shown(chunks: Iterable[AIMessageChunk]) -> Message:
    """What chunks show, as a session sees it. Merging them as LangChain does would double the cost of a stream."""
    pieces: list[Any] = []
    calls: list[AIMessageChunk] = []
    for chunk in chunks:
        if isinstance(chunk.content, str):
            pieces.append(chunk.content)
        else:
            pieces += chunk.content
        if chunk.tool_call_chunks:
            calls.append(chunk)
    merged = message_of(calls) if calls else AIMessage("")
    said = "".join(pieces) if all(isinstance(piece, str) for piece in pieces) else pieces
    return to_message(
        AIMessage(said, tool_calls=merged.tool_calls, invalid_tool_calls=merged.invalid_tool_calls),
    )


def raise_if_failed(interaction: Interaction) -> None:
    """Raises `InteractionFailed` where the turn failed or was cancelled, or broke off with an error."""
    outcome = meaning_of(interaction.status).outcome
    if outcome in ("error", "cancelled") or (outcome == "none" and interaction.errors):
        reasons = "; ".join(f"{row.code or 'error'}: {row.message or 'no message'}" for row in interaction.errors or [])
        raise InteractionFailed(
            f"interaction {interaction.id or '(not stored)'} of {interaction.model or interaction.agent} ended as "
            f"{interaction.status or 'unknown'}{f' ({reasons})' if reasons else ''}",
            interaction,
        )


def metadata_of(interaction: Interaction, requested: str) -> dict[str, Any]:
    """The `response_metadata` of an answer: id, status, model_name, model_provider and environment_id where there is one."""
    metadata = {
        "id": interaction.id or None,
        "status": interaction.status,
        "model_name": interaction.model or interaction.agent or requested,
        "model_provider": PROVIDER,
        "environment_id": interaction.environment_id,
    }
    return {name: value for name, value in metadata.items() if value is not None}


def usage_of(usage: Usage | Unknown | None) -> UsageMetadata | None:
    """LangChain's usage. Tokens of tools count as input, thinking as output; None where the API reported nothing."""
    if not isinstance(usage, Usage) or (usage.total_input_tokens is None and usage.total_output_tokens is None):
        return None
    tokens_in = (usage.total_input_tokens or 0) + (usage.total_tool_use_tokens or 0)
    tokens_out = (usage.total_output_tokens or 0) + (usage.total_thought_tokens or 0)
    result = UsageMetadata(
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        total_tokens=tokens_in + tokens_out,
    )
    audio_in = _modality(usage.input_tokens_by_modality, "audio")
    audio_out = _modality(usage.output_tokens_by_modality, "audio")
    details_in = {"cache_read": usage.total_cached_tokens, "audio": audio_in}
    details_out = {"reasoning": usage.total_thought_tokens, "audio": audio_out}
    if known := {name: value for name, value in details_in.items() if value is not None}:
        result["input_token_details"] = known  # type: ignore[typeddict-item]
    if known := {name: value for name, value in details_out.items() if value is not None}:
        result["output_token_details"] = known  # type: ignore[typeddict-item]
    return result


def _modality(rows: Iterable[Any] | None, modality: str) -> int | None:
    return next((row.tokens for row in rows or () if row.modality == modality), None)


def blocks_of(steps: Iterable[Any]) -> list[dict[str, Any]]:
    """LangChain's standard blocks of steps in wire form. Signatures stay in the anchor: no other vendor may get them."""
    steps = [step for step in steps if isinstance(step, dict)]
    answered = {step.get("call_id") for step in steps if step.get("type") == "function_result"}
    blocks: list[dict[str, Any]] = []
    for step in steps:
        kind = str(step.get("type", ""))
        if kind == "model_output":
            blocks += [block_of(part) for part in step.get("content") or () if isinstance(part, dict)]
        elif kind == "thought":
            texts = [part["text"] for part in step.get("summary") or () if isinstance(part, dict) and part.get("text")]
            blocks += [{"type": "reasoning", "reasoning": "".join(texts)}] if texts else []
        elif kind == "function_call" and step.get("id") not in answered and isinstance(step.get("arguments"), dict):
            blocks.append(
                {
                    "type": "tool_call",
                    "id": step["id"],
                    "name": step.get("name"),
                    "args": step["arguments"],
                }
            )
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
