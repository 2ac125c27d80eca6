"""The state that interactions leave in a graph: plain data that every checkpointer can write and read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

__all__ = ["InteractionsState", "merge_interactions"]


def merge_interactions(
    left: Mapping[str, dict[str, Any]] | None,
    right: Mapping[str, dict[str, Any]] | None,
) -> dict[str, dict[str, Any]]:
    """The reducer of `interactions`: the latest of each name; what other names left stays."""
    return {**(left or {}), **(right or {})}


# Not `typing.TypedDict`: before Python 3.12 pydantic refuses it, and with it LangGraph's server.
class InteractionsState(TypedDict, total=False):
    """A conversation, and under each node's name what its latest interaction was.

    An entry of `interactions` holds `id`, `status`, `environment_id`, `usage` (the API's token counts) and `files`
    (each with `path`, `name`, `size_bytes`, `mime_type`).
    """

    messages: Annotated[list[AnyMessage], add_messages]
    interactions: Annotated[dict[str, dict[str, Any]], merge_interactions]
