"""The rule responder in conversation: what it recalls, which functions it calls, how it answers; and the scripted responder."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bridge.backends.local.responders import Ending, ScriptedResponder, Turn
from bridge.backends.local.responders.rules.answers import NOTE
from bridge.backends.local.responders.scripted import ScriptExhausted
from bridge.interactions import FunctionCall, FunctionResult, ModelOutput, TextContent, Thought, Unknown, UserInput

from .asking import AGENT, TEXT, WEATHER, WHOLE, ask, calls, function, kinds, say, talk, text_of, turn


def result(value: Any, call_id: str = "call0001", **more: Any) -> dict[str, Any]:
    return {"type": "function_result", "call_id": call_id, "name": "get_weather", "result": value, **more}


def as_json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "mime_type": "application/json", "schema": schema}


# --- honesty -----------------------------------------------------------------------------------------------------------------


@pytest.mark.covers("local:rules:honest")
@pytest.mark.parametrize("words", ["Hello", "The budget is 500.", "How many moons has Jupiter?", "Write a poem."])
async def test_every_answer_in_words_says_that_no_model_gave_it(words: str) -> None:
    """The note stands at the end of each answer, and what is not known is said to be not known."""
    answer = await say(words)
    assert answer.endswith(NOTE)
    assert "stand-in, not a model" in NOTE
    if words.endswith("?"):
        assert "Nothing in this conversation answers this" in answer


@pytest.mark.covers("local:rules:thought")
async def test_an_answer_begins_with_a_signed_thought_that_has_a_summary_only_where_one_is_asked_for() -> None:
    """As the API does; the same turn has the same signature, another one another."""
    silent = (await ask("Hello"))[0]
    shown = (await ask("Hello", generation_config={"thinking_summaries": "auto"}))[0]
    other = (await ask("Hello you", generation_config={"thinking_summaries": "none"}))[0]
    assert {type(step) for step in (silent, shown, other)} == {Thought}
    assert (silent.summary, other.summary) == (None, None)
    assert shown.summary
    assert silent.signature == shown.signature != other.signature
    assert base64.b64decode(silent.signature or "", validate=True)


@pytest.mark.covers("local:rules:deterministic")
async def test_the_same_turn_has_the_same_steps() -> None:
    """Two runs of one turn are equal on the wire."""
    for words, fields in (("What's the weather in Oslo and Paris?", {"tools": [WEATHER]}), ("Who are you?", {})):
        first, second = await ask(words, **fields), await ask(words, **fields)
        assert [step.to_wire() for step in first] == [step.to_wire() for step in second]


# --- memory ------------------------------------------------------------------------------------------------------------------


@pytest.mark.covers("local:rules:recall")
@pytest.mark.parametrize(
    ("question", "known"),
    [
        ("What did I say the budget is?", "500"),
        ("what's the budget", "500"),
        ("Remind me: what was the budget?", "500"),
        ("What is my name?", "Anna"),
        ("Who am I?", "Anna"),
        ("Where does the team meet?", "Bergen"),
        ("Tell me when the deadlines are", "Friday"),
        ("What is in the boxes?", "eggs"),
    ],
)
async def test_a_question_is_answered_from_what_the_user_said(question: str, known: str) -> None:
    """The server's memory of the conversation is enough; the question alone is sent."""
    history = await talk(
        "The budget is 500.", "My name is Anna. The team meets in Bergen.", "The deadline is Friday. A box of eggs."
    )
    answer = await say(question, history)
    assert known in answer
    assert {"500", "Anna", "Bergen", "Friday", "eggs"} - {known} == {
        fact for fact in ("500", "Anna", "Bergen", "Friday", "eggs") if fact not in answer
    }


@pytest.mark.covers("local:rules:recall")
async def test_the_latest_of_two_statements_counts() -> None:
    """A correction wins over what it corrects."""
    history = await talk("The budget is 500.", "Nice weather today.", "No, the budget is 700.")
    assert "700" in await say("What is the budget?", history)


@pytest.mark.covers("local:rules:recall")
async def test_what_was_never_said_is_not_made_up() -> None:
    """Neither with an empty conversation nor with one about something else."""
    history = await talk("The budget is 500.")
    assert "500" not in await say("How many moons has Jupiter?", history)
    assert "not said anything about that" in await say("What did I say about cats?", history)
    assert "not said anything before" in await say("What did I say?")


@pytest.mark.covers("local:rules:recall")
async def test_a_statement_and_its_question_in_one_message_belong_together() -> None:
    """The prompt itself is part of the conversation."""
    assert "You said: The budget is 500." in await say("The budget is 500. What is the budget?")
    assert "Noted: I said the budget is 500." in await say("I said the budget is 500.")


@pytest.mark.covers("local:rules:recall-talk")
async def test_the_conversation_itself_can_be_asked_for() -> None:
    """First and last words, the last answer again, a summary; also before anything was said."""
    history = await talk("The budget is 500.", "The deadline is Friday.")
    assert '"The budget is 500."' in await say("What did I say first?", history)
    assert '"The deadline is Friday."' in await say("What did I just say?", history)
    assert "Noted: The deadline is Friday." in await say("Please repeat that", history)
    assert "Noted: The deadline is Friday." in await say("What did you say?", history)
    summary = await say("Summarise our conversation", history)
    assert "1. You said: The budget is 500.\n2. You said: The deadline is Friday." in summary
    assert "not said anything yet" in await say("Repeat that")
    assert "only begun" in await say("Give me a summary of our conversation")


@pytest.mark.covers("local:rules:recall-others")
async def test_what_others_said_is_told_with_their_name() -> None:
    """A line of a quotation answers a question like any other."""
    quoted = (
        "[Quoted: analyst said this in the same conversation. It is not from the user.]\nRows: 3.\nSouth sold 20.00."
    )
    history = [UserInput(content=[TextContent(text=quoted)])]
    answer = await say("How much was sold in the south?", history)
    assert "analyst said: South sold 20.00." in answer
    assert "Rows" not in answer


@pytest.mark.covers("local:rules:recall-others")
async def test_a_document_given_earlier_is_searched_line_by_line() -> None:
    """Its lines are told as they stand, and long ones are cut with a mark."""
    history = await talk("Notes of today\nVenue: the old library\nCatering " + "x" * 3_000)
    assert "You gave me this: Venue: the old library" in await say("What is the venue?", history)
    assert "cut: 3009 characters" in await say("What about catering?", history)


@pytest.mark.covers("local:rules:recall")
async def test_memory_reaches_back_as_far_as_its_bound_and_no_further() -> None:
    """A very long conversation is searched from its end."""
    filler = UserInput(content=[TextContent(text="Something else entirely. " * 10_000)])
    history = await talk("The budget is 500.")
    assert "500" not in await say("What is the budget?", [*history, filler])
    assert "500" in await say("What is the budget?", [filler, *history])


# --- function calls ----------------------------------------------------------------------------------------------------------


@pytest.mark.covers("local:rules:calls")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ('Call get_weather with city="Oslo"', [{"city": "Oslo"}]),
        ("Please use `get_weather` for city: New York.", [{"city": "New York"}]),
        ("What's the weather in Oslo?", [{"city": "Oslo"}]),
        ("what is the weather in oslo?", [{"city": "oslo"}]),
        ("Weather for San Francisco, CA please", [{"city": "San Francisco, CA"}]),
        ("What is the weather in Oslo and Paris?", [{"city": "Oslo"}, {"city": "Paris"}]),
        ("How is the weather in Oslo, and how is it in Paris?", [{"city": "Oslo"}, {"city": "Paris"}]),
        ("Compare the weather in Oslo, Paris and Rome.", [{"city": "Oslo"}, {"city": "Paris"}, {"city": "Rome"}]),
        ("Weather in Oslo, Paris, Rome?", [{"city": "Oslo"}, {"city": "Paris"}, {"city": "Rome"}]),
        ("Weather in Oslo, Norway and Paris, France?", [{"city": "Oslo, Norway"}, {"city": "Paris, France"}]),
        ('Call get_weather with city="Oslo" and get_weather with city="Paris"', [{"city": "Oslo"}, {"city": "Paris"}]),
        ("For Oslo, call get_weather.", [{"city": "Oslo"}]),
        ("Call get_weather with city=Oslo and tell me what get_weather says", [{"city": "Oslo"}]),
        ("Call get_weather(Oslo)", [{"city": "Oslo"}]),
        ('Call get_weather with {"city": "Oslo"}', [{"city": "Oslo"}]),
        ("The weather in Oslo is nice.", []),
        ("Do not call get_weather for Oslo", []),
        ("What is the capital of Norway?", []),
        ("What did I say about the weather in Oslo?", []),
        ("Call get_weather with city=Oslo, city=Oslo", [{"city": "Oslo"}]),
        ("Hello", []),
    ],
)
async def test_a_declared_function_is_called_when_the_prompt_fits_it(
    words: str, expected: list[dict[str, Any]]
) -> None:
    """Named, or asked for in its own words; once for each thing asked about; not where nothing is asked of it."""
    assert await calls(words, tools=[WEATHER]) == [("get_weather", arguments) for arguments in expected]


@pytest.mark.covers("local:rules:calls-arguments")
@pytest.mark.parametrize(
    ("words", "tool", "expected"),
    [
        ("Call lookup with key 'A17'", function("lookup", key=TEXT), [{"key": "A17"}]),
        ("Look up the entry with key A17", function("lookup", key=TEXT), [{"key": "A17"}]),
        ("Call lookup with keys 'A17' and 'B2'", function("lookup", key=TEXT), [{"key": "A17"}, {"key": "B2"}]),
        (
            "What is the value of magic_function(3)? Use the tool.",
            function("magic_function", input=WHOLE),
            [{"input": 3}],
        ),
        ("Call f with a=1 and b=true", function("f", a=WHOLE, b={"type": "boolean"}), [{"a": 1, "b": True}]),
        ('Call f with {"a": 5, "b": false}', function("f", a=WHOLE, b={"type": "boolean"}), [{"a": 5, "b": False}]),
        ("Use add to sum 3 and 4", function("add", a=WHOLE, b=WHOLE), [{"a": 3, "b": 4}]),
        ("Use add to sum 3 and 3", function("add", a=WHOLE, b=WHOLE), [{"a": 3, "b": 3}]),
        ("Call f with n 3 and 4", function("f", n=WHOLE), [{"n": 3}, {"n": 4}]),
        ("Call f with price 1,250.50", function("f", price={"type": "number"}), [{"price": 1250.5}]),
        ("Use f on x = -2.5e3", function("f", x={"type": "number"}), [{"x": -2500}]),
        (
            "Forecast for Oslo for 3 days in celsius",
            function(
                "get_forecast",
                "Weather forecast",
                ["city"],
                city=TEXT,
                days=WHOLE,
                unit={"enum": ["celsius", "kelvin"]},
            ),
            [{"city": "Oslo", "days": 3, "unit": "celsius"}],
        ),
        ("Call f for Oslo", function("f", required=["city"], city=TEXT, days=WHOLE), [{"city": "Oslo"}]),
        ("Call f for Oslo", function("f", required=[], city=TEXT), [{"city": "Oslo"}]),
        ("Call f for Oslo", function("f", required=[], city=TEXT, land=TEXT), [{"city": "Oslo"}]),
        ("Call f", function("f", required=[], city=TEXT), [{}]),
        ("Call f", function("f", n={**WHOLE, "minimum": 7}), [{"n": 7}]),
        ("Call f", function("f", when={"type": "string", "format": "date"}), [{"when": "2026-01-01"}]),
        ("Call f on 2025-03-04", function("f", when={"type": "string", "format": "date"}), [{"when": "2025-03-04"}]),
        (
            "Mail a@example.org: call f",
            function("f", to={"type": "string", "format": "email"}),
            [{"to": "a@example.org"}],
        ),
        ("Call f for ticker ABC", function("f", t={"type": "string", "pattern": "^[A-Z]{3}$"}), [{"t": "ABC"}]),
        (
            "Call f with tags: red, green and blue",
            function("f", tags={"type": "array", "items": TEXT}),
            [{"tags": ["red", "green", "blue"]}],
        ),
        ('Call f with tags=["a", "b"]', function("f", tags={"type": "array", "items": TEXT}), [{"tags": ["a", "b"]}]),
        (
            "Call f with numbers 1, 2 and 3",
            function("f", numbers={"type": "array", "items": WHOLE}),
            [{"numbers": [1, 2, 3]}],
        ),
        ("Call f with 5 and 6", function("f", ns={"type": "array", "items": WHOLE}), [{"ns": [5, 6]}]),
        (
            "Call f in Oslo and Paris",
            function("f", places={"type": "array", "items": TEXT}),
            [{"places": ["Oslo", "Paris"]}],
        ),
        (
            "Call f with red and blue",
            function("f", colours={"type": "array", "items": {"enum": ["red", "green", "blue"]}}),
            [{"colours": ["red", "blue"]}],
        ),
        ("Call f verbose", function("f", required=[], verbose={"type": "boolean"}), [{"verbose": True}]),
        ("Call f without caching", function("f", required=[], caching={"type": "boolean"}), [{"caching": False}]),
        ("Call f with caching: off", function("f", required=[], caching={"type": "boolean"}), [{"caching": False}]),
        (
            "Call f with customer_name Anna and street: 'Main Road 5'",
            function(
                "f",
                customer={
                    "type": "object",
                    "properties": {"customer_name": TEXT, "street": TEXT},
                    "required": ["street"],
                },
            ),
            [{"customer": {"customer_name": "Anna", "street": "Main Road 5"}}],
        ),
        ("Search the web: call search with 'blue whales'", function("search", query=TEXT), [{"query": "blue whales"}]),
        ("Find out how tall trees grow", function("search", "Find out things", query=TEXT), []),
        (
            "Create a customer named '你好啊集团' (Hello Group)",
            function("create_customer", customer_name=TEXT),
            [{"customer_name": "你好啊集团"}],
        ),
        ("Call f with flag true", function("f", flag={"const": 3}), [{"flag": 3}]),
        ("Call f for Oslo", function("f", city={"anyOf": [{"type": "null"}, TEXT]}), [{"city": "Oslo"}]),
        ("Call f", function("f", city={"type": ["string", "null"]}), [{"city": None}]),
        (
            "Call f with unit: kelvin",
            function("f", required=[], unit={"enum": ["celsius", "kelvin"]}),
            [{"unit": "kelvin"}],
        ),
        ("Call f", function("f", unit={"enum": ["celsius", "kelvin"], "default": "kelvin"}), [{"unit": "kelvin"}]),
        (
            'Call f with {"deep": true, "n": NaN}',
            function("f", required=[], deep={"type": "boolean"}, n=WHOLE),
            [{"deep": True}],
        ),
        ("Call f with deep: maybe", function("f", required=[], deep={"type": "boolean"}), [{"deep": True}]),
        ('Call f with options={"a": 1}', function("f", options={"type": "object"}), [{"options": {"a": 1}}]),
        ('Call f with options={"a": 1e999} for x', function("f", options={"type": "object"}), [{"options": {}}]),
        (
            "Call f for 2025-01-02 and 2025-03-04",
            function("f", day={"type": "string", "format": "date"}),
            [{"day": "2025-01-02"}, {"day": "2025-03-04"}],
        ),
        ("Call f with p 3 and q 7", function("f", p=WHOLE, q=WHOLE), [{"p": 3, "q": 7}]),
        ("Call f for cities and towns", function("f", addresses={"type": "array", "items": TEXT}), [{"addresses": []}]),
        ("Use search for big whales", function("search", query=TEXT), [{"query": "big whales"}]),
        ("Call f", function("f", n={"anyOf": [WHOLE, {"type": "null"}], "default": 4}), [{"n": 4}]),
    ],
)
async def test_arguments_are_filled_from_the_schema_and_the_prompt(
    words: str, tool: dict[str, Any], expected: list[dict[str, Any]]
) -> None:
    """Named values, quotations, numbers, names, choices; required fields first, optional ones where the prompt gives them."""
    assert await calls(words, tools=[tool]) == [(tool["name"], arguments) for arguments in expected]


@pytest.mark.covers("local:rules:calls-choice")
async def test_tool_choice_forces_forbids_and_narrows() -> None:
    """none never calls; any and allowed tools call even for a greeting; auto and validated call what fits."""
    tools = [function("ping"), WEATHER]

    async def chosen(words: str, choice: Any) -> list[str]:
        return [name for name, _ in await calls(words, tools=tools, generation_config={"tool_choice": choice})]

    def allow(mode: str | None, *names: str) -> dict[str, Any]:
        return {"allowed_tools": {"mode": mode, "tools": list(names)}}

    assert await chosen("What's the weather in Oslo?", "none") == []
    assert await chosen("Hello!", "any") == ["ping"]
    assert await chosen("What's the weather in Oslo?", "any") == ["get_weather"]
    assert await chosen("Hello!", allow("any", "get_weather")) == ["get_weather"]
    assert await chosen("Hello!", allow("validated", "get_weather")) == ["get_weather"]
    assert await chosen("Hello!", allow("auto", "get_weather")) == []
    assert await chosen("What's the weather in Oslo?", allow("any", "ping")) == ["ping"]
    assert await chosen("What's the weather in Oslo?", allow("none", "get_weather")) == []
    assert await chosen("What's the weather in Oslo?", {}) == ["get_weather"]
    for choice in ("auto", "validated"):
        assert await chosen("What's the weather in Oslo?", choice) == ["get_weather"]
        assert await chosen("Hello!", choice) == []


@pytest.mark.covers("local:rules:calls-choice")
async def test_a_forced_call_without_words_or_parameters_is_still_a_call() -> None:
    """A picture alone, and a function that declares nothing."""
    picture = [{"type": "image", "data": "aGVsbG8=", "mime_type": "image/png"}]
    tool = {"type": "function", "name": "look"}
    assert await calls(picture, tools=[tool], generation_config={"tool_choice": "any"}) == [("look", {})]
    assert await calls("Hello", tools=[WEATHER], generation_config={"tool_choice": "any"}) == [
        ("get_weather", {"city": "unknown"})
    ]
    assert await calls("Call odd", tools=[{"type": "function", "name": "odd", "parameters": {"type": "string"}}]) == [
        ("odd", {})
    ]


@pytest.mark.covers("local:rules:calls-several")
async def test_several_functions_are_called_in_the_order_they_are_named() -> None:
    """Each with the values that stand behind its own name."""
    tools = [function("get_time", zone=TEXT), WEATHER]
    words = "Call get_weather with city=Oslo and get_time with zone: Europe/Oslo."
    assert await calls(words, tools=tools) == [("get_weather", {"city": "Oslo"}), ("get_time", {"zone": "Europe/Oslo"})]
    ids = [step.id for step in await ask(words, tools=tools) if isinstance(step, FunctionCall)]
    assert len(set(ids)) == 2


@pytest.mark.covers("local:rules:calls-several")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("What's the weather in Oslo?", ["get_weather"]),
        ("What is the weather forecast for Oslo?", ["get_weather_forecast"]),
        ("Set the weather to sunny in Oslo", ["set_weather"]),
        ("What is the current temperature of Oslo?", ["fetch"]),
        ("What is the stock price of ABC?", ["getStockPrice"]),
    ],
)
async def test_of_similar_functions_the_one_that_fits_best_is_called(words: str, expected: list[str]) -> None:
    """By its name's words, its verb, or its description."""
    tools = [
        WEATHER,
        function("get_weather_forecast", "Forecast the weather.", city=TEXT),
        function("set_weather", "Change it.", city=TEXT),
        function("fetch", "Return the current temperature.", city=TEXT),
        function("getStockPrice", "Market data.", symbol=TEXT),
    ]
    assert [name for name, _ in await calls(words, tools=tools)] == expected


@pytest.mark.covers("local:rules:results")
async def test_the_answer_uses_the_results_of_the_functions() -> None:
    """Function, arguments and every nested value; an error is called one."""
    history = await talk("What's the weather in Oslo?", tools=[WEATHER])
    answer = await say(
        [result({"sky": "clear", "wind": {"speed": 3, "from": ["N", "W"]}, "days": [{"t": 1}, {"t": 2}]})],
        history,
        tools=[WEATHER],
    )
    for fact in (
        'get_weather(city="Oslo") returned',
        "sky = clear",
        "wind.speed = 3",
        "wind.from = N, W",
        "days[1].t = 2",
    ):
        assert fact in answer
    assert "get_weather" in (failed := await say([result("no such city", is_error=True)], history, tools=[WEATHER]))
    assert "failed: no such city" in failed
    assert "returned: 21" in await say([result("21")], history, tools=[WEATHER])
    assert "celsius = 21" in await say([result('{"celsius": 21}')], history, tools=[WEATHER])
    assert "an empty list" in await say([result("[]")], history, tools=[WEATHER])
    assert "and 50 more values" in await say([result({str(n): n for n in range(150)})], history, tools=[WEATHER])
    picture = [{"type": "text", "text": "a map"}, {"type": "image", "data": "aGVsbG8=", "mime_type": "image/png"}]
    assert "a map\nan image (image/png, 5 bytes)" in await say([result(picture)], history, tools=[WEATHER])


@pytest.mark.covers("local:rules:results-loop")
@pytest.mark.parametrize("choice", ["auto", "any"])
async def test_a_loop_of_calls_ends(choice: str) -> None:
    """A result ends the need for its call, also where calls are forced; what is still missing is called alone."""
    fields = {"tools": [WEATHER], "generation_config": {"tool_choice": choice}}
    history = await talk("What is the weather in Oslo and Paris?", **fields)
    one = await ask([result({"t": 1}, "call0001")], history, **fields)
    assert [(step.name, step.arguments) for step in one if isinstance(step, FunctionCall)] == [
        ("get_weather", {"city": "Paris"})
    ]
    both = await ask([result({"t": 1}, "call0001"), result({"t": 2}, "call0002")], history, **fields)
    assert kinds(both) == ["model_output"]
    assert "t = 1" in text_of(both)
    assert "t = 2" in text_of(both)


@pytest.mark.covers("local:rules:results-loop")
async def test_a_call_that_came_back_with_other_arguments_is_not_made_again() -> None:
    """Someone who edits a call before it runs does not get it back for ever."""
    question = UserInput(content=[TextContent(text="What's the weather in Oslo?")])
    edited = FunctionCall(id="call0001", name="get_weather", arguments={"city": "Bergen"})
    steps = await ask([result({"t": 1})], [question, edited], tools=[WEATHER])
    assert kinds(steps) == ["model_output"]


@pytest.mark.covers("local:rules:results-loop")
async def test_a_new_question_may_call_the_same_function_again() -> None:
    """Results belong to the question they answered."""
    history = await talk("What's the weather in Oslo?", [result({"t": 1})], tools=[WEATHER])
    assert await calls("What's the weather in Oslo?", history, tools=[WEATHER]) == [("get_weather", {"city": "Oslo"})]


@pytest.mark.covers("local:rules:results")
async def test_results_sent_along_with_new_words_are_used() -> None:
    """A caller may answer a call and speak on in one turn, and send the whole conversation itself."""
    history = await talk("What's the weather in Oslo?", tools=[WEATHER])
    words = {"type": "user_input", "content": [{"type": "text", "text": "Thank you."}]}
    assert "t = 1" in await say([result({"t": 1}), words], history)
    stateless = [step.to_wire() for step in history] + [result({"t": 2})]
    assert "t = 2" in await say(stateless, tools=[WEATHER], store=False)
    alone = FunctionResult(call_id="gone0001", result={"t": 3})
    assert "The function() returned: t = 3" in await say([alone.to_wire()])


# --- structured output -------------------------------------------------------------------------------------------------------


@pytest.mark.covers("local:rules:structured")
@pytest.mark.parametrize(
    ("words", "schema", "expected"),
    [
        (
            "Anna is 30 years old and lives in Bergen",
            {
                "$defs": {"Home": {"type": "object", "properties": {"city": TEXT}, "required": ["city"]}},
                "type": "object",
                "properties": {"name": TEXT, "age": WHOLE, "home": {"$ref": "#/$defs/Home"}},
                "required": ["name", "age", "home"],
            },
            {"name": "Anna", "age": 30, "home": {"city": "Bergen"}},
        ),
        (
            "List the cities: Oslo, Paris and Rome",
            {"type": "object", "properties": {"cities": {"type": "array", "items": TEXT}}, "required": ["cities"]},
            {"cities": ["Oslo", "Paris", "Rome"]},
        ),
        ("Is it good or bad? It is bad.", {"enum": ["good", "awful", "bad"]}, "good"),
        ("Count to 3", {"type": "array", "items": WHOLE}, [3]),
    ],
)
async def test_structured_output_is_valid_json_with_what_the_prompt_gives(
    words: str, schema: dict[str, Any], expected: Any
) -> None:
    """The text is JSON alone, so it carries no note."""
    assert json.loads(await say(words, response_format=as_json(schema))) == expected


@pytest.mark.covers("local:rules:structured")
async def test_what_the_prompt_does_not_give_is_marked_filler() -> None:
    """A joke's parts are about its subject and say who made them."""
    schema = {"type": "object", "properties": {"setup": TEXT, "punchline": TEXT}, "required": ["setup", "punchline"]}
    joke = json.loads(await say("Tell me a joke about cats.", response_format=as_json(schema)))
    assert set(joke) == {"setup", "punchline"}
    assert all("cats" in part for part in joke.values())
    assert "stand-in" in joke["punchline"]


@pytest.mark.covers("local:rules:structured-forms")
async def test_every_way_to_ask_for_json_is_understood() -> None:
    """A list of formats, JSON without a schema, and the older pair of schema and MIME type; plain text is none of them."""
    schema = {"type": "object", "properties": {"n": WHOLE}, "required": ["n"]}
    assert json.loads(await say("Take 5", response_format=[as_json(schema)])) == {"n": 5}
    assert json.loads(await say("Take 5", response_format={"type": "text", "schema": schema})) == {"n": 5}
    assert json.loads(await say("Take 5", response_format=schema, response_mime_type="application/json")) == {"n": 5}
    assert isinstance(json.loads(await say("Take 5", response_mime_type="application/json")), dict)
    keys = "Tell a joke as JSON with 'setup' and 'setup' and 'punchline' keys."
    assert set(json.loads(await say(keys, response_mime_type="application/json"))) == {"setup", "punchline"}
    assert isinstance(
        json.loads(await say("", response_format={"type": "text", "mime_type": "application/json"})), dict
    )
    assert (await say("Take 5", response_format={"type": "text", "mime_type": "text/plain"})).endswith(NOTE)


@pytest.mark.covers("local:rules:structured-results")
async def test_structured_output_after_a_call_holds_the_result() -> None:
    """First the call, then the JSON, filled from what came back."""
    form = as_json({"type": "object", "properties": {"celsius": {"type": "number"}}, "required": ["celsius"]})
    fields = {"tools": [WEATHER], "response_format": form}
    history = await talk("What's the weather in Oslo?", **fields)
    assert kinds(history) == ["user_input", "function_call"]
    assert json.loads(await say([result({"celsius": 21.5})], history, **fields)) == {"celsius": 21.5}


@pytest.mark.covers("local:rules:structured-media")
@pytest.mark.parametrize("kind", ["image", "audio", "video"])
async def test_a_format_that_is_no_text_ends_the_turn_with_its_name(kind: str) -> None:
    """Refused in words, never answered with something else."""
    *_, ending = await ask("Draw a cat", response_format={"type": kind})
    assert isinstance(ending, Ending)
    assert ending.status == "failed"
    assert kind in ending.errors[0][1]


# --- media, odd input --------------------------------------------------------------------------------------------------------


@pytest.mark.covers("local:rules:media")
async def test_media_is_acknowledged_by_kind_and_size() -> None:
    """Inline data by its bytes, a file by its address, and a part of an unknown kind by its name."""
    answer = await say(
        [
            {"type": "text", "text": "What is this?"},
            {"type": "image", "data": "aGVsbG8=", "mime_type": "image/png"},
            {"type": "document", "uri": "https://example.com/a.pdf", "mime_type": "application/pdf"},
            {"type": "audio", "data": "aGVsbG8h"},
        ]
    )
    assert "an image (image/png, 5 bytes)" in answer
    assert "a document (application/pdf, at https://example.com/a.pdf)" in answer
    assert "an audio (no type given, 6 bytes)" in answer
    hologram = UserInput(content=[Unknown("content", "hologram", {"type": "hologram"})])
    assert "a part of kind 'hologram'" in await say([hologram.to_wire()])
    assert "an image" in await say([{"type": "image", "data": "aGVsbG8="}])


@pytest.mark.covers("local:rules:total")
async def test_a_turn_without_words_still_has_an_answer() -> None:
    """Empty text, no content, steps of an unknown kind."""
    for odd in ("", [{"type": "user_input"}], [{"type": "hologram"}], [{"type": "model_output", "content": []}]):
        assert kinds(await ask(odd)) == ["model_output"]


@pytest.mark.covers("local:rules:bounded")
@pytest.mark.parametrize(
    "piece",
    [
        "x ",
        "'",
        "Call f with a=",
        "A ",
        "```\n",
        "{",
        "a,",
        "the budget ",
        "Write ",
        "in Oslo and ",
        "(1+",
        "1 ",
        "a.b/",
        '"a\n',
        "http://a",
        "run `",
    ],
)
async def test_a_very_long_prompt_is_looked_through_in_bounded_time(piece: str) -> None:
    """A megabyte of what would make a careless pattern run for hours; the limit is of CPU and generous."""
    tools = [function("f", a=TEXT, b=WHOLE), WEATHER, {"type": "code_execution"}]
    words = piece * (1_000_000 // len(piece))
    start = time.process_time()
    assert await ask(words, tools=tools)
    assert await ask(f"{words}?", [UserInput(content=[TextContent(text=words)])])
    assert time.process_time() - start < 10


# --- the scripted responder --------------------------------------------------------------------------------------------------


@pytest.mark.covers("local:scripted")
async def test_a_script_is_played_turn_by_turn() -> None:
    """Models, wire forms, endings, functions of the turn and async iterators; the turns it saw are kept."""

    async def later() -> AsyncIterator[Any]:
        yield {"type": "thought", "signature": "cw=="}
        yield Ending(status="incomplete")

    def echo(asked: Turn) -> list[Any]:
        return [ModelOutput(content=[TextContent(text=str(len(asked.input)))])]

    responder = ScriptedResponder(
        [
            [{"type": "model_output", "content": [{"type": "text", "text": "One"}]}],
            echo,
            later(),
            Ending(status="failed"),
            {"type": "thought"},
        ]
    )

    async def play(words: str) -> list[Any]:
        return [step async for step in responder.respond(turn(words))]

    assert text_of(await play("a")) == "One"
    assert text_of(await play("b")) == "1"
    assert [type(step).__name__ for step in await play("c")] == ["Thought", "Ending"]
    assert await play("d") == [Ending(status="failed")]
    assert await play("e") == [Thought()]
    assert [str(asked.request.input) for asked in responder.turns] == ["a", "b", "c", "d", "e"]


@pytest.mark.covers("local:scripted:errors")
async def test_a_script_raises_where_it_says_and_where_it_ends() -> None:
    """What stands before the exception is yielded; a turn too many is named."""
    responder = ScriptedResponder([[Thought(), ValueError("broken")]])
    steps = responder.respond(turn("a"))
    assert await anext(steps) == Thought()
    with pytest.raises(ValueError, match="broken"):
        await anext(steps)
    with pytest.raises(ScriptExhausted, match="1 turn and one more was asked for"):
        _ = [step async for step in responder.respond(turn("b"))]


@pytest.mark.covers("local:rules:calls")
async def test_an_agents_own_functions_are_called_too() -> None:
    """Functions of its definition count beside those of the request, which win over a namesake."""
    from bridge.interactions import Agent

    own = Agent.parse({"id": "helper", "base_agent": AGENT, "tools": [WEATHER, function("ping")]})
    assert await calls("What's the weather in Oslo?", agent="helper", definition=own) == [
        ("get_weather", {"city": "Oslo"})
    ]
    place = function("get_weather", "Weather", place=TEXT)
    assert await calls("Call get_weather for Oslo", agent="helper", definition=own, tools=[place]) == [
        ("get_weather", {"place": "Oslo"})
    ]
