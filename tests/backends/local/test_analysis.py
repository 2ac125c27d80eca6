"""The CSV analysis: the program really run in the sandbox, against figures computed independently in CPython."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.backends.local.analysis import FILES, MAX_GROUPS, analysis_program, answer, parse_result
from bridge.backends.local.sandbox import MontySandbox

SALES = "region,product,units,unit_price\nNorth,apple,3,1.50\nSouth,pear,10,0.25\nNorth,pear,4,2\nEast,apple,1,1e1\n"


@pytest.fixture
async def sandbox() -> AsyncIterator[MontySandbox]:
    box = MontySandbox(memory=256 * 1024**2)
    yield box
    await box.aclose()


async def _analyse(box: MontySandbox, folder: Path, text: str | bytes, question: str | None = None) -> dict[str, Any]:
    (folder / "data.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    run = await box.run(analysis_program("data.csv", question), workspace=folder)
    assert run.error is None, run.error
    found = parse_result(run.stdout)
    assert found is not None
    return found


def _summary(folder: Path) -> dict[tuple[str, str, str], list[str]]:
    with (folder / "summary.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["column", "value", "measure", "count", "sum", "mean", "min", "max"]
    assert len({tuple(row[:3]) for row in rows}) == len(rows)
    return {(row[0], row[1], row[2]): row[3:] for row in rows}


@pytest.mark.covers("local:analysis")
async def test_every_number_is_grouped_by_every_text(sandbox: MontySandbox, tmp_path: Path) -> None:
    """summary.csv has count, sum, mean, min and max of each numeric column for each value of each text column."""
    found = await _analyse(sandbox, tmp_path, SALES)
    assert [column["kind"] for column in found["columns"]] == ["text", "text", "number", "number"]
    assert _summary(tmp_path) == {
        ("region", "East", "units"): ["1", "1.00", "1.00", "1.00", "1.00"],
        ("region", "East", "unit_price"): ["1", "10.00", "10.00", "10.00", "10.00"],
        ("region", "North", "units"): ["2", "7.00", "3.50", "3.00", "4.00"],
        ("region", "North", "unit_price"): ["2", "3.50", "1.75", "1.50", "2.00"],
        ("region", "South", "units"): ["1", "10.00", "10.00", "10.00", "10.00"],
        ("region", "South", "unit_price"): ["1", "0.25", "0.25", "0.25", "0.25"],
        ("product", "apple", "units"): ["2", "4.00", "2.00", "1.00", "3.00"],
        ("product", "apple", "unit_price"): ["2", "11.50", "5.75", "1.50", "10.00"],
        ("product", "pear", "units"): ["2", "14.00", "7.00", "4.00", "10.00"],
        ("product", "pear", "unit_price"): ["2", "2.25", "1.12", "0.25", "2.00"],
        ("(all)", "(all)", "units"): ["4", "18.00", "4.50", "1.00", "10.00"],
        ("(all)", "(all)", "unit_price"): ["4", "13.75", "3.44", "0.25", "10.00"],
    }
    report = (tmp_path / "report.md").read_text()
    assert "4 rows, 4 columns." in report
    assert "## By region" in report
    assert "| North | 2 | 7.00 |" in report
    assert all((tmp_path / name).exists() for name in FILES)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= 1e300 and "_" not in cell else None


def _expected(header: list[str], rows: list[list[str]]) -> dict[str, Any]:
    """The same figures by other means: whole columns in memory, a set of values, one sum per group."""
    columns = {name: [row[n].strip() for row in rows] for n, name in enumerate(header)}
    filled = {name: [cell for cell in cells if cell] for name, cells in columns.items()}
    kinds = {
        name: "empty" if not cells else "number" if all(_number(cell) is not None for cell in cells) else "text"
        for name, cells in filled.items()
    }
    numeric = [name for name, kind in kinds.items() if kind == "number"]

    def figures(name: str, keep: list[bool]) -> list[Any]:
        values = [float(cell) for cell, kept in zip(columns[name], keep, strict=True) if kept and cell]
        if not values:
            return [0, 0.0, None, None, None]
        return [len(values), math.fsum(values), math.fsum(values) / len(values), min(values), max(values)]

    groups = {}
    for name, kind in kinds.items():
        if kind == "text":
            keeps = {value: [cell == value for cell in columns[name]] for value in sorted(set(filled[name]))}
            groups[name] = {
                value: {"rows": sum(keep), "figures": {number: figures(number, keep) for number in numeric}}
                for value, keep in keeps.items()
            }
    return {
        "kinds": kinds,
        "missing": {name: len(rows) - len(cells) for name, cells in filled.items()},
        "totals": {name: figures(name, [True] * len(rows)) for name in numeric},
        "groups": groups,
    }


_CELLS = st.one_of(
    st.sampled_from(["", " ", "a", "b", "a b", 'q"q', "x,y", "x\ny", "é", "-", "nan", "1_0", "1e999", "1 2"]),
    st.integers(-1000, 1000).map(str),
    st.floats(-1e6, 1e6).map(repr),
    st.decimals(-100, 100, places=2).map(str),
)
_TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.one_of(
            st.lists(_CELLS, min_size=width, max_size=width),
            st.tuples(*([st.sampled_from(["a", "b", "c"])] + [st.integers(-9, 9).map(str)] * (width - 1))).map(list),
        ),
        max_size=12,
    ).map(lambda rows: (width, rows))
)


@pytest.mark.covers("local:analysis:exact")
async def test_the_figures_equal_an_independent_computation(sandbox: MontySandbox, tmp_path: Path) -> None:
    """Random small tables, with quotes, newlines, holes and near-numbers: same kinds, same figures, to the last bit."""
    tables: list[tuple[int, list[list[str]]]] = []

    @settings(max_examples=120, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(_TABLES)
    def collect(table: tuple[int, list[list[str]]]) -> None:
        tables.append(table)

    collect()
    for width, rows in tables:
        header = [f"c{n}" for n in range(width)]
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows([header, *rows])
        found = await _analyse(sandbox, tmp_path, text.getvalue())
        expected = _expected(header, rows)
        assert {column["name"]: column["kind"] for column in found["columns"]} == expected["kinds"], rows
        assert {column["name"]: column["missing"] for column in found["columns"]} == expected["missing"], rows
        assert found["rows"] == len(rows)
        assert found["totals"] == expected["totals"], rows
        assert found["groups"] == expected["groups"], rows


@pytest.mark.covers("local:analysis:shapes")
async def test_a_header_alone_is_a_result(sandbox: MontySandbox, tmp_path: Path) -> None:
    """No rows: zero counts, both files, an answer."""
    found = await _analyse(sandbox, tmp_path, "a,b\n")
    assert (found["rows"], [column["kind"] for column in found["columns"]]) == (0, ["empty", "empty"])
    assert "has 0 rows" in answer(found, "total by a")


@pytest.mark.covers("local:analysis:shapes")
@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
async def test_other_delimiters_a_byte_order_mark_and_odd_rows_are_read(
    sandbox: MontySandbox, tmp_path: Path, delimiter: str
) -> None:
    """The delimiter comes from the header; duplicate and empty names are told apart; ragged rows are counted."""
    text = '\ufeff"k, x";n;n;\na;1;2;3\n\n"b";1\na;1;2;3;4\n'.replace(";", delimiter)
    found = await _analyse(sandbox, tmp_path, text)
    assert [column["name"] for column in found["columns"]] == ["k, x", "n", "n (2)", "column 4"]
    assert (found["rows"], found["ragged"]) == (3, 2)
    assert found["groups"]["k, x"]["a"]["figures"]["n (2)"] == [2, 4.0, 2.0, 2.0, 2.0]
    assert "2 rows had too few or too many cells" in (tmp_path / "report.md").read_text()


@pytest.mark.covers("local:analysis:shapes")
async def test_a_late_word_turns_a_column_into_text(sandbox: MontySandbox, tmp_path: Path) -> None:
    """Kinds are decided over the whole file, far behind the rows that are held in memory."""
    text = "k,n,m\n" + "a,1,2\n" * 5000 + "b,?,3\n"
    found = await _analyse(sandbox, tmp_path, text)
    assert [column["kind"] for column in found["columns"]] == ["text", "text", "number"]
    assert found["groups"]["n"] == {
        "1": {"rows": 5000, "figures": {"m": [5000, 10000.0, 2.0, 2.0, 2.0]}},
        "?": {"rows": 1, "figures": {"m": [1, 3.0, 3.0, 3.0, 3.0]}},
    }


@pytest.mark.covers("local:analysis:shapes")
async def test_columns_with_too_many_values_are_reported_as_skipped(sandbox: MontySandbox, tmp_path: Path) -> None:
    """The limit itself is still grouped; one more is skipped with the reason in result, report and answer."""
    rows = "".join(f"k{n % MAX_GROUPS},d{n % (MAX_GROUPS + 1)},{n}\n" for n in range(3000))
    found = await _analyse(sandbox, tmp_path, "fits,daily,n\n" + rows)
    assert len(found["groups"]["fits"]) == MAX_GROUPS
    assert found["skipped"] == {"daily": f"more than {MAX_GROUPS} different values"}
    assert "Not grouped by daily" in (tmp_path / "report.md").read_text()
    assert "cannot be grouped by daily" in answer(found, "total n per daily")


@pytest.mark.covers("local:analysis:shapes")
async def test_without_numbers_it_counts_and_without_text_it_totals(sandbox: MontySandbox, tmp_path: Path) -> None:
    """Counts only, or overall totals only."""
    found = await _analyse(sandbox, tmp_path, "k\na\nb\na\n")
    assert _summary(tmp_path)["k", "a", "rows"] == ["2", "", "", "", ""]
    assert "Rows by k: a 2, b 1." in answer(found, None)
    found = await _analyse(sandbox, tmp_path, "n\n1\n2\n")
    assert _summary(tmp_path) == {("(all)", "(all)", "n"): ["2", "3.00", "1.50", "1.00", "2.00"]}
    assert "Average n: 1.50." in answer(found, "average n")


@pytest.mark.covers("local:analysis:shapes")
async def test_a_wide_result_prints_what_was_asked_and_names_what_is_left_out(
    sandbox: MontySandbox, tmp_path: Path
) -> None:
    """The printed line is bounded; the files are complete; the column asked about comes first."""
    head = [f"text{n}" for n in range(8)] + [f"n{n}" for n in range(5)]
    rows = "".join(",".join([f"v{r}"] * 8 + ["1"] * 5) + "\n" for r in range(150))
    found = await _analyse(sandbox, tmp_path, ",".join(head) + "\n" + rows, "total n0 by text7")
    assert "text7" in found["groups"]
    assert "text6" in found["omitted"]
    assert ("text6", "v149", "n4") in _summary(tmp_path)
    assert "too many for this answer: they are in summary.csv" in answer(found, "total n0 by text6")


@pytest.mark.covers("local:analysis:errors")
@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("data.csv", b"a,b\n\xff,1\n", "data.csv is not UTF-8 text"),
        ("data.csv", b"", "data.csv is empty"),
        ("missing.csv", b"a\n", "No such file"),
        ("summary.csv", b"a\n1\n", "has the name of a file that the analysis writes"),
        ("it's.csv", b"", "it's.csv is empty"),
    ],
)
async def test_what_cannot_be_analysed_fails_in_words(
    sandbox: MontySandbox, tmp_path: Path, name: str, content: bytes, error: str
) -> None:
    """No file is touched and the error names the file."""
    if name != "missing.csv":
        (tmp_path / name).write_bytes(content)
    run = await sandbox.run(analysis_program(name), workspace=tmp_path)
    assert run.error is not None
    assert error in run.error
    assert name in run.error
    assert parse_result(run.stdout) is None
    assert not (tmp_path / "report.md").exists()


@pytest.mark.covers("local:analysis:answer")
@pytest.mark.parametrize(
    ("question", "said"),
    [
        (
            "Which region sold the most?",
            "Total units by region: South 10.00, North 7.00, East 1.00. South has the highest: 10.00.",
        ),
        ("which REGIONS sold the least units", "East has the lowest: 1.00."),
        ("total units by product", "Total units by product: pear 14.00, apple 4.00. Over all rows: 18.00."),
        ("What is the average unit price per product?", "Average unit_price by product: apple 5.75, pear 1.12."),
        ("Which product has the highest unit price?", "apple has the highest: 10.00."),
        ("minimum unit price per region", "Lowest unit_price by region: East 10.00, North 1.50, South 0.25."),
        ("maximum units by region", "Highest units by region: South 10.00, North 4.00, East 1.00."),
        ("How many rows per region?", "Rows by region: North 2, East 1, South 1."),
        ("How many units in each region?", "Total units by region: South 10.00"),
        ("count units by region", "Count units by region: North 2, East 1, South 1."),
        ("How did North do on units?", "Total units by region:"),
        ("Tell me something", "Total unit_price by region: East 10.00, North 3.50, South 0.25."),
    ],
)
async def test_the_answer_names_each_group_with_the_figure_asked_for(
    sandbox: MontySandbox, tmp_path: Path, question: str, said: str
) -> None:
    """The question's words choose column, number and measure; every group is named, and the winner where asked."""
    found = await _analyse(sandbox, tmp_path, SALES, question)
    assert said in answer(found, question)


@pytest.mark.covers("local:analysis:answer")
async def test_ties_and_groups_without_a_value_are_told(sandbox: MontySandbox, tmp_path: Path) -> None:
    """Equal winners are both named, a group without numbers says so, and floats show no noise."""
    found = await _analyse(sandbox, tmp_path, "k,n\nb,0.1\nb,0.2\na,0.3\nc,\nd,0.001\n")
    text = answer(found, "highest average n by k")
    assert "a 0.30, b 0.15, d 0.001, c no value" in text
    found = await _analyse(sandbox, tmp_path, "class,n\nb,1\na,1\n")
    assert "a and b have the highest: 1.00" in answer(found, "which classes have the most n")


@pytest.mark.covers("local:analysis:answer")
def test_output_without_a_result_parses_to_none() -> None:
    """Other lines, other JSON and no output at all are no result."""
    assert parse_result("") is None
    assert parse_result('{"a":1}\n[1]\nnonsense') is None


@pytest.mark.covers("local:analysis:large")
@pytest.mark.skipif(os.environ.get("BRIDGE_CAMPAIGN") != "1", reason="campaign: 32 MB")
async def test_the_largest_file_is_analysed_within_the_default_limits(
    sandbox: MontySandbox, tmp_path: Path, record_property: Any
) -> None:
    """32 MB and a million rows within 20 s and 256 MB."""
    row = "{},{},{},{:.2f}\n"
    with (tmp_path / "big.csv").open("w") as file:
        file.write("region,product,units,price\n")
        file.writelines(
            row.format("NSEW"[n % 4], f"product-{n % 37:08}", n % 500, n % 9901 / 100) for n in range(1_000_000)
        )
    run = await sandbox.run(analysis_program("big.csv"), workspace=tmp_path)
    assert run.error is None
    record_property("seconds", run.duration)
