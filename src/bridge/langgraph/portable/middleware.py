"""`PortableHistoryMiddleware`: before each call of an agent's model the history is made portable for the vendor of that model.

Only the request that goes out is rewritten; the thread keeps every message as it was said. How, `history` says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from bridge.errors import NotConfigured
from bridge.tools.compiling import OnLossy

from .history import rewritten
from .targets import rules_for

try:
    from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
except ImportError as error:
    raise NotConfigured(
        f"PortableHistoryMiddleware needs langchain, which is not installed: pip install langchain ({error})"
    ) from None

__all__ = ["PortableHistoryMiddleware"]


class PortableHistoryMiddleware(AgentMiddleware[Any, Any, Any]):
    """Lets the models of several vendors speak in one thread of `create_agent`: each gets the history as `to_portable` gives it for it.

    The vendor is found from the model of each request, so that it may change from one to the next. Put it behind middleware
    that chooses the model. Of a model of an unknown vendor the own messages stay, and others' are what every vendor takes.
    `on_lossy="raise"` makes it an error where something other than reasoning would be left out.
    """

    def __init__(self, *, on_lossy: OnLossy = "report") -> None:
        super().__init__()
        self._on_lossy = on_lossy

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Calls the model with the portable history."""
        return handler(self._portable(request))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Calls the model with the portable history."""
        return await handler(self._portable(request))

    def _portable(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        rules = rules_for(request.model)
        messages: list[Any] = rewritten(request.messages, rules, on_lossy=self._on_lossy)
        if request.system_message is None:
            return request.override(messages=messages)
        system: list[Any] = rewritten([request.system_message], rules, on_lossy=self._on_lossy)
        return request.override(messages=messages, system_message=system[0])
