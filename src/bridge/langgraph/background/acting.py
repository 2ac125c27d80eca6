"""What stands between a background interaction that stopped and the one that goes on from it: a human's word, and client tools.

Each call is a task of its own. Starting the next interaction is `starting`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

from bridge.errors import InvalidRequest
from bridge.jobs.waking import alive
from bridge.tools import Tools

from ..binding import answered
from .settings import Settings
from .waiting import GO_ON, acts

__all__ = ["act", "asked", "decided"]

GO_AHEAD = "The plan is approved. Go ahead."
_DENIED = "The user did not allow this call."


async def act(settings: Settings, tools: ToolNode | Tools, task: Mapping[str, Any], config: RunnableConfig) -> Any:
    """Runs one call, and leaves its result, or what its tool asks LangGraph for. While it runs, others see that the run is alive."""
    async with alive(settings.jobs, task["job"]):
        if isinstance(tools, Tools):
            return {"messages": [await answered(tools, task["call"])]}
        call = {"__type": "tool_call_with_context", "tool_call": task["call"], "state": {"messages": task["messages"]}}
        return await tools.ainvoke(call, config)


def asked(settings: Settings, state: Mapping[str, Any]) -> dict[str, Any]:
    """The value of the interrupt that asks a human: for calls, or for a plan."""
    message = state["messages"][-1]
    asking = {"type": "approval", "interaction_id": message.id, "name": settings.name}
    if calls := _calls(message):
        return {**asking, "calls": [{name: call[name] for name in ("id", "name", "args")} for call in calls]}
    return {**asking, "plan": message.text}


def decided(settings: Settings, state: Mapping[str, Any], word: Any) -> Command[Any]:
    """Where a human's word leads.

    For calls: True or False for all, or a dict of call ids to True, False, a text that says why not, or changed arguments. For a plan:
    True, or a text that says what to change. Raises `InvalidRequest` for another word.
    """
    message = state["messages"][-1]
    calls = _calls(message)
    if not calls:
        if word is True or word == {"approved": True}:
            return Command(update={"messages": [HumanMessage(GO_AHEAD)], "approved": True}, goto=GO_ON)
        if isinstance(word, str) and word.strip():
            return Command(update={"messages": [HumanMessage(word)]}, goto=GO_ON)
        raise InvalidRequest("answer a plan with True, or with a text that says what to change", "resume")
    words = word if isinstance(word, Mapping) else {call["id"]: word for call in calls}
    if missing := [call["id"] for call in calls if call["id"] not in words]:
        raise InvalidRequest(f"no word for the calls {', '.join(map(repr, missing))}; answer each call id", "resume")
    allowed: list[Any] = []
    denied: list[ToolMessage] = []
    for call in calls:
        match words[call["id"]]:
            case True:
                allowed.append(call)
            case False | str() as why:
                text = why if isinstance(why, str) and why else _DENIED
                denied.append(ToolMessage(text, tool_call_id=call["id"], name=call["name"], status="error"))
            case Mapping() as arguments:
                allowed.append({**call, "args": dict(arguments)})
            case other:
                raise InvalidRequest(
                    f"the word for call {call['id']!r} is True, False, a text that says why not, or arguments; not {other!r}"[
                        :300
                    ],
                    "resume",
                )
    return Command(update={"messages": denied}, goto=acts(state, allowed) if allowed else GO_ON)


def _calls(message: Any) -> Sequence[Any]:
    return message.tool_calls if isinstance(message, AIMessage) else ()
