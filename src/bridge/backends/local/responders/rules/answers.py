"""Answers in words and in JSON: what functions returned, what was sent along, structured output.

What is told is taken from the turn; nothing is made up beyond a marked filler. When each answer is due is left to the order of
the rules in `__init__`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from bridge.interactions import (
    Content,
    FunctionResult,
    ModelOutput,
    TextContent,
    TextFormat,
    Unknown,
)

from ..base import Ending
from .filling import fill
from .filling.evidence import Evidence
from .situation import Plan, Situation, text_of
from .words import shorten

__all__ = [
    "ABILITIES",
    "NOTE",
    "NOTED",
    "NO_ANSWER",
    "answer_results",
    "answer_structured",
    "described",
    "facts",
    "spoken",
]

NOTE = "(Answered by a local stand-in, not a model.)"
"""Ends every answer in words."""
NOTED = "Noted: "
NO_ANSWER = "Nothing in this conversation answers this yet: "
ABILITIES = "I can recall what was said, call declared functions, fill JSON schemas and run Python (with the code_execution tool)."
"""With `NOTED` and `NO_ANSWER`: how answers begin that tell nothing new. They are no source for another."""

_MAX_FACTS = 100  # told of one result


def spoken(*lines: str) -> ModelOutput:
    """An answer in words. It says who made it."""
    text = "\n".join(line for line in lines if line)
    return ModelOutput(content=[TextContent(text=f"{text}\n{NOTE}")])


def answer_results(situation: Situation) -> Plan | None:
    """Tells what the functions returned, or fills the structured answer from it."""
    results = situation.results
    if not results:
        return None
    lines = [_told(situation, result) for result in results]
    schema = _schema(situation)
    if schema is not None:
        known = "\n".join(fact for result in results for fact in facts(_value(result)))
        return Plan(
            thought="The functions have answered; the answer is due as JSON.",
            steps=[_json(schema, f"{situation.prompt}\n{known}")],
        )
    return Plan(thought="The functions have answered.", steps=[spoken(*lines)])


def answer_structured(situation: Situation) -> Plan | None:
    """JSON of the schema asked for; a failed turn where the format is not text at all."""
    for wanted in _formats(situation):
        kind = getattr(wanted, "type", None)
        if kind in ("image", "audio", "video"):
            message = f"response_format: the local stand-in makes no {kind}; ask for text, or use the real API"
            return Plan(
                thought="This format cannot be made here.",
                steps=[Ending(status="failed", errors=(("unsupported", message),))],
            )
    schema = _schema(situation)
    if schema is None:
        return None
    return Plan(thought="The answer is due as JSON.", steps=[_json(schema, situation.prompt)])


def described(parts: list[Content]) -> list[str]:
    """What was sent beside text: "an image (image/png, 68 bytes)"."""
    told = []
    for part in parts:
        if isinstance(part, TextContent):
            continue
        if isinstance(part, Unknown):
            told.append(f"a part of kind {part.kind!r}")
            continue
        article = "an" if part.type in ("image", "audio") else "a"
        data = part.data
        size = (
            f"{len(data) * 3 // 4 - data.count('=', -2)} bytes"
            if data
            else f"at {shorten(part.uri or 'no address', 200)}"
        )
        told.append(f"{article} {part.type} ({part.mime_type or 'no type given'}, {size})")
    return told


def _told(situation: Situation, result: FunctionResult) -> str:
    """One result in one line: the function, its arguments, and what it gave."""
    call = situation.calls.get(result.call_id)
    name = (call.name if call else None) or result.name or "The function"
    arguments = (
        ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in call.arguments.items())
        if call
        else ""
    )
    known = list(facts(_value(result)))
    cut = [f"and {len(known) - _MAX_FACTS} more values"] if len(known) > _MAX_FACTS else []
    told = "; ".join([*known[:_MAX_FACTS], *cut]) or "nothing"
    verb = "failed" if result.is_error else "returned"
    return f"{name}({shorten(arguments)}) {verb}: {shorten(told, 5_000)}"


def _value(result: FunctionResult) -> Any:
    """A result's value; a text that is JSON as what it says, content as its texts and what else there is."""
    value: Any = result.result
    if isinstance(value, list):
        value = "\n".join([text for text in (text_of(value), *described(value)) if text])
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def facts(value: Any, path: str = "", depth: int = 0) -> Iterator[str]:
    """Every value inside a value with the way to it: "wind.speed = 3"."""
    if isinstance(value, dict) and value and depth < 20:
        for key, item in value.items():
            yield from facts(item, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value) and depth < 20:
        for number, item in enumerate(value):
            yield from facts(item, f"{path}[{number}]", depth + 1)
    else:
        text = ", ".join(map(_shown, value)) or "an empty list" if isinstance(value, list) else _shown(value)
        yield f"{path} = {text}" if path else text


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# Keys as prompts for JSON without a schema name them: quoted, beside the word.
_NAMED_KEY = re.compile(r"""['"`]([A-Za-z_][A-Za-z0-9_]{0,63})['"`]""")
_NAMES_KEYS = re.compile(r"\b(?:keys?|fields?)\b", re.IGNORECASE)
_KEYS_WITHIN = 100_000  # characters of a prompt that are searched for them


def _formats(situation: Situation) -> list[Any]:
    wanted = situation.turn.request.response_format
    return wanted if isinstance(wanted, list) else [wanted] if wanted is not None else []


def _schema(situation: Situation) -> Any:
    """The JSON Schema of the answer that is due; True where any JSON will do, None where text will."""
    as_json = situation.turn.request.response_mime_type == "application/json"
    for wanted in _formats(situation):
        if isinstance(wanted, TextFormat):
            if wanted.mime_type == "application/json" or (wanted.mime_type is None and wanted.schema_):
                return wanted.schema_ or True
        elif isinstance(wanted, Unknown) and as_json and isinstance(wanted.raw, dict):
            return wanted.raw  # before "steps" the schema itself stood here
    return True if as_json else None


def _json(schema: Any, text: str) -> ModelOutput:
    subject = Evidence(text).subject or "nothing"
    searched = text[:_KEYS_WITHIN]
    named = list(dict.fromkeys(_NAMED_KEY.findall(searched))) if _NAMES_KEYS.search(searched) else []
    if schema is True and named:
        schema = {"type": "object", "properties": {key: {"type": "string"} for key in named}, "required": named}
    if schema is True:
        value: Any = {"answer": f"{subject} (from a local stand-in, not a model)"}
    else:
        value = fill(schema, text, placeholder=lambda field: f"{field}: {subject} (local stand-in)").value
    return ModelOutput(content=[TextContent(text=json.dumps(value, ensure_ascii=False))])
