"""The `gemini` backend: a thin client of the real API.

`backend` runs turns; `settings` and `calls` say what goes where, `sending` sends it, `retrying` says when again, `answers`, `sse` and
`progress` read what comes, `resources` covers agents, environments and files.
"""

from .backend import GeminiBackend, SyncGeminiBackend
from .settings import Retries

__all__ = ["GeminiBackend", "Retries", "SyncGeminiBackend"]
