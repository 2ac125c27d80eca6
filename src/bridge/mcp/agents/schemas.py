"""What the eight tools are called, take and give, as a client reads it. A change here is a change that clients approve anew.

The schemas keep to what every client's dialect knows: no list of types, no condition on which properties are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_types import Tool, ToolAnnotations

from .settings import AgentSettings
from .views import RUN_SCHEMA, or_null

__all__ = ["INSTRUCTIONS", "MAX_CHARS", "MAX_URI", "MAX_WAIT", "tools_for"]

# Seconds: below the time-outs of clients, of which 60 is the commonest, so that a call ends before its client gives up.
WAIT, MAX_WAIT = 20, 50
MAX_CHARS, MAX_URI = 50_000, 2_000

INSTRUCTIONS = (
    "These tools start agents that work elsewhere, for seconds or for an hour. agent_run starts one and gives a run_id; agent_wait waits "
    "for it. A run goes on by itself whatever happens to this connection: to wait longer, call agent_wait again with its run_id, and do "
    "not start it anew, which is paid again. Every result says in `next` which call comes next. Runs, with their files, can be read, "
    "followed up (previous_run_id) and answered (agent_respond) in a later conversation: agent_list finds them."
)

_RUN_ID = {"type": "string", "maxLength": 200, "description": "run_id of a result"}
_WAIT_S = {
    "type": "number",
    "minimum": 0,
    "maximum": MAX_WAIT,
    "default": WAIT,
    "description": "seconds to wait for the end; 0 answers at once",
}
_PATH = {"type": "string", "maxLength": 1_000}
_URI = {"type": "string", "maxLength": MAX_URI}
_OBJECTS = {"type": "array", "items": {"type": "object"}}


def _object(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return {**schema, "required": list(required)} if required else schema


def _given(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def tools_for(agents: Mapping[str, AgentSettings], input_chars: int) -> list[Tool]:
    """The tools of a server with these agents; the first of them is the default."""
    offered = "\n".join(f"- {agent.name}: {agent.description}" for agent in agents.values())
    default = next(iter(agents))
    file = {
        "type": "object",
        "properties": {
            "path": {**_PATH, "description": "where it is put, below the workspace"},
            "content": {"type": "string", "maxLength": 4 * input_chars, "description": "its text"},
            "uri": {**_URI, "description": "instead of path and content: the URI of a file of an earlier run"},
        },
        "additionalProperties": False,
    }
    run = {
        "input": {"type": "string", "minLength": 1, "maxLength": input_chars, "description": "the task, in full"},
        "agent": {
            "type": "string",
            "enum": list(agents),
            "description": f"who does it; default {default}, or that of previous_run_id\n{offered}",
        },
        "previous_run_id": {
            **_RUN_ID,
            "description": "the run that this one follows up: its agent knows what was said and done",
        },
        "environment_id": {
            "type": "string",
            "maxLength": 200,
            "description": "the sandbox of an earlier run to work in",
        },
        "files": {"type": "array", "maxItems": 50, "items": file, "description": "files to give it"},
        "wait_s": _WAIT_S,
        "idempotency_key": {
            "type": "string",
            "minLength": 1,
            "maxLength": 200,
            "description": "a text of your own: the same one never starts a second run, so a call that failed can be made again",
        },
    }
    respond = {
        "run_id": _RUN_ID,
        "call_id": {"type": "string", "maxLength": 500, "description": "call_id of one of the run's pending_calls"},
        "result": {
            "anyOf": [{"type": kind} for kind in ("string", "object", "number", "boolean")],
            "description": "what the call gave; a list inside an object",
        },
        "decision": {
            "type": "string",
            "enum": ["approve", "reject"],
            "description": "instead of a result: whether the agent may do it; reject also tells it that a call was not made",
        },
    }
    read = {
        "uri": {**_URI, "description": "a URI of agent_files or of a run, such as agent://runs/{run_id}/output"},
        "offset": {"type": "integer", "minimum": 0, "default": 0, "description": "character to begin at"},
        "max_chars": {"type": "integer", "minimum": 1, "maximum": MAX_CHARS, "default": 20_000},
    }
    listing = {
        "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
        "cursor": {"type": "string", "maxLength": 200, "description": "next_cursor of the page before"},
    }
    files = {
        "run_id": _RUN_ID,
        "environment_id": {"type": "string", "maxLength": 200, "description": "instead of a run_id"},
        "path": {**_PATH, "description": "only what lies below it"},
    }
    get = {
        "run_id": _RUN_ID,
        "include_steps": {"type": "boolean", "default": False, "description": "what the agent did, step by step"},
        "after_step": {"type": "integer", "minimum": 0, "default": 0, "description": "only the steps behind this one"},
    }
    got = {
        **RUN_SCHEMA,
        "properties": {**RUN_SCHEMA["properties"], "steps": _OBJECTS, "next_after_step": or_null("integer")},
    }
    text = {"type": "string"}
    whole = or_null("integer")
    return [
        _tool(
            "agent_run", _RUN, _object(run, "input"), RUN_SCHEMA, read_only=False, destructive=False, open_world=True
        ),
        _tool(
            "agent_wait", _WAITS, _object({"run_id": _RUN_ID, "wait_s": _WAIT_S}, "run_id"), RUN_SCHEMA, idempotent=True
        ),
        _tool("agent_get", _GET, _object(get, "run_id"), got, idempotent=True),
        _tool(
            "agent_respond",
            _RESPOND,
            _object(respond, "run_id", "call_id"),
            RUN_SCHEMA,
            read_only=False,
            destructive=True,
        ),
        _tool(
            "agent_cancel",
            _CANCEL,
            _object({"run_id": _RUN_ID}, "run_id"),
            RUN_SCHEMA,
            read_only=False,
            destructive=True,
            idempotent=True,
        ),
        _tool(
            "agent_list",
            _LIST,
            _object(listing),
            _given("runs", "next_cursor", runs=_OBJECTS, next_cursor=or_null("string")),
            idempotent=True,
        ),
        _tool(
            "agent_files",
            _FILES,
            _object(files),
            _given(
                "environment_id",
                "entries",
                "more",
                environment_id=text,
                entries=_OBJECTS,
                more={"type": "boolean"},
            ),
            idempotent=True,
        ),
        _tool(
            "agent_read_file",
            _READ,
            _object(read, "uri"),
            _given(
                *("uri", "mime_type", "text", "offset", "next_offset", "total_chars"),
                uri=text,
                mime_type=text,
                text=text,
                offset={"type": "integer"},
                next_offset=whole,
                total_chars={"type": "integer"},
            ),
            idempotent=True,
        ),
    ]


_RUN = (
    "Starts an agent on a task and waits a while for its end. The run goes on whether anybody waits or not. Gives a Run with its run_id; "
    "where it is not over yet, wait with agent_wait."
)
_WAITS = "Waits for a run to end, to need an answer, or for wait_s seconds. Costs nothing, and can be called as often as needed."
_GET = "Shows how a run stands, without waiting, and what its agent did."
_RESPOND = "Answers one of a run's pending calls: with the result of what it asks for, or with a decision. Once all are answered the run goes on."
_CANCEL = "Stops a run and sees that it stopped. What it did so far can be read. Leaving a run alone does not stop it."
_LIST = "Lists your runs, newest first, those of earlier conversations too."
_FILES = "Lists the files that a run left in its sandbox, with the URIs to read them by. Takes a run_id or an environment_id."
_READ = "Reads a file of a sandbox, or the whole output of a run, page by page: a text from offset on, or a picture."


def _tool(
    name: str,
    description: str,
    arguments: dict[str, Any],
    result: dict[str, Any],
    *,
    read_only: bool = True,
    destructive: bool = False,
    idempotent: bool = False,
    open_world: bool = False,
) -> Tool:
    hints = ToolAnnotations(
        read_only_hint=read_only, destructive_hint=destructive, idempotent_hint=idempotent, open_world_hint=open_world
    )
    # Claude Code puts a result of more than 50,000 characters into a file unless it is told otherwise.
    meta = {"anthropic/maxResultSizeChars": 200_000}
    return Tool(
        name=name,
        description=description,
        input_schema=arguments,
        output_schema=result,
        annotations=hints,
        _meta=meta,
    )
