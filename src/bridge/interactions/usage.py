"""What an interaction used, in tokens. Money is left to the callers: the API does not report any."""

from __future__ import annotations

from ._open import Model

__all__ = ["GroundingToolCount", "ModalityTokens", "Usage"]


class ModalityTokens(Model):
    """Tokens of one modality: text, image, audio, video or document."""

    modality: str | None = None
    tokens: int | None = None


class GroundingToolCount(Model):
    """How often a grounding tool (google_search, google_maps, retrieval) was used; these are billed per use."""

    type: str | None = None
    count: int | None = None


class Usage(Model):
    """Token counts. `total_tokens` is input + output + thought + tool use; cached tokens are part of the input.

    A field that is None was not reported, which is not the same as zero.
    """

    total_input_tokens: int | None = None
    total_output_tokens: int | None = None
    total_thought_tokens: int | None = None
    total_tool_use_tokens: int | None = None
    total_cached_tokens: int | None = None
    total_tokens: int | None = None
    initial_input_tokens: int | None = None
    input_tokens_by_modality: list[ModalityTokens] | None = None
    output_tokens_by_modality: list[ModalityTokens] | None = None
    cached_tokens_by_modality: list[ModalityTokens] | None = None
    tool_use_tokens_by_modality: list[ModalityTokens] | None = None
    grounding_tool_count: list[GroundingToolCount] | None = None

    def __add__(self, other: Usage) -> Usage:
        """The sum of two usages, field by field; what only one of them reports is kept."""
        merged = self.to_wire()
        for name, value in other.to_wire().items():
            merged[name] = _added(merged.get(name), value)
        return Usage.parse(merged)


def _added(a: object, b: object) -> object:
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    if isinstance(a, list) and isinstance(
        b, list
    ):  # rows of {modality, tokens} or {type, count}
        rows = [dict(row) for row in a]
        for row in b:
            label, number = (
                ("modality", "tokens") if "modality" in row else ("type", "count")
            )
            twin = next(
                (mine for mine in rows if mine.get(label) == row.get(label)), None
            )
            if twin is None:
                rows.append(dict(row))
            else:
                twin[number] = _added(twin.get(number), row.get(number))
        return rows
    return a if b is None else b
