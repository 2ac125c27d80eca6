"""What is not known: kept, counted, readable, immutable; and what is known: strict, immutable, silent about secrets."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

import bridge.interactions as room
from bridge.interactions import (
    AllowlistEntry,
    AntigravityConfig,
    CreateAgentInteraction,
    CreateModelInteraction,
    EnvironmentConfig,
    EnvironmentFile,
    EnvVar,
    FunctionTool,
    GenerationConfig,
    Interaction,
    McpServerTool,
    Model,
    RetrievalTool,
    StepDelta,
    TextContent,
    TextDelta,
    TextFormat,
    ToolSearchTool,
    Unknown,
    Usage,
    Webhook,
    count_unknown,
    parse_event,
    unknown_counts,
)
from bridge.interactions._open import _counts, reason_of
from tests.interactions import strategies
from tests.interactions.samples import events_of, streams


@pytest.fixture(autouse=True)
def _nothing_counted() -> Iterator[None]:
    """Each test counts from zero: the table is the process's, and other tests fill it."""
    _counts.clear()
    yield
    _counts.clear()


@pytest.mark.covers("model:unknown")
@pytest.mark.parametrize(
    ("wire", "read"),
    [
        ({"event_type": "step.paused", "why": "x"}, lambda event: event),
        ({"event_type": "step.start", "index": 0, "step": {"type": "dream", "why": "x"}}, lambda event: event.step),
        ({"event_type": "step.delta", "index": 0, "delta": {"type": "smell", "why": "x"}}, lambda event: event.delta),
        (
            {
                "event_type": "step.start",
                "index": 0,
                "step": {"type": "model_output", "content": [{"type": "taste", "why": "x"}]},
            },
            lambda event: event.step.content[0],
        ),
        (
            {
                "event_type": "step.delta",
                "index": 0,
                "delta": {"type": "text_annotation_delta", "annotations": [{"type": "footnote", "why": "x"}]},
            },
            lambda event: event.delta.annotations[0],
        ),
        (
            {
                "event_type": "interaction.created",
                "interaction": {"id": "i", "status": "s", "tools": [{"type": "oven", "why": "x"}]},
            },
            lambda event: event.interaction.tools[0],
        ),
        (
            {"event_type": "interaction.created", "interaction": {"agent_config": {"type": "next", "why": "x"}}},
            lambda event: event.interaction.agent_config,
        ),
        (
            {
                "event_type": "interaction.created",
                "interaction": {"response_format": [{"type": "hologram", "why": "x"}]},
            },
            lambda event: event.interaction.response_format[0],
        ),
    ],
)
def test_unknown_kind_is_kept_counted_and_readable_at_every_level(wire: Any, read: Any) -> None:
    """Events, steps, deltas, content, annotations, tools, agent configs and formats of a later version."""
    before = sum(unknown_counts().values())
    event = parse_event(wire)
    found = read(event)
    assert isinstance(found, Unknown)
    assert found.reason is None
    assert found.why == "x"
    assert found.kind in json.dumps(wire)
    assert event.to_wire() == wire
    assert sum(unknown_counts().values()) == before + 1


@pytest.mark.covers("model:unknown:invalid")
@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (
            {"event_type": "step.delta", "index": "0", "delta": {"type": "text", "text": "x"}},
            "index: Input should be a valid integer",
        ),
        (
            {"event_type": "step.delta", "index": True, "delta": {"type": "text", "text": "x"}},
            "index: Input should be a valid integer",
        ),
        ({"event_type": "step.start", "step": {"type": "thought"}}, "index: Field required"),
        ({"event_type": "interaction.completed", "interaction": 7}, "interaction: Input should be"),
    ],
)
def test_known_kind_whose_fields_do_not_fit_is_kept_with_the_reason(wire: Any, reason: str) -> None:
    """Types are strict, and a value that breaks them is neither changed nor dropped."""
    event = parse_event(wire)
    assert isinstance(event, Unknown)
    assert (event.reason or "").startswith(reason)
    assert event.kind == wire["event_type"]
    assert event.to_wire() == wire


@pytest.mark.covers("model:strict")
@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (TextContent, {"text": 7}),
        (TextContent, {"text": b"x"}),
        (FunctionTool, {"name": 7}),
        (CreateModelInteraction, {"model": "m", "store": "true"}),
        (CreateModelInteraction, {"model": "m", "store": 1}),
        (CreateModelInteraction, {"input": "x"}),
        (Usage, {"total_tokens": "7"}),
        (Usage, {"total_tokens": 7.0}),
        (GenerationConfig, {"temperature": "1"}),
        (GenerationConfig, {"temperature": True}),
        (AntigravityConfig, {"max_total_tokens": "007"}),
        (AntigravityConfig, {"max_total_tokens": "many"}),
        (AntigravityConfig, {"max_total_tokens": 1.5}),
        (AntigravityConfig, {"max_total_tokens": True}),
    ],
)
def test_nothing_is_converted(kind: type[Model], fields: dict[str, Any]) -> None:
    """A text is no number, a number no truth value, and a missing field is not made up."""
    with pytest.raises(ValidationError):
        kind(**fields)
    with pytest.raises(ValidationError):
        kind.parse(fields)


@pytest.mark.covers("model:unknown:object")
def test_unknown_reads_its_fields_and_says_which_are_missing() -> None:
    """Its own attributes win over fields of the same name, and a missing one is an AttributeError."""
    unknown = Unknown("step", "dream", {"raw": 1, "kind": 2, "text": "hi"})
    assert (unknown.text, unknown.kind, unknown.raw["kind"]) == ("hi", "dream", 2)
    with pytest.raises(AttributeError, match="no field 'depth'"):
        _ = unknown.depth
    with pytest.raises(AttributeError, match="no field 'text'"):
        _ = Unknown("step", "", "a text").text
    assert not hasattr(Unknown.__new__(Unknown), "text")


@pytest.mark.covers("model:unknown:object")
def test_unknown_is_immutable_hashable_and_equal_by_what_it_holds() -> None:
    """Nothing can be set or deleted, and what it gives away can be changed without changing it."""
    unknown = Unknown("step", "dream", {"text": ["hi"]})
    for change in (
        lambda: setattr(unknown, "raw", 1),
        lambda: setattr(unknown, "x", 1),
        lambda: delattr(unknown, "raw"),
    ):
        with pytest.raises(AttributeError, match="immutable"):
            change()
    unknown.to_wire()["text"].append("you")
    assert unknown.to_wire() == {"text": ["hi"]}
    assert unknown == Unknown("step", "dream", {"text": ["hi"]})
    assert unknown != Unknown("step", "dream", {"text": ["ho"]})
    assert unknown != Unknown("content", "dream", {"text": ["hi"]})
    assert unknown != {"text": ["hi"]}
    assert len({unknown, Unknown("step", "dream", {"text": ["hi"]})}) == 1


@pytest.mark.covers("model:unknown:object")
def test_values_with_unknown_parts_can_be_copied_and_pickled() -> None:
    """As a graph's checkpointer does with what stands in its state."""
    wire = {"id": "i", "status": "s", "steps": [{"type": "dream", "deep": {"a": [1]}}, {"type": "thought"}], "usage": 7}
    interaction = Interaction.parse(wire)
    for same in (copy.copy(interaction), copy.deepcopy(interaction), pickle.loads(pickle.dumps(interaction))):
        assert same.to_wire() == wire
        assert same == interaction
    text = parse_event({"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "x"}})
    for same in (copy.copy(text), copy.deepcopy(text), pickle.loads(pickle.dumps(text))):
        assert same == text


@pytest.mark.covers("model:unknown:counts")
def test_counts_of_unknown_kinds_are_bounded() -> None:
    """A service that invents kinds for ever does not fill the memory, and a long name is cut."""
    for number in range(1_100):
        count_unknown("flood", f"{number}-{'x' * 500}")
    counts = unknown_counts()
    assert sum(count for (union, _), count in counts.items() if union == "flood") == 1_100
    assert len(counts) < 1_100
    assert max(len(kind) for _, kind in counts) <= 80
    counts.clear()
    assert unknown_counts()


@pytest.mark.covers("model:fields")
def test_a_field_of_an_answer_that_does_not_fit_is_kept_and_counted() -> None:
    """One surprising field costs neither an interaction nor a listed file, and is there to read."""
    before = unknown_counts()
    interaction = Interaction.parse(
        {"id": "i", "status": "completed", "created": 17, "steps": {"0": {}}, "errors": [{"code": []}]}
    )
    read: Any = (interaction.id, interaction.created, interaction.steps)
    assert read == ("i", 17, {"0": {}})
    assert (interaction.output_text, interaction.pending_calls, interaction.output_content) == ("", [], [])
    assert isinstance((interaction.errors or [])[0], Unknown)
    file = EnvironmentFile.parse({"path": "a", "size_bytes": "huge"})
    assert file.to_wire() == {"path": "a", "size_bytes": "huge"}
    after = unknown_counts()
    for row in (
        ("field", "interaction.created"),
        ("field", "interaction.steps"),
        ("field", "environmentfile.size_bytes"),
    ):
        assert after[row] == before.get(row, 0) + 1
    with pytest.raises(ValidationError):
        Interaction.parse("not an object")


@pytest.mark.covers("model:lossless:unknown-fields")
def test_unknown_fields_named_like_methods_do_not_break_anything() -> None:
    """Fields are data: whatever they are called, the value can be read, dumped and copied."""
    extras: dict[str, Any] = dict.fromkeys(strategies.METHODS, 1)
    wire = {"type": "text", "text": "x", **extras}
    content = TextContent.parse(wire)
    assert content.to_wire() == wire
    assert content.replace(text="y").to_wire() == {**wire, "text": "y"}
    assert TextContent(text="x", later=1).later == 1  # type: ignore[attr-defined]
    event = parse_event({"event_type": "step.start", "index": 0, "step": {"type": "dream", **extras}})
    assert event.to_wire()["step"] == {"type": "dream", **extras}


@pytest.mark.covers("model:immutable")
def test_models_cannot_be_changed_and_share_nothing_with_what_they_give() -> None:
    """A field cannot be set, and changing the dump changes no model."""
    delta: Any = parse_event({"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "x"}})
    models: list[Any] = [delta, delta.delta, TextContent(text="x"), Interaction(id="i")]
    for model in models:
        for name in (*type(model).model_fields, "later"):
            with pytest.raises(ValidationError, match=r"frozen|instance is frozen"):
                setattr(model, name, "y")
    tool = FunctionTool(name="f", parameters={"properties": {"a": {"enum": [1]}}})
    tool.to_wire()["parameters"]["properties"]["a"]["enum"].append(2)
    assert tool.to_wire()["parameters"] == {"properties": {"a": {"enum": [1]}}}


@pytest.mark.covers("model:immutable")
def test_models_of_plain_fields_are_hashable_and_others_say_why_not() -> None:
    """Equal values hash alike; a list cannot be hashed."""
    assert len({TextContent(text="x"), TextContent(text="x"), TextContent(text="y")}) == 2
    with pytest.raises(TypeError, match="unhashable type: 'list'"):
        hash(TextContent(text="x", annotations=[]))


@pytest.mark.covers("model:immutable")
def test_replace_gives_a_checked_copy() -> None:
    """By the names of the wire; the rest stays as it was, also what was never set."""
    request = CreateModelInteraction(model="m", input="x", labels=None)
    assert request.replace(model="n", store=False).to_wire() == {
        "model": "n",
        "input": "x",
        "labels": None,
        "store": False,
    }
    assert request.to_wire() == {"model": "m", "input": "x", "labels": None}
    assert TextFormat(schema={"type": "object"}).replace(schema={}).to_wire() == {"type": "text", "schema": {}}
    with pytest.raises(ValidationError):
        request.replace(store="maybe")


@pytest.mark.covers("model:int64")
def test_64_bit_integers_travel_as_strings() -> None:
    """Read as ints, exact beyond what a float holds, and written as they came; a caller's own int is written as a string."""
    config = AntigravityConfig.parse({"type": "antigravity", "max_total_tokens": "9007199254740993"})
    assert config.max_total_tokens == 9007199254740993
    assert config.to_wire()["max_total_tokens"] == "9007199254740993"
    assert AntigravityConfig.parse({"max_total_tokens": 5}).to_wire() == {"max_total_tokens": 5}
    wanted = {"type": "antigravity", "max_total_tokens": "5"}
    assert AntigravityConfig(max_total_tokens=5).to_wire() == wanted
    built = CreateAgentInteraction(agent="a", agent_config={"type": "antigravity", "max_total_tokens": 5})  # type: ignore[arg-type]
    assert built.to_wire()["agent_config"] == wanted
    assert json.loads(built.model_dump_json(exclude_unset=True))["agent_config"] == wanted
    file = EnvironmentFile.parse({"size_bytes": "128"})
    assert file.size_bytes == 128
    assert (file.size_bytes or 0) + 1 == 129
    assert isinstance(AntigravityConfig.parse({"max_total_tokens": None}).to_wire()["max_total_tokens"], type(None))


@pytest.mark.covers("model:secrets")
def test_secrets_stand_in_no_repr_and_in_no_error() -> None:
    """Headers, variables, allow-list transforms, keys and signing secrets, in a value or in what refuses one."""
    secret = "s3cr3t-value"
    values: list[Any] = [
        McpServerTool(name="m", url="https://x", headers={"Authorization": secret}),
        EnvironmentConfig(env={"KEY": secret, "OTHER": {"value": secret}}),  # type: ignore[dict-item]
        EnvVar(value=secret),
        EnvironmentConfig(network={"allowlist": [{"domain": "*", "transform": {"Authorization": secret}}]}),  # type: ignore[arg-type]
        AllowlistEntry(domain="*", transform=[{"Authorization": secret}]),
        RetrievalTool(exa_ai_search_config={"api_key": secret}, parallel_ai_search_config={"api_key": secret}),  # type: ignore[arg-type]
        Webhook(id="w", new_signing_secret=secret),
        CreateModelInteraction(model="m", tools=[McpServerTool(headers={"a": secret})]),
        CreateAgentInteraction(agent="a", environment=EnvironmentConfig(env={"KEY": secret})),
        CreateModelInteraction.parse({"model": "m", "tools": [{"type": "mcp_server", "headers": {"a": [secret]}}]}),
        parse_event({"event_type": "step.start", "index": 0, "step": {"type": "new", "key": secret}}),
    ]
    for value in values:
        assert secret not in repr(value) + str(value), repr(value)
        assert secret in json.dumps(value.to_wire())
    with pytest.raises(ValidationError) as refused:
        McpServerTool(headers={"Authorization": [secret]})  # type: ignore[dict-item]
    assert secret not in str(refused.value) + repr(refused.value) + reason_of(refused.value)


@pytest.mark.covers("model:new-kinds")
def test_kinds_of_the_newest_official_client_are_known() -> None:
    """Deferred tools of google-genai 3.4: the tool, its call and result as steps and deltas, and the fields of a function."""
    tool = {
        "type": "tool_search",
        "execution": "client",
        "name": "find",
        "description": "d",
        "parameters": {"type": "object"},
    }
    function = {"type": "function", "name": "f", "defer_loading": True, "short_description": "s"}
    request = CreateModelInteraction.parse({"model": "m", "tools": [tool, function]})
    first, second = request.tools or []
    assert isinstance(first, ToolSearchTool)
    assert isinstance(second, FunctionTool)
    assert (first.execution, second.defer_loading, second.short_description) == ("client", True, "s")
    document = {
        "type": "document",
        "uri": "u",
        "resolution": "low",
        "processing": {"type": "static", "page_options": {"start_page": 1}},
    }
    audio = {"type": "audio", "uri": "u", "processing": {"type": "static", "start_offset": "1s", "end_offset": "2s"}}
    call = {"type": "tool_search_call", "id": "c", "arguments": {"function_names": ["f"]}, "signature": "s"}
    result = {"type": "tool_search_result", "call_id": "c", "result": [function], "signature": "s"}
    interaction = Interaction.parse(
        {"id": "i", "steps": [{"type": "user_input", "content": [document, audio]}, call, result]}
    )
    assert not [step for step in interaction.steps or [] if isinstance(step, Unknown)]
    for delta in ({k: v for k, v in call.items() if k != "id"}, {k: v for k, v in result.items() if k != "call_id"}):
        event = parse_event({"event_type": "step.delta", "index": 0, "delta": delta})
        assert isinstance(event, StepDelta)
        assert not isinstance(event.delta, Unknown)
    assert interaction.to_wire()["steps"] == [{"type": "user_input", "content": [document, audio]}, call, result]


@pytest.mark.covers("model:surface")
def test_all_names_are_listed_once_sorted_and_resolve() -> None:
    """The package lists exactly what its modules do, and gives each name, also those that load later."""
    import importlib
    import pkgutil

    order = sorted(
        room.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)
    )  # as the linter sorts
    assert order == room.__all__
    listed: list[str] = []
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        listed += getattr(importlib.import_module(module.name), "__all__", [])
    assert sorted(listed) == sorted(room.__all__)
    assert {*room.__all__} <= {*dir(room)}
    for name in room.__all__:
        assert getattr(room, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = room.Nothing


@pytest.mark.covers("model:surface")
def test_every_public_type_says_what_it_is() -> None:
    """A docstring of its own on each class and function that is exported."""
    for name in room.__all__:
        value = getattr(room, name)
        if isinstance(value, type) or callable(value):
            assert value.__doc__, name


@pytest.mark.covers("model:lazy")
def test_what_a_stream_does_not_need_is_imported_when_it_is_first_met() -> None:
    """Importing the model and reading a stream of text loads no settings, no resources and no server tools."""
    program = """
import sys
from bridge.interactions import parse_event, Interaction, assemble
def loaded():
    return {name.rpartition(".")[2] for name in sys.modules if name.startswith("bridge.interactions.")}
wire = {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}}
parse_event({"event_type": "interaction.created", "interaction": {"id": "i", "status": "in_progress"}}); parse_event(wire)
late = {"annotations", "config", "resources", "server_tools", "tools"}
assert not loaded() & late, loaded()
parse_event({"event_type": "step.start", "index": 0, "step": {"type": "google_search_call", "id": "c"}})
assert loaded() & late == {"server_tools", "annotations"}, loaded()
from bridge.interactions import Agent, Tool, UrlCitation
assert loaded() >= late
assert not [name for name in ("httpx2", "langchain_core", "mcp", "starlette") if name in sys.modules]
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.covers("model:fast-text")
@given(strategies.anything, strategies.anything, strategies.anything)
def test_the_quick_way_of_a_piece_of_text_comes_to_the_same_as_the_general_one(
    text: Any, index: Any, event_id: Any
) -> None:
    """Whatever stands in an event that looks like a piece of text."""
    from bridge.interactions.events import EVENT

    delta = {"type": "text", "text": text}
    wires: list[dict[str, Any]] = [
        {"event_type": "step.delta", "index": index, "delta": delta, "event_id": event_id},
        {"event_type": "step.delta", "index": 0, "delta": delta, "event_id": event_id},
        {"event_type": "step.delta", "index": 0, "delta": delta, "later": event_id},
        {"event_type": "step.delta", "index": index, "delta": delta},
        {"event_type": "step.delta", "index": 0, "delta": {**delta, "later": 1}},
        {"event_type": "step.delta", "index": 0, "delta": index},
    ]
    for wire in wires:
        quick, general = parse_event(wire), EVENT.parse(wire)
        assert type(quick) is type(general)
        assert quick == general
        assert repr(quick) == repr(general)
        assert quick.to_wire() == general.to_wire() == wire
        if isinstance(quick, StepDelta):
            assert quick.model_fields_set == general.model_fields_set
            assert quick.model_dump() == general.model_dump()


@pytest.mark.covers("model:fast-text")
def test_a_piece_of_text_does_not_share_its_fields_with_what_it_was_read_from() -> None:
    """Changing the decoded JSON later changes no event."""
    wire = {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "x"}}
    event = parse_event(wire)
    wire["delta"]["text"] = "y"  # type: ignore[index]
    assert isinstance(event, StepDelta)
    assert isinstance(event.delta, TextDelta)
    assert event.delta.text == "x"


@pytest.mark.covers("model:lossless:pydantic")
@pytest.mark.parametrize("name", streams())
def test_pydantic_dumps_what_we_dump(name: str) -> None:
    """`model_dump` and `model_dump_json`, which frameworks call, agree with `to_wire`."""
    for wire in events_of(name):
        event = parse_event(wire)
        assert isinstance(event, Model)
        assert json.loads(event.model_dump_json(exclude_unset=True)) == wire
        assert event.model_dump(exclude_unset=True) == wire
