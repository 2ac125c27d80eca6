"""What a backend is: the protocol every one of them meets, what it can do, and how a request to it is built.

Interfaces ask a backend for what they need and refuse where it says no. Which backend there is, is `bridge.connect`'s to say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from pydantic import ValidationError

from .errors import InvalidRequest, UnsupportedCapability
from .interactions import CreateAgentInteraction, CreateInteraction, CreateModelInteraction
from .interactions._open import reason_of

if TYPE_CHECKING:
    from .interactions import Agent, Environment, EnvironmentFile, Event, Interaction, Webhook

__all__ = [
    "Agents",
    "Backend",
    "Capabilities",
    "Environments",
    "Files",
    "Webhooks",
    "as_request",
    "require",
    "webhooks_of",
]


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a backend can do. An interface asks before it relies on it."""

    handle: Literal["immutable", "mutable"] = "immutable"
    """Whether a turn is named by a chain of ids that never change, or by one session on the server that does."""
    fork: bool = True
    """Several turns may follow the same parent."""
    background: bool = True
    stream_resume: Literal["cursor", "relist", "none"] = "cursor"
    """How a broken stream goes on: from an event id, by listing again, or not."""
    environments: bool = True
    agents: bool = True
    webhooks: bool = False
    """It reports ends to addresses: it takes `webhook_config`, and has `webhooks` (see `Webhooks`)."""
    approvals: bool = False
    """A run can stop for a human's approval."""
    budgets: frozenset[str] = frozenset({"max_output_tokens", "max_total_tokens"})
    """The budgets it enforces itself."""
    resend: frozenset[str] = frozenset({"system_instruction", "tools", "generation_config", "environment"})
    """What a turn does not inherit from its parent."""


class Agents(Protocol):
    """Managed agents of the caller's own."""

    async def create(self, agent: Agent | None = None, /, **fields: Any) -> Agent:
        """Creates an agent. Raises `Conflict` where the id exists."""
        ...

    async def get(self, id: str) -> Agent:
        """An agent by id. Raises `NotFound`."""
        ...

    def list(self, *, page_size: int | None = None) -> AsyncIterator[Agent]:
        """All agents, page by page."""
        ...

    async def delete(self, id: str) -> None:
        """Deletes an agent. Raises `NotFound`."""
        ...


class Environments(Protocol):
    """Sandboxes that outlive a turn."""

    async def create(self, /, **fields: Any) -> Environment:
        """A new environment from `sources` and `network`, or a copy of `from_environment`."""
        ...

    async def get(self, id: str) -> Environment:
        """An environment by id. Raises `NotFound`."""
        ...

    def list(self, *, page_size: int | None = None) -> AsyncIterator[Environment]:
        """All environments, page by page."""
        ...

    async def delete(self, id: str) -> None:
        """Deletes an environment and its files. Raises `NotFound`."""
        ...


class Files(Protocol):
    """The files of an environment. Paths are below the environment's root, "/"-separated; none leads out of it."""

    def list(self, environment_id: str, path: str = "", *, recursive: bool = False) -> AsyncIterator[EnvironmentFile]:
        """The files below a directory, page by page. Raises `NotFound`."""
        ...

    async def read(self, environment_id: str, path: str) -> bytes:
        """A file's bytes. Raises `NotFound`."""
        ...

    async def write(self, environment_id: str, path: str, data: bytes, *, overwrite: bool = True) -> EnvironmentFile:
        """Writes a file. Raises `Conflict` where it exists and `overwrite` is False."""
        ...


class Webhooks(Protocol):
    """Addresses that are told of every end they asked for. What a backend with the capability `webhooks` has under that name."""

    async def create(self, /, **fields: Any) -> Webhook:
        """Registers `uri` for `subscribed_events`, with a `name`. The answer, and no later one, has `new_signing_secret`."""
        ...

    async def get(self, id: str) -> Webhook:
        """A webhook by id. Raises `NotFound`."""
        ...

    def list(self, *, page_size: int | None = None) -> AsyncIterator[Webhook]:
        """All webhooks, page by page."""
        ...

    async def update(self, id: str, *, update_mask: str | None = None, **fields: Any) -> Webhook:
        """Changes `name`, `uri`, `subscribed_events` or `state`. Raises `NotFound`."""
        ...

    async def delete(self, id: str) -> None:
        """Forgets a webhook. Raises `NotFound`."""
        ...

    async def ping(self, id: str) -> None:
        """Has a delivery sent that tells nothing. Raises `NotFound`."""
        ...

    async def rotate_signing_secret(self, id: str, *, revocation_behavior: str | None = None) -> str:
        """A new secret; `revocation_behavior` says when the ones before it end. Raises `NotFound`."""
        ...


@runtime_checkable
class Backend(Protocol):
    """Who does the work. All methods raise `BridgeError`s and nothing else."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    @property
    def identity(self) -> str:
        """Names the account and place this backend talks to, without its key: a hash of host, version and key fingerprint."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    @property
    def agents(self) -> Agents:
        """Managed agents of the caller's own."""
        ...

    @property
    def environments(self) -> Environments:
        """Sandboxes that outlive a turn."""
        ...

    @property
    def files(self) -> Files:
        """The files of an environment."""
        ...

    async def create(self, request: CreateInteraction | None = None, /, **fields: Any) -> Interaction:
        """Starts a turn and waits for its end, or for its start where `background` is set."""
        ...

    def stream(self, request: CreateInteraction | None = None, /, **fields: Any) -> AsyncIterator[Event]:
        """Starts a turn and gives its events as they come, to the last `interaction.completed`."""
        ...

    async def get(self, id: str, *, include_input: bool = False) -> Interaction:
        """A stored turn as it stands. Raises `NotFound`."""
        ...

    def watch(self, id: str, *, after: str | None = None) -> AsyncIterator[Event]:
        """The events of a stored turn, from the start or from after an event id, to its end."""
        ...

    async def cancel(self, id: str) -> Interaction:
        """Stops a background turn that still runs."""
        ...

    async def delete(self, id: str) -> None:
        """Deletes a stored turn. Raises `NotFound`."""
        ...

    async def aclose(self) -> None:
        """Lets go of connections and processes. Idempotent."""
        ...


def require(backend: Backend, capability: str, hint: str = "") -> None:
    """Raises `UnsupportedCapability` where the backend's `Capabilities` say no to the named field."""
    if getattr(backend.capabilities, capability) in (False, "none"):
        raise UnsupportedCapability(backend.name, capability, hint)


def webhooks_of(backend: Backend) -> Webhooks:
    """The `webhooks` of a backend. Raises `UnsupportedCapability` where it has none."""
    require(backend, "webhooks", "poll or watch")
    having: Any = backend
    webhooks: Webhooks = having.webhooks
    return webhooks


def as_request(request: CreateInteraction | None, fields: dict[str, Any]) -> CreateInteraction:
    """The request of a call's arguments: a ready one, with fields set on top, or one built from fields.

    Fields that are None are left out. Raises `InvalidRequest` where they do not make a request.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    if request is not None:
        if not given:
            return request
        given = {**request.to_wire(), **given}
    if ("model" in given) == ("agent" in given):
        both = "both" if "model" in given else "neither"
        raise InvalidRequest(
            f"a request names a model or an agent, not {both}: pass model=... or agent=...",
            "model",
        )
    kind = CreateModelInteraction if "model" in given else CreateAgentInteraction
    for name, other in (
        ("generation_config", "agent"),
        ("cached_content", "agent"),
        ("agent_config", "model"),
    ):
        if name in given and other in given:
            raise InvalidRequest(f"{name} does not go with {other}=...; leave it out", name)
    try:
        return kind(**given)  # built, not parsed: a 64-bit integer is sent as a string
    except ValidationError as error:
        raise InvalidRequest(f"the request does not fit the API: {reason_of(error)}", _field_of(error)) from None


def _field_of(error: ValidationError) -> str:
    return ".".join(str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"])
