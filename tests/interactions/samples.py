"""The wire samples of tests/data/wire: their texts, their events, and which type each of them is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bridge.interactions import (
    Agent,
    AgentList,
    CreateAgentInteraction,
    CreateEnvironment,
    CreateModelInteraction,
    Environment,
    EnvironmentFileList,
    EnvironmentList,
    Interaction,
    Model,
    Trigger,
    TriggerExecution,
    Webhook,
    WebhookDelivery,
)

WIRE = Path(__file__).parents[1] / "data" / "wire"

RESOURCES: dict[str, type[Model]] = {
    "10_agent.create": Agent,
    "10_agent_list.response": AgentList,
    "10_environment.create": CreateEnvironment,
    "10_environment.response": Environment,
    "10_environment_files.response": EnvironmentFileList,
    "10_environment_fork.create": CreateEnvironment,
    "10_environment_list.response": EnvironmentList,
    "10_trigger.create": Trigger,
    "10_trigger.response": Trigger,
    "10_trigger.update": Trigger,
    "10_trigger_execution.response": TriggerExecution,
    "10_webhook.create": Webhook,
    "10_webhook_created.response": Webhook,
}
# Parts of the API that have no types here: errors are the backends' business, the others are not offered.
WITHOUT_TYPE = ("08_error_4", "10_credential", "10_decision", "10_voice", "10_webhook_rotate")


def text_of(name: str) -> str:
    return (WIRE / name).read_text(encoding="utf-8")


def json_of(name: str) -> Any:
    return json.loads(text_of(name))


def type_of(stem: str) -> type[Model]:
    """The type of a JSON sample."""
    if stem in RESOURCES:
        return RESOURCES[stem]
    if stem.endswith(".create"):
        return CreateAgentInteraction if "agent" in json_of(f"{stem}.json") else CreateModelInteraction
    return Interaction


def json_samples() -> list[str]:
    """The stems of all JSON samples that have a type."""
    stems = sorted(path.name.removesuffix(".json") for path in WIRE.glob("*.json"))
    return [stem for stem in stems if not stem.startswith(WITHOUT_TYPE)]


def streams() -> list[str]:
    return sorted(path.name for path in WIRE.glob("*.sse"))


def events_of(name: str) -> list[dict[str, Any]]:
    """The decoded events of a recorded stream, up to where it ends or breaks off."""
    lines = text_of(name).splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def delivery() -> tuple[dict[str, str], Any, type[Model]]:
    """The recorded webhook delivery: headers, decoded body, its type."""
    head, body = text_of("10_webhook_delivery.http").split("\n\n", 1)
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
    return headers, json.loads(body), WebhookDelivery
