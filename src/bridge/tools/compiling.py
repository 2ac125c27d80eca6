"""A list of definitions and built-in capabilities in one vendor's dialect. Pure: where definitions come from and who runs them is left to others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.errors import InvalidRequest, ToolRefused

from .capabilities import Capability
from .definitions import Definition
from .dialects import Dialect, Refusal
from .schemas.reading import copied
from .schemas.report import Row
from .schemas.walking import compiled

__all__ = ["Compiled", "compile_tools"]


@dataclass(frozen=True)
class Compiled:
    """Tools as one vendor takes them.

    `definitions` go into the request under `tools`, in the order of the tools. `names` leads from each name that the vendor sees to
    the tool's own; no two are alike on either side. `report` says what became of each keyword. `request` holds further fields that
    the request needs for these tools (Anthropic's `mcp_servers`); it is empty for most.
    """

    dialect: str
    definitions: list[dict[str, Any]]
    names: dict[str, str]
    report: list[Row]
    request: dict[str, list[Any]] = field(default_factory=dict, repr=False)

    @property
    def lossy(self) -> list[Row]:
        """The rows after which the model may answer what the schema does not allow, or not all that it allows."""
        return [row for row in self.report if row.lossy]

    def copy(self) -> Compiled:
        """The same in values of its own."""
        return Compiled(
            self.dialect, copied(self.definitions), dict(self.names), list(self.report), copied(self.request)
        )


def compile_tools(
    tools: Sequence[Definition | Capability], dialect: Dialect, safe: Mapping[str, str], *, strict: bool
) -> Compiled:
    """Every tool in `dialect`; `safe` has a name that every vendor takes for each definition.

    Raises `ToolRefused`, whose report is whole, where the vendor does not take one of them.
    """
    steps = dialect.strict_steps if strict else dialect.steps
    if steps is None:
        raise InvalidRequest(f"the dialect {dialect.name!r} has no strict mode; leave strict out", "strict")
    definitions: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    report: list[Row] = []
    request: dict[str, list[Any]] = {}
    for tool in tools:
        if isinstance(tool, Definition):
            try:
                schema, rows = compiled(tool.name, tool.reading, steps)
            except RecursionError:
                report.append(
                    Row(tool.name, "", "properties", "refused", "the schema is nested too deeply", lossy=True)
                )
                continue
            except InvalidRequest as error:
                report.append(Row(tool.name, error.field, "$ref", "refused", str(error), lossy=True))
                continue
            report += rows
            name = tool.name if dialect.names.fullmatch(tool.name) else safe[tool.name]
            names[name] = tool.name
            definitions.append(dialect.define(name, tool.description, schema, strict))
        else:
            try:
                native = dialect.native(tool)
            except Refusal as refusal:
                report.append(Row(tool.capability, "", tool.capability, "refused", str(refusal), lossy=True))
                continue
            definitions.append(native.definition)
            for key, values in native.request.items():
                request.setdefault(key, []).extend(values)
    refuse(report, dialect.name, (row for row in report if row.action == "refused"))
    return Compiled(dialect.name, definitions, names, report, request)


def refuse(report: Sequence[Row], dialect: str, rows: Iterable[Row]) -> None:
    """Raises `ToolRefused` where there are such rows."""
    if wrong := list(rows):
        shown = "; ".join(map(str, wrong[:5])) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise ToolRefused(f"{dialect}: {shown}", report)


OnLossy = Literal["report", "raise"]
