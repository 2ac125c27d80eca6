"""What an interaction used, in tokens. Money is left to the callers: the API does not report any."""

from typing import Any

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

    def __add__(self, other: "Usage") -> "Usage":
        """The usage of two hops of one turn, field by field; what only one of them reports is kept.

        `initial_input_tokens` is the input that the turn began with, so it stays the first one's.
        """
        merged = self.to_wire()
        for name, value in other.to_wire().items():
            merged[name] = _added(merged.get(name), value)
        initial = self.total_input_tokens if self.initial_input_tokens is None else self.initial_input_tokens
        if initial is not None:
            merged["initial_input_tokens"] = initial
        return Usage.parse(merged)


# Which field names a row of the lists, and which counts.
_ROWS = (("modality", "tokens"), ("type", "count"))


def _added(a: Any, b: Any) -> Any:
    if type(a) is int and type(b) is int:
        return a + b
    if isinstance(a, list) and isinstance(b, list):
        rows = [*a]
        for row in b:
            for label, count in _ROWS:
                at = next((i for i, mine in enumerate(rows) if _same(mine, row, label)), None)
                if at is not None:
                    rows[at] = {**rows[at], count: _added(rows[at].get(count), row.get(count))}
                    break
            else:
                rows.append(row)
        return rows
    return a if b is None else b


def _same(a: Any, b: Any, label: str) -> bool:
    return isinstance(a, dict) and isinstance(b, dict) and a.get(label) == b.get(label) is not None
