"""Errors of the service as ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.errors import (
    ApiError,
    AuthenticationFailed,
    BadRequest,
    Conflict,
    InvalidResponse,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServiceFailed,
)
from tests.backends.gemini.wire import Client, Reply, Server, answer, refusal, sample

JSON = {"content-type": "application/json"}


@pytest.mark.covers("gemini:errors:kinds")
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (401, AuthenticationFailed),
        (402, ApiError),
        (403, PermissionDenied),
        (404, NotFound),
        (409, Conflict),
        (422, ApiError),
        (429, RateLimited),
        (500, ServiceFailed),
        (501, ServiceFailed),
        (503, ServiceFailed),
    ],
)
async def test_every_status_has_its_error_with_all_facts(
    server: Server, client: Client, status: int, kind: type[ApiError]
) -> None:
    """Status, the API's code, its message, the request's id, the body."""
    server.will(*[refusal(status, "some_code", "It says so.", x_request_id="req-7")] * 5)
    with pytest.raises(ApiError) as caught:
        await client("get", "v1_a")
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.message, error.request_id) == (status, "some_code", "It says so.", "req-7")
    assert error.body == {"error": {"code": "some_code", "message": "It says so."}}
    assert str(error) == f"{status} some_code: It says so. (request req-7)"


@pytest.mark.covers("gemini:errors:formats")
@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (
            sample("08_error_400_invalid_request.json"),
            "invalid_request",
            "The value 'nope' is not supported for 'type' at 'tools[0]'.",
        ),
        (sample("08_error_400_google_front_end.json"), "invalid_argument", "Invalid JSON payload received."),
        (b'[{"error": {"code": 400, "message": "List.", "status": "INVALID_ARGUMENT"}}]', "invalid_argument", "List."),
        (b'{"error": {"code": 400, "message": "No status."}}', "", "No status."),
        (b'{"error": "Plain."}', "", "Plain."),
        (b"<html>  Bad\n gateway </html>", "", "<html> Bad gateway </html>"),
        (b"", "", "the answer says no more"),
        (b"[]", "", "[]"),
        (b"null", "", "null"),
        (b'{"error": null}', "", '{"error": null}'),
        (b'{"error": {"code": true, "message": 5}}', "", '{"error": {"code": true, "message": 5}}'),
        (b"\xff\xfe", "", "\ufffd\ufffd"),
        (b"[" * 100_000, "", "[" * 200),
    ],
)
async def test_every_form_of_an_error_body_is_read(
    server: Server, client: Client, body: bytes, code: str, message: str
) -> None:
    """Both forms of the API, in a list or not, and what is no JSON at all."""
    server.will(Reply(body, 400, JSON))
    with pytest.raises(BadRequest) as caught:
        await client.create(model="m", input="x")
    assert (caught.value.code, caught.value.message) == (code, message)
    assert caught.value.request_id is None


@pytest.mark.covers("gemini:errors:stream")
async def test_an_error_before_a_stream_begins_is_raised(server: Server, client: Client) -> None:
    """As for any call."""
    server.will(refusal(400, "invalid_request", "No."))
    with pytest.raises(BadRequest, match="No\\."):
        await client.stream(model="m", input="x")


@pytest.mark.covers("gemini:errors:not-this-api")
@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (Reply(b"{}", 201, JSON), "201"),
        (Reply(b"", 204), "204"),
        (Reply(b"", 301, {"location": "https://x"}), "redirect"),
        (Reply(b"<html>", 200, {"content-type": "text/html"}), "text/html"),
        (Reply(b"not json", 200, JSON), "not json"),
        (Reply(b"", 200, JSON), "not JSON"),
        (Reply(b"[" * 100_000, 200, JSON), "not JSON"),
        (Reply(b"[]", 200, JSON), "no Interaction"),
        (Reply(b"5", 200), "no Interaction"),
    ],
)
async def test_an_answer_that_is_none_of_this_api_is_told(
    server: Server, client: Client, reply: Reply, word: str
) -> None:
    """Nothing else than 200 with JSON is an answer."""
    server.will(reply)
    with pytest.raises(InvalidResponse, match=word):
        await client.create(model="m", input="x")


@pytest.mark.covers("gemini:errors:not-this-api")
async def test_what_an_interaction_holds_does_not_matter(server: Server, client: Client) -> None:
    """Unknown fields, statuses and steps, and fields of other types, are kept; no content type is taken for JSON."""
    value: dict[str, Any] = {"id": "v1_a", "status": "weird_new", "steps": [{"type": "new"}], "usage": "none", "x": [1]}
    server.will(Reply(json.dumps(value).encode(), 200), answer({}))
    assert (await client.create(model="m", input="x")).to_wire() == value
    assert (await client.create(model="m", input="x")).id == ""
