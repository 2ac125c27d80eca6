"""Five chat models of three vendors as their real packages make them, against a service of this machine that answers from `tests/data`."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bridge.backends.gemini import GeminiBackend
from bridge.connect import sync_backend
from bridge.langgraph import ChatInteractions
from tests.conftest import ROOT

__all__ = ["DATA", "QUIET", "SPEAKERS", "TARGETS", "Speakers", "history_after"]

DATA = ROOT / "tests" / "data" / "portable"
_KEY = SecretStr("key")
# What the packages say of the answers.
QUIET = pytest.mark.filterwarnings(
    "ignore:Pydantic serializer warnings:UserWarning", "ignore:\\s+Warning. Output may vary each run:UserWarning"
)
# What each takes as its target.
TARGETS = {
    "claude": "anthropic",
    "responses": "openai",
    "chat": "openai-chat",
    "genai": None,
    "interactions": "interactions",
}
SPEAKERS = [*TARGETS]
_PATHS = {
    "claude": "/v1/messages",
    "responses": "/responses",
    "chat": "/chat/completions",
    "genai": "/v1beta/models/{model:path}",
    "interactions": "/{version}/interactions",
}


@dataclass
class Speakers:
    """The service: `app` to serve, and what it was sent, by speaker. What its models open is closed with `opened`."""

    opened: ExitStack
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    backends: list[GeminiBackend] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        """Every vendor's API, at the path that its package asks for."""
        return Starlette(routes=[Route(path, self._answer(name), methods=["POST"]) for name, path in _PATHS.items()])

    def model(self, name: str, url: str, **settings: Any) -> BaseChatModel:
        """The chat model of that name."""
        match name:
            case "claude":
                return ChatAnthropic(model="claude-9", base_url=url, api_key=_KEY, timeout=20, **settings)
            case "responses" | "chat":
                to = {"base_url": url, "api_key": _KEY, "timeout": 20, "use_responses_api": name == "responses"}
                return ChatOpenAI(model="gpt-9", **to, **settings)
            case "genai":
                return ChatGoogleGenerativeAI(model="gemini-9", base_url=url, api_key=_KEY, **settings)
        backend = GeminiBackend("key", base_url=url, retries=0)
        self.backends.append(backend)
        self.opened.callback(lambda: sync_backend(backend).close())
        return ChatInteractions(model="gemini-9", backend=backend, **settings)

    def _answer(self, name: str) -> Any:
        async def answer(request: Request) -> JSONResponse:
            self.sent.append((name, json.loads(await request.body())))
            said = json.loads((DATA / f"{name}.json").read_text())
            if name == "interactions":
                said["id"] = f"v1_{len(self.sent)}"
            return JSONResponse(said)

        return answer


def history_after(answer: AIMessage) -> list[BaseMessage]:
    """A conversation in which the answer stands, its calls have results, and the user goes on."""
    calls = [*answer.tool_calls, *answer.invalid_tool_calls]
    results = [ToolMessage(f"Sunny, says call {n}.", tool_call_id=str(call["id"])) for n, call in enumerate(calls)]
    return [HumanMessage("When is high tide?"), answer, *results, HumanMessage("And the day after?")]
