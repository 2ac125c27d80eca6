"""Settings of a request: generation, output formats, safety, agents, environments, webhooks.

Source: Interactions API reference, "CreateInteraction". All of them hold for one request; the API inherits none.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field

from .._open import Int64, Model, Number, OpenStruct, OpenUnion, Unknown
from .tools import AllowedTools

__all__ = [
    "AgentConfig",
    "AllowlistEntry",
    "AntigravityConfig",
    "AudioFormat",
    "CodeMenderConfig",
    "CodeMenderSession",
    "DeepResearchConfig",
    "DynamicConfig",
    "EnvVar",
    "EnvironmentConfig",
    "FindRequest",
    "FixRequest",
    "GenerationConfig",
    "ImageConfig",
    "ImageFormat",
    "Network",
    "NetworkAllowlist",
    "ResponseFormat",
    "SafetySetting",
    "SmartTranscription",
    "Source",
    "SourceFile",
    "Speaker",
    "SpeechConfig",
    "TextFormat",
    "ToolChoice",
    "TranscriptionConfig",
    "VerbatimTranscription",
    "VideoConfig",
    "VideoFormat",
    "WebhookConfig",
]


class ToolChoice(Model):
    """Which tools may or must be called."""

    allowed_tools: AllowedTools | None = None


class Speaker(Model):
    """One voice: its name or description, its language ("en-US"), and the speaker of the text it reads."""

    voice: str | None = None
    language: str | None = None
    speaker: str | None = None


class SpeechConfig(Model):
    """The voices of an answer as sound."""

    speakers: list[Speaker] | None = None


class VerbatimTranscription(Model):
    """Every word as it was said. `diarization_mode`: speaker; `timestamp_granularities`: word."""

    type: Literal["verbatim"] = "verbatim"
    diarization_mode: str | None = None
    timestamp_granularities: list[str] | None = None


class SmartTranscription(Model):
    """A text that reads well, guided by `source_text`."""

    type: Literal["smart"] = "smart"
    source_text: str | None = None


_TranscriptionMode = Annotated[
    VerbatimTranscription | SmartTranscription | Unknown,
    OpenUnion("transcription_mode", {"verbatim": VerbatimTranscription, "smart": SmartTranscription}),
]


class TranscriptionConfig(Model):
    """How sound becomes text. `mode` is "verbatim", "smart" or the settings of one; the last four fields are deprecated."""

    language_codes: list[str] | None = None
    custom_vocabulary: list[str] | None = None
    mode: str | _TranscriptionMode | None = None
    adaptation_phrases: list[str] | None = None
    diarization_mode: str | None = None
    language_hints: list[str] | None = None
    timestamp_granularities: list[str] | None = None


class ImageConfig(Model):
    """The shape of a picture. Deprecated: an `ImageFormat` says the same."""

    aspect_ratio: str | None = None
    image_size: str | None = None


class VideoConfig(Model):
    """`task`: text_to_video, image_to_video, reference_to_video, edit, extend or upscale."""

    task: str | None = None


class GenerationConfig(Model):
    """How the model answers.

    `thinking_level`: minimal, low, medium, high, xhigh. `thinking_summaries`: auto, none. `tool_choice`: auto, any, none,
    validated, or a `ToolChoice`. `temperature`, `top_p` and `image_config` are deprecated.
    """

    max_output_tokens: int | None = None
    seed: int | None = None
    stop_sequences: list[str] | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    top_k: int | None = None
    thinking_level: str | None = None
    thinking_summaries: str | None = None
    tool_choice: str | ToolChoice | None = None
    speech_config: SpeechConfig | list[Speaker] | None = None
    transcription_config: TranscriptionConfig | None = None
    image_config: ImageConfig | None = None
    video_config: VideoConfig | None = None


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


class SourceFile(Model):
    """A file that an agent is given to look at."""

    path: str | None = None
    content: str | None = None


class FindRequest(Model):
    """What to look for. `mode`: scan or verify."""

    mode: str | None = None
    description: str | None = None
    finding_id: str | None = None
    source_files: list[SourceFile] | None = None


class FixRequest(Model):
    """What to repair."""

    description: str | None = None
    finding_id: str | None = None
    source_files: list[SourceFile] | None = None


class CodeMenderSession(Model):
    """How long one run may go on."""

    max_rounds: int | None = None


class CodeMenderConfig(Model):
    """Settings of the code-repair agent."""

    type: Literal["code-mender"] = "code-mender"
    model: str | None = None
    find_request: FindRequest | None = None
    fix_request: FixRequest | None = None
    session_config: CodeMenderSession | None = None
    session_id: str | None = None


class DynamicConfig(Model):
    """Free settings of any other agent."""

    type: Literal["dynamic"] = "dynamic"


class EnvVar(Model):
    """An environment variable: a plain value, or the id of a credential that never enters the sandbox."""

    value: str | None = Field(default=None, repr=False)
    credential: str | None = None


class AllowlistEntry(Model):
    """A domain the sandbox may reach, and the headers that a proxy adds to its requests: they may hold secrets."""

    domain: str
    credential: str | None = None
    transform: dict[str, str] | list[dict[str, str]] | None = Field(default=None, repr=False)


class NetworkAllowlist(Model):
    """The domains a sandbox may reach; "disabled" for none."""

    allowlist: str | list[AllowlistEntry] | None = None


# "disabled", or the domains that may be reached.
Network = Annotated[str | NetworkAllowlist | Unknown, OpenStruct("network", NetworkAllowlist, text=True)]


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
    env: dict[str, str | EnvVar] | None = Field(default=None, repr=False)  # values may be secrets
    network: Network | None = None
    sources: list[Source] | None = None


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
AGENT_CONFIG = OpenUnion("agent_config", AGENT_KINDS)

if TYPE_CHECKING:
    ResponseFormat: TypeAlias = TextFormat | ImageFormat | AudioFormat | VideoFormat | Unknown
    AgentConfig: TypeAlias = AntigravityConfig | DeepResearchConfig | CodeMenderConfig | DynamicConfig | Unknown
else:
    ResponseFormat = Annotated[Any, RESPONSE_FORMAT]
    AgentConfig = Annotated[Any, AGENT_CONFIG]
