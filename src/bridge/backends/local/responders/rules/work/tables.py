"""Tables: has the program of `analysis` run over a CSV file of the workspace, and answers from what it printed.

Which figures there are and how they are told is `analysis`'s business; whether a prompt asks for them is decided here.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable

from bridge.interactions import Step

from ....analysis import FILES, analysis_program, answer, parse_result
from ....sandbox import RunResult
from ...base import Ending
from ..answers import spoken
from ..recall import was_told
from ..situation import Plan, Situation, thought
from ..words import asks, is_request
from .files import PATH, inside
from .programs import code_call, code_result

__all__ = ["analyse_table"]

_ANALYSE = re.compile(
    r"\b(?:analy[sz]e|analysis|profile|summari[sz]e|summary|group|statistics|totals?|averages?|figures|data|table|csv|rows?)\b",
    re.IGNORECASE,
)


def analyse_table(situation: Situation) -> Plan | None:
    """Analyses the CSV file that the prompt names, or an agent's only one where it asks something."""
    prompt, turn = situation.prompt, situation.turn
    if not is_request(prompt):
        return None
    named = list(dict.fromkeys(inside(match.group()) for match in PATH.finditer(prompt) if _is_table(match.group())))
    about_data = _ANALYSE.search(prompt) is not None
    if turn.workspace is None or turn.run_python is None:
        if named and about_data and (situation.agent_kind or situation.offers("code_execution")):
            missing = 'This turn has no environment, so there is no file to look at: give one (environment="remote" with sources).'
            return Plan(thought="There is no environment.", steps=[spoken(missing)])
        return None
    there = [path for path in named if path in situation.files]
    if named and not there:
        return Plan(
            thought="The file is not there.",
            steps=[spoken(f"There is no {named[0]} in /workspace. {_held(situation)}")],
        )
    if not named and situation.agent_kind:
        tables = [path for path in situation.files if _is_table(path) and path not in FILES]
        if len(tables) > 1 and about_data:
            question = f"Which file do you mean? There are {', '.join(tables[:50])}."
            return Plan(thought="There are several tables.", steps=[spoken(question)])
        asked = asks(prompt) and not was_told(situation)
        there = tables if len(tables) == 1 and (about_data or asked) else []
    if not there:
        return None
    question = PATH.sub(" ", prompt)
    plan = f"I profile /workspace/{there[0]} with a program, group its figures, and answer from what it prints."
    return Plan(thought=plan, steps=_analyse(situation, there, question, turn.run_python))


async def _analyse(
    situation: Situation, paths: list[str], question: str, run_python: Callable[[str], Awaitable[RunResult]]
) -> AsyncGenerator[Step | Ending]:
    program = analysis_program(paths[0], question)
    call = code_call(situation, program)
    yield call
    outcome = await run_python(program)
    yield code_result(call, outcome)
    result = parse_result(outcome.stdout)
    if outcome.error is not None or result is None:
        yield spoken(f"The analysis of {paths[0]} failed: {outcome.error or 'the program printed no result'}")
        return
    yield thought(situation, "The program has printed its figures: I answer from them.")
    others = f"I looked at one file; ask again for {', '.join(paths[1:])}." if paths[1:] else ""
    yield spoken(answer(result, question), f"Files left in /workspace: {', '.join(FILES)}.", others)


def _held(situation: Situation) -> str:
    if not situation.files:
        return "It is empty."
    return f"It holds: {', '.join(situation.files[:100])}."


def _is_table(path: str) -> bool:
    return path.lower().endswith((".csv", ".tsv"))
