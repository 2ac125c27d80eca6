"""Streams made from interactions: any way in which a service could send one, drawn at random."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from bridge.interactions import NOT_STREAMED, Event, Interaction, ModelOutput, Thought, parse_event
from bridge.interactions.content import KINDS as CONTENT
from bridge.interactions.steps import KINDS as STEPS
from bridge.interactions.steps import STEP
from tests.interactions.strategies import TAME, WILD, objects, of_model, of_union, texts

# What `step.start` says of a step whose rest comes in one delta: what tells it from others.
_IDENTITY = ("type", "id", "call_id", "name", "server_name")


def parsed(events: list[dict[str, Any]]) -> list[Event]:
    return [parse_event(event) for event in events]


def step(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of one step."""
    return [
        {"event_type": "step.start", "index": index, "step": start},
        *({"event_type": "step.delta", "index": index, "delta": delta} for delta in deltas),
        {"event_type": "step.stop", "index": index},
    ]


def created(**fields: Any) -> dict[str, Any]:
    return {"event_type": "interaction.created", "interaction": {"id": "v1_a", "status": "in_progress", **fields}}


def completed(**fields: Any) -> dict[str, Any]:
    return {"event_type": "interaction.completed", "interaction": {"id": "v1_a", "status": "completed", **fields}}


@st.composite
def pieces(draw: st.DrawFn, text: str) -> list[str]:
    """A text cut at random places."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def unstreamed(draw: st.DrawFn) -> dict[str, Any]:
    """An unstreamed answer with steps of all kinds. Texts that follow each other are one text, as a service sends them."""
    fields = {
        name: draw(of_model(Interaction, TAME)).get(name) for name in ("usage", "created", "environment_id", "model")
    }
    answer: dict[str, Any] = {
        "id": draw(texts),
        "status": "completed",
        **{k: v for k, v in fields.items() if v is not None},
    }
    answer["steps"] = [draw(_step()) for _ in range(draw(st.integers(1, 4)))]
    return answer


@st.composite
def _step(draw: st.DrawFn) -> dict[str, Any]:
    common = draw(st.booleans())
    kinds = list(STEPS.values()) if common else list(STEP.kinds.values())
    model = draw(st.sampled_from(sorted(kinds, key=lambda kind: kind.__name__)))
    value = dict(draw(of_model(model, TAME)))
    if value.get("signature") == "":  # the stream's way of saying there is none
        del value["signature"]
    if model is ModelOutput:
        value = {"type": "model_output", "content": draw(_content())}
    elif model is Thought:
        value = {"type": "thought", "summary": draw(st.lists(of_model(CONTENT["text"], TAME), min_size=1, max_size=3))}
        value |= {"signature": "c2ln"} if draw(st.booleans()) else {}
    elif value["type"] in ("function_call",):
        value = {key: value[key] for key in ("type", "id", "name")} | {"arguments": draw(objects)}
    return value


@st.composite
def _content(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Content in which two blocks of one kind follow each other only where a stream can tell them apart."""
    content: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 4))):
        block = dict(draw(of_model(draw(st.sampled_from(list(CONTENT.values()))), TAME)))
        last = content[-1] if content else {}
        if block.get("annotations") == []:
            del block["annotations"]
        if block["type"] == "audio":
            block["data"] = "aGk="
        if block["type"] != last.get("type") or block["type"] == "audio" or last.get("annotations"):
            content.append(block)
    return content


@st.composite
def streamed(draw: st.DrawFn, answer: dict[str, Any]) -> list[dict[str, Any]]:
    """One of the many streams that tell of an unstreamed answer."""
    known = {key: value for key, value in answer.items() if key in ("id", "model", "environment_id")}
    events: list[dict[str, Any]] = [
        {"event_type": "interaction.created", "interaction": {**known, "status": "in_progress"}}
    ]
    if draw(st.booleans()):
        events.append(
            {"event_type": "interaction.status_update", "interaction_id": answer["id"], "status": "in_progress"}
        )
    for index, one in enumerate(answer["steps"]):
        events += draw(_step_events(index, one))
    end = {key: value for key, value in answer.items() if key not in {"steps", *NOT_STREAMED}}
    return [*events, {"event_type": "interaction.completed", "interaction": end}]


@st.composite
def _step_events(draw: st.DrawFn, index: int, one: dict[str, Any]) -> list[dict[str, Any]]:
    start = {key: value for key, value in one.items() if key in _IDENTITY}
    deltas: list[dict[str, Any]] = []
    if one["type"] == "model_output":
        for number, block in enumerate(one["content"]):
            deltas += draw(_block_deltas(start, block, first=number == 0))
    elif one["type"] == "thought":
        summary = list(one["summary"])
        if draw(st.booleans()):
            start["summary"] = [summary.pop(0)]
        deltas += [{"type": "thought_summary", "content": item} for item in summary]
        if "signature" in one:
            if draw(st.booleans()):
                start["signature"] = one["signature"]
            else:
                deltas.append({"type": "thought_signature", "signature": one["signature"]})
    elif one["type"] == "function_call":
        start |= {"arguments": {}, "signature": ""}
        if one["arguments"] or draw(st.booleans()):
            cut = draw(pieces(json.dumps(one["arguments"], ensure_ascii=draw(st.booleans()))))
            deltas += [{"type": "arguments_delta", "arguments": piece} for piece in cut]
    elif one["type"] == "user_input" or draw(st.booleans()):
        start = one  # whole at once
    else:
        rest = {key: value for key, value in one.items() if key not in ("id", "call_id")}
        deltas.append(rest)
    return step(index, start, *deltas)


@st.composite
def _block_deltas(
    draw: st.DrawFn, start: dict[str, Any], block: dict[str, Any], *, first: bool
) -> list[dict[str, Any]]:
    if block["type"] != "text":
        if first and draw(st.booleans()):
            start["content"] = [block]
            return []
        return [block]
    cut = draw(pieces(block["text"]))
    if first and draw(st.booleans()):
        start["content"] = [{"type": "text", "text": cut.pop(0)}]
    deltas = [{"type": "text", "text": piece} for piece in cut]
    if block.get("annotations"):
        at = draw(st.integers(0, len(block["annotations"])))
        halves = [half for half in (block["annotations"][:at], block["annotations"][at:]) if half]
        deltas += [{"type": "text_annotation_delta", "annotations": half} for half in halves]
    return deltas


def wild_events() -> st.SearchStrategy[list[Any]]:
    """Events of known kinds in any order, with anything in them, few of which make sense together."""
    from bridge.interactions.events import EVENT

    index = st.integers(0, 2)
    delta = st.fixed_dictionaries({"event_type": st.just("step.delta"), "index": index, "delta": of_mark_of("delta")})
    start = st.fixed_dictionaries({"event_type": st.just("step.start"), "index": index, "step": of_mark_of("step")})
    stop = st.fixed_dictionaries({"event_type": st.just("step.stop"), "index": index})
    return st.lists(delta | delta | start | stop | of_union(EVENT, WILD), max_size=10)


def of_mark_of(name: str) -> st.SearchStrategy[Any]:
    """Anything that stands in an event's delta or step, right, wrong or unknown."""
    from bridge.interactions.events import StepDelta, StepStart

    field = StepDelta.model_fields["delta"] if name == "delta" else StepStart.model_fields["step"]
    return of_union(field.metadata[0], WILD)
