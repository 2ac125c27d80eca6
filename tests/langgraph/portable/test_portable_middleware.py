"""`PortableHistoryMiddleware` in one agent whose model changes from turn to turn, over sockets."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.messages.content import create_image_block

from bridge.errors import InvalidRequest, NotConfigured
from bridge.langgraph import PortableHistoryMiddleware, to_portable
from bridge.langgraph.portable.targets import INTERACTIONS, known, rules_for
from bridge.sessions import replay_counts
from tests.langgraph.portable.accepting import faults
from tests.langgraph.portable.speakers import QUIET, SPEAKERS, Speakers
from tests.receivers import served

pytestmark = QUIET


@pytest.fixture
def speakers() -> Iterator[Speakers]:
    """Five chat models' service."""
    with ExitStack() as opened:
        yield Speakers(opened)


@pytest.fixture
def url(speakers: Speakers) -> Iterator[str]:
    """Its address."""
    with served(speakers.app) as address:
        yield address


class Turns(AgentMiddleware[Any, Any, Any]):
    """Another model in each turn."""

    def __init__(self, models: list[BaseChatModel]) -> None:
        super().__init__()
        self._models = models

    def wrap_model_call(self, request: ModelRequest[Any], handler: Any) -> Any:
        """The next model."""
        return handler(request.override(model=self._models.pop(0)))

    async def awrap_model_call(self, request: ModelRequest[Any], handler: Any) -> Any:
        """The next model."""
        return await handler(request.override(model=self._models.pop(0)))


@pytest.mark.covers("portable:middleware", "portable:session", "portable:pairs")
@pytest.mark.parametrize("version", ["", "v1"])
@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
async def test_one_thread_goes_round_all_vendors_and_the_session_is_told_what_is_new(
    speakers: Speakers, url: str, how: str, version: str
) -> None:
    """Each request fits its vendor's types; the thread keeps what was said; Gemini's second turn follows its first."""
    order = ["interactions", "claude", "responses", "chat", "genai", "claude", "interactions"]
    settings = {"output_version": version} if version else {}
    # The picture that OpenAI's package hands on in v1 has no type, and LangChain's core goes on with none such.
    models = [speakers.model(name, url, **({} if name == "responses" else settings)) for name in order]
    system = SystemMessage([{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}])
    agent: Any = create_agent(
        models[0], system_prompt=system, middleware=[Turns([*models]), PortableHistoryMiddleware()]
    )
    thread: list[Any] = []
    replayed = replay_counts()
    for turn, name in enumerate(order):
        before = [*thread, HumanMessage(f"Question {turn}.", id=f"q{turn}")]
        given = {"messages": before}
        state = await (asyncio.to_thread(agent.invoke, given) if how == "invoke" else agent.ainvoke(given))
        thread = state["messages"]
        assert [
            message for message in thread if message in before
        ] == before  # the agent answers what it could not read
        vendor, body = speakers.sent[-1]
        assert vendor == name
        if name == "claude":  # what it said itself is its package's business
            said = [
                message
                for message in body["messages"]
                if message["role"] == "user" or isinstance(message["content"], str)
            ]
            assert faults(name, {"messages": said}) == []
        else:
            assert faults(name, body) == []
        wire = json.dumps(body)
        assert wire.count(f"Question {turn}.") == 1
        if name not in ("claude", "interactions"):
            assert "cache_control" not in wire
    for backend in speakers.backends:
        await backend.aclose()
    assert body["previous_interaction_id"] == thread[1].response_metadata["id"]
    assert "Question 0." not in wire
    assert "SECRET" not in wire
    assert [wire.count(f"Question {turn}.") for turn in range(1, 7)] == [1] * 6
    assert wire.count("High tide is at noon.") == 5
    assert replay_counts() == replayed


@pytest.mark.covers("portable:middleware")
def test_what_would_be_lost_can_be_an_error(speakers: Speakers, url: str) -> None:
    """Before anything is sent, naming message, block and reason."""
    agent: Any = create_agent(speakers.model("claude", url), middleware=[PortableHistoryMiddleware(on_lossy="raise")])
    sound = {"type": "audio", "base64": "UklGRg==", "mime_type": "audio/wav"}
    with pytest.raises(InvalidRequest, match=r"messages\[0\]: audio \(audio/wav\): Anthropic takes no audio"):
        agent.invoke({"messages": [HumanMessage([sound])]})
    assert not speakers.sent
    agent.invoke({"messages": [HumanMessage("x")]})
    assert speakers.sent[-1][1]["messages"] == [{"role": "user", "content": "x"}]


@pytest.mark.covers("portable:targets")
def test_the_target_is_found_from_the_model(speakers: Speakers, url: str) -> None:
    """Of an unknown vendor the own messages stay, and the rest is what all vendors take."""
    rules = {name: rules_for(speakers.model(name, url)) for name in SPEAKERS}
    assert rules["interactions"] is INTERACTIONS
    assert rules["claude"] is known()["anthropic"]
    assert rules["responses"] is known()["openai"]
    assert rules["chat"] is known()["openai-chat"]
    assert rules["genai"].providers == {"google_genai"}
    assert rules_for(FakeListChatModel(responses=["x"])).vendor == "one of the vendors"
    assert rules_for(object()).providers == frozenset()


@pytest.mark.covers("portable:targets")
def test_an_unknown_target_is_refused_by_name() -> None:
    """With the names there are."""
    with pytest.raises(
        InvalidRequest, match="no target 'mistral'; known: anthropic, interactions, openai, openai-chat"
    ):
        to_portable([], "mistral")


@pytest.mark.covers("portable:targets")
def test_without_an_adapter_its_target_is_not_installed_and_none_is_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install; the middleware does with what is safe for all."""
    from bridge import _adapters

    monkeypatch.setattr(_adapters, "FOUND", {})
    known.cache_clear()
    try:
        for target in ("anthropic", "openai", "openai-chat"):
            with pytest.raises(NotConfigured, match=f"pip install interactions-bridge-{target.partition('-')[0]}"):
                to_portable([], target)
        picture = create_image_block(url="https://example.org/a.png")
        history = [HumanMessage([dict(picture), {"type": "refusal", "refusal": "no"}]), AIMessage("x")]
        assert [message.content for message in to_portable(history)] == [[picture, {"type": "text", "text": "no"}], "x"]
    finally:
        known.cache_clear()


@pytest.mark.covers("portable:middleware:langchain")
def test_without_langchain_the_error_says_what_to_install() -> None:
    """`to_portable` needs none."""
    code = (
        "import sys; sys.modules['langchain'] = None\n"
        "from bridge.langgraph import to_portable\n"
        "print(to_portable([]))\n"
        "from bridge.langgraph import PortableHistoryMiddleware"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "[]\n"
    assert "NotConfigured" in done.stderr
    assert "pip install langchain" in done.stderr
