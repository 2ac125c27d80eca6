"""Claude and GPT as their real LangChain packages speak, against a stand-in on this machine that says what it is told to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

__all__ = ["Vendors"]

_KEY = SecretStr("key")


@dataclass
class Vendors:
    """The stand-in: `app` to serve; what it was sent; the texts or calls (as arguments of `get_weather`) that it says next."""

    says: list[str | dict[str, Any]]
    sent: list[dict[str, Any]] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        """Anthropic's Messages and OpenAI's Responses, unstreamed."""
        routes = [
            Route("/v1/messages", self._messages, methods=["POST"]),
            Route("/responses", self._responses, methods=["POST"]),
        ]
        return Starlette(routes=routes)

    @staticmethod
    def claude(url: str) -> ChatAnthropic:
        """Claude, thinking."""
        return ChatAnthropic(model="claude-9", base_url=url, api_key=_KEY, timeout=20)

    @staticmethod
    def gpt(url: str) -> ChatOpenAI:
        """GPT over Responses, with encrypted reasoning."""
        return ChatOpenAI(model="gpt-9", base_url=url, api_key=_KEY, use_responses_api=True, timeout=20)

    async def _next(self, request: Request) -> tuple[int, str | dict[str, Any]]:
        self.sent.append(json.loads(await request.body()))
        return len(self.sent), self.says.pop(0)

    async def _messages(self, request: Request) -> JSONResponse:
        number, said = await self._next(request)
        block: dict[str, Any] = {"type": "text", "text": said}
        if isinstance(said, dict):
            block = {"type": "tool_use", "id": f"toolu_{number}", "name": "get_weather", "input": said}
        thinking = {"type": "thinking", "thinking": "SECRET thought", "signature": "SECRET-signature"}
        return JSONResponse(
            {
                "id": f"msg_{number}",
                "type": "message",
                "role": "assistant",
                "model": "claude-9",
                "content": [thinking, block],
                "stop_reason": "tool_use" if isinstance(said, dict) else "end_turn",
                "stop_sequence": None,
                "usage": {"input_tokens": 1, "output_tokens": 2},
            }
        )

    async def _responses(self, request: Request) -> JSONResponse:
        number, said = await self._next(request)
        content: Any = [{"type": "output_text", "text": said, "annotations": []}]
        item = {
            "type": "message",
            "id": f"item_{number}",
            "role": "assistant",
            "status": "completed",
            "content": content,
        }
        if isinstance(said, dict):
            called = {"name": "get_weather", "arguments": json.dumps(said)}
            item = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", **called}
        reasoning = {"type": "reasoning", "id": f"rs_{number}", "summary": [], "encrypted_content": "SECRET-reasoning"}
        return JSONResponse(
            {
                "id": f"resp_{number}",
                "object": "response",
                "created_at": 1,
                "status": "completed",
                "model": "gpt-9",
                "output": [reasoning, item],
                "parallel_tool_calls": True,
                "tool_choice": "auto",
                "tools": [],
            }
        )
