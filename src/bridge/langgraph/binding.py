"""One list of tools on any vendor's chat model: which dialect a LangChain model speaks, how its class wants to be given tools, and the
message that answers a call.

Compiling and running are `bridge.tools`'; in an agent of `create_agent` both are put in their places by `tools_middleware`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import Runnable

from bridge.errors import InvalidRequest
from bridge.tools import Compiled, Dialect, Tools
from bridge.tools.compiling import OnLossy

__all__ = ["answered", "bind", "compiled_for", "vendor_of"]

# What a LangChain model calls itself (`_llm_type`), and the dialect that its vendor speaks.
_DIALECTS = {
    "anthropic-chat": "anthropic",
    "azure-openai-chat": "openai",
    "google-interactions": "interactions",
    "openai-chat": "openai",
    "openai-codex-chat": "openai",
}


def bind(
    tools: Tools,
    chat_model: BaseChatModel,
    *,
    dialect: str | Dialect | None = None,
    strict: bool = False,
    on_lossy: OnLossy = "report",
    **kwargs: Any,
) -> Runnable[LanguageModelInput, AIMessage]:
    """The chat model with these tools, exactly as `tools.compile` gives them for its vendor.

    `dialect` is that of the vendor, by default the one of `ChatInteractions`, `ChatAnthropic`, `ChatOpenAI` or `AzureChatOpenAI`. The
    other arguments are those of `Tools.compile`, and `kwargs` those of the model's own `bind_tools` (`tool_choice`). Calls come back under
    the vendor's names, which `tools.run` knows. Raises what `Tools.compile` raises, and `InvalidRequest` for a model of an unknown kind.
    """
    compiled = compiled_for(tools, chat_model, dialect=dialect, strict=strict, on_lossy=on_lossy)
    functions = [definition for definition in compiled.definitions if _is_function(definition)]
    # `bind_tools` knows what the model's class does with a tool choice; what it makes of the tools is replaced.
    return chat_model.bind_tools(functions, **kwargs).bind(tools=compiled.definitions, **compiled.request)


def compiled_for(
    tools: Tools,
    chat_model: Any,
    *,
    dialect: str | Dialect | None = None,
    strict: bool = False,
    on_lossy: OnLossy = "report",
) -> Compiled:
    """The tools in the dialect of the model's vendor, the definitions in the form that its LangChain class takes. Raises as `bind` does."""
    spoken = dialect or vendor_of(chat_model)
    if spoken is None:
        raise InvalidRequest(
            f"nothing is known of {type(chat_model).__name__}: say how its vendor takes tools with dialect=...",
            "dialect",
        )
    compiled = tools.compile(spoken, strict=strict, on_lossy=on_lossy)
    if compiled.dialect != "openai":
        return compiled
    return replace(compiled, definitions=[_nested(definition) for definition in compiled.definitions])


async def answered(tools: Tools, call: Any) -> ToolMessage:
    """Runs a call of LangChain's; the message that answers it. Raises what `Tools.run` raises."""
    result = await tools.run(call)
    status: Literal["success", "error"] = "error" if result.is_error else "success"
    return ToolMessage(result.content, tool_call_id=result.call_id, name=result.name, status=status)


def vendor_of(chat_model: Any) -> str | None:
    """The vendor that a LangChain model speaks to, by the name of its dialect; None for one that is not known."""
    return _DIALECTS.get(str(getattr(chat_model, "_llm_type", None)))


def _is_function(definition: dict[str, Any]) -> bool:
    return "input_schema" in definition or definition.get("type") == "function"


def _nested(definition: dict[str, Any]) -> dict[str, Any]:
    """A function in the form of Chat Completions, which LangChain's class takes for that API and for Responses."""
    if definition["type"] != "function":
        return definition
    return {"type": "function", "function": {name: value for name, value in definition.items() if name != "type"}}
