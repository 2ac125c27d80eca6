"""A server with what the conformance suite asks for by name: the base, the transport and the sign-in of ours, and its tools as ours are."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CallToolRequestParams,
    CallToolResult,
    ClientCapabilities,
    Completion,
    ContentBlock,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    EmptyResult,
    GetPromptResult,
    ImageContent,
    InputRequest,
    InputRequiredResult,
    JSONRPCMessage,
    ListRootsRequest,
    ListRootsResult,
    SamplingCapability,
    SamplingMessage,
    SetLevelRequestParams,
    TextContent,
    TextResourceContents,
    Tool,
)

from bridge.mcp.base import ServedTool, Server
from bridge.mcp.updates import Updates
from bridge.tools import ToolError
from tests.mcp.conformance.tasks import Jobs, RequiredTasks, greeting

__all__ = ["Events", "FixtureServer"]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="

Run = Callable[[dict[str, Any], Context], Awaitable[CallToolResult | InputRequiredResult]]


class FixtureServer(Server):
    """The server. Who may call it is said as to any of ours."""

    def __init__(self, *, token_verifier: TokenVerifier | None = None, auth: AuthSettings | None = None) -> None:
        updates, jobs = Updates(_may_read), Jobs()

        def context(ctx: ServerRequestContext[Any, Any], params: CallToolRequestParams | None) -> Context:
            return Context(request_context=ctx, mcp_server=self, input_params=params)

        super().__init__(
            "fixtures",
            [*_answering(), *_asking_in_results(), *_asking_in_requests(), greeting(), *jobs.served()],
            token_verifier=token_verifier,
            auth=auth,
            allowed_hosts=(),
            version="1.0.0",
            subscriptions=updates.bus,
            middleware=[updates.only_own],
            extensions=[RequiredTasks(jobs, context)],
        )
        updates.serve(self)
        _add_resources(self)
        _add_prompts(self)
        _add_log_levels(self)

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context | None = None
    ) -> CallToolResult | InputRequiredResult:
        """A tool; one cannot do without a model at the client."""
        sampling = ClientCapabilities(sampling=SamplingCapability())
        if name == "test_missing_capability" and not (context and context.session.check_client_capability(sampling)):
            lacking: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
            raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "This tool needs a model at the client.", lacking)
        return await super().call_tool(name, arguments, context)

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """There are prompts here."""
        return await MCPServer.get_prompt(self, name, arguments, context)


class Events(EventStore):
    """What a client that comes back to a stream has missed, as the SDK's transport asks for it."""

    def __init__(self) -> None:
        self._events: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """An event's number is its id."""
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        """The messages of that event's stream behind it."""
        last = int(last_event_id)
        stream = self._events[last - 1][0]
        for number, (of, message) in enumerate(self._events[last:], last + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


# --- tools that answer


def _answering() -> list[ServedTool]:
    return [
        _fixed("test_simple_text", _text("This is a simple text response for testing.")),
        _fixed("test_image_content", _IMAGE),
        _fixed("test_audio_content", AudioContent(type="audio", data=WAV, mime_type="audio/wav")),
        _fixed(
            "test_embedded_resource",
            _embedded("test://embedded-resource", "This is an embedded resource content."),
        ),
        _fixed(
            "test_multiple_content_types",
            _text("Multiple content types test:"),
            _IMAGE,
            _embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json"),
        ),
        _served("test_error_handling", _fail),
        _served("test_tool_with_progress", _progress),
        _served("test_tool_with_logging", _log),
        _served("test_logging_tool", _log),
        _served("test_reconnection", _close_stream),
        _served("test_trigger_tool_change", _change_tools),
        _served("test_trigger_prompt_change", _change_prompts),
        _served("test_missing_capability", _nothing),
        _served("json_schema_2020_12_tool", _nothing, _SCHEMA_2020_12),
        _served("test_custom_header", _nothing, _closed(region={"type": "string", "x-mcp-header": "Region"})),
    ]


def _served(name: str, run: Run, schema: Mapping[str, Any] | None = None) -> ServedTool:
    listed = Tool(name=name, description=f"A fixture, {name}.", input_schema=dict(schema or _closed()))
    return ServedTool(listed, run)


def _closed(**properties: Any) -> dict[str, Any]:
    """A schema that knows these arguments, all of which must be given."""
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def _fixed(name: str, *content: ContentBlock) -> ServedTool:
    async def run(arguments: dict[str, Any], context: Context) -> CallToolResult:
        return CallToolResult(content=list(content))

    return _served(name, run)


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)


_IMAGE = ImageContent(type="image", data=PNG, mime_type="image/png")


def _embedded(uri: str, text: str, mime_type: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


async def _nothing(arguments: dict[str, Any], context: Context) -> CallToolResult:
    return CallToolResult(content=[_text("done")])


async def _fail(arguments: dict[str, Any], context: Context) -> CallToolResult:
    raise ToolError("This tool intentionally returns an error for testing")


async def _progress(arguments: dict[str, Any], context: Context) -> CallToolResult:
    for progress in (0, 50, 100):
        await context.report_progress(progress, 100)
    return await _nothing(arguments, context)


async def _log(arguments: dict[str, Any], context: Context) -> CallToolResult:
    for what in ("execution started", "processing data", "execution completed"):
        await context.log("info", f"Tool {what}")
    return await _nothing(arguments, context)


async def _close_stream(arguments: dict[str, Any], context: Context) -> CallToolResult:
    await context.close_sse_stream()
    return await _nothing(arguments, context)


async def _change_tools(arguments: dict[str, Any], context: Context) -> CallToolResult:
    await context.notify_tools_changed()
    return await _nothing(arguments, context)


async def _change_prompts(arguments: dict[str, Any], context: Context) -> CallToolResult:
    await context.notify_prompts_changed()
    return await _nothing(arguments, context)


_SCHEMA_2020_12 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


# --- tools that ask


def _elicit(message: str, properties: Mapping[str, Any]) -> ElicitRequest:
    schema = {"type": "object", "properties": dict(properties), "required": list(properties)}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(text: str, tokens: int) -> CreateMessageRequest:
    said = SamplingMessage(role="user", content=_text(text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[said], max_tokens=tokens))


_STRING = {"type": "string"}
_NAME = _elicit("What is your name?", {"name": _STRING})
_CONFIRM = _elicit("Please confirm", {"ok": {"type": "boolean"}})
_GREETING = _sample("Generate a greeting", 50)
_ROOTS = ListRootsRequest()

Answers = Mapping[str, Any]


def _asking_in_results() -> list[ServedTool]:
    """As the modern protocol has it: what is asked is the result, and the call is made again with the answers."""
    prefix = "test_input_required_result_"
    return [
        *(
            _asking(name, {"user_name": _NAME}, done=lambda answers: f"Hello, {answers['user_name'].content['name']}!")
            for name in (f"{prefix}elicitation", "test_streaming_elicitation")
        ),
        _asking(
            f"{prefix}sampling",
            {"capital_question": _sample("What is the capital of France?", 100)},
            done=lambda answers: str(answers["capital_question"].content.text),
        ),
        _asking(
            f"{prefix}list_roots",
            {"client_roots": _ROOTS},
            done=lambda answers: ", ".join(str(root.uri) for root in answers["client_roots"].roots),
        ),
        _asking(f"{prefix}request_state", {"confirm": _CONFIRM}, done=lambda _: "state-ok", stateful=True),
        _asking(f"{prefix}tampered_state", {"confirm": _CONFIRM}, stateful=True),
        _asking(
            f"{prefix}multiple_inputs",
            {"user_name": _NAME, "greeting": _GREETING, "client_roots": _ROOTS},
            stateful=True,
        ),
        _asking(
            f"{prefix}multi_round",
            {"step1": _elicit("Step 1: What is your name?", {"name": _STRING})},
            {"step2": _elicit("Step 2: What is your favorite color?", {"color": _STRING})},
            stateful=True,
        ),
        _served(f"{prefix}capabilities", _ask_what_can_be_answered),
    ]


def _asking(
    name: str,
    *rounds: Mapping[str, InputRequest],
    done: Callable[[Answers], str] = lambda answers: f"Answered: {', '.join(sorted(answers))}.",
    stateful: bool = False,
) -> ServedTool:
    async def run(arguments: dict[str, Any], context: Context) -> CallToolResult | InputRequiredResult:
        asked = _asked(context, rounds, stateful)
        return asked or CallToolResult(content=[_text(done(context.input_responses or {}))])

    return _served(name, run)


async def _ask_what_can_be_answered(
    arguments: dict[str, Any], context: Context
) -> CallToolResult | InputRequiredResult:
    can = context.client_capabilities or ClientCapabilities()
    wanted: dict[str, tuple[Any, InputRequest]] = {
        "user_name": (can.elicitation, _NAME),
        "greeting": (can.sampling, _GREETING),
        "client_roots": (can.roots, _ROOTS),
    }
    able = {key: request for key, (capability, request) in wanted.items() if capability is not None}
    return _asked(context, [able], False) or await _nothing(arguments, context)


def _asked(
    context: Context, rounds: Sequence[Mapping[str, InputRequest]], stateful: bool
) -> InputRequiredResult | None:
    """What is to be asked now: the round whose number came back as the state again, unless it was answered; then the next, or none."""
    state, answers = context.request_state, context.input_responses or {}
    at = 0 if state is None else int(state)
    if (state is not None or not stateful) and all(
        _answers(request, answers.get(key)) for key, request in rounds[at].items()
    ):
        at += 1
    if at == len(rounds):
        return None
    return InputRequiredResult(input_requests=dict(rounds[at]), request_state=str(at) if stateful else None)


def _answers(request: InputRequest, answer: Any) -> bool:
    if isinstance(request, ElicitRequest):
        if not isinstance(answer, ElicitResult) or answer.action != "accept":
            return False
        assert isinstance(request.params, ElicitRequestFormParams)
        return set(request.params.requested_schema["required"]) <= set(answer.content or {})
    return isinstance(answer, CreateMessageResult if isinstance(request, CreateMessageRequest) else ListRootsResult)


def _asking_in_requests() -> list[ServedTool]:
    """As the older protocols have it: by a request to the client in the middle of the call."""

    def eliciting(name: str, message: str | None, asked: Mapping[str, Any]) -> ServedTool:
        async def run(arguments: dict[str, Any], context: Context) -> CallToolResult:
            schema = {"type": "object", "properties": dict(asked), "required": []}
            answer = await context.session.elicit_form(
                message or arguments["message"], schema, context.request_context.request_id
            )
            told = f"Elicitation completed: action={answer.action}, content={json.dumps(answer.content)}"
            return CallToolResult(content=[_text(told)])

        return _served(name, run, _closed() if message else _closed(message=_STRING))

    async def sample(arguments: dict[str, Any], context: Context) -> CallToolResult:
        answer = await context.session.create_message(
            [SamplingMessage(role="user", content=_text(arguments["prompt"]))],
            max_tokens=100,
            related_request_id=context.request_context.request_id,
        )
        assert isinstance(answer.content, TextContent)
        return CallToolResult(content=[_text(f"LLM response: {answer.content.text}")])

    return [
        _served("test_sampling", sample, _closed(prompt=_STRING)),
        eliciting("test_elicitation", None, {"username": _STRING, "email": _STRING}),
        eliciting("test_elicitation_sep1034_defaults", "Please provide user information", _DEFAULTS),
        eliciting("test_elicitation_sep1330_enums", "Please choose", _ENUMS),
    ]


_DEFAULTS = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
_OPTIONS = ["option1", "option2", "option3"]
_TITLED = [{"const": f"value{number}", "title": f"Choice {number}"} for number in (1, 2, 3)]
_ENUMS = {
    "untitledSingle": {"type": "string", "enum": _OPTIONS},
    "titledSingle": {"type": "string", "oneOf": _TITLED},
    "legacyEnum": {"type": "string", "enum": _OPTIONS, "enumNames": ["Option One", "Option Two", "Option Three"]},
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": _OPTIONS}},
    "titledMulti": {"type": "array", "items": {"anyOf": _TITLED}},
}


# --- the rest


async def _may_read(owner: str, uri: str) -> bool:
    return uri.startswith("test://")


def _add_resources(server: MCPServer[Any]) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        """A text."""
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        """A picture."""
        return b64decode(PNG)

    @server.resource("test://watched-resource", mime_type="text/plain")
    def watched() -> str:
        """A text that can be listened to."""
        return "Watched."

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:
        """A text for an id."""
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def _add_prompts(server: MCPServer[Any]) -> None:
    @server.prompt("test_simple_prompt", description="A prompt.")
    def simple() -> str:
        return "This is a simple prompt for testing."

    @server.prompt("test_prompt_with_arguments", description="A prompt with arguments.")
    def with_arguments(arg1: str, arg2: str) -> str:
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt("test_prompt_with_embedded_resource", description="A prompt with a resource in it.")
    def with_resource(resourceUri: str) -> list[UserMessage]:
        embedded = _embedded(resourceUri, "Embedded resource content for testing.")
        return [UserMessage(embedded), UserMessage("Please process the embedded resource above.")]

    @server.prompt("test_prompt_with_image", description="A prompt with a picture.")
    def with_image() -> list[UserMessage]:
        return [UserMessage(_IMAGE), UserMessage("Please analyze the image above.")]

    @server.prompt("test_input_required_result_prompt", description="A prompt that asks first.")
    def asking(context: Context) -> str | InputRequiredResult:
        question = _elicit("What context should the prompt use?", {"context": _STRING})
        return _asked(context, [{"user_context": question}], False) or "A prompt."

    @server.completion()
    async def complete(ref: Any, argument: Any, context: Any) -> Completion:
        return Completion(values=[name for name in ("paris", "park", "party") if name.startswith(argument.value)])


def _add_log_levels(server: MCPServer[Any]) -> None:
    """Of the older protocols; `MCPServer` has no public way to serve them."""

    async def done(ctx: Any, params: Any) -> EmptyResult:
        return EmptyResult()

    server._lowlevel_server.add_request_handler("logging/setLevel", SetLevelRequestParams, done)
