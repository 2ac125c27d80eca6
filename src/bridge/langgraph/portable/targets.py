"""By whose rules a history is made portable: named by the caller, or found from the chat model that speaks next."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from bridge.errors import InvalidRequest, NotConfigured
from bridge.portable import Media, MessageRules

from ..binding import vendor_of
from ..messages import PROVIDER

__all__ = ["INTERACTIONS", "SAFE", "known", "rules_for", "rules_of"]

# What every vendor takes. (Gemini takes no GIF, Chat Completions no address of a file and nothing but text in a result.)
SAFE = MessageRules(
    vendor="one of the vendors",
    media={
        "user": {
            "image": Media(frozenset({"image/jpeg", "image/png", "image/webp"}), url=True),
            "file": Media(frozenset({"application/pdf"})),
        }
    },
    from_portable=lambda block: {"filename": "document.pdf", **block} if block["type"] == "file" else block,
)
# A session renders others' messages itself, and its digests are made of them as they stand.
INTERACTIONS = MessageRules(vendor="the Interactions API", providers=frozenset({PROVIDER}))


@cache
def known() -> dict[str, MessageRules]:
    """The rules of every vendor whose adapter is installed, by target."""
    from bridge._adapters import FOUND, adapter

    found = {"interactions": INTERACTIONS}
    for name in FOUND:
        found |= getattr(adapter(name), "MESSAGES", {})
    return found


def rules_of(target: str | None) -> MessageRules:
    """The rules of that target. Raises `NotConfigured` where its adapter is not installed, `InvalidRequest` for an unknown one."""
    if target is None:
        return SAFE
    if target == "interactions":
        return INTERACTIONS
    if target in (targets := known()):
        return targets[target]
    if target in ("anthropic", "openai", "openai-chat"):
        package = f"interactions-bridge-{target.partition('-')[0]}"
        raise NotConfigured(
            f"what {target!r} takes of others' messages is not installed: pip install {package}; target=None is safe for every vendor"
        )
    raise InvalidRequest(
        f"there is no target {target!r}; known: anthropic, interactions, openai, openai-chat, or None for every vendor",
        "target",
    )


def rules_for(chat_model: Any) -> MessageRules:
    """The rules of the vendor that a chat model speaks to.

    Of one that is not known, or whose adapter is not installed, they are those that are safe for all; its own messages stay.
    """
    vendor = vendor_of(chat_model)
    if vendor == "openai" and "openai" in known() and getattr(chat_model, "use_responses_api", None) is False:
        vendor = "openai-chat"
    if vendor in (targets := known()):
        return targets[vendor]
    # What LangChain calls the vendor, in traces and in the messages of its models.
    describe = getattr(chat_model, "_get_ls_params", None)
    provider = vendor or (describe().get("ls_provider") if describe is not None else None)
    return replace(SAFE, providers=frozenset([provider] if provider else []))
