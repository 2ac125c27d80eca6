"""A worker as a deployment runs many: sweeps the jobs of one Postgres until nothing is left. Run by `test_workers.py`.

Takes the database, the address of the service, its own name, and the number of jobs.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import psycopg
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, StateGraph

from bridge.backend import Backend
from bridge.backends.gemini import GeminiBackend
from bridge.jobs import JobStore, PostgresJobStore
from bridge.langgraph import InteractionsState, Sweeper, interactions_node

LEASE = 5.0


def graph_of(backend: Backend, jobs: JobStore, saver: Any, behind: Any) -> Any:
    """The graph of all workers, with a node behind the interaction."""
    node = interactions_node(model="gemini-3.8-flash", backend=backend, jobs=jobs, name="work")
    graph = StateGraph(InteractionsState).add_node("work", node).add_node("behind", behind)
    graph.add_edge(START, "work").add_edge("work", "behind")
    return graph.compile(checkpointer=saver)


async def main(dsn: str, url: str, name: str, count: int) -> None:
    """Sweeps until all jobs are settled, or it is killed."""
    jobs = PostgresJobStore(dsn, lease=LEASE)
    async with (
        AsyncPostgresSaver.from_conn_string(dsn) as saver,
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as own,
    ):

        async def behind(state: Any, config: RunnableConfig) -> dict[str, Any]:
            thread = config["configurable"]["thread_id"]
            await own.execute("insert into resumed (thread, worker) values (%s, %s)", (thread, name))
            return {"messages": [HumanMessage(f"by {name}")]}

        backend = GeminiBackend(base_url=url)
        sweeper = Sweeper(graph_of(backend, jobs, saver, behind), jobs)
        while len(await jobs.list(state="settled", limit=count)) < count:
            await sweeper.run_once()
            await asyncio.sleep(0.05)
        await backend.aclose()
    await jobs.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
