"""Compiling tools: ours for four dialects against LangChain's own converters, for the same 150 tools."""

from __future__ import annotations

import gc
import logging
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from langchain_anthropic.chat_models import convert_to_anthropic_tool
from langchain_core.tools import StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_google_genai._function_utils import convert_to_genai_function_declarations
from pydantic import BaseModel, Field

from benchmarks.rounds import Row, ratio
from bridge.tools import Tools

__all__ = ["compiling"]

DIALECTS = ("interactions", "anthropic", "openai", "mcp")


class Place(BaseModel):
    """A place."""

    street: str
    number: int | None = Field(None, ge=1, description="of the house")
    kind: Literal["home", "work"] = "home"


def typed_tools(count: int) -> list[StructuredTool]:
    """LangChain tools of typed functions, as people write them: a few parameters, one of them an object, some optional."""

    def search(
        query: str,
        places: list[Place],
        limit: int = 10,
        order: Literal["newest", "oldest"] = "newest",
        tags: list[str] | None = None,
        near: Place | None = None,
    ) -> str:
        """Searches for something near some places."""
        return query

    return [StructuredTool.from_function(search, name=f"search_{number}") for number in range(count)]


def _langchain(tools: list[Any]) -> None:
    for tool in tools:
        convert_to_openai_tool(tool)
        convert_to_openai_tool(tool, strict=True)
        convert_to_anthropic_tool(tool)
    convert_to_genai_function_declarations(tools)


def _ours(tools: list[Any]) -> Tools:
    made = Tools(tools)
    for dialect in DIALECTS:
        made.compile(dialect)
    return made


def compile_times(rounds: int, count: int = 150) -> tuple[list[float], list[float], list[float]]:
    """CPU seconds per round: LangChain's converters (OpenAI, OpenAI strict, Anthropic, Gemini), our four dialects, and ours again.

    Every round makes the tools anew, and what LangChain keeps with a tool is there for both.
    """
    theirs, mine, again = [], [], []
    with _quiet():
        for _ in range(rounds + 1):
            tools = typed_tools(count)
            for tool in tools:
                _ = tool.tool_call_schema
            theirs.append(_seconds(lambda tools=tools: _langchain(tools)))  # type: ignore[misc]
            made: list[Tools] = []
            mine.append(_seconds(lambda tools=tools, made=made: made.append(_ours(tools))))  # type: ignore[misc]
            again.append(_seconds(lambda made=made: [made[0].compile(dialect) for dialect in DIALECTS]))  # type: ignore[misc]
    return theirs[1:], mine[1:], again[1:]  # the first round loads what is loaded once


def _seconds(action: Callable[[], object]) -> float:
    """CPU seconds, without the garbage collector's passes over everything that the process has imported, as `timeit` does."""
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        action()
        return time.process_time() - start
    finally:
        gc.enable()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of the converters."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def compiling(count: int) -> list[Row]:
    """What compiling 150 tools costs, and doing it again."""
    theirs, mine, again = compile_times(count)
    milli = [statistics.median(values) * 1e3 for values in (theirs, mine, again)]
    detail = f"LangChain {milli[0]:.0f} ms, ours {milli[1]:.0f} ms, again {milli[2]:.0f} ms"
    share, second = ratio(mine, theirs), ratio(again, mine)
    what = "150 typed tools for four dialects, CPU: ours / LangChain's converters"
    return [
        Row(what, share, "≤ 0.2", share <= 0.2, detail),
        Row("the same tools compiled again / the first time", second, "≤ 0.5", second <= 0.5, detail),
    ]
