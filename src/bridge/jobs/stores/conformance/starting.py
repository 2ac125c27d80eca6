"""Checks of a job store: how jobs begin, and how they are found."""

from __future__ import annotations

from typing import Any

from bridge.errors import Conflict, InvalidRequest, NotFound

from ...job import Job
from .frame import Check, Given, at_once, intent, must, raises, registrar, same

__all__ = ["CHECKS"]

CHECKS: dict[str, Check] = {}
_check = registrar(CHECKS)


@_check
async def a_new_job(given: Given) -> None:
    """A job begins as it was intended, due after one lease."""
    terms = {"budget": {"seconds": 5.5}, "text": "naïve \u0000 \ud800", "none": None, "large": 2**70}
    job, new = await given.store.intend(intent(deadline=60, terms=terms))
    now, lease = given.clock.now, given.lease
    same(given.store.now(), now, "a store tells the time that its jobs are told in")
    must(new, "the first job of a place is new")
    expected = Job(
        token=job.token,
        thread="thread",
        place="here",
        name="research",
        target="agent-1",
        backend="local",
        state="intended",
        interaction_id=None,
        status="",
        created=now,
        bound=None,
        ended=None,
        settled=None,
        deadline=now + 60,
        due=now + lease,
        busy=now + lease,
        looks=0,
        seen="",
        cursor=None,
        progressed=None,
        verdict=None,
        environment_id=None,
        usage=None,
        terms=terms,
    )
    same(job, expected, "a new job is as it was intended")
    same(await given.read(job.token), expected, "a new job is kept as it was given")
    plain = await given.job("there")
    same((plain.deadline, dict(plain.terms)), (None, {}), "a job without deadline and terms has none")


@_check
async def a_token_is_random(given: Given) -> None:
    """A token is long and fit for a label."""
    tokens = {(await given.job(f"place {number}")).token for number in range(20)}
    same(len(tokens), 20, "each job has a token of its own")
    for token in tokens:
        must(22 <= len(token) <= 63, "a token has 22 to 63 characters")
        must(set(token) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_"), "a token is made of a-z, 0-9, - and _")


@_check
async def a_place_has_one_job(given: Given) -> None:
    """Who comes by the same place again gets its job, which tells until it is bound whether who began it is alive."""
    first = await given.job("here")
    given.clock.pass_by(5)
    again, new = await given.other.intend(intent("here", name="changed", terms={"changed": True}))
    must(not new, "the job of a place is found again")
    same(again.token, first.token, "a place has one job")
    same(again.busy, first.busy, "to come by again is no sign of life of who began the job")
    same((again.name, dict(again.terms)), ("research", {}), "a job that is found is as it was intended first")
    same((again.due, again.created), (first.due, first.created), "a job that is found keeps its times")
    same(await given.read(first.token), again, "a job that was found is kept as it was given")
    await given.store.bind(first.token, "i-1")
    given.clock.pass_by(5)
    bound, _ = await given.store.intend(intent("here"))
    same(bound.busy, given.clock.now + given.lease, "to come by a job that is bound is a sign of life")


@_check
async def places_differ(given: Given) -> None:
    """Another place, or the same one of another thread, has another job."""
    jobs = [await given.job("here"), await given.job("there"), await given.job("here", thread="other thread")]
    same(len({job.token for job in jobs}), 3, "each place of each thread has its own job")


@_check
async def a_retry_adopts(given: Given) -> None:
    """Another attempt of the same path that asks the same gets the job, which is at its place from then on."""
    first = await given.job("here", bound="i-1")
    given.clock.pass_by(5)
    retry = intent("here again", attempt="1")
    adopted, new = await given.other.intend(retry)
    must(not new, "the job of an earlier attempt is found")
    same((adopted.token, adopted.place), (first.token, "here again"), "an adopted job is at the new place")
    same((adopted.interaction_id, adopted.state), ("i-1", "running"), "an adopted job keeps its interaction")
    same(adopted.busy, given.clock.now + given.lease, "to adopt a job is a sign of life")
    same(await given.read(first.token), adopted, "an adopted job is kept as it was given")
    again, new = await given.store.intend(retry)
    same((again.token, new), (first.token, False), "an adopted job is found by its new place")
    third, new = await given.store.intend(intent("here for the third time", attempt="2"))
    same((third.token, new), (first.token, False), "an adopted job is adopted by the next attempt")


@_check
async def what_is_not_adopted(given: Given) -> None:
    """A sibling of the same attempt, another path, another question and another thread start their own."""
    first = await given.job("here")
    others: dict[str, dict[str, str]] = {
        "a sibling of the same attempt": {},
        "another path": {"attempt": "1", "path": "other"},
        "another question": {"attempt": "1", "digest": "other"},
        "another thread": {"attempt": "1", "thread": "other"},
    }
    for exact, changes in others.items():
        job, new = await given.store.intend(intent(exact, **changes))
        must(new and job.token != first.token, f"a job is not adopted by {exact}")


@_check
async def a_retry_adopts_its_own(given: Given) -> None:
    """Of siblings in a graph that ask the same each retry gets the job of its own node, and so does who comes by once more after it."""
    jobs = [await given.job(f"graph:1|node:{number}|start:{number}") for number in range(3)]
    for number in (2, 0, 1):
        retried = f"graph:1|node:{number}"
        for place in (f"{retried}|1|start:9", f"{retried}|start:{number}"):
            attempt = f"{retried}|1" if "|1|start" in place else ""
            found, new = await given.store.intend(intent(place, attempt=attempt))
            same((found.token, new), (jobs[number].token, False), "a retry finds the job of its own node")
    _, new = await given.store.intend(intent("graph:1|node:4|1|start:9", attempt="graph:1|node:4|1"))
    must(new, "a retry of a node that started nothing finds nothing")


@_check
async def siblings_are_adopted_in_turn(given: Given) -> None:
    """Of several jobs the oldest is adopted first, each by one; a place's own job goes before."""
    jobs = [await given.job(f"first {number}", bound=f"i-{number}") for number in range(3)]
    await given.store.settle(jobs[0].token)
    for number, job in enumerate(jobs):
        adopted, new = await given.store.intend(intent(f"second {number}", attempt="1"))
        must(not new, "each attempt finds a job while there is one of another attempt")
        same(adopted.token, job.token, "the oldest job is adopted first, a settled one too")
    _, new = await given.store.intend(intent("second 3", attempt="1"))
    must(new, "an attempt for which no job is left starts its own")
    # From here on there are older jobs that a third attempt could adopt.
    last = (await given.job("third", attempt="2", digest="other")).token
    own, new = await given.store.intend(intent("third", attempt="2"))
    same((own.token, new), (last, False), "a place's own job goes before one to adopt")


@_check
async def one_start_of_many(given: Given) -> None:
    """Of many that come by one place at once, one is told that it is new."""
    for number in range(5):
        wanted = intent(f"place {number}", digest=f"{number}")
        answers = await at_once(given.turn(turn).intend(wanted) for turn in range(20))
        same(sum(new for _, new in answers), 1, "one of many at one place is told that the job is new")
        same(len({job.token for job, _ in answers}), 1, "all at one place get the same job")


@_check
async def one_adoption_of_many(given: Given) -> None:
    """Many that retry at one place at once adopt one job; at several places, one job each."""
    jobs = {(await given.job(f"first {number}")).token for number in range(4)}
    answers = await at_once(given.turn(turn).intend(intent("second 0", attempt="1")) for turn in range(20))
    must(not any(new for _, new in answers), "many retries at one place start nothing")
    same(len({job.token for job, _ in answers}), 1, "many retries at one place adopt one job")
    answers = await at_once(
        given.turn(turn // 4).intend(intent(f"second {turn % 4}", attempt="1")) for turn in range(20)
    )
    must(not any(new for _, new in answers), "as many retries as there are jobs start nothing")
    same({job.token for job, _ in answers}, jobs, "each of several retries adopts a job of its own")


@_check
async def binding(given: Given) -> None:
    """A bound job runs, due after one lease; binding it to the same again changes nothing."""
    job = await given.job("here")
    given.clock.pass_by(7)
    bound = await given.store.bind(job.token, "i-1", "in_progress")
    now, lease = given.clock.now, given.lease
    same((bound.state, bound.interaction_id, bound.status), ("running", "i-1", "in_progress"), "a bound job runs")
    same((bound.bound, bound.due, bound.busy), (now, now + lease, now + lease), "a bound job has new times")
    same(await given.read(job.token), bound, "a bound job is kept as it was given")
    given.clock.pass_by(7)
    same(await given.other.bind(job.token, "i-1", "queued"), bound, "binding the same again changes nothing")


@_check
async def binding_otherwise(given: Given) -> None:
    """A job has one interaction, and an interaction one job."""
    job, other = await given.job("here", bound="i-1"), await given.job("there")
    await raises(Conflict, given.store.bind(job.token, "i-2"), "binding a bound job to another id raises Conflict")
    await raises(Conflict, given.store.bind(other.token, "i-1"), "binding another job's id raises Conflict")
    await raises(NotFound, given.store.bind("nothing", "i-3"), "binding a job that is not there raises NotFound")
    same(await given.read(job.token), job, "a refused binding changes nothing")
    same(await given.read(other.token), other, "a refused binding changes no other job")
    await given.store.settle(other.token)
    late = await given.store.bind(other.token, "i-4")
    same((late.state, late.settled), ("running", None), "a job that was settled as unknown and is bound runs again")
    given.clock.pass_by(given.lease)
    due = [taken.token for taken in await given.store.take_due()]
    must(other.token in due, "a job that runs again is due after one lease")


@_check
async def one_binding_of_many(given: Given) -> None:
    """Of many that bind one job at once to different interactions, one succeeds."""
    job = await given.job("here")

    async def bind(number: int) -> bool:
        try:
            await given.turn(number).bind(job.token, f"i-{number}")
        except Conflict:
            return False
        return True

    same(sum(await at_once(bind(number) for number in range(10))), 1, "one of many bindings of a job succeeds")


@_check
async def withdrawing(given: Given) -> None:
    """What was not started is forgotten, and its place is free; what is bound stays."""
    job = await given.job("here")
    await given.store.withdraw(job.token)
    await given.store.withdraw(job.token)
    same(await given.other.get(job.token), None, "a withdrawn job is gone")
    again = await given.job("here", bound="i-1")
    await given.store.withdraw(again.token)
    same(await given.read(again.token), again, "a bound job is not withdrawn")


@_check
async def signs_of_life(given: Given) -> None:
    """A sign of life counts for one lease, and changes nothing else."""
    job = await given.job("here", bound="i-1")
    given.clock.pass_by(11)
    await given.store.touch(job.token)
    await given.store.touch("nothing")
    touched = await given.read(job.token)
    same(touched.busy, given.clock.now + given.lease, "a sign of life counts for one lease")
    same(touched.due, job.due, "a sign of life does not change when the job is due")


@_check
async def finding(given: Given) -> None:
    """A job is found by its token and by its interaction."""
    job = await given.job("here", bound="i-1")
    same(await given.other.get(job.token), job, "a job is found by its token")
    same(await given.other.find("i-1"), job, "a job is found by its interaction")
    same(await given.store.get("nothing"), None, "there is None for a token of no job")
    same(await given.store.find("nothing"), None, "there is None for an interaction of no job")


@_check
async def listing(given: Given) -> None:
    """Jobs come newest first, those for which all holds that was asked for, at most as many as asked for."""
    jobs = [
        await given.job(f"place {number}", thread=f"thread {number % 2}", bound=f"i-{number}") for number in range(4)
    ]
    named = await given.job("named", name="other", thread="thread 0")
    await given.store.settle(jobs[0].token)

    async def listed(**wanted: Any) -> list[str]:
        return [job.place for job in await given.other.list(**wanted)]

    same(await listed(), ["named", "place 3", "place 2", "place 1", "place 0"], "jobs are listed newest first")
    same(await listed(limit=2), ["named", "place 3"], "as many jobs are listed as asked for")
    same(await listed(limit=0), [], "no job is listed where none is asked for")
    same(await listed(state="settled"), ["place 0"], "settled jobs are listed")
    same(await listed(state="intended"), ["named"], "intended jobs are listed")
    same(await listed(thread="thread 0"), ["named", "place 2", "place 0"], "jobs of a thread are listed")
    same(await listed(name="other"), ["named"], "jobs of a name are listed")
    same(await listed(place="place 1"), ["place 1"], "jobs of a place are listed")
    same(await listed(skip=3), ["place 1", "place 0"], "the newest are left out")
    same(await listed(skip=1, limit=2), ["place 3", "place 2"], "as many jobs are listed behind those left out")
    same(await listed(before=jobs[2].token), ["place 1", "place 0"], "jobs older than another are listed")
    same(await listed(before="nothing"), [], "no job is older than one that is not there")
    await given.store.note(jobs[3].token, ended=given.clock.now)
    same(await listed(open=True, name="research"), ["place 2", "place 1"], "jobs neither ended nor settled are listed")
    found = await listed(state="running", thread="thread 0", name="research")
    same(found, ["place 2"], "jobs are listed for which all holds that was asked for")
    same((await given.store.list(name="other"))[0], named, "jobs are listed as they are")
    await raises(InvalidRequest, given.store.list(limit=-1), "a limit below 0 is refused")
    await raises(InvalidRequest, given.store.list(skip=-1), "to leave out less than none is refused")
