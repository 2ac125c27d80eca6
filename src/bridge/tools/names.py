"""Names that every vendor takes, for tools whose own names some vendor refuses. Pure functions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

__all__ = ["safe_names"]

_LONGEST = 64
_SAFE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def safe_names(names: Sequence[str]) -> dict[str, str]:
    """For each of the different `names` one that every vendor takes: itself where it can, and no two alike."""
    safe = {name: name for name in names if _SAFE.fullmatch(name)}
    taken = set(safe)
    for name in names:
        if name not in safe:
            made = re.sub(r"[^A-Za-z0-9_-]", "_", name)
            made = made if re.match(r"[A-Za-z_]", made) else f"_{made}"
            if len(made) > _LONGEST or made in taken:
                made = f"{made[: _LONGEST - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
            taken.add(made)
            safe[name] = made
    return safe
