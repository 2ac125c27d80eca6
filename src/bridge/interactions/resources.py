"""What stands beside interactions: agents, environments and their files.

Source: Interactions API reference, "Agents", "Environments".
"""

from __future__ import annotations

from typing import Annotated

from ._open import Int64, Model, OpenStruct, Unknown
from .config import AgentConfig, EnvironmentConfig, NetworkAllowlist, Source
from .tools import Tool

__all__ = [
    "Agent",
    "AgentList",
    "Environment",
    "EnvironmentFile",
    "EnvironmentFileList",
    "EnvironmentList",
]


class Agent(Model):
    """A managed agent of the caller's own, built on `base_agent`. The caller chooses the id."""

    id: str = ""
    base_agent: str | None = None
    base_environment: (
        Annotated[
            str | EnvironmentConfig | Unknown,
            OpenStruct("environment", EnvironmentConfig, text=True),
        ]
        | None
    ) = None
    system_instruction: str | None = None
    description: str | None = None
    tools: list[Tool] | None = None
    agent_config: AgentConfig | None = None


class AgentList(Model):
    """One page of agents."""

    agents: list[Agent] = []
    next_page_token: str | None = None


class Environment(Model):
    """A sandbox that outlives a turn. `status` is active or expired; times are ISO 8601 texts; sizes in bytes."""

    id: str = ""
    status: str | None = None
    created: str | None = None
    updated: str | None = None
    last_accessed: str | None = None
    file_count: Int64 | None = None
    size_bytes: Int64 | None = None
    network: str | NetworkAllowlist | None = None
    sources: list[Source] | None = None


class EnvironmentList(Model):
    """One page of environments."""

    environments: list[Environment] = []
    next_page_token: str | None = None


class EnvironmentFile(Model):
    """A file or directory of an environment; `path` is below the environment's root, sizes in bytes."""

    name: str | None = None
    path: str | None = None
    type: str | None = None
    size_bytes: Int64 | None = None
    mime_type: str | None = None
    created: str | None = None
    modified: str | None = None


class EnvironmentFileList(Model):
    """One page of files."""

    files: list[EnvironmentFile] = []
    next_page_token: str | None = None
