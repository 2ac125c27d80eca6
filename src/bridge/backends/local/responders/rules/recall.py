"""Memory: answers from what was said earlier in the conversation, as the server holds it.

A question is answered with the earlier sentence that shares most words with it, the latest of equals. Nothing is inferred.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bridge.interactions import ModelOutput, UserInput

from .answers import ABILITIES, NO_ANSWER, NOTE, NOTED, described, spoken
from .quotes import HEADER
from .situation import Plan, Situation, said
from .words import asks, content_words, orders, sentences, shorten, singular, words

__all__ = ["I_SAID", "acknowledge", "answer_about_talk", "answer_from_memory", "was_told"]

_FIRST = re.compile(r"\b(?:first|at the (?:start|beginning))\b", re.IGNORECASE)
_LAST = re.compile(r"\b(?:last|just|before|previously|so far)\b", re.IGNORECASE)
I_SAID = re.compile(
    r"\b(?:(?:did|have|had) i (?:just )?(?:say|said|tell|told|ask|asked|write|written)|i (?:just )?(?:said|told you|asked)"
    r"|my (?:first|last|previous) (?:message|question|words))\b",
    re.IGNORECASE,
)
"""A question about the user's own words."""
_YOU_SAID = re.compile(
    r"\b(?:did you (?:just )?(?:say|answer|tell)|you (?:just )?(?:said|answered|told)|your (?:first|last|previous) (?:answer|reply|message))\b",
    re.IGNORECASE,
)
_REPEAT = re.compile(r"^\W*(?:please )?(?:repeat|say (?:that|it) again)\b", re.IGNORECASE)
_SUMMARY = re.compile(
    r"\b(?:summari[sz]e|summary of|recap)\b.{0,40}\b(?:conversation|chat|talk|discussion|we|said)\b", re.IGNORECASE
)
_SELF = re.compile(r"\b(?:i am|i'm|call me|my name's)\s", re.IGNORECASE)
_WHO_AM_I = re.compile(r"\bwho am i\b", re.IGNORECASE)
_GREETING = re.compile(r"\W*(?:hello|hi|hey|good (?:morning|afternoon|evening))\b[^.?\n]{0,30}$", re.IGNORECASE)
# How answers begin that tell nothing new: they are no source for another.
_ECHOES = (NOTE, NOTED, NO_ANSWER, ABILITIES, "You ", "I said", "I last said", "I first said")
_MAX_SEARCHED = 200_000  # characters of the conversation, the latest
_MAX_QUOTED = 3  # equally good sentences of one text


@dataclass(frozen=True)
class _Unit:
    """A sentence of the user's, or a line of an answer or a document: who said it, in which text, and what it is about."""

    text: str
    speaker: str
    topic: frozenset[str]
    source: int


def answer_about_talk(situation: Situation) -> Plan | None:
    """Answers what is asked of the conversation itself: "What did I say ...", "repeat", "summarise our conversation"."""
    answer = _about_talk(situation)
    return _remembered(answer) if answer else None


def answer_from_memory(situation: Situation) -> Plan | None:
    """Answers a question with the earlier words that fit it best; None where nothing fits."""
    question = _question(situation)
    best = _best(situation, question) if question else []
    return _remembered(_quoted(best)) if best else None


def was_told(situation: Situation) -> bool:
    """Whether the user has said something with every word of the question."""
    topic = _topic(situation.prompt)
    return bool(topic and _best(situation, situation.prompt, "You said", len(topic)))


def acknowledge(situation: Situation) -> Plan:
    """What is left to say: that something was noted, or that there is no answer."""
    prompt = situation.prompt
    received = described(situation.parts)
    lines = [f"I received {', '.join(received)}."] if received else []
    question = _question(situation)
    stated = " ".join(sentence for sentence in sentences(prompt) if not asks(sentence))
    if _GREETING.match(prompt):
        lines.append("Hello.")
    elif stated:
        lines.append(f"{NOTED}{shorten(stated)}")
    if question:
        lines.append(f"{NO_ANSWER}{shorten(question)}")
    if question or orders(stated) or not lines:
        lines.append(ABILITIES)
    return Plan(thought="There is no answer yet." if question else "Something to remember.", steps=[spoken(*lines)])


def _remembered(answer: str) -> Plan:
    return Plan(thought="The conversation so far has the answer.", steps=[spoken(answer)])


def _question(situation: Situation) -> str:
    """The last thing the prompt asks; empty where it asks nothing."""
    return next((sentence for sentence in reversed([*sentences(situation.prompt)]) if asks(sentence)), "")


def _about_talk(situation: Situation) -> str | None:
    """The conversation itself: its first and last words, a summary, the last answer again."""
    prompt = situation.prompt
    mine = list(said(situation.earlier, UserInput))
    yours = [text.removesuffix(NOTE).strip() for text in said(situation.earlier, ModelOutput)]
    if _SUMMARY.search(prompt):
        first = max(0, len(mine) - 50)
        told = [f"{number}. You said: {shorten(text, 200)}" for number, text in enumerate(mine[first:], first + 1)]
        return "\n".join([f"You have said {len(mine)} things.", *told]) if mine else "This conversation has only begun."
    if _REPEAT.search(prompt):
        return f"I last said: {yours[-1]}" if yours else "I have not said anything yet."
    by_user = I_SAID.search(prompt)
    if not asks(prompt) or not (by_user or _YOU_SAID.search(prompt)):
        return None
    texts, speaker = (mine, "You") if by_user else (yours, "I")
    if not texts:
        return f"{speaker} have not said anything before this."
    if _FIRST.search(prompt):
        return f'{speaker} first said: "{shorten(texts[0], 1_000)}"'
    best = _best(situation, prompt, f"{speaker} said", least=1)
    if best:
        return _quoted(best)
    if _LAST.search(prompt) or not _topic(prompt):
        return f'{speaker} last said: "{shorten(texts[-1], 1_000)}"'
    return f"{speaker} have not said anything about that in this conversation."


def _best(situation: Situation, question: str, speaker: str | None = None, least: int = 0) -> list[_Unit]:
    """The sentences that share most words with a question, a third of them at least.

    Of equals those with its first word, then those that are not this responder's own answers, then the latest.
    """
    topic = _topic(question)
    subject = next((word for word in map(singular, words(question)) if word in topic), "")
    least = least or max(1, len(topic) // 3)
    scored = [
        ((len(unit.topic & topic), subject in unit.topic, unit.speaker != "I said", unit.source), unit)
        for unit in _units(situation)
        if speaker in (None, unit.speaker)
    ]
    top = max((score for score, _ in scored), default=None)
    if top is None or top[0] < least:
        return []
    return [unit for score, unit in scored if score == top][:_MAX_QUOTED]


def _units(situation: Situation) -> Iterator[_Unit]:
    """What the conversation holds, the latest first, and what the prompt says beside its question."""
    room = _MAX_SEARCHED
    own = [sentence for sentence in sentences(situation.prompt) if not asks(sentence)]
    yield from (_Unit(sentence, "You said", _topic(sentence), len(situation.earlier)) for sentence in own)
    for source, step in reversed([*enumerate(situation.earlier)]):
        for text in [*said([step], UserInput), *said([step], ModelOutput)]:
            speaker, parts = _parts(text[:room], isinstance(step, UserInput))
            yield from (_Unit(part, speaker, _topic(part), source) for part in parts)
            room -= len(text)
        if room <= 0:
            return


def _parts(text: str, by_user: bool) -> tuple[str, list[str]]:
    """Who says a text, and its parts that state something: sentences, or the lines of an answer or a document."""
    lines = [line.strip() for line in text.splitlines() if line.strip() not in ("", NOTE)]
    if not by_user:
        return "I said", [line for line in lines if not line.startswith(_ECHOES)]
    header = HEADER.match(text)
    if header:
        return f"{header[1]} said", lines[1:]
    if len(lines) > 1:
        return "You gave me this", [line for line in lines if not line.endswith("?")]
    return "You said", [sentence for sentence in sentences(text) if not asks(sentence)]


def _topic(text: str) -> frozenset[str]:
    about = content_words(text)
    if _SELF.search(text) or _WHO_AM_I.search(text):
        about.add("name")
    return frozenset(about)


def _quoted(units: list[_Unit]) -> str:
    return f"{units[0].speaker}: " + "\n".join(shorten(unit.text, 2_000) for unit in units)
