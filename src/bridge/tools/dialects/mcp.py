"""The dialect of the Model Context Protocol: any JSON Schema of draft 2020-12 whose root is an object. Imports no `mcp`.

Source: MCP specification 2026-07-28, server/tools.
"""

from __future__ import annotations

import re
from typing import Any

from ..schemas.steps import object_root
from ..schemas.walking import Steps
from . import Dialect

__all__ = ["DIALECT"]


def _define(name: str, description: str, schema: dict[str, Any], strict: bool) -> dict[str, Any]:
    return {"name": name, "description": description, "inputSchema": schema}


DIALECT = Dialect(
    name="mcp",
    define=_define,
    steps=Steps(root=[object_root("mcp", unions=True)]),
    names=re.compile(r"[A-Za-z0-9_.\-]{1,128}"),
)
