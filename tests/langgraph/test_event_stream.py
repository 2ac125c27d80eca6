"""LangChain's protocol of message events: its rules, and the same message as the merged chunks, for any stream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.language_models.chat_model_stream import ChatModelStream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import LLMResult
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import MessagesState, StateGraph

from bridge.backend import Capabilities
from bridge.connect import sync_backend
from bridge.errors import InteractionFailed, NotFound
from bridge.interactions import parse_event
from bridge.langgraph import ChatInteractions
from bridge.langgraph.answers import Chunks, ProtocolEvents, message_of
from bridge.langgraph.messages import ANCHOR, PROVIDER, to_message
from bridge.sessions import Message, plan
from tests.interactions.samples import events_of, streams
from tests.interactions.streams import streamed, unstreamed, wild_events

from .conftest import Service
from .test_answers import ID, completed, created, say, step

HISTORY = [Message("user", "hi")]
PLAN = plan(HISTORY, "s", Capabilities())

BETA = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
WIRE = [name for name in streams() if not name.startswith("04b")]  # which begins in the middle


def told(events: Iterable[dict[str, Any]], **options: Any) -> list[Any]:
    """The protocol's events of a stream."""
    stream = ProtocolEvents(PLAN, **options)
    produced = [one for event in events for one in stream.add(parse_event(event))]
    return [*produced, *stream.last("asked")]


def output(produced: Sequence[Any]) -> AIMessage:
    """The message that LangChain makes of the protocol's events."""
    stream = ChatModelStream()
    for event in produced:
        stream.dispatch(event)
    return stream.output


def chunked(events: Iterable[dict[str, Any]], **options: Any) -> AIMessage:
    """The message of the same stream by way of chunks."""
    answer = Chunks(PLAN, **{"blocks": True, **options})
    chunks = [chunk for event in events for chunk in answer.add(parse_event(event))]
    return message_of([*chunks, *answer.last("asked")])


def without_index(message: AIMessage) -> AIMessage:
    """LangChain leaves the index on the blocks it was told of, and has None for the name of an invalid call that has none."""
    content = [
        {name: value for name, value in block.items() if name != "index"}
        for block in message.content
        if isinstance(block, dict)
    ]
    invalid = [{**call, "name": call["name"] or ""} for call in message.invalid_tool_calls]
    return message.model_copy(update={"content": content, "invalid_tool_calls": invalid})


def equal_by_both_ways(events: Sequence[dict[str, Any]], **options: Any) -> AIMessage:
    """Asserts the laws of the protocol's events, and gives the message."""
    produced = told(events, **options)
    assert_valid_event_stream(produced)
    message = output(produced)
    assert without_index(message) == chunked(events, **options)
    anchors = [event["additional_kwargs"] for event in produced if "additional_kwargs" in event]
    assert [list(one) for one in anchors] == [[ANCHOR]]
    return message


def failing(events: Iterable[dict[str, Any]]) -> bool:
    """Whether a stream ends as an error, which neither way makes a message of."""
    try:
        chunked(events)
    except InteractionFailed:
        return True
    return False


@st.composite
def turns(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Any turn and one of the streams that tell of it. Calls have ids of their own, as calls have."""
    answer = draw(unstreamed())
    answer["id"] = ID
    for number, one in enumerate(answer["steps"]):
        if one["type"] == "function_call":
            one["id"] = f"call_{number}"
    return answer, draw(streamed(answer))


@st.composite
def broken(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A stream, and the same one with broken connections, after which something is told once more."""
    answer, straight = draw(turns())
    events: list[dict[str, Any]] = []
    whole: set[int] = set()  # steps that were told whole
    position = 0
    for cut in sorted(draw(st.lists(st.integers(1, len(straight) - 1), min_size=1, max_size=3))):
        events += [event for event in straight[position:cut] if event.get("index") not in whole]
        position = cut
        begun = {event["index"] for event in straight[:cut] if event["event_type"] == "step.start"}
        ended = {event["index"] for event in straight[:cut] if event["event_type"] == "step.stop"}
        if draw(st.booleans()):  # what was not ended comes whole, the rest as it is
            events += [event for index in sorted(begun - ended) for event in step(index, answer["steps"][index])]
            whole |= begun
        else:  # everything once more
            position, whole = draw(st.integers(0, 1)), set()
    return straight, [*events, *(event for event in straight[position:] if event.get("index") not in whole)]


@pytest.mark.covers("langgraph:events:equal")
@given(turns())
def test_any_stream_makes_the_message_that_its_chunks_make(turn: tuple[Any, list[dict[str, Any]]]) -> None:
    """In every field, by LangChain's rules for such events, and with the anchor in it once."""
    equal_by_both_ways(turn[1])


@pytest.mark.covers("langgraph:events:equal")
@given(turns())
def test_agents_streams_too(turn: tuple[Any, list[dict[str, Any]]]) -> None:
    """Their calls are held back until it is known who answers them."""
    equal_by_both_ways(turn[1], hold_calls=True)


@pytest.mark.covers("langgraph:events:resumed")
@given(broken())
def test_what_is_told_once_more_changes_nothing(streams: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
    """However often a connection broke, and wherever."""
    straight, retold = streams
    assert equal_by_both_ways(retold) == equal_by_both_ways(straight)


@pytest.mark.covers("langgraph:events:equal")
@given(wild_events())
def test_events_that_make_no_sense_together_make_one_message_by_both_ways(events: list[Any]) -> None:
    """Also those break no rule of the protocol."""
    stream = [created(), *events, completed()]
    if not failing(stream):
        equal_by_both_ways(stream)


@pytest.mark.covers("langgraph:events:equal")
def test_steps_that_are_told_in_turns_show_in_the_order_of_their_words() -> None:
    """Text that something else has come after goes on in a block of its own."""
    (one, three), (two, four) = (
        say(n, *words)[1:-1] for n, words in enumerate([("One ", "three."), ("two ", "four.")])
    )
    starts = [say(0)[0], say(1)[0]]
    message = equal_by_both_ways([created(), *starts, one, two, three, four, completed()])
    assert [block["text"] for block in message.content if isinstance(block, dict)] == [
        "One ",
        "two ",
        "three.",
        "four.",
    ]


@pytest.mark.covers("langgraph:events:equal")
@pytest.mark.parametrize("name", WIRE)
def test_a_recorded_stream_makes_the_message_that_its_chunks_make(name: str) -> None:
    """All of them, the ones that break off too."""
    if failing(events_of(name)):
        with pytest.raises(InteractionFailed):
            told(events_of(name))
    else:
        equal_by_both_ways(events_of(name))


def follows(message: AIMessage) -> bool:
    """Whether the next turn follows a message."""
    seen = to_message(message)
    results = [Message("tool", "done", call_id=call.id) for call in seen.calls]
    after = plan([*HISTORY, seen, *results, Message("user", "go on")], "s", Capabilities())
    return (after.reason, after.parent) == ("follows", ID)


@pytest.mark.covers("langgraph:events:anchor")
@given(
    turns().map(lambda turn: turn[1]) | wild_events().map(lambda wild: [created(), *wild, completed()]), st.booleans()
)
def test_the_next_turn_follows_the_message_of_any_stream(events: list[dict[str, Any]], hold_calls: bool) -> None:
    """Its anchor fits what it shows in each form: of the protocol, of chunks in blocks, of portable chunks."""
    if failing(events):
        return
    assert follows(output(told(events, hold_calls=hold_calls)))
    assert follows(chunked(events, hold_calls=hold_calls))
    assert follows(chunked(events, hold_calls=hold_calls, blocks=False))


@pytest.mark.covers("langgraph:events:order")
def test_each_block_begins_grows_and_ends_in_its_time() -> None:
    """The id comes first, text and reasoning end with their step, a medium comes whole at its end, a call ends with the message."""
    call = {"type": "function_call", "id": "k", "name": "f", "arguments": {}}
    produced = told(
        [
            created(),
            *step(0, {"type": "thought", "summary": [{"type": "text", "text": "Hm."}]}),
            *step(
                1,
                call,
                {"type": "arguments_delta", "arguments": '{"x":'},
                {"type": "arguments_delta", "arguments": "1}"},
            ),
            *step(2, {"type": "model_output"}, {"type": "image", "data": "AAAA", "mime_type": "image/png"}),
            completed("requires_action", usage={"total_input_tokens": 3, "total_output_tokens": 2}),
        ]
    )
    call_chunk = {"type": "tool_call_chunk", "id": "k", "name": "f", "args": "", "index": 1}
    image = {"type": "image", "mime_type": "image/png"}

    def event(kind: str, index: int, content: dict[str, Any]) -> dict[str, Any]:
        name = "delta" if kind == "delta" else "content"
        return {"event": f"content-block-{kind}", "index": index, name: content}

    assert produced[:-1] == [
        {"event": "message-start", "role": "ai", "id": ID, "metadata": {"provider": PROVIDER, "model": "m"}},
        event("start", 0, {"type": "reasoning", "reasoning": ""}),
        event("delta", 0, {"type": "reasoning-delta", "reasoning": "Hm."}),
        event("finish", 0, {"type": "reasoning", "reasoning": "Hm.", "index": 0}),
        event("start", 1, call_chunk),
        event("delta", 1, {"type": "tool-call-delta", "args": '{"x":'}),
        event("delta", 1, {"type": "tool-call-delta", "args": "1}"}),
        event("start", 2, image),
        event("finish", 2, {**image, "base64": "AAAA", "index": 2}),
        event("finish", 1, {"type": "tool_call", "id": "k", "name": "f", "args": {"x": 1}}),
    ]
    assert {name: value for name, value in produced[-1].items() if name != "additional_kwargs"} == {
        "event": "message-finish",
        "metadata": {
            "id": ID,
            "status": "requires_action",
            "model_name": "m",
            "model_provider": PROVIDER,
            "output_version": "v1",
        },
        "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
    }


@pytest.mark.covers("langgraph:events:order")
def test_a_stream_without_its_first_event_is_begun_all_the_same() -> None:
    """A message that nobody named has no id, and one without anything to say still begins and ends."""
    for events in ([*say(0, "Hi."), completed()], [completed()], []):
        produced = told(events)
        assert_valid_event_stream(produced)
        assert produced[0] == {"event": "message-start", "role": "ai", "id": "", "metadata": {"provider": PROVIDER}}
        assert produced[-1]["event"] == "message-finish"


@pytest.mark.covers("langgraph:events:equal")
@pytest.mark.parametrize(
    "arguments",
    ['{"city": "Os', "[1]", "7", "nonsense", pytest.param('{"a": ' + 100_000 * "[", id="too deep to be read")],
)
def test_broken_arguments_end_as_an_invalid_call(arguments: str) -> None:
    """Nothing is called with a guess, also where the step never ended."""
    call = {"type": "function_call", "id": "k", "name": "f", "arguments": {}}
    whole = step(0, call, {"type": "arguments_delta", "arguments": arguments})
    for events in (whole, whole[:-1]):
        message = equal_by_both_ways([created(), *events, completed("incomplete")])
        assert message.tool_calls == []
        assert str(message.invalid_tool_calls[0]["args"]).startswith(arguments)


@pytest.mark.covers("langgraph:events:equal")
def test_a_continued_turn_is_one_message() -> None:
    """The steps of its second hop are no repetition of the first one's, with ids and without; usage is the sum, told once."""
    usage: dict[str, Any] = {"usage": {"total_input_tokens": 1, "total_output_tokens": 1}}
    for first, second in ((ID, "v1_end"), ("", "")):
        message = equal_by_both_ways(
            [
                created(id=first),
                *say(0, "One "),
                completed("requires_continuation", id=first, **usage),
                *([created(id=second)] if second else []),
                *say(0, "One more."),
                completed(id=second, **usage),
            ]
        )
        assert message.text == "One One more."
        assert message.usage_metadata is not None
        assert message.usage_metadata["total_tokens"] == 4
        assert message.response_metadata.get("id") == (second or None)


@BETA
@pytest.mark.covers("langgraph:events:failed")
async def test_a_failed_turn_fails_the_stream_with_its_errors(service: Service) -> None:
    """What was told stays told; the message is the typed error."""
    stream = await service.chat(labels={"local-status": "failed"}).astream_events("hi", version="v3")
    with pytest.raises(InteractionFailed) as failure:
        await stream.output
    assert failure.value.interaction.status == "failed"
    assert failure.value.interaction.errors


@BETA
@pytest.mark.covers("langgraph:events:model")
async def test_a_model_tells_the_events_of_a_turn(service: Service) -> None:
    """LangChain asks for them and makes the message that a stream in standard blocks makes."""
    question = "```python\nprint(6 * 7)\n```"
    settings: dict[str, Any] = {"thinking_summaries": "auto", "tools": [{"type": "code_execution"}]}
    stream = await service.chat(**settings).astream_events(question, version="v3")
    produced = [event async for event in stream]
    message = await stream
    assert_valid_event_stream(produced)
    ends = [event["index"] for event in produced if event["event"] == "content-block-finish"]
    assert ends == sorted(ends)
    whole: AIMessageChunk | None = None
    async for chunk in service.chat(output_version="v1", **settings).astream(question):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    shown = without_ids(message)
    assert [block["type"] for block in shown] == ["reasoning", "server_tool_call", "server_tool_result", "text"]
    assert shown == without_ids(whole)
    assert await stream.text == message.text
    assert message.usage_metadata == whole.usage_metadata
    assert message.id == message.response_metadata["id"]


def without_ids(message: AIMessage) -> list[dict[str, Any]]:
    """The blocks of a message without what is another one in every turn."""
    blocks = [block for block in message.content if isinstance(block, dict)]
    return [{name: v for name, v in block.items() if name not in ("id", "tool_call_id")} for block in blocks]


@BETA
@pytest.mark.covers("langgraph:events:model")
def test_a_model_tells_them_without_an_event_loop(service_in_thread: Service) -> None:
    """The same class, the same events."""
    stream = service_in_thread.chat().stream_events("My name is Ann.", version="v3")
    produced: list[Any] = list(stream)
    assert_valid_event_stream(produced)
    assert "Ann" in "".join(stream.text)
    assert stream.output.id == produced[0]["id"]


class Heard(AsyncCallbackHandler):
    """A callback handler that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.ended: list[Any] = []
        self.over = asyncio.Event()

    async def on_stream_event(self, event: Any, **_: Any) -> None:
        self.events.append(event)

    async def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self.ended.append(response.generations[0][0])
        self.over.set()


@BETA
@pytest.mark.covers("langgraph:events:model")
async def test_callbacks_hear_every_event_and_the_end(service: Service) -> None:
    """Once each, and the usage with the message."""
    heard = Heard()
    stream = await service.chat().astream_events("hello", {"callbacks": [heard]}, version="v3")
    produced = [event async for event in stream]
    await asyncio.wait_for(heard.over.wait(), 10)
    assert heard.events == produced
    assert [generation.message.usage_metadata for generation in heard.ended] == [(await stream).usage_metadata]


class Bridged(ChatInteractions):
    """The chat model without events of its own, which LangChain then makes of its chunks."""

    _stream_chat_model_events: ClassVar[Any] = None
    _astream_chat_model_events: ClassVar[Any] = None


class Tokens(BaseCallbackHandler):
    """A callback handler that keeps the tokens."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        self.tokens.append(str(token))


@BETA
@pytest.mark.covers("langgraph:events:equal")
async def test_what_langchain_makes_of_the_chunks_says_the_same(service: Service) -> None:
    """Its bridge tells the chunks to the callbacks as tokens."""
    heard = Tokens()
    bridged = Bridged(backend=service.backend, model="gemini-3.8-flash")
    by_chunks = await (await bridged.astream_events("hello", {"callbacks": [heard]}, version="v3")).output
    by_events = await (await service.chat().astream_events("hello", version="v3")).output
    assert by_chunks.text == by_events.text == "".join(heard.tokens)
    assert by_chunks.usage_metadata == by_events.usage_metadata
    assert by_chunks.response_metadata.keys() == by_events.response_metadata.keys()


@BETA
@pytest.mark.covers("langgraph:events:equal")
def test_it_says_the_same_without_an_event_loop(service_in_thread: Service) -> None:
    """Both ways there too."""
    heard = Tokens()
    bridged = Bridged(backend=service_in_thread.backend, model="gemini-3.8-flash")
    by_chunks = bridged.stream_events("hello", {"callbacks": [heard]}, version="v3").output
    by_events = service_in_thread.chat().stream_events("hello", version="v3").output
    assert by_chunks.text == by_events.text == "".join(heard.tokens)


@BETA
@pytest.mark.covers("langgraph:events:gone")
async def test_a_parent_that_is_gone_is_replaced_once(service: Service) -> None:
    """As for any other way to ask."""
    model = service.chat()
    messages: list[BaseMessage] = [HumanMessage("The budget is 500.")]
    messages += [await model.ainvoke(messages)]
    await service.backend.delete(str(messages[1].id))
    messages += [HumanMessage("What did I say the budget is?")]
    stream = await model.astream_events(messages, version="v3")
    assert "500" in await stream.text
    assert ["previous_interaction_id" in request for request in service.sent] == [False, True, False]
    stream = await model.astream_events("hi", version="v3", previous_interaction_id="v1_unknown")
    with pytest.raises(NotFound):
        await stream.output


@BETA
@pytest.mark.covers("langgraph:events:gone")
def test_a_parent_that_is_gone_is_replaced_once_without_an_event_loop(service_in_thread: Service) -> None:
    """The same, and a second 404 is raised."""
    model = service_in_thread.chat()
    messages: list[BaseMessage] = [HumanMessage("The budget is 500.")]
    messages += [model.invoke(messages)]
    sync_backend(service_in_thread.backend).delete(str(messages[1].id))
    messages += [HumanMessage("What did I say the budget is?")]
    assert "500" in str(model.stream_events(messages, version="v3").text)
    assert ["previous_interaction_id" in request for request in service_in_thread.sent] == [False, True, False]
    with pytest.raises(NotFound):
        _ = model.stream_events("hi", version="v3", previous_interaction_id="v1_unknown").output


@BETA
@pytest.mark.covers("langgraph:events:model")
def test_a_graph_tells_them_without_an_event_loop(service_in_thread: Service) -> None:
    """The messages of the run are those that the graph keeps."""
    model = service_in_thread.chat()

    def speak(state: MessagesState) -> MessagesState:
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node(speak).set_entry_point("speak").compile()
    run = graph.stream_events({"messages": [HumanMessage("My name is Ann.")]}, version="v3")
    shown = [str(message.text) for message in run.messages]
    assert "Ann" in shown[0]
    kept = run.output
    assert kept is not None
    assert kept["messages"][-1].text == shown[0]


@BETA
@pytest.mark.covers("langgraph:events:anchor")
async def test_the_next_turn_of_a_graph_follows_them(service: Service) -> None:
    """A graph that is streamed as events keeps the message, and its next turn sends only what is new, by whichever way."""
    model = service.chat()

    async def speak(state: MessagesState) -> MessagesState:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node(speak).set_entry_point("speak").compile(InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    for text in ("The budget is 500.", "The team is small."):
        run = await graph.astream_events({"messages": [HumanMessage(text)]}, config, version="v3")
        shown = [await message.output async for message in run.messages]
        kept = await run.output()
        assert kept is not None
        assert shown[0].id == kept["messages"][-1].id
    state = await graph.ainvoke({"messages": [HumanMessage("What did I say the budget is?")]}, config)
    assert "500" in state["messages"][-1].text
    assert service.texts() == [["The budget is 500."], ["The team is small."], ["What did I say the budget is?"]]
