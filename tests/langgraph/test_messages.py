"""Messages become steps: every form LangChain callers use, and a refusal that names what cannot be sent."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from bridge.backend import Capabilities
from bridge.errors import InvalidRequest
from bridge.langgraph.messages import ANCHOR, PROVIDER, system_instruction, to_history
from bridge.sessions import QUOTE_HEADER, plan
from bridge.sessions.history import Digest

SESSION = "here/gemini"
PNG = "iVBORw0KGgo="


def to_steps(messages: list[BaseMessage]) -> list[dict[str, Any]]:
    return plan(to_history(messages), SESSION, Capabilities(), follow=False).steps


def user(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "user_input", "content": list(content)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def foreign(content: Any = "It is sunny.", **fields: Any) -> AIMessage:
    return AIMessage(content, response_metadata={"model_provider": "openai", "model_name": "gpt-9"}, **fields)


UNSIGNED = {"type": "thought", "signature": "skip_thought_signature_validator"}
IMAGE = {"type": "image", "data": PNG, "mime_type": "image/png"}


@pytest.mark.covers("langgraph:messages:content")
@pytest.mark.parametrize(
    ("block", "content"),
    [
        pytest.param({"type": "text", "text": "a"}, text("a"), id="text"),
        pytest.param({"type": "image", "url": f"data:image/png;base64,{PNG}"}, IMAGE, id="image in its address"),
        pytest.param("a", text("a"), id="string in a list"),
        pytest.param({"type": "text-plain", "text": "a", "mime_type": "text/plain"}, text("a"), id="plain text"),
        pytest.param({"type": "image", "base64": PNG, "mime_type": "image/png"}, IMAGE, id="image as bytes"),
        pytest.param(
            {"type": "image", "url": "https://x/y.png"},
            {"type": "image", "uri": "https://x/y.png"},
            id="image by address",
        ),
        pytest.param(
            {"type": "image", "file_id": "files/7"}, {"type": "image", "uri": "files/7"}, id="image by file id"
        ),
        pytest.param(
            {"type": "image", "url": "https://x/y.png", "extras": {"resolution": "high", "other": 1}},
            {"type": "image", "uri": "https://x/y.png", "resolution": "high"},
            id="image with a resolution",
        ),
        pytest.param(
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
            {**IMAGE, "resolution": "low"},
            id="OpenAI image as bytes",
        ),
        pytest.param(
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            {"type": "image", "uri": "https://x/y.png"},
            id="OpenAI image by address",
        ),
        pytest.param(
            {"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"}, IMAGE, id="OpenAI image, short form"
        ),
        pytest.param(
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "audio", "data": "AAAA", "mime_type": "audio/wav"},
            id="OpenAI audio",
        ),
        pytest.param(
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
            {"type": "document", "data": "AAAA", "mime_type": "application/pdf"},
            id="OpenAI file",
        ),
        pytest.param(
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            IMAGE,
            id="Anthropic image",
        ),
        pytest.param(
            {"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}},
            {"type": "document", "uri": "https://x/a.pdf"},
            id="Anthropic document",
        ),
        pytest.param(
            {"type": "image", "source_type": "base64", "data": PNG, "mime_type": "image/png"},
            IMAGE,
            id="LangChain's old form",
        ),
        pytest.param(
            {"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"},
            {"type": "audio", "data": "AAAA", "mime_type": "audio/wav"},
            id="audio",
        ),
        pytest.param({"type": "video", "url": "https://x/v"}, {"type": "video", "uri": "https://x/v"}, id="video"),
        pytest.param(
            {"type": "file", "base64": "AAAA", "mime_type": "application/pdf"},
            {"type": "document", "data": "AAAA", "mime_type": "application/pdf"},
            id="file",
        ),
        pytest.param(
            {"type": "file", "url": "https://x/a", "mime_type": "video/mp4"},
            {"type": "video", "uri": "https://x/a", "mime_type": "video/mp4"},
            id="file that is a film",
        ),
        pytest.param(
            {"type": "media", "data": "AAAA", "mime_type": "audio/mp3"},
            {"type": "audio", "data": "AAAA", "mime_type": "audio/mp3"},
            id="Gemini media",
        ),
        pytest.param(
            {"type": "document", "uri": "gs://b/a.csv", "mime_type": "text/csv"},
            {"type": "document", "uri": "gs://b/a.csv", "mime_type": "text/csv"},
            id="the API's own",
        ),
    ],
)
def test_every_form_of_a_content_block_becomes_api_content(block: Any, content: dict[str, Any]) -> None:
    """LangChain's blocks, OpenAI's, Anthropic's, Gemini's and the API's own reach the same content."""
    assert to_steps([HumanMessage([block])]) == [user(content)]


@pytest.mark.covers("langgraph:messages:refused")
@pytest.mark.parametrize(
    ("message", "named"),
    [
        pytest.param(
            HumanMessage([text("hi"), {"type": "hologram", "x": 1}]), ["messages[0]", "part 1", "hologram"], id="kind"
        ),
        pytest.param(HumanMessage([{"type": "image"}]), ["messages[0]", "part 0", "image"], id="image of nothing"),
        pytest.param(HumanMessage([{"type": "image", "data": ""}]), ["part 0", "image"], id="image of no bytes"),
        pytest.param(
            HumanMessage([{"type": "image", "id": "lc_1"}]), ["part 0", "image"], id="image with a block id only"
        ),
        pytest.param(HumanMessage([{"type": "tool_result", "content": "3"}]), ["tool_use_id"], id="result of no call"),
        pytest.param(
            ToolMessage([{"type": "hologram"}], tool_call_id="1"), ["messages[0] (tool)", "hologram"], id="in a result"
        ),
        pytest.param(foreign([{"type": "image"}]), ["messages[0] (ai)", "image"], id="in an answer"),
        pytest.param(ChatMessage(content="hi", role="critic"), ["messages[0]", "'chat'"], id="kind of message"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_place_and_kind(message: BaseMessage, named: list[str]) -> None:
    """Nothing is dropped: the error names the message and the part."""
    with pytest.raises(InvalidRequest) as refusal:
        to_steps([message])
    assert all(name in str(refusal.value) for name in named)


@pytest.mark.covers("langgraph:messages:system")
def test_system_messages_become_one_instruction() -> None:
    """Wherever they stand they are joined, and they are no steps."""
    messages = [SystemMessage("Be brief."), HumanMessage("hi"), SystemMessage([text("Be kind.")])]
    assert system_instruction(messages) == "Be brief.\n\nBe kind."
    assert to_steps(messages) == [user(text("hi"))]
    assert system_instruction([HumanMessage("hi")]) is None


@pytest.mark.covers("langgraph:messages:refused")
def test_a_picture_in_a_system_message_is_refused() -> None:
    """An instruction is text."""
    with pytest.raises(InvalidRequest, match=r"messages\[0\] \(system\).*image"):
        system_instruction([SystemMessage([{"type": "image", "base64": PNG, "mime_type": "image/png"}])])


@pytest.mark.covers("langgraph:messages:tools")
def test_a_tool_loop_becomes_calls_and_results() -> None:
    """Calls and results keep ids and arguments; a result without a name takes that of its call; errors are flagged."""
    messages = [
        HumanMessage("weather?"),
        AIMessage(
            "I look.",
            tool_calls=[
                {"name": "weather", "args": {"city": "Oslo"}, "id": "a"},
                {"name": "weather", "args": {"city": "Rome"}, "id": "b"},
                {"name": "photo", "args": {}, "id": "c"},
            ],
        ),
        ToolMessage("sunny", tool_call_id="a"),
        ToolMessage("no such city", tool_call_id="b", status="error"),
        ToolMessage(
            [text("here"), {"type": "image", "base64": PNG, "mime_type": "image/png"}], tool_call_id="c", name="photo"
        ),
    ]
    assert to_steps(messages)[1:] == [
        UNSIGNED,
        {"type": "model_output", "content": [text("I look.")]},
        {"type": "function_call", "id": "a", "name": "weather", "arguments": {"city": "Oslo"}},
        {"type": "function_call", "id": "b", "name": "weather", "arguments": {"city": "Rome"}},
        {"type": "function_call", "id": "c", "name": "photo", "arguments": {}},
        {"type": "function_result", "call_id": "a", "name": "weather", "result": "sunny"},
        {"type": "function_result", "call_id": "b", "name": "weather", "result": "no such city", "is_error": True},
        {"type": "function_result", "call_id": "c", "name": "photo", "result": [text("here"), IMAGE]},
    ]


@pytest.mark.covers("langgraph:messages:tools")
def test_anthropics_form_of_calls_and_results_is_understood() -> None:
    """`tool_use` in an answer and `tool_result` in a human message become the same steps."""
    messages = [
        AIMessage([text("Hmm."), {"type": "tool_use", "id": "a", "name": "pick", "input": {"n": 1}}]),
        HumanMessage(
            [{"type": "tool_result", "tool_use_id": "a", "content": [text("one")], "is_error": True}, text("and now?")]
        ),
    ]
    assert to_steps(messages) == [
        UNSIGNED,
        {"type": "model_output", "content": [text("Hmm.")]},
        {"type": "function_call", "id": "a", "name": "pick", "arguments": {"n": 1}},
        {"type": "function_result", "call_id": "a", "name": "pick", "result": [text("one")], "is_error": True},
        user(text("and now?")),
    ]


@pytest.mark.covers("langgraph:messages:tools")
def test_a_call_without_an_id_gets_one() -> None:
    """The API joins calls and results by id; those that cannot be read are calls too."""
    message = AIMessage(
        "",
        tool_calls=[{"name": "f", "args": {}, "id": None}],
        invalid_tool_calls=[{"name": "g", "args": "{oops", "id": None, "error": None}],
    )
    ids = [(call.id, call.invalid) for call in to_history([HumanMessage("hi"), message])[1].calls]
    assert ids == [("call_1_0", False), ("call_1_invalid_0", True)]


@pytest.mark.covers("langgraph:messages:empty")
def test_an_empty_human_message_is_still_a_turn() -> None:
    """It goes as an empty text; an empty answer is no step at all."""
    assert to_steps([HumanMessage(""), HumanMessage([]), AIMessage("")]) == [user(text("")), user(text(""))]


@pytest.mark.covers("langgraph:messages:foreign")
def test_what_another_model_said_is_quoted_with_its_author() -> None:
    """A foreign answer is a user_input of its own under the header, its media after it; its thinking stays out."""
    messages = [
        HumanMessage("weather?"),
        foreign(
            [
                {"type": "thinking", "thinking": "secret", "signature": "sig"},
                text("It is sunny."),
                {"type": "image", "base64": PNG, "mime_type": "image/png"},
            ]
        ),
        AIMessage("Rain.", name="rainman"),
        AIMessage("Snow.", response_metadata={"model_provider": "mystery"}),
    ]
    assert to_steps(messages)[1:] == [
        user(text(QUOTE_HEADER.format(author="gpt-9 (openai)") + "\nIt is sunny."), IMAGE),
        user(text(QUOTE_HEADER.format(author="rainman") + "\nRain.")),
        user(text(QUOTE_HEADER.format(author="mystery") + "\nSnow.")),
    ]


@pytest.mark.covers("langgraph:messages:author")
def test_who_said_it_is_read_from_anchor_vendor_and_name() -> None:
    """An answer of this API without an anchor, and one that names nobody, count as the session's own."""
    ours = {"model_provider": PROVIDER, "model_name": "gemini-x", "id": "v1_1"}
    anchor = {ANCHOR: {"session": "other"}}
    messages: list[BaseMessage] = [
        AIMessage("a"),
        AIMessage("a", name="Ann"),
        AIMessage("a", response_metadata=ours, name="Ann"),
        AIMessage("a", response_metadata=ours, additional_kwargs=anchor),
        AIMessage("a", response_metadata=ours, additional_kwargs=anchor, name="Ann"),
        AIMessage("a", response_metadata={"model_provider": "openai"}),
    ]
    history = to_history(messages)
    assert [message.author for message in history] == [
        *(None, "Ann", None),
        *(f"gemini-x ({PROVIDER})", "Ann", "openai"),
    ]
    assert [message.is_foreign(SESSION) for message in history] == [False, True, False, True, True, True]
    assert [message.is_foreign("other") for message in history] == [False, True, False, False, False, True]
    assert [message.interaction for message in history] == [None, None, "v1_1", "v1_1", "v1_1", None]


@pytest.mark.covers("langgraph:messages:number")
def test_messages_keep_their_place_in_the_callers_list() -> None:
    """System messages are no part of the history, and a message of results and words is several."""
    messages = [
        SystemMessage("Be brief."),
        HumanMessage([{"type": "tool_result", "tool_use_id": "a", "content": "1"}, text("and now?")]),
        HumanMessage("x"),
    ]
    assert [(message.role, message.number) for message in to_history(messages)] == [
        ("tool", 1),
        ("user", 1),
        ("user", 2),
    ]


@pytest.mark.covers("sessions:digest")
def test_the_digest_sees_no_form_of_langchains() -> None:
    """Ids, cache marks, indexes, usage, names of authors, and a text as one or as blocks make no difference; a word does."""

    def digest(*messages: BaseMessage) -> str:
        value = Digest()
        for message in to_history(messages):
            value.add(message)
        return value.value

    call = {"name": "f", "args": {"x": 1}, "id": "c"}
    plain = [HumanMessage("x"), AIMessage("y", tool_calls=[call]), ToolMessage("z", tool_call_id="c")]
    mark = {"cache_control": {"type": "ephemeral"}, "index": 3, "id": "lc_1", "annotations": []}
    usage: Any = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    dressed = [
        HumanMessage([{**text("x"), **mark}], id="1", name="Ann"),
        AIMessage([{**text("y"), **mark}], tool_calls=[call], id="2", usage_metadata=usage, name="Bob"),
        ToolMessage([text("z")], tool_call_id="c", id="3", name="f"),
    ]
    assert digest(*plain) == digest(*dressed)
    assert digest(*plain) != digest(*plain[:2], ToolMessage("Z", tool_call_id="c"))


@pytest.mark.covers("langgraph:messages:content")
def test_a_refusal_of_openai_is_a_text() -> None:
    """What a model said is not lost because its vendor has a word of its own for it."""
    assert to_history([foreign([{"type": "refusal", "refusal": "No."}])])[0].content == [text("No.")]


@pytest.mark.covers("langgraph:messages:content")
def test_an_answer_of_this_api_that_was_edited_into_another_vendors_form_is_read() -> None:
    """Its translation is made of its content, and not the other way round as well."""
    edited = AIMessage(["See.", {"type": "dream"}], response_metadata={"model_provider": "google_interactions"})
    assert to_history([edited])[0].content == [text("See.")]
    assert edited.content_blocks == [{"type": "text", "text": "See."}, {"type": "dream"}]
    versioned = edited.model_copy(update={"response_metadata": {"output_version": "v1"}})
    assert to_history([versioned])[0].content[0] == text("See.")
