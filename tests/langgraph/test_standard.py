"""LangChain's own suite for chat models, against the embedded service, in this process and over HTTP.

The suite fetches its picture, its PDF and its sound from the internet; here tiny ones stand in for them. What is skipped, and why,
stands in the manifest.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from bridge.backends.local import LocalBackend
from bridge.langgraph import ChatInteractions

from .conftest import Service, reached

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PDF = b"%PDF-1.1\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
WAV = b"RIFF\x26\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data\x02\x00\x00\x00\x80\x80"
MEDIA = {"png": PNG, "pdf": PDF, "wav": WAV, "jpg": PNG, "jpeg": PNG}


@pytest.mark.covers("langgraph:standard:unit")
class TestUnit(ChatModelUnitTests):
    """The tests that need no service."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatInteractions

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "gemini-3.8-flash", "api_key": "key", "base_url": "http://127.0.0.1:9"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"GEMINI_API_KEY": "secret"}, {"model": "gemini-3.8-flash"}, {"api_key": "secret"}


@pytest.fixture(scope="module", params=["local", "http"])
def reachable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the whole suite."""
    with reached(request.param, LocalBackend(tmp_path_factory.mktemp("service"))) as service:
        yield service


@pytest.fixture(autouse=True)
def _media_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the suite would download."""

    def get(url: str, **_: Any) -> httpx.Response:
        return httpx.Response(200, content=MEDIA[url.rpartition(".")[2].lower()])

    monkeypatch.setattr(httpx, "get", get)
    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "not used: nothing is fetched")


@pytest.mark.covers("langgraph:standard:integration")
class TestIntegration(ChatModelIntegrationTests):
    """The tests that ask the model."""

    service: Service

    @pytest.fixture(autouse=True)
    def _reach(self, reachable: Service) -> None:
        type(self).service = reachable

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatInteractions

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "gemini-3.8-flash", "backend": self.service.backend, "thinking_summaries": "auto"}

    @pytest.fixture
    def model(self, request: Any, _reach: None) -> BaseChatModel:
        """A model over the service; the suite's own fixture asks for its parameters before the service is there."""
        more = getattr(request, "param", None) or {}
        return self.chat_model_class(**{**self.standard_chat_model_params, **self.chat_model_params, **more})

    supports_json_mode = True
    supports_image_inputs = True
    supports_image_urls = True
    supports_image_tool_message = True
    supports_pdf_inputs = True
    supports_pdf_tool_message = True
    supports_audio_inputs = True
    supports_video_inputs = True
    supports_anthropic_inputs = True
    supports_model_override = True
    model_override_value = "gemini-other"

    @property
    def supported_usage_metadata_details(self) -> Any:
        details = ["reasoning_output", "cache_read_input"]
        return {"invoke": details, "stream": details}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        model = ChatInteractions(**self.chat_model_params)
        if not stream:
            return model.invoke("Think, then answer.")
        whole: AIMessageChunk | None = None
        for chunk in model.stream("Think, then answer."):
            whole = chunk if whole is None else whole + chunk
        assert whole is not None
        return whole

    invoke_with_cache_read_input = invoke_with_reasoning_output
