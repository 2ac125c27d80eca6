"""Keys, base URLs and versions: where requests go, and that no key is told."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

import pytest

from bridge.backends.gemini import GeminiBackend, SyncGeminiBackend
from bridge.errors import AuthenticationFailed, BridgeError, InvalidResponse, NotConfigured, OutcomeUnknown
from tests.backends.gemini.wire import Client, Reply, Server, answer, events, refusal

KEY = "sk-Very.Secret_1234567890"
LOCAL = "http://127.0.0.1:8787"
DONE = answer({"id": "v1_a", "status": "completed"})


@pytest.mark.covers("gemini:settings:none")
def test_without_key_and_address_the_three_ways_are_named() -> None:
    """And the embedded service is not chosen."""
    for make in (GeminiBackend, SyncGeminiBackend):
        with pytest.raises(NotConfigured) as caught:
            make()
        for word in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "base_url", "interactions-bridge serve", "LocalBackend"):
            assert word in str(caught.value)
    with pytest.raises(NotConfigured):
        GeminiBackend(base_url="https://generativelanguage.googleapis.com/v1beta")


@pytest.mark.covers("gemini:settings:environment")
async def test_key_and_address_come_from_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch, connected: Callable[..., Client]
) -> None:
    """GOOGLE_API_KEY wins; arguments win over both; "" is no key."""
    monkeypatch.setenv("GEMINI_API_KEY", "gemini")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", f"{server.url}/")
    server.will(*[DONE] * 4)
    for options in ({}, {}, {"api_key": "mine"}, {"api_key": ""}):
        await connected("httpx2", **{"api_key": None, "base_url": None, **options})("get", "v1_a")
        monkeypatch.setenv("GOOGLE_API_KEY", "google ")
    keys = [request.headers.get("x-goog-api-key") for request in server.requests]
    assert keys == ["gemini", "google", "mine", None]


@pytest.mark.covers("gemini:settings:address")
@pytest.mark.parametrize(
    ("suffix", "version", "path"),
    [
        ("", "v1", "/v1"),
        ("/", "v1beta", "/v1beta"),
        ("/v1beta", "v1", "/v1beta"),
        ("/v1beta/", "v1beta", "/v1beta"),
        ("/v1", "v1", "/v1"),
        ("/proxy", "v1", "/proxy/v1"),
        ("/proxy/v1alpha", "v1", "/proxy/v1alpha"),
        ("/v1beta1/projects/p/locations/l", "v1", "/v1beta1/projects/p/locations/l"),
        ("", "v1beta1/projects/p/locations/l", "/v1beta1/projects/p/locations/l"),
    ],
)
async def test_a_version_in_the_address_is_not_doubled(
    server: Server, connected: Callable[..., Client], suffix: str, version: str, path: str
) -> None:
    """Calls and uploads alike."""
    client = connected("httpx2", base_url=server.url + suffix, api_version=version)
    server.will(
        DONE, answer({}, x_goog_upload_url="/up"), answer({"file": {"name": "a"}}, x_goog_upload_status="final")
    )
    await client("get", "v1_a")
    await client("files.write", "e1", "a", b"")
    assert server.calls[0] == f"GET {path}/interactions/v1_a?stream=false"
    root, _, rest = path.rpartition("/v1")
    assert server.calls[1] == f"PUT {root}/upload/v1{rest}/environments/e1/files/a?overwrite=true"


@pytest.mark.covers("gemini:settings:address")
@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"base_url": "127.0.0.1:8787"}, "base URL"),
        ({"base_url": "ftp://x"}, "base URL"),
        ({"base_url": "http://"}, "base URL"),
        ({"base_url": "http://[::1"}, "base URL"),
        ({"base_url": "http://x:port"}, "base URL"),
        ({"base_url": "https://user:pw@x"}, "user"),
        ({"base_url": "https://x?key=1"}, "query"),
        ({"base_url": f"{LOCAL}/v1beta", "api_version": "v2"}, "v1beta"),
        ({"base_url": LOCAL, "api_version": "latest"}, "latest"),
        ({"base_url": LOCAL, "api_version": ""}, "api_version"),
        ({"base_url": LOCAL, "api_key": "two\nlines"}, "key"),
        ({"base_url": LOCAL, "api_key": "schlüssel"}, "key"),
    ],
)
def test_what_is_no_address_key_or_version_is_refused(options: dict[str, str], word: str) -> None:
    """When the backend is made, not at the first call."""
    with pytest.raises(NotConfigured, match=word) as caught:
        GeminiBackend(**options)  # type: ignore[arg-type]
    assert "two" not in str(caught.value)


@pytest.mark.covers("gemini:settings:insecure")
def test_a_key_does_not_travel_unencrypted() -> None:
    """To this machine it may, to others only where the caller says so; without a key there is nothing to protect."""
    for url in (
        "http://127.0.0.1:1",
        "http://127.8.8.8",
        "http://localhost:1",
        "http://[::1]:1",
        "http://a.localhost",
        "https://x",
    ):
        GeminiBackend(KEY, url)
    for url in ("http://10.0.0.1", "http://example.com", "http://[2001:db8::1]"):
        with pytest.raises(NotConfigured, match="allow_insecure") as caught:
            GeminiBackend(KEY, url)
        assert KEY not in str(caught.value)
        GeminiBackend(KEY, url, allow_insecure=True)
        GeminiBackend("", url)


@pytest.mark.covers("gemini:settings:identity")
def test_an_identity_tells_accounts_apart_and_no_key() -> None:
    """Host, version and key make it; processes agree on it."""
    one = GeminiBackend(KEY, LOCAL)
    assert one.identity == GeminiBackend(KEY, LOCAL + "/v1").identity == one.sync.identity
    others = [
        GeminiBackend("other", LOCAL),
        GeminiBackend(KEY, LOCAL, "v1beta"),
        GeminiBackend(KEY, LOCAL.replace("8787", "8788")),
        GeminiBackend("", LOCAL),
    ]
    assert len({backend.identity for backend in (one, *others)}) == 5
    assert KEY not in one.identity
    assert one.identity.isalnum()


@pytest.mark.covers("gemini:settings:secret")
async def test_the_key_is_in_no_text(
    server: Server, connected: Callable[..., Client], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in reprs nor in errors, their causes and bodies, nor in logs, even where the service says it back."""
    caplog.set_level(logging.DEBUG)
    echo = f"Key {KEY} is not valid."
    texts = []
    for way in ("own", "httpx", "sync"):
        client = connected(way, api_key=KEY, retries=0)
        texts += [repr(client.backend), str(vars(client.backend))]
        replies = [
            (refusal(401, message=echo, x_request_id=f"r-{KEY}"), AuthenticationFailed),
            (Reply(echo.encode(), 401), AuthenticationFailed),
            (Reply(echo.encode(), 200, {"content-type": "application/json"}), InvalidResponse),
            (Reply(b"", 302, {"location": f"https://x/?key={KEY}"}), InvalidResponse),
            (Reply(cut=0, cut_head=True), OutcomeUnknown),
            (events(b'data: {"a"'), OutcomeUnknown),
        ]
        for reply, kind in replies:
            server.will(reply)
            call = "stream" if reply.headers.get("content-type") == "text/event-stream" else "create"
            with pytest.raises(BridgeError) as caught:
                await client(call, model="m", input="x")
            assert type(caught.value) is kind
            error: BaseException | None = caught.value
            texts += traceback.format_exception(caught.value)
            while error is not None:
                texts += [str(error), repr(error), str(vars(error))]
                assert isinstance(error, BridgeError), "a foreign exception hangs on ours"
                error = error.__cause__ or error.__context__
    logged = [record.getMessage() for record in caplog.records]
    texts += [
        text for text in logged if "receive_response_headers" not in text
    ]  # the HTTP library's, of what it was sent
    assert [text for text in texts if KEY in text] == []


@pytest.mark.covers("gemini:settings:secret")
async def test_a_redirect_is_not_followed(server: Server, connected: Callable[..., Client]) -> None:
    """The key goes where the caller sent it and nowhere else, also where an injected client would follow."""
    import httpx2

    async with httpx2.AsyncClient(follow_redirects=True) as http:
        client = connected("own", http=http)
        server.will(Reply(b"", 307, {"location": "/elsewhere"}))
        with pytest.raises(InvalidResponse, match="redirect"):
            await client.create(model="m", input="x")
    assert len(server.requests) == 1
