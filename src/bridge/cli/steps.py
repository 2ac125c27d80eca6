"""How a step of an interaction looks on a terminal. What a model or a file says is data: it cannot drive the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

__all__ = ["plain", "print_step"]

_PROGRAM_LINES = 12
_OUTPUT_CHARACTERS = 400


def print_step(console: Console, step: Mapping[str, Any]) -> None:
    """Shows a step as it is on the wire: its kind, and of its content what a reader follows."""
    kind = str(step.get("type", "step"))
    console.print(Text(plain(kind.replace("_", " ")), style="cyan"))
    if kind == "thought":
        for item in step.get("summary") or []:
            console.print(Text(plain(str(item.get("text", ""))).strip(), style="italic dim"))
    elif kind == "code_execution_call":
        _program(console, str((step.get("arguments") or {}).get("code") or ""))
    elif kind == "code_execution_result":
        style = "red" if step.get("is_error") else "green"
        console.print(Text(_cut(str(step.get("result") or "")), style=style))
    elif kind == "model_output":
        for content in step.get("content") or []:
            console.print(Text(plain(str(content.get("text") or f"({content.get('type')})"))))
    else:
        shown = {name: step[name] for name in ("name", "arguments", "result") if name in step}
        console.print(Text(_cut(str(shown)), style="dim"))


def plain(text: str) -> str:
    """The text without control characters."""
    return "".join(character for character in text if character in "\n\t" or character.isprintable())


def _program(console: Console, code: str) -> None:
    lines = plain(code).rstrip().splitlines()
    head = "\n".join(lines[:_PROGRAM_LINES])
    console.print(Syntax(head, "python", theme="ansi_dark", background_color="default", line_numbers=True))
    if len(lines) > _PROGRAM_LINES:
        console.print(Text(f"… {len(lines) - _PROGRAM_LINES} more lines", style="dim"))


def _cut(text: str) -> str:
    text = plain(text).rstrip()
    if len(text) <= _OUTPUT_CHARACTERS:
        return text
    return f"{text[:_OUTPUT_CHARACTERS]}… ({len(text) - _OUTPUT_CHARACTERS} more characters)"
