"""The interaction itself, and the request that creates one.

Source: Interactions API reference, "Interaction", "CreateModelInteraction", "CreateAgentInteraction". Putting an interaction
together from a stream is `assembly`'s business.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import ModelWrapValidatorHandler, ValidationError, model_validator

from ._open import Model, OneOrMany, OpenStruct, Unknown, count_unknown
from .config import (
    RESPONSE_FORMAT,
    AgentConfig,
    EnvironmentConfig,
    GenerationConfig,
    ResponseFormat,
    SafetySetting,
    WebhookConfig,
)
from .content import CONTENT, Content, TextContent
from .steps import (
    INPUT_ITEM,
    FunctionCall,
    InputItem,
    ModelOutput,
    Step,
    UserInput,
    pending_calls,
)
from .tools import Tool
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
# "remote" for a new sandbox, the id of one, or its settings.
Environment = Annotated[
    str | EnvironmentConfig | Unknown,
    OpenStruct("environment", EnvironmentConfig, text=True),
]
_Formats = Annotated[ResponseFormat | list[ResponseFormat], OneOrMany(RESPONSE_FORMAT)]


class Error(Model):
    """Why an interaction failed, or what an `error` event says."""

    code: str | int | None = None
    message: str | None = None


class Interaction(Model):
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
    errors: list[Error] | None = None
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
    generation_config: (
        Annotated[
            GenerationConfig | Unknown,
            OpenStruct("generation_config", GenerationConfig),
        ]
        | None
    ) = None
    agent_config: AgentConfig | None = None
    environment: Environment | None = None
    response_format: _Formats | None = None
    response_mime_type: str | None = None
    response_modalities: list[str] | None = None
    safety_settings: list[SafetySetting] | None = None
    labels: dict[str, str] | None = None
    webhook_config: (
        Annotated[WebhookConfig | Unknown, OpenStruct("webhook_config", WebhookConfig)]
        | None
    ) = None
    cached_content: str | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _keep_what_does_not_fit(
        cls, value: Any, handler: ModelWrapValidatorHandler[Self]
    ) -> Self:
        """A field of another type than ours is kept as it came and counted: it must not cost the whole interaction."""
        try:
            return handler(value)
        except ValidationError as error:
            if type(value) is not dict:
                raise
            bad = {
                str(row["loc"][0])
                for row in error.errors(include_url=False, include_input=False)
                if row["loc"]
            }
            if not bad <= value.keys():
                raise
        kept = handler(
            {name: field for name, field in value.items() if name not in bad}
        )
        for name in bad:
            count_unknown("field", f"interaction.{name}")
            kept.__dict__[name] = value[name]
            kept.__pydantic_fields_set__.add(name)
        return kept

    @property
    def output_text(self) -> str:
        """The text of the answer: what the model said last, after the last tool step. Empty where it said nothing."""
        parts: list[str] = []
        for step in reversed(self.steps or []):
            if not isinstance(step, ModelOutput):
                if getattr(step, "type", None) == "thought":
                    continue
                break
            for content in reversed(step.content or []):
                if not isinstance(content, TextContent):
                    return "".join(reversed(parts))
                parts.append(content.text)
        return "".join(reversed(parts))

    @property
    def output_content(self) -> list[Content]:
        """Everything the model said in this turn, in order: texts and media."""
        return [
            c
            for step in self.steps or []
            if isinstance(step, ModelOutput)
            for c in step.content or []
        ]

    @property
    def pending_calls(self) -> list[FunctionCall]:
        """The function calls that wait for the caller's answer."""
        return pending_calls(self.steps or [])


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
    safety_settings: list[SafetySetting] | None = None
    labels: dict[str, str] | None = None
    webhook_config: WebhookConfig | None = None
    response_mime_type: str | None = None
    response_modalities: list[str] | None = None


class CreateModelInteraction(_CreateInteraction):
    """A request to a model."""

    model: str
    generation_config: GenerationConfig | None = None
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


_CONTENT = frozenset(CONTENT.kinds.values())
