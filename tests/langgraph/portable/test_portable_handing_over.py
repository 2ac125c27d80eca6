"""A graph in which one vendor's model speaks directly after another's, with no word of a user in between."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from bridge.langgraph import to_portable
from bridge.sessions import QUOTE_HEADER

QUESTION = HumanMessage("Plan it.")
QUOTE = HumanMessage(f"{QUOTE_HEADER.format(author='planner')}\nThe plan.")


def said(text: str, provider: str | None, **fields: Any) -> AIMessage:
    """An answer of a model of that vendor."""
    return AIMessage(text, response_metadata={"model_provider": provider} if provider else {}, **fields)


PLAN = said("The plan.", "google_interactions", name="planner")


@pytest.mark.covers("portable:handed-over")
@pytest.mark.parametrize("target", ["anthropic", "openai", "openai-chat", None])
def test_the_last_word_of_another_vendor_is_quoted_to_the_next(target: str | None) -> None:
    """Claude answers 400 to a conversation that ends with an assistant, and would go on with the words of another as if its own."""
    history = [QUESTION, PLAN]
    assert to_portable(history, target) == [QUESTION, QUOTE]
    assert to_portable([QUESTION, QUOTE], target) == [QUESTION, QUOTE]
    assert history == [QUESTION, PLAN]


@pytest.mark.covers("portable:handed-over")
def test_it_stays_a_quotation_once_the_next_has_answered() -> None:
    """So that each request begins as the one before it did; what a user has answered stays an answer."""
    review = said("Good.", "anthropic")
    assert to_portable([QUESTION, PLAN, review, QUESTION], "anthropic") == [QUESTION, QUOTE, review, QUESTION]
    assert to_portable([QUESTION, PLAN, QUESTION], "anthropic") == [QUESTION, PLAN, QUESTION]


@pytest.mark.covers("portable:handed-over")
def test_own_words_and_those_of_no_vendor_are_left_at_the_end() -> None:
    """They are the caller's beginning of an answer; and a call waits for its result."""
    for last in (said("Here is", "anthropic"), said("Here is", None)):
        assert to_portable([QUESTION, last], "anthropic") == [QUESTION, last]
    calls: Any = [{"name": "f", "args": {}, "id": "c1", "type": "tool_call"}]
    called = said("", "openai", tool_calls=calls)
    result = ToolMessage("r", tool_call_id="c1")
    assert to_portable([QUESTION, called], "anthropic") == [QUESTION, called]
    assert to_portable([QUESTION, called, result], "anthropic") == [QUESTION, called, result]
