"""Schemas on their way to a vendor: what is sent means what the schema means, or the report says what is lost."""

from __future__ import annotations

import copy
import json
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from bridge.errors import InvalidRequest, ToolRefused
from bridge.tools import Row, Tools
from bridge.tools.schemas import Steps, compiled, read
from tests.tools.schemas import AWKWARD, DATA, MODES, mode_name, of, outcome, schema_of
from tests.tools.strategies import arguments, schemas

GOLDEN: dict[str, dict[str, Any]] = json.loads((DATA / "golden.json").read_text())
MODE_NAMES = [mode_name(*mode) for mode in MODES]


def fits(schema: Any, instance: Any) -> bool:
    """What jsonschema says, in the draft that the schema names. A schema whose references lead round and round says nothing."""
    try:
        return bool(validator_for(schema, default=Draft202012Validator)(schema).is_valid(instance))
    except RecursionError:
        assume(False)
        raise


@pytest.mark.covers("tools:compile:golden")
def test_the_golden_table_holds_every_awkward_schema_in_every_mode() -> None:
    """None is left out, and none stands there that is not tried."""
    assert len(AWKWARD) >= 28
    assert {name: list(row) for name, row in GOLDEN.items()} == dict.fromkeys(AWKWARD, MODE_NAMES)


@pytest.mark.covers("tools:compile:golden")
@pytest.mark.parametrize("name", AWKWARD)
def test_an_awkward_schema_becomes_what_the_golden_table_says(name: str) -> None:
    """In every mode the schema that is sent, or the refusal, and each row that is not "kept"."""
    for mode in MODES:
        made = outcome(AWKWARD[name]["schema"], *mode)
        assert {"sent": made.sent, "rows": made.rows} == GOLDEN[name][mode_name(*mode)]


@pytest.mark.covers("tools:compile:meaning")
@pytest.mark.parametrize("name", AWKWARD)
def test_what_is_checked_is_what_the_schema_says(name: str) -> None:
    """Examples that fit and that do not, against the schema as it was given and as it is read here."""
    case = AWKWARD[name]
    if not case["fits"] and not case["misfits"]:
        assert outcome(case["schema"], "interactions", False).sent is None
        return
    normal = compiled("t", read(case["schema"]), Steps())[0]
    for instances, expected in ((case["fits"], True), (case["misfits"], False)):
        for instance in instances:
            assert fits(case["schema"], instance) is expected
            assert fits(normal, instance) is expected


@pytest.mark.covers("tools:compile:meaning")
@pytest.mark.parametrize("name", AWKWARD)
def test_what_fits_can_be_answered_unless_the_report_says_otherwise(name: str) -> None:
    """Whatever fits the schema fits what is sent; what fits neither is not let in unless a row says that something is lost."""
    case = AWKWARD[name]
    for mode in MODES:
        made = outcome(case["schema"], *mode)
        if made.sent is None or any(row[3] for row in made.rows):
            continue
        for instances, expected in ((case["fits"], True), (case["misfits"], False)):
            for instance in instances:
                assert fits(made.sent, _said(made.sent, instance)) is expected


def _said(sent: Any, value: Any) -> Any:
    """A value with null for each property that strict mode wants and the value leaves out."""
    if isinstance(value, dict):
        wanted = {
            name: None for name in sent.get("required", ()) if "null" in json.dumps(sent["properties"].get(name, {}))
        }
        inner = sent.get("properties", {})
        return {**wanted, **{name: _said(inner.get(name, {}), item) for name, item in value.items()}}
    return value


def _compile(schema: Any, dialect: str, strict: bool) -> tuple[Any, list[Row]] | None:
    try:
        made = of(schema).compile(dialect, strict=strict)
    except ToolRefused:
        return None
    assert not any(row.action == "refused" for row in made.report)
    return schema_of(made), made.report


@pytest.mark.covers("tools:compile:meaning")
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(schemas(), st.lists(arguments(), min_size=1, max_size=5))
def test_reading_a_schema_changes_nothing_of_its_meaning(schema: Any, instances: list[Any]) -> None:
    """With references resolved, as with them: any instance is valid before iff it is valid after."""
    given_schema = copy.deepcopy(schema)
    try:
        normal = compiled("t", read(schema), Steps())[0]
    except InvalidRequest:
        assume(False)
    assert schema == given_schema
    for instance in instances:
        assert fits(schema, instance) == fits(normal, instance)


@pytest.mark.covers("tools:compile:law")
@pytest.mark.parametrize("usual", [True, False])
def test_what_a_dialect_claims_to_keep_keeps_its_meaning(usual: bool) -> None:
    """Where no row is lossy, an instance is valid before iff it is valid after; a null for what is optional counts as left out."""
    kept: Counter[str] = Counter()

    @settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
    @given(schemas(usual=usual), st.lists(arguments(), min_size=1, max_size=5))
    def law(schema: Any, instances: list[Any]) -> None:
        for dialect, strict in MODES:
            made = _compile(schema, dialect, strict)
            if made is None or any(row.lossy for row in made[1]):
                continue
            kept[mode_name(dialect, strict)] += 1
            sent, report = made
            nulls = strict and any(row.keyword == "required" and row.action == "rewritten" for row in report)
            for instance in instances:
                before, after = fits(schema, instance), fits(sent, instance)
                if not nulls:
                    assert before == after
                elif after:
                    assert fits(schema, _answered(schema, instance))

    law()
    assert all(kept[mode] for mode in (MODE_NAMES if usual else ("anthropic", "openai", "mcp"))), kept


@pytest.mark.covers("tools:compile:law")
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(schemas(), st.lists(arguments(), min_size=1, max_size=5))
def test_what_the_interactions_api_is_sent_means_the_same_even_where_it_ignores_it(
    schema: Any, instances: list[Any]
) -> None:
    """Merging, constants and references are another form of the same; only unions at the root are opened up."""
    assume(not schema.keys() & {"$ref", "allOf", "anyOf", "const", "else", "enum", "if", "not", "oneOf", "then"})
    made = _compile(schema, "interactions", False)
    assume(made is not None)
    assert made
    assert not any(row.lossy and row.action == "rewritten" for row in made[1])
    for instance in instances:
        assert fits(schema, instance) == fits(made[0], instance)


def _answered(schema: Any, instance: Any) -> Any:
    """The arguments that reach a tool."""
    from bridge.tools.definitions import Definition
    from bridge.tools.validating import fitting

    return fitting(Definition("t", "", schema).validator, instance)


@pytest.mark.covers("tools:compile:data")
def test_what_is_compiled_shares_nothing_with_what_was_given() -> None:
    """Definitions, schemas, defaults: each call gives values of its own, and changing them changes nothing else."""
    schema = {"type": "object", "properties": {"a": {"type": "object", "default": {"title": ["t"]}, "properties": {}}}}
    before = copy.deepcopy(schema)
    tools = of(schema)
    first = tools.compile("mcp")
    first.definitions[0]["inputSchema"]["properties"]["a"]["default"]["title"].append("changed")
    first.names.clear()
    schema["properties"]["a"]["default"]["title"].append("changed")  # type: ignore[index]
    assert tools.compile("mcp").definitions[0]["inputSchema"] == before
    assert tools.compile("mcp").names == {"t": "t"}


@pytest.mark.covers("tools:compile:references")
@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"$ref": "https://example.com/s.json"}, "leads out of the schema"),
        ({"$ref": "#/$defs/none"}, "leads nowhere in the schema"),
        ({"$ref": "#none"}, "leads nowhere"),
        ({"$ref": "#/title", "title": "t"}, "leads nowhere"),
        ({"$ref": 5}, "no text"),
        ({"$ref": "#"}, "itself"),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, "itself"),
        ({"properties": {"a": 5}}, "/properties/a is int"),
        ({"properties": []}, "/properties is no object"),
        ({"anyOf": {}}, "/anyOf is no list"),
        ("text", "is str"),
    ],
)
def test_what_is_no_schema_is_refused_with_its_place(schema: Any, told: str) -> None:
    """A reference that leads out, nowhere or to itself, and what is no schema: refused for every vendor, never fetched."""
    for mode in MODES:
        with pytest.raises(ToolRefused, match=told):
            of(schema).compile(mode[0], strict=mode[1])


@pytest.mark.covers("tools:compile:references")
def test_a_schema_nested_too_deeply_is_refused() -> None:
    """Not a crash of the interpreter's stack."""
    schema: dict[str, Any] = {}
    for _ in range(5_000):
        schema = {"items": schema}
    with pytest.raises(InvalidRequest, match=r"tools\[0\] is nested too deeply"):
        of(schema)
    levels = {f"L{n}": {"properties": {"a": {"$ref": f"#/$defs/L{n + 1}"}}} for n in range(1_000)}
    with pytest.raises(ToolRefused, match="nested too deeply"):
        of({"$ref": "#/$defs/L0", "$defs": {**levels, "L1000": {}}}).compile("mcp")


@pytest.mark.covers("tools:compile:references")
def test_references_that_double_are_not_written_out() -> None:
    """Forty levels of two references each, which would be a million million places, are compiled in no time."""
    levels = {f"L{n}": {"properties": {k: {"$ref": f"#/$defs/L{n - 1}"} for k in "ab"}} for n in range(1, 41)}
    schema = {"$ref": "#/$defs/L40", "$defs": {**levels, "L0": {"type": "string"}}}
    start = time.perf_counter()
    sent = schema_of(of(schema).compile("openai"))
    assert time.perf_counter() - start < 5
    assert len(json.dumps(sent)) < 100_000


@pytest.mark.covers("tools:compile:report")
def test_a_row_says_where_what_and_why() -> None:
    """The path is from the root of the arguments, without the tool's name; the text reads as a sentence."""
    report = of({"type": "object", "properties": {"a/b": {"type": "string", "maxLength": 5}}}, "tool.x").compile(
        "interactions"
    )
    (row,) = [row for row in report.report if row.action != "kept"]
    assert (row.tool, row.path, row.keyword, row.action, row.lossy) == (
        "tool.x",
        "/properties/a~1b",
        "maxLength",
        "ignored",
        True,
    )
    assert "documents it as ignored" in row.why
    assert str(row) == f"tool 'tool.x': maxLength at /properties/a~1b is ignored: {row.why}"
    assert report.lossy == [row]


@pytest.mark.covers("tools:compile:lossy")
def test_what_is_lost_can_be_an_error() -> None:
    """With `on_lossy="raise"`; the error holds the whole report. Any other word is refused."""
    tools = of({"type": "object", "properties": {"a": {"type": "string", "maxLength": 5, "enum": ["x"]}}})
    with pytest.raises(ToolRefused, match="maxLength at /properties/a is ignored") as caught:
        tools.compile("interactions", on_lossy="raise")
    assert [row.keyword for row in caught.value.report] == ["maxLength", "enum"]
    assert tools.compile("anthropic", on_lossy="raise").lossy == []
    with pytest.raises(InvalidRequest, match="on_lossy"):
        tools.compile("anthropic", on_lossy="ignore")  # type: ignore[arg-type]


@pytest.mark.covers("tools:compile:refused")
def test_every_tool_that_is_refused_is_told_at_once() -> None:
    """One error for all of them, five in words, the rest by number."""
    definitions = [{"name": f"t{n}", "parameters": {"type": "array"}} for n in range(7)]
    with pytest.raises(ToolRefused, match=r"tool 't0': type is refused.*tool 't4'.*and 2 more") as caught:
        Tools(definitions).compile("openai")
    assert caught.value.field == "tools"
    assert {row.tool for row in caught.value.report} == {f"t{n}" for n in range(7)}
