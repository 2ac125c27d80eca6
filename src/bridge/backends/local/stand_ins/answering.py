"""One conversation, as a stateless vendor is sent it, answered by a responder.

The whole conversation is the input of one turn that remembers nothing. How a vendor writes it is the adapter's business.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from bridge.errors import ApiError
from bridge.interactions import CreateModelInteraction, FunctionCall, ModelOutput, Step, TextContent, Thought
from bridge.interactions.interaction import input_steps

from ..checks import check_parts
from ..responders.base import Ending, Responder, Turn
from ..turns.ending import to_its_end
from ..turns.record import new_call_id
from ..turns.usage import Meter
from .app import Refused

__all__ = ["Answering", "conversation", "seal"]


def conversation(
    *,
    model: str,
    steps: Sequence[Mapping[str, Any]],
    instruction: str | None = None,
    functions: Iterable[Mapping[str, Any]] = (),
    mode: str = "auto",
    allowed: Sequence[str] | None = None,
    schema: Any = None,
    summaries: bool = False,
    max_tokens: int | None = None,
    stops: Sequence[str] = (),
) -> CreateModelInteraction:
    """A vendor's request as a request of ours.

    Args:
        model: the model asked for.
        steps: the conversation in the form of the Interactions wire.
        instruction: the system's instruction.
        functions: the tools, each with `name`, `description` and `parameters`.
        mode: whether tools may be called: auto, any or none.
        allowed: the names of those that may be called; None for all.
        schema: the JSON Schema of the answer; True for any JSON, None for words.
        summaries: whether thoughts are shown in words.
        max_tokens: the most tokens of the answer.
        stops: texts before which the answer ends.

    Raises `Refused` for what does not fit: a field of another type, data that is no base64.
    """
    choice: Any = mode if allowed is None else {"allowed_tools": {"mode": mode, "tools": list(allowed)}}
    generation = {
        "max_output_tokens": max_tokens,
        "stop_sequences": list(stops) or None,
        "thinking_summaries": "auto" if summaries else "none",
        "tool_choice": choice,
    }
    wire: dict[str, Any] = {
        "model": model,
        "input": list(steps),
        "tools": [{"type": "function", **function} for function in functions],
        "generation_config": {name: value for name, value in generation.items() if value is not None},
    }
    if instruction:
        wire["system_instruction"] = instruction
    if schema is not None:
        described = {} if schema is True else {"schema": schema}
        wire["response_format"] = {"type": "text", "mime_type": "application/json", **described}
    request = CreateModelInteraction.parse(wire)
    try:
        check_parts(request)
    except ApiError as error:
        raise Refused(error.message) from None
    return request


class Answering:
    """A responder's answer to one conversation: iterate over it once for its steps.

    Args:
        responder: who answers.
        request: the conversation (`conversation`).
        thoughts: whether thoughts are part of the answer.
        parallel: whether it may ask for several calls at once; otherwise it ends with the first.

    Steps are thoughts, words and calls; each call has an id that begins with `prefix`. Afterwards `ending` says how it ended (completed,
    requires_action or incomplete) and `stopped_by` which text stopped it. `input_tokens`, `output_tokens` and `thought_tokens`
    count so far; thoughts are not part of the output's.
    """

    def __init__(
        self,
        responder: Responder,
        request: CreateModelInteraction,
        *,
        prefix: str,
        thoughts: bool = False,
        parallel: bool = True,
    ) -> None:
        steps = input_steps(request.input)
        self.request = request
        self.ending: str | None = None
        self._meter = Meter.of(request, steps, tools=request.tools or ())
        self._turn = Turn(request=request, input=tuple(steps), new_id=lambda: f"{prefix}{new_call_id()}")
        self._responder = responder
        self._thoughts = thoughts
        self._parallel = parallel

    async def __aiter__(self) -> AsyncGenerator[Thought | ModelOutput | FunctionCall, None]:
        """Raises `Refused` (500) where the answer fails, or holds what no chat model says; and what the responder raises."""
        async with aclosing(to_its_end(self._shown(), self._meter)) as items:
            async for item in items:
                if isinstance(item, Ending):
                    self.ending = _ended(item)
                    return
                yield _said(item)
                if isinstance(item, FunctionCall) and not self._parallel:
                    self.ending = "requires_action"
                    return

    async def _shown(self) -> AsyncGenerator[Step | Ending, None]:
        answer = self._responder.respond(self._turn)
        try:
            async for item in answer:
                if self._thoughts or not isinstance(item, Thought):
                    yield item
        finally:
            if isinstance(answer, AsyncGenerator):
                await answer.aclose()

    @property
    def stopped_by(self) -> str | None:
        """The stop sequence before which the answer ends."""
        return self._meter.stopped_by

    @property
    def input_tokens(self) -> int:
        """Tokens of the conversation."""
        return self._count("total_input_tokens")

    @property
    def output_tokens(self) -> int:
        """Tokens of the words and the calls so far."""
        return self._count("total_output_tokens")

    @property
    def thought_tokens(self) -> int:
        """Tokens of the thoughts so far."""
        return self._count("total_thought_tokens")

    def _count(self, name: str) -> int:
        count: int = self._meter.usage()[name]
        return count


def seal(vendor: str, text: str) -> str:
    """What a stand-in puts on a thought: nothing but the same vendor's stand-in makes it, of the same text."""
    digest = hashlib.sha256(f"{vendor}\n{text}".encode("utf-8", "replace")).hexdigest()[:32]
    return base64.b64encode(f"local-{vendor}-{digest}".encode()).decode()


def _ended(ending: Ending) -> str:
    if ending.status not in ("completed", "requires_action", "incomplete"):
        told = "; ".join(message for _, message in ending.errors) or f"the answer ended as {ending.status}"
        raise Refused(told, status=500, kind="api_error")
    return ending.status


def _said(step: Step) -> Thought | ModelOutput | FunctionCall:
    words = isinstance(step, ModelOutput) and all(isinstance(item, TextContent) for item in step.content or ())
    if words or isinstance(step, Thought | FunctionCall):
        return step  # type: ignore[return-value]  # narrowed by the line above
    kind = getattr(step, "type", type(step).__name__)
    message = f"the stand-in tells thoughts, texts and function calls; its responder made a {kind!r} that is none"
    raise Refused(message, status=500, kind="api_error")
