"""The command `interactions-bridge`: puts the pieces together for a terminal.

Each subcommand is a module of its own with `add_arguments(parser)` and `run(args) -> int`, imported only when it is asked for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from bridge._version import installed_version

__all__ = ["main"]

# The subcommands: what each is for, in one line.
_COMMANDS = {
    "demo": "answer a question about a CSV file: a graph with a Gemini session, a managed agent that runs code, Claude and GPT",
    "jobs": "list, show, watch and cancel the background work of graphs, and what it used",
    "mcp": "serve agents and models as MCP tools, over stdio or HTTP",
    "serve": "serve the embedded stand-in as the Interactions API over HTTP",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line and gives its exit status: 0 for success, 1 for a failure, 2 for wrong usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="interactions-bridge", description="The Gemini Interactions API as LangGraph nodes and MCP servers."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {installed_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    # Only the module of the command that is asked for is imported.
    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    module = None
    for name, purpose in _COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
        if name == asked:
            module = import_module(f"{__name__}.{name}")
            module.add_arguments(command)
    parsed = parser.parse_args(arguments)
    if module is None:  # pragma: no cover - argparse has refused every other command
        return 2
    return int(module.run(parsed))
