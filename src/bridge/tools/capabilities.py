"""What vendors can do by themselves, said once: each dialect makes its vendor's own tool of it, or refuses by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

__all__ = ["Capability", "CodeExecution", "ComputerUse", "FileSearch", "RemoteMCP", "UrlContext", "WebSearch"]


@dataclass(frozen=True, kw_only=True)
class WebSearch:
    """The vendor searches the web. Domains to stay in or out of, and the most searches in a turn, where the vendor has such limits."""

    capability: ClassVar[str] = "web_search"
    allowed_domains: Sequence[str] | None = None
    blocked_domains: Sequence[str] | None = None
    max_uses: int | None = None


@dataclass(frozen=True, kw_only=True)
class CodeExecution:
    """The vendor runs programs that the model writes, in a sandbox of its own."""

    capability: ClassVar[str] = "code_execution"


@dataclass(frozen=True, kw_only=True)
class UrlContext:
    """The vendor reads pages that the conversation names."""

    capability: ClassVar[str] = "url_context"


@dataclass(frozen=True)
class FileSearch:
    """The vendor searches file stores of its own. `stores` are its ids of them, `max_results` the most passages per search."""

    capability: ClassVar[str] = "file_search"
    stores: Sequence[str]
    max_results: int | None = None


@dataclass(frozen=True)
class RemoteMCP:
    """The vendor itself calls an MCP server, over streamable HTTP at a public `url`.

    `headers` go to the vendor, credentials included. `allowed_tools` limits which of the server's tools may be called. `approval` is
    whether each call waits for a yes, where the vendor has such a thing.
    """

    capability: ClassVar[str] = "remote_mcp"
    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    allowed_tools: Sequence[str] | None = None
    approval: Literal["never", "always"] = "never"


@dataclass(frozen=True, kw_only=True)
class ComputerUse:
    """The model drives a browser, a desktop or a phone that the caller runs; its actions come as calls."""

    capability: ClassVar[str] = "computer_use"
    environment: Literal["browser", "desktop", "mobile"] = "browser"


Capability: TypeAlias = WebSearch | CodeExecution | UrlContext | FileSearch | RemoteMCP | ComputerUse
