"""What tokens cost, from genai-prices. Nobody guesses: a model whose price is not known has none here.

Source: https://github.com/pydantic/genai-prices, the list that comes with the installed version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.errors import InvalidRequest, NotConfigured

__all__ = ["tokens_for", "usd_of"]

_PROVIDER = "google"
_MILLION = 1_000_000


def tokens_for(usd: float, model: str | None) -> int:
    """How many tokens surely cost no more than that: as many as would at the model's highest price, that of its answers.

    Raises `NotConfigured` where genai-prices is not installed, `InvalidRequest` where the model has no price in it.
    """
    price = _cost({"total_input_tokens": _MILLION, "total_output_tokens": _MILLION}, model)
    if price is None:
        raise InvalidRequest(
            f"the price of {model or 'the model that the agent uses'} is not known, so a budget in usd cannot be kept: "
            "name a model with a price in agent_config, or pass budget={'tokens': ...}",
            "budget",
        )
    return max(1, int(usd / price[1] * _MILLION))


def usd_of(usage: Mapping[str, Any] | None, model: str | None) -> float | None:
    """What a usage cost, None where the usage or the price is not known."""
    price = _cost(usage, model) if usage is not None else None
    return sum(price) if price is not None else None


def _cost(usage: Mapping[str, Any], model: str | None) -> tuple[float, float] | None:
    try:
        from genai_prices import Usage, calc_price
    except ModuleNotFoundError:
        raise NotConfigured(
            "a budget in usd needs genai-prices, which is not installed: pip install 'interactions-bridge[prices]'"
        ) from None
    if model is None:
        return None
    if not any(isinstance(usage.get(f"total_{name}_tokens"), int) for name in ("input", "output")):
        return None
    count = {
        name: usage.get(f"total_{name}_tokens") or 0 for name in ("input", "tool_use", "output", "thought", "cached")
    }
    tokens = Usage(
        input_tokens=count["input"] + count["tool_use"],
        output_tokens=count["output"] + count["thought"],
        cache_read_tokens=count["cached"],
    )
    try:
        price = calc_price(tokens, model, provider_id=_PROVIDER)
    except LookupError:
        return None
    return float(price.input_price), float(price.output_price)
