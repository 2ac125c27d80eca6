"""The official SDK as the judge: its models parse what we dump and dump what we parse, to equal JSON.

Each version answers in a process of its own: the one of the main lock, and the newest.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.interactions import (
    NOT_STREAMED,
    Agent,
    AntigravityConfig,
    CodeExecutionTool,
    CreateAgentInteraction,
    CreateEnvironment,
    CreateModelInteraction,
    Environment,
    FunctionTool,
    GoogleSearchTool,
    ImageContent,
    Interaction,
    McpServerTool,
    Model,
    NetworkAllowlist,
    TextContent,
    UrlContextTool,
    parse_event,
)
from bridge.interactions.content import CONTENT
from bridge.interactions.events import EVENT
from bridge.interactions.requests.config import AGENT_CONFIG
from bridge.interactions.requests.tools import TOOL
from bridge.interactions.steps import STEP
from bridge.interactions.steps.deltas import DELTA
from tests.interactions.samples import events_of, json_of, json_samples, streams, type_of
from tests.interactions.strategies import TAME, Mode, of_model, of_union, texts

SCRIPT = Path(__file__).parent / "official.py"
NEWEST, LOCKED = "genai3", "2.34"

EXCEPTIONS: list[tuple[str, str, str]] = [
    # version ("" for all), where, and why the SDK does not give back there what the service sends
    ("", r"\$\.output_(text|image|audio|video)(\..*)?", "derived by the SDK, not sent"),
    ("", r"\$\.id=''", "made up by the SDK where nothing was stored"),
    ("", r"\$\.interaction\.environment_id", "sent, and not declared below the root, so dropped in a dump"),
    ("", r"\$\.step\.signature=''", "the service's way of saying that there is none; not declared on a function call"),
    ("", r"\$\.step\.(arguments|result)=\{\}", "made up by the SDK's client for a step that has only begun"),
    ("", r"\$\.delta\.(name|processing|resolution)(\..*)?", "declared on content, and not on the delta of its kind"),
    ("", r"\$\.delta\.call_id", "sent, and not declared on the delta of a function's result"),
]
# JSON samples that a version's types are too old for.
TOO_OLD = {(LOCKED, "09_all_steps.response"): "a code_execution_result may hold content since 3.0"}


class Judge:
    """One version of the SDK, in its own process."""

    def __init__(self, python: str, version: str) -> None:
        self.version = version
        self._process = subprocess.Popen(
            [python, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, name: str, wire: Any = None) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"as": name, "wire": wire}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module", params=[LOCKED, NEWEST])
def judge(request: pytest.FixtureRequest, client_env: Callable[[str], Path]) -> Iterator[Judge]:
    """Each version that is asked."""
    python = sys.executable if request.param == LOCKED else str(client_env(request.param))
    judge = Judge(python, request.param)
    yield judge
    judge.close()


def leaves(value: Any, path: str = "$") -> Iterator[str]:
    """A value as its leaves, "path=value", without nulls and with times written in one way."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}")
        if not value:
            yield f"{path}={{}}"
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from leaves(item, f"{path}[{number}]")
        if not value:
            yield f"{path}=[]"
    elif isinstance(value, str):
        yield f"{path}={value.replace('+00:00', 'Z').replace('.000000Z', 'Z')!r}"
    elif value is not None:
        yield f"{path}={float(value) if isinstance(value, int) and not isinstance(value, bool) else value}"


def bare(judge: Judge, value: Any) -> set[str]:
    """The leaves of a value but for the exceptions."""
    rows = [re.compile(where) for version, where, _ in EXCEPTIONS if version in ("", judge.version)]
    return {
        leaf
        for leaf in leaves(value)
        if not any(row.fullmatch(leaf) or row.fullmatch(leaf.partition("=")[0]) for row in rows)
    }


def agree(judge: Judge, name: str, value: Any) -> None:
    """The SDK dumps what we dump and recognises all of it, and we dump what it dumps."""
    ours = value.to_wire()
    answer = judge.ask(name, ours)
    assert "error" not in answer, (answer, ours)
    # A step begins without the fields that its deltas bring; the SDK's types require them, and its client does not check.
    begins = ours.get("event_type") == "step.start"
    assert [
        row
        for row in answer["odd"]
        if not (begins and row in ("$.step.arguments is missing", "$.step.result is missing"))
    ] == []
    assert answer["strict"] or begins
    assert bare(judge, answer["wire"]) == bare(judge, ours)
    again = parse_event(answer["wire"]) if name == "event" else type(value).parse(answer["wire"])
    assert leaves_of(again.to_wire()) == leaves_of(answer["wire"])


def leaves_of(value: Any) -> set[str]:
    return {*leaves(value)}


@pytest.mark.timeout(300)
@pytest.mark.covers("model:official:kinds")
def test_every_kind_of_the_official_client_is_known(judge: Judge) -> None:
    """Of steps, deltas, events, content, annotations, tools and agent configs; the newest knows no other than we."""
    tables = {
        "event": ["events:KINDS"],
        "step": ["steps:KINDS", "steps.server_tools:STEP_KINDS"],
        "delta": ["steps.deltas:KINDS", "steps.server_tools:DELTA_KINDS"],
        "content": ["content:KINDS"],
        "annotation": ["content.annotations:KINDS"],
        "tool": ["requests.tools:KINDS"],
        "agent_config": ["requests.config:AGENT_KINDS"],
    }
    theirs = judge.ask("kinds")
    for union, places in tables.items():
        ours: set[str] = set()
        for place in places:
            module, _, table = place.partition(":")
            ours |= {*getattr(import_module(f"bridge.interactions.{module}"), table)}
        newer = {kind for kind in ours if "tool_search" in kind} if judge.version == LOCKED else set()
        assert ours - newer == {*theirs[union]}, union


@pytest.mark.timeout(300)
@pytest.mark.covers("model:official:samples")
@pytest.mark.parametrize("stem", json_samples())
def test_official_client_and_we_dump_the_same_of_a_json_sample(judge: Judge, stem: str) -> None:
    """Each recorded request, answer and resource."""
    wire = json_of(f"{stem}.json")
    model = type_of(stem)
    name = {"10_trigger.create": "TriggerCreate", "10_trigger.update": "TriggerUpdate"}.get(stem, model.__name__)
    if (judge.version, stem) in TOO_OLD:
        assert "error" in judge.ask(name, wire)
    else:
        agree(judge, name, model.parse(wire))


@pytest.mark.timeout(300)
@pytest.mark.covers("model:official:samples")
@pytest.mark.parametrize("name", streams())
def test_official_client_and_we_dump_the_same_of_a_recorded_event(judge: Judge, name: str) -> None:
    """Each event of each recorded stream."""
    for wire in events_of(name):
        agree(judge, "event", parse_event(wire))


# Fields that the SDK's types require of a known kind, where ours leave them to the stream or to the service.
ALWAYS = frozenset(
    [
        "api_key",
        "arguments",
        "call_id",
        "content",
        "delta",
        "error",
        "event_type",
        "id",
        "index",
        "interaction",
        "interaction_id",
        "name",
        "ranking_config",
        "result",
        "server_name",
        "status",
        "step",
        "text",
        "type",
    ]
)
_few = st.lists(of_model(TextContent, TAME) | of_model(ImageContent, TAME), max_size=2)
_result = texts | st.dictionaries(texts, texts, max_size=2) | _few
# What the SDK declares of an interaction inside an event.
_told = of_model(
    Interaction,
    Mode(
        always=ALWAYS,
        instead=tuple(
            (f"Interaction.{name}", None)
            for name in (*NOT_STREAMED, "environment_id", "errors", "steps", "continuation_ids")
        ),
    ),
)
NEW = frozenset(
    {"ToolSearchTool", "ToolSearchCall", "ToolSearchResult", "ToolSearchCallDelta", "ToolSearchResultDelta"}
)
_agent_tools: list[type[Model]] = [CodeExecutionTool, FunctionTool, GoogleSearchTool, McpServerTool, UrlContextTool]
_network = st.just("disabled") | of_model(
    NetworkAllowlist, Mode(instead=(("NetworkAllowlist.allowlist", st.just("disabled")),))
)


def _input(without: frozenset[str] = frozenset()) -> st.SearchStrategy[Any]:
    """A text, one content, a list of content, or a list of steps."""
    one = st.deferred(lambda: of_union(CONTENT, MODES[LOCKED if without else NEWEST]))
    steps = st.deferred(lambda: of_union(STEP, MODES[LOCKED if without else NEWEST]))
    return texts | one | st.lists(one, min_size=1, max_size=2) | st.lists(steps, min_size=1, max_size=2)


def _inputs(without: frozenset[str] = frozenset()) -> dict[str, st.SearchStrategy[Any] | None]:
    owners = ("Interaction", "CreateModelInteraction", "CreateAgentInteraction")
    return dict.fromkeys((f"{owner}.input" for owner in owners), _input(without))


# Where the SDK's types take less than the service sends, and what is drawn instead (None: nothing).
LESS: dict[str, dict[str, st.SearchStrategy[Any] | None]] = {
    "the reference has a code that is a word; numbers come from layers below": {"Error.code": texts},
    "only text and images are declared there": {
        "Thought.summary": _few,
        "CodeExecutionResult.result": texts | _few,
        "CodeExecutionResultDelta.result": texts,
        "ThoughtSummaryDelta.content": of_model(TextContent, TAME),
        **{
            f"{owner}{kind}.result": _result
            for owner in ("FunctionResult", "McpServerToolResult")
            for kind in ("", "Delta")
        },
    },
    "kept at the root of a value, and not declared, so dropped below it": {
        **{
            f"{owner}.signature": None
            for owner in ("FunctionCall", "FunctionResult", "McpServerToolCall", "McpServerToolResult")
        },
        **{
            f"{owner}{kind}.signature": None
            for owner in ("FunctionResult", "McpServerToolCall", "McpServerToolResult")
            for kind in ["Delta"]
        },
        **{
            f"{owner}Result.is_error": None
            for owner in ("FileSearch", "GoogleMaps", "McpServerTool", "Processing", "ToolSearch")
        },
        "FileSearchResult.result": None,
        "FunctionResultDelta.call_id": None,
        "GenerationConfig.top_k": None,
        **dict.fromkeys(("InteractionCreated.interaction", "InteractionCompleted.interaction"), _told),
    },
    "one step is sent as a list of one": _inputs(),
    "what a custom agent may have": {
        "Agent.tools": st.lists(
            st.sampled_from(_agent_tools).flatmap(lambda tool: of_model(tool, MODES[LOCKED])), max_size=2
        ),
        "Agent.agent_config": of_model(AntigravityConfig, TAME),
    },
    "the one word that is taken": dict.fromkeys(
        ("EnvironmentConfig.network", "Environment.network", "CreateEnvironment.network"), _network
    ),
    "a constant": {"Ranking.ranking_config": st.just("rank_service")},
    "plain objects of ours that have fields of their own there": {
        "StaticProcessing.page_options": None,
        "StaticProcessing.spreadsheet_options": None,
        **dict.fromkeys(
            ("ToolSearchCall.arguments", "ToolSearchCallDelta.arguments"), st.just({"function_names": ["f"]})
        ),
        **dict.fromkeys(
            ("ToolSearchResult.result", "ToolSearchResultDelta.result"), st.just([{"type": "function", "name": "f"}])
        ),
    },
}
LESS_IN_LOCKED: dict[str, st.SearchStrategy[Any] | None] = {
    **_inputs(NEW),
    "AudioContent.processing": None,  # all of them are newer
    "AudioDelta.processing": None,
    "CodeExecutionResult.result": texts,
    "DocumentContent.processing": None,
    "DocumentContent.resolution": None,
    "FunctionTool.defer_loading": None,
    "FunctionTool.short_description": None,
}
_less = tuple((place, value) for places in LESS.values() for place, value in places.items())
MODES: dict[str, Mode] = {
    NEWEST: Mode(always=ALWAYS, instead=_less),
    LOCKED: Mode(always=ALWAYS, instead=(*_less, *LESS_IN_LOCKED.items()), without=NEW),
}


UNIONS = {"step": STEP, "delta": DELTA, "content": CONTENT, "tool": TOOL, "agent_config": AGENT_CONFIG, "event": EVENT}
TYPES: list[type[Model]] = [
    Interaction,
    CreateModelInteraction,
    CreateAgentInteraction,
    CreateEnvironment,
    Agent,
    Environment,
]
KINDS = [(union, model) for union, marker in UNIONS.items() for _, model in sorted(marker.kinds.items())]


@pytest.mark.timeout(300)
@pytest.mark.covers("model:official:generated")
@settings(max_examples=settings().max_examples // 10, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
@pytest.mark.parametrize(("name", "model"), [*KINDS, *((model.__name__, model) for model in TYPES)])
def test_official_client_and_we_dump_the_same_of_any_value(
    judge: Judge, name: str, model: type[Model], data: st.DataObject
) -> None:
    """Every kind and the requests, answers and resources, with their fields in any combination."""
    if judge.version == NEWEST or model.__name__ not in NEW:
        agree(judge, name, model.parse(data.draw(of_model(model, MODES[judge.version]))))
    else:
        wire = data.draw(of_model(model, MODES[judge.version]))
        assert wire["type"] not in judge.ask("kinds")[name]
