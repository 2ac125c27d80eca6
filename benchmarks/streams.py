"""What a streamed token costs on its way through a graph to the caller of `stream_mode="messages"`, and as a protocol event.

The rows measure CPU of this process; each model streams the same text, all but the fake one from the same local server.
"""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ClassVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from langgraph.graph import MessagesState, StateGraph

from benchmarks.rounds import Row, ratio, rounds
from benchmarks.server import words
from bridge.langgraph import ChatInteractions

__all__ = ["tokens"]

_MODEL = "gemini-3.8-flash"


class Fake(BaseChatModel):
    """A chat model that does nothing but hand out its tokens."""

    texts: list[str]

    @property
    def _llm_type(self) -> str:
        return "fake"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for text in self.texts:
            yield ChatGenerationChunk(message=AIMessageChunk(content=text, id="run-1"))


class Bridged(ChatInteractions):
    """Ours without events of its own: LangChain makes them of the chunks."""

    _astream_chat_model_events: ClassVar[Any] = None


def _in_graph(model: BaseChatModel, expected: str) -> Callable[[], Awaitable[object]]:
    """One streamed turn of a graph that asks the model."""

    async def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node("ask", ask).set_entry_point("ask").compile()

    async def run() -> object:
        state = MessagesState(messages=[HumanMessage("hello")])
        parts: AsyncIterator[Any] = graph.astream(state, stream_mode="messages")
        texts = [message.text async for message, _ in parts]
        assert "".join(texts) == expected
        return texts

    return run


def _as_events(model: BaseChatModel, expected: str) -> Callable[[], Awaitable[object]]:
    """One turn of the model, told as events of the third protocol."""

    async def run() -> object:
        stream = await model.astream_events("hello", version="v3")
        seen = [event async for event in stream]
        assert await stream.text == expected
        return seen

    return run


async def tokens(url: str, deltas: int, count: int) -> list[Row]:
    """The rows, against the server of that URL with as many deltas."""
    texts = words(deltas)
    text = "".join(texts)
    key: Any = "benchmark"
    ours = ChatInteractions(model=_MODEL, api_key=key, base_url=url)
    gpt = ChatOpenAI(model="gpt-9", api_key=key, base_url=f"{url}/v1", use_responses_api=True)
    seen = await rounds(
        {
            "fake": (_in_graph(Fake(texts=texts), text), 2),
            "ours": (_in_graph(ours, text), 2),
            "google": (_in_graph(ChatGoogleGenerativeAI(model=_MODEL, api_key=key, base_url=url), text), 1),
            "openai": (_in_graph(gpt, text), 1),
            "events": (_as_events(ours, text), 2),
            "bridged": (_as_events(Bridged(model=_MODEL, api_key=key, base_url=url), text), 2),
        },
        count,
    )
    micro = {name: statistics.median(values) / deltas * 1e6 for name, values in seen.items()}

    def row(what: str, over: str, under: str, target: str, holds: Callable[[float], bool]) -> Row:
        measured = ratio(seen[over], seen[under])
        return Row(what, measured, target, holds(measured), f"{micro[over]:.0f} µs against {micro[under]:.0f} µs")

    token = 'token through stream_mode="messages", CPU:'
    return [
        row(f"{token} ours / a fake model that does nothing", "ours", "fake", "≤ 2", lambda x: x <= 2),
        row(f"{token} ChatGoogleGenerativeAI / ours", "google", "ours", "> 1", lambda x: x > 1),
        row(f"{token} ChatOpenAI (Responses) / ours", "openai", "ours", "> 1", lambda x: x > 1),
        row(
            "token as a v3 event, CPU: ours / ours by LangChain's bridge", "events", "bridged", "≤ 1", lambda x: x <= 1
        ),
    ]
