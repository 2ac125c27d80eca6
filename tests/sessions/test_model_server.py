"""Whatever becomes of a graph's messages, the server knows what they show: random conversations against a server that keeps chains.

What the server should know, and which interaction a turn should follow, is worked out here anew, from the documentation and from what
each answer was given: every message has words that no other has.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from bridge.errors import HistoryDiverged, InvalidRequest
from bridge.langgraph import ChatInteractions
from bridge.sessions import QUOTE_HEADER

from .model_server import Loss, ModelServer

NO_RESULT = "No result of this call was recorded; the conversation went on without it."
UNSIGNED = {"type": "thought", "signature": "skip_thought_signature_validator"}
PICTURE = {"type": "image", "data": "iVBORw0KGgo=", "mime_type": "image/png"}
NAMES = ("one", "two")
MODES = ("auto", "auto", "raise", "off")

Form = Literal["text", "blocks", "picture"]
Key = tuple[Any, ...]


class Made(NamedTuple):
    """An answer as it was made: by which session, to which messages, with which steps, kept under which id."""

    session: str
    before: tuple[Key, ...]
    steps: list[dict[str, Any]]
    id: str | None


class Graph(NamedTuple):
    """The messages of a thread. `rewritten` says whether it ever was anything else than added to."""

    messages: tuple[BaseMessage, ...] = ()
    rewritten: bool = False


class Conversations(RuleBasedStateMachine):
    """One server, two sessions on it, messages of others between, and threads that are forked, edited and cut."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.server = ModelServer()
        self.graph = Graph()
        self.checkpoints = [self.graph]
        self.made: dict[Key, Made] = {}
        self.words = map("{}.".format, itertools.count(1))

    def teardown(self) -> None:
        self.loop.close()

    # --- what happens in a graph

    @rule(form=st.sampled_from(["text", "blocks", "picture"]))
    def say(self, form: Form) -> None:
        """The user says something."""
        self._add(HumanMessage(self._content("user", form)))

    @rule(
        session=st.sampled_from(NAMES),
        before=st.sampled_from(["say", "answer", "answer and say", "nothing"]),
        calls=st.sampled_from([0, 0, 1, 2]),
        rich=st.booleans(),
        streaming=st.booleans(),
        mode=st.sampled_from(MODES),
    )
    def turn(self, session: str, before: str, calls: int, rich: bool, streaming: bool, mode: str) -> None:
        """A node of a session answers, most often after its calls got results or the user spoke."""
        if "answer" in before:
            for call in self._open_calls():
                self._add(self._result(call))
        if "say" in before:
            self.say("text")
        self.server.next_calls, self.server.next_rich = calls, rich
        if (answer := self._ask(session, mode, streaming=streaming)) is not None:
            self._add(answer)

    @rule(
        sessions=st.lists(st.sampled_from(NAMES), min_size=2, max_size=3),
        calls=st.sampled_from([0, 1]),
        mode=st.sampled_from(MODES),
    )
    def side_by_side(self, sessions: list[str], calls: int, mode: str) -> None:
        """Nodes answer the same messages in one superstep; the reducer adds the answers one after the other; one goes on."""
        self.say("text")
        self.server.next_calls, self.server.next_rich = calls, False
        answers = [self._ask(session, "auto") for session in sessions]
        self._add(*(answer for answer in answers if answer is not None))
        self.turn(sessions[0], "answer and say", 0, rich=False, streaming=False, mode=mode)

    @rule(vendor=st.sampled_from(["claude", "gpt", "named", "nobody"]), calls=st.sampled_from([0, 1]))
    def another_speaks(self, vendor: str, calls: int) -> None:
        """A message of another vendor's package, of a node with a name, or one made by hand, which counts as the session's own."""
        words = f"{vendor} {next(self.words)}"
        called = [{"name": "look", "args": {"by": words}, "id": f"call_of_{words}"}] * calls
        self._add(spoken(vendor, words, called))

    @rule(place=st.integers(0, 10), error=st.booleans(), form=st.sampled_from(["text", "blocks"]))
    def a_result_comes(self, place: int, error: bool, form: Form) -> None:
        """Of any call there is, also of one that has its result, or that the conversation went on without."""
        if calls := [call for message in self.graph.messages for call in getattr(message, "tool_calls", ())]:
            self._add(self._result(calls[place % len(calls)], error, form))

    @rule()
    def a_stray_result_comes(self) -> None:
        """Of a call that nobody shows."""
        words = next(self.words)
        self._add(ToolMessage(f"stray {words}", tool_call_id=f"stray_{words}"))

    # --- what becomes of its messages

    @precondition(lambda self: self.graph.messages)
    @rule(place=st.integers(0, 20), what=st.sampled_from(["content", "calls", "status", "speaker"]))
    def edit(self, place: int, what: str) -> None:
        """A message says something else, calls for something else, failed after all, or is somebody else's."""
        messages = list(self.graph.messages)
        place %= len(messages)
        message = messages[place]
        if what == "speaker":
            kind = HumanMessage if isinstance(message, AIMessage) else AIMessage
            messages[place] = kind(f"spoken by another {next(self.words)}")
        elif what == "status" and isinstance(message, ToolMessage):
            status = "error" if message.status == "success" else "success"
            messages[place] = message.model_copy(update={"status": status})
        elif what == "calls" and isinstance(message, AIMessage) and message.tool_calls:
            calls = [{**call, "args": {"edited": next(self.words)}} for call in message.tool_calls]
            content = [part for part in message.content if kind_of(part) not in ("tool_use", "function_call")]
            kept = message.content if isinstance(message.content, str) else content
            messages[place] = message.model_copy(update={"tool_calls": calls, "content": kept})
        else:
            messages[place] = message.model_copy(update={"content": f"edited {next(self.words)}"})
        self._rewrite(messages)

    @precondition(lambda self: self.graph.messages)
    @rule(place=st.integers(0, 20))
    def remove(self, place: int) -> None:
        """`RemoveMessage`."""
        messages = list(self.graph.messages)
        del messages[place % len(messages)]
        self._rewrite(messages)

    @rule(place=st.integers(0, 20))
    def insert(self, place: int) -> None:
        """Something is said after the fact."""
        messages = list(self.graph.messages)
        messages.insert(place % (len(messages) + 1), HumanMessage(f"inserted {next(self.words)}"))
        self._rewrite(messages)

    @precondition(lambda self: len(self.graph.messages) > 1)
    @rule(place=st.integers(0, 20))
    def swap(self, place: int) -> None:
        """Two neighbours change places."""
        messages = list(self.graph.messages)
        place %= len(messages) - 1
        messages[place : place + 2] = reversed(messages[place : place + 2])
        self._rewrite(messages)

    @rule(keep=st.integers(0, 6), summary=st.booleans())
    def trim(self, keep: int, summary: bool) -> None:
        """`trim_messages`, or middleware that puts a summary in the place of what it cuts off."""
        kept = list(self.graph.messages[max(0, len(self.graph.messages) - keep) :])
        self._rewrite([HumanMessage(f"summary {next(self.words)}"), *kept] if summary else kept)

    @precondition(lambda self: self.graph.messages)
    @rule(place=st.integers(0, 20))
    def rephrase(self, place: int) -> None:
        """The same in another form: a text as a block, with an index and a cache mark, under another id."""
        messages = list(self.graph.messages)
        place %= len(messages)
        update: dict[str, Any] = {"id": f"other-{next(self.words)}"}
        if isinstance(content := messages[place].content, str) and not isinstance(messages[place], SystemMessage):
            half = len(content) // 2
            mark = {"cache_control": {"type": "ephemeral"}, "index": 7}
            update["content"] = [
                {"type": "text", "text": content[:half], **mark},
                {"type": "text", "text": content[half:]},
            ]
        if isinstance(messages[place], AIMessage):
            update["usage_metadata"] = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
        messages[place] = messages[place].model_copy(update=update)
        self.graph = Graph(tuple(messages), self.graph.rewritten)

    @rule(place=st.integers(0, 1_000))
    def go_back(self, place: int) -> None:
        """Time travel, and threads that share the server."""
        self.graph = self.checkpoints[place % len(self.checkpoints)]

    @rule()
    def instruct(self) -> None:
        """Another system prompt."""
        messages = [message for message in self.graph.messages if not isinstance(message, SystemMessage)]
        self.graph = Graph((SystemMessage(f"system {next(self.words)}"), *messages), self.graph.rewritten)

    @precondition(lambda self: self.server.ids)
    @rule(place=st.integers(0, 1_000), how=st.sampled_from(["404", "400", "403"]))
    def expire(self, place: int, how: Loss) -> None:
        """The server loses an interaction."""
        self.server.gone[self.server.ids[place % len(self.server.ids)]] = how

    # --- a turn, and what must be true after it

    def _ask(self, name: str, mode: str, *, streaming: bool = False) -> AIMessage | None:
        """A session's answer to the messages, None where it is right that there is none."""
        model = ChatInteractions(
            model="m",
            backend=self.server,
            session_name=name,
            session="off" if mode == "off" else "auto",
            on_divergence="raise" if mode == "raise" else "replay",
            streaming=streaming,
        )
        session, messages = model.session_key, self.graph.messages
        parent = None if mode == "off" else self._parent(messages, session)
        self.server.requests.clear()
        try:
            answer = self.loop.run_until_complete(model.ainvoke(list(messages)))
        except HistoryDiverged:
            assert mode == "raise"
            assert self.graph.rewritten
            assert not self.server.requests
            return None
        except InvalidRequest as refusal:
            self._is_right(str(refusal), messages, session, parent)
            return None
        if mode == "raise":
            self._nothing_was_changed(messages, session, parent)
        first, *again = self.server.requests
        assert first.get("previous_interaction_id") == parent
        assert [request.get("previous_interaction_id") for request in again] == (
            [None] if parent in self.server.gone else []
        )
        request = self.server.requests[-1]
        self._leaks_nothing(request, session)
        system = [message.content for message in messages if isinstance(message, SystemMessage)]
        assert request.get("system_instruction") == (system[0] if system else None)
        named = answer.response_metadata.get("id")
        assert (named is None) == (mode == "off")
        steps = list(answer.additional_kwargs["google_interactions"]["steps"])
        told = [*request["input"], *steps] if named is None else self.server.chain(named)
        assert told[len(told) - len(steps) :] == steps
        self.made[key_of(answer)] = Made(session, keys_of(messages), steps, named)
        self._compare(told, (*messages, answer), session)
        return answer

    def _parent(self, messages: Sequence[BaseMessage], session: str) -> str | None:
        """The latest stored answer of the session that was given exactly the messages that stand before it."""
        before: list[Key] = []
        parent = None
        for message in messages:
            if isinstance(message, SystemMessage):
                continue
            made = self.made.get(key_of(message))
            if made is not None and made.session == session and made.id and made.before == tuple(before):
                parent = made.id
            before.append(key_of(message))
        return parent

    def _is_right(self, refusal: str, messages: Sequence[BaseMessage], session: str, parent: str | None) -> None:
        """Nothing was sent, because calls wait for results, each of them named, or because the server knows all there is."""
        assert not self.server.requests
        if "no result answers" in refusal:
            waiting = self._waiting(messages, session)
            assert waiting
            assert all(repr(call) in refusal for call in waiting)
        else:
            self._compare(self.server.chain(parent), messages, session)

    def _nothing_was_changed(self, messages: Sequence[BaseMessage], session: str, parent: str | None) -> None:
        """Since the answer that is followed, the session's answers are as they were, and all that they were given to is before them."""
        ids = [made.id if (made := self.made.get(key_of(message))) else None for message in messages]
        for place in range(ids.index(parent) + 1 if parent else 0, len(messages)):
            if self._is_stored(messages[place], session):
                before = iter(keys_of(messages[:place]))
                assert all(key in before for key in self.made[key_of(messages[place])].before)

    def _compare(self, told: list[dict[str, Any]], messages: Sequence[BaseMessage], session: str) -> None:
        """The steps are the messages: each once, in order, results with their calls."""
        results = {text_of(m.content): m for m in messages if isinstance(m, ToolMessage)}
        answering: set[str] = set()
        for step in told:
            if step["type"] == "function_result" and step["result"] != NO_RESULT:
                words = text_of(step["result"])
                result = results[words]
                assert words not in answering, f"{words} answers twice"
                assert step["call_id"] == result.tool_call_id
                assert step.get("is_error", False) == (result.status == "error")
                answering.add(words)
        expected: list[dict[str, Any]] = []
        for place, message in enumerate(messages):
            match message:
                case HumanMessage():
                    expected.append({"type": "user_input", "content": parts_of(message.content)})
                case ToolMessage() if text_of(message.content) not in answering:
                    assert not self._at_once(messages, place, session), f"{message} answers its call"
                    expected.append(self._quoted_result(messages, message, session))
                case AIMessage() if self._is_own(message, session):
                    expected += self._own(message)
                case AIMessage():
                    expected.append(quoted(author_of(message), text_of(message.content), *quoted_calls(message)))
                case _:
                    pass
        said = [step for step in told if step["type"] != "function_result" and is_told(step)]
        assert list(map(joined, said)) == list(map(joined, expected))

    def _is_own(self, message: AIMessage, session: str) -> bool:
        anchor = message.additional_kwargs.get("google_interactions")
        return anchor["session"] == session if anchor else author_of(message) is None

    def _is_stored(self, message: BaseMessage, session: str) -> bool:
        anchor = message.additional_kwargs.get("google_interactions", {})
        return "id" in anchor and anchor["session"] == session

    def _own(self, message: AIMessage) -> list[dict[str, Any]]:
        """The steps it was made with, as long as it shows what they say."""
        if (made := self.made.get(key_of(message))) is not None:
            return [step for step in made.steps if step["type"] != "function_result" and is_told(step)]
        calls = [
            {"type": "function_call", "id": call["id"], "name": call["name"], "arguments": call["args"]}
            for call in message.tool_calls
        ]
        words = text_of(message.content)
        said = [{"type": "model_output", "content": parts_of(message.content)}] if words else []
        return [*([UNSIGNED] if calls else []), *said, *calls]

    def _at_once(self, messages: Sequence[BaseMessage], place: int, session: str) -> bool:
        """Whether the result at this place is the first of its call and nobody else spoke in between, so that it must answer it."""
        result = messages[place]
        assert isinstance(result, ToolMessage)
        for message in reversed(messages[:place]):
            if isinstance(message, ToolMessage):
                if message.tool_call_id == result.tool_call_id:
                    return False
            elif isinstance(message, AIMessage) and self._is_own(message, session):
                if any(call["id"] == result.tool_call_id for call in message.tool_calls):
                    return True
            elif not isinstance(message, SystemMessage):
                return False
        return False

    def _waiting(self, messages: Sequence[BaseMessage], session: str) -> list[str]:
        """The session's calls that have no result while nobody else has said anything since."""
        waiting: list[str] = []
        for message in messages:
            match message:
                case ToolMessage():
                    waiting = [call for call in waiting if call != message.tool_call_id]
                case AIMessage() if self._is_own(message, session):
                    waiting += [str(call["id"]) for call in message.tool_calls]
                case SystemMessage():
                    pass
                case _:
                    waiting = []
        return waiting

    def _quoted_result(self, messages: Sequence[BaseMessage], result: ToolMessage, session: str) -> dict[str, Any]:
        author, name = None, "a tool"
        for message in messages:
            if isinstance(message, AIMessage) and any(call["id"] == result.tool_call_id for call in message.tool_calls):
                author = None if self._is_own(message, session) else author_of(message)
                name = message.tool_calls[0]["name"]
        words = text_of(result.content)
        return quoted(author or "another participant", f"Result of {name} (call {result.tool_call_id}): {words}")

    def _leaks_nothing(self, request: dict[str, Any], session: str) -> None:
        """What is another vendor's or another session's business does not leave."""
        sent = json.dumps(request)
        assert "SECRET" not in sent
        ours = {step.get("signature") for made in self.made.values() if made.session == session for step in made.steps}
        assert set(re.findall(r"sig-\d+", sent)) <= ours

    # --- small things

    def _add(self, *messages: BaseMessage) -> None:
        self._become(Graph((*self.graph.messages, *messages), self.graph.rewritten))

    def _rewrite(self, messages: Sequence[BaseMessage]) -> None:
        self._become(Graph(tuple(messages), rewritten=True))

    def _become(self, graph: Graph) -> None:
        self.graph = graph
        self.checkpoints.append(graph)

    def _content(self, who: str, form: Form) -> Any:
        words = f"{who} {next(self.words)}"
        if form == "text":
            return words
        block = {"type": "text", "text": words}
        picture = {"type": "image", "base64": PICTURE["data"], "mime_type": PICTURE["mime_type"]}
        return [block] if form == "blocks" else [block, picture]

    def _result(self, call: Any, error: bool = False, form: Form = "text") -> ToolMessage:
        content = self._content("result", form)
        return ToolMessage(content, tool_call_id=call["id"], status="error" if error else "success")

    def _open_calls(self) -> list[Any]:
        answered = {message.tool_call_id for message in self.graph.messages if isinstance(message, ToolMessage)}
        calls = [call for message in self.graph.messages for call in getattr(message, "tool_calls", ())]
        return [call for call in calls if call["id"] not in answered]


def spoken(vendor: str, words: str, calls: list[dict[str, Any]]) -> AIMessage:
    """A message of somebody else, as langchain-anthropic and langchain-openai (over Responses) make them."""
    match vendor:
        case "claude":
            uses = [{"type": "tool_use", "id": call["id"], "name": "look", "input": call["args"]} for call in calls]
            thinking = {"type": "thinking", "thinking": "SECRET", "signature": "SECRET"}
            return AIMessage(
                [thinking, {"type": "text", "text": words}, *uses],
                tool_calls=calls,
                response_metadata={"id": "msg_01", "model_name": "claude-9", "model_provider": "anthropic"},
            )
        case "gpt":
            made = [
                {"type": "function_call", "id": "fc_1", "call_id": call["id"], "name": "look", "arguments": "{}"}
                for call in calls
            ]
            reasoning = {"type": "reasoning", "id": "rs_SECRET", "summary": [], "encrypted_content": "SECRET"}
            said = {"type": "text", "text": words, "annotations": [], "id": "msg_1"}
            return AIMessage(
                [reasoning, said, *made],
                tool_calls=calls,
                response_metadata={"id": "resp_1", "model_name": "gpt-9", "model_provider": "openai"},
            )
        case "named":
            return AIMessage(words, tool_calls=calls, name="Ann")
        case _:
            return AIMessage(words, tool_calls=calls)


def author_of(message: AIMessage) -> str | None:
    """The name, or model and vendor."""
    facts = message.response_metadata
    return message.name or (f"{facts['model_name']} ({facts['model_provider']})" if facts else None)


def quoted(author: str | None, *lines: str) -> dict[str, Any]:
    text = "\n".join(filter(None, [QUOTE_HEADER.format(author=author), *lines]))
    return {"type": "user_input", "content": [{"type": "text", "text": text}]}


def quoted_calls(message: AIMessage) -> list[str]:
    return [f"Called {c['name']} (call {c['id']}) with {json.dumps(c['args'])}" for c in message.tool_calls]


def key_of(message: BaseMessage) -> Key:
    """What makes a message this one, in whatever form."""
    calls = [(call["id"], str(call["args"])) for call in getattr(message, "tool_calls", ())]
    answered = (message.tool_call_id, message.status) if isinstance(message, ToolMessage) else ()
    return type(message), text_of(message.content), *answered, *calls


def keys_of(messages: Sequence[BaseMessage]) -> tuple[Key, ...]:
    return tuple(key_of(message) for message in messages if not isinstance(message, SystemMessage))


def kind_of(part: Any) -> Any:
    return part.get("type") if isinstance(part, dict) else None


def text_of(content: Any) -> str:
    return content if isinstance(content, str) else "".join(p["text"] for p in content if kind_of(p) == "text")


def parts_of(content: Any) -> list[dict[str, Any]]:
    """Content as the API has it."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [{"type": "text", "text": p["text"]} if kind_of(p) == "text" else PICTURE for p in content]


def joined(step: dict[str, Any]) -> dict[str, Any]:
    """The step with its text in one piece, however it came."""
    content: list[dict[str, Any]] = []
    for part in step.get("content") or ():
        if content and part["type"] == content[-1]["type"] == "text":
            content[-1] = {"type": "text", "text": content[-1]["text"] + part["text"]}
        else:
            content.append(part)
    return {**step, "content": content}


def is_told(step: dict[str, Any]) -> bool:
    """A thought without a signature stays on the server that had it."""
    return step["type"] != "thought" or bool(step.get("signature"))


@pytest.mark.covers("sessions:truth")
@pytest.mark.timeout(3_000)
def test_the_server_knows_what_the_graph_shows(caplog: pytest.LogCaptureFixture) -> None:
    """After every turn: each message once, in order, others' quoted; and the turn followed the answer it could follow."""
    caplog.set_level(logging.CRITICAL, "bridge.langgraph")
    examples = max(300, settings().max_examples // 2)
    run_state_machine_as_test(Conversations, settings=settings(max_examples=examples, stateful_step_count=30))
