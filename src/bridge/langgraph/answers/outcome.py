"""What an ended turn says about itself: its status as an answer or an error, its metadata, its usage. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from langchain_core.messages.ai import UsageMetadata

from bridge.errors import InteractionFailed
from bridge.interactions import Interaction, Unknown, Usage, meaning_of

from ..messages import PROVIDER

__all__ = ["metadata_of", "raise_if_failed", "usage_of"]


def raise_if_failed(interaction: Interaction) -> None:
    """Raises `InteractionFailed` where the turn failed or was cancelled, or broke off with an error."""
    outcome = meaning_of(interaction.status).outcome
    if outcome in ("error", "cancelled") or (outcome == "none" and interaction.errors):
        reasons = "; ".join(f"{row.code or 'error'}: {row.message or 'no message'}" for row in interaction.errors or [])
        raise InteractionFailed(
            f"interaction {interaction.id or '(not stored)'} of {interaction.model or interaction.agent} ended as "
            f"{interaction.status or 'unknown'}{f' ({reasons})' if reasons else ''}",
            interaction,
        )


def metadata_of(interaction: Interaction, requested: str) -> dict[str, Any]:
    """The `response_metadata` of an answer: id, status, model_name, model_provider and environment_id where there is one."""
    metadata = {
        "id": interaction.id or None,
        "status": interaction.status,
        "model_name": interaction.model or interaction.agent or requested,
        "model_provider": PROVIDER,
        "environment_id": interaction.environment_id,
    }
    return {name: value for name, value in metadata.items() if value is not None}


def usage_of(usage: Usage | Unknown | None) -> UsageMetadata | None:
    """LangChain's usage. Tokens of tools count as input, thinking as output; None where the API reported nothing."""
    if not isinstance(usage, Usage) or (usage.total_input_tokens is None and usage.total_output_tokens is None):
        return None
    tokens_in = (usage.total_input_tokens or 0) + (usage.total_tool_use_tokens or 0)
    tokens_out = (usage.total_output_tokens or 0) + (usage.total_thought_tokens or 0)
    result = UsageMetadata(
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        total_tokens=tokens_in + tokens_out,
    )
    audio_in = _modality(usage.input_tokens_by_modality, "audio")
    audio_out = _modality(usage.output_tokens_by_modality, "audio")
    details_in = {"cache_read": usage.total_cached_tokens, "audio": audio_in}
    details_out = {"reasoning": usage.total_thought_tokens, "audio": audio_out}
    if known := {name: value for name, value in details_in.items() if value is not None}:
        result["input_token_details"] = known  # type: ignore[typeddict-item]
    if known := {name: value for name, value in details_out.items() if value is not None}:
        result["output_token_details"] = known  # type: ignore[typeddict-item]
    return result


def _modality(rows: Iterable[Any] | None, modality: str) -> int | None:
    return next((row.tokens for row in rows or () if row.modality == modality), None)
