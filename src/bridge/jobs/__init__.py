"""Background work that survives: what is known of interactions that were started for a graph and are waited for.

Here is what every interface shares: what a job is and who keeps the record of it. How a graph starts, parks and wakes is
`bridge.langgraph`'s.

Each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge._lazy import lazy

if TYPE_CHECKING:
    from .agent import Agent
    from .job import Intent, Job, Place
    from .receiving import Receiver
    from .stores.postgres import PostgresJobStore
    from .stores.sqlite import SqliteJobStore
    from .stores.store import Arrival, JobStore
    from .terms import Budget
    from .verification import Delivery, WebhookVerifier
    from .waking import Resumer

__all__ = [
    "Agent",
    "Arrival",
    "Budget",
    "Delivery",
    "Intent",
    "Job",
    "JobStore",
    "Place",
    "PostgresJobStore",
    "Receiver",
    "Resumer",
    "SqliteJobStore",
    "WebhookVerifier",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Agent": "agent",
        "Arrival": "stores.store",
        "Budget": "terms",
        "Delivery": "verification",
        "Intent": "job",
        "Job": "job",
        "JobStore": "stores.store",
        "Place": "job",
        "PostgresJobStore": "stores.postgres",
        "Receiver": "receiving",
        "Resumer": "waking",
        "SqliteJobStore": "stores.sqlite",
        "WebhookVerifier": "verification",
    },
)
