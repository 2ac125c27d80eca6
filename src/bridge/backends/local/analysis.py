"""The analysis of a CSV file: the program the rule responder writes, and the answer it reads from the result.

Pure text in, text out. `analysis_program` returns a Python program in the sandbox's subset that streams the file once
(twice where a late row shows that a column is text after all), so that memory does not grow with it.
Deliberately left to others: running the program, and when a prompt asks for an analysis.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

__all__ = ["FILES", "MAX_GROUPS", "Result", "analysis_program", "answer", "parse_result"]

MAX_GROUPS = 200
"""A text column with more different values than this is reported as skipped, not grouped."""

FILES = ("summary.csv", "report.md")
"""What the program leaves in the workspace."""

Result: TypeAlias = dict[str, Any]
"""What the program prints: path, rows, columns, ragged, skipped, omitted, totals, groups (see `parse_result`)."""

_Measure: TypeAlias = Literal["count", "sum", "mean", "min", "max"]
_TITLE: dict[_Measure, str] = {"count": "Count", "sum": "Total", "mean": "Average", "min": "Lowest", "max": "Highest"}

_PROGRAM = '''\
import csv
import itertools
import json
import math
import os

CHUNK = 1000  # rows held at a time: more is slower, they leave the processor's cache
PRINTED = 4000  # figures in the printed result at most; summary.csv has them all


def start(file, delimiter):
    if file.read(1) != "\\ufeff":
        file.seek(0)
    return csv.reader(file, delimiter=delimiter)


def find_delimiter():
    with open(PATH, newline="") as file:
        line = file.readline()
    if not line:
        raise ValueError(PATH + " is empty: it has no header line")
    outside = "".join(line.split('"')[::2])
    return max([",", ";", "\\t", "|"], key=lambda mark: outside.count(mark))


def unique(header):
    names = []
    for position, cell in enumerate(header):
        name = base = cell.strip() or "column " + str(position + 1)
        number = 2
        while name in names:
            name = base + " (" + str(number) + ")"
            number += 1
        names.append(name)
    return names


def shape(rows, width):
    """Columns of stripped cells, and how many rows had too few or too many cells."""
    ragged = 0
    if set(map(len, rows)) != {width}:
        rows = [row for row in rows if row]
        ragged = len([row for row in rows if len(row) != width])
        rows = [(row + [""] * width)[:width] for row in rows]
    if not rows:
        return [[] for _ in range(width)], 0
    return [strip(column) for column in zip(*rows)], ragged


def strip(cells):
    text = "".join(cells)
    if text.split() == [text]:  # no space anywhere: by far the most common, and the fastest
        return cells
    return [cell.strip() for cell in cells]


def numbers(cells):
    """The cells as floats (None where empty), or None if one of them is no finite number."""
    try:
        if "" in cells:
            values = [float(cell) if cell else None for cell in cells]
            present = [value for value in values if value is not None]
        else:
            values = present = list(map(float, cells))
        total = math.fsum(present)
    except (ValueError, OverflowError):
        return None
    if total != total or "_" in "".join(cells):
        return None
    if present and (min(present) < -1e300 or max(present) > 1e300):
        return None
    return values


def add(entry, values):
    if values:
        low, high = min(values), max(values)
        entry[2] = low if not entry[0] else min(entry[2], low)
        entry[3] = high if not entry[0] else max(entry[3], high)
        entry[0] += len(values)
        entry[1].append(math.fsum(values))


def figures(entry):
    if not entry[0]:
        return [0, 0.0, None, None, None]
    total = math.fsum(entry[1])
    return [entry[0], total, total / entry[0], entry[2], entry[3]]


def show(value):
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    text = f"{value:.2f}"
    if value and abs(value) < 1:
        text = f"{value:.6f}".rstrip("0")
        while len(text.split(".")[1]) < 2:
            text += "0"
        if abs(value) < 0.000001:
            text = f"{value:.3e}"
    return "0.00" if text == "-0.00" else text


def cell(text):
    return str(text).replace("\\\\", "\\\\\\\\").replace("|", "\\\\|").replace("\\r", " ").replace("\\n", " ")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\\n".join(lines + ["| " + " | ".join([cell(item) for item in row]) + " |" for row in rows])


def read(delimiter, numeric):
    """One pass over the file. `numeric` is updated in place; grouping assumes what it says after the first rows.

    Returns None if a later row proved the assumption wrong: `numeric` is then right, and a second pass settles it.
    """
    with open(PATH, newline="") as file:
        reader = start(file, delimiter)
        header = unique(next(reader))
        width = len(header)
        if not numeric:
            numeric.extend([True] * width)
        missing = [0] * width
        total_rows = ragged = 0
        totals = None
        settled = True
        groups = {}
        skipped = {}
        while True:
            rows = list(itertools.islice(reader, CHUNK))
            if not rows:
                break
            columns, uneven = shape(rows, width)
            rows = None
            ragged += uneven
            total_rows += len(columns[0])
            values = {}
            for position in range(width):
                missing[position] += columns[position].count("")
                if numeric[position]:
                    values[position] = numbers(columns[position])
                    if values[position] is None:
                        numeric[position] = False
                        values.pop(position)
                        settled = settled and totals is None
            if not settled:
                continue
            if totals is None:
                totals = {position: [0, [], None, None] for position in values}
                groups = {position: {} for position in range(width) if not numeric[position]}
            holes = {position: "" in columns[position] for position in values}
            for position, present in values.items():
                if holes[position]:
                    present = [value for value in present if value is not None]
                add(totals[position], present)
            for text in list(groups):
                found = {key: [] for key in set(columns[text])}
                grouped = groups[text]
                if len((set(grouped) | set(found)) - {""}) > MAX_GROUPS:
                    groups.pop(text)
                    skipped[header[text]] = "more than " + str(MAX_GROUPS) + " different values"
                    continue
                for index, key in enumerate(columns[text]):
                    found[key].append(index)
                found.pop("", None)
                for key, indexes in found.items():
                    if key not in grouped:
                        grouped[key] = [0, {position: [0, [], None, None] for position in totals}]
                    group = grouped[key]
                    group[0] += len(indexes)
                    for position, column in values.items():
                        present = [column[index] for index in indexes]
                        if holes[position]:
                            present = [value for value in present if value is not None]
                        add(group[1][position], present)
    if not settled:
        return None
    return header, total_rows, ragged, missing, totals or {}, groups, skipped


def analyse():
    if os.path.abspath(PATH) in ("/workspace/summary.csv", "/workspace/report.md"):
        raise ValueError(PATH + " has the name of a file that the analysis writes: rename it first")
    delimiter = find_delimiter()
    numeric = []
    found = read(delimiter, numeric) or read(delimiter, numeric)
    header, total_rows, ragged, missing, totals, groups, skipped = found
    width = len(header)
    kinds = [
        "empty" if missing[position] == total_rows else "number" if numeric[position] else "text"
        for position in range(width)
    ]
    measures = [position for position in range(width) if kinds[position] == "number"]

    # The result: everything in the files, up to PRINTED figures on the printed line, what was asked about first.
    columns = [
        {"name": header[position], "kind": kinds[position], "missing": missing[position]} for position in range(width)
    ]
    overall = {header[position]: figures(totals[position]) for position in measures}
    done = {}
    for text, grouped in groups.items():
        done[header[text]] = {
            key: {
                "rows": grouped[key][0],
                "figures": {header[position]: figures(grouped[key][1][position]) for position in measures},
            }
            for key in sorted(grouped)
        }
    head = ["column", "value", "measure", "count", "sum", "mean", "min", "max"]
    lines = [head]
    for name, grouped in done.items():
        for key, group in grouped.items():
            for measure, row in group["figures"].items():
                lines.append([name, key, measure] + [show(value) for value in row])
            if not measures:
                lines.append([name, key, "rows", str(group["rows"]), "", "", "", ""])
    for measure, row in overall.items():
        lines.append(["(all)", "(all)", measure] + [show(value) for value in row])
    if not measures:
        lines.append(["(all)", "(all)", "rows", str(total_rows), "", "", "", ""])

    report = ["# Analysis of " + cell(PATH), "", str(total_rows) + " rows, " + str(width) + " columns.", ""]
    report.append(table(["column", "kind", "missing"], [[c["name"], c["kind"], c["missing"]] for c in columns]))
    if ragged:
        report += ["", str(ragged) + " rows had too few or too many cells: missing cells count as empty, "]
        report[-1] += "surplus ones are left out."
    for name, reason in skipped.items():
        report += ["", "Not grouped by " + cell(name) + ": " + reason + "."]
    if measures:
        rows = [[measure] + [show(value) for value in row] for measure, row in overall.items()]
        report += ["", "## All rows", "", table(["measure"] + head[3:], rows)]
    for name, grouped in done.items():
        report += ["", "## By " + cell(name)]
        for position in measures:
            measure = header[position]
            rows = [[key] + [show(value) for value in group["figures"][measure]] for key, group in grouped.items()]
            report += ["", "### " + cell(measure), "", table([cell(name)] + head[3:], rows)]
        if not measures:
            report += ["", table([cell(name), "rows"], [[key, group["rows"]] for key, group in grouped.items()])]

    with open("/workspace/summary.csv", "w", newline="") as file:
        csv.writer(file).writerows(lines)
    with open("/workspace/report.md", "w") as file:
        file.write("\\n".join(report) + "\\n")

    def asked(name):
        return not any([word in QUESTION for word in name.lower().replace("_", " ").split()])

    printed = {}
    omitted = []
    room = PRINTED
    for name in sorted(done, key=asked):
        size = len(done[name]) * (len(measures) + 1)
        if size > room:
            omitted.append(name)
        else:
            printed[name] = done[name]
            room -= size
    printed = {name: printed[name] for name in done if name in printed}
    result = {
        "analysis": PATH,
        "rows": total_rows,
        "columns": columns,
        "ragged": ragged,
        "skipped": skipped,
        "omitted": omitted,
        "totals": overall,
        "groups": printed,
    }
    print(json.dumps(result, separators=(",", ":")))


try:
    analyse()
except UnicodeDecodeError as error:
    raise ValueError(PATH + " is not UTF-8 text: " + str(error))
'''


def analysis_program(path: str, question: str | None = None) -> str:
    """Return the program that profiles the CSV at `path` and groups its numbers by its text columns.

    Args:
        path: the file as the program sees it: relative to `/workspace` or absolute below it.
        question: what was asked; decides which columns are printed first where a file has too many for one line.

    The program leaves `FILES` and prints one line of JSON (`parse_result`). It fails, in words, for a file that is
    missing, empty or not UTF-8.
    """
    settings = f"PATH = {path!a}\nQUESTION = {(question or '').lower()!a}\nMAX_GROUPS = {MAX_GROUPS}\n\n"
    return settings + _PROGRAM


def parse_result(stdout: str) -> Result | None:
    """Return what the program printed, or None where it did not get that far.

    `totals` is measure → figures and `groups` is column → value → {rows, figures: measure → figures}; figures are
    [count, sum, mean, min, max], the last three None where there is no value.
    """
    for line in reversed(stdout.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and "analysis" in found:
            return found
    return None


_MEAN = {"average", "avg", "mean", "typical"}
_SUM = {"total", "sum", "altogether"}
_COUNT = {"count", "many", "often", "number"}
_HIGH = {"most", "highest", "largest", "biggest", "greatest", "best", "top", "max", "maximum", "more"}
_LOW = {"least", "lowest", "smallest", "fewest", "worst", "min", "minimum", "cheapest"}
_WHO = {"which", "who", "whose", "what"}
# Columns whose sums mean nothing: their highest is the highest single value, not the highest total.
_NOT_ADDITIVE = {
    "price",
    "rate",
    "age",
    "score",
    "rating",
    "temperature",
    "percent",
    "percentage",
    "share",
    "discount",
    "year",
}
# What "sold", "earned", ... may be about, the likeliest first.
_SELLING = {"sold", "sell", "sale", "selling", "earn", "earned", "made"}
_SOLD = ("sale", "revenue", "turnover", "amount", "total", "unit", "quantity", "qty")


def answer(result: Result, question: str | None = None) -> str:
    """Answer `question` in plain words from a parsed result: each group of the column asked about with its figure.

    Without a match between the question and the columns it is a short summary: the first text column with the sum of
    every numeric column. The same result and question always give the same text.
    """
    asked = _words(question or "")
    groups: Mapping[str, Mapping[str, Any]] = result["groups"]
    totals: Mapping[str, list[Any]] = result["totals"]
    by_name = [column["name"] for column in result["columns"] if column["kind"] == "text"]
    column = _best(by_name, asked) or _column_of_value(groups, question or "")
    measures = _measures(list(totals), asked)
    lines = [f"{result['analysis']} has {result['rows']} rows and {len(result['columns'])} columns."]
    if column in result["skipped"]:
        lines.append(f"It cannot be grouped by {column}: {result['skipped'][column]}.")
        column = None
    elif column in result["omitted"]:
        lines.append(f"The figures by {column} are too many for this answer: they are in {FILES[0]}.")
        column = None
    if column is None:
        column = next(iter(groups), None)
    counting = bool(asked & _COUNT) and not measures
    shown = [] if counting else measures or list(totals)
    direction = 1 if asked & _HIGH else -1 if asked & _LOW else 0
    for measure in shown:
        lines += _about(measure, _measure(asked, measure), direction, column, groups, totals)
    if not shown and column is not None:
        lines.append(
            _ranking(f"Rows by {column}", {key: group["rows"] for key, group in groups[column].items()}, direction)
        )
    lines.append(f"All figures are in {FILES[0]} and {FILES[1]}.")
    return "\n".join(lines)


def _about(
    measure: str,
    kind: _Measure,
    direction: int,
    column: str | None,
    groups: Mapping[str, Mapping[str, Any]],
    totals: Mapping[str, list[Any]],
) -> list[str]:
    place = list(_TITLE).index(kind)
    overall = totals[measure][place]
    if column is None:
        return [f"{_TITLE[kind]} {measure}: {_show(overall)}."]
    figures = {key: group["figures"][measure][place] for key, group in groups[column].items()}
    ranking = _ranking(f"{_TITLE[kind]} {measure} by {column}", figures, direction)
    return [f"{ranking} Over all rows: {_show(overall)}."]


def _ranking(title: str, figures: Mapping[str, float | None], direction: int) -> str:
    """Every group with its figure, the largest first, and who leads where that was asked."""
    known = {key: value for key, value in figures.items() if value is not None}
    ordered = sorted(known, key=lambda key: (-known[key], key))
    if not ordered:
        return f"{title}: no values."
    listed = ", ".join(f"{key} {_show(known[key])}" for key in ordered)
    silent = "".join(f", {key} no value" for key in figures if key not in known)
    text = f"{title}: {listed}{silent}."
    if not direction:
        return text
    edge = known[ordered[0 if direction > 0 else -1]]
    winners = [key for key in ordered if known[key] == edge]
    verb = "has" if len(winners) == 1 else "have"
    return f"{text} {' and '.join(winners)} {verb} the {'highest' if direction > 0 else 'lowest'}: {_show(edge)}."


def _measure(asked: set[str], column: str) -> _Measure:
    if asked & _MEAN:
        return "mean"
    if asked & _SUM:
        return "sum"
    if "count" in asked:
        return "count"
    single = not asked & _WHO or bool(_words(column) & _NOT_ADDITIVE)
    if single and asked & (_HIGH - {"most", "more", "best", "top"}):
        return "max"
    if single and asked & (_LOW - {"least", "fewest", "worst"}):
        return "min"
    return "sum"


def _measures(names: list[str], asked: set[str]) -> list[str]:
    named = [name for name in names if _words(name) and _words(name) <= asked]
    if named:
        return named
    if asked & _SELLING:
        for likely in _SOLD:
            for name in names:
                if likely in _words(name):
                    return [name]
    best = _best(names, asked)
    return [best] if best else []


def _best(names: Iterable[str], asked: set[str]) -> str | None:
    """The name whose words the question has the largest part of; the first of equals."""
    scored = [(len(_words(name) & asked) / max(1, len(_words(name))), name) for name in names]
    score, name = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
    return name if score > 0 else None


def _column_of_value(groups: Mapping[str, Mapping[str, Any]], question: str) -> str | None:
    for column, values in groups.items():
        if any(re.search(rf"(?<!\w){re.escape(value)}(?!\w)", question, re.IGNORECASE) for value in values):
            return column
    return None


def _words(text: str) -> set[str]:
    """Lower-case words of a name or question, in the singular: `unit_prices` and "Unit price" are the same."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return {_singular(word) for word in re.findall(r"[^\W_]+", spaced.lower())}


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "ches", "shes", "xes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 2:
        return word[:-1]
    return word


def _show(value: float | None) -> str:
    if value is None:
        return "no value"
    if isinstance(value, int):
        return str(value)
    if 0 < abs(value) < 0.005:
        return f"{value:.2g}"
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text
