"""`webhook_app` over real sockets: both kinds of deliveries of the embedded service, and those of others."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from langgraph.checkpoint.memory import InMemorySaver

from bridge._sockets import listen
from bridge.backends.local import LocalBackend
from bridge.backends.local.webhooks.signing import KeyPair, new_secret, signature_of
from bridge.errors import ConnectionFailed, NotConfigured
from bridge.http import create_app
from bridge.jobs import JobStore
from bridge.jobs.receiving import MAX_BODY
from bridge.langgraph import interactions_node, wake, webhook_app

from .working import (
    MODEL,
    Behind,
    Faulty,
    Graph,
    Shaky,
    Together,
    asked,
    ended,
    flow,
    graph_of,
    on,
    parked_id,
    settled,
    until,
)

EVENTS = ["interaction.completed", "interaction.failed", "interaction.cancelled", "interaction.requires_action"]


@asynccontextmanager
async def answering(app: Any) -> AsyncIterator[str]:
    """The base URL of an app on a real socket, in the test's own event loop; its lifespan is run."""
    with listen() as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=2))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


class Door:
    """An address that is known before the app behind it is made."""

    def __init__(self) -> None:
        self.app: Any = None
        self.statuses: list[int] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def noting(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])
            await send(message)

        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await self.app(scope, receive, noting)


class World:
    """An embedded service over HTTP, a graph that parks, and a receiver that wakes it."""

    def __init__(self, local: LocalBackend, jobs: JobStore, door: Door, url: str, keys: str) -> None:
        self.local, self.jobs, self.door = local, jobs, door
        self.url, self.keys = url, keys
        self.behind = Behind()

    def open(self, secret: Any, **settings: Any) -> Graph:
        """The graph, once its receiver verifies by this secret, or by the service's keys where it is None."""
        node = interactions_node(model=MODEL, backend=self.local, jobs=self.jobs, name="work", **settings)
        graph = flow(node, self.behind)
        ways = {"jwks": self.keys, "audience": self.url} if secret is None else {"secret": secret}
        self.door.app = webhook_app(graph, self.jobs, **ways)
        return graph

    async def over(self, graph: Graph, *threads: str) -> None:
        """Waits until the threads have come to their end, and asserts that each did once."""
        await until(lambda: settled(self.jobs, len(threads)))
        for thread in threads:
            state = await graph.aget_state(on(thread))
            assert not state.tasks
            assert [message.type for message in state.values["messages"]] == ["human", "ai", "human"]
        assert self.behind.runs == dict.fromkeys(threads, 1)


@pytest.fixture
def together() -> Together:
    """What all interactions wait for."""
    return Together()


@asynccontextmanager
async def world_of(local: LocalBackend, jobs: JobStore) -> AsyncIterator[World]:
    door = Door()
    async with local, answering(create_app(local)) as service, answering(door) as url:
        yield World(local, jobs, door, f"{url}/hooks/one", f"{service}/.well-known/jwks.json")


@pytest.fixture
async def world(together: Together, jobs: JobStore) -> AsyncIterator[World]:
    async with world_of(LocalBackend(responder=together, test_controls=True), jobs) as world:
        yield world


def post(world: World, body: Any, secret: str, **changes: Any) -> Any:
    """Sends a delivery that is signed with a secret."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    name, stamp = changes.pop("id", "msg_1"), changes.pop("timestamp", int(time.time()))
    headers = {
        "webhook-id": name,
        "webhook-timestamp": str(stamp),
        "webhook-signature": signature_of([secret], name, stamp, raw),
        **changes,
    }
    return sent(world, raw, {header: value for header, value in headers.items() if value is not None})


async def sent(world: World, raw: bytes, headers: dict[str, str], method: str = "POST") -> int:
    async with httpx2.AsyncClient() as client:
        response = await client.request(method, world.url, content=raw, headers=headers)
    return int(response.status_code)


def told(name: str) -> dict[str, Any]:
    """What a delivery says of an interaction's end."""
    return {"type": "interaction.completed", "version": "v1", "data": {"id": name}}


@pytest.mark.covers("langgraph:webhook:both")
@pytest.mark.parametrize("kind", ["registered", "request"])
async def test_a_delivery_of_the_service_resumes_its_thread(world: World, together: Together, kind: str) -> None:
    """Signed by the secret of a registered webhook, or by the service's key for the address of one request."""
    if kind == "registered":
        webhook = await world.local.webhooks.create(uri=world.url, subscribed_events=EVENTS)
        graph = world.open(webhook.new_signing_secret)
    else:
        graph = world.open(None, webhook=world.url)
    name = parked_id(await graph.ainvoke(asked(), on("1")))
    together.open.set()
    await world.over(graph, "1")
    (arrival,) = await world.jobs.arrivals(interaction_id=name)
    (job,) = await world.jobs.list()
    assert arrival.token == (job.token if kind == "request" else None)
    assert world.door.statuses == [204]


@pytest.mark.covers("langgraph:webhook:twice")
async def test_a_delivery_that_comes_twice_resumes_once(world: World, together: Together) -> None:
    """It is recorded once, and both are acknowledged."""
    graph = world.open(None, webhook=world.url, labels={"local-webhook": "twice"})
    name = parked_id(await graph.ainvoke(asked(), on("1")))
    together.open.set()
    await world.over(graph, "1")
    await until(lambda: len(world.door.statuses) == 2)
    assert world.door.statuses == [204, 204]
    assert len(await world.jobs.arrivals(interaction_id=name)) == 1


@pytest.mark.covers("langgraph:webhook:order")
async def test_a_delivery_that_comes_before_the_create_is_answered_is_not_lost(jobs: JobStore) -> None:
    """It brings the row's token, and so binds what is not known yet; the thread takes it before it parks."""
    async with world_of(LocalBackend(test_controls=True), jobs) as world:
        graph = world.open(None, webhook=world.url, labels={"local-webhook": "early"})
        state = await graph.ainvoke(asked(), on("1"))
        assert "__interrupt__" not in state
        assert world.door.statuses == [204]
        (job,) = await jobs.list()
        assert len(await jobs.arrivals(token=job.token)) == 1
        assert world.behind.runs == {"1": 1}


@pytest.mark.covers("langgraph:webhook:order")
async def test_late_deliveries_in_any_order_resume_each_its_own_thread(world: World, together: Together) -> None:
    """The first to be started is the last to be told of."""
    nodes = [
        interactions_node(
            model=MODEL,
            backend=world.local,
            jobs=world.jobs,
            name="work",
            webhook=world.url,
            labels={"local-webhook-delay-ms": str(400 - 100 * thread)},
        )
        for thread in range(4)
    ]
    saver = InMemorySaver()
    graphs = [flow(node, world.behind, checkpointer=saver) for node in nodes]
    world.door.app = webhook_app(graphs[0], world.jobs, jwks=world.keys, audience=world.url)
    names = [parked_id(await graph.ainvoke(asked(), on(str(thread)))) for thread, graph in enumerate(graphs)]
    together.open.set()
    await world.over(graphs[0], "0", "1", "2", "3")
    assert len({*names}) == 4


@pytest.mark.covers("langgraph:webhook:order")
async def test_a_delivery_binds_the_job_of_a_start_that_nobody_saw_answered(jobs: JobStore, together: Together) -> None:
    """The connection broke after the create was sent: the thread waits, and the webhook says for what."""

    class Broken(Faulty):
        async def create(self, request: Any = None, /, **fields: Any) -> Any:
            await super().create(request, **fields)
            raise ConnectionFailed("the connection broke", sent=True)

    async with world_of(Broken(responder=together), jobs) as world:
        graph = world.open(None, webhook=world.url, on_unknown_start="wait")
        with pytest.raises(ConnectionFailed):
            await graph.ainvoke(asked(), on("1"))
        state = await graph.ainvoke(None, on("1"))
        assert parked_id(state) is None
        together.open.set()
        await world.over(graph, "1")


@pytest.mark.covers("langgraph:webhook:refused")
@pytest.mark.parametrize(
    "changes",
    [
        {"secret": new_secret()},
        {"timestamp": int(time.time()) - 3_600},
        {"timestamp": int(time.time()) + 3_600},
        {"webhook-signature": "v1,bm90IHRoZSBzaWduYXR1cmU="},
        {"webhook-signature": None},
        {"webhook-id": "msg_2"},
        {"webhook-signature": "token"},
        {"body": b"\xff not JSON"},
    ],
    ids=["secret", "old", "future", "signature", "unsigned", "id", "foreign token", "body"],
)
async def test_what_is_not_genuine_is_refused_and_resumes_nothing(
    world: World, together: Together, changes: dict[str, Any]
) -> None:
    """Though the interaction has ended."""
    secret = new_secret()
    graph = world.open(secret)
    name = parked_id(await graph.ainvoke(asked(), on("1")))
    together.open.set()
    await ended(world.local, name)
    changes = dict(changes)
    if changes.get("webhook-signature") == "token":
        changes["webhook-signature"] = (await asyncio.to_thread(KeyPair)).token(world.url, time.time(), "msg_1")
    body = changes.pop("body", told(name))
    assert await post(world, body, changes.pop("secret", secret), **changes) == 401
    assert await world.jobs.arrivals(interaction_id=name) == []
    assert not world.behind.runs
    assert await post(world, told(name), secret) == 204
    await world.over(graph, "1")


@pytest.mark.covers("langgraph:webhook:refused")
async def test_what_is_too_long_or_no_delivery_is_refused(world: World) -> None:
    """Before it is read to its end, or verified."""
    secret = new_secret()
    world.open(secret)
    long = {"type": "interaction.completed", "data": {"id": "x" * MAX_BODY}}
    assert await post(world, long, secret) == 413
    assert await sent(world, b"", {}, "GET") == 405
    assert await sent(world, b"{}", {}) == 401


@pytest.mark.covers("langgraph:webhook:unknown")
async def test_what_tells_of_nobody_s_interaction_starts_nothing(world: World) -> None:
    """It is acknowledged, so that it is not sent again; as is a ping."""
    secret = new_secret()
    graph = world.open(secret)
    assert await post(world, told("v1_nobody"), secret) == 204
    assert await post(world, {"type": "ping", "data": {}}, secret, id="msg_2") == 204
    assert await post(world, {"type": "batch.succeeded", "data": {"id": "b"}}, secret, id="msg_3") == 204
    assert [arrival.id for arrival in await world.jobs.arrivals(interaction_id="v1_nobody")] == ["msg_1"]
    assert isinstance(graph.checkpointer, InMemorySaver)
    assert not [*graph.checkpointer.list(None)]
    webhook = await world.local.webhooks.create(uri=world.url, subscribed_events=EVENTS)
    world.open(webhook.new_signing_secret)
    await world.local.webhooks.ping(webhook.id)
    assert world.door.statuses == [204] * 4


@pytest.mark.covers("langgraph:webhook:unknown")
async def test_a_delivery_cannot_give_a_job_another_interaction(world: World, together: Together) -> None:
    """A token in it binds what is not bound, and no more."""
    secret = new_secret()
    graph = world.open(secret)
    name = parked_id(await graph.ainvoke(asked(), on("1")))
    (job,) = await world.jobs.list()
    other = {**told("v1_other"), "user_metadata": {"bridge-job": job.token}}
    assert await post(world, other, secret) == 204
    (job,) = await world.jobs.list()
    assert job.interaction_id == name
    together.open.set()
    await ended(world.local, name)
    assert await post(world, told(name), secret, id="msg_2") == 204
    await world.over(graph, "1")


@pytest.mark.covers("langgraph:webhook:away")
async def test_where_the_store_cannot_be_written_a_delivery_comes_again(tmp_path: Path, together: Together) -> None:
    """It is answered 503, and nothing of it is kept."""
    jobs = Shaky(tmp_path / "shaky.sqlite")
    async with world_of(LocalBackend(responder=together), jobs) as world:
        graph = world.open(None, webhook=world.url)
        name = parked_id(await graph.ainvoke(asked(), on("1")))
        jobs.failing["deliver"] = [True]
        together.open.set()
        await until(lambda: world.door.statuses == [503])
        assert await jobs.arrivals(interaction_id=name) == []
        await world.over(graph, "1")
        assert world.door.statuses == [503, 204]
    await jobs.aclose()


@pytest.mark.covers("langgraph:webhook:away")
async def test_where_the_keys_cannot_be_had_a_delivery_comes_again(world: World, together: Together) -> None:
    """It may be genuine."""
    world.keys = "http://127.0.0.1:9/jwks.json"
    graph = world.open(None, webhook=world.url)
    await graph.ainvoke(asked(), on("1"))
    together.open.set()
    await until(lambda: world.door.statuses == [503])


@pytest.mark.covers("langgraph:webhook:refused")
async def test_a_receiver_that_could_verify_nothing_is_not_made(jobs: JobStore, together: Together) -> None:
    """A secret, or keys and an audience."""
    async with LocalBackend(responder=together) as local:
        graph = graph_of(interactions_node(model=MODEL, backend=local, jobs=jobs), checkpointer=InMemorySaver())
        with pytest.raises(NotConfigured, match="secret="):
            webhook_app(graph, jobs)


@pytest.mark.covers("langgraph:wake:errors")
async def test_what_the_graph_raises_behind_a_delivery_is_logged_once(
    world: World, together: Together, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer was given before it."""
    graph = world.open(None, webhook=world.url)
    world.behind.error = ValueError("the user's own")
    await graph.ainvoke(asked(), on("1"))
    together.open.set()
    await until(lambda: settled(world.jobs, 1))
    await until(lambda: "the user's own" in caplog.text)
    assert world.door.statuses == [204]
    assert caplog.text.count("could not be resumed") == 1


@pytest.mark.covers("langgraph:webhook:away", "langgraph:wake:died")
async def test_what_a_receiver_had_under_way_when_it_was_closed_is_gone_on_with(
    world: World, together: Together
) -> None:
    """By whoever wakes it next; the delivery was answered."""
    secret = new_secret()
    graph = world.open(secret)
    name = parked_id(await graph.ainvoke(asked(), on("1")))
    world.behind.open.clear()
    together.open.set()
    await ended(world.local, name)
    async with answering(world.door.app) as url:
        world.url = url
        assert await post(world, told(name), secret) == 204
        await world.behind.reached.wait()
    world.behind.open.set()
    assert not await settled(world.jobs, 1)
    assert await wake(graph, world.jobs, name) == "resumed"
    state = await graph.aget_state(on("1"))
    assert [message.type for message in state.values["messages"]] == ["human", "ai", "human"]
