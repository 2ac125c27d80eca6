"""The schemas that these tests go through, and the ways they are compiled. `python -m tests.tools.schemas` writes the golden table anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bridge.errors import ToolRefused
from bridge.tools import Compiled, Tools
from tests.conftest import ROOT

DATA = ROOT / "tests" / "data" / "schemas"
AWKWARD: dict[str, dict[str, Any]] = json.loads((DATA / "awkward.json").read_text())

# Every dialect, and its strict mode where it has one.
MODES = [
    ("interactions", False),
    ("anthropic", False),
    ("anthropic", True),
    ("openai", False),
    ("openai", True),
    ("mcp", False),
]


def mode_name(dialect: str, strict: bool) -> str:
    """How a mode is called in the golden table and in tests."""
    return f"{dialect} strict" if strict else dialect


def of(schema: Any, name: str = "t") -> Tools:
    """Tools of one definition."""
    return Tools([{"name": name, "description": "d", "parameters": schema}])


def schema_of(compiled: Compiled) -> dict[str, Any]:
    """The schema in a vendor's only definition."""
    (definition,) = compiled.definitions
    for place in ("parameters", "input_schema", "inputSchema"):
        if place in definition:
            schema: dict[str, Any] = definition[place]
            return schema
    raise AssertionError(definition)


@dataclass(frozen=True)
class Outcome:
    """What became of one schema: what is sent, None where it is refused, and the report's rows that are not "kept"."""

    sent: dict[str, Any] | None
    rows: list[list[Any]]


def outcome(schema: Any, dialect: str, strict: bool) -> Outcome:
    """Compiles one schema."""
    try:
        compiled = of(schema).compile(dialect, strict=strict)
    except ToolRefused as refusal:
        return Outcome(None, _rows(refusal.report))
    return Outcome(schema_of(compiled), _rows(compiled.report))


def _rows(report: list[Any]) -> list[list[Any]]:
    return [[row.path, row.keyword, row.action, row.lossy] for row in report if row.action != "kept"]


def table() -> dict[str, dict[str, Any]]:
    """The whole golden table."""
    return {
        name: {
            mode_name(*mode): {"sent": (made := outcome(case["schema"], *mode)).sent, "rows": made.rows}
            for mode in MODES
        }
        for name, case in AWKWARD.items()
    }


def written(rows: dict[str, dict[str, Any]]) -> str:
    """The table as a file, one mode a line."""
    cases = []
    for name, modes in rows.items():
        lines = [f"  {json.dumps(mode)}: {json.dumps(made, ensure_ascii=False)}" for mode, made in modes.items()]
        cases.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(cases) + "\n}\n"


if __name__ == "__main__":
    (DATA / "golden.json").write_text(written(table()))
