"""How far a stream has come, and what is missing when it breaks.

`Progress` takes the events of one interaction over any number of connections, lets none through twice, and, given the whole
interaction as `get` answers it, makes the events that did not arrive. It sends nothing: whether to resume, to ask or to give up
is decided by `backend` from what stands here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bridge.interactions import (
    NOT_STREAMED,
    ArgumentsDelta,
    Assembler,
    ErrorEvent,
    Event,
    FunctionCall,
    Interaction,
    InteractionCompleted,
    InteractionCreated,
    InteractionStatusUpdate,
    ModelOutput,
    Step,
    StepDelta,
    StepStart,
    StepStop,
    TextAnnotationDelta,
    TextContent,
    TextDelta,
    UserInput,
    assemble,
)

from .sse import Decoder

__all__ = ["Progress"]


class Progress:
    """One interaction's stream so far. `before` are the hops of the same turn that are over."""

    def __init__(
        self, *, stored: bool = True, id: str = "", after: str | None = None, before: Sequence[Interaction] = ()
    ) -> None:
        self.id = id
        """The interaction's id, empty until it is known."""
        self.fresh = after is None
        """No connection has brought anything yet."""
        self.cursor = after
        """The last event's id, from which the stream can go on; None where events carry none."""
        self.completed: Interaction | None = None
        """What `interaction.completed` carried."""
        self.failed = False
        """The last event was an `error`."""
        self.count = 0
        """Events taken."""
        self.why = ""
        """How the last connection ended."""
        self.fruitless = 0
        """Connections in a row that brought nothing new."""
        self._kept: list[bytes] = []
        self._stored = stored
        self._before = before
        self._assembler = Assembler()
        self._seen = {after} if after else set()
        self._created = bool(after)
        self._stopped: dict[int, bool] = {}  # by step index, whether its end came
        self._arguments: dict[int, list[str]] = {}

    @property
    def recoverable(self) -> bool:
        """Whether the service can be asked for the rest."""
        return self._stored and bool(self.id)

    @property
    def hops(self) -> list[Interaction]:
        """The hops of the turn so far, the one that runs or ran last at the end."""
        self.catch_up()
        return [*self._before, self._assembler.interaction()] if self.count else [*self._before]

    def partial(self) -> Interaction:
        """The turn so far."""
        return assemble([InteractionCompleted(interaction=hop) for hop in self.hops])

    def learn_id(self, id: Any) -> None:
        """The id became known."""
        if isinstance(id, str) and id:
            self.id = id

    def ended(self, why: str, *, news: bool) -> None:
        """A connection is over."""
        self.fresh = False
        self.why = why
        self.fruitless = 0 if news else self.fruitless + 1

    def first(self, chunk: bytes, events: Iterable[Event]) -> Iterator[Event]:
        """Takes what the first connection brings, where nothing can come twice.

        The bytes are kept, and only understood again (`catch_up`) where a stream breaks: events of streams that do not are passed
        on at the cost of decoding them.
        """
        self._kept.append(chunk)
        for event in events:
            if type(event) is InteractionCompleted:
                self.completed = event.interaction
                self.learn_id(event.interaction.id)
            yield event

    def catch_up(self) -> None:
        """Understands what was kept."""
        kept, self._kept = self._kept, []
        if kept:
            self.completed = None
            decoder = Decoder()
            for chunk in kept:
                self.new(decoder.feed(chunk))

    def new(self, events: Iterable[Event]) -> list[Event]:
        """Takes events as they came and returns those to pass on: all but the ones that were there before."""
        return [event for event in events if self._take(event)]

    def _take(self, event: Event) -> bool:
        event_id = getattr(event, "event_id", None)
        if type(event_id) is str:
            if event_id in self._seen:
                return False
            self._seen.add(event_id)
            self.cursor = event_id
        match event:
            case StepDelta(index=index, delta=delta):
                if index not in self._stopped:
                    self._stopped[index] = False
                if isinstance(delta, ArgumentsDelta):
                    self._arguments.setdefault(index, []).append(delta.arguments or "")
            case StepStart(index=index):
                self._stopped[index] = False
                self._arguments.pop(index, None)
            case StepStop(index=index):
                self._stopped[index] = True
            case InteractionCreated(interaction=interaction):
                if self._created and interaction.id == self.id:
                    return False  # a resumed stream may begin with it again
                if self.completed is not None:  # the service goes on with the next hop in the same stream
                    self._next_hop()
                self._created = True
                self.learn_id(interaction.id)
            case InteractionCompleted(interaction=interaction):
                self.completed = interaction
                self.learn_id(interaction.id)
            case InteractionStatusUpdate(interaction_id=id) if not self.id:
                self.learn_id(id)
        self.failed = isinstance(event, ErrorEvent)
        self.count += 1
        self._assembler.add(event)
        return True

    def _next_hop(self) -> None:
        self._before = [*self._before, self._assembler.interaction()]
        self._assembler = Assembler()
        self.completed = None
        self._stopped = {}
        self._arguments = {}

    def rest(self, whole: Interaction) -> list[Event]:
        """The events that turn what was delivered into `whole`, an interaction that ended, and takes them.

        A step whose end was delivered stays as it is. One that was begun goes on where it stopped, if what was delivered of it is
        the beginning of the whole one; else it begins again: a `step.start` of an index that was there before replaces the step.
        """
        events: list[Event] = []
        if not self._created:
            begun = {
                name: value for name, value in whole.to_wire().items() if name in ("id", "object", "model", "agent")
            }
            events.append(InteractionCreated(interaction=Interaction.parse({**begun, "status": "in_progress"})))
        have = self._assembler.interaction().step_list
        steps = _aligned(whole.step_list, have)
        indexes = sorted(self._stopped)
        following = indexes[-1] + 1 if indexes else 0
        for number, step in enumerate(steps):
            if number >= len(indexes):
                index = following + number - len(indexes)
                events += [StepStart(index=index, step=step), StepStop(index=index)]
            elif not self._stopped[indexes[number]]:
                events += self._finished(indexes[number], have[number], step)
        fields = {name: value for name, value in whole.to_wire().items() if name not in NOT_STREAMED}
        if len(indexes) > len(steps):  # no event takes a step back, so the end of the stream says what there is
            fields["steps"] = [step.to_wire() for step in steps]
        else:
            fields.pop("steps", None)
        events.append(InteractionCompleted(interaction=Interaction.parse(fields)))
        return self.new(events)

    def _finished(self, index: int, have: Step, whole: Step) -> list[Event]:
        """A step that was begun, to its end."""
        deltas: list[Any] | None = None
        if isinstance(have, ModelOutput) and isinstance(whole, ModelOutput):
            deltas = _text_left(have, whole)
        elif isinstance(whole, FunctionCall) and index in self._arguments:
            deltas = _arguments_left("".join(self._arguments[index]), whole)
        if deltas is None:
            return [StepStart(index=index, step=whole), StepStop(index=index)]
        return [*(StepDelta(index=index, delta=delta) for delta in deltas), StepStop(index=index)]


def _text_left(have: ModelOutput, whole: ModelOutput) -> list[Any] | None:
    """The deltas from the beginning of a text to the whole of it, None where it is not its beginning."""
    parts, wanted = list(have.content or []), list(whole.content or [])
    if len(parts) != len(wanted) or parts[:-1] != wanted[:-1] or not parts:
        return None
    part, want = parts[-1], wanted[-1]
    if not isinstance(part, TextContent) or not isinstance(want, TextContent):
        return None
    if part.annotations or not want.text.startswith(part.text):
        return None
    left = want.text[len(part.text) :]
    deltas: list[Any] = [TextDelta(text=left)] if left else []
    if want.annotations:
        deltas.append(TextAnnotationDelta(annotations=want.annotations))
    finished = part.replace(text=want.text, **({"annotations": want.annotations} if want.annotations else {}))
    return deltas if have.replace(content=[*parts[:-1], finished]) == whole else None


def _arguments_left(pieces: str, whole: FunctionCall) -> list[Any] | None:
    """The delta from the beginning of a call's arguments to the whole of them, None where their text is not ours."""
    for separators in ((",", ":"), (", ", ": ")):
        text = json.dumps(whole.arguments, ensure_ascii=False, separators=separators)
        if text.startswith(pieces):
            return [ArgumentsDelta(arguments=text[len(pieces) :])]
    return None


def _aligned(whole: list[Step], have: list[Step]) -> list[Step]:
    """`get` may begin with the input, which a stream does not repeat."""
    if not (have and isinstance(have[0], UserInput)):
        while whole and isinstance(whole[0], UserInput):
            whole = whole[1:]
    return whole
