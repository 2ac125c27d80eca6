"""Files: what an agent does in its workspace when asked to list, read or write.

Each action is a call of the agent's own file tool with the result beside it, as the API shows them. No path leads out of the
workspace.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import anyio.to_thread

from bridge.interactions import FunctionCall, FunctionResult, Step, TextContent

from ...base import Ending
from ..answers import spoken
from ..situation import Plan, Situation, list_files
from ..words import sentences, shorten
from .programs import fenced_blocks

__all__ = ["PATH", "Action", "act", "handle_files", "inside"]

PATH = re.compile(r"(?<![\w./~-])(?:\.{0,2}/)?(?:[\w.-]{1,255}/){0,32}[\w-][\w.-]{0,254}\.\w{1,8}(?![\w/])")
"""A path with a file's ending, as it stands in a text."""

_MAX_PATHS = 200  # looked at in a prompt
_MAX_CONTENT = 10_000  # characters before a path that may be meant for it
_MAX_READ = 100_000  # bytes of a file that are read into an answer
_LIST = re.compile(r"\b(?:list|show|which|what|name)\b[^.?!\n]{0,60}\bfiles\b", re.IGNORECASE)
_READ = re.compile(
    r"\b(?:read|open|cat|print|display|show(?: me)?|what(?:'s| is) in|contents? of)\s(?:back\s)?(?:the\s)?(?:file\s|contents? of\s)?[`'\"]?$",
    re.IGNORECASE,
)
_WRITE = re.compile(r"\b(write|save|put|store|append|add)\s", re.IGNORECASE)
_TO = re.compile(
    r"\s(?:in|to|into|as|at)\s(?:the |a |an )?(?:new )?(?:text )?(?:file )?(?:called |named )?[`'\"]?$", re.IGNORECASE
)
_CREATE = re.compile(
    r"\b(?:create|write|make|save|add)\s(?:the |a |an )?(?:new )?(?:text )?(?:file )?(?:called |named |to )?[`'\"]?$",
    re.IGNORECASE,
)
_WITH = re.compile(
    r"[`'\"]?\s?(?:with|containing|that (?:says|contains|holds)|saying|:)\s?(?:the )?(?:contents?|text|words)?\s?:?\s?",
    re.IGNORECASE,
)
_AND = re.compile(r"\W*(and|then|,)\s")
_POINTER = re.compile(r"^(?:it|this|that|these|the (?:following|code|text|block|program|content)s?)\W*$", re.IGNORECASE)


@dataclass(frozen=True)
class Action:
    """One use of a file tool: `list_files`, `read_file`, `write_file`, `append_file`."""

    tool: str
    arguments: dict[str, str]
    place: int = 0


def inside(path: str) -> str:
    """A path as the workspace has it: what the API calls /workspace/a.csv, workspace/a.csv and a.csv is a.csv."""
    for prefix in ("./", "/workspace/", "workspace/"):
        path = path.removeprefix(prefix)
    return path


def handle_files(situation: Situation) -> Plan | None:
    """Lists, reads and writes what an agent is asked to, in the order it is asked."""
    if situation.agent_kind is None or situation.turn.workspace is None:
        return None
    actions = sorted(_actions(situation), key=lambda action: action.place)
    if not actions:
        return None
    tools = ", ".join(dict.fromkeys(action.tool for action in actions))
    return Plan(
        thought=f"The request is about files: {tools}.", steps=_handle(situation, actions, situation.turn.workspace)
    )


async def act(situation: Situation, action: Action, workspace: Path) -> tuple[FunctionCall, FunctionResult]:
    """Does one thing in the workspace; a failure is a result that says so."""
    call = FunctionCall(id=situation.turn.new_id(), name=action.tool, arguments=dict(action.arguments))
    try:
        if action.tool == "list_files":
            text = "\n".join(await list_files(situation.turn)) or "(no files)"
        else:
            text = await anyio.to_thread.run_sync(_TOOLS[action.tool], workspace, dict(action.arguments))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        held = (
            f"; there are: {', '.join(situation.files[:100]) or 'no files'}"
            if isinstance(error, FileNotFoundError)
            else ""
        )
        return call, _result(call, f"{action.arguments['path']}: {reason}{held}", failed=True)
    return call, _result(call, text)


async def _handle(situation: Situation, actions: list[Action], workspace: Path) -> AsyncGenerator[Step | Ending]:
    told = []
    for action in actions:
        call, result = await act(situation, action, workspace)
        yield call
        yield result
        told.append(_told(action, result))
    yield spoken(*told)


def _told(action: Action, result: FunctionResult) -> str:
    text = shorten(_text(result), 5_000)
    if result.is_error:
        return f"{action.tool} failed: {text}"
    if action.tool == "list_files":
        return f"Files in /workspace:\n{text}"
    if action.tool == "read_file":
        return f"{action.arguments['path']} says:\n{text}"
    return text


def _text(result: FunctionResult) -> str:
    parts: Any = result.result
    return "".join(part.text for part in parts)


def _result(call: FunctionCall, text: str, *, failed: bool = False) -> FunctionResult:
    return FunctionResult(call_id=call.id, name=call.name, result=[TextContent(text=text)], is_error=failed)


def _place(workspace: Path, path: str) -> Path:
    root = workspace.resolve()
    place = (root / inside(path)).resolve()  # an absolute path elsewhere replaces the root, and is refused like ".."
    if not place.is_relative_to(root):
        raise ValueError("it lies outside of /workspace")
    return place


def _read(workspace: Path, arguments: dict[str, str]) -> str:
    place = _place(workspace, arguments["path"])
    size = place.stat().st_size
    with place.open("rb") as file:
        data = file.read(_MAX_READ)
    try:
        text = data.decode("utf-8", "strict" if size <= _MAX_READ else "ignore")
    except UnicodeDecodeError:
        raise ValueError(f"it is not UTF-8 text ({size} bytes)") from None
    return text if size <= _MAX_READ else f"{text}\n(cut: {size} bytes)"


def _write(workspace: Path, arguments: dict[str, str]) -> str:
    place = _place(workspace, arguments["path"])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(arguments["content"], encoding="utf-8")
    return f"Wrote {len(arguments['content'].encode())} bytes to {arguments['path']}"


def _append(workspace: Path, arguments: dict[str, str]) -> str:
    place = _place(workspace, arguments["path"])
    before = place.read_text(encoding="utf-8") if place.exists() else ""
    if before and not before.endswith("\n"):
        before += "\n"
    _write(workspace, {"path": arguments["path"], "content": before + arguments["content"]})
    return f"Added {len(arguments['content'].encode())} bytes to {arguments['path']}"


_TOOLS = {"read_file": _read, "write_file": _write, "append_file": _append}


def _actions(situation: Situation) -> list[Action]:
    prompt = situation.prompt
    found: list[Action] = []
    blocks = [content for _, content in fenced_blocks(situation.full_prompt)]
    done = 0  # up to here the prompt belongs to what was found before
    for match in islice(PATH.finditer(prompt), _MAX_PATHS):
        if match.start() < done:
            continue
        before, after = prompt[done : match.start()], prompt[match.end() :]
        further = bool(found) and found[-1].tool != "read_file"
        if written := _written(before, after, match.group(), blocks, further):
            action, length = written
            done = match.end() + length
        elif _READ.search(before[-120:]):
            action, done = Action("read_file", {"path": match.group()}), match.end()
        else:
            continue
        found.append(Action(action.tool, action.arguments, match.start()))
    listing = _LIST.search(prompt)
    # In the text of what is written, "list the files" is no order.
    if listing and not any(action.place > listing.start() and action.tool != "read_file" for action in found):
        found.append(Action("list_files", {"path": "/workspace"}, listing.start()))
    return found


def _written(before: str, after: str, path: str, blocks: list[str], further: bool) -> tuple[Action, int] | None:
    """A write, and how many characters behind the path are its content. `further`: another one stands before it."""
    creates = _CREATE.search(before[-120:]) is not None
    if creates and (match := _WITH.match(after)):
        content = next(iter(sentences(after[match.end() :])), "")
        text = _content(content, blocks)
        return (Action("write_file", {"path": path, "content": text}), match.end() + len(content)) if text else None
    if to := _TO.search(before[-_MAX_CONTENT:]):
        said = before[-_MAX_CONTENT:][: to.start()]
        verb = _WRITE.search(f"{said} ") or (_AND.match(said) if further else None)
        text = _content(said[verb.end() :], blocks) if verb else ""
        tool = "append_file" if verb and verb[1].lower() in ("append", "add") else "write_file"
        return (Action(tool, {"path": path, "content": text}), 0) if text else None
    return (Action("write_file", {"path": path, "content": blocks[0]}), 0) if creates and blocks else None


def _content(text: str, blocks: list[str]) -> str:
    """What to write: the text without its quotation marks, or the block it points at."""
    text = text.strip()
    if blocks and (not text or _POINTER.match(text)):
        return blocks[0]
    quoted = re.match(r"(?:the (?:text|words?|line|content)\s)?([\"'“‘`])(.+)([\"'”’`])\W?$", text, re.DOTALL)
    return quoted[2] if quoted else text
