"""LangChain's own suite for chat models, by the vendors' packages against their stand-ins.

It is the stand-ins that are tested: whatever the packages send them in it is taken, and what comes back is what the packages expect. The
suite's pictures and documents come from here, not from the internet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

import bridge_anthropic.testing
import bridge_openai.testing
import httpx
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from tests.langgraph.test_standard import MEDIA

from .conftest import KEY, SPEAKERS, Reached

# What the packages themselves say of requests of the suite; each is answered all the same.
pytestmark = [
    pytest.mark.filterwarnings("ignore:OpenAI may require a filename:UserWarning"),
    pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema:UserWarning"),
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning"),
]


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, Reached]]:
    """One stand-in of each vendor for the whole suite."""
    with ExitStack() as stack:
        apps = [bridge_anthropic.testing.stand_in(), *(bridge_openai.testing.stand_in() for _ in SPEAKERS[1:])]
        yield {
            speaker: Reached(app, stack.enter_context(app.served()))
            for speaker, app in zip(SPEAKERS, apps, strict=True)
        }


@pytest.fixture(autouse=True)
def _media_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the suite would download."""

    def get(url: str, **_: Any) -> httpx.Response:
        return httpx.Response(200, content=MEDIA[url.rpartition(".")[2].lower()])

    monkeypatch.setattr(httpx, "get", get)
    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "not used: nothing is fetched")


class Suite(ChatModelIntegrationTests):
    """What the three have in common."""

    speaker: ClassVar[str]
    reasoning: ClassVar[dict[str, Any]]
    service: Reached

    @pytest.fixture(autouse=True)
    def _reach(self, services: dict[str, Reached]) -> None:
        type(self).service = services[self.speaker]

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatAnthropic if self.speaker == "claude" else ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        api = {} if self.speaker == "claude" else {"use_responses_api": self.speaker == "gpt", "stream_usage": True}
        return {"model": "some-9", "base_url": self.service.url, "api_key": KEY, **api}

    @pytest.fixture
    def model(self, request: Any, _reach: None) -> BaseChatModel:
        """A model over the service; the suite's own fixture asks for its parameters before the service is there."""
        more = getattr(request, "param", None) or {}
        return self.chat_model_class(**{**self.standard_chat_model_params, **self.chat_model_params, **more})

    supports_image_inputs = True
    supports_image_urls = True
    supports_pdf_inputs = True
    supports_model_override = True
    model_override_value = "other-9"

    @property
    def supported_usage_metadata_details(self) -> Any:
        return {"invoke": ["reasoning_output"], "stream": ["reasoning_output"]}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        model = self.chat_model_class(**self.chat_model_params, **self.reasoning)
        if not stream:
            return model.invoke("Think, then answer.")
        whole: AIMessageChunk | None = None
        for chunk in model.stream("Think, then answer."):
            whole = chunk if whole is None else whole + chunk
        assert whole is not None
        return whole


@pytest.mark.covers("vendors:standard")
class TestClaude(Suite):
    """ChatAnthropic."""

    speaker = "claude"
    supports_image_tool_message = True
    supports_pdf_tool_message = True
    # The suite's thinking is signed by the real service: a stand-in does not know the signature, as the real one does not know its own.
    supports_anthropic_inputs = False

    @property
    def supported_usage_metadata_details(self) -> Any:
        return {"invoke": [], "stream": []}


@pytest.mark.covers("vendors:standard")
class TestGpt(Suite):
    """ChatOpenAI over Responses."""

    speaker = "gpt"
    reasoning = {"reasoning": {"effort": "low"}}
    supports_json_mode = True
    supports_image_tool_message = True
    supports_pdf_tool_message = True


@pytest.mark.covers("vendors:standard")
class TestGptChat(Suite):
    """ChatOpenAI over Chat Completions."""

    speaker = "gpt-chat"
    reasoning = {"reasoning_effort": "low"}
    supports_json_mode = True
    supports_audio_inputs = True
