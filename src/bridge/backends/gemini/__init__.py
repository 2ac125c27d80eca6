"""The `gemini` backend: a thin client of the real API.

`backend` sends; `calls` and `settings` say what, `answers`, `sse` and `progress` read what comes, `retrying` says when to try
again, `resources` covers agents, environments and files.
"""

from .backend import GeminiBackend, SyncGeminiBackend
from .settings import Retries

__all__ = ["GeminiBackend", "Retries", "SyncGeminiBackend"]
