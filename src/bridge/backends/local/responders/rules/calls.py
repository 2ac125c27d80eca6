"""Which of the caller's functions a prompt asks for, and with which arguments.

A function is called when it is named (`Call get_weather with city="Oslo"`), when a question uses its words ("What's the weather
in Oslo?"), or when tool_choice demands it; once for each thing it is asked about, and never twice alike for one prompt.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from bridge.interactions import FunctionCall, FunctionTool

from .filling import converted, fill
from .filling.evidence import Evidence
from .filling.schemas import is_valid, kind_of, tidy
from .recall import I_SAID
from .situation import Plan, Situation, call_key
from .words import content_words, is_request, name_words, singular, word_set, words

__all__ = ["Call", "call_functions", "wanted_calls"]

_MAX_CALLS = 32  # in one answer
# Words of a function's name that say nothing about what it is about.
_VERBS = word_set(
    """
    api calculate call check compute create do execute fetch find function get give handle invoke list load
    look lookup make my perform post process put query read request retrieve return run search send set show tool use
    """
)
_CALLED = re.compile(r"\b(?:call|use|using|run|invoke|tool|function|and)[\s:`\"'(]{1,3}$", re.IGNORECASE)
_REFUSED = re.compile(r"\b(?:don't|do not|never|without|not)\s(?:\w{1,20}\s){0,3}$", re.IGNORECASE)


@dataclass(frozen=True)
class Call:
    """A function to call. `grounded`: how many of the arguments the prompt gave."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    grounded: int = 0


def call_functions(situation: Situation) -> Plan | None:
    """Calls what the prompt asks for and has not been answered yet."""
    calls = wanted_calls(situation)
    if not calls:
        return None
    names = ", ".join(dict.fromkeys(call.name for call in calls))
    steps = [FunctionCall(id=situation.turn.new_id(), name=call.name, arguments=call.arguments) for call in calls]
    return Plan(thought=f"The request asks for {names}.", steps=steps)


def wanted_calls(situation: Situation) -> list[Call]:
    """The calls that the last words ask for, without those that the answer already has the results of.

    A demand by tool_choice counts once: after results came only what the prompt itself still asks for is called.
    """
    functions = situation.functions
    calls = list(_asked(situation.prompt, functions)) if situation.parts else []
    if not calls and situation.forced and functions and not situation.results:
        calls = list(_calls(functions[0], situation.prompt))[:1]
    unique = {call_key(call.name, call.arguments): call for call in calls}
    waiting = [call for key, call in unique.items() if key not in situation.answered]
    # A call that came back with other arguments (someone changed them) answers one of the calls that were meant.
    changed = Counter(name for name, _ in situation.answered - unique.keys())
    open_calls = []
    for call in waiting:
        if changed[call.name]:
            changed[call.name] -= 1
        else:
            open_calls.append(call)
    return open_calls[:_MAX_CALLS]


def _asked(prompt: str, functions: list[FunctionTool]) -> Iterator[Call]:
    named, refused = _named(prompt, functions)
    if not named:
        for function in _meant(prompt, [function for function in functions if function.name not in refused]):
            yield from _calls(function, prompt)
        return
    for number, (function, _, end) in enumerate(named):
        until = named[number + 1][1] if number + 1 < len(named) else len(prompt)
        calls = list(_calls(function, prompt[end:until].lstrip("`\"'")))
        others = [other for other, *_ in named if other.name == function.name]
        if any(call.grounded for call in calls):
            yield from calls
        elif len(others) == 1 or not _fields(tidy(function.parameters)):
            # The values stand before the name ("For Oslo, call get_weather"), or there are none.
            yield from _calls(function, prompt)


def _named(prompt: str, functions: list[FunctionTool]) -> tuple[list[tuple[FunctionTool, int, int]], set[str]]:
    """Where functions are named, in order: as they are written, or with spaces between the words of a longer name.

    And which are named only to say that they are not wanted.
    """
    found, refused = [], set()
    for function in functions:
        spoken = name_words(function.name)
        pattern = re.escape(function.name)
        if len(spoken) > 1:
            pattern += "|" + r"\s".join(map(re.escape, spoken))
        for match in re.finditer(rf"(?<![\w.])(?:{pattern})(?!\w|\.\w)", prompt, re.IGNORECASE):
            before = prompt[max(0, match.start() - 80) : match.start()]
            if _REFUSED.search(before):
                refused.add(function.name)
            elif _is_name(function.name, before, prompt[match.end() : match.end() + 1]):
                found.append((function, match.start(), match.end()))
    return sorted(found, key=lambda one: one[1])[:_MAX_CALLS], refused


def _is_name(name: str, before: str, after: str) -> bool:
    """A plain word ("search", "add") names a function only behind a call for it; an identifier always does."""
    plain = name.isalpha() and name.islower()
    return not plain or after == "(" or _CALLED.search(before) is not None


def _meant(prompt: str, functions: list[FunctionTool]) -> list[FunctionTool]:
    """The functions whose words a request uses, without those that another one fits better.

    A question about the user's own words asks for no function.
    """
    if not is_request(prompt) or I_SAID.search(prompt):
        return []
    said = [singular(word) for word in words(prompt)]
    spoken = {*said, *(first + second for first, second in pairwise(said))}
    asked = content_words(prompt)
    fitting = [(function, fit) for function in functions if (fit := _fit(function, spoken, asked))]
    return [
        function
        for number, (function, fit) in enumerate(fitting)
        if not any(
            fit < other or (fit == other and earlier < number)
            for earlier, (_, other) in enumerate(fitting)
            if earlier != number
        )
    ]


def _fit(function: FunctionTool, spoken: set[str], asked: set[str]) -> frozenset[str]:
    """The words of a function that a request uses; empty where they are too few to mean it.

    All words of its name do, or half of them and one of its description, or half of the description and two at least.
    """
    name = [singular(word) for word in name_words(function.name)]
    about = {word for word in name if word not in _VERBS} or set(name)
    described = {word for word in content_words(function.description or "") if word not in _VERBS} - about
    hits, more = about & spoken, described & asked
    verbs = {word for word in name if word in _VERBS} & spoken
    if about <= spoken or (2 * len(hits) >= len(about) and hits and more):
        return frozenset(hits | more | verbs)
    if not hits and len(more) >= 2 and 2 * len(more) >= len(described):
        return frozenset(more)
    return frozenset()


def _calls(function: FunctionTool, text: str) -> Iterator[Call]:
    """One call, or one for each value where the text gives several for the function's only required field."""
    schema = tidy(function.parameters or {"type": "object"})
    whole = _call(function, schema, text)
    fields = _fields(schema)
    seen = set()
    for value in _values(fields[0], schema["properties"][fields[0]], text) if len(fields) == 1 else ():
        one = _call(function, schema, text, {fields[0]: value})
        key = call_key(function.name, one.arguments)
        if one.arguments.get(fields[0]) == value and key not in seen and is_valid(schema, one.arguments):
            seen.add(key)
            yield one
    if not seen:
        yield whole


def _call(function: FunctionTool, schema: Any, text: str, known: dict[str, Any] | None = None) -> Call:
    filled = fill(schema, text, overrides=known)
    arguments = filled.value if isinstance(filled.value, dict) else {}
    return Call(function.name, arguments, filled.grounded)


def _fields(schema: Any) -> list[str]:
    """The fields a call cannot do without; where none is required, a single one counts."""
    names = list(schema.get("properties", ())) if isinstance(schema, dict) else []
    required = [name for name in schema.get("required", ()) if name in names] if names else []
    return required or (names if len(names) == 1 else [])


def _values(field_name: str, schema: Any, text: str) -> list[Any]:
    """Several values for one field: named again and again, quoted, told in one breath, or several numbers. Empty for one."""
    evidence = Evidence(text)
    kind = kind_of(schema) if isinstance(schema, dict) else "string"
    if kind == "string" and isinstance(schema, dict) and (typed := evidence.of_format(schema.get("format", ""))):
        return typed if len(typed) > 1 else []
    named = list(dict.fromkeys(value for value in evidence.named(field_name) if not isinstance(value, dict | list)))
    if len(named) == 1:
        named += evidence.following(str(named[0]))
    others = [evidence.numbers] if kind in ("integer", "number") else [evidence.quoted, evidence.enumeration]
    offer = next(filter(None, [named, *others]), [])
    values = [value for text in offer for value in converted(text, kind)]
    return values if len(values) > 1 else []
