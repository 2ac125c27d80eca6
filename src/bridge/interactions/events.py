"""The seven events of a stream.

Source: Interactions API reference, "InteractionSseEvent". Framing (SSE) is left to the backends and to `bridge.http`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from ._open import Model, OpenStruct, OpenUnion, Unknown
from .deltas import Delta
from .interaction import Error, Interaction
from .steps import Step
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
    metadata: StepDeltaMetadata | None = None


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
    Event = (
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

# A decoded JSON value as the event it is, or as an `Unknown`. Never raises.
parse_event = EVENT.parse
