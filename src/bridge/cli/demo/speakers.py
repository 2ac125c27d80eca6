"""Claude and GPT in the demo: each on its vendor's service, on its adapter's stand-in, or left out where its packages are not installed.

The clients are the vendors' own LangChain packages. What each is asked to do is the graph's business.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from bridge._adapters import adapter
from bridge.errors import BridgeError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

__all__ = ["ANSWER_TOKENS", "KEYS", "Missing", "Speaker", "VendorFailed", "joined"]

ANSWER_TOKENS = 4_000
"""An answer of another vendor's model stops at so many tokens."""


class VendorFailed(BridgeError):
    """Raised when another vendor's service does not answer."""


@dataclass(frozen=True)
class Speaker:
    """Someone who takes part: `node` is its place in the graph, `target` what its history is made portable for."""

    name: str
    node: str
    model: str
    live: bool
    target: str
    chat: BaseChatModel = field(repr=False)
    failures: tuple[type[Exception], ...] = ()
    """What its client raises where the service does not answer."""


@dataclass(frozen=True)
class Missing:
    """Someone who does not, and how to have it take part."""

    name: str
    node: str
    install: str


class _Vendor(NamedTuple):
    name: str
    node: str
    model: str
    target: str
    key: str
    extra: str
    client: Callable[[str, dict[str, Any]], tuple[BaseChatModel, type[Exception]]]


def _claude(model: str, reached: dict[str, Any]) -> tuple[BaseChatModel, type[Exception]]:
    from anthropic import AnthropicError
    from langchain_anthropic import ChatAnthropic

    return ChatAnthropic(model=model, max_tokens=ANSWER_TOKENS, timeout=120, **reached), AnthropicError


def _gpt(model: str, reached: dict[str, Any]) -> tuple[BaseChatModel, type[Exception]]:
    from langchain_openai import ChatOpenAI
    from openai import OpenAIError

    chat = ChatOpenAI(
        model=model,
        max_tokens=ANSWER_TOKENS,
        timeout=120,
        use_responses_api=True,
        # Nothing is left at the vendor: what it needs to go on thinking comes back sealed.
        store=False,
        include=["reasoning.encrypted_content"],
        **reached,
    )
    return chat, OpenAIError


_VENDORS = (
    _Vendor("Claude", "review", "claude-sonnet-5-5", "anthropic", "ANTHROPIC_API_KEY", "claude", _claude),
    _Vendor("GPT", "write", "gpt-6.2-sol", "openai", "OPENAI_API_KEY", "gpt", _gpt),
)
KEYS = tuple(vendor.key for vendor in _VENDORS)


@contextmanager
def joined(live: bool) -> Iterator[list[Speaker | Missing]]:
    """Claude and GPT, in the order in which they speak; their stand-ins answer until the block is left.

    With `live` each whose key is set is the vendor's own service.
    """
    with ExitStack() as stack:
        yield [_join(vendor, live and bool(os.environ.get(vendor.key)), stack) for vendor in _VENDORS]


def _join(vendor: _Vendor, live: bool, stack: ExitStack) -> Speaker | Missing:
    found = adapter(vendor.target)
    install = f"pip install 'interactions-bridge[{vendor.extra}]' interactions-bridge-{vendor.target}"
    if found is None:
        return Missing(vendor.name, vendor.node, install)
    reached: dict[str, Any] = {}
    if not live:
        service = import_module(f"{found.__name__}.testing").stand_in()
        reached = {"base_url": stack.enter_context(service.served()), "api_key": "none-is-needed"}
    try:
        chat, failure = vendor.client(vendor.model, reached)
    except ImportError:
        return Missing(vendor.name, vendor.node, install)
    return Speaker(vendor.name, vendor.node, vendor.model, live, vendor.target, chat, (failure,))
