"""Agents, environments and files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.backends.gemini import resources
from bridge.errors import Conflict, ConnectionFailed, InvalidResponse, NotFound
from bridge.interactions import Agent, AntigravityConfig, Source
from tests.backends.gemini.wire import Client, Reply, Request, Server, answer, refusal, sample


def served(files: dict[str, bytes]) -> Callable[[Request], Reply]:
    """An environment with files, named as a service may name them."""

    def handle(request: Request) -> Reply:
        path, _, query = request.target.partition("?")
        if query == "alt=media":
            return Reply(files[path.partition("/files/")[2].replace("%20", " ")], 200, {"content-type": "text/csv"})
        rows: list[dict[str, Any]] = [{"path": name, "type": "file", "size_bytes": "3"} for name in files]
        return answer({"files": [{"path": "workspace", "type": "directory"}, {"name": "nameless"}, *rows]})

    return handle


@pytest.mark.covers("gemini:agents")
async def test_agents_are_created_listed_read_and_deleted(server: Server, client: Client) -> None:
    """From fields or a model; an id that exists is a conflict."""
    agent = Agent(id="reviewer", base_agent="b", agent_config=AntigravityConfig(max_total_tokens=7))
    server.will(*[answer(agent.to_wire())] * 3, refusal(409, "already_exists"), answer({}))
    assert (await client("agents.create", agent)).id == "reviewer"
    assert await client("agents.create", agent, description="d", tools=None) == agent
    assert server.requests[0].json["agent_config"]["max_total_tokens"] == "7"
    assert server.requests[1].json["description"] == "d"
    assert (await client("agents.get", "reviewer")).base_agent == "b"
    with pytest.raises(Conflict):
        await client("agents.create", agent)
    assert await client("agents.delete", "reviewer") is None


@pytest.mark.covers("gemini:lists")
async def test_lists_are_read_page_by_page(server: Server, client: Client) -> None:
    """Each page when it is needed; a service that turns in circles is told."""
    server.will(
        answer({"agents": [{"id": "a"}, {"id": "b"}], "next_page_token": "t/1"}),
        answer({"agents": [], "next_page_token": "t2"}),
        answer({"agents": [{"id": "c"}], "next_page_token": ""}),
    )
    assert [agent.id for agent in await client("agents.list", page_size=2)] == ["a", "b", "c"]
    assert server.calls == [
        "GET /v1/agents?page_size=2",
        "GET /v1/agents?page_size=2&page_token=t%2F1",
        "GET /v1/agents?page_size=2&page_token=t2",
    ]
    server.handler = lambda request: answer({"environments": [{"id": "e"}], "next_page_token": "same"})
    with pytest.raises(InvalidResponse, match="same page"):
        await client("environments.list")


@pytest.mark.covers("gemini:environments")
async def test_environments_are_created_read_listed_and_deleted(server: Server, client: Client) -> None:
    """Sizes come as text and read as numbers; ids may come with their collection's name."""
    whole = Reply(sample("10_environment.response.json"), 200, {"content-type": "application/json"})
    server.will(whole, whole, Reply(sample("10_environment_list.response.json")), answer({}), answer({}))
    made = await client("environments.create", sources=[Source(type="inline", target="a", content="b")], network=None)
    assert server.requests[0].json == {"sources": [{"type": "inline", "target": "a", "content": "b"}]}
    assert isinstance(made.size_bytes, int)
    await client("environments.get", f"environments/{made.id}")
    assert server.calls[1] == f"GET /v1/environments/{made.id}"
    assert [found.status for found in await client("environments.list")] == ["expired"]
    assert await client("environments.delete", made.id) is None


@pytest.mark.covers("gemini:webhooks")
async def test_webhooks_are_registered_read_changed_pinged_and_forgotten(server: Server, client: Client) -> None:
    """The secret comes once and shows in no repr; a change may be sent again, a rotation may not."""
    made = Reply(sample("10_webhook_created.response.json"), 200, {"content-type": "application/json"})
    server.will(made, made, answer({"webhooks": [{"id": "wh-1"}], "next_page_token": "t"}), answer({"webhooks": []}))
    wanted = json.loads(sample("10_webhook.create.json"))
    webhook = await client("webhooks.create", **wanted)
    assert server.requests[0].json == wanted
    assert webhook.new_signing_secret.startswith("whsec_")
    assert webhook.new_signing_secret not in repr(webhook)
    assert (await client("webhooks.get", "wh-1")).state == "enabled"
    assert [found.id for found in await client("webhooks.list", page_size=1)] == ["wh-1"]
    lost = Reply(b"", cut=0, cut_head=True)
    rotated = Reply(sample("10_webhook_rotate.response.json"), 200, {"content-type": "application/json"})
    server.will(lost, made, answer({}), rotated, lost, answer({}))
    assert (await client("webhooks.update", "wh-1", update_mask="state", state="enabled")).id == "wh-1"
    assert await client("webhooks.ping", "wh-1") is None
    secret = await client("webhooks.rotate_signing_secret", "wh-1")
    assert secret.startswith("whsec_")
    with pytest.raises(ConnectionFailed):
        await client("webhooks.rotate_signing_secret", "wh-1", revocation_behavior="revoke_previous_secrets_after_h24")
    assert server.requests[-1].json == json.loads(sample("10_webhook_rotate.create.json"))
    assert await client("webhooks.delete", "wh-1") is None
    assert server.calls[4:] == [
        "PATCH /v1/webhooks/wh-1?update_mask=state",
        "PATCH /v1/webhooks/wh-1?update_mask=state",
        "POST /v1/webhooks/wh-1:ping",
        "POST /v1/webhooks/wh-1:rotateSigningSecret",
        "POST /v1/webhooks/wh-1:rotateSigningSecret",
        "DELETE /v1/webhooks/wh-1",
    ]
    for odd in ({}, {"secret": 5}, ["whsec_eA=="]):
        server.will(answer(odd))
        with pytest.raises(InvalidResponse, match="rotate once more"):
            await client("webhooks.rotate_signing_secret", "wh-1")


@pytest.mark.covers("gemini:files")
async def test_files_are_listed_read_and_written(server: Server, client: Client) -> None:
    """A write takes two steps; its bytes go to the host that the backend talks to, whatever host the answer named."""
    server.will(
        Reply(sample("10_environment_files.response.json")),
        Reply(b"\x00\xff", 200, {"content-type": "application/octet-stream"}),
        answer({}, x_goog_upload_url="https://elsewhere.example.org/up?upload_id=1"),
        answer({"name": "a.csv", "size_bytes": "2"}, x_goog_upload_status="final"),
        refusal(404),
        refusal(409),
    )
    assert all(file.path for file in await client("files.list", "e1", "", recursive=True))
    assert await client("files.read", "e1", "a b.bin") == b"\x00\xff"
    written = await client("files.write", "e1", "/d/a.csv", b"ab", overwrite=False)
    assert (written.name, written.size_bytes) == ("a.csv", 2)
    assert server.calls[2:] == [
        "PUT /upload/v1/environments/e1/files/d/a.csv?overwrite=false",
        "POST /up?upload_id=1",
    ]
    assert server.requests[3].body == b"ab"
    with pytest.raises(NotFound):
        await client("files.read", "e1", "none")
    with pytest.raises(Conflict):
        await client("files.write", "e1", "a", b"", overwrite=False)


@pytest.mark.covers("gemini:files:large")
async def test_a_large_file_goes_in_pieces(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each at its offset, the last one closing the upload."""
    monkeypatch.setattr(resources, "CHUNK", 4)
    server.will(
        answer({}, x_goog_upload_url="/up"),
        answer({}, x_goog_upload_status="active"),
        answer({}, x_goog_upload_status="active"),
        answer({"files": [{"name": "a"}]}, x_goog_upload_status="final"),
    )
    await client("files.write", "e1", "a", b"0123456789")
    steps = server.requests[1:]
    assert [step.body for step in steps] == [b"0123", b"4567", b"89"]
    assert [step.headers["x-goog-upload-offset"] for step in steps] == ["0", "4", "8"]
    assert [step.headers["x-goog-upload-command"] for step in steps] == ["upload", "upload", "upload, finalize"]


@pytest.mark.covers("gemini:files")
@pytest.mark.parametrize("body", [b"", b"thanks", b"5", b'{"files": []}', b'{"file": 5}'])
async def test_an_upload_that_was_taken_is_one_whatever_else_is_said(
    server: Server, client: Client, body: bytes
) -> None:
    """The status says so; the rest is news at best."""
    server.will(answer({}, x_goog_upload_url="/up"), Reply(body, 200, {"x-goog-upload-status": "final"}))
    assert (await client("files.write", "e1", "a", b"ab")).name is None


@pytest.mark.covers("gemini:files:refused")
async def test_an_upload_that_is_not_taken_is_told(server: Server, client: Client) -> None:
    """No address, or a status that is none."""
    server.will(answer({}))
    with pytest.raises(InvalidResponse, match="where to upload"):
        await client("files.write", "e1", "a", b"")
    for reply in (answer({}), answer({}, x_goog_upload_status="active")):
        server.will(answer({}, x_goog_upload_url="/up"), reply)
        with pytest.raises(InvalidResponse, match="not taken"):
            await client("files.write", "e1", "a", b"ab")


@pytest.mark.covers("gemini:files:download")
async def test_files_are_downloaded_into_a_folder(server: Server, client: Client, tmp_path: Path) -> None:
    """One under its own name, all of them in the folders they are in; what is there is replaced whole."""
    server.handler = served({"workspace/summary.csv": b"a,b", "workspace/deep/re port.md": b"# R"})
    (tmp_path / "summary.csv").write_bytes(b"old and longer")
    assert await client("files.download", "e1", "workspace/summary.csv", tmp_path) == tmp_path / "summary.csv"
    assert (tmp_path / "summary.csv").read_bytes() == b"a,b"
    paths = await client("files.download_all", "e1", tmp_path / "new")
    assert paths == (tmp_path / "new/workspace/summary.csv", tmp_path / "new/workspace/deep/re port.md")
    assert paths[1].read_bytes() == b"# R"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "re port.md",
        "summary.csv",
        "summary.csv",
    ]


@pytest.mark.covers("gemini:files:path-safe")
@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "a//b", "a/./b", "..\\evil", "C:evil", "a\x00b", "..", "a/..", "link/evil"]
)
async def test_no_name_leads_out_of_the_folder(server: Server, client: Client, tmp_path: Path, name: str) -> None:
    """A name of the service's that would is refused before anything is written."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "link").symlink_to(tmp_path)
    server.handler = served({"fine.csv": b"a", name: b"x"})
    with pytest.raises(InvalidResponse, match="file name"):
        await client("files.download_all", "e1", target)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.covers("gemini:files:path-safe")
async def test_an_absolute_name_is_taken_from_the_root_and_a_link_is_not_followed(
    server: Server, client: Client, tmp_path: Path
) -> None:
    """A link in the place of a file is replaced; what it pointed to stays."""
    (tmp_path / "outside").write_bytes(b"mine")
    target = tmp_path / "target"
    target.mkdir()
    (target / "a.csv").symlink_to(tmp_path / "outside")
    server.handler = lambda request: (
        Reply(b"new")
        if request.target.endswith("alt=media")
        else answer({"files": [{"path": "/a.csv", "type": "file"}]})
    )
    assert await client("files.download_all", "e1", target) == (target / "a.csv",)
    assert (target / "a.csv").read_bytes() == b"new"
    assert (tmp_path / "outside").read_bytes() == b"mine"


@pytest.mark.covers("gemini:files:path-safe")
async def test_a_file_that_cannot_be_written_leaves_nothing_behind(
    server: Server, client: Client, tmp_path: Path
) -> None:
    """Not half a file either."""
    (tmp_path / "a.csv").mkdir()
    server.handler = served({"a.csv": b"a"})
    with pytest.raises(OSError, match=r"a\.csv"):
        await client("files.download", "e1", "a.csv", tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
