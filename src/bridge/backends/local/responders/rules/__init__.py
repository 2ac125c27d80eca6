"""The rule responder: a deterministic stand-in for a model, honest about it and useful without one.

Each rule is a pure function from the situation to a plan; they are asked in the order of `RULES`, and the first that has a
plan carries it out. What a rule looks for stands in its own module: answers beside this one, work in
`work`, values for schemas in `filling`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import anyio.to_thread

from bridge.interactions import Step

from ..base import Ending, Turn
from .answers import answer_results, answer_structured
from .calls import call_functions
from .quotes import answer_from_quotes, keep_question
from .recall import acknowledge, answer_about_talk, answer_from_memory
from .situation import Plan, Rule, Situation, read, thought
from .work.agents import research, tell_role, work_on_task
from .work.files import handle_files
from .work.programs import run_programs
from .work.servers import call_server_tools
from .work.tables import analyse_table

__all__ = ["RULES", "RuleResponder"]

RULES: tuple[Rule, ...] = (
    research,
    call_functions,
    answer_results,
    answer_structured,
    handle_files,
    run_programs,
    tell_role,
    answer_about_talk,
    analyse_table,
    answer_from_quotes,
    keep_question,
    answer_from_memory,
    call_server_tools,
    work_on_task,
    acknowledge,
)
"""In this order; the last one always has an answer."""


class RuleResponder:
    """Answers by rules: calls functions, fills schemas, runs programs, analyses tables, remembers the conversation.

    The same turn always gets the same steps (but for the ids of calls, which the engine gives out). It begins, as the API does, with a
    signed thought, and every answer in words says that it comes from a stand-in.
    """

    async def respond(self, turn: Turn) -> AsyncIterator[Step | Ending]:
        """Yields the steps of the first rule that fits."""
        situation = await read(turn)
        # In a thread: a long prompt or a large schema takes a while to look through, and others wait on the event loop.
        plan = await anyio.to_thread.run_sync(_decide, situation)
        yield thought(situation, plan.thought)
        if isinstance(plan.steps, AsyncGenerator):
            async with aclosing(plan.steps) as steps:
                async for step in steps:
                    yield step
        else:
            for step in plan.steps:
                yield step


def _decide(situation: Situation) -> Plan:
    return next(plan for rule in RULES if (plan := rule(situation)) is not None)
