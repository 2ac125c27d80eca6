"""Whether a webhook is genuine: deliveries that the embedded service signed and sent, and every way to forge one."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from bridge.backends.local import LocalBackend
from bridge.cli.serving import serving
from bridge.errors import BridgeError, ConnectionFailed, NotConfigured, WebhookRefused
from bridge.http import create_app
from bridge.jobs import Delivery, WebhookVerifier
from tests.receivers import Received, Receiver, hmac_of, receiving, served

NOW = 1_800_000_000
SECRET = "whsec_c2FtcGxlLXdlYmhvb2stc2VjcmV0LTMyLWJ5dGVzISE="
OTHER = "whsec_c2Vjb25kLXdlYmhvb2stc2VjcmV0LTMyLWJ5dGVzISE="
BODY = json.dumps({"type": "interaction.completed", "data": {"id": "v1_a"}, "user_metadata": {"k": 1}}).encode()
HERE = "https://hooks.example.com/gemini"
ISSUER = "https://service.example.com"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
async def local() -> AsyncIterator[LocalBackend]:
    async with LocalBackend() as local:
        yield local


@pytest.fixture(scope="module")
def private() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk(key: rsa.RSAPrivateKey, kid: str = "k1", **facts: Any) -> dict[str, Any]:
    """The public half as a JWK."""
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {"kty": "RSA", "n": public["n"], "e": public["e"], "kid": kid, "alg": "RS256", "use": "sig", **facts}


def signed(secrets: list[str], body: bytes = BODY, *, id: str = "msg_1", at: int = NOW) -> dict[str, str]:
    """The headers of a registered webhook's delivery."""
    received = Received({"webhook-id": id, "webhook-timestamp": str(at)}, body)
    signature = " ".join(hmac_of(secret, received) for secret in secrets)
    return {**received.headers, "webhook-signature": signature}


def token(key: Any, *, algorithm: str = "RS256", kid: Any = "k1", header: Any = None, **claims: Any) -> str:
    """A token; a claim that is None is left out."""
    said = {"iss": ISSUER, "aud": HERE, "iat": NOW, "exp": NOW + 300, **claims}
    said = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(said, key, algorithm=algorithm, headers={"kid": kid, **(header or {})})


def under(signature: str, at: int = NOW) -> dict[str, str]:
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": signature}


def verifier(*secrets: str, now: float = NOW, **settings: Any) -> WebhookVerifier:
    return WebhookVerifier(secrets, clock=lambda: now, **settings)


async def refused(verifier: WebhookVerifier, headers: Any, body: bytes, why: str) -> None:
    with pytest.raises(WebhookRefused, match=why) as error:
        await verifier.verify(headers, body)
    assert error.value.reason in str(error.value)
    assert not any(secret in str(error.value) for secret in (SECRET, SECRET[6:], OTHER[6:]))


@pytest.mark.covers("jobs:webhooks:registered")
async def test_a_registered_webhook_s_delivery_is_genuine_over_a_rotation(
    local: LocalBackend, receiver: Receiver
) -> None:
    """As the service signed and sent it: with the old secret, the new one, or both; not with a revoked one."""
    webhook = await local.webhooks.create(uri=receiver.url, subscribed_events=["interaction.completed"])
    old = webhook.new_signing_secret or ""
    name = (await local.create(model="m", input="hi", background=True)).id
    (first,) = await receiver.got(1)
    new = await local.webhooks.rotate_signing_secret(webhook.id)
    delivery = await WebhookVerifier(old).verify(first.headers, first.raw)
    assert delivery == Delivery(
        id=first.id,
        type="interaction.completed",
        timestamp=int(first.headers["webhook-timestamp"]),
        interaction_id=name,
        body=first.body,
    )
    await refused(WebhookVerifier(new), first.headers, first.raw, "no signature")
    assert await WebhookVerifier([new, old]).verify(first.headers, first.raw) == delivery
    await local.webhooks.ping(webhook.id)
    second = receiver.deliveries[1]
    for secrets in (old, new, [old, new]):
        ping = await WebhookVerifier(secrets).verify(second.headers, second.raw)
        assert (ping.type, ping.interaction_id, ping.user_metadata) == ("ping", None, None)
    last = await local.webhooks.rotate_signing_secret(
        webhook.id, revocation_behavior="revoke_previous_secrets_immediately"
    )
    await local.webhooks.ping(webhook.id)
    third = receiver.deliveries[2]
    await refused(WebhookVerifier([old, new]), third.headers, third.raw, "no signature")
    assert (await WebhookVerifier(last).verify(third.headers, third.raw)).type == "ping"


@pytest.mark.covers("jobs:webhooks:request")
async def test_a_request_s_own_delivery_is_genuine(local: LocalBackend, receiver: Receiver) -> None:
    """With the keys of the service that sent it, fetched or given; not for another audience or issuer."""
    config = {"uris": [receiver.url], "user_metadata": {"token": "t1"}}
    name = (await local.create(model="m", input="hi", background=True, webhook_config=config)).id
    (received,) = await receiver.got(1)
    headers, body = received.headers, received.raw
    async with serving(create_app(local, api_key="k")) as url:
        keys = f"{url}/.well-known/jwks.json"
        delivery = await WebhookVerifier(jwks=keys, audience=receiver.url).verify(headers, body)
        assert (delivery.interaction_id, delivery.user_metadata) == (name, {"token": "t1"})
        both = WebhookVerifier(SECRET, keys, receiver.url, issuer="interactions-bridge")
        assert await both.verify(headers, body) == delivery
        await refused(WebhookVerifier(jwks=keys, audience=HERE), headers, body, "another audience")
    given = WebhookVerifier(jwks=await local.webhooks.jwks(), audience=receiver.url, issuer=ISSUER)
    await refused(given, headers, body, "another issuer")
    await refused(WebhookVerifier(SECRET), headers, body, "no jwks is configured")


@pytest.mark.covers("jobs:webhooks:sample")
async def test_the_scheme_is_the_one_that_is_documented() -> None:
    """A delivery that was signed by hand, header for header: what Standard Webhooks' own example holds."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    # Its body is no event of this API, and that is all there is against it.
    await refused(verifier(secret, now=1614265330), headers, body, "no event")


def _sample() -> tuple[dict[str, str], bytes]:
    from tests.conftest import ROOT

    text = (ROOT / "tests" / "data" / "wire" / "10_webhook_delivery.http").read_bytes()
    head, _, body = text.replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = [line.decode().partition(": ") for line in head.splitlines()[1:]]
    return {name: value for name, _, value in lines}, body


@pytest.mark.covers("jobs:webhooks:sample")
async def test_the_recorded_delivery_is_genuine() -> None:
    """The wire sample under its own secret."""
    headers, body = _sample()
    delivery = await verifier(SECRET, now=1795166200).verify(headers, body)
    assert (delivery.id, delivery.type) == ("msg_sample_0001", "interaction.completed")
    assert delivery.interaction_id == delivery.body["data"]["id"]


@pytest.mark.covers("jobs:webhooks:window")
@pytest.mark.parametrize(("age", "fresh"), [(0, True), (300, True), (301, False), (-300, True), (-301, False)])
async def test_a_delivery_is_genuine_for_five_minutes(private: rsa.RSAPrivateKey, age: int, fresh: bool) -> None:
    """Neither older nor of the future, of either kind."""
    one = verifier(SECRET, now=NOW + age, jwks={"keys": [jwk(private)]}, audience=HERE)
    for headers in (signed([SECRET]), under(token(private, exp=NOW + 1000, iat=NOW - 1000))):
        if fresh:
            assert (await one.verify(headers, BODY)).interaction_id == "v1_a"
        else:
            await refused(one, headers, BODY, "300 seconds")


@pytest.mark.covers("jobs:webhooks:headers")
@pytest.mark.parametrize(
    ("change", "why"),
    [
        *[
            ({name: None}, f"lacks the header {name}")
            for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
        ],
        *[
            ({name: ""}, f"lacks the header {name}")
            for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
        ],
        ({"webhook-id": "m" * 257}, "webhook-id is longer"),
        ({"webhook-signature": "v1," + "A" * 8190}, "webhook-signature is longer"),
        ({"webhook-signature": "v1,ü"}, "not plain text"),
        ({"webhook-id": "m\ud800"}, "not plain text"),
        ({"webhook-id": "m\x00"}, "not plain text"),
        ({"webhook-timestamp": "9" * 17}, "webhook-timestamp is longer"),
        ({"webhook-timestamp": "now"}, "300 seconds"),
        ({"webhook-timestamp": f"-{NOW}"}, "300 seconds"),
        ({"webhook-timestamp": f" {NOW}"}, "300 seconds"),
        ({"webhook-timestamp": f"{NOW}.0"}, "300 seconds"),
        ({"Webhook-Id": "msg_2"}, "webhook-id twice"),
        ({"WEBHOOK-SIGNATURE": "v1,x"}, "webhook-signature twice"),
        ({"webhook-signature": "v1,"}, "no signature"),
        ({"webhook-signature": "v1"}, "no signature"),
        ({"webhook-signature": "v1, v1, v1,"}, "no signature"),
        ({"webhook-signature": "a.b.c"}, "no jwks"),
    ],
)
async def test_headers_that_are_not_what_they_can_be_are_refused(change: dict[str, str | None], why: str) -> None:
    """Missing, twice, too long, no text, no time."""
    headers = {name: value for name, value in {**signed([SECRET]), **change}.items() if value is not None}
    await refused(verifier(SECRET), headers, BODY, why)


@pytest.mark.covers("jobs:webhooks:headers")
async def test_headers_come_in_any_letters_and_among_others() -> None:
    """As a plain dict and as a framework's own mapping, which can hold a name twice; unknown signatures beside do not matter."""
    headers = signed([SECRET])
    headers["webhook-signature"] = f"v1a,AAAA {headers['webhook-signature']} v2,x"
    raw = [(name.title(), value) for name, value in headers.items()]
    one = verifier(SECRET)
    assert (await one.verify(dict([*raw, ("Cookie", "ü")]), BODY)).user_metadata == {"k": 1}
    lines = [(name.lower().encode(), value.encode()) for name, value in raw]
    assert (await one.verify(Headers(raw=lines), BODY)).id == "msg_1"
    await refused(one, Headers(raw=[*lines, (b"webhook-id", b"msg_2")]), BODY, "webhook-id twice")


@pytest.mark.covers("jobs:webhooks:body")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"[]",
        b"{}",
        b'{"type": 5}',
        b"\xff\xfe",
        '{"type": "interaction.completed"}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"type": "\xe9"}',
    ],
)
async def test_a_signed_body_that_is_no_event_is_refused(body: bytes) -> None:
    """Not UTF-8, not JSON, no object, no type, nested without end."""
    await refused(verifier(SECRET), signed([SECRET], body), body, "no event")


@pytest.mark.covers("jobs:webhooks:body")
@pytest.mark.parametrize(
    ("event", "found"),
    [
        ({"type": "interaction.failed", "data": {"id": "v1_b"}}, ("v1_b", None)),
        ({"type": "interaction.later", "data": {"id": "v1_b", "user_metadata": {"a": 1}}}, ("v1_b", {"a": 1})),
        ({"type": "batch.succeeded", "data": {"id": "batch_1"}}, (None, None)),
        ({"type": "interaction.failed", "data": {"id": 5}, "user_metadata": "x"}, (None, None)),
        ({"type": "interaction.failed", "data": []}, (None, None)),
        ({"type": "interaction.failed"}, (None, None)),
    ],
)
async def test_what_an_event_tells_is_taken_as_far_as_it_fits(event: dict[str, Any], found: Any) -> None:
    """The rest stays readable in the body."""
    body = json.dumps(event).encode()
    delivery = await verifier(SECRET).verify(signed([SECRET], body), body)
    assert (delivery.interaction_id, delivery.user_metadata) == found
    assert delivery.body == event


@pytest.mark.covers("jobs:webhooks:tampered")
@given(data=st.data())
def test_any_change_of_one_byte_is_refused(data: st.DataObject) -> None:
    """Of body, id, timestamp or signature: replaced, left out or put in."""
    headers, parts = signed([SECRET]), {"body": BODY}
    parts |= {name: value.encode() for name, value in headers.items()}
    part = data.draw(st.sampled_from(sorted(parts)))
    place = data.draw(st.integers(0, len(parts[part]) - 1))
    put = data.draw(st.sampled_from([b"", *(bytes([n]) for n in range(256))]))
    skip = data.draw(st.sampled_from([0, 1]))
    changed = parts[part][:place] + put + parts[part][place + skip :]
    if changed != parts[part]:
        parts[part] = changed
        body = parts.pop("body")
        headers = {name: value.decode("latin-1") for name, value in parts.items()}
        # A space after the signature begins another, empty one; what covers the delivery is still whole.
        whole = headers["webhook-signature"].split(" ")
        if part == "webhook-signature" and signed([SECRET])[part] in whole:
            assert asyncio.run(verifier(SECRET).verify(headers, body)).id == "msg_1"
            return
        with pytest.raises(WebhookRefused):
            asyncio.run(verifier(SECRET).verify(headers, body))


@pytest.mark.covers("jobs:webhooks:tampered")
@given(junk=st.binary(max_size=60), secret=st.binary(min_size=1, max_size=80))
def test_whatever_was_signed_with_another_secret_is_refused(junk: bytes, secret: bytes) -> None:
    """And whatever was signed with the right one is not refused for its signature."""
    other = "whsec_" + base64.b64encode(secret).decode()
    for known in ([other], [OTHER, other]):
        headers = signed(known, junk)
        with pytest.raises(WebhookRefused, match="no event"):
            asyncio.run(verifier(other).verify(headers, junk))
        with pytest.raises(WebhookRefused, match="no signature"):
            asyncio.run(verifier(SECRET).verify(headers, junk))


@pytest.mark.covers("jobs:webhooks:forged")
async def test_a_token_is_taken_by_rs256_alone(private: rsa.RSAPrivateKey) -> None:
    """No unsigned one, none that uses the public key as a secret, none by another algorithm, none with a key of its own."""
    one = verifier(jwks={"keys": [jwk(private)]}, audience=HERE)
    assert (await one.verify(under(token(private)), BODY)).id == "msg_1"
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head = {"typ": "JWT", "kid": "k1"}
    payload = token(private).split(".")[1]
    secret = "whsec_" + base64.b64encode(public).decode()

    def encoded(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    symmetric = f"{encoded({**head, 'alg': 'HS256'})}.{payload}"
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(symmetric.encode(), public)
    forged = f"{symmetric}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
    mallory = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for signature, why in (
        (f"{encoded({**head, 'alg': 'none'})}.{payload}.", "not signed by RS256"),
        (f"{encoded({**head, 'alg': 'None'})}.{payload}.", "not signed by RS256"),
        (forged, "not signed by RS256"),
        (token(private, algorithm="RS512"), "not signed by RS256"),
        (token(private, algorithm="PS256"), "not signed by RS256"),
        (token(mallory), "not signed with the key"),
        (
            token(mallory, header={"jwk": jwk(mallory), "jku": "http://127.0.0.1:9/", "x5u": "http://x"}),
            "not signed with",
        ),
        (token(private, kid="k2"), "not known"),
        (f"{encoded({'alg': 'RS256'})}.{payload}.AAAA", "under a key's id"),
        (f"{encoded({'alg': 'RS256', 'kid': ['k1']})}.{payload}.AAAA", "no token|under a key's id"),
        (token(private)[:-6] + "AAAAAA", "not signed with the key"),
        (f"{token(private).rpartition('.')[0]}.", "not signed with the key"),
        ("..", "no token"),
        ("é..".encode().decode("latin-1"), "not plain text"),
        ("a.b.c", "no token"),
        (base64.urlsafe_b64encode(b"[" * 5000).decode() + ".b.c", "no token"),
        (secret, "no secret is configured"),
    ):
        await refused(one, under(signature), BODY, why)


@pytest.mark.covers("jobs:webhooks:claims")
@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": NOW}, "expired"),
        ({"exp": NOW - 1}, "expired"),
        ({"exp": None}, "says no end"),
        ({"exp": str(NOW + 100)}, "says no end"),
        ({"exp": True}, "says no end"),
        ({"exp": float("nan")}, "says no end"),
        ({"exp": float("inf")}, "says no end"),
        ({"iat": NOW + 301}, "of the future"),
        ({"nbf": NOW + 301}, "of the future"),
        ({"nbf": "x"}, "of the future"),
        ({"aud": "https://hooks.example.com/gemini2"}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"aud": ["a", "b"]}, "another audience"),
        ({"aud": {"x": HERE}}, "another audience"),
        ({"iss": "x"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": ["a", HERE], "nbf": NOW + 300, "exp": NOW + 0.5}, None),
    ],
)
async def test_a_token_is_taken_for_its_time_its_audience_and_its_issuer(
    private: rsa.RSAPrivateKey, claims: dict[str, Any], why: str | None
) -> None:
    """Each claim is there, is what it can be, and fits."""
    payload = {"iss": ISSUER, "aud": HERE, "iat": NOW, "exp": NOW + 300, **claims}
    said = json.dumps({name: value for name, value in payload.items() if value is not None}).encode()
    headers = under(jwt.PyJWS().encode(said, private, algorithm="RS256", headers={"kid": "k1"}))
    one = verifier(jwks={"keys": [jwk(private)]}, audience=HERE, issuer=ISSUER)
    if why is None:
        assert (await one.verify(headers, BODY)).id == "msg_1"
    else:
        await refused(one, headers, BODY, why)


@pytest.mark.covers("jobs:webhooks:claims")
async def test_a_token_that_holds_no_claims_is_refused(private: rsa.RSAPrivateKey) -> None:
    """Signed all the same."""
    one = verifier(jwks={"keys": [jwk(private)]}, audience=HERE)
    for said in (b"[]", b"x", b"\xff"):
        headers = under(jwt.PyJWS().encode(said, private, algorithm="RS256", headers={"kid": "k1"}))
        await refused(one, headers, BODY, "not signed with the key")


class Keys:
    """A service's keys at an address: what it answers, and how often it was asked."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": keys}).encode()
        self.status = 200
        self.asked = 0
        self.hold: threading.Event | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        if self.hold is not None:
            await asyncio.to_thread(self.hold.wait, 20)
        headers = [(b"location", b"http://127.0.0.1:9/")] if self.status == 302 else []
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.mark.covers("jobs:webhooks:keys")
async def test_keys_are_fetched_once_and_again_for_an_unknown_one_once_a_minute(private: rsa.RSAPrivateKey) -> None:
    """A new key is found; a flood of ids that nobody has costs one request a minute; after an hour they are fetched anew."""
    second = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    keys, clock = Keys(jwk(private)), Clock()
    async with serving(keys) as url:
        one = WebhookVerifier(jwks=f"{url}/keys", audience=HERE, clock=clock)

        async def take(key: rsa.RSAPrivateKey, kid: str) -> None:
            await one.verify(under(token(key, kid=kid, exp=NOW + 10_000), int(clock.now)), BODY)

        for _ in range(3):
            await take(private, "k1")
        assert keys.asked == 1
        for number in range(20):
            with pytest.raises(WebhookRefused, match="not known"):
                await take(private, f"none-{number}")
        assert keys.asked == 1
        keys.body = json.dumps({"keys": [jwk(second, "k2")]}).encode()
        clock.now += 60
        await asyncio.gather(take(second, "k2"), take(second, "k2"))
        assert keys.asked == 2
        with pytest.raises(WebhookRefused, match="not known"):
            await take(private, "k1")
        clock.now += 3600
        await take(second, "k2")
        assert keys.asked == 3


@pytest.mark.covers("jobs:webhooks:keys")
async def test_those_who_wait_for_keys_share_one_fetch(private: rsa.RSAPrivateKey) -> None:
    """Also where the one who began it is gone."""
    keys = Keys(jwk(private))
    keys.hold = threading.Event()
    async with serving(keys) as url:
        one = WebhookVerifier(jwks=url, audience=HERE, clock=lambda: NOW)
        waiting = [asyncio.create_task(one.verify(under(token(private)), BODY)) for _ in range(10)]
        async with asyncio.timeout(20):
            while not keys.asked:
                await asyncio.sleep(0.005)
        waiting[0].cancel()
        keys.hold.set()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(done[0], asyncio.CancelledError)
        assert [delivery.id for delivery in done[1:] if isinstance(delivery, Delivery)] == ["msg_1"] * 9
        assert keys.asked == 1


@pytest.mark.covers("jobs:webhooks:keys-fail")
@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, b"", "answered 500"),
        (302, b"", "answered 302"),
        (200, b"<html>", "not JSON"),
        (200, b"[" * 100_000, "not JSON"),
        (200, b"\xff", "not JSON"),
        (200, b"[]", "no RSA key"),
        (200, b'{"keys": 5}', "no RSA key"),
        (200, b'{"keys": [5, {}, {"kid": "k1"}]}', "no RSA key"),
        (200, b'{"keys": [' + b" " * 300_000 + b"]}", "more than 262144 bytes"),
    ],
)
async def test_keys_that_are_not_to_be_had_are_no_fault_of_the_delivery(
    private: rsa.RSAPrivateKey, status: int, body: bytes, why: str
) -> None:
    """Another error, so that it comes again; asked for once a minute; found as soon as they are there."""
    keys, clock = Keys(), Clock()
    keys.status, keys.body = status, body
    async with serving(keys) as url:
        one = WebhookVerifier(jwks=url, audience=HERE, clock=clock)
        for _ in range(3):
            with pytest.raises(ConnectionFailed, match=why):
                await one.verify(under(token(private)), BODY)
        assert keys.asked == 1
        keys.status, keys.body = 200, json.dumps({"keys": [jwk(private)]}).encode()
        clock.now += 61
        assert (await one.verify(under(token(private)), BODY)).id == "msg_1"
        keys.status = 503
        clock.now += 61
        with pytest.raises(ConnectionFailed, match="answered 503"):
            await one.verify(under(token(private, kid="k2")), BODY)
        assert (await one.verify(under(token(private)), BODY)).id == "msg_1"
        clock.now += 3600
        with pytest.raises(ConnectionFailed, match="answered 503"):
            await one.verify(under(token(private, exp=NOW + 9999), int(clock.now)), BODY)


@pytest.mark.covers("jobs:webhooks:keys-fail")
async def test_a_service_that_never_answers_is_not_waited_for(
    private: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one that is not there."""
    monkeypatch.setattr("bridge.jobs.verification.FETCH_WITHIN", 0.2)
    keys = Keys(jwk(private))
    keys.hold = threading.Event()
    async with serving(keys) as url:
        one = WebhookVerifier(jwks=url, audience=HERE, clock=lambda: NOW)
        with pytest.raises(ConnectionFailed, match="no answer"):
            await one.verify(under(token(private)), BODY)
        keys.hold.set()
    one = WebhookVerifier(jwks=url, audience=HERE, clock=lambda: NOW)
    with pytest.raises(ConnectionFailed, match="could not be reached"):
        await one.verify(under(token(private)), BODY)


@pytest.mark.covers("jobs:webhooks:keys")
async def test_only_keys_that_sign_by_rs256_count(private: rsa.RSAPrivateKey) -> None:
    """A key for other uses, a broken one and a weak one are as if they were not there; a private one gives its public half."""
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    whole = jwt.algorithms.RSAAlgorithm.to_jwk(private, as_dict=True)
    listed = [
        jwk(private, "enc", use="enc"),
        jwk(private, "alg", alg="RS512"),
        jwk(private, "oct", kty="oct"),
        jwk(private, "n", n="!"),
        jwk(private, "e", e=5),
        jwk(weak, "weak"),
        {**jwk(private), "kid": 7},
        {"kty": "RSA", **whole, "kid": "k1", "key_ops": None},
    ]
    one = verifier(jwks={"keys": listed}, audience=HERE)
    assert (await one.verify(under(token(private)), BODY)).id == "msg_1"
    for kid in ("enc", "alg", "oct", "n", "e", "weak"):
        await refused(one, under(token(private, kid=kid)), BODY, "not known")


@pytest.mark.covers("jobs:webhooks:keys")
def test_one_verifier_serves_one_loop_after_the_other(private: rsa.RSAPrivateKey) -> None:
    """A fetch that ended with its loop is begun anew in the next."""
    keys = Keys(jwk(private))
    keys.hold = threading.Event()
    with served(keys) as url:
        one = WebhookVerifier(jwks=url, audience=HERE, clock=lambda: NOW)

        async def cut() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(one.verify(under(token(private)), BODY), 0.3)

        asyncio.run(cut())
        keys.hold.set()
        assert asyncio.run(one.verify(under(token(private)), BODY)).id == "msg_1"


@pytest.mark.covers("jobs:webhooks:configured")
@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "nothing says whose webhooks"),
        ({"secret": []}, "nothing says whose webhooks"),
        ({"secret": ""}, "secret is whsec_"),
        ({"secret": "whsec_"}, "secret is whsec_"),
        ({"secret": "whsec_n0tbase64!"}, "secret is whsec_"),
        ({"secret": [SECRET, "ü"]}, "secret is whsec_"),
        ({"jwks": {"keys": []}}, "needs audience"),
        ({"jwks": "https://x/", "audience": ""}, "needs audience"),
        ({"jwks": {"keys": []}, "audience": HERE}, "holds no RSA key"),
        ({"jwks": "http://example.com/", "audience": HERE}, "https"),
        ({"jwks": "ftp://127.0.0.1/", "audience": HERE}, "https"),
        ({"jwks": "https://", "audience": HERE}, "https"),
        ({"jwks": "", "audience": HERE}, "https"),
        ({"jwks": "http://[::1/", "audience": HERE}, "https"),
    ],
)
def test_a_verifier_that_could_not_tell_is_refused(settings: dict[str, Any], why: str) -> None:
    """At once, and without a secret in the text."""
    with pytest.raises(NotConfigured, match=why) as error:
        WebhookVerifier(**settings)
    assert "n0tbase64" not in str(error.value)
    assert isinstance(error.value, BridgeError)


@pytest.mark.covers("jobs:webhooks:configured")
@pytest.mark.parametrize(
    "url", ["https://example.com/keys", "http://127.0.0.1:1/", "http://localhost/", "http://[::1]:1/"]
)
def test_keys_come_over_https_or_from_this_machine(url: str) -> None:
    """Nothing is fetched yet; and no secret shows."""
    one = WebhookVerifier(SECRET, url, HERE)
    assert SECRET not in repr(one)
