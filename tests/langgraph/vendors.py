"""Three vendors' chat models as their real packages make them, each at a stand-in that says what a test tells it and keeps what it is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import bridge_anthropic.testing
import bridge_openai.testing
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from bridge.backends.local import LocalBackend, ScriptedResponder

from .conftest import reached

__all__ = ["SPEAKERS", "TARGETS", "Speaker", "call", "speaking", "thought", "words"]

# What each is to `to_portable`.
TARGETS = {"gemini": "interactions", "claude": "anthropic", "gpt": "openai", "gpt-chat": "openai-chat"}
SPEAKERS = [*TARGETS]
_KEY = SecretStr("key")


@dataclass
class Speaker:
    """A chat model; `responder` knows the turns it was asked for."""

    name: str
    model: BaseChatModel
    responder: ScriptedResponder
    _sent: Callable[[], list[Any]]

    @property
    def bodies(self) -> list[Any]:
        """What it was sent, request by request."""
        return self._sent()

    @property
    def target(self) -> str:
        """What it is to `to_portable`."""
        return TARGETS[self.name]


@asynccontextmanager
async def speaking(name: str, *scripts: Any) -> AsyncIterator[Speaker]:
    """The speaker of that name, who says these turns."""
    responder = ScriptedResponder(scripts)
    if name == "gemini":
        async with LocalBackend(responder=responder, test_controls=True) as local:
            with reached("http", local) as service:
                yield Speaker(name, service.chat(), responder, lambda: service.sent)
                await service.backend.aclose()
        return
    make = bridge_anthropic.testing if name == "claude" else bridge_openai.testing
    stand_in = make.stand_in(responder)
    async with stand_in.served() as url:
        if name == "claude":
            thinking = {"type": "adaptive"}
            model: BaseChatModel = ChatAnthropic(
                model="claude-9", base_url=url, api_key=_KEY, thinking=thinking, timeout=20, max_retries=0
            )
        else:
            reasoning: dict[str, Any] = {
                "use_responses_api": True,
                "reasoning": {"summary": "auto"},
                "include": ["reasoning.encrypted_content"],
            }
            model = ChatOpenAI(
                model="gpt-9",
                base_url=url,
                api_key=_KEY,
                timeout=20,
                max_retries=0,
                **(reasoning if name == "gpt" else {"use_responses_api": False}),
            )
        yield Speaker(name, model, responder, lambda: [sent.body for sent in stand_in.requests])


def thought(text: str) -> dict[str, Any]:
    """A step."""
    return {"type": "thought", "summary": [{"type": "text", "text": text}], "signature": "c2ln"}


def words(text: str) -> dict[str, Any]:
    """A step."""
    return {"type": "model_output", "content": [{"type": "text", "text": text}]}


def call(name: str, id: str, **arguments: Any) -> dict[str, Any]:
    """A step."""
    return {"type": "function_call", "name": name, "id": id, "arguments": arguments}
