"""What a run waits for, asked of the person at the client in a form, and the answers read back.

The protocol's forms are for what is no secret, and show what is answered: a call that seems to ask for a secret, or is too long to be shown
whole, is not asked in a form but left to the caller as a pending call, as is every call where the client shows no forms.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp_types import ClientCapabilities, ElicitRequest, ElicitRequestFormParams, ElicitResult

from bridge.interactions import FunctionCall

from ..text import cleaned, dumped
from .runs import BEAT, Tell

__all__ = ["Answer", "answers_of", "forms_for", "shown", "shows_forms"]

# The most characters of a question: what does not fit would be answered unseen.
_LONGEST = 4_000
# Seconds for which a form may stay open within a call.
_OPEN = 600.0
_SECRETS = re.compile(
    r"pass(?:word|phrase|code)|passwd|secret|credential|private.?key|api.?key|access.?key|token|\bpin\b|\botp\b|one.?time|\bcvv\b|\bcvc\b"
    r"|social.?security|\bssn\b|\biban\b|card.?number",
    re.IGNORECASE,
)
_FORM = {
    "type": "object",
    "properties": {
        "result": {"type": "string", "title": "Answer", "description": "what the agent is told; no password or key"},
        "decision": {
            "type": "string",
            "title": "Decision",
            "description": "instead of an answer: whether the agent may do it",
            "enum": ["approve", "reject"],
        },
    },
}


class Answer(NamedTuple):
    """What a person answered a call; `refused` where they would not have it."""

    call_id: str
    result: str | dict[str, Any]
    refused: bool


def shows_forms(capabilities: ClientCapabilities | None) -> bool:
    """Whether a client can ask its user in a form. One that names no mode means forms, the only mode there was at first."""
    elicitation = capabilities.elicitation if capabilities is not None else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def forms_for(agent: str, calls: Iterable[FunctionCall]) -> dict[str, ElicitRequest]:
    """The forms that ask for answers to these calls of an agent, by the calls' ids. A call that no form may ask for has none."""
    return {call.id: form for call in calls if call.id and (form := _form(agent, call)) is not None}


def _form(agent: str, call: FunctionCall) -> ElicitRequest | None:
    lines = [f"{name}: {value if isinstance(value, str) else dumped(value)}" for name, value in call.arguments.items()]
    message = str(cleaned("\n".join([f"{agent} asks: {call.name}", *lines])))
    if len(message) > _LONGEST or _SECRETS.search(f"{call.name} {dumped(dict(call.arguments))}".replace("_", " ")):
        return None
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=_FORM))


async def shown(form: ElicitRequest, context: Context, tell: Tell) -> ElicitResult | None:
    """What a client's user made of a form, over a connection on which a server can ask; None where nothing came of it."""
    session, request = context.session, context.request_context.request_id
    answer = asyncio.ensure_future(session.elicit_form(form.params.message, _FORM, request))
    try:
        async with asyncio.timeout(_OPEN):
            while not (await asyncio.wait({answer}, timeout=BEAT))[0]:
                await tell("waiting for the user's answer")
            return ElicitResult.model_validate(await answer)
    except (MCPError, TimeoutError):
        return None
    finally:
        answer.cancel()


def answers_of(forms: Mapping[str, ElicitRequest], responses: Mapping[str, Any]) -> list[Answer]:
    """The answers among a client's responses to forms. A form that was dismissed, or sent in empty, gives none; one that was declined refuses."""
    found: list[Answer] = []
    for call_id in forms:
        response = responses.get(call_id)
        told = response if isinstance(response, Mapping) else getattr(response, "__dict__", {})
        content = told.get("content")
        content = content if isinstance(content, Mapping) else {}
        match told.get("action"), content.get("result"), content.get("decision"):
            case "decline", _, _:
                found.append(Answer(call_id, {"decision": "reject"}, True))
            case "accept", str(result), _ if result:
                found.append(Answer(call_id, result, False))
            case "accept", _, "approve" | "reject" as decision:
                found.append(Answer(call_id, {"decision": decision}, decision == "reject"))
    return found
