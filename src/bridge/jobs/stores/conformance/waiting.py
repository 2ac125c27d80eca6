"""Checks of a job store: what becomes of jobs, who holds a thread, what was delivered, and the record."""

from __future__ import annotations

import asyncio

from bridge.errors import InvalidRequest, NotFound

from ...job import Job
from ..store import MAX_STEPS, Arrival, JobStore
from .frame import Check, Given, at_once, intent, must, raises, registrar, same

__all__ = ["CHECKS"]

CHECKS: dict[str, Check] = {}
_check = registrar(CHECKS)


@_check
async def noting(given: Given) -> None:
    """What was seen of a job is kept, and nothing else changes."""
    job = await given.job("here", bound="i-1")
    seen = {
        "status": "completed",
        "ended": 12.5,
        "due": 99.25,
        "looks": 3,
        "seen": "print",
        "cursor": "event-9",
        "progressed": 11.75,
        "verdict": "deadline",
        "environment_id": "env-1",
        "usage": {"total_tokens": 7, "by": [{"a": None}]},
    }
    for name, value in seen.items():
        before = await given.read(job.token)
        after = await given.store.note(job.token, **{name: value})
        same(getattr(after, name), value, f"{name} is noted")
        changed = [field for field in Job.__slots__ if getattr(before, field) != getattr(after, field)]
        same(changed, [name], f"noting {name} changes it alone")
        same(await given.read(job.token), after, "a noted job is kept as it was given")
    other = await given.job("there")
    both = await given.store.note(other.token, seen="a", looks=1, usage={})
    same((both.seen, both.looks, both.usage), ("a", 1, {}), "several facts are noted at once; no usage is not unknown")
    same(await given.store.note(other.token), both, "noting nothing gives the job")
    same((await given.store.note(other.token, usage=None)).usage, None, "what is unknown again is noted as that")


@_check
async def noting_once(given: Given) -> None:
    """When a job ended and why it was stopped stay as first noted."""
    job = await given.job("here", bound="i-1")
    await given.store.note(job.token, ended=12.5, verdict="stalled")
    again = await given.other.note(job.token, ended=99.5, verdict="budget", looks=2)
    same((again.ended, again.verdict, again.looks), (12.5, "stalled", 2), "an end and a verdict stay as first noted")
    again = await given.other.note(job.token, ended=None, verdict=None)
    same((again.ended, again.verdict), (12.5, "stalled"), "an end and a verdict are not taken back")


@_check
async def noting_what_cannot_be(given: Given) -> None:
    """What cannot be noted is refused."""
    job = await given.job("here")
    await raises(NotFound, given.store.note("nothing", looks=1), "noting of a job that is not there raises NotFound")
    await raises(NotFound, given.store.note("nothing"), "noting nothing of no job raises NotFound")
    await raises(InvalidRequest, given.store.note(job.token, thread="x"), "noting what is not seen of a job is refused")
    same(await given.read(job.token), job, "a refused note changes nothing")


@_check
async def settling(given: Given) -> None:
    """A settled job is over from that time on, and is never due."""
    job = await given.job("here", bound="i-1")
    await given.store.settle(job.token)
    settled = given.clock.now
    given.clock.pass_by(given.lease * 10)
    await given.other.settle(job.token)
    await given.other.settle("nothing")
    after = await given.read(job.token)
    same((after.state, after.settled), ("settled", settled), "a job is settled once")
    same(list(await given.store.take_due()), [], "a settled job is not due")


@_check
async def taking_what_is_due(given: Given) -> None:
    """Due jobs come longest due first, intended ones too, and are due again after one lease."""
    lease = given.lease
    jobs = [await given.job(f"place {number}", bound=f"i-{number}") for number in range(5)]
    for job, later in zip(jobs, (30.0, 10.0, 20.0, 40.0, 50.0), strict=True):
        await given.store.note(job.token, due=given.clock.now + lease + later)
    intended = await given.job("intended")
    same(list(await given.store.take_due()), [], "no job is due before its time")
    given.clock.pass_by(lease + 40)
    taken = await given.store.take_due(3)
    order = [intended.token, jobs[1].token, jobs[2].token]
    same([job.token for job in taken], order, "those that are due longest are taken first")
    same([job.due for job in taken], [given.clock.now + lease] * 3, "a taken job is due again after one lease")
    same(await given.read(taken[0].token), taken[0], "a taken job is kept as it was given")
    same(list(await given.store.take_due(backends=[])), [], "no job is taken for no backend")
    same(list(await given.store.take_due(backends=["none of these"])), [], "jobs of other backends are left alone")
    same(list(await given.store.take_due(0)), [], "no job is taken where none is asked for")
    same(list(await given.store.take_due(names="res%")), [], "jobs of other names are left alone")
    rest = await given.other.take_due(names="res")
    same([job.token for job in rest], [jobs[0].token, jobs[3].token], "what was taken is not taken again")
    same(list(await given.other.take_due()), [], "a taken job is not due")
    given.clock.pass_by(lease + 10)
    same(len(await given.other.take_due()), 6, "a taken job is due again after one lease")
    await raises(InvalidRequest, given.store.take_due(-1), "a limit below 0 is refused")


@_check
async def taking_at_once(given: Given) -> None:
    """Many that take at once never take the same job, and leave none."""
    expected = {(await given.job(f"place {number}")).token for number in range(60)}
    given.clock.pass_by(given.lease)
    taken: list[str] = []
    for _ in range(20):
        for jobs in await at_once(given.turn(turn).take_due(7) for turn in range(8)):
            must(len(jobs) <= 7, "no more jobs are taken than asked for")
            taken += [job.token for job in jobs]
        if len(taken) >= len(expected):
            break
    same((len(taken), set(taken)), (len(expected), expected), "each due job is taken once")


@_check
async def holding(given: Given) -> None:
    """A thread is held by one, again by the same, by another after it was given back or its lease ran out."""
    lease = given.lease
    must(await given.store.hold("thread", "a"), "a free thread can be held")
    must(not await given.other.hold("thread", "b"), "a held thread cannot be held by another")
    must(await given.other.hold("other thread", "b"), "another thread can be held")
    given.clock.pass_by(lease * 0.75)
    must(await given.store.hold("thread", "a"), "who holds a thread may hold it again")
    given.clock.pass_by(lease * 0.75)
    must(not await given.other.hold("thread", "b"), "to hold again is another lease")
    given.clock.pass_by(lease * 0.25)
    must(await given.other.hold("thread", "b"), "a thread is free when its lease has run out")
    must(not await given.store.hold("thread", "a"), "who lost a thread does not hold it")


@_check
async def renewing(given: Given) -> None:
    """Who holds a thread may renew it; who lost it is told so."""
    lease = given.lease
    must(not await given.store.renew("thread", "a"), "what is not held is not renewed")
    await given.store.hold("thread", "a")
    must(not await given.other.renew("thread", "b"), "what another holds is not renewed")
    given.clock.pass_by(lease * 0.75)
    must(await given.store.renew("thread", "a"), "what is held is renewed")
    given.clock.pass_by(lease * 0.75)
    must(not await given.other.hold("thread", "b"), "what was renewed is held for another lease")
    given.clock.pass_by(lease * 0.25)
    must(not await given.store.renew("thread", "a"), "what has run out is not renewed")
    must(await given.other.hold("thread", "b"), "what has run out can be held by another")
    must(not await given.store.renew("thread", "a"), "what was lost is not renewed")


@_check
async def releasing(given: Given) -> None:
    """A thread is given back by who holds it, and by nobody else."""
    await given.store.hold("thread", "a")
    await given.other.release("thread", "b")
    must(not await given.other.hold("thread", "b"), "a thread is not given back by another")
    await given.store.release("thread", "a")
    await given.store.release("thread", "a")
    must(not await given.store.renew("thread", "a"), "a thread that was given back is not renewed")
    must(await given.other.hold("thread", "b"), "a thread that was given back can be held")


@_check
async def one_hold_of_many(given: Given) -> None:
    """Of many that want a thread at once, one gets it; also when a lease has just run out."""
    for turn in range(3):
        answers = await at_once(given.turn(number).hold("thread", f"{turn}-{number}") for number in range(20))
        same(sum(answers), 1, "one of many holds a thread")
        given.clock.pass_by(given.lease)


@_check
async def deliveries(given: Given) -> None:
    """A delivery is kept once, and found by its interaction or its token, oldest first."""
    own = (await given.job("here")).token
    first, second = Arrival("d-1", "i-1", "interaction.completed"), Arrival("d-2", "i-1")
    third = Arrival("d-3", "i-2", token=own)
    for arrival in (second, first, third):
        must(await given.store.deliver(arrival), "a delivery is kept, of a known interaction or not")
    must(not await given.other.deliver(Arrival("d-1", "i-9")), "a delivery of a known id is not kept")
    found = list(await given.other.arrivals(interaction_id="i-1"))
    same(found, [second, first], "deliveries are found by their interaction, oldest first")
    same(list(await given.other.arrivals(token=own)), [third], "deliveries are found by their token")
    found = list(await given.other.arrivals(interaction_id="i-1", token=own))
    same(found, [second, first, third], "deliveries are found by either")
    same(list(await given.store.arrivals(interaction_id="i-9")), [], "there is no delivery of another interaction")
    same(list(await given.store.arrivals()), [], "who asks for none gets none")


@_check
async def one_delivery_of_many(given: Given) -> None:
    """Of many deliveries of one id that come at once, one is kept."""
    answers = await at_once(given.turn(turn).deliver(Arrival("d-1", "i-1")) for turn in range(20))
    same(sum(answers), 1, "one of many deliveries of an id is kept")


@_check
async def keeping_steps(given: Given) -> None:
    """Steps are kept by their place, replaced, given in order, and bounded."""
    job, other = await given.job("here"), await given.job("there")
    text = "naïve \u0000 \ud800"
    await given.store.keep_steps(job.token, {2: {"type": "c"}, 0: {"type": "a", "text": text}})
    await given.other.keep_steps(job.token, {1: {"type": "b"}, 2: {"type": "replaced"}})
    await given.store.keep_steps(job.token, {})
    await given.store.keep_steps(other.token, {0: {"type": "other"}})
    kept = await given.other.steps(job.token)
    expected = [(0, {"type": "a", "text": text}), (1, {"type": "b"}), (2, {"type": "replaced"})]
    same(list(kept.items()), expected, "steps are kept in order, the last one of each place")
    same(dict(await given.store.steps(other.token)), {0: {"type": "other"}}, "each job has steps of its own")
    same(dict(await given.store.steps("nothing")), {}, "a job that is not there has no steps")
    await given.store.keep_steps(job.token, {MAX_STEPS - 1: {"last": 1}, MAX_STEPS: {"beyond": 1}, 2**40: {"far": 1}})
    same(max(await given.store.steps(job.token)), MAX_STEPS - 1, f"no step is kept beyond {MAX_STEPS}")
    await raises(NotFound, given.store.keep_steps("nothing", {0: {}}), "keeping steps of no job raises NotFound")
    await raises(InvalidRequest, given.store.keep_steps(job.token, {-1: {}}), "a place below 0 is refused")


@_check
async def keeping_at_once(given: Given) -> None:
    """Of many that keep steps of one job at once, each one's are kept."""
    job = await given.job("here")
    await at_once(given.turn(turn).keep_steps(job.token, {turn: {"number": turn}}) for turn in range(20))
    kept = dict(await given.store.steps(job.token))
    same(kept, {turn: {"number": turn} for turn in range(20)}, "steps that are kept at once are all there")


@_check
async def pruning(given: Given) -> None:
    """Jobs settled before a time go with their steps, and so do deliveries that belong to none."""
    old, late = await given.job("old", bound="i-old"), await given.job("late", bound="i-late")
    await given.job("running", bound="i-running")
    intended = await given.job("intended")
    await given.store.keep_steps(old.token, {0: {"type": "gone"}})
    await given.store.keep_steps(late.token, {0: {"type": "kept"}})
    for name in ("old", "late", "running", "nobody"):
        await given.store.deliver(Arrival(f"d-{name}", f"i-{name}"))
    await given.store.deliver(Arrival("d-token", "i-unknown", token=intended.token))
    await given.store.settle(old.token)
    given.clock.pass_by(100)
    before = given.clock.now
    await given.store.settle(late.token)
    await given.store.deliver(Arrival("d-new", "i-new"))
    same(await given.other.prune(before), 1, "pruning tells how many jobs it forgot")
    left = [job.place for job in await given.store.list()]
    same(left, ["intended", "running", "late"], "jobs settled before the time are forgotten, and no others")
    same(dict(await given.store.steps(old.token)), {}, "steps go with their job")
    same(dict(await given.store.steps(late.token)), {0: {"type": "kept"}}, "other jobs' steps stay")
    for name, kept in {"old": 0, "nobody": 0, "late": 1, "running": 1, "new": 1}.items():
        found = await given.store.arrivals(interaction_id=f"i-{name}")
        same(len(found), kept, "old deliveries that belong to no job are forgotten, and no others")
    same(len(await given.store.arrivals(token=intended.token)), 1, "deliveries that bring a job's token stay")
    same(await given.store.prune(before), 0, "pruning again forgets nothing")
    newest = await given.job("newest")
    await given.store.keep_steps(newest.token, {0: {"type": "gone"}})
    await given.store.settle(newest.token)
    given.clock.pass_by(1)
    same(await given.store.prune(given.clock.now), 2, "pruning later forgets what was settled since")
    after = await given.job("newest")
    same(dict(await given.store.steps(after.token)), {}, "a new job has no steps of a forgotten one")


@_check
async def pruning_takes_no_thread(given: Given) -> None:
    """Pruning takes nobody's thread away."""
    await given.store.hold("thread", "a")
    await given.other.prune(given.clock.now + given.lease * 10)
    must(await given.store.renew("thread", "a"), "pruning leaves held threads held")


@_check
async def a_store(given: Given) -> None:
    """It is a `JobStore`, with a lease of some length."""
    must(isinstance(given.store, JobStore), "it has every method of JobStore")
    must(given.lease > 0, "its lease is above 0 seconds")


@_check
async def closing(given: Given) -> None:
    """A store can be closed twice, also unused; what it kept is there for the next."""
    job = await given.job("here", bound="i-1")
    await given.store.aclose()
    await given.store.aclose()
    unused, last = given.connect(given.clock), given.connect(given.clock)
    await unused.aclose()
    try:
        same(await last.get(job.token), job, "what was kept outlasts the store")
    finally:
        await last.aclose()


@_check
async def several_loops(given: Given) -> None:
    """One store serves several event loops, also at once."""

    async def elsewhere() -> int:
        return sum([(await given.store.intend(intent("here", thread=f"{turn}")))[1] for turn in range(10)])

    found = await at_once(asyncio.to_thread(lambda: asyncio.run(elsewhere())) for _ in range(4))
    same(sum(found), 10, "several loops that use one store see each other's jobs")
