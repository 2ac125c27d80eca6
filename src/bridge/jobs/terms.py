"""What holds for a job while it runs: its deadline, its budget, when it counts as stalled. Pure functions over plain data.

Whether a backend can keep a term is settled before anything is paid (`agreed`); whether a term is broken is asked at every look
(`broken`). Acting on it is `looking`'s business, what a token costs `prices`'.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from bridge.backend import Capabilities
from bridge.errors import DeadlineExceeded, InvalidRequest, NotConfigured, UnsupportedCapability

from .job import Job

__all__ = ["Budget", "Terms", "Verdict", "agreed", "broken", "overrun", "progressed_at", "remaining", "tokens_of"]

Verdict = Literal["deadline", "stalled", "budget", "abandoned", "lost"]
"""Why a job was given up here. "lost": the service does not know its interaction."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What one background interaction may use. Each limit may be left out.

    `seconds` from its start, `tokens` in total (with a model: of the answer, thinking included), `usd` in US dollars (with a model, what
    the input costs comes on top of what can be capped; it is known at the end, and an overrun is recorded). `observe=True`
    records an overrun of tokens or money where nobody can prevent it, instead of refusing such a budget.
    """

    seconds: float | None = None
    tokens: int | None = None
    usd: float | None = None
    observe: bool = False

    @classmethod
    def of(cls, value: Budget | Mapping[str, Any] | None) -> Budget:
        """A budget from what a caller gave. Raises `InvalidRequest`."""
        if isinstance(value, Budget):
            budget = value
        else:
            if unknown := set(value or ()) - {"seconds", "tokens", "usd", "observe"}:
                raise InvalidRequest(
                    f"a budget has seconds, tokens, usd and observe, no {', '.join(sorted(unknown))}", "budget"
                )
            budget = cls(**(value or {}))
        for name in ("seconds", "tokens", "usd"):
            limit = getattr(budget, name)
            if limit is not None and not (isinstance(limit, int | float) and limit > 0):
                raise InvalidRequest(f"budget.{name} is a number above 0, or left out", "budget")
        return budget


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The terms of one node's jobs. `cap` is the server's own limit and its value, where it has one that keeps the budget."""

    stall_after: float | None = None
    budget: Budget = Budget()
    cap: tuple[Literal["max_total_tokens", "max_output_tokens"], int] | None = None
    priced_as: str | None = None
    """The model whose price counts, where money is counted."""
    unattended: bool = False
    """No thread waits for its jobs: they are looked at and kept to their terms, and nothing is woken."""

    def as_data(self) -> dict[str, Any]:
        """What a job's row keeps of them."""
        budget = self.budget
        terms: dict[str, Any] = {
            "seconds": budget.seconds,
            "tokens": budget.tokens,
            "usd": budget.usd,
            "stall_after": self.stall_after,
            "priced_as": self.priced_as,
            "answer_only": True if self.cap is not None and self.cap[0] == "max_output_tokens" else None,
            "unattended": True if self.unattended else None,
        }
        return {name: value for name, value in terms.items() if value is not None}

    def kept_in(
        self,
        target: str,
        agent_config: Mapping[str, Any],
        generation_config: Mapping[str, Any],
        left: Mapping[str, Any],
    ) -> dict[str, dict[str, Any]]:
        """A request's settings with the server's own limit in them; those that are empty are left out.

        `left` are these terms as plain data, with what is left of them where something is used up.
        """
        agent_config, generation_config = dict(agent_config), dict(generation_config)
        if self.cap is not None:
            name, limit = self.cap
            config = agent_config if name == "max_total_tokens" else generation_config
            limits = [limit, config.get(name), left.get("tokens")]
            if "usd" in left:
                from .prices import tokens_for

                limits.append(tokens_for(left["usd"], self.priced_as))
            config[name] = min(one for one in limits if one)
        if agent_config and "type" not in agent_config:
            agent_config = {"type": _kind_of(target), **agent_config}
        given = {"agent_config": agent_config, "generation_config": generation_config}
        return {name: config for name, config in given.items() if config}


def _kind_of(agent: str) -> str:
    """The kind of an agent's settings. Agents of the caller's own are of the general one."""
    for kind in ("deep-research", "codemender"):
        if agent.startswith(kind):
            return kind
    return "antigravity"


def agreed(
    *,
    budget: Budget,
    stall_after: float | None,
    target: str,
    is_agent: bool,
    backend: str,
    capabilities: Capabilities,
    model: str | None = None,
) -> Terms:
    """The terms, where this backend can keep them.

    A limit of tokens or money is handed to the service where it has one for this target: agents with settings of their own count all
    tokens, a model those of the answer. `model` is the model whose price counts for an agent. Raises `UnsupportedCapability` where
    only the end would tell and the budget does not say `observe`, `NotConfigured` and `InvalidRequest` where a price is not known.
    """
    if stall_after is not None and stall_after <= 0:
        raise InvalidRequest("stall_after is a number of seconds above 0, or None", "stall_after")
    if stall_after is not None and capabilities.stream_resume != "cursor":
        raise UnsupportedCapability(
            backend, "progress while running", "leave stall_after out; the deadline does the work"
        )
    limits, priced_as = [budget.tokens] if budget.tokens is not None else [], None
    if budget.usd is not None:
        from .prices import tokens_for

        priced_as = model if is_agent else target
        limits.append(tokens_for(budget.usd, priced_as))
    terms = Terms(stall_after=stall_after, budget=budget, priced_as=priced_as)
    if not limits:
        return terms
    name: Literal["max_total_tokens", "max_output_tokens"]
    name = "max_total_tokens" if is_agent else "max_output_tokens"
    if name in capabilities.budgets and not target.startswith(_WITHOUT_CAP):
        return replace(terms, cap=(name, min(limits)))
    if not budget.observe:
        raise UnsupportedCapability(
            backend,
            f"limit of tokens or money for {target!r}",
            "what it uses is known at its end only: pass budget={..., 'observe': True} to record it, or budget={'seconds': ...}",
        )
    return terms


# Agents whose settings hold no limit of tokens. Source: Interactions API reference, "agent_config".
_WITHOUT_CAP = ("deep-research", "codemender")


def broken(job: Job, now: float) -> Verdict | None:
    """Which term a job that still runs has broken by now."""
    seconds = job.terms.get("seconds")
    if seconds is not None and now - job.created >= seconds:
        return "budget"
    if job.deadline is not None and now >= job.deadline:
        return "deadline"
    with suppress(NotConfigured):  # who looks may lack the prices that who started had
        if overrun(job):
            return "budget"
    stall_after = job.terms.get("stall_after")
    if stall_after is not None and now - progressed_at(job) >= stall_after:
        return "stalled"
    return None


def remaining(terms: Mapping[str, Any], earlier: Job) -> dict[str, Any]:
    """What is left of a turn's budget for the interaction that goes on from another. Raises `DeadlineExceeded` where nothing is."""
    used, left = _used(earlier), dict(terms)
    for name, amount in used.items():
        limit = earlier.terms.get(name)
        if limit is None or amount is None:
            continue
        left[name] = limit - amount
        if left[name] <= 0:
            raise DeadlineExceeded(
                f"{earlier.name}: the turn has used up its budget of {name} with interaction {earlier.interaction_id}, which asks to go on",
                earlier.interaction_id,
            )
    return left


def progressed_at(job: Job) -> float:
    """When something was last seen to happen."""
    return job.progressed or job.bound or job.created


def tokens_of(usage: Mapping[str, Any] | None, *, answer_only: bool = False) -> int | None:
    """The tokens of the API's usage, all of them or those of the answer; None where they are not known, which is not zero."""
    if usage is None:
        return None
    if not answer_only and isinstance(total := usage.get("total_tokens"), int):
        return total
    known = [usage[name] for name in (_ANSWER if answer_only else _ALL) if isinstance(usage.get(name), int)]
    return sum(known) if known else None


_ANSWER = ("total_output_tokens", "total_thought_tokens")
_ALL = ("total_input_tokens", "total_tool_use_tokens", *_ANSWER)


def overrun(job: Job) -> dict[str, float]:
    """By how much a job went beyond its budget, by limit; empty where it did not, or where nothing is known.

    Raises `NotConfigured` where a budget is in money and genai-prices is not installed.
    """
    over = {
        name: amount - job.terms[name]
        for name, amount in _used(job).items()
        if amount is not None and name in job.terms
    }
    return {name: amount for name, amount in over.items() if amount > 0}


def _used(job: Job) -> dict[str, float | None]:
    """What a job used of each limit, None where that is not known."""
    used: dict[str, float | None] = {
        "seconds": None if job.ended is None else job.ended - job.created,
        "tokens": tokens_of(job.usage, answer_only=bool(job.terms.get("answer_only"))),
    }
    if "usd" in job.terms:
        from .prices import usd_of

        used["usd"] = usd_of(job.usage, job.terms.get("priced_as"))
    return used
