"""The interaction itself, and the request that creates one.

Source: Interactions API reference, "Interaction", "CreateModelInteraction", "CreateAgentInteraction". Putting an interaction
together from a stream is `assembly`'s business.
"""

from typing import TYPE_CHECKING, Annotated, Any

from ._open import Model, OneOrMany, OpenStruct, OpenUnion, Record, Unknown
from .content import KINDS as CONTENT_KINDS
from .content import Content, TextContent
from .steps import INPUT_ITEM, FunctionCall, InputItem, ModelOutput, Step, UserInput, pending_calls
from .usage import Usage

__all__ = [
    "CreateAgentInteraction",
    "CreateInteraction",
    "CreateModelInteraction",
    "Error",
    "Input",
    "Interaction",
]

# One user turn as a text, one content, a list of content; or a list of steps.
Input = Annotated[str | InputItem | list[InputItem], OneOrMany(INPUT_ITEM, text=True)]

if TYPE_CHECKING:
    from .requests.config import (
        AgentConfig,
        EnvironmentConfig,
        GenerationConfig,
        ResponseFormat,
        SafetySetting,
        WebhookConfig,
    )
    from .requests.tools import Tool

    # "remote" for a new sandbox, the id of one, or its settings.
    Environment = str | EnvironmentConfig | Unknown
    _Formats = ResponseFormat | list[ResponseFormat]
    _GenerationConfig = GenerationConfig | Unknown
    _SafetySetting = SafetySetting | Unknown
    _WebhookConfig = WebhookConfig | Unknown
else:  # the settings of a request are imported when the first of them is met
    AgentConfig = Annotated[Any, OpenUnion("agent_config", "requests.config:AGENT_KINDS")]
    Environment = Annotated[Any, OpenStruct("environment", "requests.config:EnvironmentConfig", text=True)]
    Tool = Annotated[Any, OpenUnion("tool", "requests.tools:KINDS")]
    _Formats = Annotated[Any, OneOrMany(OpenUnion("response_format", "requests.config:FORMAT_KINDS"))]
    _GenerationConfig = Annotated[Any, OpenStruct("generation_config", "requests.config:GenerationConfig")]
    _SafetySetting = Annotated[Any, OpenStruct("safety_setting", "requests.config:SafetySetting")]
    _WebhookConfig = Annotated[Any, OpenStruct("webhook_config", "requests.config:WebhookConfig")]


class Error(Model):
    """Why an interaction failed, or what an `error` event says."""

    code: str | int | None = None
    message: str | None = None


class Interaction(Record):
    """One turn on the server, immutable once it ended.

    `status` is one of `STATUSES` or one this version does not know. `id` is empty where nothing was stored. Times are
    ISO 8601 texts. `environment_id` names the sandbox that the turn left behind.
    """

    id: str = ""
    status: str = ""
    object: str | None = None
    model: str | None = None
    agent: str | None = None
    steps: list[Step] | None = None
    usage: Annotated[Usage | Unknown, OpenStruct("usage", Usage)] | None = None
    errors: list[Annotated[Error | Unknown, OpenStruct("error", Error)]] | None = None
    environment_id: str | None = None
    previous_interaction_id: str | None = None
    continuation_token: str | None = None
    # Every hop of a continued turn, in order; made by the client, not sent by the API.
    continuation_ids: list[str] | None = None
    created: str | None = None
    updated: str | None = None
    service_tier: str | None = None
    input: Input | None = None
    system_instruction: str | None = None
    tools: list[Tool] | None = None
    generation_config: _GenerationConfig | None = None
    agent_config: AgentConfig | None = None
    environment: Environment | None = None
    response_format: _Formats | None = None
    response_mime_type: str | None = None
    response_modalities: list[str] | None = None
    safety_settings: list[_SafetySetting] | None = None
    labels: dict[str, str] | None = None
    webhook_config: _WebhookConfig | None = None
    cached_content: str | None = None

    @property
    def step_list(self) -> list[Step]:
        """The steps; none where there are none, or where what came as such is no list and was kept as it came."""
        return self.steps if isinstance(self.steps, list) else []

    @property
    def own_steps(self) -> list[Step]:
        """The steps of the service's own: all but the user's words."""
        return [step for step in self.step_list if getattr(step, "type", None) != "user_input"]

    @property
    def output_text(self) -> str:
        """The text that the answer ends with. Empty where the model said nothing since the user's last words.

        What comes after the text (a search that it rests on, a picture) does not hide it; what comes before it (a tool's step,
        a medium) ends it, while thoughts do not, as in the official client.
        """
        parts: list[str] = []
        for step in reversed(self.step_list):
            kind = getattr(step, "type", None)
            if kind == "user_input":
                break
            if kind == "thought":
                continue
            if not isinstance(step, ModelOutput):
                if parts:
                    break
                continue
            for content in reversed(step.content or []):
                if isinstance(content, TextContent):
                    parts.append(content.text)
                elif parts:
                    return "".join(reversed(parts))
        return "".join(reversed(parts))

    @property
    def output_content(self) -> list[Content]:
        """Everything the model said in this turn, in order: texts and media."""
        return [c for step in self.step_list if isinstance(step, ModelOutput) for c in step.content or []]

    @property
    def pending_calls(self) -> list[FunctionCall]:
        """The function calls that wait for the caller's answer."""
        return pending_calls(self.step_list)


class _CreateInteraction(Model):
    """What requests for models and agents have in common."""

    input: Input | None = None
    previous_interaction_id: str | None = None
    system_instruction: str | None = None
    tools: list[Tool] | None = None
    response_format: _Formats | None = None
    store: bool | None = None
    background: bool | None = None
    stream: bool | None = None
    environment: Environment | None = None
    continuation_token: str | None = None
    service_tier: str | None = None
    safety_settings: list[_SafetySetting] | None = None
    labels: dict[str, str] | None = None
    webhook_config: _WebhookConfig | None = None
    response_mime_type: str | None = None
    response_modalities: list[str] | None = None


class CreateModelInteraction(_CreateInteraction):
    """A request to a model."""

    model: str
    generation_config: _GenerationConfig | None = None
    cached_content: str | None = None


class CreateAgentInteraction(_CreateInteraction):
    """A request to a managed agent. Agents take no generation config."""

    agent: str
    agent_config: AgentConfig | None = None


CreateInteraction = CreateModelInteraction | CreateAgentInteraction


def input_steps(value: Input | None) -> list[Step]:
    """A request's input as the steps it stands for: texts and contents become one `user_input`."""
    if value is None:
        return []
    if isinstance(value, str):
        return [UserInput(content=[TextContent(text=value)])]
    items: list[Any] = value if isinstance(value, list) else [value]
    if items and all(is_content(item) for item in items):
        return [UserInput(content=items)]
    return items


def is_content(item: Any) -> bool:
    """Whether an input item is content and not a step."""
    return type(item) in _CONTENT


_CONTENT = frozenset(CONTENT_KINDS.values())
