"""What others said: a question kept for later, and an answer from what was quoted since.

A conversation with several speakers sends what the others said as quotations, each under a header that names its author. The answer
is taken from the lines that share most words with the question, the latest speaker's of equals; nothing is inferred.
"""

from __future__ import annotations

import re

from bridge.interactions import UserInput

from .answers import ABILITIES, NO_ANSWER, NOTE, NOTED, spoken
from .situation import Plan, Situation, said
from .words import asks, content_words, sentences, shorten

__all__ = ["HEADER", "answer_from_quotes", "keep_question"]

HEADER = re.compile(r"\A\[Quoted: (.{1,200}?) said this in the same conversation\b[^\n]{0,200}\]\n")
"""How a client of several speakers begins what another one said."""

_ANSWER = re.compile(r"\banswer\b.{0,80}\b(?:question|asked)\b|\bwhat\b.{0,80}\bfound\b", re.IGNORECASE)
_KEEP = re.compile(r"\b(?:my|this) question is\b|\bkeep (?:my|this) question\b", re.IGNORECASE)
_ANNOUNCED = re.compile(r"\b(?:my|this) question is\b\W*", re.IGNORECASE)
_NO_SOURCE = (NOTE, NOTED, NO_ANSWER, ABILITIES)
_MOST_LINES = 3


def keep_question(situation: Situation) -> Plan | None:
    """Notes a question that is announced and not yet asked; None for any other prompt."""
    if not _KEEP.search(situation.prompt):
        return None
    question = _question([situation.prompt])
    return Plan(
        thought="A question to keep in mind.",
        steps=[spoken(f"I keep your question in mind: {shorten(question or situation.prompt, 1_000)}")],
    )


def answer_from_quotes(situation: Situation) -> Plan | None:
    """Answers the user's earlier question from what others said; None where nobody was quoted or nothing of it was asked."""
    quotes = [
        (match[1], _lines(text[match.end() :]))
        for text in said(situation.conversation, UserInput)
        if (match := HEADER.match(text))
    ]
    if not quotes or not _ANSWER.search(situation.prompt):
        return None
    own = [text for text in said(situation.earlier, UserInput) if not HEADER.match(text)]
    question = _question(own) or situation.prompt
    topic = content_words(question)
    rated = [(author, lines, [len(content_words(line) & topic) for line in lines]) for author, lines in quotes]
    author, lines, shared = max(reversed(rated), key=lambda quote: max(quote[2], default=-1))
    best = [line for line, count in zip(lines, shared, strict=True) if count and count == max(shared)]
    told = best[:_MOST_LINES] or lines[:_MOST_LINES] or ["nothing."]
    answer = [
        f"You asked: {shorten(question, 1_000)}",
        f"{author} found: " + "\n".join(shorten(line, 4_000) for line in told),
    ]
    return Plan(thought="What was quoted has the answer.", steps=[spoken(*answer)])


def _question(texts: list[str]) -> str | None:
    """The last sentence that asks something, without the words that announce it; else what is announced as a question."""
    for text in reversed(texts):
        for sentence in reversed(list(sentences(text))):
            if asks(sentence):
                return re.sub(r"\A.{0,80}\bquestion\b(?: is)?\W+", "", sentence, flags=re.IGNORECASE)
    announced = (text[match.end() :] for text in reversed(texts) if (match := _ANNOUNCED.search(text)))
    return next(filter(None, announced), None)


def _lines(text: str) -> list[str]:
    """The lines that tell something."""
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith(_NO_SOURCE)]
