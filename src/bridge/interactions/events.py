"""The seven events of a stream.

Source: Interactions API reference, "InteractionSseEvent". Framing (SSE) is left to the backends and to `bridge.http`.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from ._open import Model, OpenStruct, OpenUnion, Unknown, made
from .interaction import Error, Interaction
from .steps import Step
from .steps.deltas import Delta, TextDelta
from .usage import Usage

__all__ = [
    "ErrorEvent",
    "Event",
    "InteractionCompleted",
    "InteractionCreated",
    "InteractionStatusUpdate",
    "StepDelta",
    "StepDeltaMetadata",
    "StepStart",
    "StepStop",
    "parse_event",
]

_Usage = Annotated[Usage | Unknown, OpenStruct("usage", Usage)]


class _Event(Model):
    """`event_id` is the cursor from which a stream resumes; absent on streams that cannot."""

    event_id: str | None = None


class InteractionCreated(_Event):
    """The first event: the id is known from here on."""

    event_type: Literal["interaction.created"] = "interaction.created"
    interaction: Interaction


class InteractionStatusUpdate(_Event):
    """The status changed."""

    event_type: Literal["interaction.status_update"] = "interaction.status_update"
    interaction_id: str = ""
    status: str
    continuation_token: str | None = None
    usage: _Usage | None = None


class StepStart(_Event):
    """A step begins. It may already hold the first piece of its text or thought."""

    event_type: Literal["step.start"] = "step.start"
    index: int
    step: Step


class StepDeltaMetadata(Model):
    """What was used so far."""

    total_usage: _Usage | None = None


class StepDelta(_Event):
    """A step grows."""

    event_type: Literal["step.delta"] = "step.delta"
    index: int
    delta: Delta
    metadata: Annotated[StepDeltaMetadata | Unknown, OpenStruct("metadata", StepDeltaMetadata)] | None = None


class StepStop(_Event):
    """A step ends."""

    event_type: Literal["step.stop"] = "step.stop"
    index: int
    usage: _Usage | None = None
    step_usage: _Usage | None = None


class InteractionCompleted(_Event):
    """The last event of a turn or of one hop of it, whatever the status; it carries no steps."""

    event_type: Literal["interaction.completed"] = "interaction.completed"
    interaction: Interaction


class ErrorEvent(_Event):
    """Something went wrong inside the stream."""

    event_type: Literal["error"] = "error"
    error: Annotated[Error | Unknown, OpenStruct("error", Error)] | None = None


KINDS: dict[str, type[Model]] = {
    "interaction.created": InteractionCreated,
    "interaction.status_update": InteractionStatusUpdate,
    "step.start": StepStart,
    "step.delta": StepDelta,
    "step.stop": StepStop,
    "interaction.completed": InteractionCompleted,
    "error": ErrorEvent,
}
EVENT = OpenUnion("event", KINDS, tag="event_type")

if TYPE_CHECKING:
    Event: TypeAlias = (
        InteractionCreated
        | InteractionStatusUpdate
        | StepStart
        | StepDelta
        | StepStop
        | InteractionCompleted
        | ErrorEvent
        | Unknown
    )
else:
    Event = Annotated[Any, EVENT]


def parse_event(value: Any) -> Event:
    """A decoded JSON value as the event it is, or as an `Unknown`. Never raises."""
    # Nearly all events are pieces of text. One of exactly the expected fields is built without asking pydantic, which halves
    # the cost of a streamed event; anything else about it takes the general way and comes to the same.
    if type(value) is dict and value.get("event_type") == "step.delta":
        delta, index, event_id, size = value.get("delta"), value.get("index"), value.get("event_id"), len(value)
        if type(delta) is dict and delta.get("type") == "text" and type(index) is int:
            text = delta.get("text")
            if type(text) is str and len(delta) == 2 and (size == 3 or (size == 4 and type(event_id) is str)):
                given = {"event_type", "index", "delta"} if size == 3 else {"event_type", "index", "delta", "event_id"}
                fields = {
                    "event_id": event_id,
                    "event_type": "step.delta",
                    "index": index,
                    "delta": made(TextDelta, {"type": "text", "text": text}, {"type", "text"}),
                    "metadata": None,
                }
                return made(StepDelta, fields, given)
    event: Event = EVENT.parse(value)
    return event
