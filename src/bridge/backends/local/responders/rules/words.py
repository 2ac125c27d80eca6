"""Words of a prompt: what it talks about, whether it asks, and where its sentences end.

English heuristics over plain text, in time linear in its length. What follows from them is left to the rules beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = [
    "BOUND",
    "asks",
    "content_words",
    "is_request",
    "name_words",
    "orders",
    "sentences",
    "shorten",
    "singular",
    "window",
    "word_set",
    "words",
]

BOUND = 20_000
"""Characters of a prompt that the rules look at closely: half from its start, half from its end."""


def word_set(text: str) -> frozenset[str]:
    """The words of a list written as one text."""
    return frozenset(text.split())


_STOP = word_set(
    """
    a about actually after again all also am an and any are as ask asked at be been before being but by can could d
    did do does done earlier everything exactly for from had has have hello her here hi him his how i if in into is it
    its just know let like ll m made make me mean mentioned mine much my need now of off ok okay on once one only or
    our ours out over please re recall remember remind s said say says shall she should so some something still such t
    tell than thank thanks that the their them then there these they thing think this those to told too under up us
    use using ve very want was we were what whats when where which while who whom whose why will with would yes you
    your yours
    """
)
_ASKING = word_set(
    """
    am are can could did do does give has have how is list recall remind repeat shall should show summarise summarize
    tell was were what whats when where which who whom whose why will would
    """
)
# How a statement begins; anything else that is not a question asks for something to be done.
_STATING = word_set(
    """
    a an bye he hello her hey hi his i im it its my no note ok okay our she thank thanks that the their there these
    they this those we well yes you your
    remember suppose assume
    """
)
_ORDERING = word_set(
    """
    add analyse analyze answer apply book build buy call calculate check clean compare compose compute convert count create delete
    describe design do download draft execute explain extract fetch find fix generate get implement improve install invoke look
    make move name open order plan prepare print produce profile put read refactor rename replace report research review run
    save search send set solve sort start store summarise summarize test translate update use write
    """
)
_VERBS = word_set("am are had has have is likes lives was were will works")
_POLITE = word_set("and kindly now please so then")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n+")


def singular(word: str) -> str:
    """A lower-case English word without its plural ending."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "ches", "shes", "xes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        return word[:-1]
    return word


def words(text: str) -> list[str]:
    """All words, lower-case, in order, without possessive endings."""
    found = (match.group().lower().replace("’", "'") for match in _WORD.finditer(text))
    return [word.split("'")[0] if "'" in word else word for word in found]


def content_words(text: str) -> set[str]:
    """What a text talks about: its words in the singular, without the ones every text has."""
    return {singular(word) for word in words(text) if word not in _STOP}


def name_words(name: str) -> list[str]:
    """The words of an identifier: `getUserName`, `get_user_name` and `get-user-name` are the same three."""
    return words(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " "))


def sentences(text: str) -> Iterator[str]:
    """The sentences and lines of a text, stripped, without empty ones. "12.50" is not torn apart."""
    for part in _SENTENCE_END.split(text):
        if part.strip():
            yield part.strip()


def asks(text: str) -> bool:
    """Whether a text is, or ends in, a question."""
    *_, last = [*sentences(text)] or [""]
    return "?" in last or _first(words(last)) in _ASKING


def orders(text: str) -> bool:
    """Whether a text tells to do something, by its first word."""
    return any(_first(words(sentence)) in _ORDERING for sentence in sentences(text))


def is_request(text: str) -> bool:
    """Whether a text asks for something: a question, an order, or a few words that state nothing ("weather in Oslo")."""
    return asks(text) or orders(text) or any(_states_nothing(words(sentence)) for sentence in sentences(text))


def _states_nothing(found: list[str]) -> bool:
    first = _first(found)
    return bool(first) and first not in _STATING and not _VERBS.intersection(found[1:5])


def _first(found: list[str]) -> str:
    return next((word for word in found if word not in _POLITE), "")


def window(text: str) -> str:
    """The part of a text that the rules look at: all of a usual one, the first and last of a very long one."""
    if len(text) <= BOUND:
        return text
    return f"{text[: BOUND // 2]}\n{text[-BOUND // 2 :]}"


def shorten(text: str, limit: int = 300) -> str:
    """A text cut to `limit` characters, with a mark where something is missing."""
    if len(text) <= limit:
        return text
    return f"{text[:limit].rstrip()} ... (cut: {len(text)} characters)"
