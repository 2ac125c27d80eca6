"""The official SDK's own models as a judge, in a process of its own: one JSON line in, one JSON line out.

Runs in any environment that holds google-genai and imports nothing else, so that several versions can be asked. A line is
{"as": name of a type, "wire": value}; the answer is {"wire": what the SDK dumps of it, "odd": what it did not recognise} or
{"error": text}.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from typing import Any

PACKAGE = "google.genai._gaos"
TYPES = {
    "Agent": "agents:Agent",
    "AgentList": "agents:AgentListResponse",
    "CreateAgentInteraction": "interactions:CreateAgentInteraction",
    "CreateEnvironment": "environments:CreateEnvironmentRequest",
    "CreateModelInteraction": "interactions:CreateModelInteraction",
    "Environment": "environments:Environment",
    "EnvironmentFileList": "environments:GetEnvironmentFilesResponse",
    "EnvironmentList": "environments:ListEnvironmentsResponse",
    "Interaction": "interactions:Interaction",
    "Trigger": "triggers:Trigger",
    "TriggerCreate": "triggers:TriggerCreateParams",
    "TriggerExecution": "triggers:TriggerExecution",
    "TriggerUpdate": "triggers:TriggerUpdate",
    "Webhook": "webhooks:Webhook",
}
VARIANTS = {
    "event": ("interactionsseevent", "_INTERACTION_SSE_EVENT_VARIANTS", "event_type"),
    "step": ("step", "_STEP_VARIANTS", "type"),
    "delta": ("stepdeltadata", "_STEP_DELTA_DATA_VARIANTS", "type"),
    "content": ("content", "_CONTENT_VARIANTS", "type"),
    "annotation": ("annotation", "_ANNOTATION_VARIANTS", "type"),
    "tool": ("tool", "_TOOL_VARIANTS", "type"),
    "agent_config": ("interaction", "_INTERACTION_AGENT_CONFIG_VARIANTS", "type"),
}


def variants(union: str) -> dict[str, Any]:
    module, table, _ = VARIANTS[union]
    found: dict[str, Any] = getattr(importlib.import_module(f"{PACKAGE}.types.interactions.{module}"), table)
    return found


def type_of(name: str, wire: Any) -> Any:
    if name in VARIANTS:
        return variants(name)[wire[VARIANTS[name][2]]]
    module, _, cls = TYPES[name].partition(":")
    return getattr(importlib.import_module(f"{PACKAGE}.types.{module}"), cls)


def odd(value: Any, path: str = "$") -> list[str]:
    """Where the SDK met a kind it does not know, or a required field is missing: its unions let both pass."""
    found = []
    if getattr(value, "is_unknown", False):
        found.append(f"{path}: unknown variant {type(value).__name__}")
    fields = getattr(type(value), "model_fields", None)
    if fields is not None:
        for name, field in fields.items():
            if field.is_required() and getattr(value, name, None) is None:
                found.append(f"{path}.{name} is missing")
            found += odd(getattr(value, name, None), f"{path}.{name}")
    elif isinstance(value, dict):
        found += [row for key, item in value.items() for row in odd(item, f"{path}.{key}")]
    elif isinstance(value, list):
        found += [row for number, item in enumerate(value) for row in odd(item, f"{path}[{number}]")]
    return found


def judged(name: str, wire: Any) -> dict[str, Any]:
    kind = type_of(name, wire)
    try:
        kept, strict = kind.model_validate(wire), True
    except ValueError as error:
        if name != "event":
            return {"error": str(error)}
        # A stream's events are read without validation; this is how the client does it.
        serializers = importlib.import_module(f"{PACKAGE}.utils.serializers")
        kept, strict = serializers.construct_unvalidated(wire, kind), False
    return {
        "wire": json.loads(kept.model_dump_json(by_alias=True, exclude_none=True)),
        "odd": odd(kept),
        "strict": strict,
    }


def main() -> None:
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        ask = json.loads(line)
        answer = (
            {name: sorted(variants(name)) for name in VARIANTS}
            if ask["as"] == "kinds"
            else judged(ask["as"], ask["wire"])
        )
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
