"""Values for schemas: whatever the schema and the prompt, the responder's arguments and structured answers are valid."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bridge.backends.local.responders.rules.filling import fill
from bridge.backends.local.responders.rules.filling.patterns import sample

from .asking import TEXT, WHOLE, ask, calls, function, say

PATTERNS = [
    "^[A-Z]{3}$",
    r"^\d{4}-\d{2}$",
    "^(red|green)$",
    r"^[a-z]+(-[a-z0-9]+)*$",
    r"^\+?[0-9 ()]{7,}$",
    r"^v\d+\.\d+$",
    "a.c",
    "^[^a-z]*$",
]
FORMATS = [
    "date",
    "date-time",
    "time",
    "email",
    "uri",
    "uuid",
    "ipv4",
    "ipv6",
    "hostname",
    "duration",
    "no-such-format",
]
PROMPTS = st.one_of(
    st.text(max_size=200),
    st.sampled_from(
        [
            "Call f with a=1, b='two', c: [3, 4], d true and e in Oslo on 2025-03-04 with red and green, ABC and a@b.example",
            'Call f with {"a": 1, "b": "x", "c": {"a": [1]}}',
            "What is f of 3, -4.5, 1e3 and 1,000,000?",
            "Hello!",
        ]
    ),
)


def bounded(low: str, high: str, values: st.SearchStrategy[int]) -> st.SearchStrategy[dict[str, Any]]:
    """A lower and an upper bound, each perhaps absent, the lower not above the upper."""
    return st.tuples(values, values, st.booleans(), st.booleans()).map(
        lambda drawn: ({low: min(drawn[:2])} if drawn[2] else {}) | ({high: max(drawn[:2])} if drawn[3] else {})
    )


def merged(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda drawn: {name: value for part in drawn for name, value in part.items()})


SCALARS: st.SearchStrategy[Any] = st.one_of(st.integers(-9, 9), st.text(max_size=5), st.booleans(), st.none())
LEAVES: st.SearchStrategy[Any] = st.one_of(
    merged(st.just({"type": "string"}), bounded("minLength", "maxLength", st.integers(0, 30))),
    st.sampled_from(PATTERNS).map(lambda pattern: {"type": "string", "pattern": pattern}),
    st.sampled_from(FORMATS).map(lambda form: {"type": "string", "format": form}),
    merged(st.just({"type": "integer"}), bounded("minimum", "maximum", st.integers(-10_000, 10_000))),
    merged(st.just({"type": "number"}), bounded("minimum", "maximum", st.integers(-10_000, 10_000))),
    st.integers(-100, 100).map(lambda low: {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + 1}),
    st.integers(1, 60).map(lambda step: {"type": "integer", "multipleOf": step, "minimum": step + 1}),
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"type": ["integer", "null"]}),
    st.lists(SCALARS, min_size=1, max_size=4).map(lambda values: {"enum": values}),
    SCALARS.map(lambda value: {"const": value}),
    st.just({"$ref": "#/$defs/Shared"}),
    st.just(True),
    st.just({}),
)


def objects(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects, some of whose fields are required; closed or open ones."""
    fields = st.dictionaries(st.sampled_from(["a", "b", "c", "d_e", "kind"]), children, max_size=4)
    return st.tuples(fields, st.booleans(), st.randoms(use_true_random=False)).map(
        lambda drawn: {
            "type": "object",
            "properties": drawn[0],
            "required": [name for name in drawn[0] if drawn[2].random() < 0.5],
            "additionalProperties": drawn[1],
        }
    )


def containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    arrays = merged(
        children.map(lambda items: {"type": "array", "items": items}),
        bounded("minItems", "maxItems", st.integers(0, 5)),
    )
    return st.one_of(
        objects(children),
        arrays,
        st.integers(1, 5).map(
            lambda least: {"type": "array", "items": {"type": "integer"}, "minItems": least, "uniqueItems": True}
        ),
        st.lists(children, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
        objects(LEAVES).map(lambda part: {"allOf": [part, {"type": "object"}]}),
    )


SCHEMAS = st.recursive(LEAVES, containers, max_leaves=12)
SHARED = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
    "required": ["name"],
}


@pytest.mark.covers("local:rules:schema")
@given(schema=objects(SCHEMAS), prompt=PROMPTS)
async def test_arguments_are_valid_for_any_schema_that_can_be_satisfied(schema: dict[str, Any], prompt: str) -> None:
    """A forced call of a function with random parameters, for random words."""
    schema = {"$defs": {"Shared": SHARED}, **schema}
    tool = {"type": "function", "name": "f", "parameters": schema}
    made = await calls(prompt, tools=[tool], generation_config={"tool_choice": "any"})
    assert made
    for name, arguments in made:
        assert name == "f"
        Draft202012Validator(schema).validate(arguments)


@pytest.mark.covers("local:rules:schema")
@given(schema=SCHEMAS, prompt=PROMPTS)
async def test_structured_answers_are_valid_for_any_schema_that_can_be_satisfied(schema: Any, prompt: str) -> None:
    """Also where the answer is no object."""
    whole = {"$defs": {"Shared": SHARED}, "allOf": [schema]}
    form = {"type": "text", "mime_type": "application/json", "schema": whole}
    Draft202012Validator(whole).validate(json.loads(await say(prompt, response_format=form)))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False), st.text(max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "properties",
                    "required",
                    "items",
                    "enum",
                    "const",
                    "anyOf",
                    "oneOf",
                    "allOf",
                    "$ref",
                    "minimum",
                    "maximum",
                    "multipleOf",
                    "minLength",
                    "maxLength",
                    "pattern",
                    "format",
                    "minItems",
                    "maxItems",
                    "uniqueItems",
                    "prefixItems",
                    "minProperties",
                    "additionalProperties",
                    "default",
                    "examples",
                    "exclusiveMinimum",
                ]
            ),
            st.one_of(
                inner,
                st.sampled_from(["object", "array", "string", "STRING", "integer", "#", "#/properties/a", "[", "("]),
            ),
            max_size=5,
        ),
    ),
    max_leaves=12,
)


@pytest.mark.covers("local:rules:schema-odd")
@given(schema=JSON, prompt=PROMPTS)
async def test_what_is_no_schema_is_put_up_with(schema: Any, prompt: str) -> None:
    """A malformed part is left out of account; the turn has its call all the same."""
    tool = {"type": "function", "name": "f", "parameters": schema}
    assert await calls(prompt, tools=[tool], generation_config={"tool_choice": "any"})


@pytest.mark.covers("local:rules:schema-odd")
@pytest.mark.parametrize(
    ("schema", "words", "expected"),
    [
        ({"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}, "required": ["n"]}, "Take 5", {"n": 5}),
        ({"properties": {"n": {"type": "int"}, "m": WHOLE}, "required": ["m", 7]}, "Take m=5", {"m": 5}),
        ({"required": ["n"], "properties": {"n": {**WHOLE, "minimum": 2.0}}}, "Take it", {"n": 2}),
        ({"type": "object", "minProperties": 2, "additionalProperties": WHOLE}, "Take it", {"field1": 0, "field2": 0}),
        ({"prefixItems": [TEXT, WHOLE], "minItems": 2}, "Take 'a' and 5", ["a", 5]),
        ({"type": "array", "minItems": 2, "uniqueItems": True, "items": {"type": "boolean"}}, "x", [False, True]),
        ({"type": "array", "minItems": 2, "uniqueItems": True, "items": {"enum": ["a", "b"]}}, "x", ["a", "b"]),
        ({"type": "array", "minItems": 2, "uniqueItems": True, "items": TEXT}, "x", ["unknown", "unknown1"]),
        (
            {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "anyOf": [{"required": ["b"]}]},
            "x",
            {"b": "unknown"},
        ),
        ({"oneOf": [{"const": 1}, {"const": 2}]}, "x", 1),
        ({"allOf": [{"minimum": 3, "maximum": 9}, {"minimum": 5}], "type": "integer"}, "x", 5),
        ({"minimum": 0.25, "maximum": 0.75}, "x", 0.25),
        ({"exclusiveMinimum": 0, "exclusiveMaximum": 1}, "x", 0.5),
        ({"type": "integer", "minimum": 10**400}, "x", 10**400),
        ({"type": "integer", "minimum": 10**400, "multipleOf": 7}, "x", 10**400),
        ({"type": "string", "default": "d"}, "", "d"),
        ({"type": "string", "examples": ["e"], "pattern": "^e$"}, "", "e"),
        ({"$ref": "#/nowhere"}, "x", "unknown"),
        ({"$ref": "https://example.com/schema"}, "x", "unknown"),
        ({"not": {}}, "x", "unknown"),
        ({"enum": []}, "x", "unknown"),
        ({"type": "string", "pattern": "["}, "x", "x"),
        ({"$defs": {"a/b": WHOLE}, "$ref": "#/$defs/a~1b"}, "5", 5),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "string", "minLength": 3, "maxLength": 9}}, "required": ["a"]},
                    {"properties": {"a": {"minLength": 9}, "b": TEXT}, "required": ["b"]},
                ]
            },
            "x",
            {"a": "unknown..", "b": "unknown"},
        ),
        (
            {"properties": {"a": TEXT, "b": WHOLE}, "minProperties": 2, "additionalProperties": False},
            "x",
            {"a": "unknown", "b": 0},
        ),
        (
            {"properties": {"deep": {"type": "boolean"}}, "required": ["deep"], "additionalProperties": False},
            '{"deep": true, "more": 1.5}',
            {"deep": True},
        ),
        ({"type": "object", "properties": {"a": TEXT}}, "{ " * 30, {}),
        (17, "x", "unknown"),
        (True, "x", "unknown"),
    ],
)
def test_single_schemas_and_what_they_are_filled_with(schema: Any, words: str, expected: Any) -> None:
    """Corner cases by name: older dialects, bounds, choices, references, contradictions."""
    assert fill(schema, words).value == expected


@pytest.mark.covers("local:rules:schema-recursive")
@pytest.mark.timeout(20)
async def test_a_schema_that_refers_to_itself_ends() -> None:
    """Trees, any-JSON types and a reference that is nothing but itself."""
    tree = {
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {"v": WHOLE, "kids": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
                "required": ["v", "kids"],
            }
        },
        "$ref": "#/$defs/Node",
    }
    assert fill(tree, "v=3").valid
    choices = [
        {"type": "string"},
        {"type": "number"},
        {"type": "array", "items": {"$ref": "#"}},
        {"type": "object", "additionalProperties": {"$ref": "#"}},
    ]
    anything = {"anyOf": [*choices, {"$ref": "#"}], "type": ["string", "number", "array", "object"]}
    assert fill(anything, "x").valid
    assert fill({"$ref": "#"}, "x").value == "unknown"
    endless = {"$defs": {"L": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/L"}}}, "$ref": "#/$defs/L"}
    assert not fill(endless, "x").valid
    deep: Any = WHOLE
    for _ in range(2_000):
        deep = {"type": "array", "items": deep}
    assert fill(deep, "x").value == {}
    wide = {"type": "object", "properties": {f"p{n}": {"anyOf": [{"$ref": "#"}, {"type": "null"}]} for n in range(40)}}
    assert fill(wide | {"required": list(wide["properties"])}, "x").value is not None


@pytest.mark.covers("local:rules:schema-pattern")
@pytest.mark.parametrize(
    "pattern",
    [
        *PATTERNS,
        r"^\w+@\w+\.com$",
        "^[]x]$",
        "^[^]]$",
        r"^[\d\-]{3}$",
        r"^(?:ab|cd){2}(?P<x>e)?$",
        r"^(?<x>a)b$",
        "^a{2,}b{0,3}c*?d+?$",
        r"^\t\.\/\S\D\W\s$",
        r"\bword\b",
        "^$",
        "x{2}",
    ],
)
def test_a_text_is_made_for_a_pattern(pattern: str) -> None:
    """Whatever is made matches, and something that matches is made."""
    matching = [text for text in sample(pattern) if re.search(pattern.replace("(?<x>", "(?P<x>"), text)]
    assert matching


@pytest.mark.covers("local:rules:schema-pattern")
@pytest.mark.parametrize(
    "pattern", ["(?=a)b", r"(a)\1", "(a", "[a", "a)", "*a", r"a\\"[:-1], "[z-a]", r"[^\s\S]", "(" * 5_000, "(?"]
)
def test_a_pattern_that_is_not_understood_gives_nothing(pattern: str) -> None:
    """Look-around, back references and what is no expression at all."""
    assert sample(pattern) == []


@pytest.mark.covers("local:rules:schema-pattern")
def test_a_pattern_and_a_length_go_together() -> None:
    """An open count is drawn out to the least length."""
    schema = {"type": "string", "pattern": "^[a-z]+$", "minLength": 12}
    assert re.fullmatch("[a-z]{12,}", fill(schema, "").value)


@pytest.mark.covers("local:rules:total")
@given(prompt=st.text(max_size=400), earlier=st.lists(st.text(max_size=100), max_size=3))
async def test_any_words_have_an_answer(prompt: str, earlier: list[str]) -> None:
    """Random conversations: never an exception, always a step beside the thought."""
    from bridge.interactions import TextContent, UserInput

    history = [UserInput(content=[TextContent(text=text)]) for text in earlier]
    tools = [function("get_weather", "Get the weather.", city=TEXT), {"type": "code_execution"}]
    for fields in ({}, {"tools": tools}):
        assert len(await ask(prompt, history, **fields)) >= 2
