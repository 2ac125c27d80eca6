"""Every error this library raises: one flat tree, built from facts.

    BridgeError
    ├── NotConfigured         no key, base URL or backend, or a part of the installation is missing
    ├── UnsupportedCapability a backend lacks what an interface asked for
    ├── InvalidRequest        refused here, before anything was sent
    │   └── ToolRefused           a vendor does not take a tool; the report says which keywords and why
    ├── HistoryDiverged       a session's messages were changed, and its caller wants to know rather than send them anew
    ├── ApiError              the service answered with an error
    │   ├── BadRequest            400
    │   ├── AuthenticationFailed  401
    │   ├── PermissionDenied      403
    │   ├── NotFound              404
    │   ├── Conflict              409
    │   ├── RateLimited           429
    │   └── ServiceFailed         5xx
    ├── ConnectionFailed      the service could not be reached, or the connection broke before an answer
    ├── InvalidResponse       the service answered with what is not this API
    ├── OutcomeUnknown        a paid call was sent and nothing tells whether it runs
    ├── WebhookRefused        a webhook's delivery is not what it claims
    ├── InteractionFailed     a turn ended without the answer it was asked for
    └── DeadlineExceeded      a wait of ours ran out; the text says what became of what was waited for

No vendor or transport exception leaves the library, and no secret stands in any text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .interactions import Error, Interaction, Unknown

__all__ = [
    "ApiError",
    "AuthenticationFailed",
    "BadRequest",
    "BridgeError",
    "Conflict",
    "ConnectionFailed",
    "DeadlineExceeded",
    "HistoryDiverged",
    "InteractionFailed",
    "InvalidRequest",
    "InvalidResponse",
    "NotConfigured",
    "NotFound",
    "OutcomeUnknown",
    "PermissionDenied",
    "RateLimited",
    "ServiceFailed",
    "ToolRefused",
    "UnsupportedCapability",
    "WebhookRefused",
    "api_error",
]


class BridgeError(Exception):
    """Base of every error of this library."""


class NotConfigured(BridgeError):
    """Raised when a key, a base URL, a backend or an optional part of the installation is missing."""


class UnsupportedCapability(BridgeError):
    """Raised when an interface asks for what a backend does not have."""

    def __init__(self, backend: str, capability: str, hint: str = "") -> None:
        self.backend = backend
        self.capability = capability
        super().__init__(f"backend {backend!r} has no {capability}{f'; {hint}' if hint else ''}")


class InvalidRequest(BridgeError):
    """Raised when a request is refused before it is sent. `field` names the place, empty for the request as a whole."""

    def __init__(self, message: str, field: str = "") -> None:
        self.field = field
        super().__init__(message)


class ToolRefused(InvalidRequest):
    """Raised when a vendor does not take a tool, or loses something that must not be lost.

    `report` has a row for each keyword of all the tools (`bridge.tools.Row`), those that are no trouble included.
    """

    def __init__(self, message: str, report: Sequence[Any]) -> None:
        self.report = list(report)
        super().__init__(message, "tools")


class HistoryDiverged(BridgeError):
    """Raised when messages before a session's answer were changed and `on_divergence` is "raise". `interaction_id` is the answer's."""

    def __init__(self, message: str, interaction_id: str) -> None:
        self.interaction_id = interaction_id
        super().__init__(message)


class ApiError(BridgeError):
    """Raised when the service answers with an error.

    `status` is the HTTP status, `code` the API's own code ("not_found"), `message` its text, `request_id` the service's name
    for the request where it gave one, `body` the decoded answer, `retry_after` seconds the service asked to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        request_id: str | None = None,
        body: Any = None,
        retry_after: float | None = None,
    ) -> None:
        self.message = message
        self.status = status
        self.code = code
        self.request_id = request_id
        self.body = body
        self.retry_after = retry_after
        super().__init__(f"{status} {code or 'error'}: {message}{f' (request {request_id})' if request_id else ''}")


class BadRequest(ApiError):
    """Raised when the service refuses a request as wrong (400)."""


class AuthenticationFailed(ApiError):
    """Raised when the service does not accept the key (401)."""


class PermissionDenied(ApiError):
    """Raised when the key may not do this (403)."""


class NotFound(ApiError):
    """Raised when an id is unknown, deleted or expired (404)."""


class Conflict(ApiError):
    """Raised when something of that id exists already, or the call was aborted (409)."""


class RateLimited(ApiError):
    """Raised when a limit or quota is used up (429)."""


class ServiceFailed(ApiError):
    """Raised when the service itself fails (5xx)."""


class ConnectionFailed(BridgeError):
    """Raised when the service cannot be reached or the connection breaks before an answer.

    `sent` is False where the request surely did not reach the service.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        self.sent = sent
        super().__init__(message)


class InvalidResponse(BridgeError):
    """Raised when an answer is not what this API answers (not JSON, another content type)."""


class OutcomeUnknown(BridgeError):
    """Raised when a create was sent and nothing tells whether it runs, so that sending it again may bill twice.

    `partial` is what had arrived of the interaction, `interaction_id` its id where it is known.
    """

    def __init__(self, message: str, *, partial: Interaction | None = None) -> None:
        self.partial = partial
        super().__init__(message)

    @property
    def interaction_id(self) -> str | None:
        """The id, where the break came after it was known."""
        return (self.partial.id or None) if self.partial is not None else None


class WebhookRefused(BridgeError):
    """Raised when a webhook's delivery is not what it claims. `reason` says why, and holds nothing secret."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the delivery is refused: {reason}")


class InteractionFailed(BridgeError):
    """Raised when a turn ended without the answer it was asked for. `interaction` is the whole of it, what had come included."""

    def __init__(self, message: str, interaction: Interaction) -> None:
        self.interaction = interaction
        super().__init__(message)

    @property
    def errors(self) -> list[Error | Unknown]:
        """What the service says went wrong, each with a code and a message; empty where it says nothing."""
        return list(self.interaction.errors or [])


class DeadlineExceeded(BridgeError):
    """Raised when a wait runs out. `interaction_id` is what was waited for; it may still be read, and may still run."""

    def __init__(self, message: str, interaction_id: str | None = None) -> None:
        self.interaction_id = interaction_id
        super().__init__(message)


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
}


def api_error(message: str, *, status: int, **facts: Any) -> ApiError:
    """The `ApiError` of an HTTP status; the keyword arguments are those of `ApiError`."""
    kind = _BY_STATUS.get(status, ServiceFailed if status >= 500 else ApiError)
    return kind(message, status=status, **facts)
