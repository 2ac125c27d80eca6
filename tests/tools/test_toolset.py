"""`Tools`: what can be given, how it is named, and what a call of it gives."""

from __future__ import annotations

import asyncio
import contextvars
import datetime
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Annotated, Any, Literal

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import StructuredTool, ToolException, tool
from pydantic import BaseModel, Field
from pydantic.v1 import BaseModel as OldModel

from bridge.errors import InvalidRequest
from bridge.interactions import FunctionCall
from bridge.tools import Result, ToolError, Tools, WebSearch
from tests.tools.schemas import of, schema_of


class Place(BaseModel):
    """A place on earth."""

    city: str
    country: Literal["FR", "DE"] = "FR"


def forecast(place: Place, days: Annotated[int, Field(ge=1, le=9, description="how many")] = 1) -> str:
    """The weather of the next days."""
    assert isinstance(place, Place)
    return f"{place.city}, {place.country}: sun for {days} days"


async def later(city: str) -> dict[str, Any]:
    """The weather, some time later."""
    await asyncio.sleep(0)
    return {"city": city, "at": datetime.date(2026, 11, 24)}


@tool
def lookup(word: str, times: int = 1) -> str:
    """Looks a word up."""
    return f"{word} " * times


RAW = {"name": "raw", "description": "Nothing runs it.", "parameters": {"type": "object", "properties": {}}}


def call(name: str, args: Any = None, id: str = "c1") -> dict[str, Any]:
    """LangChain's ToolCall."""
    return {"name": name, "args": args, "id": id, "type": "tool_call"}


@pytest.mark.covers("tools:define:function")
def test_a_typed_function_is_its_own_definition() -> None:
    """The signature is the schema, without invented titles; the docstring the description."""
    compiled = Tools([forecast]).compile("mcp")
    assert compiled.definitions == [
        {
            "name": "forecast",
            "description": "The weather of the next days.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "place": {
                        "type": "object",
                        "description": "A place on earth.",
                        "title": "Place",
                        "properties": {
                            "city": {"type": "string"},
                            "country": {"type": "string", "enum": ["FR", "DE"], "default": "FR"},
                        },
                        "required": ["city"],
                    },
                    "days": {"type": "integer", "minimum": 1, "maximum": 9, "description": "how many", "default": 1},
                },
                "required": ["place"],
                "additionalProperties": False,
            },
        }
    ]


@pytest.mark.covers("tools:define:langchain")
def test_a_langchain_tool_is_read_by_its_attributes() -> None:
    """With a schema of pydantic 2, of pydantic 1, or a plain one; without LangChain being imported."""

    class Old(OldModel):
        word: str

    def named(word: str) -> str:
        return word

    old = StructuredTool(name="old", description="d", args_schema=Old, func=named)
    plain = StructuredTool(
        name="plain", description="d", args_schema={"type": "object", "properties": {"word": {"enum": [1]}}}, func=named
    )
    made = {d["name"]: d["inputSchema"] for d in Tools([lookup, old, plain]).compile("mcp").definitions}
    assert made["lookup"]["properties"]["times"]["type"] == "integer"
    assert made["lookup"]["required"] == made["old"]["required"] == ["word"]
    assert made["plain"]["properties"] == {"word": {"enum": [1]}}
    code = "import sys; from bridge.tools import Tools; Tools([lambda: 1][:0]).compile('mcp'); print('langchain_core' in sys.modules, 'mcp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.covers("tools:define:plain")
def test_a_plain_definition_is_name_description_and_parameters() -> None:
    """The last two may be missing; anything else is refused by name."""
    assert Tools([{"name": "bare"}]).compile("anthropic").definitions == [
        {"name": "bare", "input_schema": {"type": "object", "properties": {}}}
    ]
    with pytest.raises(InvalidRequest, match=r"tools\[1\] has the unknown input_schema, type"):
        Tools([RAW, {"name": "x", "type": "function", "input_schema": {}}])
    with pytest.raises(InvalidRequest, match=r"tools\[0\] has no name"):
        Tools([{"description": "d"}])


@pytest.mark.covers("tools:define:refused")
@pytest.mark.parametrize(
    ("given", "told"),
    [
        (7, r"tools\[0\] is no tool: int"),
        (Place, r"tools\[0\] is no tool: ModelMetaclass|is no tool: type"),
        ("weather", "an MCP server's address begins with https:// or http://"),
        (lambda city: city, r"tools\[0\] is a callable without a name"),
        (lambda: contextvars, "without a name"),
    ],
)
def test_what_is_no_tool_is_refused_with_its_place(given: Any, told: str) -> None:
    """And the error says what a tool can be."""
    with pytest.raises(InvalidRequest, match=told):
        Tools([given])


@pytest.mark.covers("tools:define:refused")
def test_a_function_whose_arguments_have_no_schema_is_refused() -> None:
    """Types that pydantic does not know, names that lead nowhere, arguments without names."""

    def unknown(thing: threading.Lock) -> None: ...

    def missing(thing: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    def positional(thing: int, /) -> None: ...

    for function in (unknown, missing):
        with pytest.raises(InvalidRequest, match=r"has no JSON Schema"):
            Tools([function])
    with pytest.raises(InvalidRequest, match="by position only"):
        Tools([positional])


@pytest.mark.covers("tools:define:refused")
def test_a_langchain_tool_without_a_schema_is_refused() -> None:
    """By its name."""

    class Broken:
        name = "broken"
        description = "d"

        @property
        def tool_call_schema(self) -> Any:
            raise TypeError("no schema for this")

        async def ainvoke(self, call: Any) -> None: ...

    class Attribute(Broken):
        tool_call_schema = 5

    with pytest.raises(InvalidRequest, match="'broken'"):
        Tools([Attribute()])


@pytest.mark.covers("tools:names:collision")
def test_two_tools_of_one_name_are_an_error() -> None:
    """Whatever they are; the error says how to tell them apart."""
    with pytest.raises(InvalidRequest, match=r"two tools are called 'lookup'.*prefix"):
        Tools([lookup, {"name": "lookup"}])
    tools = Tools([lookup, forecast, WebSearch()])
    assert tools.names == ["lookup", "forecast"]
    assert repr(tools) == "Tools('lookup', 'forecast')"
    assert repr(Tools([])) == "Tools(none)"


@pytest.mark.covers("tools:names:mapped")
def test_a_name_that_a_vendor_refuses_is_mapped_both_ways() -> None:
    """Each vendor gets the own name where it can; a call may use either; no two names meet."""
    long = "l" * 100
    names = ["ok", "files.read", "files_read", "9lives", "naïve", long, long + "x", "a:b"]
    tools = Tools([{"name": name} for name in names])
    sent = {dialect: tools.compile(dialect).names for dialect in ("interactions", "anthropic", "openai", "mcp")}
    for mapping in sent.values():
        assert list(mapping.values()) == names
        assert len(mapping) == len(names)
    back = {dialect: {own: given for given, own in mapping.items()} for dialect, mapping in sent.items()}
    assert [back[d]["files.read"] == "files.read" for d in sent] == [True, False, False, True]
    assert back["openai"]["files.read"].startswith("files_read_")
    assert back["interactions"]["a:b"] == "a:b"
    assert back["openai"]["9lives"] == "9lives"
    assert back["interactions"]["9lives"] == "_9lives"
    assert back["openai"]["naïve"] == "na_ve"
    assert back["anthropic"][long] == long
    assert len(back["openai"][long]) == 64
    assert [definition["name"] for definition in tools.compile("openai").definitions] == list(sent["openai"])


@pytest.mark.covers("tools:run:calls")
async def test_a_call_runs_the_tool_and_gives_a_text() -> None:
    """Functions of both kinds and LangChain tools; from LangChain's ToolCall, a step as a dict, and a step."""
    tools = Tools([forecast, later, lookup])
    result = await tools.run(call("forecast", {"place": {"city": "Paris"}, "days": 2}))
    assert result == Result("c1", "forecast", "Paris, FR: sun for 2 days")
    step = {"type": "function_call", "id": "f1", "name": "later", "arguments": {"city": "Rome"}}
    assert await tools.run(step) == Result("f1", "later", '{"city":"Rome","at":"2026-11-24"}')
    typed = FunctionCall(id="f2", name="lookup", arguments={"word": "x", "times": 2})
    assert await tools.run(typed) == Result("f2", "lookup", "x x ")
    with pytest.raises(FrozenInstanceError):
        result.content = "other"  # type: ignore[misc]


@pytest.mark.covers("tools:names:mapped")
async def test_a_call_may_use_the_vendors_name() -> None:
    """The result carries the name that was called."""

    async def run(**arguments: Any) -> str:
        return str(arguments)

    dotted = StructuredTool(name="files.read", description="d", args_schema={"type": "object"}, coroutine=run)
    tools = Tools([dotted])
    (sent,) = tools.compile("openai").names
    assert "files" not in tools
    for name in ("files.read", sent):
        assert name in tools
        result = await tools.run(call(name, {}))
        assert (result.name, result.content, result.is_error) == (name, "{}", False)


@pytest.mark.covers("tools:run:checked")
@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"word": 5}, "word: 5 is not of type 'string'"),
        ({}, "arguments: 'word' is a required property"),
        ([1], "the arguments are an object, not list"),
        ({"word": "x" * 1_000, "times": "y" * 1_000}, "…"),
    ],
)
async def test_arguments_that_do_not_fit_do_not_reach_the_tool(args: Any, told: str) -> None:
    """The model is told what does not fit, at bounded length."""
    ran: list[str] = []

    @tool
    def noted(word: str, times: int = 1) -> str:
        """Notes."""
        ran.append(word)
        return word

    result = await Tools([noted]).run(call("noted", args))
    assert result.is_error
    assert told in result.content
    assert len(result.content) < 2_000
    assert not ran


@pytest.mark.covers("tools:run:checked")
async def test_a_plain_schema_is_checked_too() -> None:
    """Nothing of LangChain's validates those."""

    async def run(**arguments: Any) -> str:
        return "ran"

    plain = StructuredTool(
        name="plain",
        description="d",
        coroutine=run,
        args_schema={"type": "object", "properties": {"n": {"type": "integer", "maximum": 3}}, "required": ["n"]},
    )
    tools = Tools([plain])
    assert (await tools.run(call("plain", {"n": 3}))).content == "ran"
    assert (await tools.run(call("plain", {"n": 4}))).is_error
    assert (await tools.run(call("plain", {}))).is_error


@pytest.mark.covers("tools:run:nulls")
async def test_a_null_for_what_is_optional_counts_as_left_out() -> None:
    """As OpenAI's strict mode has it, at any depth; not where null is meant, nor where the property is required."""
    seen: list[dict[str, Any]] = []

    async def run(**arguments: Any) -> str:
        seen.append(arguments)
        return ""

    inner = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}, "n": {"type": ["integer", "null"]}},
        "required": ["a"],
    }
    schema = {
        "type": "object",
        "properties": {"o": inner, "l": {"type": "array", "items": inner}, "e": {"enum": ["x"]}},
        "required": ["o"],
    }
    tools = Tools([StructuredTool(name="t", description="d", coroutine=run, args_schema=schema)])
    given = {"o": {"a": "x", "b": None, "n": None}, "l": [{"a": "y", "b": None}], "e": None}
    assert not (await tools.run(call("t", given))).is_error
    assert seen == [{"o": {"a": "x", "n": None}, "l": [{"a": "y"}]}]
    assert given["e"] is None
    assert (await tools.run(call("t", {"o": {"a": None}}))).is_error
    assert (await tools.run(call("t", {"o": None}))).is_error
    answered = schema_of(tools.compile("openai", strict=True))
    assert answered["required"] == ["o", "l", "e"]


@pytest.mark.covers("tools:run:checked")
async def test_a_pattern_of_another_language_does_not_stop_a_tool() -> None:
    """JSON Schema's patterns are JavaScript's; one that Python does not know is not checked, one that it knows is."""

    async def run(**arguments: Any) -> str:
        return "ran"

    def with_pattern(pattern: str) -> Tools:
        schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}}
        return Tools([StructuredTool(name="t", description="d", coroutine=run, args_schema=schema)])

    assert (await with_pattern(r"^\p{L}+$").run(call("t", {"a": "1"}))).content == "ran"
    assert (await with_pattern(r"^[a-z]$").run(call("t", {"a": "1"}))).is_error
    assert not (await with_pattern(r"^[a-z]$").run(call("t", {"a": "b"}))).is_error


@pytest.mark.covers("tools:run:checked")
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"$ref": "https://example.com/x"}}},
        {"type": "object", "properties": {"a": {"type": "nonsense"}}},
        {"type": "object", "patternProperties": {"(": {}}},
    ],
)
async def test_a_tool_whose_schema_cannot_be_checked_is_not_run(schema: dict[str, Any]) -> None:
    """A reference that leads out (nothing is fetched), an unknown type, a broken pattern: an error of the tool."""

    async def run(**arguments: Any) -> str:
        raise AssertionError("it ran")

    tools = Tools([StructuredTool(name="t", description="d", coroutine=run, args_schema=schema)])
    result = await tools.run(call("t", {"a": 1}))
    assert result.is_error
    assert "schema cannot be" in result.content


def _raises(error: BaseException) -> Callable[[], str]:
    def failing() -> str:
        """Fails."""
        raise error

    return failing


@pytest.mark.covers("tools:run:errors")
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ToolError("the city is unknown"), "the city is unknown"),
        (ToolException("the city is unknown"), "the city is unknown"),
        (ValueError("password hunter2"), "the tool failed (ValueError)"),
        (KeyError("hunter2"), "the tool failed (KeyError)"),
        (TimeoutError("hunter2"), "the tool failed (TimeoutError)"),
    ],
)
async def test_an_error_reaches_the_model_without_what_is_inside(
    error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Only texts that are meant for it; the caller finds the exception in `cause`, and no repr or log shows its text."""
    result = await Tools([_raises(error)]).run(call("failing", {}))
    assert (result.content, result.is_error) == (told, True)
    assert (type(result.cause), str(result.cause)) == (type(error), str(error))
    assert "hunter2" not in repr(result) + caplog.text


@pytest.mark.covers("tools:run:errors")
async def test_langchains_own_handling_of_errors_is_kept() -> None:
    """A tool that turns its errors into messages gives an error with its text."""

    @tool
    def strict_tool(word: str) -> str:
        """Refuses."""
        raise ToolException("not this word")

    strict_tool.handle_tool_error = "told to the model"
    result = await Tools([strict_tool]).run(call("strict_tool", {"word": "x"}))
    assert (result.content, result.is_error) == ("told to the model", True)


@pytest.mark.covers("tools:run:errors")
async def test_a_call_of_a_tool_that_there_is_not_is_told_to_the_model() -> None:
    """With the names that there are."""
    result = await Tools([forecast, WebSearch()]).run(call("forecats", {}))
    assert result == Result("c1", "forecats", "there is no tool 'forecats'; there are: forecast", True)
    assert "there are: none" in (await Tools([]).run(call("x"))).content


@pytest.mark.covers("tools:run:errors")
async def test_arguments_that_the_function_converts_and_does_not_like_are_told() -> None:
    """What its types check beyond the schema; the function does not run."""

    def on(day: datetime.date) -> str:
        """On a day."""
        return f"{day:%A}"

    tools = Tools([on])
    assert (await tools.run(call("on", {"day": "2026-11-24"}))).content == "Tuesday"
    result = await tools.run(call("on", {"day": "2026-13-40"}))
    assert result.is_error
    assert result.content.startswith("the arguments do not fit: day: Input should be a valid date")


@pytest.mark.covers("tools:run:results")
@pytest.mark.parametrize(
    ("value", "content", "is_error"),
    [
        ("text", "text", False),
        (None, "null", False),
        ([1, {"a": "ü"}], '[1,{"a":"ü"}]', False),
        (Place(city="Rome"), '{"city":"Rome","country":"FR"}', False),
        (b"\xff\xfe", "the tool gave a bytes, which is no JSON", True),
        (object(), "the tool gave a object, which is no JSON", True),
    ],
)
async def test_a_result_is_a_text_that_every_vendor_takes(value: Any, content: str, is_error: bool) -> None:
    """Texts as they are, everything else as JSON, and what is none as an error without its repr."""

    def give() -> Any:
        """Gives."""
        return value

    result = await Tools([give]).run(call("give", {}))
    assert (result.content, result.is_error) == (content, is_error)


@pytest.mark.covers("tools:run:results")
async def test_the_text_of_a_langchain_message_is_the_content() -> None:
    """Text blocks are joined; other blocks stay, as JSON."""

    @tool
    def blocks(text: bool) -> Any:
        """Gives blocks."""
        texts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
        return texts if text else [{"type": "image", "url": "https://example.com/a.png"}]

    tools = Tools([blocks])
    assert (await tools.run(call("blocks", {"text": True}))).content == "a\nb"
    assert '"https://example.com/a.png"' in (await tools.run(call("blocks", {"text": False}))).content
    message = ToolMessage("x", tool_call_id="c1")
    assert message.content == "x"


@pytest.mark.covers("tools:run:time")
async def test_a_call_that_takes_too_long_is_given_up() -> None:
    """Async ones are cancelled; the thread of a synchronous one is left to itself. The rest of the process goes on."""
    cancelled: list[bool] = []
    release = threading.Event()

    async def slow() -> str:
        """Waits."""
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)
        return ""

    def stuck() -> str:
        """Waits in a thread."""
        release.wait(20)
        return ""

    tools = Tools([slow, stuck], timeout=0.05)
    for name in ("slow", "stuck"):
        result = await tools.run(call(name, {}))
        assert (result.content, result.is_error) == ("the tool did not answer within 0.05 seconds", True)
    release.set()
    assert cancelled == [True]


@pytest.mark.covers("tools:run:time")
async def test_a_call_that_is_cancelled_is_cancelled() -> None:
    """It gives no result."""
    started = asyncio.Event()

    async def slow() -> str:
        """Waits."""
        started.set()
        await asyncio.Event().wait()
        return ""

    task = asyncio.create_task(Tools([slow], timeout=None).run(call("slow", {})))
    await asyncio.wait_for(started.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.covers("tools:run:calls")
async def test_a_function_keeps_the_context_of_its_caller() -> None:
    """Also in its thread."""
    where = contextvars.ContextVar("where", default="nowhere")

    def here() -> str:
        """Says where."""
        return f"{where.get()} {threading.current_thread() is not threading.main_thread()}"

    where.set("here")
    assert (await Tools([here]).run(call("here", {}))).content == "here True"


@pytest.mark.covers("tools:run:refused")
async def test_what_cannot_be_run_at_all_is_the_callers_error() -> None:
    """A definition without anything that runs it, and what is no call."""
    with pytest.raises(InvalidRequest, match="'raw' is a definition without anything that runs it"):
        await Tools([RAW]).run(call("raw", {}))
    wrongs: list[Any] = [{"args": {}}, "raw", None, 7]
    for wrong in wrongs:
        with pytest.raises(InvalidRequest, match="a call has a name, args and an id"):
            await Tools([RAW]).run(wrong)
    assert of({"type": "object"}).names == ["t"]
