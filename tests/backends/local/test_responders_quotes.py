"""The rule responder among other speakers: it keeps a question, and answers it from what they were quoted with."""

from __future__ import annotations

import pytest

from bridge.sessions import QUOTE_HEADER

from .asking import say, talk

pytestmark = pytest.mark.covers("local:rules:quotes")

KEEP = "An analyst will look into it. My question is: Which region sold the most?"
ANSWER = "Answer my question from what the analyst found."


def quoted(text: str, author: str = "analyst") -> dict[str, object]:
    return {
        "type": "user_input",
        "content": [{"type": "text", "text": f"{QUOTE_HEADER.format(author=author)}\n{text}"}],
    }


def spoken(text: str) -> dict[str, object]:
    return {"type": "user_input", "content": [{"type": "text", "text": text}]}


async def test_a_question_that_is_announced_is_kept() -> None:
    """It is not taken for one to answer now."""
    assert "I keep your question in mind: Which region sold the most?" in await say(KEEP)
    assert "I keep your question in mind: Keep my question" in await say("Keep my question for later.")


async def test_it_is_answered_from_the_lines_that_are_about_it() -> None:
    """With the author's name; lines about something else are left out."""
    found = "The file has 3 rows.\nSold by region: north 12.00, south 7.50.\nThe weather was fine."
    answer = await say([quoted(found), spoken(ANSWER)], await talk(KEEP))
    assert "You asked: Which region sold the most?" in answer
    assert "analyst found: Sold by region: north 12.00, south 7.50." in answer
    assert "weather" not in answer


async def test_of_several_speakers_the_one_who_said_most_about_it_is_told() -> None:
    """The latest of equals; who only repeats what was asked has told nothing."""
    quotes = [
        quoted("Sold by region: north 12.00."),
        quoted("The weather in the region was fine.", "poet"),
        quoted("Noted: Which region sold the most\nI can recall what was said, call declared functions", "echo"),
    ]
    assert "analyst found: Sold by region: north 12.00." in await say([*quotes, spoken(ANSWER)], await talk(KEEP))
    again = [*quotes, quoted("By region sold: north 12.00.", "writer"), spoken(ANSWER)]
    assert "writer found: By region sold: north 12.00." in await say(again, await talk(KEEP))


async def test_an_order_that_is_announced_as_a_question_is_one() -> None:
    """It ends in no question mark."""
    announced = "Plan it. My question is: Compare north and south."
    assert "I keep your question in mind: Compare north and south." in await say(announced)
    answer = await say([quoted("North: 12."), spoken(ANSWER)], await talk(announced))
    assert "You asked: Compare north and south." in answer


async def test_what_shares_no_word_with_the_question_is_told_from_its_start() -> None:
    """Also where no question was asked before, and where nothing was said at all."""
    history = await talk(KEEP)
    assert "analyst found: Nothing here." in await say([quoted("Nothing here."), spoken(ANSWER)], history)
    assert "analyst found: nothing." in await say([quoted(" "), spoken(ANSWER)], history)
    assert "You asked: What has the analyst found?" in await say([quoted("x"), spoken("What has the analyst found?")])


async def test_without_a_quotation_or_without_asking_for_it_other_rules_answer() -> None:
    """A quotation alone is no order."""
    assert "You asked" not in await say(ANSWER, await talk(KEEP))
    assert "analyst found" not in await say(
        [quoted("Sold by region: north 12."), spoken("Thank you.")], await talk(KEEP)
    )
