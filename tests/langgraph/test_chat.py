"""`ChatInteractions` against the embedded service, in this process and over HTTP, streamed and not."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel, Field, ValidationError

from bridge.backends.local import LocalBackend
from bridge.connect import sync_backend
from bridge.errors import BadRequest, InteractionFailed, InvalidRequest, NotConfigured, NotFound
from bridge.langgraph import ChatInteractions
from bridge.langgraph.messages import ANCHOR, PROVIDER

from .conftest import Service, reached


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


async def ask(model: Any, messages: list[BaseMessage], streaming: bool, **kwargs: Any) -> AIMessage:
    """The answer, streamed and merged or at once."""
    if not streaming:
        answer: AIMessage = await model.ainvoke(messages, **kwargs)
        return answer
    whole: AIMessageChunk | None = None
    async for chunk in model.astream(messages, **kwargs):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    return whole


@pytest.mark.covers("langgraph:chat:answer")
async def test_an_answer_has_text_id_status_model_and_usage(service: Service, streaming: bool) -> None:
    """What a caller reads of an answer, streamed or not, sync or async."""
    answer = await ask(service.chat(), [HumanMessage("My name is Ann.")], streaming)
    assert isinstance(answer.content, str)
    assert "Ann" in answer.content
    assert answer.id == answer.response_metadata["id"]
    assert answer.response_metadata["id"].startswith("v1_")
    assert answer.response_metadata == {
        "id": answer.id,
        "status": "completed",
        "model_name": "local-gemini-3.8-flash",
        "model_provider": PROVIDER,
    }
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] > 0
    assert answer.usage_metadata["output_token_details"]["reasoning"] > 0


@pytest.mark.covers("langgraph:chat:one-path")
async def test_streamed_and_unstreamed_answers_are_equal(service: Service) -> None:
    """The same question gets the same message, but for ids and what is made of them."""
    model = service.chat().bind_tools([get_weather])
    for prompt in ("My name is Ann.", 'Call get_weather with city="Oslo"'):
        whole = await ask(model, [HumanMessage(prompt)], streaming=False)
        merged = await ask(model, [HumanMessage(prompt)], streaming=True)
        assert merged.content == whole.content
        assert [(c["name"], c["args"]) for c in merged.tool_calls] == [(c["name"], c["args"]) for c in whole.tool_calls]
        assert merged.usage_metadata == whole.usage_metadata
        assert merged.response_metadata.keys() == whole.response_metadata.keys()
        assert merged.additional_kwargs[ANCHOR].keys() == whole.additional_kwargs[ANCHOR].keys()


@pytest.mark.covers("langgraph:chat:chained")
async def test_the_server_keeps_the_conversation_and_gets_only_what_is_new(service: Service, streaming: bool) -> None:
    """Three turns: each sends one step and the id before it, and the server remembers the first."""
    model = service.chat()
    messages: list[BaseMessage] = [SystemMessage("Be brief.")]
    for text in ("The budget is 500.", "The team is small.", "What did I say the budget is?"):
        messages += [HumanMessage(text)]
        messages += [await ask(model, messages, streaming)]
    assert "500" in str(messages[-1].content)
    assert service.texts() == [["The budget is 500."], ["The team is small."], ["What did I say the budget is?"]]
    ids = [message.id for message in messages if isinstance(message, AIMessage)]
    assert [request.get("previous_interaction_id") for request in service.sent] == [None, *ids[:-1]]
    assert [request["system_instruction"] for request in service.sent] == ["Be brief."] * 3
    assert all("store" not in request for request in service.sent)


@pytest.mark.covers("langgraph:chat:resent")
async def test_tools_and_settings_are_sent_with_every_turn(service: Service, streaming: bool) -> None:
    """The API inherits none of them; results answer the calls of the turn before."""
    model = service.chat(temperature=0.5, labels={"team": "a"}, thinking_level="low").bind_tools([get_weather])
    messages: list[BaseMessage] = [HumanMessage('Call get_weather with city="Oslo"')]
    call = await ask(model, messages, streaming)
    assert call.response_metadata["status"] == "requires_action"
    assert [(c["name"], c["args"]) for c in call.tool_calls] == [("get_weather", {"city": "Oslo"})]
    messages += [call, ToolMessage("sunny", tool_call_id=call.tool_calls[0]["id"])]
    answer = await ask(model, messages, streaming)
    assert "sunny" in str(answer.content)
    first, second = service.sent
    assert second["previous_interaction_id"] == call.id
    assert second["input"] == [
        {"type": "function_result", "call_id": call.tool_calls[0]["id"], "name": "get_weather", "result": "sunny"}
    ]
    same = ("model", "tools", "generation_config", "labels")
    assert {name: first[name] for name in same} == {name: second[name] for name in same}
    assert first["generation_config"] == {"temperature": 0.5, "thinking_level": "low"}


@pytest.mark.covers("langgraph:chat:edited")
async def test_an_edited_history_is_told_anew(service: Service, streaming: bool) -> None:
    """The server never answers from words that the graph no longer shows."""
    model = service.chat()
    messages: list[BaseMessage] = [HumanMessage("The budget is 500.")]
    messages += [await ask(model, messages, streaming)]
    messages[0] = HumanMessage("The budget is 700.")
    answer = await ask(model, [*messages, HumanMessage("What did I say the budget is?")], streaming)
    assert "700" in str(answer.content)
    assert "previous_interaction_id" not in service.sent[-1]
    assert [step["type"] for step in service.sent[-1]["input"]] == [
        "user_input",
        "thought",
        "model_output",
        "user_input",
    ]


@pytest.mark.covers("langgraph:replay:steps")
async def test_a_replay_sends_our_own_steps_untouched(service: Service, streaming: bool) -> None:
    """Thought signatures go back as they came."""
    model = service.chat()
    first = await ask(model, [HumanMessage("hello")], streaming)
    await ask(model, [HumanMessage("hello!"), first, HumanMessage("again")], streaming)
    stored = await service.backend.get(str(first.id))
    assert service.sent[-1]["input"][1:-1] == [step.to_wire() for step in stored.steps or []]
    assert service.sent[-1]["input"][1]["signature"]


@pytest.mark.covers("langgraph:replay:gone")
async def test_a_parent_that_is_gone_is_replaced_once_and_logged(
    service: Service, streaming: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Deleted or expired at the service: everything is sent once as a new chain, and the log says why."""
    model = service.chat()
    messages: list[BaseMessage] = [HumanMessage("The budget is 500.")]
    messages += [await ask(model, messages, streaming)]
    await service.backend.delete(str(messages[1].id))
    messages += [HumanMessage("What did I say the budget is?")]
    with caplog.at_level(logging.WARNING, "bridge.langgraph"):
        answer = await ask(model, messages, streaming)
    assert "500" in str(answer.content)
    assert ["previous_interaction_id" in request for request in service.sent] == [False, True, False]
    assert [str(messages[1].id) in record.message for record in caplog.records] == [True]
    follow = await ask(model, [*messages, answer, HumanMessage("thanks")], streaming)
    assert service.sent[-1]["previous_interaction_id"] == answer.id
    assert follow.id


@pytest.mark.covers("langgraph:replay:gone")
async def test_a_404_that_is_not_about_the_parent_is_raised(service: Service, streaming: bool) -> None:
    """An id named by the caller is the caller's: nothing is replayed."""
    with pytest.raises(NotFound):
        await ask(service.chat(), [HumanMessage("hi")], streaming, previous_interaction_id="v1_unknown")
    assert len(service.sent) == 1


@pytest.mark.covers("langgraph:replay:gone")
def test_a_parent_that_is_gone_is_replaced_without_an_event_loop_too(
    service_in_thread: Service, streaming: bool
) -> None:
    """Once, streamed and not; a second 404 would be raised."""
    model = service_in_thread.chat()
    messages: list[BaseMessage] = [HumanMessage("The budget is 500.")]
    messages += [model.invoke(messages)]
    sync_backend(service_in_thread.backend).delete(str(messages[1].id))
    messages += [HumanMessage("What did I say the budget is?")]
    text = "".join(str(c.content) for c in model.stream(messages)) if streaming else model.invoke(messages).content
    assert "500" in text
    assert ["previous_interaction_id" in request for request in service_in_thread.sent] == [False, True, False]
    with pytest.raises(NotFound):
        list(model.stream("hi", previous_interaction_id="v1_unknown")) if streaming else model.invoke(
            "hi", previous_interaction_id="v1_unknown"
        )


@pytest.mark.covers("langgraph:replay:gone")
async def test_a_second_404_is_raised(service: Service, streaming: bool) -> None:
    """It was not about the parent: one replay, never another."""
    first = await service.chat().ainvoke("hi")
    model = service.chat(environment="no-such-environment")
    with pytest.raises(NotFound):
        await ask(model, [HumanMessage("hi"), first, HumanMessage("again")], streaming)
    assert ["previous_interaction_id" in request for request in service.sent] == [False, True, False]


@pytest.mark.covers("langgraph:replay:gone")
def test_a_second_404_is_raised_without_an_event_loop_too(service_in_thread: Service, streaming: bool) -> None:
    """As with one."""
    first = service_in_thread.chat().invoke("hi")
    model = service_in_thread.chat(environment="no-such-environment")
    messages = [HumanMessage("hi"), first, HumanMessage("again")]
    with pytest.raises(NotFound):
        list(model.stream(messages)) if streaming else model.invoke(messages)
    assert len(service_in_thread.sent) == 3


@pytest.mark.covers("langgraph:chat:explicit-parent")
async def test_a_call_may_name_its_parent(service: Service) -> None:
    """Then what follows that answer is sent, or, where it is not among the messages, all of them."""
    model = service.chat()
    first = await model.ainvoke("The budget is 500.")
    second = await model.ainvoke("What did I say the budget is?", previous_interaction_id=first.id)
    assert "500" in str(second.content)
    await model.ainvoke(
        [HumanMessage("x"), first, HumanMessage("other"), second, HumanMessage("y")], previous_interaction_id=first.id
    )
    assert service.sent[-1]["previous_interaction_id"] == first.id
    assert service.texts()[1] == ["What did I say the budget is?"]
    assert service.texts()[2][0] == "other"


@pytest.mark.covers("langgraph:chat:off")
async def test_with_the_session_off_nothing_is_stored_and_everything_is_sent(service: Service, streaming: bool) -> None:
    """No id comes back, `store` is false, and the conversation still works."""
    model = service.chat(session="off")
    messages: list[BaseMessage] = [HumanMessage("The budget is 500.")]
    messages += [await ask(model, messages, streaming)]
    messages += [HumanMessage("What did I say the budget is?")]
    answer = await ask(model, messages, streaming)
    assert "500" in str(answer.content)
    assert "id" not in answer.response_metadata
    assert [request["store"] for request in service.sent] == [False, False]
    assert "previous_interaction_id" not in service.sent[1]
    assert [step["type"] for step in service.sent[1]["input"]] == [
        "user_input",
        "thought",
        "model_output",
        "user_input",
    ]


@pytest.mark.covers("langgraph:chat:foreign")
async def test_another_models_words_reach_the_server_once_as_a_quotation(service: Service) -> None:
    """They are sent as what another speaker said, after the session's own answer, and not again."""
    model = service.chat()
    messages: list[BaseMessage] = [HumanMessage("hello")]
    messages += [await model.ainvoke(messages)]
    messages += [AIMessage("The sky is green.", response_metadata={"model_provider": "openai", "model_name": "gpt-9"})]
    messages += [HumanMessage("Is that so?")]
    messages += [await model.ainvoke(messages)]
    await model.ainvoke([*messages, HumanMessage("thanks")])
    assert [step["type"] for step in service.sent[1]["input"]] == ["user_input", "user_input"]
    assert "gpt-9" in service.texts()[1][0]
    assert "The sky is green." in service.texts()[1][0]
    assert service.texts()[2] == ["thanks"]


@pytest.mark.covers("langgraph:chat:session-name")
async def test_two_sessions_of_one_graph_are_two_conversations(service: Service) -> None:
    """Each follows its own answers and quotes the other's."""
    one, two = service.chat(session_name="one"), service.chat(session_name="two")
    messages: list[BaseMessage] = [HumanMessage("hello")]
    messages += [await one.ainvoke(messages)]
    messages += [await two.ainvoke(messages)]
    messages += [HumanMessage("and now?")]
    await one.ainvoke(messages)
    assert "previous_interaction_id" not in service.sent[1]
    assert service.sent[2]["previous_interaction_id"] == messages[1].id
    assert [text.startswith("[Quoted:") for text in service.texts()[2]] == [True, False]


@pytest.mark.covers("langgraph:chat:nothing-new")
async def test_asking_again_with_nothing_new_is_refused(service: Service) -> None:
    """The API needs an input; the error says what to do."""
    model = service.chat()
    answer = await model.ainvoke("hi")
    with pytest.raises(InvalidRequest, match="add a message"):
        await model.ainvoke([HumanMessage("hi"), answer])


@pytest.mark.covers("langgraph:chat:status")
@pytest.mark.parametrize("status", ["incomplete", "budget_exceeded"])
async def test_a_partial_turn_is_an_answer_with_its_status(service: Service, streaming: bool, status: str) -> None:
    """The text that was paid for is there."""
    answer = await ask(service.chat(labels={"local-status": status}), [HumanMessage("hello")], streaming)
    assert answer.response_metadata["status"] == status
    assert answer.content


@pytest.mark.covers("langgraph:chat:status")
@pytest.mark.parametrize("status", ["failed", "cancelled"])
async def test_a_failed_turn_raises_with_its_interaction(service: Service, streaming: bool, status: str) -> None:
    """The id is in the error, so that it can be looked at."""
    with pytest.raises(InteractionFailed, match=status) as failure:
        await ask(service.chat(labels={"local-status": status}), [HumanMessage("hello")], streaming)
    assert failure.value.interaction.id.startswith("v1_")
    assert failure.value.errors == list(failure.value.interaction.errors or [])
    assert bool(failure.value.errors) == (status == "failed")


@pytest.mark.covers("langgraph:chat:errors")
async def test_a_refused_request_is_a_typed_error(service: Service, streaming: bool) -> None:
    """What the service says reaches the caller, streamed or not."""
    with pytest.raises(BadRequest, match="google_maps"):
        await ask(service.chat(tools=[{"type": "google_maps"}]), [HumanMessage("hello")], streaming)


class Person(BaseModel):
    """A person."""

    name: str = Field(description="The name.")
    age: int


@pytest.mark.covers("langgraph:structured:methods")
@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
async def test_a_structured_answer_has_the_form_of_its_schema(service: Service, method: Any) -> None:
    """A class gives instances, a schema gives dicts, with the raw answer beside it where asked for."""
    prompt = (
        'Call Person with name="Ann" and age=7'
        if method == "function_calling"
        else 'A person with name="Ann", age=7 as JSON'
    )
    if method == "json_mode":
        raw = await service.chat().with_structured_output(None, method=method).ainvoke(prompt)
        assert isinstance(raw, dict)
        return
    model = service.chat().with_structured_output(Person, method=method)
    assert isinstance(await model.ainvoke(prompt), Person)
    as_dict = await service.chat().with_structured_output(Person.model_json_schema(), method=method).ainvoke(prompt)
    assert Person(**as_dict)
    both = await service.chat().with_structured_output(Person, method=method, include_raw=True).ainvoke(prompt)
    assert isinstance(both["raw"], AIMessage)
    assert isinstance(both["parsed"], Person)
    assert both["parsing_error"] is None


@pytest.mark.covers("langgraph:structured:methods")
async def test_what_does_not_parse_is_kept_beside_its_error(service: Service) -> None:
    """With `include_raw` nothing raises and the answer is not lost."""
    model = service.chat().with_structured_output(Person, method="json_mode", include_raw=True)
    both = await model.ainvoke("anything")
    assert both["parsed"] is None
    assert both["parsing_error"] is not None
    assert isinstance(both["raw"], AIMessage)


@pytest.mark.covers("langgraph:structured:methods")
@pytest.mark.parametrize(("schema", "method"), [(Person, "telepathy"), (None, "json_schema")])
def test_an_impossible_structured_output_is_refused(schema: Any, method: Any) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidRequest):
        ChatInteractions(model="m", backend="local").with_structured_output(schema, method=method)


@pytest.mark.covers("langgraph:structured:formats")
async def test_an_openai_response_format_in_bind_tools_is_translated(service: Service) -> None:
    """As `create_agent` passes it."""
    schema = Person.model_json_schema()
    form = {"type": "json_schema", "json_schema": {"name": "Person", "schema": schema, "strict": True}}
    model = service.chat().bind_tools([get_weather], strict=True, response_format=form, tool_choice="none")
    await model.ainvoke("hello")
    assert service.sent[0]["response_format"] == {"type": "text", "mime_type": "application/json", "schema": schema}
    assert service.sent[0]["generation_config"] == {"tool_choice": "none"}


@pytest.mark.covers("langgraph:chat:request")
async def test_settings_and_those_of_a_call_reach_the_request(service: Service) -> None:
    """Those of the call win; tools of the model stand before those that are bound."""
    model = service.chat(
        temperature=0.1,
        max_tokens=500,
        stop=["END"],
        thinking_summaries="auto",
        generation_config={"seed": 7, "temperature": 0.9},
        tools=[{"type": "code_execution"}],
        service_tier="standard",
        safety_settings=[{"type": "harassment", "threshold": "block_none"}],
    )
    await model.bind_tools([get_weather]).ainvoke(
        "hello", temperature=0.2, max_tokens=400, top_p=0.5, generation_config={"seed": 8}, model="other", stop=["X"]
    )
    request = service.sent[0]
    assert request["model"] == "other"
    assert request["generation_config"] == {
        "seed": 8,
        "temperature": 0.2,
        "max_output_tokens": 400,
        "thinking_summaries": "auto",
        "top_p": 0.5,
        "stop_sequences": ["X"],
    }
    assert [t.get("name", t["type"]) for t in request["tools"]] == ["code_execution", "get_weather"]
    assert request["service_tier"] == "standard"
    assert request["safety_settings"] == [{"type": "harassment", "threshold": "block_none"}]


@pytest.mark.covers("langgraph:chat:environment")
async def test_code_runs_in_an_environment_that_the_answer_names(service: Service, streaming: bool) -> None:
    """Its id is in the metadata, and what was run shows as blocks."""
    model = service.chat(tools=[{"type": "code_execution"}], environment="remote")
    answer = await ask(model, [HumanMessage("```python\nprint(6 * 7)\n```")], streaming)
    assert answer.response_metadata["environment_id"]
    assert "42" in str(answer.content)
    kinds = [block["type"] for block in answer.content_blocks]
    assert kinds[-3:] == ["server_tool_call", "server_tool_result", "text"]
    assert model.cache is False


@pytest.mark.covers("langgraph:chat:v1")
async def test_with_output_version_v1_the_content_is_blocks(service: Service, streaming: bool) -> None:
    """And the next turn still follows it."""
    model = service.chat(output_version="v1", thinking_summaries="auto", tools=[{"type": "code_execution"}])
    messages: list[BaseMessage] = [HumanMessage("```python\nprint(6 * 7)\n```")]
    answer = await ask(model, messages, streaming)
    assert [block["type"] for block in answer.content if isinstance(block, dict)] == [
        "reasoning",
        "server_tool_call",
        "server_tool_result",
        "text",
    ]
    await ask(model, [*messages, answer, HumanMessage("thanks")], streaming)
    assert service.sent[-1]["previous_interaction_id"] == answer.id


@pytest.mark.covers("langgraph:chat:v3")
@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")  # it is in beta
async def test_the_events_of_the_third_protocol_carry_the_anchor(service: Service) -> None:
    """A message made of them is followed like any other."""
    model = service.chat()
    stream = await model.astream_events("The budget is 500.", version="v3")
    message = await stream.output
    answer = await model.ainvoke(
        [HumanMessage("The budget is 500."), message, HumanMessage("What did I say the budget is?")]
    )
    assert "500" in str(answer.content)
    assert service.texts()[1] == ["What did I say the budget is?"]


@pytest.mark.covers("langgraph:chat:agent")
async def test_a_managed_agent_answers_through_the_same_class(service: Service, streaming: bool) -> None:
    """Its own file tools are no tool calls of the caller's."""
    model = service.chat(agent="antigravity-preview-09-2026", environment="remote")
    answer = await ask(model, [HumanMessage("Write hello to notes.txt")], streaming)
    assert answer.tool_calls == []
    assert answer.content
    assert answer.response_metadata["environment_id"]
    assert answer.response_metadata["model_name"] == "antigravity-preview-09-2026"
    assert service.sent[0]["agent"] == "antigravity-preview-09-2026"
    assert "generation_config" not in service.sent[0]
    assert model.profile is not None
    assert not model.profile["tool_choice"]


@pytest.mark.covers("langgraph:chat:agent")
@pytest.mark.parametrize(
    "settings", [{"temperature": 0.1}, {"max_tokens": 5}, {"stop": ["x"]}, {"thinking_level": "low"}]
)
async def test_generation_settings_do_not_go_with_an_agent(service: Service, settings: dict[str, Any]) -> None:
    """They are refused by name before anything is sent; a free tool choice is what agents do anyway."""
    model = service.chat(agent="antigravity-preview-09-2026", environment="remote", **settings)
    with pytest.raises(InvalidRequest, match="generation settings"):
        await model.ainvoke("hi")
    assert service.sent == []


@pytest.mark.covers("langgraph:chat:agent")
async def test_a_free_tool_choice_goes_with_an_agent(service: Service) -> None:
    """It is what agents do anyway, so it is not sent."""
    model = service.chat(agent="antigravity-preview-09-2026", environment="remote")
    await model.bind_tools([get_weather], tool_choice="auto").ainvoke("hello")
    assert "generation_config" not in service.sent[0]


@pytest.mark.covers("langgraph:chat:refused")
@pytest.mark.parametrize("name", ["background", "n", "store", "presence_penalty"])
async def test_a_setting_that_a_call_does_not_take_is_refused(service: Service, name: str) -> None:
    """By name, with what there is."""
    with pytest.raises(InvalidRequest, match=f"no {name};"):
        await service.chat().bind(**{name: 1}).ainvoke("hi")
    assert service.sent == []


@pytest.mark.covers("langgraph:chat:setup")
@pytest.mark.parametrize("names", [{}, {"model": "m", "agent": "a"}])
def test_exactly_one_of_model_and_agent_is_named(names: dict[str, str]) -> None:
    """Both or neither is an error that says so."""
    with pytest.raises(InvalidRequest, match=r"model=\.\.\. or agent=\.\.\."):
        ChatInteractions(backend="local", **names)


@pytest.mark.covers("langgraph:chat:setup")
def test_without_anything_to_talk_to_the_error_names_three_ways() -> None:
    """Key, base URL or backend; the embedded service is never chosen silently."""
    with pytest.raises(NotConfigured) as refusal:
        ChatInteractions(model="m")
    assert all(way in str(refusal.value) for way in ("GEMINI_API_KEY", "base_url", "backend=LocalBackend()"))


@pytest.mark.covers("langgraph:chat:setup")
def test_the_key_is_read_from_the_environment_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """GOOGLE_API_KEY wins; the key is in no text of the model."""
    monkeypatch.setenv("GEMINI_API_KEY", "gemini-secret")
    model = ChatInteractions(model="m")
    assert model.api_key is not None
    assert model.api_key.get_secret_value() == "gemini-secret"
    monkeypatch.setenv("GOOGLE_API_KEY", "google-secret")
    model = ChatInteractions(model="m")
    assert model.api_key is not None
    assert model.api_key.get_secret_value() == "google-secret"
    shown = f"{model!r} {model} {model._identifying_params} {model.model_dump()}"
    assert "secret" not in shown.replace("SecretStr", "")


@pytest.mark.covers("langgraph:chat:setup")
def test_a_ready_backend_takes_no_key_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """One given beside it is refused; one in the environment is not for it."""
    monkeypatch.setenv("GEMINI_API_KEY", "secret")
    ready = LocalBackend()
    assert ChatInteractions(model="m", backend=ready, timeout=5, max_retries=1).model == "m"
    with pytest.raises(NotConfigured):
        ChatInteractions(model="m", backend=ready, api_key="key")
    with pytest.raises(NotConfigured):
        ChatInteractions(model="m", backend=ready, base_url="http://127.0.0.1:9")


@pytest.mark.covers("langgraph:chat:setup")
def test_an_unknown_parameter_is_refused() -> None:
    """A typo does not silently change nothing."""
    with pytest.raises(ValidationError, match="temprature"):
        ChatInteractions(model="m", backend="local", temprature=1)  # type: ignore[call-arg]


@pytest.mark.covers("langgraph:chat:cache-key")
def test_the_cache_key_holds_all_that_an_answer_depends_on() -> None:
    """Two configurations never share a cached answer."""
    backend = LocalBackend()
    settings: list[dict[str, Any]] = [
        {},
        {"session": "off"},
        {"session_name": "x"},
        {"temperature": 0.1},
        {"max_tokens": 5},
        {"stop": ["x"]},
        {"thinking_level": "low"},
        {"generation_config": {"seed": 1}},
        {"tools": [{"type": "code_execution"}]},
        {"response_format": {"type": "json_object"}},
        {"labels": {"a": "b"}},
        {"environment": "e"},
    ]
    models = [ChatInteractions(model="m", backend=backend, **given) for given in settings]
    models += [ChatInteractions(model="n", backend=backend), ChatInteractions(model="m", backend=LocalBackend())]
    assert len({model._get_llm_string() for model in models}) == len(models)
    assert ChatInteractions.is_lc_serializable() is False


@pytest.mark.covers("langgraph:chat:no-cache")
def test_a_cache_does_not_go_with_what_does_work() -> None:
    """An agent's answer and an environment's are never taken from a cache, and asking for one is refused."""
    for named in ({"agent": "a"}, {"model": "m", "environment": "remote"}):
        assert ChatInteractions(backend=LocalBackend(), **named).cache is False
        with pytest.raises(InvalidRequest, match="leave out cache"):
            ChatInteractions(backend=LocalBackend(), cache=True, **named)


@pytest.mark.covers("langgraph:chat:loops")
@pytest.mark.parametrize("how", ["local", "http"])
def test_one_model_serves_several_loops_and_threads(how: str, tmp_path: Path) -> None:
    """Two event loops one after the other, several at once in threads, and plain calls in threads, all with one object."""
    with reached(how, LocalBackend(tmp_path)) as service:
        model = service.chat()

        async def once() -> str:
            first, second = await asyncio.gather(
                model.ainvoke("My name is Ann."), ask(model, [HumanMessage("My name is Bob.")], streaming=True)
            )
            return f"{first.content} {second.content}"

        def in_a_loop(_: int) -> str:
            return asyncio.run(once())

        with ThreadPoolExecutor() as pool:
            found = [in_a_loop(0), in_a_loop(1), *pool.map(in_a_loop, range(3))]
        assert ["Ann" in text and "Bob" in text for text in found] == [True] * 5
        assert all("Cid" in str(answer.content) for answer in model.batch(["My name is Cid."] * 4))
        assert "Dan" in "".join(str(chunk.content) for chunk in model.stream("My name is Dan."))
        asyncio.run(service.backend.aclose())
        asyncio.run(service.local.aclose())


@pytest.mark.covers("langgraph:surface")
def test_each_public_name_resolves() -> None:
    """And an unknown one is an AttributeError."""
    import bridge.langgraph as room

    assert {getattr(room, name).__name__ for name in room.__all__} == set(room.__all__)
    assert set(room.__all__) <= set(dir(room))
    with pytest.raises(AttributeError, match="nothing"):
        _ = room.nothing
