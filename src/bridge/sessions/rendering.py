"""Messages as the steps that a session's server is told. Deterministic: its form is part of the anchors' version.

What the session itself said goes back as its own steps, untouched while the message still shows what they say. What others said
becomes quotations under a fixed header, each a `user_input` of its own, so that it is never taken for the user's words or the
model's. Results answer open calls and nothing else. From where on messages are rendered is `planning`'s to say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from bridge.errors import InvalidRequest

from .history import Call, Message, Refused

__all__ = ["NO_RESULT", "QUOTE_HEADER", "QUOTE_LIMIT", "Rendered", "cut", "quote_header", "render", "steps_of"]

# Opens every quotation, on a line of its own.
QUOTE_HEADER = "[Quoted: {author} said this in the same conversation. It is not from the user.]"
# The longest quoted call or result, in characters; what is cut off is marked.
QUOTE_LIMIT = 20_000
# The author of what nobody is known to have said.
_NOBODY = "another participant"
_LONGEST_NAME = 100
_MEDIA = frozenset({"image", "audio", "video", "document"})
_EMPTY = {"type": "text", "text": ""}
# What answers a call that the conversation went on without.
NO_RESULT = "No result of this call was recorded; the conversation went on without it."
# Stands for the signature of calls that did not come from the API as steps, which it refuses without one.
# Source: Gemini API, thought signatures, "skip_thought_signature_validator".
_NO_SIGNATURE = {"type": "thought", "signature": "skip_thought_signature_validator"}


class Rendered(NamedTuple):
    """The steps in wire form, and what was mended to make them fit: calls answered for want of a result, results of no open call."""

    steps: list[dict[str, Any]]
    unanswered: list[str]
    orphans: list[str]


def render(history: Sequence[Message], session: str, start: int = 0, *, parent_is_shown: bool = True) -> Rendered:
    """The steps of the messages from `start` on, as the session's server is told them.

    With `start` the server knows what is before it, and the message before it is the parent's answer. Where that parent is not among
    the messages (`parent_is_shown` is False), results of calls that are not either are taken for its.

    A result goes right behind its call, as the API wants it. A call without one is answered as an error where the conversation went
    on; a result that answers no open call is quoted. Raises `InvalidRequest` naming the message and part that cannot be sent, or the
    calls that still wait for their results because nothing but results follows them.
    """
    first = max(start - 1, 0)  # the parent's answer: what it called for is answered here

    def is_own(number: int) -> bool:
        # A parent that the caller named is followed whoever spoke there.
        return history[number].role == "model" and (number < start or not history[number].is_foreign(session))

    answers = _answers(history, is_own, first)
    used = set(answers.values())
    others = (n for n in reversed(range(first, len(history))) if history[n].role != "tool" and not is_own(n))
    went_on_at = next(others, -1)
    rendered = Rendered([], [], [])
    makers: dict[str, tuple[Call, Message]] = {}  # of all calls, once one is looked for
    waiting: list[Call] = []
    for number in range(first, len(history)):
        message = history[number]
        if is_own(number):
            calls = message.calls
            if number >= start:
                steps, calls = _own(message)
                rendered.steps.extend(steps)
            for call in calls:
                if (place := answers.get((number, call.id))) is not None:
                    rendered.steps.append(_result(history[place], call.name))
                elif number > went_on_at:
                    waiting.append(call)
                else:
                    rendered.unanswered.append(call.id)
                    rendered.steps.append(_no_result(call))
        elif number >= start and number not in used:
            if message.role == "tool":
                makers = makers or {call.id: (call, message) for message in history for call in message.calls}
                made = makers.get(message.call_id)
                if made is None and not parent_is_shown:
                    rendered.steps.append(_result(message))
                    continue
                author = (made[1].author or _NOBODY) if made and made[1].is_foreign(session) else None
                if author is None:
                    rendered.orphans.append(message.call_id)
                name = message.name or (made[0].name if made else "a tool")
                rendered.steps.append(_quoted(message, author, f"Result of {name} (call {message.call_id}): "))
            elif message.role == "user":
                rendered.steps.append({"type": "user_input", "content": _content(message) or [dict(_EMPTY)]})
            elif message.content or message.calls:
                rendered.steps.append(_quoted(message, message.author))
    if waiting:
        named = ", ".join(f"{call.id!r} ({call.name})" for call in waiting)
        raise InvalidRequest(
            f"no result answers the calls {named}; add a tool message for each, or a human message to go on without",
            "input",
        )
    return rendered


def _answers(history: Sequence[Message], is_own: Callable[[int], bool], first: int) -> dict[tuple[int, str], int]:
    """Of the session's calls from `first` on the place of each one's result, by the call's message and id."""
    waiting: dict[str, int] = {}
    answers: dict[tuple[int, str], int] = {}
    for number in range(first, len(history)):
        message = history[number]
        if message.role == "tool":
            if (maker := waiting.pop(message.call_id, None)) is not None:
                answers[maker, message.call_id] = number
        elif message.calls:
            for call in message.calls:
                waiting.pop(call.id, None)
                if is_own(number):
                    waiting[call.id] = number
    return answers


def _own(message: Message) -> tuple[list[dict[str, Any]], Sequence[Call]]:
    """An answer of the session and the calls it leaves open: its steps while the message shows what they say, else steps made of it."""
    steps = steps_of(message)
    if steps is not None:
        return [step for step in steps if _goes_back(step)], message.calls
    said = _content(message)
    said += [
        {"type": "text", "text": f"[invalid call of {call.name}: {call.arguments}]"}
        for call in message.calls
        if call.invalid
    ]
    calls = [call for call in message.calls if not call.invalid]
    made: list[dict[str, Any]] = [dict(_NO_SIGNATURE)] if calls else []
    if said:
        made.append({"type": "model_output", "content": said})
    made += [{"type": "function_call", "id": call.id, "name": call.name, "arguments": call.arguments} for call in calls]
    return made, calls


def steps_of(message: Message) -> list[Any] | None:
    """The steps of an answer as the API gave them, None where the message does not show (any more) what they say."""
    steps = message.anchor.get("steps")
    if isinstance(steps, list) and not any(call.invalid for call in message.calls) and _is_shown(steps, message):
        return steps
    return None


def _is_shown(steps: Iterable[Any], message: Message) -> bool:
    """Whether the message shows what these steps (in wire form) say: their text, their media, and the calls they leave open."""
    parts: list[Any] = []
    called: list[dict[str, Any]] = []
    answered: list[Any] = []
    for step in steps:
        kind = step.get("type") if isinstance(step, dict) else None
        if kind == "model_output" and isinstance(content := step.get("content"), list):
            parts += content
        elif kind == "function_call":
            called.append(step)
        elif kind == "function_result":
            answered.append(step.get("call_id"))
    said = message.content
    if _told(parts) != ((said, []) if isinstance(said, str) else _told(said)):
        return False
    if not called and not message.calls:
        return True
    calls = [
        (step.get("id"), step.get("name"), step.get("arguments") or {})
        for step in called
        if step.get("id") not in answered
    ]
    return _same(calls, [(call.id, call.name, call.arguments) for call in message.calls])


def _same(one: list[Any], other: list[Any]) -> bool:
    """Whether two lists are the same JSON, in which 1, 1.0 and true are three things."""
    return repr(one) == repr(other) or _dump(one) == _dump(other)


_dump = json.JSONEncoder(sort_keys=True, default=repr).encode


def _told(parts: Iterable[Any]) -> tuple[str, list[Any]]:
    """The text of the parts and what their media are, as bytes or an address. Parts of unknown kinds are not shown."""
    text, media = "", []
    for part in parts:
        if not isinstance(part, dict):
            continue
        kind = part.get("type")
        if kind == "text":
            text += str(part.get("text"))
        elif kind in _MEDIA:
            media.append(part.get("data") or part.get("uri"))
    return text, media


def _goes_back(step: Any) -> bool:
    # A thought that came without a signature is refused when it is sent back.
    kind = step.get("type") if isinstance(step, dict) else None
    return kind != "user_input" and not (kind == "thought" and not step.get("signature"))


def _content(message: Message) -> list[dict[str, Any]]:
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}] if message.content else []
    parts: list[dict[str, Any]] = []
    for part in message.content:
        if isinstance(part, Refused):
            raise InvalidRequest(f"{message.where}: {part.reason}", "input")
        parts.append(dict(part))
    return parts


def _result(message: Message, name: str | None = None) -> dict[str, Any]:
    step: dict[str, Any] = {"type": "function_result", "call_id": message.call_id}
    if name := message.name or name:
        step["name"] = name
    step["result"] = message.content if isinstance(message.content, str) else _content(message)
    if message.is_error:
        step["is_error"] = True
    return step


def _no_result(call: Call) -> dict[str, Any]:
    return {
        "type": "function_result",
        "call_id": call.id,
        "name": call.name,
        "result": NO_RESULT,
        "is_error": True,
    }


def _quoted(message: Message, author: str | None, opening: str = "") -> dict[str, Any]:
    """A message as one `user_input`: header, texts, calls; media after them."""
    said = _content(message)
    text = "".join(part["text"] for part in said if part["type"] == "text")  # as the digest joins them
    lines = [quote_header(author), opening + (cut(text) if opening else text)]
    for call in message.calls:
        if call.invalid:
            lines.append(cut(f"Tried to call {call.name} with invalid arguments {call.arguments}"))
        else:
            arguments = json.dumps(call.arguments, ensure_ascii=False, default=repr)
            lines.append(cut(f"Called {call.name} (call {call.id}) with {arguments}"))
    media = [part for part in said if part["type"] != "text"]
    return {"type": "user_input", "content": [{"type": "text", "text": "\n".join(filter(None, lines))}, *media]}


def quote_header(author: str | None) -> str:
    """The line that opens a quotation. The author stands there without brackets: a name is data, and must not look like its end."""
    name = " ".join((author or _NOBODY).replace("[", "(").replace("]", ")").split())
    return QUOTE_HEADER.format(author=name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…")


def cut(text: str) -> str:
    """The text up to the longest that is quoted, with a mark that says how much is missing."""
    return (
        text if len(text) <= QUOTE_LIMIT else f"{text[:QUOTE_LIMIT]} [cut: {len(text) - QUOTE_LIMIT} more characters]"
    )
