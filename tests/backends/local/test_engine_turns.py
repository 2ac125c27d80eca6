"""Turns of the embedded service: what is answered, streamed, counted and remembered."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest

from bridge import Backend, assemble
from bridge.backends.local import LocalBackend, ScriptedResponder
from bridge.errors import BadRequest, InvalidRequest, NotFound, ServiceFailed
from bridge.interactions import NOT_STREAMED, Interaction

from .service import THOUGHT, Gate, call, function, result, text

Service = Callable[..., Any]
LONG = "One two three four five six seven eight nine ten. " * 40
EVERY_STEP: list[Any] = [
    {"type": "thought", "summary": [{"type": "text", "text": "First."}], "signature": "c2ln"},
    {"type": "code_execution_call", "id": "code0001", "arguments": {"code": "print(1)", "language": "python"}},
    {"type": "code_execution_result", "call_id": "code0001", "result": "1\n", "is_error": False, "signature": "c2ln"},
    call("read_file", "file0001", path="/workspace/a.csv"),
    {
        "type": "function_result",
        "call_id": "file0001",
        "name": "read_file",
        "result": [{"type": "text", "text": "a,b"}],
    },
    {"type": "google_search_call", "id": "srch0001", "arguments": {"queries": ["x"]}, "search_type": "web_search"},
    {"type": "google_search_result", "call_id": "srch0001", "result": [{"search_suggestions": "<p>"}]},
    {"type": "mcp_server_tool_call", "id": "mcp00001", "name": "t", "server_name": "s", "arguments": {"a": 1}},
    {"type": "mcp_server_tool_result", "call_id": "mcp00001", "name": "t", "server_name": "s", "result": "r"},
    {
        "type": "model_output",
        "content": [
            {"type": "text", "text": LONG, "annotations": [{"type": "url_citation", "url": "http://127.0.0.1/"}]},
            {"type": "image", "data": "aWk=", "mime_type": "image/png"},
            {"type": "text", "text": "5"},
        ],
    },
    {"type": "a_step_of_the_future", "id": "next0001", "payload": {"x": [1]}},
    {"type": "model_output", "content": [], "error": {"code": 13, "message": "Blocked."}},
]


def streamed(interaction: Interaction) -> dict[str, Any]:
    """What of an interaction travels in its stream."""
    return {name: value for name, value in interaction.to_wire().items() if name not in NOT_STREAMED}


async def collect(stream: Any) -> list[Any]:
    return [event async for event in stream]


@pytest.mark.covers("local:create")
async def test_an_answer_names_its_model_as_local_and_has_the_fields_of_the_real_one(
    service: Service, clock: Any
) -> None:
    """Status, steps, usage, times, tier and object are there; the model is not passed off as the one asked for."""
    backend = service([THOUGHT, text("Hello.")], clock=clock)
    answer = (await backend.create(model="gemini-3.8-flash", input="Hi")).to_wire()
    assert answer.pop("id").startswith("v1_")
    assert answer.pop("usage")["total_tokens"] > 0
    assert answer == {
        "status": "completed",
        "object": "interaction",
        "model": "local-gemini-3.8-flash",
        "steps": [THOUGHT, text("Hello.")],
        "created": "2027-01-15T08:00:00Z",
        "updated": "2027-01-15T08:00:00Z",
        "service_tier": "standard",
    }


@pytest.mark.covers("local:create:ids")
async def test_ids_carry_the_first_turn_of_their_chain_and_their_own(service: Service) -> None:
    """The real layout: base64url of a protobuf with the chain's root and the turn's own id."""
    backend = service([text("a")], [text("b")], [text("c")])

    def parts(id: str) -> tuple[bytes, bytes]:
        packed = base64.urlsafe_b64decode(id[3:] + "=" * (-len(id[3:]) % 4))
        root, own = packed[2:25], packed[27:]
        assert packed == b"\x0a\x17" + root + b"\x12\x17" + own
        return root, own

    first = await backend.create(model="m", input="1")
    second = await backend.create(model="m", input="2", previous_interaction_id=first.id)
    third = await backend.create(model="m", input="3", previous_interaction_id=second.id)
    (root, own), *later = (parts(turn.id) for turn in (first, second, third))
    assert root == own
    assert {root} == {each for each, _ in later}
    assert len({own, *(each for _, each in later)}) == 3


@pytest.mark.covers("local:create:usage")
async def test_usage_adds_up_and_says_what_was_used_for_what(service: Service) -> None:
    """Input by modality, output, thought and tool use; the total is their sum."""
    backend = service(EVERY_STEP)
    media = {"type": "image", "data": "aWk=", "mime_type": "image/png"}
    turn = await backend.create(
        model="m", input=[{"type": "text", "text": "How many?"}, media], system_instruction="Count."
    )
    usage = turn.to_wire()["usage"]
    assert usage["total_tokens"] == sum(
        usage[f"total_{part}_tokens"] for part in ("input", "output", "thought", "tool_use")
    )
    assert usage["input_tokens_by_modality"] == [
        {"modality": "image", "tokens": 258},
        {"modality": "text", "tokens": 6},
    ]
    assert usage["total_input_tokens"] == 264
    assert all(usage[f"total_{part}_tokens"] > 0 for part in ("output", "thought", "tool_use"))
    assert usage["tool_use_tokens_by_modality"] == [{"modality": "text", "tokens": usage["total_tool_use_tokens"]}]


@pytest.mark.covers("local:stream")
async def test_a_stream_opens_goes_step_by_step_and_closes_with_its_id_and_usage(service: Service) -> None:
    """created, status, then start, deltas and stop of each step, then completed without steps."""
    backend = service([THOUGHT, text("Hello there, you.")])
    events = await collect(backend.stream(model="m", input="Hi"))
    kinds = [event.event_type for event in events]
    assert kinds == [
        "interaction.created",
        "interaction.status_update",
        *("step.start", "step.delta", "step.stop"),
        *("step.start", "step.delta", "step.delta", "step.stop"),
        "interaction.completed",
    ]
    assert events[0].interaction.status == "in_progress"
    assert events[-1].interaction.id == events[0].interaction.id
    assert events[-1].interaction.usage.total_tokens > 0
    assert not events[-1].interaction.steps


@pytest.mark.covers("local:stream:equals-create")
@pytest.mark.parametrize("in_start", [False, True])
async def test_what_streams_assembles_to_what_create_and_get_answer(
    service: Service, clock: Any, in_start: bool
) -> None:
    """Every kind of step, also one of the future, in both forms of the stream."""
    from bridge.backends.local import Switches

    backend = service(EVERY_STEP, EVERY_STEP, clock=clock, switches=Switches(first_text_in_start=in_start))
    events = await collect(backend.stream(model="m", input="Hi"))
    got = await backend.get(assemble(events).id)
    created = await backend.create(model="m", input="Hi")
    assert streamed(assemble(events)) == streamed(got)
    assert {**streamed(created), "id": ""} == {**streamed(got), "id": ""}
    assert got.to_wire()["steps"] == [
        *EVERY_STEP[:9],
        {
            "type": "model_output",
            "content": [EVERY_STEP[9]["content"][0], EVERY_STEP[9]["content"][1], {"type": "text", "text": "5"}],
        },
        EVERY_STEP[10],
        {"type": "model_output", "error": {"code": 13, "message": "Blocked."}},
    ]


@pytest.mark.covers("local:stream:pieces")
@pytest.mark.parametrize("words", ["", "4", "Yes", "Short answer.", LONG, "x" * 50_000, "  \n lead and trail \n "])
async def test_every_text_streams_in_at_least_two_deltas_and_in_not_too_many(service: Service, words: str) -> None:
    """Joined they are the text, whatever its length and spaces."""
    backend = service([text(words)])
    events = await collect(backend.stream(model="m", input="Hi"))
    pieces = [event.delta.text for event in events if event.event_type == "step.delta"]
    assert 2 <= len(pieces) <= 210
    assert "".join(pieces) == words
    assert assemble(events).output_text == words


@pytest.mark.covers("local:stream:arguments")
async def test_arguments_of_a_call_stream_as_pieces_of_json_text(service: Service) -> None:
    """At least two, and only at the end are they an object."""
    backend = service([call("get_weather", city="Oslo", days=3)], [call("now")])
    events = await collect(backend.stream(model="m", input="Weather?", tools=[function("get_weather")]))
    pieces = [event.delta.arguments for event in events if event.event_type == "step.delta"]
    assert len(pieces) >= 2
    assert "".join(pieces) == '{"city":"Oslo","days":3}'
    start = next(event for event in events if event.event_type == "step.start").to_wire()["step"]
    assert start == {"id": "call0001", "signature": "", "type": "function_call", "name": "get_weather", "arguments": {}}
    assert (
        assemble(await collect(backend.stream(model="m", input="Time?", tools=[function("now")])))
        .pending_calls[0]
        .arguments
        == {}
    )


@pytest.mark.covers("local:stream:text-in-start")
async def test_the_first_piece_of_a_text_can_come_inside_the_start(service: Service) -> None:
    """The other form that the real service was seen to send."""
    from bridge.backends.local import Switches

    backend = service([text("Once upon a time.")], switches=Switches(first_text_in_start=True))
    events = await collect(backend.stream(model="m", input="Tell."))
    start = next(event for event in events if event.event_type == "step.start").to_wire()["step"]
    assert start["content"][0]["text"]
    assert assemble(events).output_text == "Once upon a time."


@pytest.mark.covers("local:get:input")
async def test_get_gives_the_input_steps_only_when_asked(service: Service) -> None:
    """`include_input` puts the turn's own input before the model's steps."""
    backend = service([text("Hello.")])
    turn = await backend.create(model="m", input="Hi")
    assert await backend.get(turn.id) == turn
    steps = (await backend.get(turn.id, include_input=True)).to_wire()["steps"]
    assert steps == [{"type": "user_input", "content": [{"type": "text", "text": "Hi"}]}, text("Hello.")]


@pytest.mark.covers("local:store-off")
async def test_with_store_off_nothing_is_kept_and_no_id_is_given(service: Service) -> None:
    """No id in the answer, empty ids in the stream; such a turn is no parent."""
    backend = service([text("a")], [text("b")])
    assert "id" not in (await backend.create(model="m", input="1", store=False)).to_wire()
    events = await collect(backend.stream(model="m", input="2", store=False))
    assert events[0].interaction.id == events[1].interaction_id == events[-1].interaction.id == ""
    assert not any(event.event_id for event in events)
    with pytest.raises(BadRequest, match="was not stored"):
        await backend.create(model="m", input="3", previous_interaction_id="")
    with pytest.raises(NotFound):
        await backend.get("")


@pytest.mark.covers("local:chain")
async def test_a_turn_knows_the_whole_conversation_before_it(service: Service) -> None:
    """Inputs and answers of all turns of the chain, oldest first, and nothing of other chains."""
    backend = service(*([text(f"answer {n}")] for n in range(3)), [text("other")])
    responder: Any = backend.engine._responder
    first = await backend.create(model="m", input="one")
    await backend.create(model="m", input="elsewhere")
    second = await backend.create(model="m", input="two", previous_interaction_id=first.id)
    assert second.previous_interaction_id == first.id
    last = await backend.create(model="m", input="three", previous_interaction_id=second.id)
    texts = [step.content[0].text for step in responder.turns[-1].history]
    assert texts == ["one", "answer 0", "two", "answer 2"]
    assert last.output_text == "other"


@pytest.mark.covers("local:chain:branch")
async def test_several_turns_may_follow_the_same_parent(service: Service) -> None:
    """A chain of ids that never change is a tree; each branch knows only its own past."""
    backend = service(*([text(f"answer {n}")] for n in range(4)))
    responder: Any = backend.engine._responder
    root = await backend.create(model="m", input="root")
    left, right = await asyncio.gather(
        *(backend.create(model="m", input=side, previous_interaction_id=root.id) for side in ("left", "right"))
    )
    await backend.create(model="m", input="leaf", previous_interaction_id=right.id)
    assert left.id != right.id
    told = [step.content[0].text for step in responder.turns[-1].history if step.type == "user_input"]
    assert told == ["root", "right"]


@pytest.mark.covers("local:chain:parent-gone")
async def test_a_parent_that_is_unknown_or_deleted_is_404(service: Service) -> None:
    """So is any turn further up: a chain with a hole is not continued as if nothing were missing."""
    backend = service(*([text("a")] for _ in range(3)))
    first = await backend.create(model="m", input="1")
    second = await backend.create(model="m", input="2", previous_interaction_id=first.id)
    await backend.delete(first.id)
    for parent in ("v1_nothing", first.id, second.id, "\ud800"):
        with pytest.raises(NotFound) as refused:
            await backend.create(model="m", input="3", previous_interaction_id=parent)
        assert refused.value.code == "not_found"
    for gone in (backend.get, backend.delete, backend.cancel):
        with pytest.raises(NotFound):
            await gone(first.id)
    with pytest.raises(NotFound):
        await collect(backend.watch(first.id))
    assert (await backend.get(second.id)).status == "completed"


@pytest.mark.covers("local:chain:parent-running")
async def test_a_parent_that_still_runs_is_refused(service: Service) -> None:
    """400 with the API's code for a condition that is not met."""
    gate = Gate()
    backend = service(gate.script, [text("later")])
    running = await backend.create(model="m", input="1", background=True)
    with pytest.raises(BadRequest, match="in_progress") as refused:
        await backend.create(model="m", input="2", previous_interaction_id=running.id)
    assert refused.value.code == "failed_precondition"
    gate.open.set()
    await collect(backend.watch(running.id))
    assert (await backend.create(model="m", input="2", previous_interaction_id=running.id)).status == "completed"


@pytest.mark.covers("local:chain:not-inherited")
async def test_settings_of_the_parent_hold_for_the_parent_only(service: Service) -> None:
    """Tools, instruction, generation config and environment are sent anew or are not there."""
    backend = service([text("a")], [text("b")])
    responder: Any = backend.engine._responder
    first = await backend.create(
        model="m",
        input="1",
        tools=[{"type": "code_execution"}, function("f")],
        system_instruction="Be brief.",
        generation_config={"temperature": 0.5},
        environment="remote",
    )
    second = await backend.create(model="m", input="2", previous_interaction_id=first.id)
    turn = responder.turns[-1]
    assert second.environment_id is None
    assert turn.run_python is turn.workspace is turn.request.tools is turn.request.system_instruction is None
    assert turn.request.generation_config is None


@pytest.mark.covers("local:calls")
async def test_several_calls_are_asked_at_once_and_answered_together(service: Service) -> None:
    """`requires_action`, then a new turn that brings all results."""
    backend = service([call("f", "call0001"), call("g", "call0002")], [text("Both done.")])
    tools = [function("f"), function("g")]
    asked = await backend.create(model="m", input="Do both.", tools=tools)
    assert asked.status == "requires_action"
    assert [pending.name for pending in asked.pending_calls] == ["f", "g"]
    done = await backend.create(
        model="m",
        previous_interaction_id=asked.id,
        tools=tools,
        input=[result("call0001", {"n": 1}), result("call0002", "")],
    )
    assert (done.status, done.output_text) == ("completed", "Both done.")


@pytest.mark.covers("local:calls:server-made")
async def test_a_call_that_the_agent_answers_itself_waits_for_nobody(service: Service) -> None:
    """Agents' own file tools are pairs; such a turn is completed, and their results are not asked for."""
    backend = service([call("read_file", "file0001"), result("file0001"), text("Read.")], [text("More.")])
    turn = await backend.create(model="m", input="Read it.")
    assert (turn.status, turn.pending_calls) == ("completed", [])
    with pytest.raises(BadRequest, match="already has its result"):
        await backend.create(model="m", input=[result("file0001")], previous_interaction_id=turn.id)


@pytest.mark.covers("local:calls:refused")
async def test_results_must_fit_the_calls(service: Service) -> None:
    """400 for a call never asked, one answered twice, and one of several left out; plain words instead are taken."""
    asks = [call("f", "call0001"), call("f", "call0002")]
    both = [result("call0001"), result("call0002")]
    backend = service(asks, [text("ok")], [text("words are fine")])
    asked = await backend.create(model="m", input="Do.", tools=[function("f")])
    parent = {"model": "m", "previous_interaction_id": asked.id}
    for wrong, why in (
        ([*both, result("call9999")], "matches no function call"),
        ([*both, result("call0001")], "already has its result"),
        (both[:1], "without a result in 'input': 'call0002'"),
    ):
        with pytest.raises(BadRequest, match=why):
            await backend.create(input=wrong, **parent)
    with pytest.raises(BadRequest, match="matches no function call"):
        await backend.create(model="m", input=both)
    done = await backend.create(input=both, **parent)
    with pytest.raises(BadRequest, match="already has its result"):
        await backend.create(model="m", input=both, previous_interaction_id=done.id)
    assert (await backend.create(input="Never mind.", **parent)).status == "completed"


@pytest.mark.covers("local:calls:stateless")
async def test_a_history_sent_whole_brings_its_own_calls(service: Service) -> None:
    """Without a parent the calls stand in the input; one without its result is refused there too."""
    backend = service([text("ok")])
    said = {"type": "user_input", "content": [{"type": "text", "text": "Do."}]}
    asks = [call("f", "call0001"), call("f", "call0002")]
    with pytest.raises(BadRequest, match="call0002"):
        await backend.create(model="m", input=[said, *asks, result("call0001")], store=False)
    both = [said, THOUGHT, *asks, result("call0001"), result("call0002"), said]
    assert (await backend.create(model="m", input=both, store=False)).status == "completed"


@pytest.mark.covers("local:budget:output")
async def test_max_output_tokens_ends_a_turn_as_incomplete_with_what_there_was(service: Service) -> None:
    """A text is cut, a call that does not fit is left out, and nothing follows."""
    backend = service([THOUGHT, text("one two three four five"), text("never")], [call("f", x="a long argument")])
    turn = await backend.create(model="m", input="Count.", generation_config={"max_output_tokens": 3})
    assert (turn.status, turn.output_text) == ("incomplete", "one two thre")
    assert turn.to_wire()["usage"]["total_output_tokens"] == 3
    turn = await backend.create(
        model="m", input="Call.", tools=[function("f")], generation_config={"max_output_tokens": 3}
    )
    assert (turn.status, turn.pending_calls) == ("incomplete", [])


@pytest.mark.covers("local:budget:stop")
async def test_a_stop_sequence_ends_the_answer_before_it(service: Service) -> None:
    """What comes after is not said; the turn is completed."""
    media = {"type": "image", "data": "aWk=", "mime_type": "image/png"}
    said = {"type": "model_output", "content": [media, {"type": "text", "text": "keep STOP drop"}]}
    backend = service([said, text("never")], [text("nothing to stop at")])
    config = {"stop_sequences": ["", "STOP", "other"]}
    turn = await backend.create(model="m", input="Go.", generation_config=config)
    assert (turn.status, turn.output_text) == ("completed", "keep ")
    turn = await backend.create(model="m", input="Go.", generation_config=config)
    assert turn.output_text == "nothing to stop at"


@pytest.mark.covers("local:abandoned")
async def test_a_caller_who_leaves_does_not_stop_a_stored_turn(service: Service) -> None:
    """The run goes on to its end and is there to be read; so it is on the real service."""
    gate, other = Gate(), Gate()
    backend = service(gate.script, other.script)
    stream = backend.stream(model="m", input="1")
    first = await anext(stream)
    await stream.aclose()
    gate.open.set()
    assert len(await collect(backend.watch(first.interaction.id))) > 5
    waiting = asyncio.create_task(backend.create(model="m", input="2"))
    await other.reached.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not other.left.is_set()


@pytest.mark.covers("local:abandoned:store-off")
@pytest.mark.parametrize("streams", [False, True])
async def test_a_turn_that_is_not_stored_ends_with_its_caller(service: Service, streams: bool) -> None:
    """Nobody could ever read it, so it does not go on in vain."""
    gate = Gate()
    backend = service(gate.script)
    if streams:
        stream = backend.stream(model="m", input="1", store=False)
        await anext(stream)
        await gate.reached.wait()
        await stream.aclose()
    else:
        waiting = asyncio.create_task(backend.create(model="m", input="1", store=False))
        await gate.reached.wait()
        waiting.cancel()
    await gate.left.wait()


@pytest.mark.covers("local:responder-fails")
async def test_a_failing_responder_costs_the_turn_and_nothing_else(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """The turn is `failed`, keeps its steps, says which error, and shows no inside; an API error keeps its code."""
    refusal = ServiceFailed("Overloaded.", status=503, code="service_unavailable")
    backend = service([THOUGHT, RuntimeError("secret inside")], [refusal], [text("fine")])
    failed = await backend.create(model="m", input="1")
    assert failed.status == "failed"
    assert failed.to_wire()["steps"] == [THOUGHT]
    assert failed.to_wire()["errors"] == [{"code": "api_error", "message": "The responder failed: RuntimeError."}]
    assert "secret inside" in caplog.text  # for the operator
    events = await collect(backend.stream(model="m", input="2"))
    assert events[-1].interaction.status == "failed"
    assert assemble(events).to_wire()["errors"] == [{"code": "service_unavailable", "message": "Overloaded."}]
    assert (await backend.create(model="m", input="3")).status == "completed"


@pytest.mark.covers("local:backend")
async def test_a_backend_may_share_an_engine_and_does_not_take_both(service: Service) -> None:
    """An engine or the settings of one; `create` does not stream."""
    backend = service([text("a")])
    twin = LocalBackend(engine=backend.engine)
    turn = await twin.create(model="m", input="1")
    assert await backend.get(turn.id) == turn
    assert isinstance(twin, Backend)
    assert twin.identity == backend.identity
    with pytest.raises(InvalidRequest, match="not both"):
        LocalBackend(engine=backend.engine, retention=1.0)
    with pytest.raises(InvalidRequest, match="stream"):
        await backend.create(model="m", input="1", stream=True)
    with pytest.raises(ValueError, match="retention"):
        LocalBackend(retention=0)


@pytest.mark.covers("local:backend:loops")
def test_one_service_can_be_used_from_one_event_loop_after_the_other() -> None:
    """As synchronous callers do: each call has a loop of its own, the memory is the same."""
    backend = LocalBackend(responder=ScriptedResponder([[text("a")], [text("b")]]))

    async def turn(parent: str | None) -> str:
        return (await backend.create(model="m", input="x", previous_interaction_id=parent)).id

    second = asyncio.run(turn(asyncio.run(turn(None))))
    assert asyncio.run(backend.get(second)).output_text == "b"
    asyncio.run(backend.aclose())


@pytest.mark.covers("local:server-tools")
async def test_a_registered_callable_stands_in_for_a_server_tool(service: Service) -> None:
    """The responder gets it, for the tools that the request declares."""
    backend = service([text("a")], [text("b")], server_tools={"google_search": lambda queries: ["found"]})
    responder: Any = backend.engine._responder
    await backend.create(model="m", input="1", tools=[{"type": "google_search"}])
    await backend.create(model="m", input="2")
    assert [list(turn.server_tools) for turn in responder.turns] == [["google_search"], []]
