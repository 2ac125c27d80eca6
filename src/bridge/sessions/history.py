"""A graph's conversation as every speaker of it sees it: messages, their calls, and the anchors that answers carry.

Plain immutable values. What may be followed is `planning`'s to say, what is sent `rendering`'s.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from typing_extensions import TypedDict

__all__ = ["VERSION", "Anchor", "Call", "Digest", "Message", "Part", "Refused"]

# Of the digest and of the rendering together. An anchor of another version matches nothing: what that version told the server
# may not be what this one believes it told.
VERSION = 2


class Anchor(TypedDict, total=False):
    """The resume point that an answer keeps: plain data, as it stands in a message.

    `session` names the session that spoke. `id` is the stored interaction, `digest` that of everything visible up to and with the
    answer, `origin` that of everything before it, `version` the form of these; they are missing where nothing was stored. `steps`
    are the answer's steps as the API gave them. `replays` says how many turns in a row, this one included, had to send the whole history because it had been changed.
    """

    session: str
    version: int
    id: str
    digest: str
    origin: str
    steps: list[Any]
    replays: int


class Call(NamedTuple):
    """A model's call of a function. `arguments` of an invalid one are the text that could not be read."""

    id: str
    name: str
    arguments: Any
    invalid: bool = False


class Refused(NamedTuple):
    """A part that has no place in an interaction: it counts in the digest, and sending it raises `reason`."""

    reason: str
    raw: Any


Part: TypeAlias = "Mapping[str, Any] | Refused"
"""An API content in wire form, or what is none."""

_NO_ANCHOR: Anchor = {}


class Message(NamedTuple):
    """One message.

    `content` is what was said: a text, or API contents in wire form. `author` names another speaker than the session, `anchor` is an
    answer's own, `interaction` the id of the stored interaction it is the answer of. `call_id` is the call that a result (role "tool") answers, `name` its function. `number` is the message's place in
    the caller's list, for errors.
    """

    role: Literal["user", "model", "tool"]
    content: str | Sequence[Part]
    calls: Sequence[Call] = ()
    author: str | None = None
    anchor: Anchor = _NO_ANCHOR
    call_id: str = ""
    name: str | None = None
    is_error: bool = False
    interaction: str | None = None
    number: int = 0

    def is_foreign(self, session: str) -> bool:
        """Whether another speaker said this: another session, another vendor, or somebody with a name of his own."""
        if self.role != "model":
            return False
        if spoken_in := self.anchor.get("session"):
            return spoken_in != session
        return self.author is not None

    @property
    def where(self) -> str:
        """The message as errors name it."""
        return f"messages[{self.number}] ({_KINDS[self.role]})"


_KINDS = {"user": "human", "model": "ai", "tool": "tool"}


class Digest:
    """A rolling digest of messages: who spoke, what was said, calls, results and order.

    It does not see ids of messages, authors' names, usage, or whether a text came as one or in pieces.
    """

    __slots__ = ("_hash",)

    def __init__(self) -> None:
        self._hash = hashlib.sha256(b"%d" % VERSION)

    def add(self, message: Message) -> None:
        """Takes in the next message."""
        role, content, form = message.role, message.content, "text"
        if not isinstance(content, str):
            content, form = _canonical(content)
        # Form and length, so that nothing can be mistaken for another split of the same characters.
        row = f"\n{role} {form} {len(content)} {content}"
        if message.calls:
            row += _dump(message.calls)
        if role == "tool":
            row += f"{message.is_error} {message.call_id}"
        self._hash.update(row.encode("utf-8", "surrogatepass"))

    def copy(self) -> Digest:
        """The same digest, to go on with another history."""
        other = Digest.__new__(Digest)
        other._hash = self._hash.copy()
        return other

    @property
    def value(self) -> str:
        """The digest of all messages so far."""
        return self._hash.hexdigest()[:32]


def _canonical(parts: Sequence[Part]) -> tuple[str, str]:
    """The parts as one text and its form, adjacent texts joined: "x" and [{"type": "text", "text": "x"}] are the same."""
    said: list[Any] = []
    for part in parts:
        if isinstance(part, Refused):
            said.append(part.raw)
        elif part.get("type") != "text":
            said.append(part)
        elif said and isinstance(said[-1], str):
            said[-1] += part["text"]
        elif part["text"]:
            said.append(part["text"])
    if len(said) > 1 or (said and not isinstance(said[0], str)):
        return _dump(said), "parts"
    return "".join(said), "text"


_dump = json.JSONEncoder(sort_keys=True, default=repr, separators=(",", ":")).encode
