"""What a turn uses, in tokens, and where its budgets cut it.

Counted by a plain rule (a token is up to four word characters or one other sign), the same on every machine. It is no
model's own count. A turn counts its new input, as the real service does, not the conversation before it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

from bridge.interactions import (
    Agent,
    AntigravityConfig,
    CodeExecutionCall,
    CreateInteraction,
    FunctionCall,
    GenerationConfig,
    ModelOutput,
    Step,
    TextContent,
    Thought,
    UserInput,
)

__all__ = ["Meter", "cut_to", "tokens"]

_TOKEN = re.compile(r"\w{1,4}|[^\w\s]")
_MEDIA = {"image": 258, "audio": 32, "video": 258, "document": 258}  # tokens for one of them, whatever its size


def tokens(text: str) -> int:
    """How many tokens a text has."""
    return sum(1 for _ in _TOKEN.finditer(text))


def cut_to(text: str, limit: int) -> str:
    """The first `limit` tokens of a text, with what stands between them; the whole text where it has no more."""
    for number, match in enumerate(_TOKEN.finditer(text)):
        if number == limit:
            return text[: match.start()].rstrip()
    return text


class Meter:
    """Counts one turn, step by step.

    `max_output_tokens` bounds what the model writes; `max_total_tokens` the whole turn. Either is None for no bound.
    """

    def __init__(
        self,
        *,
        input: Sequence[Step] = (),
        instruction: str | None = None,
        tools: Sequence[Any] = (),
        max_output_tokens: int | None = None,
        max_total_tokens: int | None = None,
        stop_sequences: Sequence[str] = (),
    ) -> None:
        self._input: Counter[str] = Counter()
        for step in input:
            self._input.update(_modalities(step.to_wire()))
        self._input["text"] += tokens(instruction or "") + sum(tokens(_json(tool.to_wire())) for tool in tools)
        self._output = self._thought = self._tool_use = 0
        self._max_output = max_output_tokens
        self._max_total = max_total_tokens
        self._stops = [stop for stop in stop_sequences if stop]

        self.stopped_by: str | None = None
        """The stop sequence that ended the turn."""

    @classmethod
    def of(
        cls,
        request: CreateInteraction,
        input: Sequence[Step],
        *,
        agent: Agent | None = None,
        tools: Sequence[Any] = (),
    ) -> Self:
        """The meter of a turn, with the budgets that its request and its agent set."""
        config = agent.agent_config if agent is not None else None
        generation = getattr(request, "generation_config", None) or GenerationConfig()
        return cls(
            input=input,
            instruction=(agent or request).system_instruction,
            tools=tools,
            max_output_tokens=generation.max_output_tokens,
            max_total_tokens=config.max_total_tokens if isinstance(config, AntigravityConfig) else None,
            stop_sequences=generation.stop_sequences or (),
        )

    def take(self, step: Step) -> tuple[Step | None, str | None]:
        """Counts a step. Gives what is kept of it, and the status with which the turn ends here, if it does."""
        kept: Step | None = step
        status: str | None = None
        if isinstance(step, ModelOutput) and self._stops:
            kept, self.stopped_by = _stopped(step, self._stops)
            status = "completed" if self.stopped_by is not None else None
        written = _written(kept)
        left = None if self._max_output is None else self._max_output - self._output
        if left is not None and written > left:
            status = "incomplete"
            kept = _shortened(kept, left) if isinstance(kept, ModelOutput) else None
            written = left
        self._output += written
        if isinstance(kept, Thought):
            self._thought += _in_thought(kept)
        elif kept is not None and not isinstance(kept, ModelOutput | FunctionCall | UserInput):
            self._tool_use += sum(_modalities(kept.to_wire()).values())
        if self._max_total is not None and self.total > self._max_total:
            status = "incomplete"
        return kept, status

    @property
    def total(self) -> int:
        """Input, output, thought and tool use together."""
        return self._input.total() + self._output + self._thought + self._tool_use

    def usage(self) -> dict[str, Any]:
        """The counts so far, as the wire's `usage`."""
        wire: dict[str, Any] = {
            "total_tokens": self.total,
            "total_input_tokens": self._input.total(),
            "input_tokens_by_modality": _rows(self._input),
            "total_cached_tokens": 0,
            "total_output_tokens": self._output,
            "total_tool_use_tokens": self._tool_use,
            "total_thought_tokens": self._thought,
        }
        if self._output:
            wire["output_tokens_by_modality"] = [{"modality": "text", "tokens": self._output}]
        if self._tool_use:
            wire["tool_use_tokens_by_modality"] = [{"modality": "text", "tokens": self._tool_use}]
        return wire


def _rows(counts: Counter[str]) -> list[dict[str, Any]]:
    return [{"modality": name, "tokens": number} for name, number in sorted(counts.items()) if number]


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _modalities(wire: dict[str, Any]) -> Counter[str]:
    """The tokens of a step by modality: its texts and values, and its media."""
    counts: Counter[str] = Counter()
    for name, value in wire.items():
        if name in ("type", "id", "call_id", "signature", "is_error"):
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict) and item.get("type") in _MEDIA:
                counts[item["type"]] += _MEDIA[item["type"]]
            elif isinstance(item, dict) and item.get("type") == "text" and isinstance(item.get("text"), str):
                counts["text"] += tokens(item["text"])
            else:
                counts["text"] += tokens(item if isinstance(item, str) else _json(item))
    return counts


def _written(step: Step | None) -> int:
    """The tokens the model wrote for a step."""
    match step:
        case ModelOutput():
            return sum(_modalities({"content": [item.to_wire() for item in step.content or ()]}).values())
        case FunctionCall():
            return tokens(step.name) + tokens(_json(step.arguments))
        case CodeExecutionCall():
            return tokens(step.arguments.code or "")
        case _:
            return 0


def _in_thought(step: Thought) -> int:
    summary = sum(tokens(item.text) for item in step.summary or () if isinstance(item, TextContent))
    return summary + (len(step.signature or "") + 3) // 4


def _shortened(step: ModelOutput, left: int) -> ModelOutput | None:
    content: list[Any] = []
    for item in step.content or ():
        if not isinstance(item, TextContent) or left <= 0:
            break
        text = cut_to(item.text, left)
        left -= tokens(text)
        content.append(item.replace(text=text))
    return step.replace(content=content) if content else None


def _stopped(step: ModelOutput, stops: Iterable[str]) -> tuple[ModelOutput, str | None]:
    content: list[Any] = []
    for item in step.content or ():
        text = item.text if isinstance(item, TextContent) else ""
        places = [(text.find(stop), stop) for stop in stops if stop in text]
        if places:
            place, stop = min(places)
            return step.replace(content=[*content, item.replace(text=text[:place])]), stop
        content.append(item)
    return step, None
