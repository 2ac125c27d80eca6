"""What a user deploys on a LangGraph Agent Server: graphs that park, and a webhook receiver mounted beside the server's own routes.

The environment names the service (WORK_SERVICE), the job store (WORK_JOBS) and the server's own address (WORK_SERVER). How it goes is
judged by the test that starts the server.
"""

from __future__ import annotations

import os

from langgraph.graph import START, StateGraph
from langgraph.pregel.remote import RemoteGraph
from starlette.applications import Starlette
from starlette.routing import Mount

from bridge.backends.gemini import GeminiBackend
from bridge.jobs import SqliteJobStore
from bridge.langgraph import InteractionsState, interactions_node, webhook_app

service, server = os.environ["WORK_SERVICE"], os.environ["WORK_SERVER"]
hook = f"{server}/hooks/gemini"
backend = GeminiBackend(base_url=service)
jobs = SqliteJobStore(os.environ["WORK_JOBS"])


def graph(**settings):
    node = interactions_node(
        agent="antigravity-preview-09-2026",
        name="analyst",
        backend=backend,
        jobs=jobs,
        **settings,
    )
    return StateGraph(InteractionsState).add_node("analyst", node).add_edge(START, "analyst").compile()


told = graph(webhook=hook, labels={"local-delay-ms": "500"})
untold = graph(labels={"local-delay-ms": "500"})

receiver = webhook_app(
    RemoteGraph("told", url=server),
    jobs,
    jwks=f"{service}/.well-known/jwks.json",
    audience=hook,
    backend=backend,
)
# Below a path of its own: what stands at the root hides the server's routes.
hooks = Starlette(routes=[Mount("/hooks", receiver)])
