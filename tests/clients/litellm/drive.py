"""Drives a running service with litellm, a client of this API of its own, and prints what it saw as one JSON object.

Runs in the environment of this folder: `python drive.py URL`. What it prints is judged by the test that starts it.
"""

from __future__ import annotations

import json
import os
import sys
import warnings

warnings.filterwarnings("ignore")
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch a list of prices from the network

import litellm  # noqa: E402

litellm.suppress_debug_info = True
MODEL = "gemini/gemini-3.8-flash"


def wire(value):
    """A thing of litellm's as plain data."""
    return value if isinstance(value, dict) else value.model_dump(exclude_none=True)


def main(url: str) -> None:
    place = {"api_base": url, "api_key": "the-key"}
    first = litellm.interactions.create(model=MODEL, input="The budget is 500.", **place)
    second = wire(
        litellm.interactions.create(
            model=MODEL, input="What did I say the budget is?", previous_interaction_id=first.id, **place
        )
    )
    events = [
        wire(event) for event in litellm.interactions.create(model=MODEL, input="Hello there.", stream=True, **place)
    ]
    got = wire(litellm.interactions.get(interaction_id=first.id, custom_llm_provider="gemini", **place))
    started = litellm.interactions.create(
        agent="deep-research-preview-04-2026",
        input="Compare two rivers.",
        background=True,
        custom_llm_provider="gemini",
        **place,
    )
    litellm.interactions.delete(interaction_id=first.id, custom_llm_provider="gemini", **place)
    try:
        litellm.interactions.get(interaction_id=first.id, custom_llm_provider="gemini", **place)
        gone = 200
    except Exception as error:  # whatever class litellm has for it
        gone = getattr(error, "status_code", type(error).__name__)
    print(
        json.dumps(
            {
                "first": wire(first),
                "second": second,
                "events": events,
                "got": got,
                "started": wire(started),
                "gone": gone,
            },
            default=str,
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
