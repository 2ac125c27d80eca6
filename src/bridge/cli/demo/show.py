"""How the demo looks on a terminal: each step as it happens, then the answer, the files, the usage and the bytes."""

from __future__ import annotations

from typing import Any

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

    def node(self, name: str, who: str) -> None:
        """A node of the graph begins."""
        self._console.print()
        self._console.rule(Text.assemble((name, "bold"), "  ", (who, "dim")), align="left", style="dim")

    def said(self, text: str) -> None:
        """What a session answered."""
        self._console.print(Text(plain(text)))

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
