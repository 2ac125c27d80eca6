"""The demo's graph: a session takes a question, a managed agent analyses a file in a sandbox, the session answers from it.

The graph is what a user of this library would write; it knows neither a terminal nor which service answers.
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from bridge.backend import Backend
from bridge.jobs import JobStore
from bridge.langgraph import ChatInteractions, InteractionsState, interactions_node

from .source import DataFile

__all__ = ["AGENT", "MODEL", "QUESTION", "TOKEN_CAP", "build", "environment_for"]

MODEL = "gemini-3.8-flash"
AGENT = "antigravity-preview-09-2026"
TOKEN_CAP = 200_000
"""The agent stops at so many tokens, with what it has."""
QUESTION = "Which region has the highest total revenue?"


async def environment_for(backend: Backend, file: DataFile) -> dict[str, Any]:
    """The sandbox setting that puts the file at its target: inside the request, or uploaded first where it is too large."""
    if file.inline:
        source = {"type": "inline", "target": file.target, "content": file.data.decode("utf-8")}
        return {"type": "remote", "sources": [source], "network": "disabled"}
    environment = await backend.environments.create(network="disabled")
    await backend.files.write(environment.id, file.target, file.data)
    return {"type": "remote", "environment_id": environment.id, "network": "disabled"}


def build(
    backend: Backend, jobs: JobStore, file: DataFile, question: str, environment: dict[str, Any]
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph, which records its agent's run in `jobs`; invoke it with no messages."""
    session = ChatInteractions(model=MODEL, backend=backend)
    analyst = interactions_node(
        agent=AGENT,
        backend=backend,
        jobs=jobs,
        wait="await",
        name="analyst",
        environment=environment,
        agent_config={"type": "antigravity", "max_total_tokens": TOKEN_CAP},
        input=lambda state: f"Analyse {file.target}. {question} Name every group with its figure.",
    )

    async def speak(messages: list[AnyMessage], said: str) -> dict[str, list[AnyMessage]]:
        words = HumanMessage(said)
        return {"messages": [words, await session.ainvoke([*messages, words])]}

    async def take_question(state: InteractionsState) -> dict[str, list[AnyMessage]]:
        said = f"An analyst will look into {file.name} for me. My question is: {question}"
        return await speak(state["messages"], said)

    async def give_answer(state: InteractionsState) -> dict[str, list[AnyMessage]]:
        return await speak(state["messages"], "Answer my question from what the analyst found.")

    return (
        StateGraph(InteractionsState)
        .add_node("question", take_question)
        .add_node("analyst", analyst)
        .add_node("answer", give_answer)
        .add_edge(START, "question")
        .add_edge("question", "analyst")
        .add_edge("analyst", "answer")
        .add_edge("answer", END)
        .compile()
    )
