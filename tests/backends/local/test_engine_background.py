"""Background turns, cancelling, watching, and what a restart or an end of the service leaves."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bridge import assemble
from bridge.backends.local import LocalBackend, ScriptedResponder, Switches
from bridge.backends.local.responders import Ending, Turn
from bridge.errors import BadRequest, NotConfigured, NotFound, ServiceFailed
from bridge.interactions import Event

from .service import THOUGHT, Clock, Gate, text

Service = Callable[..., Any]
ENDLESS = "while True: pass"


async def collect(stream: Any) -> list[Any]:
    return [event async for event in stream]


def wire(events: list[Event]) -> list[Any]:
    return [event.to_wire() for event in events]


@pytest.mark.covers("local:background")
async def test_a_background_create_returns_at_once_and_the_turn_is_read_later(service: Service) -> None:
    """`in_progress` and no steps first, then the steps so far, then the end."""
    gate = Gate(text("Done."))
    backend = service(gate.script)
    started = await backend.create(model="m", input="1", background=True)
    assert started.status == "in_progress"
    assert started.to_wire()["steps"] == []
    await gate.reached.wait()
    while not (running := await backend.get(started.id)).to_wire()["steps"]:
        await asyncio.sleep(0)
    assert (running.status, running.to_wire()["steps"]) == ("in_progress", [THOUGHT])
    gate.open.set()
    await collect(backend.watch(started.id))
    ended = await backend.get(started.id)
    assert (ended.status, ended.output_text) == ("completed", "Done.")


@pytest.mark.covers("local:background:queued")
async def test_a_deferred_turn_starts_queued(service: Service) -> None:
    """Its answer and its first event say so; its tier is in the answer."""
    backend = service([text("Done.")])
    started = await backend.create(model="m", input="1", background=True, service_tier="deferred")
    assert (started.status, started.service_tier) == ("queued", "deferred")
    events = await collect(backend.watch(started.id))
    assert events[0].interaction.status == "queued"
    assert assemble(events).status == "completed"


@pytest.mark.covers("local:watch")
async def test_a_watch_gives_what_was_and_then_what_comes(service: Service) -> None:
    """Followed live to the end; a replay of the ended turn is the same, event for event."""
    gate = Gate()
    backend = service(gate.script)
    started = await backend.create(model="m", input="1", background=True)
    live = asyncio.create_task(collect(backend.watch(started.id)))
    await gate.reached.wait()
    late = asyncio.create_task(collect(backend.watch(started.id)))
    await asyncio.sleep(0)
    gate.open.set()
    events = await live
    assert wire(await late) == wire(events) == wire(await collect(backend.watch(started.id)))
    assert events[-1].event_type == "interaction.completed"


@pytest.mark.covers("local:watch:resume")
async def test_a_stream_resumes_after_any_event_with_no_gap_and_no_double(service: Service) -> None:
    """From every event of it, the last included."""
    backend = service([THOUGHT, text("One two three four five six seven eight.")])
    events = await collect(backend.stream(model="m", input="1", background=True))
    ids = [event.event_id for event in events]
    assert len(set(ids)) == len(ids)
    interaction = assemble(events).id
    for place, cursor in enumerate(ids):
        assert wire(await collect(backend.watch(interaction, after=cursor))) == wire(events[place + 1 :])


@pytest.mark.covers("local:watch:cursor")
async def test_a_cursor_of_another_turn_is_refused(service: Service) -> None:
    """400, and neither a guess nor the whole stream again."""
    backend = service([text("a")], [text("b")])
    first, second = [await collect(backend.stream(model="m", input="1")) for _ in range(2)]
    turn = assemble(first).id
    for wrong in (second[0].event_id, "ev_1", f"{first[0].event_id[:-4]}9999", f"{first[0].event_id[:-4]}0000"):
        with pytest.raises(BadRequest, match="last_event_id"):
            await collect(backend.watch(turn, after=wrong))


@pytest.mark.covers("local:stream:event-ids")
@pytest.mark.parametrize("on", [True, False])
async def test_event_ids_on_foreground_streams_can_be_switched_off(service: Service, on: bool) -> None:
    """The real service sends none there; background and resumed streams have them always."""
    backend = service([text("a")], [text("b")], switches=Switches(foreground_event_ids=on))
    foreground = await collect(backend.stream(model="m", input="1"))
    background = await collect(backend.stream(model="m", input="1", background=True))
    assert {event.event_id is not None for event in foreground} == {on}
    replayed = await collect(backend.watch(assemble(foreground).id))
    assert all(event.event_id for event in [*background, *replayed])


@pytest.mark.covers("local:cancel")
async def test_cancelling_stops_a_background_turn_and_keeps_its_steps(service: Service) -> None:
    """The responder is really left; the answer, a later get and every watcher say `cancelled`."""
    gate = Gate()
    backend = service(gate.script, [text("next")])
    started = await backend.create(model="m", input="1", background=True)
    watching = asyncio.create_task(collect(backend.watch(started.id)))
    await gate.reached.wait()
    cancelled = await backend.cancel(started.id)
    assert gate.left.is_set()
    assert (cancelled.status, cancelled.to_wire()["steps"]) == ("cancelled", [THOUGHT])
    assert await backend.get(started.id) == cancelled
    assert assemble(await watching).status == "cancelled"
    assert (await backend.create(model="m", input="2", previous_interaction_id=started.id)).status == "completed"


@pytest.mark.covers("local:cancel:program")
async def test_cancelling_stops_the_program_that_runs(service: Service) -> None:
    """An endless program does not outlive its turn: another one runs at once in the only worker."""
    from bridge.backends.local import MontySandbox

    begun = asyncio.Event()

    async def endless(turn: Turn) -> AsyncIterator[Any]:
        yield THOUGHT
        begun.set()
        assert turn.run_python is not None
        yield text((await turn.run_python(ENDLESS)).stdout)

    async def prints(turn: Turn) -> AsyncIterator[Any]:
        assert turn.run_python is not None
        yield text((await turn.run_python("print('free again')")).stdout)

    sandbox = MontySandbox(workers=1)
    backend = service(endless, prints, sandbox=sandbox)
    tools = [{"type": "code_execution"}]
    started = await backend.create(model="m", input="1", background=True, tools=tools)
    await begun.wait()
    assert (await backend.cancel(started.id)).status == "cancelled"
    assert (await backend.create(model="m", input="2", tools=tools)).output_text == "free again\n"
    await sandbox.aclose()


@pytest.mark.covers("local:cancel:refused")
async def test_what_has_ended_or_runs_in_the_foreground_is_not_cancelled(service: Service) -> None:
    """400 with the API's code for a condition that is not met."""
    gate = Gate()
    backend = service([text("a")], gate.script)
    ended = await backend.create(model="m", input="1", background=True)
    await collect(backend.watch(ended.id))
    stream = backend.stream(model="m", input="2")
    foreground = (await anext(stream)).interaction
    for turn, why in ((ended.id, "has ended"), (foreground.id, "Only background")):
        with pytest.raises(BadRequest, match=why) as refused:
            await backend.cancel(turn)
        assert refused.value.code == "failed_precondition"
    gate.open.set()
    assert assemble([e async for e in stream]).status in ("completed", "")


@pytest.mark.covers("local:cancel:stubborn")
async def test_a_turn_that_will_not_stop_is_cancelled_all_the_same(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A responder that swallows the cancellation is waited for a bounded time; what it says later is not kept."""
    from bridge.backends.local import engine

    monkeypatch.setattr(engine, "_STOP_WITHIN", 0.05)
    begun, go = asyncio.Event(), asyncio.Event()

    async def stubborn(turn: Turn) -> AsyncIterator[Any]:
        begun.set()
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue
        yield text("too late")

    backend = service(stubborn)
    started = await backend.create(model="m", input="1", background=True)
    await begun.wait()
    assert (await backend.cancel(started.id)).status == "cancelled"
    go.set()
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()))
    assert (await backend.get(started.id)).to_wire()["steps"] == []


@pytest.mark.covers("local:delete")
async def test_a_deleted_turn_that_runs_goes_on_unseen(service: Service) -> None:
    """As on the real service; those who watched see its end, nobody else finds it."""
    gate = Gate()
    backend = service(gate.script)
    started = await backend.create(model="m", input="1", background=True)
    watching = asyncio.create_task(collect(backend.watch(started.id)))
    await gate.reached.wait()
    await backend.delete(started.id)
    with pytest.raises(NotFound):
        await backend.get(started.id)
    gate.open.set()
    assert assemble(await watching).status == "completed"
    with pytest.raises(NotFound):
        await backend.get(started.id)


@pytest.mark.covers("local:restart")
async def test_everything_survives_a_restart(service: Service, tmp_path: Path, clock: Clock) -> None:
    """Turns, their streams with their cursors, chains, agents, environments and files."""
    first = service([THOUGHT, text("The budget is 500.")], data=tmp_path / "data", clock=clock)
    events = await collect(first.stream(model="m", input="1", environment="remote"))
    turn = await first.get(assemble(events).id)
    agent = await first.agents.create(id="mine", base_agent="antigravity-preview-09-2026")
    await first.files.write(turn.environment_id, "a.txt", b"kept")
    await first.aclose()

    second = service([text("b")], data=tmp_path / "data", clock=clock)
    assert await second.get(turn.id) == turn
    assert wire(await collect(second.watch(turn.id))) == wire(events)
    assert wire(await collect(second.watch(turn.id, after=events[3].event_id))) == wire(events[4:])
    assert await second.agents.get("mine") == agent
    assert await second.files.read(turn.environment_id, "a.txt") == b"kept"
    await second.create(model="m", input="2", previous_interaction_id=turn.id)
    responder: Any = second.engine._responder
    assert [step.type for step in responder.turns[0].history] == ["user_input", "thought", "model_output"]
    assert first.identity == second.identity != LocalBackend().identity


@pytest.mark.covers("local:restart:cut")
async def test_a_job_that_was_cut_by_a_crash_ends_failed_and_keeps_its_steps(service: Service, tmp_path: Path) -> None:
    """A killed process leaves its turn `in_progress`; the next start ends it, says why, and its stream ends too."""
    program = f"""
import asyncio, os
from bridge.backends.local import LocalBackend, ScriptedResponder
async def script(turn):
    yield {THOUGHT!r}
    yield {text("part")!r}
    os._exit(9)
async def main():
    backend = LocalBackend({str(tmp_path)!r}, responder=ScriptedResponder([script]))
    started = await backend.create(model="m", input="1", background=True)
    print(started.id, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 9, done.stderr
    cut = done.stdout.strip()
    backend = service([text("b")], data=tmp_path)
    failed = (await backend.get(cut)).to_wire()
    assert failed["status"] == "failed"
    assert [step["type"] for step in failed["steps"]][:1] == ["thought"]
    assert failed["errors"][0]["code"] == "aborted"
    assert "restarted" in failed["errors"][0]["message"]
    assert (await collect(backend.watch(cut)))[-1].interaction.status == "failed"


@pytest.mark.covers("local:close")
async def test_closing_ends_what_runs_and_refuses_what_comes(service: Service, tmp_path: Path) -> None:
    """Jobs end `failed` with a clear error at once and on disk; later calls are 503; closing twice does no harm."""
    gate, waiting = Gate(), Gate()
    backend = service(gate.script, waiting.script, data=tmp_path)
    started = await backend.create(model="m", input="1", background=True)
    foreground = asyncio.create_task(backend.create(model="m", input="2"))
    await gate.reached.wait()
    await waiting.reached.wait()
    await backend.aclose()
    assert (await foreground).status == "failed"
    await backend.aclose()
    for late in (backend.create(model="m", input="3"), backend.get(started.id)):
        with pytest.raises(ServiceFailed) as refused:
            await late
        assert refused.value.status == 503
    again = service([text("b")], data=tmp_path)
    ended = (await again.get(started.id)).to_wire()
    assert (ended["status"], ended["steps"]) == ("failed", [THOUGHT])
    assert "stopped" in ended["errors"][0]["message"]


@pytest.mark.covers("local:close:at-once")
async def test_closing_right_after_a_start_leaves_nobody_waiting(service: Service) -> None:
    """Whatever a turn had come to, its caller gets an end or an error."""
    for turns_of_the_loop in range(12):
        backend = LocalBackend(responder=ScriptedResponder([Gate().script]))
        creating = asyncio.create_task(backend.create(model="m", input="1"))
        for _ in range(turns_of_the_loop):
            await asyncio.sleep(0)
        await backend.aclose()
        (outcome,) = await asyncio.gather(creating, return_exceptions=True)
        assert getattr(outcome, "status", None) in ("failed", 503)


@pytest.mark.covers("local:close:stubborn")
async def test_closing_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A responder that does not stop is given up."""
    from bridge.backends.local import engine

    monkeypatch.setattr(engine, "_STOP_WITHIN", 0.05)
    begun, go = asyncio.Event(), asyncio.Event()

    async def stubborn(turn: Turn) -> AsyncIterator[Any]:
        begun.set()
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue
        yield text("too late")

    backend = LocalBackend(responder=ScriptedResponder([stubborn]))
    creating = asyncio.create_task(backend.create(model="m", input="1"))
    await begun.wait()
    await backend.aclose()
    assert (await creating).status == "failed"
    go.set()
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()))


@pytest.mark.covers("local:close:forgotten")
def test_a_service_that_nobody_closes_does_not_keep_the_process(tmp_path: Path) -> None:
    """The process ends with 0, and the temporary folder is gone."""
    program = """
import asyncio, os, tempfile
tempfile.tempdir = os.environ["FOLDER"]
from bridge.backends.local import LocalBackend, ScriptedResponder
async def script(turn):
    yield {"type": "thought"}
    await asyncio.sleep(600)
async def main():
    backend = LocalBackend(responder=ScriptedResponder([script]))
    started = await backend.create(model="m", input="1", background=True)
    assert os.listdir(os.environ["FOLDER"])
    return backend
backend = asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"FOLDER": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.covers("local:data:in-use")
async def test_a_data_folder_serves_one_process_at_a_time(service: Service, tmp_path: Path) -> None:
    """A second service would take the first one's jobs for cut ones: it is refused with a clear message."""
    first = service([text("a")], data=tmp_path)
    await first.create(model="m", input="1")
    program = f"""
import asyncio
from bridge.backends.local import LocalBackend
from bridge.errors import NotConfigured
try:
    asyncio.run(LocalBackend({str(tmp_path)!r}).get("v1_x"))
except NotConfigured as error:
    print(error)
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "in use by another process" in done.stdout, done.stderr
    assert str(tmp_path) in done.stdout


@pytest.mark.covers("local:data:unusable")
async def test_a_data_folder_that_cannot_be_used_is_named(service: Service, tmp_path: Path) -> None:
    """A file in its place, and a database that is none."""
    (tmp_path / "file").write_text("x")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "service.sqlite3").write_text("this is not a database, " * 50)
    for folder in (tmp_path / "file", broken):
        with pytest.raises(NotConfigured, match=folder.name):
            await service(data=folder).get("v1_x")


@pytest.mark.covers("local:data:extra")
async def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first call, not in the middle of a turn."""
    from bridge.backends.local import store

    monkeypatch.setattr(store, "find_spec", lambda name: None)
    with pytest.raises(NotConfigured, match=r"pip install 'interactions-bridge\[local\]'"):
        await service().get("v1_x")


@pytest.mark.covers("local:data:fails")
async def test_a_store_that_fails_is_an_error_and_not_an_answer(service: Service, tmp_path: Path) -> None:
    """500 without SQL; a turn that runs is told its end even where it cannot be kept."""
    gate = Gate()
    backend = service(gate.script, data=tmp_path)
    started = await backend.create(model="m", input="1", background=True)
    await gate.reached.wait()
    connection: Any = backend.engine._store._opened.connection
    await backend.engine._store._call(lambda db: db.execute("DROP TABLE interactions"))
    with pytest.raises(ServiceFailed, match="could not read or write") as refused:
        await backend.create(model="m", input="2")
    assert "interactions" not in str(refused.value)
    watching = asyncio.create_task(collect(backend.watch(started.id)))
    gate.open.set()
    assert (await watching)[-1].event_type == "interaction.completed"
    assert connection is not None


@pytest.mark.covers("local:retention")
async def test_things_are_gone_after_the_retention_time(service: Service, clock: Clock) -> None:
    """Turns by their start, environments by their last use; as ids, as parents, and from the disk."""
    gate = Gate()
    backend = service([text("a")], gate.script, [text("c")], [text("d")], retention=100.0, clock=clock)
    old = await backend.create(model="m", input="1", environment="remote")
    running = await backend.create(model="m", input="2", background=True)
    await gate.reached.wait()
    assert old.environment_id is not None
    folder = await backend.environments.root(old.environment_id)
    clock.advance(99)
    assert (await backend.get(old.id)).status == "completed"
    clock.advance(2)
    with pytest.raises(NotFound):
        await backend.get(old.id)
    with pytest.raises(NotFound):
        await backend.environments.get(old.environment_id)
    with pytest.raises(NotFound):
        await backend.create(model="m", input="3", previous_interaction_id=old.id)
    assert (await backend.get(running.id)).status == "in_progress"
    await backend.create(model="m", input="3")
    assert not folder.exists()
    assert [e async for e in backend.environments.list()] == []
    gate.open.set()


@pytest.mark.covers("local:ending")
async def test_a_responder_may_say_how_its_turn_ends(service: Service) -> None:
    """Its status and errors stand in the answer and close the stream."""
    backend = service([text("part"), Ending(status="failed", errors=(("safety", "Blocked."),))])
    events = await collect(backend.stream(model="m", input="1"))
    ended = assemble(events).to_wire()
    assert (ended["status"], ended["errors"]) == ("failed", [{"code": "safety", "message": "Blocked."}])
    backend = service([text("part"), Ending(status="in_progress")])
    wrong = await backend.create(model="m", input="1")
    assert (wrong.status, wrong.output_text) == ("failed", "part")
