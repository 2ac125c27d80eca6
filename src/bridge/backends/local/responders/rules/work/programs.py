"""Programs: runs the Python that a prompt holds, in the sandbox, and tells what came of it.

What the sandbox can and cannot run is its own business; it says so in its errors.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass

from bridge.interactions import (
    CodeExecutionArguments,
    CodeExecutionCall,
    CodeExecutionResult,
    Step,
)

from ....sandbox import RunResult
from ...base import Ending
from ..answers import spoken
from ..situation import Plan, Situation, list_files
from ..words import shorten, word_set

__all__ = ["code_call", "code_result", "fenced_blocks", "run_programs"]

_PYTHON = word_set("py python python3")
_SHELL = word_set("bash console sh shell shell-session terminal zsh")
_DATA = word_set("csv diff html json log markdown md text toml tsv txt xml yaml yml")
_RUN = re.compile(r"\b(?:run|execute|evaluate)\b", re.IGNORECASE)
_INLINE = re.compile(
    r"\b(?:run|execute|evaluate)(?:\s(?:this|the following|following))?(?:\spython)?(?:\s(?:code|program|script))?\s?:\s{0,3}",
    re.IGNORECASE,
)
_TICKED = re.compile(r"\b(?:run|execute|evaluate)\s(?:[\w ]{0,40}\s)?`([^`\n]{1,5000})`", re.IGNORECASE)
_SUM = re.compile(r"(?<![\w.])[\d(][\d\s().]{0,60}(?:(?:\*\*|//|[-+*/%])\s?[-(]{0,3}\s?\d[\d\s().]{0,60}){1,40}(?!\w)")
_UNDECLARED = "There is a program in the request, but this turn may not run one: declare the tool code_execution, or give an environment."
_NO_SANDBOX = "There is a program in the request, but this service runs none: it was started without a sandbox."
_NOT_PYTHON = "the local sandbox runs a subset of Python only: it has no shell and no other language"


@dataclass(frozen=True)
class _Program:
    code: str
    language: str


def fenced_blocks(text: str) -> list[tuple[str, str]]:
    """(language, content) of every block between lines of three backticks; the language is lower-case, "" where none is named."""
    blocks = []
    for block in text.split("```")[1::2]:
        first, line_end, rest = block.partition("\n")
        language, _, _ = first.strip().partition(" ")
        blocks.append((language.lower(), rest) if line_end else ("", first))
    return [(language, content) for language, content in blocks if content.strip()]


def run_programs(situation: Situation) -> Plan | None:
    """Runs the programs of the prompt, one after the other; says what is missing where that may not be done."""
    programs = list(_programs(situation))
    if not programs:
        return None
    turn = situation.turn
    allowed = situation.offers("code_execution") or situation.agent_kind is not None or turn.workspace is not None
    if not allowed or turn.run_python is None:
        return Plan(thought="The program cannot be run.", steps=[spoken(_NO_SANDBOX if allowed else _UNDECLARED)])
    return Plan(thought="The request holds a program: I run it.", steps=_run(situation, programs, turn.run_python))


def code_call(situation: Situation, code: str, language: str = "python") -> CodeExecutionCall:
    """The step that announces a program."""
    arguments = CodeExecutionArguments(code=code, language=language)
    return CodeExecutionCall(id=situation.turn.new_id(), arguments=arguments, signature="")


def code_result(call: CodeExecutionCall, outcome: RunResult) -> CodeExecutionResult:
    """The step that tells how it ended: what it printed, then what failed."""
    text = outcome.stdout
    if outcome.error is not None:
        text = f"{text.rstrip()}\n{outcome.error}".lstrip()
    return CodeExecutionResult(call_id=call.id, result=text, is_error=outcome.error is not None, signature="")


async def _run(
    situation: Situation, programs: list[_Program], run_python: Callable[[str], Awaitable[RunResult]]
) -> AsyncGenerator[Step | Ending]:
    told = []
    for program in programs:
        call = code_call(situation, program.code, program.language)
        yield call
        if program.language == "python":
            outcome = await run_python(program.code)
        else:
            outcome = RunResult(stdout="", error=_NOT_PYTHON, duration=0.0, timed_out=False)
        yield code_result(call, outcome)
        told.append(_told(outcome))
    new = sorted(set(await list_files(situation.turn)) - set(situation.files))
    told += [f"Files it left in /workspace: {', '.join(new[:100])}."] if new else []
    yield spoken(*told)


def _told(outcome: RunResult) -> str:
    printed = shorten(outcome.stdout.strip(), 5_000)
    if outcome.error is None:
        return f"The program printed:\n{printed}" if printed else "The program ran and printed nothing."
    before = f" Before that it printed:\n{printed}" if printed else ""
    return f"The program failed: {outcome.error}.{before}"


def _programs(situation: Situation) -> Iterator[_Program]:
    """Fenced blocks in Python or for a shell, and untagged ones that are to be run; else what follows "run this:"."""
    text, prompt = situation.full_prompt, situation.prompt
    blocks = fenced_blocks(text)
    for language, content in blocks:
        if language in _PYTHON or (not language and _RUN.search(prompt)):
            yield _Program(content, "python")
        elif language in _SHELL or (language and language not in _DATA and _RUN.search(prompt)):
            yield _Program(content, "bash" if language in _SHELL else language)
    if blocks:
        return
    if match := _TICKED.search(prompt):
        yield _Program(match[1], "python")
    elif (match := _INLINE.search(text)) and text[match.end() :].strip():
        yield _Program(text[match.end() :].strip(), "python")
    elif situation.offers("code_execution") and (match := _SUM.search(prompt)):
        yield _Program(f"print({match.group().strip()})", "python")
