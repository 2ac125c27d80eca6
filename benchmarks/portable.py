"""What it costs to make a long history of several vendors portable, in milliseconds."""

from __future__ import annotations

import gc
import statistics
import time
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from benchmarks.rounds import Row
from bridge.langgraph import to_portable

__all__ = ["portable"]

_TARGETS = (None, "anthropic", "openai", "interactions")
_MESSAGES = 1_000


def _history() -> list[BaseMessage]:
    """Turns in which a session, Claude and GPT answer by turns: a question, a call, its result, an answer."""
    texts: list[Any] = [
        "Noted. I keep that in mind for what you ask me next.",
        [
            {"type": "thinking", "thinking": "The user wants it kept in mind.", "signature": "c2lnbmF0dXJl"},
            {"type": "text", "text": "Noted. I keep that in mind for what you ask me next."},
        ],
        [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2lnbmF0dXJl"},
            {"type": "text", "text": "Noted. I keep that in mind for what you ask me next.", "id": "msg_1"},
        ],
    ]
    history: list[BaseMessage] = []
    turn = 0
    while len(history) < _MESSAGES:
        vendor = turn % 3
        facts = {"model_provider": ("google_interactions", "anthropic", "openai")[vendor], "model_name": "m"}
        name = f"call:{turn}" if vendor == 0 else f"call_{turn}"
        call = {"name": "look", "args": {"at": "moon"}, "id": name}
        history += [
            HumanMessage(f"Remember the number {turn}."),
            AIMessage("", tool_calls=[call], response_metadata=facts),
            ToolMessage("full", tool_call_id=name),
            AIMessage(texts[vendor], response_metadata=facts),
        ]
        turn += 1
    return history


def portable(count: int) -> list[Row]:
    """A history of 1,000 messages for each target; the slowest counts."""
    history = _history()
    milli: dict[str, float] = {}
    for target in _TARGETS:
        to_portable(history, target)  # warm up
    gc.collect()
    gc.freeze()
    try:
        for target in _TARGETS:
            seen = []
            for _ in range(max(5, count)):
                start = time.perf_counter()
                to_portable(history, target)
                seen.append((time.perf_counter() - start) * 1e3)
            milli[str(target)] = statistics.median(seen)
    finally:
        gc.unfreeze()
    slowest = max(milli.values())
    detail = ", ".join(f"{target} {value:.1f} ms" for target, value in milli.items())
    return [Row("to_portable, 1,000 messages of three vendors, ms", slowest, "≤ 10", slowest <= 10, detail)]
