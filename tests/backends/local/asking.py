"""What the responders' tests share: a turn as the engine would hand it over, and what comes back."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bridge.backend import as_request
from bridge.backends.local.responders import Ending, RuleResponder, Turn
from bridge.backends.local.sandbox import MontySandbox, RunResult
from bridge.interactions import FunctionCall, ModelOutput, Step, TextContent
from bridge.interactions.interaction import input_steps

AGENT = "antigravity-preview-09-2026"
RESEARCHER = "deep-research-preview-04-2026"
TEXT = {"type": "string"}
WHOLE = {"type": "integer"}


def function(name: str, description: str = "", required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    """A function tool; all its fields are required unless it says which."""
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }
    return {"type": "function", "name": name, "description": description, "parameters": schema}


WEATHER = function("get_weather", "Get the weather at a place.", city=TEXT)


def turn(words: Any, history: Iterable[Step] = (), /, **fields: Any) -> Turn:
    """The turn of a request. Fields of `Turn` other than the request's are passed on under their own names."""
    own: dict[str, Any] = {
        name: fields.pop(name) for name in ("workspace", "run_python", "server_tools", "definition") if name in fields
    }
    if "definition" in own:
        own["agent"] = own.pop("definition")
    if "agent" not in fields:
        fields.setdefault("model", "gemini-3.8-flash")
    request = as_request(None, {"input": words, **fields})
    ids = (f"call{number:04d}" for number in itertools.count(1))
    return Turn(
        request=request,
        input=tuple(input_steps(request.input)),
        history=tuple(history),
        new_id=lambda: next(ids),
        **own,
    )


async def steps_of(asked: Turn) -> list[Step | Ending]:
    """Everything the rule responder yields."""
    return [step async for step in RuleResponder().respond(asked)]


async def ask(words: Any, history: Iterable[Step] = (), /, **fields: Any) -> list[Any]:
    """The steps that answer a request."""
    return await steps_of(turn(words, history, **fields))


async def say(words: Any, history: Iterable[Step] = (), /, **fields: Any) -> str:
    """The text that answers a request."""
    return text_of(await ask(words, history, **fields))


async def calls(words: Any, history: Iterable[Step] = (), /, **fields: Any) -> list[tuple[str, dict[str, Any]]]:
    """The functions a request leads to, with their arguments."""
    return [
        (step.name, step.arguments) for step in await ask(words, history, **fields) if isinstance(step, FunctionCall)
    ]


async def talk(*turns: Any, **fields: Any) -> list[Step]:
    """The whole conversation after these turns, as the server remembers it."""
    history: list[Any] = []
    for words in turns:
        asked = turn(words, history, **fields)
        history += [*asked.input, *await steps_of(asked)]
    return history


def text_of(steps: Iterable[Any]) -> str:
    """The text of the answers among steps."""
    said = [part for step in steps if isinstance(step, ModelOutput) for part in step.content or []]
    return "".join(part.text for part in said if isinstance(part, TextContent))


def kinds(steps: Iterable[Any]) -> list[str]:
    """What the steps are, thoughts left out."""
    return [step.type for step in steps if step.type != "thought"]


class Bench:
    """A workspace with a real sandbox over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sandbox = MontySandbox()

    async def run(self, code: str) -> RunResult:
        """Runs a program, as the engine would for a turn in this workspace."""
        return await self.sandbox.run(code, workspace=self.folder)

    async def ask(self, words: Any, history: Iterable[Step] = (), /, **fields: Any) -> list[Any]:
        """The steps that answer a request made in this workspace, of the general agent unless a model is named."""
        if "model" not in fields:
            fields.setdefault("agent", AGENT)
        return await ask(words, history, workspace=self.folder, run_python=self.run, **fields)

    def files(self) -> list[str]:
        """What lies in the workspace."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())
