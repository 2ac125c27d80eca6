"""Tools defined once, for every vendor: compiled into each vendor's dialect with a report of what it loses, checked and run here.

What a dialect is, adapters say for their vendors. Binding tools to a model and serving them is the interfaces' business.
Each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge._lazy import lazy

if TYPE_CHECKING:
    from .capabilities import CodeExecution, ComputerUse, FileSearch, RemoteMCP, UrlContext, WebSearch
    from .compiling import Compiled
    from .definitions import ToolError
    from .dialects import Dialect, Native, Refusal
    from .running import Result
    from .schemas.report import Row
    from .servers import McpTools
    from .toolset import Tools

__all__ = [
    "CodeExecution",
    "Compiled",
    "ComputerUse",
    "Dialect",
    "FileSearch",
    "McpTools",
    "Native",
    "Refusal",
    "RemoteMCP",
    "Result",
    "Row",
    "ToolError",
    "Tools",
    "UrlContext",
    "WebSearch",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "CodeExecution": "capabilities",
        "Compiled": "compiling",
        "ComputerUse": "capabilities",
        "Dialect": "dialects",
        "FileSearch": "capabilities",
        "McpTools": "servers",
        "Native": "dialects",
        "Refusal": "dialects",
        "RemoteMCP": "capabilities",
        "Result": "running",
        "Row": "schemas.report",
        "ToolError": "definitions",
        "Tools": "toolset",
        "UrlContext": "capabilities",
        "WebSearch": "capabilities",
    },
)
