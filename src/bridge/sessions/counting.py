"""How often this process had to send a whole history again, by reason. A number to watch: each time costs what the session saved."""

from __future__ import annotations

from collections import Counter

__all__ = ["count_replay", "replay_counts"]

_counts: Counter[str] = Counter()


def replay_counts() -> dict[str, int]:
    """Replays since the process began: "gone" (the service had lost the parent), "changed" and "other version" (see `Reason`)."""
    return dict(_counts)


def count_replay(reason: str) -> None:
    """Counts one replay."""
    _counts[reason] += 1
