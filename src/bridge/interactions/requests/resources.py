"""What stands beside interactions: agents, environments and their files, webhooks, triggers.

Source: Interactions API reference, "Agents", "Environments", "Webhooks", "Triggers". Times are ISO 8601 texts, sizes bytes.
Whether a webhook's delivery is genuine is `bridge.jobs`' to say.
"""

from pydantic import Field

from .._open import Int64, Model, Record
from ..interaction import CreateAgentInteraction
from ..interaction import Environment as EnvironmentSetting
from .config import AgentConfig, Network, Source
from .tools import Tool

__all__ = [
    "Agent",
    "AgentList",
    "CreateEnvironment",
    "Environment",
    "EnvironmentFile",
    "EnvironmentFileList",
    "EnvironmentList",
    "SigningSecret",
    "Trigger",
    "TriggerExecution",
    "TriggerExecutionList",
    "TriggerList",
    "Webhook",
    "WebhookDelivery",
    "WebhookDeliveryData",
    "WebhookList",
]


class Agent(Record):
    """A managed agent of the caller's own, built on `base_agent`. The caller chooses the id."""

    id: str = ""
    base_agent: str | None = None
    base_environment: EnvironmentSetting | None = None
    system_instruction: str | None = None
    description: str | None = None
    tools: list[Tool] | None = None
    agent_config: AgentConfig | None = None


class AgentList(Record):
    """One page of agents."""

    agents: list[Agent] = []
    next_page_token: str | None = None


class CreateEnvironment(Model):
    """A request for a sandbox: a new one of `sources`, or a copy of the one named by `from_environment`."""

    from_environment: str | None = None
    network: Network | None = None
    sources: list[Source] | None = None


class Environment(Record):
    """A sandbox that outlives a turn. `status` is active or expired."""

    id: str = ""
    status: str | None = None
    created: str | None = None
    updated: str | None = None
    last_accessed: str | None = None
    file_count: Int64 | None = None
    size_bytes: Int64 | None = None
    network: Network | None = None
    sources: list[Source] | None = None


class EnvironmentList(Record):
    """One page of environments."""

    environments: list[Environment] = []
    next_page_token: str | None = None


class EnvironmentFile(Record):
    """A file or directory of an environment; `path` is below the environment's root."""

    name: str | None = None
    path: str | None = None
    type: str | None = None
    size_bytes: Int64 | None = None
    mime_type: str | None = None
    created: str | None = None
    modified: str | None = None


class EnvironmentFileList(Record):
    """One page of files."""

    files: list[EnvironmentFile] = []
    next_page_token: str | None = None


class SigningSecret(Record):
    """The beginning of a secret that signs deliveries, and when it ends."""

    truncated_secret: str | None = None
    expire_time: str | None = None


class Webhook(Record):
    """An address to which the service reports events. `state`: enabled, disabled, disabled_due_to_failed_deliveries.

    `new_signing_secret` is given once, in the answer that created the webhook.
    """

    id: str = ""
    name: str | None = None
    uri: str | None = None
    subscribed_events: list[str] | None = None
    state: str | None = None
    create_time: str | None = None
    update_time: str | None = None
    new_signing_secret: str | None = Field(default=None, repr=False)
    signing_secrets: list[SigningSecret] | None = None


class WebhookList(Record):
    """One page of webhooks."""

    webhooks: list[Webhook] = []
    next_page_token: str | None = None


class WebhookDeliveryData(Record):
    """What a delivery tells: the id of what ended, why it failed, or the file it left."""

    id: str = ""
    error_code: str | None = None
    error_message: str | None = None
    output_file_uri: str | None = None
    file_name: str | None = None


class WebhookDelivery(Record):
    """What a webhook is sent: that something happened, and to which id. The rest is to be fetched."""

    type: str = ""
    version: str | None = None
    timestamp: str | None = None
    data: WebhookDeliveryData | None = None


class Trigger(Record):
    """An interaction with an agent on a schedule (cron, in `time_zone`). `status`: active, paused, error."""

    id: str = ""
    interaction: CreateAgentInteraction | None = None
    schedule: str | None = None
    time_zone: str | None = None
    display_name: str | None = None
    environment_id: str | None = None
    execution_timeout_seconds: int | None = None
    max_consecutive_failures: int | None = None
    status: str | None = None
    consecutive_failure_count: int | None = None
    create_time: str | None = None
    update_time: str | None = None
    last_run_time: str | None = None
    next_run_time: str | None = None
    last_pause_time: str | None = None
    last_resume_time: str | None = None
    previous_interaction_id: str | None = None


class TriggerList(Record):
    """One page of triggers."""

    triggers: list[Trigger] = []
    next_page_token: str | None = None


class TriggerExecution(Record):
    """One run of a trigger. `status`: in_progress, completed, failed, skipped, timed_out."""

    id: str = ""
    trigger_id: str | None = None
    status: str | None = None
    scheduled_time: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    interaction_id: str | None = None
    environment_id: str | None = None
    error: str | None = None


class TriggerExecutionList(Record):
    """One page of runs."""

    trigger_executions: list[TriggerExecution] = []
    next_page_token: str | None = None
