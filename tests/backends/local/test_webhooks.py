"""Webhooks of the embedded service: registered and of a request's own, signed, retried and kept, over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest

from bridge.backends.local import LocalBackend
from bridge.cli.serving import serving
from bridge.connect import sync_backend
from bridge.errors import ApiError, InvalidRequest
from bridge.http import create_app
from tests.receivers import Receiver, hmac_of, receiving

from .service import Clock, Gate, text

Service = Callable[..., LocalBackend]
DAY = 24 * 3600
COMPLETED = {"subscribed_events": ["interaction.completed"]}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def local(service: Service) -> LocalBackend:
    return service(test_controls=True)


def http(local: LocalBackend, **options: Any) -> httpx2.AsyncClient:
    """A client of the service's HTTP form."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(create_app(local, **options)), base_url="http://x")


async def run(local: LocalBackend, **fields: Any) -> str:
    """Starts a background turn."""
    return (await local.create(model="gemini-3.8-flash", input="hi", background=True, **fields)).id


async def ended(local: LocalBackend, id: str) -> None:
    """Waits for a turn's end, and for all that belongs to it being kept."""
    async for _ in local.watch(id):
        pass


async def until(true: Callable[[], Any]) -> None:
    """Waits until something holds, which may be asked of a coroutine."""
    async with asyncio.timeout(20):
        while not await true():
            await asyncio.sleep(0.005)


@pytest.mark.covers("local:webhooks:request")
@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({}, "interaction.completed"),
        ({"local-status": "failed"}, "interaction.failed"),
        ({"local-status": "requires_action"}, "interaction.requires_action"),
    ],
)
async def test_a_request_s_own_address_is_told_with_a_signed_token(
    local: LocalBackend, receiver: Receiver, labels: dict[str, str], told: str
) -> None:
    """The body is thin and carries the caller's metadata; the token's key stands in the JWKS and its audience is the address."""
    config = {"uris": [receiver.url], "user_metadata": {"token": "t1"}}
    name = await run(local, labels=labels, webhook_config=config)
    (received,) = await receiver.got(1)
    body = received.body
    assert (body["type"], body["version"], body["data"]["id"]) == (told, "v1", name)
    assert body["user_metadata"] == {"token": "t1"}
    assert ("error_code" in body["data"], "error_message" in body["data"]) == ((told == "interaction.failed"),) * 2
    token = received.headers["webhook-signature"]
    async with http(local, api_key="k") as client:
        keys = jwt.PyJWKSet.from_dict((await client.get("/.well-known/jwks.json")).json())
        assert (await client.get("/v1/webhooks")).status_code == 401
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["RS256"], audience=receiver.url)
    assert claims["exp"] > claims["iat"]


@pytest.mark.covers("local:webhooks:cancelled")
async def test_a_cancelled_turn_is_told_of_and_other_endings_are_not(service: Service, receiver: Receiver) -> None:
    """The API names no event for a turn that ends incomplete: whoever waits for one has to look."""
    gate = Gate()
    local = service(gate.script, [text("a")], [text("b")], test_controls=True)
    config = {"uris": [receiver.url]}
    name = await run(local, webhook_config=config)
    await gate.reached.wait()
    await local.cancel(name)
    await receiver.got(1)
    await ended(local, await run(local, labels={"local-status": "incomplete"}, webhook_config=config))
    last = await run(local, webhook_config=config)
    told = [(received.body["type"], received.body["data"]["id"]) for received in await receiver.got(2)]
    assert told == [("interaction.cancelled", name), ("interaction.completed", last)]


@pytest.mark.covers("local:webhooks:registered")
async def test_a_registered_address_is_told_of_what_it_asked_for(local: LocalBackend, receiver: Receiver) -> None:
    """A foreground turn, an event it did not ask for, and a turn with addresses of its own are none of its business."""
    webhook = await local.webhooks.create(uri=receiver.url, name="mine", **COMPLETED)
    secret = webhook.new_signing_secret
    assert secret is not None
    await local.create(model="gemini-3.8-flash", input="hi")
    await ended(local, await run(local, labels={"local-status": "failed"}))
    own = await run(local, webhook_config={"uris": [f"{receiver.url}/own"]})
    await receiver.got(1)
    name = await run(local, webhook_config={"user_metadata": {"a": 1}})
    first, second = await receiver.got(2)
    assert [received.body["data"]["id"] for received in (first, second)] == [own, name]
    assert receiver.paths == ["/hook/own", "/hook"]
    assert second.body["user_metadata"] == {"a": 1}
    assert second.headers["webhook-signature"] == hmac_of(secret, second)
    await local.webhooks.update(webhook.id, state="disabled")
    await ended(local, await run(local))
    await local.webhooks.update(webhook.id, state="enabled")
    await run(local)
    assert len(await receiver.got(3)) == 3


@pytest.mark.covers("local:webhooks:rotation")
async def test_a_new_secret_signs_beside_the_old_until_that_ends(
    service: Service, clock: Clock, receiver: Receiver
) -> None:
    """For 24 hours, or not at all where it is revoked at once; a secret is shown only when it is made."""
    local = service(clock=clock)
    webhook = await local.webhooks.create(uri=receiver.url, **COMPLETED)
    secrets = [webhook.new_signing_secret or ""]
    for advance, behavior, valid in (
        (0.0, None, [1, 0]),
        (3600.0, "revoke_previous_secrets_after_h24", [2, 1, 0]),
        (DAY - 3600.0, None, [3, 2, 1]),
        (2.0 * DAY, None, [4, 3]),
        (0.0, "revoke_previous_secrets_immediately", [5]),
    ):
        clock.advance(advance)
        secrets.append(await local.webhooks.rotate_signing_secret(webhook.id, revocation_behavior=behavior))
        clock.advance(1)
        await local.webhooks.ping(webhook.id)
        received = receiver.deliveries[-1]
        assert received.headers["webhook-signature"].split(" ") == [hmac_of(secrets[n], received) for n in valid]
    assert received.body["type"] == "ping"
    shown = await local.webhooks.get(webhook.id)
    assert not any(secret in repr(shown) or secret in str(shown.to_wire()) for secret in secrets)
    assert len(shown.signing_secrets or ()) == 1
    assert secrets[0] not in repr(webhook)


@pytest.mark.covers("local:webhooks:retry")
async def test_a_delivery_is_tried_again_under_its_id(service: Service, clock: Clock) -> None:
    """A 500 and a redirect are no receipts; the pauses grow, each attempt is signed anew, and no redirect is followed."""
    local = service(clock=clock)
    with receiving(500, 302, 200) as receiver:
        webhook = await local.webhooks.create(uri=receiver.url, **COMPLETED)
        await run(local)
        while len(receiver.deliveries) < 3:
            local.webhooks.wake()
            await asyncio.sleep(0.01)
            clock.advance(0.25)
        deliveries = await receiver.got(3)
        assert len({received.id for received in deliveries}) == 1
        stamps = [int(received.headers["webhook-timestamp"]) for received in deliveries]
        assert stamps[1] - stamps[0] >= 1
        assert stamps[2] - stamps[1] >= 2
        for received in deliveries:
            assert received.headers["webhook-signature"] == hmac_of(webhook.new_signing_secret or "", received)
        assert set(receiver.paths) == {"/hook"}


@pytest.mark.covers("local:webhooks:retry")
async def test_what_comes_up_late_is_told(local: LocalBackend, caplog: pytest.LogCaptureFixture) -> None:
    """With the real clock: nobody listens at the first attempt. The log names the host, and not what follows it."""
    caplog.set_level(logging.DEBUG, "bridge")
    with receiving() as receiver:
        pass  # its port is free again
    port = int(receiver.url.split(":")[2].split("/")[0])
    await run(local, webhook_config={"uris": [f"http://127.0.0.1:{port}/hook?s3cret"]})
    await until(_said(caplog, "127.0.0.1 did not answer"))
    assert "s3cret" not in caplog.text
    server = await asyncio.start_server(_answer, "127.0.0.1", port)
    async with server:
        await until(_said(caplog, "answered here", "tests.hook"))


def _said(caplog: pytest.LogCaptureFixture, words: str, logger: str = "bridge") -> Callable[[], Any]:
    async def said() -> bool:
        return any(words in record.getMessage() for record in caplog.records if record.name.startswith(logger))

    return said


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
    writer.close()
    logging.getLogger("tests.hook").warning("answered here")


@pytest.mark.covers("local:webhooks:given-up")
async def test_a_receiver_that_never_answers_is_given_up_and_disabled(service: Service, clock: Clock) -> None:
    """After a day; enabling it again is the caller's to do. Another address is told meanwhile."""
    local = service(clock=clock)
    with receiving(*[503] * 1000) as dead:
        webhook = await local.webhooks.create(uri=dead.url, **COMPLETED)
        await run(local)
        own = await run(local, webhook_config={"uris": [f"{dead.url}/own"]})
        start, states = clock(), set()

        def later() -> None:
            clock.advance(300)
            local.webhooks.wake()

        async def disabled() -> bool:
            later()
            states.add(state := (await local.webhooks.get(webhook.id)).state)
            return state == "disabled_due_to_failed_deliveries"

        async def forgotten() -> bool:
            later()
            return not await local.engine._store.notices(own)

        await until(disabled)
        await until(forgotten)
        assert states == {"enabled", "disabled_due_to_failed_deliveries"}
        assert clock() - start > 20 * 3600
        assert len(dead.deliveries) > 20
        assert len({received.id for received in dead.deliveries}) == 2
        dead.answers.clear()
        assert (await local.webhooks.update(webhook.id, state="enabled")).state == "enabled"
        count = len(dead.deliveries)
        last = await run(local)
        assert (await dead.got(count + 1))[-1].body["data"]["id"] == last


@pytest.mark.covers("local:webhooks:many")
async def test_a_silent_receiver_holds_up_nobody_and_many_are_told(service: Service, receiver: Receiver) -> None:
    """More deliveries than are sent at once, each once; closing does not wait for the silent one."""
    local = service()
    with receiving(0, 0) as silent:
        for _ in range(2):
            await run(local, webhook_config={"uris": [silent.url]})
        await silent.got(2)
        names = [await run(local, webhook_config={"uris": [receiver.url] * 10}) for _ in range(6)]
        deliveries = await receiver.got(60)
        assert sorted(received.body["data"]["id"] for received in deliveries) == sorted(names * 10)
        assert len({received.id for received in deliveries}) == 60
        async with asyncio.timeout(5):
            await local.aclose()


@pytest.mark.covers("local:webhooks:restart")
async def test_what_was_on_its_way_is_sent_by_the_next_service(service: Service, tmp_path: Path) -> None:
    """Under its id, after a close, from the first call on; what arrived is not sent again."""
    with receiving(204, 503) as receiver:
        local = service(data=tmp_path)
        arrived = await run(local, webhook_config={"uris": [receiver.url]})
        await receiver.got(1)
        name = await run(local, webhook_config={"uris": [receiver.url]})
        await receiver.got(2)
        await local.aclose()
        again = service(data=tmp_path)
        assert (await again.get(arrived)).status == "completed"
        first, second, third = await receiver.got(3)
        assert (first.body["data"]["id"], third.body["data"]["id"]) == (arrived, name)
        assert third.id == second.id


@pytest.mark.covers("local:webhooks:restart")
async def test_a_turn_that_a_crash_cut_is_told_of(service: Service, tmp_path: Path, receiver: Receiver) -> None:
    """It ends failed where the service starts again, and its end is told like any other."""
    program = f"""
import asyncio, os
from bridge.backends.local import LocalBackend, ScriptedResponder
async def script(turn):
    yield {text("part")!r}
    os._exit(9)
async def main():
    backend = LocalBackend({str(tmp_path)!r}, responder=ScriptedResponder([script]))
    await backend.create(model="m", input="1", background=True, webhook_config={{"uris": [{receiver.url!r}]}})
    await asyncio.sleep(60)
asyncio.run(main())
"""
    command = [sys.executable, "-c", program]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 9, done.stderr
    assert receiver.deliveries == []
    await service(data=tmp_path).engine.start()
    (received,) = await receiver.got(1)
    assert (received.body["type"], received.body["data"]["error_code"]) == ("interaction.failed", "aborted")


@pytest.mark.covers("local:webhooks:loops")
def test_a_service_that_is_used_from_loop_after_loop_tells_all_the_same(tmp_path: Path) -> None:
    """What one loop could not send, the next one does; and a turn that ends in another loop is told of."""
    local = LocalBackend(tmp_path)
    with receiving(503) as receiver:

        async def first() -> None:
            await run(local, webhook_config={"uris": [receiver.url]})
            await receiver.got(1)

        async def second() -> None:
            running = asyncio.get_running_loop()
            await run(local, webhook_config={"uris": [receiver.url]})
            await receiver.got(3)
            with receiving(0) as silent:
                await run(local, webhook_config={"uris": [silent.url]})
                await silent.got(1)
                await asyncio.to_thread(lambda: asyncio.run(run(local, webhook_config={"uris": [receiver.url]})))
                await receiver.got(4)
                assert running is asyncio.get_running_loop()
            await local.aclose()

        asyncio.run(first())
        asyncio.run(second())


@pytest.mark.covers("local:webhooks:deleted")
async def test_a_webhook_that_is_deleted_is_told_nothing_more(service: Service, clock: Clock) -> None:
    """Nor what was on its way to it, nor is a turn told of that was deleted."""
    local = service(Gate().script, [text("a")], [text("b")], [text("c")], clock=clock)
    with receiving(503) as receiver:
        config = {"uris": [f"{receiver.url}/other"]}
        await local.delete(await run(local, webhook_config=config))
        webhook = await local.webhooks.create(uri=receiver.url, **COMPLETED)
        await run(local)
        await receiver.got(1)
        await local.webhooks.delete(webhook.id)
        clock.advance(100)
        await run(local, webhook_config=config)
        await receiver.got(2)
        clock.advance(100)
        await run(local, webhook_config=config)
        await receiver.got(3)
        assert receiver.paths == ["/hook", "/hook/other", "/hook/other"]


@pytest.mark.covers("local:data:fails")
async def test_a_store_that_fails_ends_deliveries_and_not_the_service(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """What is under way is said to be tried again, what waits to have stopped; turns go on."""
    local = service()
    with receiving(0) as silent:
        await run(local, webhook_config={"uris": [silent.url]})
        await silent.got(1)
        await local.engine._store._call(lambda db: db.execute("DROP TABLE notices"))
        silent.let_go.set()
        await until(_said(caplog, "is tried again"))
        local.webhooks.wake()
        await until(_said(caplog, "deliveries of webhooks stop"))
    assert (await local.create(model="m", input="hi")).status == "completed"


@pytest.mark.covers("local:webhooks:request")
async def test_who_is_told_may_go_on_at_once(service: Service) -> None:
    """When the news arrives the turn can be read and followed."""
    local = service([text("a")], [text("b")])
    seen = []

    async def receiver(scope: Any, receive: Any, send: Any) -> None:
        ended = json.loads((await receive())["body"])["data"]["id"]
        seen.append(await local.create(model="m", input="2", previous_interaction_id=ended))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async with serving(receiver) as url:
        name = await run(local, webhook_config={"uris": [url]})

        async def told() -> bool:
            return bool(seen)

        await until(told)
    assert (seen[0].status, seen[0].previous_interaction_id) == ("completed", name)


@pytest.mark.covers("local:controls:webhook")
async def test_labels_lose_repeat_and_hasten_deliveries(local: LocalBackend, receiver: Receiver) -> None:
    """Lost for good, twice under one id, or before the create is answered."""
    config = {"uris": [receiver.url]}
    lost = await run(local, labels={"local-webhook": "lost"}, webhook_config=config)
    await ended(local, lost)
    early = await run(local, labels={"local-webhook": "early", "local-delay-ms": "50"}, webhook_config=config)
    assert [received.body["data"]["id"] for received in receiver.deliveries] == [early]
    twice = await run(local, labels={"local-webhook": "twice"}, webhook_config=config)
    _, second, third = await receiver.got(3)
    assert second.body["data"]["id"] == twice
    assert (third.id, third.raw) == (second.id, second.raw)
    receiver.answers = [503]
    again = await run(local, labels={"local-webhook": "early"}, webhook_config=config)
    *_, refused, arrived = await receiver.got(5)
    assert refused.id == arrived.id
    assert arrived.body["data"]["id"] == again
    with pytest.raises(InvalidRequest, match="local-webhook"):
        await run(local, labels={"local-webhook": "never"})


@pytest.mark.covers("local:controls:webhook")
async def test_a_label_delays_deliveries(service: Service, clock: Clock, receiver: Receiver) -> None:
    """By milliseconds after the end."""
    local = service(clock=clock, test_controls=True)
    config = {"uris": [receiver.url]}
    late = await run(local, labels={"local-webhook-delay-ms": "90000"}, webhook_config=config)
    await ended(local, late)
    clock.advance(89)
    prompt = await run(local, webhook_config=config)
    await receiver.got(1)
    clock.advance(1)
    local.webhooks.wake()
    assert [received.body["data"]["id"] for received in await receiver.got(2)] == [prompt, late]


@pytest.mark.covers("local:webhooks:registry")
async def test_webhooks_are_kept_over_a_restart_and_over_http(
    service: Service, tmp_path: Path, receiver: Receiver
) -> None:
    """Created, listed page by page, changed, pinged and deleted through the routes of the API; secrets are shown once."""
    local = service(data=tmp_path)
    async with http(local) as client:
        fields = {"uri": receiver.url, "subscribed_events": ["interaction.failed"], "name": "first"}
        made = (await client.post("/v1/webhooks", json=fields)).json()
        name, secret = made["id"], made["new_signing_secret"]
        assert made["signing_secrets"] == [{"truncated_secret": f"{secret[:9]}..."}]
        await client.post("/v1/webhooks", json=fields)
        assert (await client.post(f"/v1/webhooks/{name}:ping", json={})).json() == {}
        assert len(receiver.deliveries) == 1
        change = {"name": "n", "state": "disabled"}
        changed = await client.patch(f"/v1/webhooks/{name}?update_mask=name", json=change)
        assert (changed.json()["name"], changed.json()["state"]) == ("n", "enabled")
        assert "name" not in (await client.patch(f"/v1/webhooks/{name}?update_mask=name", json={})).json()
        assert (await client.patch(f"/v1/webhooks/{name}", json=change)).json()["state"] == "disabled"
        assert (await client.post(f"/v1/webhooks/{name}:rotateSigningSecret")).json()["secret"] != secret
        for path in (name, f"{name}:rotateSigningSecret"):
            method = client.patch if path == name else client.post
            refusal = (await method(f"/v1/webhooks/{path}", json={"update_mask": "state", "id": 1})).json()["error"]
            assert refusal["code"] == "parameter_unknown"
    await local.aclose()
    async with http(service(data=tmp_path)) as client:
        page = (await client.get("/v1/webhooks?page_size=1")).json()
        rest = (await client.get(f"/v1/webhooks?page_token={page['next_page_token']}")).json()
        listed = [*page["webhooks"], *rest["webhooks"]]
        assert sorted(row["name"] for row in listed) == ["first", "n"]
        assert secret not in str(listed)
        assert (await client.get(f"/v1/webhooks/webhooks/{name}")).json()["name"] == "n"
        assert (await client.delete(f"/v1/webhooks/{name}")).json() == {}
        assert (await client.get(f"/v1/webhooks/{name}")).status_code == 404


@pytest.mark.covers("local:webhooks:refused")
@pytest.mark.parametrize(
    "uri",
    [
        "ftp://x",
        "",
        "http://",
        "http:///x",
        "http://x:99999/",
        "http://x:0/",
        "http://[::1/",
        "http://u:p@x/",
        "http://x/\r\nA: b",
        "http://x/ y",
        "http://ü/",
        "http://x/" + "y" * 2048,
    ],
)
async def test_what_is_no_address_is_refused_with_its_place(local: LocalBackend, uri: str) -> None:
    """In a request and in a registration."""
    with pytest.raises(ApiError, match=r"uris\[1\]"):
        await run(local, webhook_config={"uris": ["http://x", uri]})
    with pytest.raises(ApiError, match="'uri'"):
        await local.webhooks.create(uri=uri, **COMPLETED)


@pytest.mark.covers("local:webhooks:refused")
@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda local: run(local, webhook_config={"uris": ["http://x"] * 11}), "uris"),
        (
            lambda local: local.create(model="m", input="hi", webhook_config={"uris": ["http://x"]}),
            "background=true",
        ),
        (lambda local: local.webhooks.create(uri="x", **COMPLETED), "uri"),
        (lambda local: local.webhooks.create(uri="http://x", subscribed_events=["x"]), "subscribed_events"),
        (lambda local: local.webhooks.create(uri="http://x", subscribed_events="interaction.failed"), "subscribed"),
        (lambda local: local.webhooks.create(uri="http://x", subscribed_events=[{}]), "subscribed_events"),
        (lambda local: local.webhooks.create(uri="http://x"), "subscribed_events"),
        (lambda local: local.webhooks.create(uri="http://x", name=5, **COMPLETED), "name"),
        (lambda local: local.webhooks.create(uri="http://x", state="enabled", **COMPLETED), "state"),
        (lambda local: local.webhooks.create(self="x", **COMPLETED), "self"),
        (lambda local: local.webhooks.get("x"), "not found"),
        (lambda local: local.webhooks.ping("x"), "not found"),
        (lambda local: local.webhooks.delete("x"), "not found"),
        (lambda local: local.webhooks.update("x", state="enabled"), "not found"),
        (lambda local: local.webhooks.update("x", state="disabled_due_to_failed_deliveries"), "state"),
        (lambda local: local.webhooks.update("x", update_mask="uri"), "uri"),
        (lambda local: local.webhooks.update("x", update_mask="id"), "id"),
        (lambda local: local.webhooks.rotate_signing_secret("x"), "not found"),
        (lambda local: local.webhooks.rotate_signing_secret("x", revocation_behavior="now"), "revocation_behavior"),
        (lambda local: local.webhooks.rotate_signing_secret("x", revocation_behavior=[]), "revocation_behavior"),
    ],
)
async def test_what_cannot_be_delivered_is_refused_by_name(
    local: LocalBackend, call: Callable[[LocalBackend], Any], named: str
) -> None:
    """Before anything runs."""
    with pytest.raises(ApiError, match=named):
        await call(local)


@pytest.mark.covers("local:webhooks:refused")
async def test_there_is_a_limit_to_how_many_are_registered(local: LocalBackend) -> None:
    """Each of them is told of each end: it is 100."""
    for _ in range(100):
        await local.webhooks.create(uri="http://127.0.0.1:9/", **COMPLETED)
    with pytest.raises(ApiError, match="100"):
        await local.webhooks.create(uri="http://127.0.0.1:9/", **COMPLETED)


@pytest.mark.covers("local:webhooks:sync")
def test_webhooks_are_reached_without_await() -> None:
    """Every call, through the sync form of any backend; one that has none says so."""
    with receiving() as receiver, sync_backend(LocalBackend()) as sync:
        webhook = sync.webhooks.create(uri=receiver.url, **COMPLETED)
        sync.webhooks.ping(webhook.id)
        assert [received.body["type"] for received in receiver.deliveries] == ["ping"]
        assert sync.webhooks.rotate_signing_secret(webhook.id) != webhook.new_signing_secret
        assert sync.webhooks.update(webhook.id, name="n").name == "n"
        assert [found.id for found in sync.webhooks.list()] == [sync.webhooks.get(webhook.id).id]
        sync.webhooks.delete(webhook.id)
        assert list(sync.webhooks.list()) == []
