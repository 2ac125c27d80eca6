"""How the demo looks on a terminal: each step as it happens, then the answer, the files, the usage and the bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from rich.console import Console
from rich.markdown import Markdown
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..steps import plain, print_step

__all__ = ["Terminal"]


class Terminal:
    """Shows a run on a console; `print_*` methods are called in the order of events."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def start(self, question: str, origin: str, size: int, service: str) -> None:
        """What is asked of what, and who answers."""
        self._console.print(f"[bold]interactions-bridge demo[/] on {service}", highlight=False)
        self._console.print(Text.assemble(("file      ", "dim"), f"{origin}, {human(size)}"))
        self._console.print(Text.assemble(("question  ", "dim"), question))

    def upload(self, target: str, size: int, cap: int, way: str) -> None:
        """What leaves this machine, said before it does."""
        self._console.print(
            Text.assemble(("upload    ", "dim"), f"{human(size)} {way} to {target}; the agent stops at {cap:,} tokens")
        )

    def speakers(self, speakers: Sequence[Mapping[str, Any]]) -> None:
        """Who takes part, each on a stand-in or live, and how to get who is left out."""
        for number, row in enumerate(speakers):
            who = row["model"] if "model" in row else row["install"]
            line = f"{row['node']:<8} {row['name']}, {row['service']}: {who}"
            self._console.print(Text.assemble((f"{'' if number else 'speakers':<10}", "dim"), line), soft_wrap=True)

    def told(self, names: Sequence[str], cap: int) -> None:
        """Which other vendors are told of it, said before they are. Nothing where none is."""
        if names:
            told = f"the question, the findings and a column's figures go to {' and '.join(names)}; an answer stops at {cap:,} tokens"
            self._console.print(Text.assemble(("told      ", "dim"), told))

    def node(self, name: str, who: str) -> None:
        """A node of the graph begins."""
        self._console.print()
        self._console.rule(Text.assemble((name, "bold"), "  ", (who, "dim")), align="left", style="dim")

    def said(self, messages: Sequence[BaseMessage]) -> None:
        """What a speaker answered, with the calls that it made and what they returned."""
        for message in messages:
            for call in getattr(message, "tool_calls", ()):
                arguments = json.dumps(call["args"], ensure_ascii=False)
                self._console.print(Text(plain(f"calls {call['name']} {arguments}"), style="cyan"))
            if message.type == "tool":
                self._console.print(Text(plain(message.text), style="green"))
            elif message.type == "ai" and message.text:
                self._console.print(Text(plain(message.text)))

    def step(self, step: dict[str, Any]) -> None:
        """A step of the agent."""
        print_step(self._console, step)

    def result(self, result: dict[str, Any], report: str | None) -> None:
        """The end: answer, files, usage, bytes."""
        self._console.print()
        self._console.print(
            Panel(Text(plain(result["answer"])), title="answer", title_align="left", border_style="green")
        )
        if report:
            self._console.print(Panel(Markdown(plain(report)), title="report.md, its beginning", title_align="left"))
        self._console.print(
            Text.assemble(("files left in the sandbox, saved to ", "dim"), result["saved_to"]), soft_wrap=True
        )
        files = Table.grid(padding=(0, 2))
        for row in result["files"]:
            files.add_row(Text(plain(row["path"])), human(row["size_bytes"]))
        self._console.print(files)
        usage, sent = result["usage"], result["bytes"]
        self._console.print(
            f"tokens    {usage['input']:,} in, {usage['output']:,} out, {usage['thought']:,} thought, "
            f"{usage['tool_use']:,} tool use, {usage['total']:,} in all",
            highlight=False,
        )
        uploaded = f"; uploaded once: {human(sent['uploaded'])}" if sent["uploaded"] else ""
        self._console.print(
            f"sent      {sent['sent']:,} bytes in {sent['requests']} requests; "
            f"a stateless client: {sent['stateless']:,} bytes{uploaded}",
            highlight=False,
        )


def human(size: int) -> str:
    """A size in bytes as a person reads it."""
    if size < 1024:
        return f"{size} bytes"
    return f"{size / 1024:.1f} kB" if size < 1024**2 else f"{size / 1024**2:.1f} MB"
