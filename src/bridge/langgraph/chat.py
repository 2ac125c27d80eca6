"""`ChatInteractions`: the Interactions API as a LangChain chat model.

It turns messages into a request and answers into messages, and lets the server keep the conversation: a turn that follows an
earlier answer sends its id and what is new. Which id that may be is `bridge.sessions`' to say, the forms of messages, tools and
answers are the modules' beside this one; sending is left to the backend.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, closing
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import (
    BaseChatModel,
    LangSmithParams,
    LanguageModelInput,
    ModelProfile,
)
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils import secret_from_env
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, field_validator, model_validator

from bridge.backend import Backend
from bridge.errors import ApiError, BridgeError, InvalidRequest, NotFound, PermissionDenied
from bridge.interactions import Event, Interaction
from bridge.sessions import plan
from bridge.tools import Tools

from ._tools import ToolLike, response_format_of, tool_choice_of, tools_of
from .answers import Chunks, ProtocolEvents, events_of, message_of, tidied
from .messages import system_instruction, to_history
from .requests import OWN, call_of, fields_of, given_of, without_secrets
from .turns import Turn, parent_is_gone

if TYPE_CHECKING:
    from langchain_protocol.protocol import MessagesData

    from bridge._portal import SyncBackend

__all__ = ["ChatInteractions"]

_Told_co = TypeVar("_Told_co", covariant=True)


class _Form(Protocol[_Told_co]):
    """How a turn is told: `Chunks` or `ProtocolEvents`."""

    def add(self, event: Event) -> Sequence[_Told_co]: ...

    def last(self, requested: str) -> Sequence[_Told_co]: ...


class ChatInteractions(BaseChatModel):
    """A chat model over the Interactions API; the conversation stays on the server.

    Pass exactly one of `model` and `agent`, and an `api_key` (or GOOGLE_API_KEY / GEMINI_API_KEY), the `base_url` of a service, or a
    `backend`. An answer's `response_metadata` holds `id` (the interaction's), `status`, `model_name`, `model_provider` and, where
    there is one, `environment_id`. A turn that ends `incomplete` or `budget_exceeded` gives the partial answer with that status; one
    that fails or is cancelled raises `InteractionFailed`. One that stops at the service's limit for a request is continued, and is one
    answer. What cannot be sent raises `InvalidRequest` before anything is.

    With `session="auto"` a turn follows the session's latest answer among the messages, as long as the messages before it are what
    they were, and sends only what came after; otherwise everything is sent as a new chain. System messages, tools and settings are
    sent with every turn. What other models said is sent as a quotation. With `session="off"` nothing is stored at the service, and
    everything is sent every time.
    """

    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    """The model to ask."""
    agent: str | None = None
    """The managed agent to ask; it takes none of the generation settings and no `tool_choice`."""
    api_key: SecretStr | None = Field(
        default_factory=secret_from_env(["GOOGLE_API_KEY", "GEMINI_API_KEY"], default=None)
    )
    """The key, by default from GOOGLE_API_KEY or else GEMINI_API_KEY. Not used with a ready `backend`."""
    base_url: str | None = None
    """Where the service is, by default GOOGLE_GEMINI_BASE_URL or Google's."""
    backend: Any = Field(default=None, exclude=True, repr=False)
    """A ready `bridge.Backend`, or the name of one ("gemini", "local"). A ready one has its own timeout and retries."""
    timeout: float | None = None
    """Seconds that one call may take, for the backend that is made here."""
    max_retries: int | None = None
    """Further attempts where trying again is safe, for the backend that is made here."""

    session: Literal["auto", "off"] = "auto"
    """Whether the service keeps the conversation ("auto") or nothing at all ("off")."""
    session_name: str | None = None
    """Names the conversation among several in one graph; by default the model or agent."""
    on_divergence: Literal["replay", "raise"] = "replay"
    """Where messages before an earlier answer were changed: send everything as a new chain, or raise `HistoryDiverged`."""

    temperature: float | None = None
    max_tokens: int | None = None
    """The most tokens an answer may have, thinking included; a longer one ends `incomplete`."""
    stop: list[str] | None = None
    """Texts at which an answer ends."""
    thinking_level: str | None = None
    """minimal, low, medium, high or xhigh."""
    thinking_summaries: str | None = None
    """auto or none."""
    generation_config: dict[str, Any] | None = None
    """Further generation settings under the API's names; the fields above win."""
    tools: list[Any] | None = Field(default=None, repr=False)  # an MCP server's headers are credentials
    """Tools sent with every turn, before those of `bind_tools`: the API's own ({"type": "code_execution"}), functions, or `Tools`."""
    response_format: Any = None
    """The form of the answer: the API's, OpenAI's `json_schema`, a class, or a JSON schema."""
    environment: Any = Field(default=None, repr=False)  # so may its variables be
    """A sandbox: "remote" for a new one each turn, an environment's id, or its settings."""
    agent_config: dict[str, Any] | None = None
    """Settings of the agent."""
    labels: dict[str, str] | None = None
    service_tier: str | None = None
    safety_settings: list[dict[str, Any]] | None = None
    streaming: bool = False
    """Stream inside `invoke` as well."""

    _backend: Backend = PrivateAttr()
    _sync: SyncBackend | None = PrivateAttr(default=None)

    @field_validator("tools", mode="before")
    @classmethod
    def _compile(cls, tools: Any) -> Any:
        return tools_of(tools) if isinstance(tools, Tools) else tools

    @model_validator(mode="after")
    def _connect(self) -> Self:
        from bridge.connect import connect

        if (self.model is None) == (self.agent is None):
            both = "neither" if self.model is None else "both"
            raise InvalidRequest(
                f"ChatInteractions takes a model or an agent, not {both}: pass model=... or agent=...",
                "model",
            )
        named = self.backend or "gemini"
        settings: dict[str, Any] = {"api_key": self.api_key, "base_url": self.base_url}
        if isinstance(named, str) and (named == "gemini" or "://" in named):
            settings |= {"timeout": self.timeout, "retries": self.max_retries}
        else:  # only what the caller gave, which such a backend may refuse; not what the environment holds
            settings = {name: value for name, value in settings.items() if name in self.model_fields_set}
        key = settings.pop("api_key", None)
        self._backend = connect(
            self.backend, api_key=key.get_secret_value() if key is not None else None, **given_of(settings)
        )
        if self.agent is not None or self.environment is not None:
            if self.cache:
                raise InvalidRequest(
                    "what an agent or an environment does is not done by an old answer; leave out cache", "cache"
                )
            self.cache = False
        return self

    @property
    def session_key(self) -> str:
        """The session's name as its anchors carry it: where it talks to, without the key, and `session_name`, model or agent."""
        return f"{self._backend.identity}/{self.session_name or self.model or self.agent}"

    # --- what LangChain asks a model about itself

    @property
    def _llm_type(self) -> str:
        return "google-interactions"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """Everything an answer depends on, so that no two configurations share a cache entry. No secrets."""
        names = {*OWN, "session_name", "output_version"} - {"stop"}
        params = {name: getattr(self, name) for name in sorted(names)}
        # Not under `stop`, which LangChain overwrites with the call's.
        return given_of(without_secrets({**params, "stop_sequences": self.stop, "backend": self._backend.identity}))

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        params: dict[str, Any] = without_secrets(super()._get_invocation_params(stop, **kwargs))
        return params

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        return str(sorted(self._get_invocation_params(stop, **kwargs).items()))

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider="google_genai",
            ls_model_name=str(kwargs.get("model") or kwargs.get("agent") or self.model or self.agent),
            ls_model_type="chat",
        )
        if (temperature := kwargs.get("temperature", self.temperature)) is not None:
            params["ls_temperature"] = temperature
        if (most := kwargs.get("max_tokens", self.max_tokens)) is not None:
            params["ls_max_tokens"] = most
        if stops := stop or self.stop:
            params["ls_stop"] = stops
        return params

    def _resolve_model_profile(self) -> ModelProfile:
        of_a_model = self.agent is None
        return {
            "text_inputs": True,
            "image_inputs": True,
            "image_url_inputs": True,
            "pdf_inputs": True,
            "audio_inputs": True,
            "video_inputs": True,
            "image_tool_message": True,
            "pdf_tool_message": True,
            "text_outputs": True,
            "reasoning_output": True,
            "tool_calling": True,
            "tool_call_streaming": of_a_model,
            "tool_choice": of_a_model,
            "structured_output": of_a_model,
        }

    # --- tools and structured answers

    def bind_tools(
        self,
        tools: Sequence[ToolLike] | Tools,
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        strict: bool | None = None,
        response_format: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """This model with tools: LangChain tools, functions, classes, schemas, the API's own as dicts, or `bridge.tools.Tools`.

        `tool_choice` is auto, any or required or True (call one), none, a tool's name, or a dict that names one. `strict` is
        accepted and changes nothing: the API has no such switch. Raises `InvalidRequest` for what the API does not have.
        """
        bound = tools_of(tools)
        choice = tool_choice_of(tool_choice, bound)
        wanted = {
            "tool_choice": choice,
            "response_format": response_format_of(response_format),
        }
        return self.bind(tools=bound, **given_of(wanted), **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Literal["json_schema", "function_calling", "json_mode"] = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """This model answering in the form of a schema: a pydantic class (gives instances), a TypedDict or a JSON schema (dicts).

        `json_schema` constrains the answer to the schema, `function_calling` forces one call, `json_mode` asks for any JSON (say
        the form in the prompt). With `include_raw` the result is {"raw", "parsed", "parsing_error"}. `strict` is as in `bind_tools`.
        """
        from ._structured import structured

        return structured(self, schema, method=method, include_raw=include_raw, **kwargs)

    # --- a call

    def _turn(
        self,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
    ) -> Turn:
        given = call_of(kwargs)
        fields = fields_of({name: getattr(self, name) for name in OWN}, stop, given)
        if instruction := system_instruction(messages):
            fields["system_instruction"] = instruction
        history = to_history(messages)
        whole = partial(plan, history, self.session_key, self._backend.capabilities, follow=False)
        turn = Turn(
            plan(
                history,
                self.session_key,
                self._backend.capabilities,
                parent=given.get("previous_interaction_id"),
                follow=self.session == "auto",
                on_divergence=self.on_divergence,
            ),
            fields,
            whole,
        )
        turn.note()
        return turn

    def _chunks(self, turn: Turn) -> Chunks:
        return Chunks(turn.plan, blocks=self.output_version == "v1", hold_calls="agent" in turn.fields)

    def _protocol_events(self, turn: Turn) -> ProtocolEvents:
        return ProtocolEvents(turn.plan, hold_calls="agent" in turn.fields)

    def _works(self, kwargs: Mapping[str, Any]) -> Self:
        """This model, or a copy without a cache for a call that names an agent or an environment."""
        working = kwargs.get("agent") is not None or kwargs.get("environment") is not None
        return self.model_copy(update={"cache": False}) if working and self.cache is not False else self

    def _generate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model = self._works(kwargs)
        result = super(ChatInteractions, model)._generate_with_cache(messages, stop, run_manager, **kwargs)
        return _tidied(result)

    async def _agenerate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model = self._works(kwargs)
        result = await super(ChatInteractions, model)._agenerate_with_cache(messages, stop, run_manager, **kwargs)
        return _tidied(result)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        turn, backend = self._turn(messages, stop, kwargs), self._sync_backend()
        try:
            interaction = backend.create(**turn.request)
        except ApiError as error:
            interaction = backend.create(**self._again(turn, error))
        return _result(turn, self._chunks(turn), interaction)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        turn = self._turn(messages, stop, kwargs)
        try:
            interaction = await self._backend.create(**turn.request)
        except ApiError as error:
            interaction = await self._backend.create(**await self._aagain(turn, error))
        return _result(turn, self._chunks(turn), interaction)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        turn = self._turn(messages, stop, kwargs)
        with closing(self._told(turn, self._chunks(turn))) as told:
            for message in told:
                chunk = ChatGenerationChunk(message=message)
                if run_manager is not None:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        turn = self._turn(messages, stop, kwargs)
        async with aclosing(self._atold(turn, self._chunks(turn))) as told:
            async for message in told:
                chunk = ChatGenerationChunk(message=message)
                if run_manager is not None:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    def _stream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[MessagesData]:
        """What LangChain looks for by this name; it tells the callbacks itself."""
        turn = self._turn(messages, stop, kwargs)
        yield from self._told(turn, self._protocol_events(turn))

    async def _astream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[MessagesData]:
        turn = self._turn(messages, stop, kwargs)
        async with aclosing(self._atold(turn, self._protocol_events(turn))) as told:
            async for event in told:
                yield event

    def _told(self, turn: Turn, form: _Form[_Told_co]) -> Generator[_Told_co, None, None]:
        """The events of a turn in a form."""
        with closing(self._events(turn)) as events:
            for event in events:
                yield from form.add(event)
        yield from form.last(turn.name)

    async def _atold(self, turn: Turn, form: _Form[_Told_co]) -> AsyncGenerator[_Told_co, None]:
        async with aclosing(self._aevents(turn)) as events:
            async for event in events:
                for one in form.add(event):
                    yield one
        for one in form.last(turn.name):
            yield one

    def _events(self, turn: Turn) -> Generator[Event, None, None]:
        backend, request, begun = self._sync_backend(), turn.request, False
        for last in (False, True):
            events = backend.stream(**request)
            try:
                for event in events:
                    begun = True
                    yield event
                return
            except ApiError as error:
                if begun or last:
                    raise
                request = self._again(turn, error)
            finally:
                if isinstance(events, Generator):
                    events.close()

    async def _aevents(self, turn: Turn) -> AsyncGenerator[Event, None]:
        request, begun = turn.request, False
        for last in (False, True):
            events = self._backend.stream(**request)
            try:
                async for event in events:
                    begun = True
                    yield event
                return
            except ApiError as error:
                if begun or last:
                    raise
                request = await self._aagain(turn, error)
            finally:
                if isinstance(events, AsyncGenerator):
                    await events.aclose()

    def _again(self, turn: Turn, error: ApiError) -> dict[str, Any]:
        """The request of a replay, where the error means that the parent is gone. Otherwise raises the error."""
        lost = turn.lost(error)
        if lost is None:
            try:
                self._sync_backend().get(str(turn.plan.parent))
            except (NotFound, PermissionDenied):
                lost = True
            except BridgeError:
                lost = False
        if not lost:
            raise error
        return turn.replay(error)

    async def _aagain(self, turn: Turn, error: ApiError) -> dict[str, Any]:
        if not await parent_is_gone(turn, error, self._backend):
            raise error
        return turn.replay(error)

    def _sync_backend(self) -> SyncBackend:
        if self._sync is None:
            from bridge.connect import sync_backend

            self._sync = sync_backend(self._backend)
        return self._sync


def _result(turn: Turn, answer: Chunks, interaction: Interaction) -> ChatResult:
    chunks = [chunk for event in events_of(interaction) for chunk in answer.add(event)]
    return ChatResult(generations=[ChatGeneration(message=message_of([*chunks, *answer.last(turn.name)]))])


def _tidied(result: ChatResult) -> ChatResult:
    for generation in result.generations:  # of a streamed answer; others are tidy
        generation.message = tidied(generation.message)
    return result
