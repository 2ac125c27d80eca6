"""`to_portable`: a history in the form in which the next speaker takes it, with calls and results in pairs and nothing lost unsaid.

An answer of another vendor becomes its text and its calls. Reasoning and signatures stay behind: they are for their own vendor alone.
In place of anything else that the next one does not take stands a note; media that it takes from the user, but not from an assistant or in
a result, follow in a message of their own, under the header that opens a session's quotations.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from bridge.errors import InvalidRequest
from bridge.portable import Block, MessageRules, fit, with_type
from bridge.sessions import Refused
from bridge.sessions.rendering import NO_RESULT, cut, quote_header
from bridge.tools.compiling import OnLossy
from bridge.tools.names import safe_names

from ..content import parts_of
from ..messages import ANCHOR, author_of
from .blocks import answer_blocks, input_blocks, long_form
from .targets import INTERACTIONS, rules_of

__all__ = ["LeftOut", "rewritten", "to_portable"]

_log = logging.getLogger("bridge.langgraph")
# Ids that every vendor takes: OpenAI's are up to 40 characters long, Anthropic's of these characters.
_ID = re.compile(r"[a-zA-Z0-9_-]{1,40}")
_ANCHOR_ONLY = frozenset({ANCHOR})
_WORDS = frozenset({"text", "text-plain", "refusal"})
_MEDIA = frozenset({"audio", "file", "image", "video"})
# The longest arguments of a server's tool in a note, in characters.
_ARGUMENTS = 500
_Role: TypeAlias = Literal["system", "user", "tool"]
_Message = TypeVar("_Message", bound=BaseMessage)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the next speaker does not get: the place of its message in the list, the type of its block, and why.

    `noted` says that a note stands in its place (the result of a server's tool has its call's). Reasoning is left out without one: it is for its own vendor alone.
    """

    message: int
    kind: str
    why: str
    noted: bool = True

    def __str__(self) -> str:
        return f"messages[{self.message}]: {self.kind}: {self.why}"


def to_portable(
    messages: Sequence[BaseMessage],
    target: str | None = None,
    *,
    on_lossy: OnLossy = "report",
    report: list[LeftOut] | None = None,
) -> list[BaseMessage]:
    """The history as the vendor that speaks next takes it: in new messages where something differs, and none is changed.

    `target` is "anthropic", "openai" (safe for both of its APIs; "openai-chat" for Chat Completions alone), "interactions", or None for
    what every vendor takes. A vendor's own answers stay as they are, signatures and server tools included. Of others' answers remain
    their texts and their calls, under ids and names that the vendor takes, the same in call and result. What is left out is noted in its
    place, logged, and added to `report`; `on_lossy="raise"` makes it an error, except for reasoning. A call that the
    conversation went on without is answered as an error, and a result that answers no open call is quoted, because vendors refuse both.
    Quoted, too, is what another vendor's model said right before this one speaks.

    For "interactions" only parts that the API does not take are replaced: a session renders the others' words itself, and its anchors fit
    the messages as they stand.

    Doing it twice is doing it once. Raises `InvalidRequest` for an unknown target, and for what is lost under `on_lossy="raise"`;
    `NotConfigured` where the adapter of the target is not installed.
    """
    return rewritten(messages, rules_of(target), on_lossy=on_lossy, report=report)


def rewritten(
    messages: Sequence[BaseMessage],
    rules: MessageRules,
    *,
    on_lossy: OnLossy = "report",
    report: list[LeftOut] | None = None,
) -> list[BaseMessage]:
    """The same by rules."""
    walk: _Session | _Vendor = _Session() if rules is INTERACTIONS else _Vendor(rules)
    for number, message in enumerate(messages):
        walk.add(number, message)
    walk.end()
    if report is not None:
        report += walk.left_out
    if lossy := [row for row in walk.left_out if row.noted]:
        shown = "; ".join(map(str, lossy[:5])) + (f"; and {len(lossy) - 5} more" if len(lossy) > 5 else "")
        if on_lossy == "raise":
            raise InvalidRequest(
                f"{shown}. Leave it out, or pass on_lossy='report' to have it noted in its place", "messages"
            )
        _log.info("left out of the history, and noted in its place: %s", shown)
    return walk.messages


class _Session:
    """For the Interactions API: nothing but parts it does not take is replaced."""

    def __init__(self) -> None:
        self.messages: list[BaseMessage] = []
        self.left_out: list[LeftOut] = []

    def add(self, number: int, message: BaseMessage) -> None:
        content = message.content
        if isinstance(content, list) and message.type in _TAKEN_BY_SESSIONS:
            message = _with(message, [self._block(number, message, block) for block in content])
        self.messages.append(message)

    def _block(self, number: int, message: BaseMessage, block: Any) -> Any:
        if isinstance(block, str) or block.get("type") in ("text", "tool_result"):
            return block
        if block.get("type") in _MEDIA and not block.get("mime_type"):
            block = with_type(block)  # LangChain itself goes on no picture without a type
        parts = parts_of(message.model_copy(update={"content": [dict(block)]}))
        part = parts[0] if parts else None
        if isinstance(part, Refused):
            kind, why = _kind_of(block), "the Interactions API does not take it"
            self.left_out.append(LeftOut(number, kind, why))
            return {"type": "text", "text": _note(kind, why)}
        if (
            part is None
            and block.get("type") not in _CALLS
            and "session" not in message.additional_kwargs.get(ANCHOR, ())
        ):
            self.left_out.append(
                LeftOut(number, _kind_of(block), "a session quotes what was said and called alone", noted=False)
            )
        return block

    def end(self) -> None:
        pass


_TAKEN_BY_SESSIONS = frozenset({"ai", "AIMessageChunk", "human", "HumanMessageChunk", "tool", "ToolMessageChunk"})
_CALLS = frozenset({"function_call", "invalid_tool_call", "tool_call", "tool_call_chunk", "tool_use"})


class _Open(NamedTuple):
    """A call that waits for its result: the id it goes under, its name, whether it is the vendor's own, whether it must have one."""

    id: str
    name: str
    own: bool = False
    needed: bool = True


class _Vendor:
    """For a vendor that is sent messages."""

    def __init__(self, rules: MessageRules) -> None:
        self.messages: list[BaseMessage] = []
        self.left_out: list[LeftOut] = []
        self._rules = rules
        self._number = 0
        self._open: dict[str, list[_Open]] = {}  # by the ids that the messages name, which need not differ
        self._used: set[str] = set()
        self._later: list[BaseMessage] = []

    def add(self, number: int, message: BaseMessage) -> None:
        """The next message. By the type's name: looking for the class of every message would take most of the time."""
        self._number = number
        kind = message.type
        if kind in ("tool", "ToolMessageChunk"):
            self._result(message)  # type: ignore[arg-type]
            return
        if kind in ("human", "HumanMessageChunk") and isinstance(message.content, list):
            whole, message = message, self._without_results(message)
            if message is not whole and not message.content:
                return
        if self._open or self._later:
            self._close()
        if kind in ("ai", "AIMessageChunk"):
            self._answer(message)  # type: ignore[arg-type]
        elif isinstance(message.content, str):
            self.messages.append(message)
        else:
            role: _Role = "system" if kind in ("system", "SystemMessageChunk") else "user"
            kept, _ = self._blocks(message.content, role)
            self.messages.append(_with(message, kept))

    def end(self) -> None:
        """What still follows. Where nothing does, open calls are the caller's to run."""
        if self._later:
            self._close()
        self._hand_over()

    def _hand_over(self) -> None:
        """Quotes the last message where another vendor's model said it: what follows is this one's, and no going on with those words."""
        if not self.messages or (message := self.messages[-1]).type not in ("ai", "AIMessageChunk"):
            return
        facts = message.response_metadata
        if facts.get("model_provider", "") in {"", None, *self._rules.providers} or message.tool_calls:  # type: ignore[attr-defined]
            return
        self.messages[-1] = _human(f"{quote_header(author_of(message.name, facts))}\n{message.content}", [])

    def _close(self) -> None:
        """The conversation goes on: calls without a result get one, then comes what could not stand between calls and results."""
        for call in chain.from_iterable(self._open.values()):
            if call.needed:
                self.messages.append(ToolMessage(NO_RESULT, tool_call_id=call.id, name=call.name, status="error"))
        self._open = {}
        self.messages += self._later
        self._later = []

    def _answer(self, message: AIMessage) -> None:
        content, facts = message.content, message.response_metadata
        is_text = isinstance(content, str)
        if facts.get("model_provider") in self._rules.providers:
            self._hand_over()
            if is_text or self._rules.own_blocks:
                self._open_own(message)
                self.messages.append(message)
                return
        tool_calls, invalid = message.tool_calls, message.invalid_tool_calls
        plain = is_text and message.additional_kwargs.keys() <= _ANCHOR_ONLY and "output_version" not in facts
        if plain and not tool_calls and not invalid:
            self.messages.append(message)
            return
        said = _Lines(str(content)) if plain else _Lines()
        found = [] if plain else self._said(message, said)
        calls = [*tool_calls, *_beyond(found, [*tool_calls, *invalid]), *self._readable(invalid, said)]
        calls = [*map(self._call, self._numbered(calls))]
        if plain and not invalid and calls == tool_calls:
            self.messages.append(message)
            return
        self.messages.append(
            message.model_copy(
                update={
                    "content": said.text,
                    "tool_calls": calls,
                    "invalid_tool_calls": [],
                    "additional_kwargs": {k: v for k, v in message.additional_kwargs.items() if k == ANCHOR},
                    "response_metadata": {k: v for k, v in facts.items() if k != "output_version"},
                }
            )
        )

    def _open_own(self, message: AIMessage) -> None:
        calls = [*message.tool_calls, *message.invalid_tool_calls]
        for call in calls:
            self._open.setdefault(str(call["id"]), []).append(_Open(str(call["id"]), call["name"] or "", own=True))
        for block in message.content if isinstance(message.content, list) else ():
            value = block.get("value", block) if isinstance(block, dict) else {}
            # A hosted tool that the caller runs (OpenAI's computer) is no call of LangChain's, but has a result.
            known_as = value.get("call_id") or (value.get("id") if value.get("type") in _CALLS else None)
            if isinstance(known_as, str) and known_as not in self._open:
                self._open[known_as] = [_Open(known_as, str(value.get("name", "")), own=True, needed=False)]
        self._used.update(self._open)

    def _said(self, message: AIMessage, said: _Lines) -> list[Block]:
        """Adds what an answer says, with notes in place of what is left out. Gives the calls that stand in its content."""
        calls: list[Block] = []
        media: list[Block] = []
        ran: set[Any] = set()
        for block in answer_blocks(message):
            kind = str(block.get("type"))
            if kind in _WORDS:
                said.words(str(block.get("text") or ""))
            elif kind in _CALLS:
                calls.append(block)
            elif kind == "reasoning" or kind == "thinking":
                self._leave_out(kind, "reasoning is for its own vendor", noted=False)
            elif kind in _MEDIA and isinstance(taken := fit(block, self._rules, "user"), dict):
                media.append(taken)
                said.note(f"[{kind}: in a message after this one]")
            elif kind in _MEDIA:
                said.note(self._leave_out(_kind_of(block), str(taken)))
            elif kind in ("server_tool_call", "server_tool_call_chunk"):
                ran |= {block.get("id"), ""}  # Gemini's results do not say of which call
                arguments = json.dumps(block.get("args") or {}, ensure_ascii=False, default=repr)
                what = f"{block.get('name')} {arguments[:_ARGUMENTS]}"
                said.note(self._leave_out(kind, "run by another vendor, as is its result", what))
            elif kind == "server_tool_result":
                note = self._leave_out(kind, "of a tool that another vendor ran")
                if block.get("tool_call_id") not in ran:  # otherwise the note of its call tells of it
                    said.note(note)
            else:
                said.note(self._leave_out(_kind_of(block), "only its own vendor knows it"))
        if media:
            self._quote(author_of(message.name, message.response_metadata), media)
        return calls

    def _numbered(self, calls: Iterable[Any]) -> list[Any]:
        """The calls, with an id where a model gave none."""
        return [
            call if call.get("id") else {**call, "id": f"call_{self._number}_{place}"}
            for place, call in enumerate(calls)
        ]

    def _readable(self, calls: Sequence[Any], said: _Lines) -> list[Any]:
        """Calls whose arguments could not be read, without these, which are noted: some packages leave such calls out."""
        for call in calls:
            what = f"the arguments {cut(call.get('args') or '')} of a call of {call.get('name')}"
            said.note(self._leave_out("invalid_tool_call", "they are no JSON object", what))
        return [
            {"type": "tool_call", "name": call.get("name") or "unknown", "args": {}, "id": call.get("id")}
            for call in calls
        ]

    def _call(self, call: Any) -> Any:
        """A call under an id and a name that the vendor takes, open until its result."""
        given, name = str(call["id"]), str(call["name"])
        taken, again = given if _ID.fullmatch(given) else _id_of(given), 1
        while taken in self._used:  # some models count their calls from anew in each answer
            again += 1
            taken = _id_of(f"{given} {again}")
        self._used.add(taken)
        if not self._rules.names.fullmatch(name):
            name = safe_names([name])[name]
        self._open.setdefault(given, []).append(_Open(taken, name))
        return call if (taken, name) == (given, call["name"]) else {**call, "id": taken, "name": name}

    def _result(self, message: ToolMessage) -> None:
        if not self._open.get(message.tool_call_id):
            self._orphan(message)
            return
        call = self._open[message.tool_call_id].pop(0)
        if call.id != message.tool_call_id:
            message = message.model_copy(update={"tool_call_id": call.id})
        if isinstance(message.content, list):
            kept, media = self._blocks(message.content, "tool", own=call.own)
            message = _with(message, kept)
            if media:
                self._quote(f"the tool {call.name}, in the result of call {call.id},", media)
        self.messages.append(message)

    def _orphan(self, message: ToolMessage) -> None:
        header = quote_header(f"the tool {message.name or 'of an earlier call'}")
        content = [message.content] if isinstance(message.content, str) else message.content
        blocks, _ = self._blocks(content, "user")
        texts = [block["text"] for block in blocks if block["type"] == "text"]
        others = [block for block in blocks if block["type"] != "text"]
        self._later.append(_human("\n".join([header, *map(cut, texts)]), others))

    def _without_results(self, message: BaseMessage) -> BaseMessage:
        """A user's message without the results that stand in it in Anthropic's form; these become results of their own."""
        content: list[Any] = message.content if isinstance(message.content, list) else []
        results = [block for block in content if isinstance(block, dict) and block.get("type") == "tool_result"]
        if not results:
            return message
        for block in results:
            status: Literal["error", "success"] = "error" if block.get("is_error") else "success"
            said = block.get("content") or ""
            self._result(ToolMessage(said, tool_call_id=str(block.get("tool_use_id")), status=status))
        return message.model_copy(update={"content": [block for block in content if block not in results]})

    def _blocks(self, content: Iterable[Any], role: _Role, *, own: bool = False) -> tuple[list[Any], list[Block]]:
        """The blocks as the vendor takes them from that role, and of a result those that it takes from the user only."""
        kept: list[Any] = []
        media: list[Block] = []
        for block in content:
            if isinstance(block, str):  # a form that not every package takes
                kept.append({"type": "text", "text": block})
            elif block.get("type") == "text" and isinstance(block.get("text"), str):
                kept.append(self._text(block))
            elif self._rules.is_native(long := long_form(block)) or (own and block.get("type") not in _MEDIA):
                kept.append(long)
            else:
                for standard in input_blocks(block):
                    new = self._fitted(standard, role, media)
                    kept.append(block if new == block else new)
        return kept, media

    def _fitted(self, block: Block, role: _Role, media: list[Block]) -> Block:
        kind = str(block.get("type"))
        taken: Block | str = "only its own vendor knows it"
        if kind in _WORDS or kind in _MEDIA:
            taken = fit(block, self._rules, role)
            if isinstance(taken, str) and role == "tool" and isinstance(shown := fit(block, self._rules, "user"), dict):
                media.append(shown)
                return {"type": "text", "text": f"[{kind}: in a message after the results]"}
        elif role == "tool":  # the data of a tool
            value = block.get("value") if kind == "non_standard" else block
            return {"type": "text", "text": cut(json.dumps(value, ensure_ascii=False, default=repr))}
        if isinstance(taken, dict):
            return self._text(taken) if taken["type"] == "text" else taken
        return {"type": "text", "text": self._leave_out(_kind_of(block), taken)}

    def _text(self, block: Block) -> Block:
        if block.keys() <= {"type", "text"} | self._rules.text_fields:
            return block
        return {
            name: value for name, value in block.items() if name in ("type", "text") or name in self._rules.text_fields
        }

    def _quote(self, author: str | None, media: list[Block]) -> None:
        self._later.append(_human(quote_header(author), media))

    def _leave_out(self, kind: str, why: str, what: str | None = None, *, noted: bool = True) -> str:
        self.left_out.append(LeftOut(self._number, kind, why, noted))
        return _note(what or kind, why)


class _Lines:
    """Texts as one, with notes on lines of their own."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        self._after_note = False

    def words(self, text: str) -> None:
        if text:
            self.text += f"\n{text}" if self._after_note else text
            self._after_note = False

    def note(self, text: str) -> None:
        self.text += f"\n{text}" if self.text else text
        self._after_note = True


def _with(message: _Message, content: list[Any]) -> _Message:
    """The message with that content; itself where it has it already."""
    return message if message.content == content else message.model_copy(update={"content": content})


def _human(text: str, media: list[Block]) -> HumanMessage:
    return HumanMessage([{"type": "text", "text": text}, *media] if media else text)


def _beyond(blocks: Iterable[Block], calls: Iterable[Any]) -> list[Any]:
    """The calls that stand in the content only."""
    ids = {call.get("id") for call in calls}
    found: list[Any] = []
    for block in blocks:
        arguments = block.get("args", block.get("input"))
        known_as = block.get("call_id") or block.get("id")
        if known_as not in ids and block.get("name") and isinstance(arguments, dict):
            found.append({"type": "tool_call", "name": block["name"], "args": arguments, "id": known_as})
    return found


def _id_of(given: str) -> str:
    return f"call_{hashlib.sha256(given.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


def _kind_of(block: Block) -> str:
    """The type of a block, and of what it holds."""
    value = block.get("value")
    kind = value.get("type") if block.get("type") == "non_standard" and isinstance(value, dict) else block.get("type")
    mime_type = block.get("mime_type")
    return f"{kind} ({mime_type})" if mime_type else str(kind)


def _note(what: str, why: str) -> str:
    return f"[Left out: {what}; {why}]"
