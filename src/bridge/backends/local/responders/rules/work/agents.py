"""What only managed agents do: tell their role, plan and report on research, and work on a task in their workspace.

A stand-in has read no page and understood no task; what it leaves says so.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

from bridge.interactions import (
    CreateAgentInteraction,
    DeepResearchConfig,
    Step,
    UserInput,
)

from ...base import Ending
from ..answers import spoken
from ..filling.evidence import Evidence
from ..situation import Plan, Situation, said, thought
from ..words import asks, orders, shorten
from .files import Action, act
from .servers import use

__all__ = ["research", "tell_role", "work_on_task"]

_ROLE = re.compile(
    r"\b(?:your (?:role|instructions?|job|purpose|task|system prompt)|who are you|what are you|what do you do)\b",
    re.IGNORECASE,
)
_PLAN = (
    "Name what exactly is asked, and what an answer must hold.",
    "List the sources that could answer it.",
    "Read them and note what each says.",
    "Compare what they say, and mark where they differ.",
    "Write the report, with a source for each claim.",
)


def research(situation: Situation) -> Plan | None:
    """Deep research: a plan where planning together is asked for, else a report in sections."""
    if not (situation.agent_kind or "").startswith("deep-research"):
        return None
    request = situation.turn.request
    config = request.agent_config if isinstance(request, CreateAgentInteraction) else None
    wishes = [shorten(text, 1_000) for text in said(situation.conversation, UserInput)] or ["(nothing was asked)"]
    if isinstance(config, DeepResearchConfig) and config.collaborative_planning:
        steps = [f"{number}. {step}" for number, step in enumerate(_PLAN, 1)]
        changes = [f"Your changes: {'; '.join(wishes[1:])}"] if wishes[1:] else []
        closing = "Send changes, or run it with collaborative_planning set to false."
        return Plan(
            thought="A plan is asked for, not its results.",
            steps=[spoken(f"Plan for: {wishes[0]}", *steps, *changes, closing)],
        )
    return Plan(thought=f"**Planning**\n\nThe question: {wishes[0]}", steps=_report(situation, wishes))


def tell_role(situation: Situation) -> Plan | None:
    """Tells an agent's instructions to who asks for its role."""
    agent = situation.turn.agent
    if agent is None or not asks(situation.prompt) or not _ROLE.search(situation.prompt):
        return None
    instructions = agent.system_instruction
    told = f"My instructions: {shorten(instructions, 2_000)}" if instructions else "I have no instructions of my own."
    return Plan(thought="The question is about me.", steps=[spoken(f"I am {agent.id or situation.agent_kind}.", told)])


def work_on_task(situation: Situation) -> Plan | None:
    """Takes a task that no other rule knows: looks at the workspace, leaves a plan in it, and says what it could not do."""
    if situation.agent_kind is None or not orders(situation.prompt):
        return None
    return Plan(thought="A task: I look at what there is and write a plan.", steps=_work(situation))


async def _report(situation: Situation, wishes: list[str]) -> AsyncGenerator[Step | Ending]:
    found = []
    if "google_search" in situation.turn.server_tools:
        call, result, text = await use(situation, "google_search", {"queries": wishes[-1:]})
        yield call
        yield result
        found.append(text)
    else:
        found.append(
            "No page was read: this service has no web search, so there is nothing to report but the question itself."
        )
    yield thought(situation, "**Writing**\n\nI put together what there is.")
    yield spoken(
        f"# {Evidence(wishes[0]).subject.capitalize()}",
        "## Question",
        *wishes,
        "## Method",
        *(f"{number}. {step}" for number, step in enumerate(_PLAN, 1)),
        "## Findings",
        *found,
        "## What remains open",
        "Everything that needs a source. Run the same request on the real API for an answer.",
    )


async def _work(situation: Situation) -> AsyncGenerator[Step | Ending]:
    task = shorten(situation.prompt, 2_000)
    workspace = situation.turn.workspace
    if workspace is None:
        yield spoken(
            f"The task: {task}",
            "I am a stand-in and cannot do it; without an environment I cannot leave a plan either.",
        )
        return
    steps = [
        "1. Look at the files that are there.",
        "2. Do what the task says.",
        "3. Check the result and leave it as a file.",
    ]
    plan = "\n".join(
        ["# Plan", "", f"Task: {task}", "", f"Files: {', '.join(situation.files) or 'none'}", "", *steps, ""]
    )
    for action in (
        Action("list_files", {"path": "/workspace"}),
        Action("write_file", {"path": "plan.md", "content": plan}),
        Action("read_file", {"path": "plan.md"}),
    ):
        call, result = await act(situation, action, workspace)
        yield call
        yield result
    yield spoken(
        f"The task: {task}",
        "I am a stand-in: I looked at the workspace and left a plan in plan.md, and did no more.",
        "I can run Python from the request, analyse a CSV file, and list, read and write files.",
    )
