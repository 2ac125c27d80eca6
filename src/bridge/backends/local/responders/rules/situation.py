"""What a turn asks, read once from the request, its history and its folder: the ground that every rule stands on.

It decides nothing; the rules do.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeAlias

import anyio.to_thread

from bridge.interactions import (
    Content,
    CreateAgentInteraction,
    CreateModelInteraction,
    DeepResearchConfig,
    FunctionCall,
    FunctionResult,
    FunctionTool,
    ModelOutput,
    Step,
    TextContent,
    Thought,
    Tool,
    ToolChoice,
    UserInput,
)

from ..base import Ending, Turn
from .words import window

__all__ = ["Plan", "Rule", "Situation", "call_key", "list_files", "read", "said", "text_of", "thought"]

_MAX_FILES = 1_000  # listed of a workspace: enough to find a file by its name


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a rule will do: a thought, and the steps that follow it, ready or made one by one as the work is done."""

    thought: str
    steps: Sequence[Step | Ending] | AsyncGenerator[Step | Ending]


@dataclass(frozen=True, kw_only=True)
class Situation:
    """A turn as the rules see it. `files` are paths below the workspace, "/"-separated and sorted."""

    turn: Turn
    files: tuple[str, ...] = ()

    @cached_property
    def conversation(self) -> tuple[Step, ...]:
        """Everything so far, oldest first, whether the server remembered it or the caller sent it."""
        return self.turn.history + self.turn.input

    @cached_property
    def _asked_at(self) -> int:
        """Where the user's last words stand in the conversation; -1 where there are none."""
        steps = self.conversation
        return next(
            (n for n in range(len(steps) - 1, -1, -1) if isinstance(steps[n], UserInput)),
            -1,
        )

    @cached_property
    def parts(self) -> list[Content]:
        """The content of the user's last words."""
        step = self.conversation[self._asked_at] if self._asked_at >= 0 else None
        return (step.content or []) if isinstance(step, UserInput) else []

    @cached_property
    def full_prompt(self) -> str:
        """The text of the user's last words."""
        return text_of(self.parts)

    @cached_property
    def prompt(self) -> str:
        """What the rules look at of it: without fenced blocks, and bounded (`words.window`)."""
        return window("\n".join(self.full_prompt.split("```")[::2])).strip()

    @cached_property
    def earlier(self) -> list[Step]:
        """What was said and done before the user's last words."""
        return list(self.conversation[: max(self._asked_at, 0)])

    @cached_property
    def results(self) -> list[FunctionResult]:
        """The functions' results that this answer is about: those after the user's last words, or sent along with them."""
        before = takewhile(
            lambda step: isinstance(step, UserInput | FunctionResult),
            reversed(self.earlier),
        )
        steps = [*reversed(list(before)), *self.conversation[self._asked_at + 1 :]]
        return [step for step in steps if isinstance(step, FunctionResult)]

    @cached_property
    def calls(self) -> dict[str, FunctionCall]:
        """Every function call of the conversation by its id."""
        return {step.id: step for step in self.conversation if isinstance(step, FunctionCall)}

    @cached_property
    def answered(self) -> set[tuple[str, str]]:
        """What need not be called again for this answer (`call_key`)."""
        ids = {result.call_id for result in self.results}
        return {call_key(call.name, call.arguments) for call in self.calls.values() if call.id in ids}

    @cached_property
    def tools(self) -> list[Tool]:
        """The tools of the request, and those that the agent brings along."""
        own = self.turn.request.tools or []
        names = {tool.name for tool in own if isinstance(tool, FunctionTool)}
        brought = (self.turn.agent.tools or []) if self.turn.agent else []
        return [*own, *(tool for tool in brought if getattr(tool, "name", None) not in names)]

    @cached_property
    def functions(self) -> list[FunctionTool]:
        """The functions that may be called: declared, and allowed by tool_choice."""
        mode, allowed = self._tool_choice
        if mode == "none":
            return []
        declared = [tool for tool in self.tools if isinstance(tool, FunctionTool)]
        return [tool for tool in declared if allowed is None or tool.name in allowed]

    @cached_property
    def forced(self) -> bool:
        """Whether tool_choice demands a call."""
        mode, allowed = self._tool_choice
        return mode == "any" or (mode == "validated" and allowed is not None)

    @cached_property
    def _tool_choice(self) -> tuple[str, list[str] | None]:
        request = self.turn.request
        settings = request.generation_config if isinstance(request, CreateModelInteraction) else None
        choice = settings.tool_choice if settings else None
        if isinstance(choice, ToolChoice):
            allowed = choice.allowed_tools
            return ((allowed.mode or "auto"), allowed.tools) if allowed else ("auto", None)
        return choice or "auto", None

    def offers(self, tool_type: str) -> bool:
        """Whether a server tool of this type may be used."""
        return any(getattr(tool, "type", None) == tool_type for tool in self.tools)

    @cached_property
    def agent_kind(self) -> str | None:
        """Which of the API's agents does the work: the name of the agent, or of the one it is built on; None for a model."""
        request = self.turn.request
        if not isinstance(request, CreateAgentInteraction):
            return None
        agent = self.turn.agent
        return (agent.base_agent if agent else None) or request.agent

    @cached_property
    def shows_thoughts(self) -> bool:
        """Whether thoughts carry a summary."""
        request = self.turn.request
        if isinstance(request, CreateModelInteraction):
            settings = request.generation_config
            return settings is not None and settings.thinking_summaries == "auto"
        if (self.agent_kind or "").startswith("deep-research"):
            config = request.agent_config
            return isinstance(config, DeepResearchConfig) and config.thinking_summaries == "auto"
        return True


Rule: TypeAlias = Callable[[Situation], Plan | None]
"""Looks at a situation and says what it would do; None where it is not its business. Pure; the work is in the plan."""


async def read(turn: Turn) -> Situation:
    """The situation of a turn, with the files its workspace holds."""
    return Situation(turn=turn, files=await list_files(turn))


async def list_files(turn: Turn) -> tuple[str, ...]:
    """The files of the turn's workspace, the first thousand; listed in a thread."""
    if turn.workspace is None:
        return ()
    return await anyio.to_thread.run_sync(_listed, turn.workspace)


def _listed(workspace: Path) -> tuple[str, ...]:
    found = []
    for folder, folders, names in os.walk(workspace):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                found.append(path.relative_to(workspace).as_posix())
        if len(found) >= _MAX_FILES:
            break
    return tuple(sorted(found[:_MAX_FILES]))


def text_of(parts: Iterable[Content]) -> str:
    """The texts among parts, joined by line ends."""
    return "\n".join(part.text for part in parts if isinstance(part, TextContent))


def said(steps: Iterable[Step], kind: type[UserInput | ModelOutput]) -> Iterator[str]:
    """The texts of the user (`UserInput`) or the model (`ModelOutput`), in order, without empty ones."""
    for step in steps:
        if isinstance(step, kind) and (text := text_of(step.content or [])).strip():
            yield text


def call_key(name: str, arguments: dict[str, Any]) -> tuple[str, str]:
    """What makes two calls the same: name and arguments, whatever their order."""
    return name, json.dumps(arguments, sort_keys=True, default=str)


def thought(situation: Situation, text: str) -> Thought:
    """A thought with its signature, and with its summary where the request asks for one."""
    seal = hashlib.sha256(f"{situation.full_prompt}\n{text}".encode("utf-8", "replace")).hexdigest()[:24]
    signature = base64.b64encode(f"local-stand-in-{seal}".encode()).decode()
    if not situation.shows_thoughts:
        return Thought(signature=signature)
    return Thought(signature=signature, summary=[TextContent(text=text)])
