"""The rule responder at work: programs and tables in a real sandbox, files in a real folder, server tools, agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bridge.backends.local.responders import RuleResponder
from bridge.interactions import (
    Agent,
    CodeExecutionCall,
    CodeExecutionResult,
    FunctionCall,
    FunctionResult,
    Thought,
    pending_calls,
)

from .asking import AGENT, RESEARCHER, Bench, ask, kinds, say, talk, text_of, turn

SALES = "region,product,revenue\nNorth,A,10.5\nSouth,A,20\nNorth,B,3\n"
RUN = [{"type": "code_execution"}]
PRINT = "```python\nprint(6 * 7)\n```"
T = TypeVar("T")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """An empty workspace with its sandbox."""
    made = Bench(tmp_path)
    yield made
    await made.sandbox.aclose()


def one(steps: list[Any], kind: type[T]) -> T:
    (found,) = [step for step in steps if isinstance(step, kind)]
    return found


def results(steps: list[Any]) -> list[str]:
    """What the file tools answered."""
    return [step.to_wire()["result"][0]["text"] for step in steps if isinstance(step, FunctionResult)]


# --- programs ----------------------------------------------------------------------------------------------------------------


@pytest.mark.covers("local:rules:code")
@pytest.mark.parametrize(
    "words",
    [
        PRINT,
        "Please run this for me:\n" + PRINT,
        "Run it:\n```\nprint(6 * 7)\n```",
        "run this: print(6 * 7)",
        "Execute `print(6 * 7)`",
        "What is 6 * 7?",
    ],
)
async def test_a_program_in_the_prompt_is_really_run(bench: Bench, words: str) -> None:
    """Call, result of the same id, and an answer with what it printed."""
    steps = await bench.ask(words, model="gemini-3.8-flash", tools=RUN)
    assert kinds(steps) == ["code_execution_call", "code_execution_result", "model_output"]
    call, result = one(steps, CodeExecutionCall), one(steps, CodeExecutionResult)
    assert (call.arguments.language, result.call_id) == ("python", call.id)
    assert (result.result, result.is_error) == ("42\n", False)
    assert "The program printed:\n42" in text_of(steps)


@pytest.mark.covers("local:rules:code")
async def test_several_programs_run_one_after_the_other_in_one_folder(bench: Bench) -> None:
    """The second sees the first one's file; what is left is named."""
    words = "```python\nopen('a.txt', 'w').write('x')\n```\nand then\n```py\nprint(open('a.txt').read() * 3)\n```"
    steps = await bench.ask(words)
    assert kinds(steps) == ["code_execution_call", "code_execution_result"] * 2 + ["model_output"]
    assert "The program ran and printed nothing." in text_of(steps)
    assert "xxx" in text_of(steps)
    assert "Files it left in /workspace: a.txt." in text_of(steps)


@pytest.mark.covers("local:rules:code-failed")
@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ("```python\nprint('before')\nimport statistics\n```", "module 'statistics' is not available"),
        ("```python\n1 / 0\n```", "ZeroDivisionError"),
        ("```bash\nls\n```", "no shell and no other language"),
        ("Run:\n```rust\nfn main() {}\n```", "no shell and no other language"),
    ],
)
async def test_a_program_that_fails_is_a_failed_result_that_names_what_is_missing(
    bench: Bench, words: str, missing: str
) -> None:
    """And the answer says so too, with what was printed before."""
    steps = await bench.ask(words)
    result = one(steps, CodeExecutionResult)
    assert result.is_error is True
    assert missing in str(result.result)
    assert missing in text_of(steps)
    assert text_of(steps).startswith("The program failed")
    if "before" in words:
        assert "Before that it printed:\nbefore" in text_of(steps)
        assert str(result.result).startswith("before\n")


@pytest.mark.covers("local:rules:code-declared")
async def test_a_model_runs_a_program_only_with_the_tool_declared(bench: Bench) -> None:
    """What is missing is named: the tool, or the sandbox. Data in a block is no program."""
    assert "declare the tool code_execution" in await say(PRINT, run_python=bench.run)
    assert "started without a sandbox" in await say(PRINT, tools=RUN)
    assert "42" in text_of(await bench.ask(PRINT, model="gemini-3.8-flash"))
    for data in ("```json\n{}\n```", "```\n1,2\n```", "``` ```"):
        assert "There is a program" not in await say(f"This is data: {data}")


@pytest.mark.covers("local:rules:code-cancel")
async def test_a_cancelled_turn_stops_its_program(bench: Bench) -> None:
    """The responder hands the cancellation on to the sandbox, which is free again at once."""
    asked = turn("```python\nwhile True:\n    pass\n```", agent=AGENT, workspace=bench.folder, run_python=bench.run)
    started = asyncio.Event()

    async def follow() -> None:
        async for step in RuleResponder().respond(asked):
            if isinstance(step, CodeExecutionCall):
                started.set()

    task = asyncio.create_task(follow())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "42" in text_of(await bench.ask(PRINT))


# --- tables ------------------------------------------------------------------------------------------------------------------


@pytest.mark.covers("local:rules:table")
@pytest.mark.parametrize(
    "words",
    [
        "Analyse /workspace/sales.csv. Which region has the highest revenue?",
        "Total revenue by region in sales.csv?",
        "Which region sold the most?",
        "Group the data by region",
    ],
)
async def test_a_table_is_analysed_by_a_program_that_leaves_its_files(bench: Bench, words: str) -> None:
    """Thought, program, result, thought, answer; every group with its figure."""
    (bench.folder / "sales.csv").write_text(SALES)
    steps = await bench.ask(words)
    assert [step.type for step in steps] == [
        "thought",
        "code_execution_call",
        "code_execution_result",
        "thought",
        "model_output",
    ]
    assert bench.files() == ["report.md", "sales.csv", "summary.csv"]
    answer = text_of(steps)
    assert "South 20.00, North 13.50" in answer
    assert "Files left in /workspace: summary.csv, report.md." in answer
    assert one(steps, CodeExecutionResult).is_error is False
    assert all(step.summary for step in steps if isinstance(step, Thought))


@pytest.mark.covers("local:rules:table")
async def test_a_second_question_looks_at_the_table_again_and_not_at_what_was_left(bench: Bench) -> None:
    """The agent's own summary.csv is no second table."""
    (bench.folder / "sales.csv").write_text(SALES)
    await bench.ask("Analyse sales.csv")
    answer = text_of(await bench.ask("Which region sold the least?"))
    assert "North has the lowest: 13.50" in answer


@pytest.mark.covers("local:rules:table-missing")
async def test_what_stands_in_the_way_of_an_analysis_is_named(bench: Bench) -> None:
    """A file that is not there, several that could be meant, none of a kind, no environment, a failing program."""
    assert "There is no sales.csv in /workspace. It is empty." in text_of(await bench.ask("Analyse sales.csv"))
    (bench.folder / "bad.csv").write_bytes(b"a,b\n\xff,1\n")
    assert "It holds: bad.csv." in text_of(await bench.ask("Analyse /workspace/sales.csv"))
    failed = await bench.ask("Analyse bad.csv")
    assert "The analysis of bad.csv failed" in text_of(failed)
    assert one(failed, CodeExecutionResult).is_error is True
    (bench.folder / "sales.csv").write_text(SALES)
    assert "Which file do you mean? There are bad.csv, sales.csv." in text_of(await bench.ask("Analyse the data"))
    assert "ask again for bad.csv" in text_of(await bench.ask("Analyse sales.csv and bad.csv"))
    assert "has no environment" in await say("Analyse sales.csv", agent=AGENT)
    assert "Noted" in await say("Analyse sales.csv")


@pytest.mark.covers("local:rules:table-memory")
async def test_what_the_user_told_is_not_looked_for_in_the_table(bench: Bench) -> None:
    """A statement about a file is no order, and a question that the conversation answers is answered from it."""
    (bench.folder / "sales.csv").write_text(SALES)
    history = await talk("The budget is 500.", "The file sales.csv is mine.")
    assert kinds(await bench.ask("What did I say the budget is?", history)) == ["model_output"]
    assert "500" in text_of(await bench.ask("What is the budget?", history))
    assert kinds(await bench.ask("The file sales.csv is mine.")) == ["model_output"]


# --- files -------------------------------------------------------------------------------------------------------------------


@pytest.mark.covers("local:rules:files")
async def test_an_agent_writes_reads_and_lists_files_in_the_order_asked(bench: Bench) -> None:
    """Each as a call with its result beside it, so that no caller has to answer."""
    steps = await bench.ask("Write 'hello world' to notes.txt, then read notes.txt and list the files")
    assert kinds(steps) == ["function_call", "function_result"] * 3 + ["model_output"]
    assert [step.name for step in steps if isinstance(step, FunctionCall)] == ["write_file", "read_file", "list_files"]
    assert results(steps) == ["Wrote 11 bytes to notes.txt", "hello world", "notes.txt"]
    assert pending_calls(steps) == []
    assert (bench.folder / "notes.txt").read_text() == "hello world"
    several = await bench.ask("Write 'a' to a.txt and 'list the files' to b.txt")
    assert kinds(several) == ["function_call", "function_result"] * 2 + ["model_output"]
    assert (bench.folder / "b.txt").read_text() == "list the files"
    assert kinds(await bench.ask("Create c.txt with read_me.txt and see")) == [
        "function_call",
        "function_result",
        "model_output",
    ]


@pytest.mark.covers("local:rules:files")
@pytest.mark.parametrize(
    ("words", "path", "content"),
    [
        ('Create a file called a/b.txt with the text "x y"', "a/b.txt", "x y"),
        ("Create notes.md containing: the words of today", "notes.md", "the words of today"),
        ("Save this to prog.py:\n```python\nprint(1)\n```", "prog.py", "print(1)\n"),
        ("Create prog.py:\n```python\nprint(2)\n```", "prog.py", "print(2)\n"),
        ("Please write the answer is 42 into /workspace/answer.txt", "answer.txt", "the answer is 42"),
        ("Write “ünï” to the file workspace/u.txt.", "u.txt", "ünï"),
        ("Append 'more' to log.txt", "log.txt", "first\nmore"),
        ("Add 'more' to new.txt", "new.txt", "more"),
    ],
)
async def test_the_ways_to_say_what_goes_into_a_file(bench: Bench, words: str, path: str, content: str) -> None:
    """Quoted, plain, from a block; a new file or the end of one."""
    (bench.folder / "log.txt").write_text("first")
    steps = await bench.ask(words)
    assert kinds(steps) == ["function_call", "function_result", "model_output"]
    assert (bench.folder / path).read_text() == content


@pytest.mark.covers("local:rules:files-refused")
async def test_no_path_leads_out_of_the_workspace(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither upwards, nor absolute, nor through a link; what was refused is untouched."""
    outside = tmp_path_factory.mktemp("outside") / "secret.txt"
    outside.write_text("secret")
    (bench.folder / "link.txt").symlink_to(outside)
    for words in (
        f"Write 'x' to {outside}",
        f"read {outside}",
        "read link.txt",
        "write 'x' to link.txt",
        "read ../secret.txt",
    ):
        steps = await bench.ask(words)
        assert one(steps, FunctionResult).is_error is True
        assert "outside of /workspace" in text_of(steps)
    assert outside.read_text() == "secret"
    assert results(await bench.ask("list the files")) == ["(no files)"]


@pytest.mark.covers("local:rules:files-refused")
async def test_what_cannot_be_read_is_said(bench: Bench) -> None:
    """A missing file with those that are there, bytes that are no text, a long file cut with a mark."""
    (bench.folder / "data.bin").write_bytes(b"\xff\xfe\x00")
    (bench.folder / "long.txt").write_text("x" * 100_001)
    (bench.folder / "folder.d").mkdir()
    assert "No such file or directory; there are: data.bin, long.txt" in text_of(await bench.ask("Show me nope.txt"))
    assert "not UTF-8 text (3 bytes)" in text_of(await bench.ask("What is in data.bin?"))
    assert "(cut: 100001 bytes)" in results(await bench.ask("Print the contents of long.txt"))[0]
    assert one(await bench.ask("open folder.d"), FunctionResult).is_error is True


@pytest.mark.covers("local:rules:files")
async def test_words_that_ask_for_no_file_touch_none(bench: Bench) -> None:
    """A file that is only mentioned, a write of nothing, and a model, which has no file tools."""
    for words in ("I like notes.txt.", "Write to notes.txt", "Create notes.txt"):
        assert "write_file" not in [
            step.name
            for step in await bench.ask(words)
            if isinstance(step, FunctionCall) and step.arguments["path"] != "plan.md"
        ]
    assert kinds(await bench.ask("list the files", model="gemini-3.8-flash")) == ["model_output"]
    assert not (bench.folder / "notes.txt").exists()


@pytest.mark.covers("local:rules:files-many")
async def test_a_workspace_of_very_many_files_is_listed_up_to_a_bound(bench: Bench) -> None:
    """The first thousand, in order."""
    for number in range(1_010):
        (bench.folder / f"f{number:04d}.txt").touch()
    listed = results(await bench.ask("list the files"))[0].split("\n")
    assert (len(listed), listed[0], listed[-1]) == (1_000, "f0000.txt", "f0999.txt")


# --- server tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.covers("local:rules:servers")
@pytest.mark.parametrize(
    ("kind", "words", "arguments", "value", "shown"),
    [
        (
            "google_search",
            "Search the web for blue whales",
            {"queries": ["blue whales"]},
            ["They are big."],
            [{"search_suggestions": "They are big."}],
        ),
        (
            "google_search",
            "How big are whales?",
            {"queries": ["How big are whales?"]},
            [{"search_suggestions": "<p>"}],
            [{"search_suggestions": "<p>"}],
        ),
        (
            "google_maps",
            "Where is Oslo?",
            {"queries": ["Where is Oslo?"]},
            "Norway",
            [{"places": [{"name": "Norway"}]}],
        ),
        (
            "url_context",
            "What does https://a.example/x say?",
            {"urls": ["https://a.example/x"]},
            {"x": "page"},
            [{"url": "https://a.example/x", "status": "success"}],
        ),
        ("file_search", "Find the contract", {"queries": ["the contract"]}, "page 3", [{"text": "page 3"}]),
        ("retrieval", "Find the contract", {"queries": ["the contract"]}, "page 3", None),
    ],
)
async def test_a_registered_callable_stands_in_for_a_server_tool(
    kind: str, words: str, arguments: dict[str, Any], value: Any, shown: Any
) -> None:
    """It gets the call's arguments; its result is in the result step as the API has it, and in the answer."""
    seen: list[dict[str, Any]] = []

    def tool(**given: Any) -> Any:
        seen.append(given)
        return value

    steps = await ask(words, tools=[{"type": kind}], server_tools={kind: tool})
    assert kinds(steps) == [f"{kind}_call", f"{kind}_result", "model_output"]
    assert seen == [arguments]
    wire = steps[2].to_wire()
    assert (wire.get("result"), wire["is_error"], wire["call_id"]) == (shown, False, steps[1].id)
    assert f"{kind} returned" in text_of(steps)


@pytest.mark.covers("local:rules:servers")
async def test_a_callable_may_be_a_coroutine_function_or_return_an_awaitable() -> None:
    """Both are awaited."""

    async def search(queries: list[str]) -> str:
        return f"found {queries[0]}"

    for tool in (search, lambda queries: search(queries)):
        assert "found cats" in await say(
            "Search for cats", tools=[{"type": "google_search"}], server_tools={"google_search": tool}
        )


@pytest.mark.covers("local:rules:servers-failed")
async def test_a_callable_that_raises_is_a_failed_result() -> None:
    """The turn goes on and says what failed."""

    def broken(queries: list[str]) -> str:
        raise ValueError("no network")

    steps = await ask("Search for cats", tools=[{"type": "google_search"}], server_tools={"google_search": broken})
    assert steps[2].is_error is True
    assert "google_search failed: ValueError: no network" in text_of(steps)


@pytest.mark.covers("local:rules:servers")
async def test_a_server_tool_is_used_only_where_it_is_declared_registered_and_asked_for() -> None:
    """Not for a statement, not without the tool in the request, and not where the conversation knows."""
    tools = {"google_search": lambda queries: "found", "url_context": lambda urls: "found"}
    declared = [{"type": "google_search"}, {"type": "url_context"}]
    assert "found" not in await say("Whales are big.", tools=declared, server_tools=tools)
    assert "found" not in await say("How big are whales?", server_tools=tools)
    assert "found" not in await say("How big are whales?", tools=declared)
    history = await talk("Whales are big.")
    assert "found" not in await say("How big are whales?", history, tools=declared, server_tools=tools)


# --- agents ------------------------------------------------------------------------------------------------------------------


@pytest.mark.covers("local:rules:research")
async def test_research_reports_in_sections_and_is_honest_that_nothing_was_read() -> None:
    """Thoughts carry summaries only where they are asked for."""
    config = {"type": "deep-research", "thinking_summaries": "auto"}
    steps = await ask("Compare rail and air travel", agent=RESEARCHER, agent_config=config)
    assert [step.type for step in steps] == ["thought", "thought", "model_output"]
    assert all(step.summary for step in steps[:2])
    report = text_of(steps)
    for part in (
        "## Question\nCompare rail and air travel",
        "## Method",
        "## Findings\nNo page was read",
        "## What remains open",
    ):
        assert part in report
    silent = await ask("Compare rail and air travel", agent=RESEARCHER)
    assert not any(step.summary for step in silent[:2])
    assert "(nothing was asked)" in await say([{"type": "user_input"}], agent=RESEARCHER)


@pytest.mark.covers("local:rules:research-plan")
async def test_planning_together_gives_a_plan_and_then_the_report() -> None:
    """As long as the flag is set there are plans, with the changes; without it the work is done."""
    planning = {"agent": RESEARCHER, "agent_config": {"type": "deep-research", "collaborative_planning": True}}
    history = await talk("Compare rail and air travel", **planning)
    assert "Plan for: Compare rail and air travel" in text_of(history)
    assert "Your changes: Only in Europe" in await say("Only in Europe", history, **planning)
    report = await say("Go ahead", history, agent=RESEARCHER)
    assert "## Findings" in report
    assert "Compare rail and air travel" in report


@pytest.mark.covers("local:rules:research")
async def test_research_uses_a_registered_search() -> None:
    """What it returned stands among the findings."""
    steps = await ask("Whales", agent=RESEARCHER, server_tools={"google_search": lambda queries: "They are big."})
    assert kinds(steps) == ["google_search_call", "google_search_result", "model_output"]
    assert "They are big." in text_of(steps)


@pytest.mark.covers("local:rules:role")
async def test_an_agent_tells_its_instructions_to_who_asks_for_its_role() -> None:
    """By its own id; one without instructions says that it has none, and a model has no role."""
    reviewer = Agent(id="reviewer", base_agent=AGENT, system_instruction="Review code.")
    plain = Agent(id="plain", base_agent=AGENT)
    assert "I am reviewer.\nMy instructions: Review code." in await say(
        "What is your role?", agent="reviewer", definition=reviewer
    )
    assert "I have no instructions of my own." in await say("Who are you?", agent="plain", definition=plain)
    assert "Review code." not in await say("Good morning", agent="reviewer", definition=reviewer)
    assert "instructions" not in await say("What is your role?", system_instruction="Review code.")


@pytest.mark.covers("local:rules:task")
async def test_a_task_of_no_rule_is_several_steps_of_work_that_leave_a_plan(bench: Bench) -> None:
    """Looks, writes, reads back, and says that it did no more."""
    steps = await bench.ask("Build me a website about cats.")
    assert kinds(steps) == ["function_call", "function_result"] * 3 + ["model_output"]
    assert "Build me a website about cats." in (bench.folder / "plan.md").read_text()
    assert "left a plan in plan.md, and did no more" in text_of(steps)
    assert "without an environment I cannot leave a plan" in await say("Build me a website.", agent=AGENT)
    assert kinds(await bench.ask("The sky is blue.")) == ["model_output"]
