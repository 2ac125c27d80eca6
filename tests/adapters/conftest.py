"""The vendors' stand-ins as their tests reach them: over a socket, by the vendors' own SDKs and LangChain packages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import bridge_anthropic.testing
import bridge_openai.testing
import pytest
from anthropic import Anthropic
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from openai import OpenAI
from pydantic import SecretStr

from bridge.backends.local import Responder, ScriptedResponder
from bridge.backends.local.stand_ins import StandIn

KEY = "not-a-secret-but-looked-for"
SPEAKERS = ("claude", "gpt", "gpt-chat")


class Reached:
    """A stand-in on a socket, and clients of it."""

    def __init__(self, app: StandIn, url: str) -> None:
        self.app, self.url = app, url

    @property
    def bodies(self) -> list[Any]:
        return [sent.body for sent in self.app.requests]

    def anthropic(self) -> Anthropic:
        return Anthropic(base_url=self.url, api_key=KEY, timeout=20)

    def openai(self) -> OpenAI:
        return OpenAI(base_url=self.url, api_key=KEY, timeout=20)

    def chat(self, speaker: str, **settings: Any) -> BaseChatModel:
        if speaker == "claude":
            settings = {"model": "claude-9", **settings}
            return ChatAnthropic(base_url=self.url, api_key=SecretStr(KEY), timeout=20, **settings)
        settings = {"model": "gpt-9", **settings}
        return ChatOpenAI(
            base_url=self.url,
            api_key=SecretStr(KEY),
            timeout=20,
            use_responses_api=speaker == "gpt",
            # Asked for by itself only where the address is OpenAI's own.
            stream_usage=True,
            **settings,
        )


class Reach(Protocol):
    """Starts a stand-in of a vendor, with the turns it is to say or by its rules."""

    def __call__(self, vendor: str, *scripts: Any, responder: Responder | None = None) -> Reached: ...


@pytest.fixture
def reach() -> Iterator[Reach]:
    """Starts stand-ins, and ends them after the test."""
    with ExitStack() as stack:

        def start(vendor: str, *scripts: Any, responder: Responder | None = None) -> Reached:
            make = bridge_anthropic.testing if vendor in ("anthropic", "claude") else bridge_openai.testing
            app = make.stand_in(ScriptedResponder(scripts) if scripts else responder)
            return Reached(app, stack.enter_context(app.served()))

        yield start


def thought(text: str) -> dict[str, Any]:
    return {"type": "thought", "summary": [{"type": "text", "text": text}], "signature": "c2ln"}


def words(text: str) -> dict[str, Any]:
    return {"type": "model_output", "content": [{"type": "text", "text": text}]}


def call(name: str, id: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "function_call", "name": name, "id": id, "arguments": arguments}
