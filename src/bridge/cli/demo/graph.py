"""The demo's graph: a Gemini session plans, a managed agent analyses a file in a sandbox, Claude reviews, GPT writes, the session concludes.

One list of tools and one history for all. The graph is what a user of this library would write; it knows neither a terminal nor which
service answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from bridge.backend import Backend
from bridge.jobs import JobStore
from bridge.langgraph import ChatInteractions, InteractionsState, bind, interactions_node, to_portable
from bridge.tools import Tools

from .lookup import column_of, lookup_in
from .source import DataFile
from .speakers import Speaker, VendorFailed

__all__ = ["AGENT", "MODEL", "QUESTION", "TOKEN_CAP", "build", "environment_for"]

MODEL = "gemini-3.8-flash"
AGENT = "antigravity-preview-09-2026"
TOKEN_CAP = 200_000
"""The agent stops at so many tokens, with what it has."""
QUESTION = "Which region has the highest total revenue?"
_REQUESTS = 6
"""A speaker that still calls tools after so many requests in one turn is given up: somebody pays for each."""

_Node: TypeAlias = Callable[[InteractionsState], Awaitable[dict[str, list[AnyMessage]]]]


async def environment_for(backend: Backend, file: DataFile) -> dict[str, Any]:
    """The sandbox setting that puts the file at its target: inside the request, or uploaded first where it is too large."""
    if file.inline:
        source = {"type": "inline", "target": file.target, "content": file.data.decode("utf-8")}
        return {"type": "remote", "sources": [source], "network": "disabled"}
    environment = await backend.environments.create(network="disabled")
    await backend.files.write(environment.id, file.target, file.data)
    return {"type": "remote", "environment_id": environment.id, "network": "disabled"}


def build(
    backend: Backend,
    jobs: JobStore,
    file: DataFile,
    question: str,
    environment: dict[str, Any],
    guests: Sequence[Speaker] = (),
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph, which records its agent's run in `jobs`; invoke it with no messages.

    `guests` are the speakers of other vendors: each has its node, "review" or "write"; without them the session speaks alone.
    """
    tools = Tools([lookup_in(file)])
    session = Speaker("Gemini", "answer", MODEL, False, "interactions", ChatInteractions(model=MODEL, backend=backend))
    analyst = interactions_node(
        agent=AGENT,
        backend=backend,
        jobs=jobs,
        wait="await",
        name="analyst",
        tools=tools,
        environment=environment,
        agent_config={"type": "antigravity", "max_total_tokens": TOKEN_CAP},
        input=lambda state: f"Analyse {file.target}. {question} Name every group with its figure.",
    )
    asked = {
        "review": "Review what the analyst found. "
        f'Call lookup with column="{column_of(file, question)}" and say whether the figures fit what it returns.',
        "write": f"Write the result down in a few sentences, with every figure. {question}",
    }
    nodes: dict[str, Any] = {
        "plan": _turn(
            session, tools, f"Plan how an analyst can find the answer in {file.name}. My question is: {question}"
        ),
        "analyst": analyst,
        **{guest.node: _turn(guest, tools, asked[guest.node]) for guest in guests},
        "answer": _turn(session, tools, "Answer my question from what was found."),
    }
    graph = StateGraph(InteractionsState)
    for name, node in nodes.items():
        graph.add_node(name, node)
    for before, after in pairwise([START, *nodes, END]):
        graph.add_edge(before, after)
    return graph.compile()


def _turn(speaker: Speaker, tools: Tools, said: str) -> _Node:
    """A node in which a speaker is told something and answers, with the calls that it makes on the way."""
    model = bind(tools, speaker.chat)

    async def turn(state: InteractionsState) -> dict[str, list[AnyMessage]]:
        new: list[AnyMessage] = [HumanMessage(said)]
        for _ in range(_REQUESTS):
            try:
                answer = await model.ainvoke(to_portable([*state["messages"], *new], speaker.target))
            except speaker.failures as error:
                raise VendorFailed(f"{speaker.name} ({speaker.model}) did not answer: {_told(error)}") from error
            new.append(answer)
            if not answer.tool_calls:
                return {"messages": new}
            for call in answer.tool_calls:
                result = await tools.run(call)
                status = "error" if result.is_error else "success"
                new.append(ToolMessage(result.content, tool_call_id=result.call_id, name=result.name, status=status))
        raise VendorFailed(f"{speaker.name} ({speaker.model}) called tools in {_REQUESTS} requests without an answer")

    return turn


def _told(error: Exception) -> str:
    """What a vendor's client says, in one line. Of a key that is refused nothing of the vendor's words: they may hold parts of it."""
    if getattr(error, "status_code", None) in (401, 403):
        return "it does not accept the key"
    return " ".join(str(error).split())[:500]
