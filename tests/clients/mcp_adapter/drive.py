"""Goes through the cycle of `mcp_cycle.py` with LangChain's `MCPAdapter`, and prints what it got as one JSON object.

Runs in an environment that holds langchain[mcp]. On standard input: {"url"} of a server. Its tools are called in a graph, since there alone
the adapter asks the person: by an interrupt, from which the graph goes on with the answer.
"""

import asyncio
import json
import sys
from pathlib import Path

from langchain.mcp import MCPAdapter
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

sys.path.append(str(Path(__file__).parents[1]))
from mcp_cycle import ANSWER, through


def graph_of(tools):
    graph = StateGraph(MessagesState)
    graph.add_node("tools", ToolNode(tools))
    graph.set_entry_point("tools")
    return graph.compile(checkpointer=InMemorySaver())


async def main():
    asked = []
    async with MCPAdapter(json.load(sys.stdin)["url"]) as adapter:
        tools = await adapter.list_tools()
        graph, calls = graph_of(tools), 0

        async def call(tool, arguments):
            nonlocal calls
            calls += 1
            config = {"configurable": {"thread_id": str(calls)}}
            wanted = {"name": tool, "args": arguments, "id": f"call_{calls}", "type": "tool_call"}
            state = await graph.ainvoke({"messages": [AIMessage("", tool_calls=[wanted])]}, config)
            while "__interrupt__" in state:
                requests = state["__interrupt__"][0].value["requests"]
                asked.extend(request["message"] for request in requests)
                answers = {request["key"]: {"action": "accept", "content": ANSWER} for request in requests}
                state = await graph.ainvoke(Command(resume={"responses": answers}), config)
            message = state["messages"][-1]
            return {
                "is_error": message.status == "error",
                "text": message.content[0]["text"],
                "structured": message.artifact and message.artifact["structured_content"],
            }

        got = await through(call)
    print(json.dumps({"tools": [tool.name for tool in tools], "asked": asked, "got": got}))


asyncio.run(main())
