"""Memory: answers from what was said earlier in the conversation, as the server holds it.

A question is answered with the earlier sentence that shares most words with it, the latest of equals. Nothing is inferred.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bridge.interactions import ModelOutput, UserInput

from .answers import NOTE, described, spoken
from .situation import Plan, Situation, said
from .words import asks, content_words, sentences, shorten

__all__ = ["acknowledge", "answer_from_memory"]

_FIRST = re.compile(r"\b(?:first|at the (?:start|beginning))\b", re.IGNORECASE)
_LAST = re.compile(r"\b(?:last|just|before|previously|so far)\b", re.IGNORECASE)
_I_SAID = re.compile(
    r"\b(?:(?:did|have|had) i (?:just )?(?:say|said|tell|told|ask|asked|write|written)|i (?:just )?(?:said|told you|asked)"
    r"|my (?:first|last|previous) (?:message|question|words))\b",
    re.IGNORECASE,
)
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
_MAX_UNITS = 20_000  # sentences searched, the latest
_MAX_QUOTED = 3  # equally good ones of one text


@dataclass(frozen=True)
class _Unit:
    """A sentence of the user's or a line of an answer, with what it is about."""

    text: str
    by_user: bool
    topic: frozenset[str]
    source: int


def answer_from_memory(situation: Situation) -> Plan | None:
    """Answers a question about the conversation; None where the prompt asks nothing the conversation knows."""
    prompt = situation.prompt
    answer = _about_talk(situation) if prompt else None
    if answer is None and asks(prompt):
        answer = _quoted(_best(situation))
    if answer is None:
        return None
    return Plan(thought="The conversation so far has the answer.", steps=[spoken(answer)])


def acknowledge(situation: Situation) -> Plan:
    """What is left to say: that something was noted, or that there is no answer."""
    prompt = situation.prompt
    received = described(situation.parts)
    lines = [f"I received {', '.join(received)}."] if received else []
    if asks(prompt):
        lines.append(
            "I know nothing about that from this conversation. I can recall what was said, call declared functions, fill JSON "
            "schemas and run Python (with the code_execution tool); a real model can do the rest."
        )
        thought = "Nothing in the conversation answers this."
    else:
        lines.append(f"Noted: {shorten(prompt)}" if prompt else "")
        thought = "A statement to remember."
    if not any(lines):
        lines = ["The request has no words to answer."]
    return Plan(thought=thought, steps=[spoken(*lines)])


def _about_talk(situation: Situation) -> str | None:
    """The conversation itself: its first and last words, a summary, the last answer again."""
    prompt = situation.prompt
    mine = list(said(situation.earlier, UserInput))
    yours = [text.removesuffix(NOTE).strip() for text in said(situation.earlier, ModelOutput)]
    if _SUMMARY.search(prompt):
        told = [
            f"{number}. You said: {shorten(text, 200)}"
            for number, text in enumerate(mine[-50:], max(1, len(mine) - 49))
        ]
        return "\n".join([f"You have said {len(mine)} things.", *told]) if mine else "This conversation has only begun."
    if _REPEAT.search(prompt):
        return yours[-1] if yours else "I have not said anything yet."
    by_user = _I_SAID.search(prompt)
    if not by_user and not _YOU_SAID.search(prompt):
        return None
    texts, speaker = (mine, "You") if by_user else (yours, "I")
    if not texts:
        return f"{speaker} have not said anything before this."
    if _FIRST.search(prompt):
        return f'{speaker} first said: "{shorten(texts[0], 1_000)}"'
    best = _best(situation, by_user=bool(by_user))
    if best:
        return _quoted(best)
    if _LAST.search(prompt) or not _topic(prompt):
        return f'{speaker} last said: "{shorten(texts[-1], 1_000)}"'
    return f"{speaker} have not said anything about that in this conversation."


def _best(situation: Situation, by_user: bool | None = None) -> list[_Unit]:
    """The sentences that share most words with the question: of the latest text, and the user's own before answers."""
    topic = _topic(situation.prompt)
    units = [unit for unit in _units(situation) if by_user is None or unit.by_user == by_user]
    scored = [(len(unit.topic & topic), unit.by_user, unit.source, unit) for unit in units[-_MAX_UNITS:]]
    top = max((score[:3] for score in scored), default=(0, False, 0))
    if not top[0]:
        return []
    return [unit for *score, unit in scored if tuple(score) == top][-_MAX_QUOTED:]


def _units(situation: Situation) -> Iterator[_Unit]:
    for source, step in enumerate([*situation.earlier]):
        for text in said([step], UserInput):
            yield from (
                _Unit(sentence, True, _topic(sentence), source) for sentence in sentences(text) if not asks(sentence)
            )
        for text in said([step], ModelOutput):
            lines = text.removesuffix(NOTE).splitlines()
            yield from (_Unit(line.strip(), False, _topic(line), source) for line in lines if line.strip())
    for sentence in sentences(situation.prompt):
        if not asks(sentence):
            yield _Unit(sentence, True, _topic(sentence), len(situation.earlier))


def _topic(text: str) -> frozenset[str]:
    about = content_words(text)
    if _SELF.search(text) or _WHO_AM_I.search(text):
        about.add("name")
    return frozenset(about)


def _quoted(units: list[_Unit]) -> str | None:
    if not units:
        return None
    speaker = "You said" if units[0].by_user else "I said"
    return f"{speaker}: " + "\n".join(shorten(unit.text, 2_000) for unit in units)
