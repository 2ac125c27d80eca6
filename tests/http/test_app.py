"""The Interactions API over HTTP: what is on the wire, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest

from bridge.backend import Capabilities
from bridge.backends.gemini import GeminiBackend
from bridge.backends.local import Switches
from bridge.errors import (
    BridgeError,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidRequest,
    RateLimited,
    UnsupportedCapability,
)
from bridge.interactions import parse_event
from tests.backends.local.service import THOUGHT, Gate, call, function, result, text

Serve = Callable[..., Any]
ANTIGRAVITY = "antigravity-preview-09-2026"
SAY = {"model": "m", "input": "x"}


def frames(body: str) -> list[tuple[str, str]]:
    """The (event, data) pairs of a stream of server-sent events."""
    pairs = []
    for frame in body.split("\n\n"):
        if frame:
            name, data = frame.split("\n")
            pairs.append((name.removeprefix("event: "), data.removeprefix("data: ")))
    return pairs


class Failing:
    """A backend that fails as it is told."""

    name = "failing"
    identity = "0"
    capabilities = Capabilities()
    agents = environments = files = None

    def __init__(self, error: Exception, *, after: int = 0) -> None:
        self._error = error
        self._after = after

    async def create(self, request: Any = None, /, **fields: Any) -> Any:
        raise self._error

    async def stream(self, request: Any = None, /, **fields: Any) -> AsyncIterator[Any]:
        for _ in range(self._after):
            yield parse_event(
                {"event_type": "interaction.status_update", "interaction_id": "v1_x", "status": "in_progress"}
            )
        raise self._error

    async def aclose(self) -> None: ...


@pytest.mark.covers("http:create")
async def test_a_create_answers_200_with_the_interaction(serve: Serve) -> None:
    """What the backend answers, as JSON; text that UTF-8 has no form for comes back as it went."""
    served = await serve([THOUGHT, text("Grüße, 世界 \ud83d")])
    status, answer = await served.call("POST", "interactions", json=SAY)
    assert (status, answer["status"], answer["object"], answer["model"]) == (200, "completed", "interaction", "local-m")
    assert answer["steps"] == [THOUGHT, text("Grüße, 世界 \ud83d")]
    assert (await served.call("GET", f"interactions/{answer['id']}")) == (200, answer)


@pytest.mark.covers("http:versions")
@pytest.mark.parametrize("prefix", ["/v1", "/v1beta", "/v9", "/v1beta1/projects/p/locations/global"])
async def test_every_version_segment_and_the_form_of_vertex_are_the_same_service(serve: Serve, prefix: str) -> None:
    """Also `Api-Revision` is accepted, whatever it says."""
    served = await serve([text("a")])
    headers = {"Api-Revision": "2026-05-20"}
    status, answer = await served.call("POST", f"{prefix}/interactions", json=SAY, headers=headers)
    assert status == 200
    assert (await served.call("GET", f"/v1/interactions/{answer['id']}"))[0] == 200
    assert (await served.call("GET", f"{prefix}/agents")) == (200, {"agents": []})


@pytest.mark.covers("http:stream")
async def test_a_stream_is_server_sent_events_closed_by_done(serve: Serve) -> None:
    """`event:` and `data:` lines, the name again in the JSON, event ids in it, then `[DONE]`."""
    served = await serve([THOUGHT, text("One two three.")])
    answer = await served.client.post("/v1/interactions", json={**SAY, "stream": True})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    *events, done = frames(answer.text)
    assert done == ("done", "[DONE]")
    decoded = [json.loads(data) for _, data in events]
    assert [name for name, _ in events] == [event["event_type"] for event in decoded]
    assert decoded[0]["event_type"] == "interaction.created"
    assert decoded[-1]["event_type"] == "interaction.completed"
    assert len({event["event_id"] for event in decoded}) == len(decoded)


@pytest.mark.covers("http:stream:resume")
async def test_a_stream_is_resumed_from_an_event_id_and_replayed_from_the_start(serve: Serve) -> None:
    """GET with `stream=true`, with and without `last_event_id`; a wrong one is 400."""
    served = await serve([THOUGHT, text("One two three.")])
    first = frames(
        (await served.client.post("/v1/interactions", json={**SAY, "stream": True, "background": True})).text
    )
    path = f"/v1/interactions/{json.loads(first[0][1])['interaction']['id']}"
    for place in range(len(first) - 1):
        cursor = json.loads(first[place][1])["event_id"]
        resumed = await served.client.get(path, params={"stream": "true", "last_event_id": cursor})
        assert frames(resumed.text) == first[place + 1 :]
    assert frames((await served.client.get(path, params={"stream": "true"})).text) == first
    status, answer = await served.call("GET", path, params={"stream": "true", "last_event_id": "ev_0005"})
    assert (status, answer["error"]["code"]) == (400, "invalid_request")


@pytest.mark.covers("http:stream:live")
async def test_events_arrive_while_the_turn_still_runs(serve: Serve) -> None:
    """And the stream of a run that is watched ends with it."""
    gate = Gate(text("And the rest."))
    served = await serve(gate.script)
    _, started = await served.call("POST", "interactions", json={**SAY, "background": True})
    assert (started["status"], started["steps"]) == ("in_progress", [])
    async with served.client.stream("GET", f"/v1/interactions/{started['id']}?stream=true") as watching:
        lines = watching.aiter_lines()
        while "thought" not in await anext(lines):
            pass
        gate.open.set()
        rest = [line async for line in lines]
    assert "data: [DONE]" in rest


@pytest.mark.covers("http:stream:refused")
async def test_what_is_wrong_before_the_first_event_is_a_plain_error(serve: Serve) -> None:
    """The status tells, as on the real service; nothing begins to stream."""
    served = await serve()
    for body in ({**SAY, "stream": True, "foo": 1}, {**SAY, "stream": True, "previous_interaction_id": "v1_x"}):
        answer = await served.client.post("/v1/interactions", json=body)
        assert answer.status_code in (400, 404)
        assert answer.headers["content-type"] == "application/json"
    assert (await served.call("GET", "interactions/v1_x", params={"stream": "true"}))[0] == 404


@pytest.mark.covers("http:stream:errors")
async def test_what_goes_wrong_inside_a_stream_is_an_error_event(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Then `[DONE]`; of an unexpected failure the client sees no inside."""
    served = await serve(backend=Failing(DeadlineExceeded("too long"), after=2))
    pairs = frames((await served.client.post("/v1/interactions", json={**SAY, "stream": True})).text)
    assert [name for name, _ in pairs] == ["interaction.status_update"] * 2 + ["error", "done"]
    assert json.loads(pairs[2][1])["error"] == {"code": "deadline_exceeded", "message": "too long"}
    served = await serve(backend=Failing(RuntimeError("secret inside"), after=1))
    pairs = frames((await served.client.post("/v1/interactions", json={**SAY, "stream": True})).text)
    assert json.loads(pairs[1][1])["error"] == {"code": "api_error", "message": "Internal error."}
    assert "secret inside" in caplog.text


@pytest.mark.covers("http:stream:cut")
async def test_a_stream_that_its_backend_lost_is_cut_and_not_closed(serve: Serve) -> None:
    """Without `[DONE]` and without a clean end, so that a client sees that something is missing; the run goes on."""
    served = await serve([THOUGHT, text("One two three.")], settings={"test_controls": True})
    seen: list[str] = []

    async def follow() -> None:
        body = {**SAY, "stream": True, "labels": {"local-drop-after": "3"}}
        async with served.client.stream("POST", "/v1/interactions", json=body) as stream:
            async for line in stream.aiter_lines():
                seen.append(line)  # noqa: PERF401 - what came before the cut counts

    with pytest.raises(httpx2.RemoteProtocolError):
        await follow()
    events = [json.loads(line[6:]) for line in seen if line.startswith("data: ")]
    assert len(events) == 3
    path = f"/v1/interactions/{events[0]['interaction']['id']}"
    rest = await served.client.get(path, params={"stream": "true"})
    assert json.loads(frames(rest.text)[-2][1])["event_type"] == "interaction.completed"
    assert (await served.call("GET", path))[1]["status"] == "completed"


@pytest.mark.covers("http:disconnect")
@pytest.mark.parametrize("stored", [True, False])
async def test_a_client_that_goes_away_leaves_a_stored_turn_running(serve: Serve, stored: bool) -> None:
    """It ends as it would have and can be read; one that is not stored stops."""
    gate = Gate(text("Done."))
    served = await serve(gate.script)
    async with httpx2.AsyncClient(base_url=served.url, verify=False) as leaving:
        request = leaving.build_request("POST", "/v1/interactions", json={**SAY, "stream": True, "store": stored})
        stream = await leaving.send(request, stream=True)
        created = json.loads(await _first_data(stream))
        await gate.reached.wait()
        await stream.aclose()
    if not stored:
        await gate.left.wait()
        return
    gate.open.set()
    path = f"/v1/interactions/{created['interaction']['id']}"
    assert frames((await served.client.get(path, params={"stream": "true"})).text)[-1] == ("done", "[DONE]")
    assert (await served.call("GET", path))[1]["status"] == "completed"


async def _first_data(stream: Any) -> str:
    async for line in stream.aiter_lines():
        if line.startswith("data: "):
            return str(line[6:])
    raise AssertionError("the stream ended")


@pytest.mark.covers("http:lifecycle")
async def test_a_function_call_is_answered_a_job_cancelled_a_turn_deleted(serve: Serve) -> None:
    """The whole life of turns over HTTP, each success exactly 200."""
    gate = Gate()
    served = await serve([call("f")], [text("done")], gate.script)
    tools = [function("f")]
    _, asked = await served.call("POST", "interactions", json={**SAY, "tools": tools})
    assert asked["status"] == "requires_action"
    body = {
        "model": "m",
        "tools": tools,
        "previous_interaction_id": asked["id"],
        "input": [result("call0001", {"n": 1})],
    }
    status, done = await served.call("POST", "interactions", json=body)
    assert (status, done["status"], done["previous_interaction_id"]) == (200, "completed", asked["id"])
    _, started = await served.call("POST", "interactions", json={**SAY, "background": True})
    await gate.reached.wait()
    status, cancelled = await served.call("POST", f"interactions/{started['id']}/cancel")
    assert (status, cancelled["status"], cancelled["steps"]) == (200, "cancelled", [THOUGHT])
    status, answer = await served.call("POST", f"interactions/{done['id']}/cancel")
    assert (status, answer["error"]["code"]) == (400, "failed_precondition")
    _, whole = await served.call("GET", f"interactions/{done['id']}", params={"include_input": "true"})
    assert [step["type"] for step in whole["steps"]] == ["function_result", "model_output"]
    assert await served.call("DELETE", f"interactions/{done['id']}") == (200, {})
    for method in ("GET", "DELETE"):
        status, answer = await served.call(method, f"interactions/{done['id']}")
        assert (status, answer["error"]["code"]) == (404, "not_found")


@pytest.mark.covers("http:errors")
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidRequest("no", "x"), 400, "invalid_request"),
        (RateLimited("slow down", status=429, code="rate_limit_exceeded", retry_after=7.5), 429, "rate_limit_exceeded"),
        (UnsupportedCapability("b", "fork"), 501, "unimplemented"),
        (DeadlineExceeded("late"), 504, "deadline_exceeded"),
        (ConnectionFailed("lost", sent=True), 503, "service_unavailable"),
        (BridgeError("odd"), 500, "api_error"),
        (RuntimeError("secret inside"), 500, "api_error"),
    ],
)
async def test_errors_have_the_form_of_the_api_and_show_no_inside(
    serve: Serve, error: Exception, status: int, code: str
) -> None:
    """`{"error": {"code", "message"}}` with the status that fits; Retry-After where the backend knows it."""
    served = await serve(backend=Failing(error))
    answer = await served.client.post("/v1/interactions", json=SAY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"code", "message"}
    assert "secret" not in answer.text
    assert answer.headers.get("retry-after") == ("7.5" if status == 429 else None)


@pytest.mark.covers("http:errors:routes")
async def test_a_path_that_is_none_is_404_and_a_wrong_method_405(serve: Serve) -> None:
    """Both in the API's form."""
    served = await serve()
    for method, path, expected in (
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/interactions/", 404),
        ("GET", "/v1/interactions/a/b/c", 404),
        ("POST", "/v1beta1/projects/p/interactions", 404),
        ("PUT", "/v1/interactions", 405),
        ("PATCH", "/v1/agents/x", 405),
        ("GET", "/v1/interactions/x/cancel", 405),
        ("GET", "/upload/v1/environments/e/files/a", 405),
    ):
        status, answer = await served.call(method, path)
        assert (method, path, status) == (method, path, expected)
        assert set(answer["error"]) == {"code", "message"}


@pytest.mark.covers("http:body")
@pytest.mark.parametrize(
    ("body", "fact"),
    [
        (b"{", "not valid JSON at line 1, column 2"),
        (b"\xff\xfe", "not valid JSON"),
        (b'{"model": "m", "input": NaN}', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[1]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"", "a model or an agent"),
        (b"null", "must be a JSON object"),
        (b'{"model": "m", "input": "x", "self": 1}', "'self'"),
        (b'{"model": "m", "input": "x", "request": {}}', "'request'"),
        (b'{"model": "m", "input": "x", "stream": "yes"}', "stream"),
    ],
)
async def test_a_body_that_is_no_request_is_400(serve: Serve, body: bytes, fact: str) -> None:
    """Whatever it is, the answer says what is wrong with it."""
    served = await serve()
    status, answer = await served.call("POST", "interactions", content=body)
    assert status == 400
    assert fact in answer["error"]["message"]


@pytest.mark.covers("http:body")
async def test_fields_named_like_pythons_own_are_refused_everywhere(serve: Serve) -> None:
    """No body can reach into the call that handles it."""
    served = await serve()
    for path in ("agents", "environments"):
        for name in ("self", "agent", "cls"):
            assert (await served.call("POST", path, json={"id": "a", "base_agent": ANTIGRAVITY, name: 1}))[0] == 400


@pytest.mark.covers("http:body:limit")
@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large_is_413(serve: Serve, announced: bool) -> None:
    """By its announced length before it is read, or as soon as it is too long."""
    served = await serve([text("a")], max_body=1_000)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100

    status, answer = await served.call("POST", "interactions", content=b" " * 1_001 if announced else chunks())
    assert (status, answer["error"]["message"]) == (413, "The request is too large: at most 1000 bytes.")
    assert (await served.call("POST", "interactions", json=SAY))[0] == 200


@pytest.mark.covers("http:query")
async def test_a_query_value_that_makes_no_sense_is_400(serve: Serve) -> None:
    """And an empty one is as good as none."""
    served = await serve([text("a")])
    _, turn = await served.call("POST", "interactions", json=SAY)
    path = f"interactions/{turn['id']}"
    for query in ("stream=maybe", "include_input=2"):
        assert (await served.call("GET", f"{path}?{query}"))[0] == 400
    for query in ("stream=", "stream=false", "include_input=0", "key=anything&alt=json"):
        assert (await served.call("GET", f"{path}?{query}"))[0] == 200
    for query in ("page_size=many", "page_size=-1", "page_token=guess", "page_token=W10"):
        assert (await served.call("GET", f"agents?{query}"))[0] == 400


@pytest.mark.covers("http:key")
async def test_every_request_needs_the_key_where_one_is_set(serve: Serve) -> None:
    """As a header, in the query, or as a bearer token; otherwise 401 and nothing else is looked at."""
    served = await serve([text("a")] * 4, api_key="the-key")
    wrong: list[dict[str, Any]] = [
        {},
        {"headers": {"x-goog-api-key": "the-ke"}},
        {"headers": {"x-goog-api-key": "\u00e9".encode()}},
        {"params": {"key": "no"}},
        {"headers": {"authorization": "Bearer no"}},
        {"headers": {"authorization": "Basic the-key"}},
    ]
    for options in wrong:
        for path in ("interactions/v1_x", "nothing"):
            status, answer = await served.call("GET", path, **options)
            assert (status, answer["error"]["code"]) == (401, "authentication")
            assert "the-key" not in json.dumps(answer)
    right: list[dict[str, Any]] = [
        {"headers": {"x-goog-api-key": "the-key"}},
        {"params": {"key": "the-key"}},
        {"headers": {"authorization": "Bearer the-key"}},
    ]
    for options in right:
        assert (await served.call("GET", "interactions/v1_x", **options))[0] == 404


@pytest.mark.covers("http:agents")
async def test_agents_over_http(serve: Serve) -> None:
    """Created, read under both forms of the name the SDK sends, listed in pages, deleted; 409 for an id that exists."""
    served = await serve()
    for name in ("c", "a", "b"):
        assert (await served.call("POST", "agents", json={"id": name, "base_agent": ANTIGRAVITY}))[0] == 200
    assert (await served.call("POST", "agents", json={"id": "a", "base_agent": ANTIGRAVITY}))[0] == 409
    for path in ("agents/a", "agents/agents/a"):
        assert await served.call("GET", path) == (200, {"id": "a", "base_agent": ANTIGRAVITY})
    assert await served.call("DELETE", "agents/c") == (200, {})
    _, answer = await served.call("GET", "agents")
    assert [agent["id"] for agent in answer["agents"]] == ["a", "b"]
    assert "next_page_token" not in answer


@pytest.mark.covers("http:pages")
async def test_pages_neither_skip_nor_repeat_while_things_come_and_go(serve: Serve) -> None:
    """A client may delete what it was just given."""
    served = await serve()
    names = [f"agent-{number}" for number in range(7)]
    for name in names:
        await served.call("POST", "agents", json={"id": name, "base_agent": ANTIGRAVITY})
    seen: list[str] = []
    token = ""
    while True:
        _, answer = await served.call("GET", f"agents?page_size=2&page_token={token}")
        for agent in answer["agents"]:
            seen.append(agent["id"])
            await served.call("DELETE", f"agents/{agent['id']}")
        token = answer.get("next_page_token", "")
        if not token:
            break
    assert seen == names


@pytest.mark.covers("http:environments")
async def test_environments_and_their_files_over_http(serve: Serve) -> None:
    """Created, read, listed, deleted; their files listed in pages and downloaded byte for byte; numbers as strings."""
    served = await serve()
    sources = [
        {"type": "inline", "target": f"/workspace/{name}", "content": name} for name in ("a b.txt", "c.csv", "d/e.txt")
    ]
    status, made = await served.call("POST", "environments", json={"sources": sources, "network": "disabled"})
    assert (status, made["file_count"], made["size_bytes"], made["network"]) == (200, "3", "19", "disabled")
    path = f"environments/{made['id']}"
    assert await served.call("GET", path) == (200, made)
    assert await served.call("GET", f"environments/environments/{made['id']}") == (200, made)
    assert await served.call("GET", "environments") == (200, {"environments": [made]})
    for root in (f"{path}/files", f"{path}/files/"):
        _, listed = await served.call("GET", root)
        assert [file["path"] for file in listed["files"]] == ["workspace/a b.txt", "workspace/c.csv", "workspace/d"]
    _, page = await served.call("GET", f"{path}/files/?recursive=true&page_size=3")
    _, rest = await served.call("GET", f"{path}/files/?recursive=true&pageSize=3&pageToken={page['next_page_token']}")
    assert [file["path"] for file in rest["files"]] == ["workspace/d/e.txt"]
    _, one = await served.call("GET", f"{path}/files/c.csv")
    assert (one["files"][0]["size_bytes"], one["files"][0]["mime_type"]) == ("5", "text/csv")
    answer = await served.client.get(f"/v1/{path}/files/workspace/a%20b.txt?alt=media")
    assert (answer.status_code, answer.content) == (200, b"a b.txt")
    for outside in ("..%2F..%2Fservice.sqlite3", "%2e%2e/%2e%2e/service.sqlite3", "nothing.txt", "%00"):
        assert (await served.call("GET", f"{path}/files/{outside}?alt=media"))[0] in (400, 404)
    assert await served.call("DELETE", path) == (200, {})
    assert (await served.call("GET", f"{path}/files/"))[0] == 404


def start(size: int | str) -> dict[str, str]:
    return {
        "X-Goog-Upload-Protocol": "resumable",
        "X-Goog-Upload-Command": "start",
        "X-Goog-Upload-Header-Content-Length": str(size),
        "X-Goog-Upload-Header-Content-Type": "text/plain",
    }


def part(command: str, offset: int) -> dict[str, str]:
    return {"X-Goog-Upload-Command": command, "X-Goog-Upload-Offset": str(offset)}


@pytest.mark.covers("http:upload")
async def test_a_file_is_uploaded_in_two_steps_or_in_pieces(serve: Serve) -> None:
    """A start that gives an address, then the bytes; `active` until they are finalised."""
    served = await serve()
    _, made = await served.call("POST", "environments", json={})
    path = f"/upload/v1/environments/{made['id']}/files/in%20put/a.txt"
    begun = await served.client.put(path, headers=start(9))
    url = begun.headers["x-goog-upload-url"]
    assert (begun.status_code, url.startswith(served.url)) == (200, True)
    first = await served.client.post(url, headers=part("upload", 0), content=b"some ")
    assert (first.status_code, first.headers["x-goog-upload-status"]) == (200, "active")
    asked = await served.client.post(url, headers={"X-Goog-Upload-Command": "query"})
    assert asked.headers["x-goog-upload-size-received"] == "5"
    wrong = await served.client.post(url, headers=part("upload", 3), content=b"more")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (416, "out_of_range")
    last = await served.client.post(url, headers=part("upload, finalize", 5), content=b"more")
    assert (last.status_code, last.headers["x-goog-upload-status"]) == (200, "final")
    assert last.json()["file"]["path"] == "workspace/in put/a.txt"
    content = await served.client.get(f"/v1/environments/{made['id']}/files/in put/a.txt?alt=media")
    assert content.content == b"some more"
    again = await served.client.post(url, headers=part("finalize", 9))
    assert again.status_code == 404


@pytest.mark.covers("http:upload:refused")
async def test_an_upload_that_cannot_be_is_refused_at_its_start_where_that_is_known(serve: Serve) -> None:
    """Too large, of an environment that is none, an archive to extract, a wrong command; an existing file at its end."""
    served = await serve(max_upload=10)
    _, made = await served.call(
        "POST", "environments", json={"sources": [{"type": "inline", "target": "a", "content": "x"}]}
    )
    path = f"/upload/v1/environments/{made['id']}/files/a"
    for where, headers, expected in (
        (path, start(11), 413),
        ("/upload/v1/environments/none/files/a", start(1), 404),
        (f"{path}?extract=true", start(1), 400),
        (path, {"X-Goog-Upload-Command": "begin"}, 400),
        (path, {}, 400),
        (f"{path}?upload_id=none", start(1), 404),
    ):
        assert (await served.call("PUT", where, headers=headers))[0] == expected
    url = (await served.client.put(f"{path}?overwrite=false", headers=start("?"))).headers["x-goog-upload-url"]
    assert (await served.call("POST", url.removeprefix(served.url), headers=part("explode", 0)))[0] == 400
    assert (await served.call("POST", url.removeprefix(served.url), headers=part("upload", 0), content=b"x" * 11))[
        0
    ] == 413
    status, answer = await served.call(
        "POST", url.removeprefix(served.url), headers=part("upload, finalize", 0), content=b"y"
    )
    assert (status, answer["error"]["code"]) == (409, "already_exists")


@pytest.mark.covers("http:upload:forgotten")
async def test_uploads_that_nobody_finishes_do_not_pile_up(serve: Serve) -> None:
    """The oldest is forgotten where there are too many."""
    served = await serve()
    _, made = await served.call("POST", "environments", json={})
    path = f"/upload/v1/environments/{made['id']}/files/a"
    urls = [(await served.client.put(path, headers=start(1))).headers["x-goog-upload-url"] for _ in range(21)]
    finished = [
        (await served.client.post(url, headers=part("upload, finalize", 0), content=b"x")).status_code for url in urls
    ]
    assert finished == [404] + [200] * 20


@pytest.mark.covers("http:controls")
async def test_a_label_answers_a_status_over_http(serve: Serve) -> None:
    """Once, with the code that goes with it; every other status of a turn is a 200."""
    served = await serve([text("a")], [text("b")], settings={"test_controls": True})
    body = {**SAY, "labels": {"local-http": "503"}}
    status, answer = await served.call("POST", "interactions", json=body)
    assert (status, answer["error"]["code"]) == (503, "service_unavailable")
    assert (await served.call("POST", "interactions", json=body))[0] == 200
    status, answer = await served.call("POST", "interactions", json={**SAY, "labels": {"local-status": "failed"}})
    assert (status, answer["status"]) == (200, "failed")


@pytest.mark.covers("http:switches")
async def test_switches_show_on_the_wire(serve: Serve) -> None:
    """No event ids on foreground streams, 404 for the first reads of a job."""
    served = await serve(
        [text("a")], [text("b")], settings={"switches": Switches(foreground_event_ids=False, hidden_reads=1)}
    )
    stream = await served.client.post("/v1/interactions", json={**SAY, "stream": True})
    assert "event_id" not in stream.text
    _, started = await served.call("POST", "interactions", json={**SAY, "background": True})
    assert [(await served.call("GET", f"interactions/{started['id']}"))[0] for _ in range(2)] == [404, 200]


@pytest.mark.covers("http:concurrent")
async def test_many_streams_at_a_time_each_get_their_own(serve: Serve) -> None:
    """Fifty clients on one process."""
    served = await serve(*([text(f"answer number {number} of many")] for number in range(50)))

    async def one() -> str:
        answer = await served.client.post("/v1/interactions", json={**SAY, "stream": True})
        deltas = [json.loads(data).get("delta", {}) for name, data in frames(answer.text) if name == "step.delta"]
        return "".join(delta.get("text", "") for delta in deltas)

    assert sorted(await asyncio.gather(*(one() for _ in range(50)))) == sorted(
        f"answer number {n} of many" for n in range(50)
    )


@pytest.mark.covers("http:origin")
@pytest.mark.parametrize(
    ("origin", "key", "status"),
    [
        ("http://localhost:3000", None, 200),
        ("http://127.0.0.1:8888", None, 200),
        ("https://example.com", None, 403),
        ("null", None, 403),
        ("http://[", None, 403),
        ("https://example.com", "the-key", 200),
    ],
)
async def test_without_a_key_pages_of_other_sites_are_kept_out(
    serve: Callable[..., Any], origin: str, key: str | None, status: int
) -> None:
    """A browser would let any site reach a loopback port; with a key the key decides."""
    served = await serve([text("a")], api_key=key)
    headers = {"origin": origin, **({"x-goog-api-key": key} if key else {})}
    answered, _ = await served.call("POST", "interactions", json={"model": "m", "input": "x"}, headers=headers)
    assert answered == status


@pytest.mark.covers("http:webhooks")
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/webhooks"), ("POST", "/v1/webhooks/x:ping"), ("GET", "/.well-known/jwks.json")]
)
async def test_a_backend_without_webhooks_says_so(serve: Serve, method: str, path: str) -> None:
    """501 with the name of what it lacks, and the other way on."""
    served = await serve(backend=Failing(RuntimeError()))
    status, answer = await served.call(method, path)
    assert status == 501
    assert "'failing' has no webhooks; poll or watch" in answer["error"]["message"]


@pytest.mark.covers("http:webhooks:served")
async def test_the_webhooks_of_a_service_behind_ours_are_served(serve: Serve) -> None:
    """A gemini backend in front of the embedded service: every call reaches it; the keys are under its own address."""
    inner = await serve()
    outer = await serve(backend=GeminiBackend("", inner.url))
    fields = {"uri": "http://127.0.0.1:9/", "subscribed_events": ["interaction.failed"]}
    _, made = await outer.call("POST", "webhooks", json=fields)
    assert made["new_signing_secret"].startswith("whsec_")
    where = f"webhooks/{made['id']}"
    assert (await outer.call("POST", f"{where}:ping")) == (200, {})
    _, rotated = await outer.call("POST", f"{where}:rotateSigningSecret", json={})
    assert rotated["secret"] != made["new_signing_secret"]
    _, changed = await outer.call("PATCH", f"{where}?update_mask=name", json={"name": "n", "state": "disabled"})
    assert (changed["name"], changed["state"]) == ("n", "enabled")
    _, listed = await outer.call("GET", "webhooks")
    assert [row["name"] for row in listed["webhooks"]] == ["n"]
    assert (await outer.call("GET", "/.well-known/jwks.json"))[0] == 404
    assert (await inner.call("GET", "/.well-known/jwks.json"))[0] == 200
    assert (await outer.call("DELETE", where)) == (200, {})
    assert (await inner.call("GET", where))[0] == 404
