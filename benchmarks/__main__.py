"""Prints the table of the project's speed targets. Every ratio is the median over interleaved rounds of one run."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict

import httpx2
from google import genai
from google.genai import types as genai_types

from benchmarks.jobs import background
from benchmarks.mcp import serving
from benchmarks.portable import portable
from benchmarks.rounds import Row, ratio, rounds, server
from benchmarks.sessions import sessions
from benchmarks.streams import tokens
from benchmarks.tools import compiling
from bridge.backends.gemini import GeminiBackend

_MODEL = "gemini-3.8-flash"
_BODY = {"model": _MODEL, "input": "Say hello in five words."}


def _sdk(url: str) -> genai.Client:
    options = genai_types.HttpOptions(base_url=url, api_version="v1")
    return genai.Client(api_key="benchmark", vertexai=False, http_options=options)


async def creates(url: str, count: int) -> list[Row]:
    """CPU per create: ours, a bare POST, and the official SDK."""
    async with httpx2.AsyncClient() as raw, GeminiBackend("benchmark", base_url=url) as ours:
        sdk = _sdk(url)
        path = f"{url}/v1/interactions"

        async def bare() -> object:
            return json.loads((await raw.post(path, json=_BODY, headers={"x-goog-api-key": "benchmark"})).content)

        seen = await rounds(
            {
                "bare": (bare, 200),
                "ours": (lambda: ours.create(**_BODY), 200),
                "sdk": (lambda: sdk.aio.interactions.create(**_BODY), 20),  # type: ignore[call-overload]
            },
            count,
        )
    micro = {name: statistics.median(values) * 1e6 for name, values in seen.items()}
    detail = f"bare {micro['bare']:.0f} µs, ours {micro['ours']:.0f} µs, google-genai {micro['sdk']:.0f} µs"
    mine, theirs = ratio(seen["ours"], seen["bare"]), ratio(seen["sdk"], seen["ours"])
    return [
        Row("create, CPU per call: ours / raw httpx2 POST + JSON parse", mine, "≤ 1.5", mine <= 1.5, detail),
        Row("create, CPU per call: google-genai / ours", theirs, "≥ 12", theirs >= 12, detail),
    ]


async def streams(url: str, deltas: int, count: int) -> list[Row]:
    """CPU per streamed event, and how 200 streams at once fare against one."""
    rows: list[Row] = []
    async with httpx2.AsyncClient() as raw, GeminiBackend("benchmark", base_url=url) as ours:
        sdk = _sdk(url)
        path = f"{url}/v1/interactions"

        async def bare() -> object:
            seen = 0
            async with raw.stream("POST", path, json={**_BODY, "stream": True}) as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("data:") and not line.endswith("[DONE]"):
                        json.loads(line[5:])
                        seen += 1
            return seen

        async def typed() -> object:
            seen = 0
            async for _ in ours.stream(**_BODY):
                seen += 1
            assert seen == deltas + 4
            return seen

        async def official() -> object:
            seen = 0
            async for _ in await sdk.aio.interactions.create(**_BODY, stream=True):  # type: ignore[call-overload]
                seen += 1
            return seen

        seen = await rounds({"bare": (bare, 3), "ours": (typed, 3), "sdk": (official, 1)}, count)
        micro = {name: statistics.median(values) / (deltas + 4) * 1e6 for name, values in seen.items()}
        detail = f"bare {micro['bare']:.1f} µs, ours {micro['ours']:.1f} µs, google-genai {micro['sdk']:.0f} µs"
        theirs, mine = ratio(seen["sdk"], seen["ours"]), ratio(seen["ours"], seen["bare"])
        rows.append(Row("streamed typed event, CPU: google-genai / ours", theirs, "≥ 60", theirs >= 60, detail))
        what = "streamed typed event, CPU: ours / raw line loop + json.loads"
        rows.append(Row(what, mine, "≤ 2", mine <= 2, detail))

        async def rate(concurrent: int) -> float:
            start = time.perf_counter()
            await asyncio.gather(*(typed() for _ in range(concurrent)))
            return concurrent * (deltas + 4) / (time.perf_counter() - start)

        ratios, rates = [], (0.0, 0.0)
        for _ in range(max(2, count // 2)):
            alone = statistics.median([await rate(1) for _ in range(9)])
            crowd = await rate(200)
            rates = (alone, crowd)
            ratios.append(crowd / alone)
    share = statistics.median(ratios)
    detail = f"one {rates[0]:,.0f}/s, two hundred {rates[1]:,.0f}/s in sum"
    what = "200 concurrent streams in one process: events/s against the single-stream rate"
    rows.append(Row(what, share, "≥ 0.8", share >= 0.8, detail))
    return rows


def _process_seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


# Both build their client where it is used, in an event loop; ours builds it on first use, so it is asked for.
_READY = """
import asyncio
from bridge.backends.gemini import GeminiBackend
from bridge.interactions.events import parse_event
backend = GeminiBackend('k', base_url='http://127.0.0.1:9')
asyncio.run(backend._wire.transport._ready())
parse_event({'event_type': 'step.delta', 'index': 0, 'delta': {'type': 'text', 'text': 'x'}})
"""
_READY_FLOOR = """
import asyncio
import httpx2
import pydantic
from pydantic import BaseModel
async def main():
    httpx2.AsyncClient()
asyncio.run(main())
"""
_CHAT = "from bridge.langgraph import ChatInteractions"
_CHAT_FLOOR = "import langchain_core.language_models\nfrom langchain_core.language_models import BaseChatModel\nimport langgraph.graph"


def imports(count: int) -> list[Row]:
    """What starting costs: whole processes, against the process that imports only what must be there."""
    codes = {
        "bare": "pass",
        "bridge": "import bridge",
        "ready": _READY,
        "ready floor": _READY_FLOOR,
        "chat": _CHAT,
        "chat floor": _CHAT_FLOOR,
    }
    for code in codes.values():  # compile the bytecode first
        _process_seconds(code)
    seen: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(count):
        for name, code in codes.items():
            seen[name].append(_process_seconds(code))
    over = {name: [a - b for a, b in zip(values, seen["bare"], strict=True)] for name, values in seen.items()}
    milli = {name: statistics.median(values) * 1e3 for name, values in over.items()}
    ready, chat = ratio(over["ready"], over["ready floor"]), ratio(over["chat"], over["chat floor"])
    return [
        Row("`import bridge` over bare Python, ms", milli["bridge"], "≤ 40", milli["bridge"] <= 40, ""),
        Row(
            "gemini backend ready / importing pydantic and httpx2, one AsyncClient",
            ready,
            "≤ 1.3",
            ready <= 1.3,
            f"{milli['ready']:.0f} ms against {milli['ready floor']:.0f} ms",
        ),
        Row(
            "`ChatInteractions` imported / langchain_core.language_models + langgraph.graph",
            chat,
            "≤ 1.15",
            chat <= 1.15,
            f"{milli['chat']:.0f} ms against {milli['chat floor']:.0f} ms",
        ),
    ]


def requests(count: int, deltas: int = 2_000) -> list[Row]:
    """What a request and a stream of one cost."""
    with server(1) as url:
        rows = asyncio.run(creates(url, count))
    with server(deltas) as url:
        rows += asyncio.run(streams(url, deltas, count))
        rows += asyncio.run(tokens(url, deltas, count))
    return rows


# Each takes the number of rounds and that of jobs.
PARTS: dict[str, Callable[[int, int], Sequence[Row]]] = {
    "requests": lambda count, _: requests(count),
    "sessions": lambda count, _: sessions(count),
    "portable": lambda count, _: portable(count),
    "background": background,
    "tools": lambda count, _: compiling(count),
    "mcp": serving,
    "imports": lambda count, _: imports(max(5, count)),
}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds per row (default 7)")
    parser.add_argument("--parked", type=int, default=1_000, help="parked jobs and runs for their cost (default 1,000)")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part of the table; may be given again")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # the official SDK warns of its own experiments
    rows = [row for part in arguments.only or PARTS for row in PARTS[part](arguments.rounds, arguments.parked)]
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=2))
        return
    print("| what | measured | target | met | |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {row.what} | {row.measured:.2f} | {row.target} | {'yes' if row.ok else 'NO'} | {row.detail} |")


if __name__ == "__main__":
    main()
