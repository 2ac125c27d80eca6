"""What a caller sees of a run: one flat object, with the exact next call in words. Pure functions.

Everything that an agent wrote passes through `cleaned` before it leaves: it is data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.interactions import Usage, meaning_of

from ..text import cleaned, dumped, time_of
from .runs import Run

__all__ = ["MAX_OUTPUT", "RUN_SCHEMA", "or_null", "page", "run_view", "steps_page", "summary_of"]

# The characters of an answer that a result carries; the rest is read page by page.
MAX_OUTPUT = 24_000
_STEPS_PER_PAGE = 50
_STEP_CHARS = 4_000


def page(text: str, offset: int, most: int) -> dict[str, Any]:
    """A part of a text, and where the next one begins."""
    end = min(offset + most, len(text))
    following = end if end < len(text) else None
    return {"text": text[offset:end], "offset": offset, "next_offset": following, "total_chars": len(text)}


def or_null(kind: str) -> dict[str, Any]:
    """The schema of a value that may be null, in the form that most clients read."""
    return {"anyOf": [{"type": kind}, {"type": "null"}]}


_TEXT, _TEXT_OR_NULL = {"type": "string"}, or_null("string")
RUN_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "run_id": {**_TEXT, "description": "names this run in every other call"},
        "agent": _TEXT,
        "status": {
            **_TEXT,
            "description": "queued, in_progress, requires_action, requires_continuation, completed, incomplete, budget_exceeded, failed, "
            "cancelled, or unknown",
        },
        "output_text": {**_TEXT, "description": "what the agent answered, so far or in the end"},
        "truncated": {"type": "boolean", "description": "whether output_text is cut; `next` says how to read the rest"},
        "pending_calls": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"call_id": _TEXT, "name": _TEXT, "arguments": {"type": "object"}},
                "required": ["call_id", "name", "arguments"],
            },
            "description": "calls that the caller has to answer with agent_respond",
        },
        "previous_run_id": _TEXT_OR_NULL,
        "environment_id": {**_TEXT_OR_NULL, "description": "the sandbox that keeps the run's files"},
        "files": {"type": "array", "items": _TEXT, "description": "URIs for agent_read_file"},
        "usage": {
            **or_null("object"),
            "description": "tokens, as the service counts them; null where not known yet",
        },
        "elapsed_s": {"type": "number"},
        "step": {"type": "integer", "description": "how many steps were seen"},
        "error": {**_TEXT_OR_NULL, "description": "what went wrong"},
        "next": {**_TEXT, "description": "the next call to make"},
    },
    "required": [
        *(
            "run_id",
            "agent",
            "status",
            "output_text",
            "truncated",
            "pending_calls",
            "previous_run_id",
            "environment_id",
        ),
        *("files", "usage", "elapsed_s", "step", "error", "next"),
    ],
}


def run_view(
    run: Run,
    *,
    handle: str,
    previous: str | None,
    environment: str | None,
    files: Sequence[str],
    now: float,
    problem: str | None = None,
) -> dict[str, Any]:
    """A run as its caller sees it. `handle`, `previous` and `environment` are handles; `problem` says more of what went wrong."""
    text = cleaned(run.interaction.output_text)
    calls = [{"call_id": call.id, "name": call.name, "arguments": dict(call.arguments)} for call in run.calls]
    ended = run.last.ended
    view = {
        "run_id": handle,
        "agent": run.facts["agent"],
        "status": run.status,
        "output_text": text[:MAX_OUTPUT],
        "truncated": len(text) > MAX_OUTPUT,
        "pending_calls": calls,
        "previous_run_id": previous,
        "environment_id": environment,
        "files": list(files),
        "usage": _usage(run),
        "elapsed_s": round((now if ended is None else ended) - run.jobs[0].created, 1),
        "step": len(run.steps),
        "error": problem or (_problem(run) if run.failed else None),
        "next": _next(run, handle, len(text)),
    }
    shown: dict[str, Any] = cleaned(view)
    return shown


def _usage(run: Run) -> dict[str, Any] | None:
    known = [Usage.parse(dict(job.usage)) for job in run.jobs if job.usage is not None]
    if not known:
        return None
    total = known[0]
    for usage in known[1:]:
        total = total + usage
    return total.to_wire()


_GIVEN_UP = {
    "deadline": "it passed its deadline and was cancelled",
    "stalled": "it showed no progress and was cancelled",
    "budget": "it went beyond its budget and was cancelled",
    "lost": "the service does not know it any more",
    "abandoned": "it could not be verified that it was stopped: it may still run; agent_cancel tries again",
}


def _problem(run: Run) -> str:
    if run.status == "unknown":
        return "nothing tells whether it was started: the server ended while it was starting it"
    return _GIVEN_UP.get(run.last.verdict or "", f"it ended {run.status}")


def _next(run: Run, handle: str, chars: int) -> str:
    """The exact next call, in words."""
    rest = ""
    if chars > MAX_OUTPUT:
        rest = (
            f"agent_read_file(uri='agent://runs/{handle}/output', offset={MAX_OUTPUT}) reads the rest of output_text. "
        )
    if run.calls:
        call = run.calls[0]
        return (
            f"{rest}Do what {call.name!r} asks for, then agent_respond(run_id='{handle}', call_id='{call.id}', result=...). "
            "Each pending call needs its answer before the run goes on."
        )
    if not run.over:
        return (
            f"agent_wait(run_id='{handle}'). It goes on by itself, and may take minutes: there is nothing to do meanwhile, and starting "
            "it again would pay twice."
        )
    if run.status == "unknown":
        return "agent_list() shows your other runs. Starting it again may pay twice, and needs another idempotency_key."
    if meaning_of(run.status).outcome in ("answer", "partial"):
        return f"{rest}Nothing to wait for. agent_run(input=..., previous_run_id='{handle}') follows it up."
    return f"{rest}Nothing to wait for. agent_run(input=...) starts another run."


def summary_of(run: Run, handle: str) -> dict[str, Any]:
    """A line of a list of runs."""
    line = {
        "run_id": handle,
        "agent": run.facts["agent"],
        "status": run.status,
        "input": run.facts["input"],
        "created": time_of(run.jobs[0].created),
        "pending_calls": len(run.calls),
    }
    shown: dict[str, Any] = cleaned(line)
    return shown


def steps_page(steps: Sequence[Mapping[str, Any]], after: int) -> dict[str, Any]:
    """The steps behind the first `after` ones, each cut at a stated length, and where the next page begins."""
    shown = [_step(number, step) for number, step in enumerate(steps[after : after + _STEPS_PER_PAGE], after + 1)]
    end = after + len(shown)
    return {"steps": shown, "next_after_step": end if end < len(steps) else None}


def _step(number: int, step: Mapping[str, Any]) -> dict[str, Any]:
    # What signs a thought is of use to its maker alone.
    told = cleaned({name: value for name, value in step.items() if name != "signature"})
    text = dumped(told)
    if len(text) <= _STEP_CHARS:
        return {"step": number, **told}
    return {"step": number, "type": told.get("type"), "beginning": text[:_STEP_CHARS], "chars": len(text)}
