"""Settings of a request: generation, output formats, safety, agents, environments, webhooks.

Source: Interactions API reference, "CreateInteraction". All of them hold for one request; the API inherits none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from ._open import Int64, Model, OpenUnion, Unknown
from .tools import AllowedTools

__all__ = [
    "AgentConfig",
    "AllowlistEntry",
    "AntigravityConfig",
    "AudioFormat",
    "CodeMenderConfig",
    "DeepResearchConfig",
    "DynamicConfig",
    "EnvVar",
    "EnvironmentConfig",
    "GenerationConfig",
    "ImageFormat",
    "NetworkAllowlist",
    "ResponseFormat",
    "SafetySetting",
    "Source",
    "TextFormat",
    "ToolChoice",
    "VideoFormat",
    "WebhookConfig",
]


class ToolChoice(Model):
    """Which tools may or must be called."""

    allowed_tools: AllowedTools | None = None


class GenerationConfig(Model):
    """How the model answers.

    `thinking_level`: minimal, low, medium, high, xhigh. `thinking_summaries`: auto, none. `tool_choice`: auto, any, none,
    validated, or a `ToolChoice`. Speech, transcription, image and video settings are kept as plain objects.
    """

    max_output_tokens: int | None = None
    seed: int | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    thinking_level: str | None = None
    thinking_summaries: str | None = None
    tool_choice: str | ToolChoice | None = None
    speech_config: dict[str, Any] | list[dict[str, Any]] | None = None
    transcription_config: dict[str, Any] | None = None
    image_config: dict[str, Any] | None = None
    video_config: dict[str, Any] | None = None


class TextFormat(Model):
    """The answer as text, or as JSON of a schema: `mime_type` text/plain or application/json.

    Built with `schema=`, as on the wire; read as `schema_`, because pydantic has a method of that name.
    """

    type: Literal["text"] = "text"
    mime_type: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")


class ImageFormat(Model):
    """The answer as a picture. `image_size`: 512, 1K, 2K, 4K; `delivery`: inline or uri."""

    type: Literal["image"] = "image"
    aspect_ratio: str | None = None
    image_size: str | None = None
    mime_type: str | None = None
    delivery: str | None = None


class AudioFormat(Model):
    """The answer as sound; rates in hertz and bits per second."""

    type: Literal["audio"] = "audio"
    mime_type: str | None = None
    sample_rate: int | None = None
    bit_rate: int | None = None
    delivery: str | None = None


class VideoFormat(Model):
    """The answer as a film; `duration` as "8s"."""

    type: Literal["video"] = "video"
    aspect_ratio: str | None = None
    resolution: str | None = None
    duration: str | None = None
    delivery: str | None = None
    gcs_uri: str | None = None


class SafetySetting(Model):
    """From which probability on a category of harm is blocked."""

    type: str
    threshold: str
    method: str | None = None


class WebhookConfig(Model):
    """Where the API reports the end of a background interaction, and what it sends along."""

    uris: list[str] | None = None
    user_metadata: dict[str, Any] | None = None


class AntigravityConfig(Model):
    """Settings of the general managed agent. `max_total_tokens` bounds one run; beyond it the status is incomplete."""

    type: Literal["antigravity"] = "antigravity"
    model: str | None = None
    max_total_tokens: Int64 | None = None


class DeepResearchConfig(Model):
    """Settings of the research agent. With `collaborative_planning` the turn returns a plan and does not run it."""

    type: Literal["deep-research"] = "deep-research"
    collaborative_planning: bool | None = None
    thinking_summaries: str | None = None
    visualization: str | None = None
    enable_bigquery_tool: bool | None = None


class CodeMenderConfig(Model):
    """Settings of the code-repair agent."""

    type: Literal["code-mender"] = "code-mender"
    model: str | None = None
    find_request: dict[str, Any] | None = None
    fix_request: dict[str, Any] | None = None
    session_config: dict[str, Any] | None = None
    session_id: str | None = None


class DynamicConfig(Model):
    """Free settings of any other agent."""

    type: Literal["dynamic"] = "dynamic"


class EnvVar(Model):
    """An environment variable: a plain value, or the id of a credential that never enters the sandbox."""

    value: str | None = None
    credential: str | None = None


class AllowlistEntry(Model):
    """A domain the sandbox may reach, and what a proxy adds to its requests. `transform` may hold secrets."""

    domain: str
    credential: str | None = None
    transform: dict[str, Any] | list[dict[str, Any]] | None = None


class NetworkAllowlist(Model):
    """The domains a sandbox may reach."""

    allowlist: str | list[AllowlistEntry] | None = None


class Source(Model):
    """A file or tree put into a sandbox: `type` inline, repository, gcs or skill_registry."""

    type: str | None = None
    target: str | None = None
    source: str | None = None
    content: str | None = None
    encoding: str | None = None


class EnvironmentConfig(Model):
    """The sandbox of a request: a new one, or the one of `environment_id`, updated.

    `network`: absent is open, "disabled" is none, or a `NetworkAllowlist`.
    """

    type: Literal["remote"] = "remote"
    environment_id: str | None = None
    env: dict[str, str | EnvVar] | None = None
    network: str | NetworkAllowlist | None = None
    sources: list[Source] | None = None

    def __repr_args__(self) -> Any:
        """The fields, with the values of variables hidden: they may be secrets."""
        for name, value in super().__repr_args__():
            yield (
                name,
                dict.fromkeys(value, "***")
                if name == "env" and isinstance(value, dict)
                else value,
            )


FORMAT_KINDS: dict[str, type[Model]] = {
    "text": TextFormat,
    "image": ImageFormat,
    "audio": AudioFormat,
    "video": VideoFormat,
}
AGENT_KINDS: dict[str, type[Model]] = {
    "antigravity": AntigravityConfig,
    "deep-research": DeepResearchConfig,
    "code-mender": CodeMenderConfig,
    "dynamic": DynamicConfig,
}

RESPONSE_FORMAT = OpenUnion("response_format", FORMAT_KINDS)

if TYPE_CHECKING:
    ResponseFormat = TextFormat | ImageFormat | AudioFormat | VideoFormat | Unknown
    AgentConfig = (
        AntigravityConfig
        | DeepResearchConfig
        | CodeMenderConfig
        | DynamicConfig
        | Unknown
    )
else:
    ResponseFormat = Annotated[Any, RESPONSE_FORMAT]
    AgentConfig = Annotated[Any, OpenUnion("agent_config", AGENT_KINDS)]
