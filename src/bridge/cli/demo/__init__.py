"""`interactions-bridge demo`: the main job, shown while it happens.

It checks the file, chooses who answers (stand-ins on this machine, or with `--live` each vendor whose key is set), runs the graph, and
shows what came of it. The graph itself is in `graph`, the other vendors are in `speakers`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.errors import BridgeError, InvalidRequest, NotConfigured

from .source import LIMIT_BYTES, DataFile, read_data_file

if TYPE_CHECKING:
    from langchain_core.messages import AnyMessage

    from bridge.backends.gemini import GeminiBackend

    from .show import Terminal
    from .speakers import Missing, Speaker
    from .traffic import Traffic

__all__ = ["add_arguments", "run"]

_REPORT_CHARACTERS = 1_200
_GEMINI_KEYS = ("GEMINI_API_KEY", "GOOGLE_API_KEY")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `interactions-bridge demo`."""
    limit = LIMIT_BYTES // 1024**2
    parser.add_argument(
        "file", nargs="?", type=Path, help=f"a CSV file of at most {limit} MB (default: a small example)"
    )
    parser.add_argument("--question", help="what to ask of the data")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the show")
    parser.add_argument(
        "--live",
        action="store_true",
        help="run on each vendor whose key is set (GEMINI_API_KEY, ANTHROPIC_API_KEY, OPENAI_API_KEY), the others on stand-ins",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the demo. Returns the exit status: 0, 1 where the run failed, 2 where the file or the set-up is wrong."""
    import anyio

    try:
        file = read_data_file(args.file)
        terminal = None if args.json else _terminal()
        # Imported once a bad file is refused: it loads what is installed of the other vendors.
        from .speakers import KEYS, joined

        keys = [name for name in (*_GEMINI_KEYS, *KEYS) if os.environ.get(name)]
        if args.live and not keys:
            raise NotConfigured(
                f"--live needs a key: set {', '.join((_GEMINI_KEYS[0], *KEYS[:-1]))} or {KEYS[-1]}, or leave --live out "
                "for the stand-ins"
            )
        gemini = args.live and any(name in keys for name in _GEMINI_KEYS)
        # The record of what was started goes with the run, as nobody comes back to it.
        with tempfile.TemporaryDirectory(prefix="interactions-bridge-jobs-") as folder, joined(args.live) as others:
            jobs = Path(folder, "jobs.sqlite")
            result = anyio.run(_demo, file, args.question, gemini, others, terminal, jobs)
    except (InvalidRequest, NotConfigured) as error:
        print(f"interactions-bridge demo: {error}", file=sys.stderr)
        return 2
    except BridgeError as error:
        print(f"interactions-bridge demo: {error}", file=sys.stderr)
        return 1
    if terminal is None:
        print(json.dumps(result, ensure_ascii=False))
    else:
        terminal.result(result, _beginning(Path(result["saved_to"], "report.md")))
    return 0


def _beginning(report: Path) -> str:
    """The first sections of the report, whole ones; empty where the agent left none."""
    text = report.read_text(encoding="utf-8") if report.is_file() else ""
    return text if len(text) <= _REPORT_CHARACTERS else text[:_REPORT_CHARACTERS].rpartition("\n\n#")[0]


def _terminal() -> Terminal:
    try:
        from rich.console import Console

        from .show import Terminal
    except ImportError:
        raise NotConfigured(
            "the demo shows itself with rich: pip install 'interactions-bridge[cli,local]', or pass --json"
        ) from None
    return Terminal(Console())


async def _demo(
    file: DataFile,
    question: str | None,
    live: bool,
    others: Sequence[Speaker | Missing],
    terminal: Terminal | None,
    record: Path,
) -> dict[str, Any]:
    import anyio.to_thread

    from bridge.jobs import SqliteJobStore

    from .graph import AGENT, MODEL, QUESTION, TOKEN_CAP, build, environment_for
    from .speakers import ANSWER_TOKENS, Speaker
    from .traffic import Traffic

    question = question or QUESTION
    traffic = Traffic()
    async with _service(live, traffic) as (backend, service), aclosing(SqliteJobStore(record)) as jobs:
        guests = [other for other in others if isinstance(other, Speaker)]
        speakers = _speakers(live, others)
        if terminal is not None:
            terminal.start(question, file.origin, len(file.data), service)
            terminal.speakers(speakers)
            way = "inside the request" if file.inline else "through environment upload"
            terminal.upload(file.target, len(file.data), TOKEN_CAP, way)
            terminal.told([guest.name for guest in guests if guest.live], ANSWER_TOKENS)
        graph = build(backend, jobs, file, question, await environment_for(backend, file), guests)
        who = {row["node"]: f"{row['model']}, {row['service']}" for row in speakers if "model" in row}
        who["answer"] += ", sent only what is new"
        state: dict[str, Any] = {}
        steps: list[dict[str, Any]] = []
        said: dict[str, list[AnyMessage]] = {}
        modes: list[Any] = ["tasks", "custom", "updates", "values"]
        # The agent's node is a subgraph: what it tells comes from below.
        events: AsyncIterator[Any] = graph.astream({"messages": []}, stream_mode=modes, subgraphs=True)
        async for inside, mode, data in events:
            if mode == "custom" and data.get("type") == "step":
                steps.append(data["step"])
                if terminal is not None:
                    terminal.step(data["step"])
            elif inside:
                continue
            elif mode == "values":
                state = data
            elif mode == "tasks" and "input" in data and terminal is not None:
                terminal.node(data["name"], who[data["name"]])
            elif mode == "updates":
                for node, update in data.items():
                    said[node] = update["messages"]
                    if terminal is not None and node != "analyst":
                        terminal.said(update["messages"])
        left = state["interactions"]["analyst"]
        saved = Path(await anyio.to_thread.run_sync(lambda: tempfile.mkdtemp(prefix="interactions-bridge-demo-")))
        files = [await _save(backend, left["environment_id"], entry, saved) for entry in left["files"]]
        return {
            "question": question,
            "answer": state["messages"][-1].text,
            "service": service,
            "model": MODEL,
            "agent": AGENT,
            "speakers": speakers,
            "said": {node: messages[-1].text for node, messages in said.items()},
            "calls": [{"node": node, **call} for node, messages in said.items() for call in _calls(messages)],
            "file": {"name": file.origin, "size_bytes": len(file.data), "target": file.target},
            "interactions": {
                node: said[node][-1].response_metadata.get("id", "") for node in ("plan", "analyst", "answer")
            },
            "environment_id": left["environment_id"],
            "status": left["status"],
            "steps": steps,
            "files": files,
            "saved_to": str(saved),
            "usage": _usage(state),
            "bytes": {
                "sent": traffic.sent,
                "stateless": await traffic.stateless(backend),
                "requests": len(traffic.bodies),
                "uploaded": 0 if file.inline else len(file.data),
            },
        }


@asynccontextmanager
async def _service(live: bool, traffic: Traffic) -> AsyncIterator[tuple[GeminiBackend, str]]:
    """The service: Gemini, or the embedded one behind a real port, reached by the same client."""
    from bridge._http import recording_client
    from bridge.backends.gemini import GeminiBackend

    async with recording_client(traffic.record) as http:
        if live:
            async with GeminiBackend(http=http) as backend:
                yield backend, "Gemini"
            return
        from bridge.backends.local import LocalBackend
        from bridge.http import create_app

        from ..serving import serving

        async with (
            LocalBackend() as local,
            serving(create_app(local)) as url,
            GeminiBackend(base_url=url, http=http) as backend,
        ):
            yield backend, "the embedded service (no model: its answers come from rules)"


def _speakers(live: bool, others: Sequence[Speaker | Missing]) -> list[dict[str, Any]]:
    """Who takes part, in order: on a stand-in, live, or left out with how to get it."""
    from .graph import AGENT, MODEL
    from .speakers import Speaker

    service = {True: "live", False: "stand-in"}
    gemini = {"name": "Gemini", "service": service[live]}
    return [
        {"node": "plan", **gemini, "model": MODEL},
        {"node": "analyst", **gemini, "model": AGENT},
        *(
            {"node": other.node, "name": other.name, "service": service[other.live], "model": other.model}
            if isinstance(other, Speaker)
            else {"node": other.node, "name": other.name, "service": "left out", "install": other.install}
            for other in others
        ),
        {"node": "answer", **gemini, "model": MODEL},
    ]


def _calls(messages: Sequence[AnyMessage]) -> list[dict[str, Any]]:
    """The calls of a turn with their results."""
    asked = {call["id"]: call for message in messages for call in getattr(message, "tool_calls", ())}
    return [
        {"name": message.name, "args": asked[message.tool_call_id]["args"], "result": message.text}
        for message in messages
        if message.type == "tool"
    ]


async def _save(backend: GeminiBackend, environment_id: str, entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    target = await backend.files.download(environment_id, entry["path"], folder)
    return {"path": entry["path"], "size_bytes": int(entry["size_bytes"]), "saved_to": str(target)}


def _usage(state: dict[str, Any]) -> dict[str, int]:
    """Tokens of the whole run: those of every speaker and the agent."""
    total = {"input": 0, "output": 0, "thought": 0, "tool_use": 0, "total": 0}
    for message in state["messages"]:
        usage = getattr(message, "usage_metadata", None)
        if usage is None:
            continue
        thought = (usage.get("output_token_details") or {}).get("reasoning", 0)
        total["input"] += usage["input_tokens"]
        total["output"] += usage["output_tokens"] - thought
        total["thought"] += thought
        total["total"] += usage["total_tokens"]
    tool_use = (state["interactions"]["analyst"].get("usage") or {}).get("total_tool_use_tokens") or 0
    total["tool_use"] = tool_use
    total["input"] -= tool_use  # LangChain counts it as input
    return total
