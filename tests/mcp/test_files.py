"""Files and outputs: what a run leaves, how it is listed and read, and what a run is given."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import ImageContent, ResourceUpdatedNotification
from mcp_types import TextResourceContents as Text

from bridge.backends.local import LocalBackend
from bridge.errors import ConnectionFailed
from tests.mcp.calling import ASKING, Caller, Held, calling, output, over_http

pytestmark = pytest.mark.timeout(90)
PNG = b"\x89PNG\r\n\x1a\nnot much of one"


async def left(backend: LocalBackend, run: dict[str, Any], **files: bytes) -> None:
    """Puts files into the environment of a run."""
    environment = run["environment_id"].rpartition("~")[0]
    for name, data in files.items():
        await backend.files.write(environment, f"workspace/{name.replace('__', '.')}", data)


@pytest.mark.covers("mcp:files")
async def test_what_a_run_left_is_listed_and_read_page_by_page(
    backend: LocalBackend, serving: Callable[..., Any]
) -> None:
    """By run or by environment, from a path on; as a tool's result and as a resource."""
    async with calling(serving(backend)) as call:
        run = await call("agent_run", agent="antigravity", input="Write 'äöü' to notes.md")
        assert run["environment_id"] is not None
        await left(backend, run, notes__md="äöü\n".encode() * 100, sub__txt=b"x")
        listed = await call("agent_files", run_id=run["run_id"])
        assert await call("agent_files", environment_id=run["environment_id"]) == listed
        (notes,) = [entry for entry in listed["entries"] if entry["path"] == "workspace/notes.md"]
        assert notes["uri"] == f"agent://environments/{run['environment_id']}/files/workspace/notes.md"
        below = await call("agent_files", run_id=run["run_id"], path="/workspace/")
        assert [entry["path"] for entry in below["entries"]][:1] != ["workspace"]
        whole = ""
        offset: int | None = 0
        while offset is not None:
            page = await call("agent_read_file", uri=notes["uri"], offset=offset, max_chars=150)
            assert (page["mime_type"], page["total_chars"], page["offset"]) == ("text/markdown", 400, offset)
            whole, offset = whole + page["text"], page["next_offset"]
        assert whole == "äöü\n" * 100
        (content,) = (await call.client.read_resource(notes["uri"])).contents
        assert isinstance(content, Text)
        assert (content.text, content.mime_type) == (whole, "text/markdown")
        again = await call("agent_get", run_id=run["run_id"])
        assert notes["uri"] in again["files"]


@pytest.mark.covers("mcp:files")
async def test_pictures_are_shown_and_other_files_are_named(backend: LocalBackend, serving: Callable[..., Any]) -> None:
    """What is no text, picture or sound is refused by the tool with its size, and whole as a resource."""
    async with calling(serving(backend)) as call:
        run = await call("agent_run", agent="antigravity", input="Write 'a' to a.txt")
        await left(backend, run, plot__png=PNG, data__bin=b"\0\xff", sound__mp3=b"\xff\0")
        root = f"agent://environments/{run['environment_id']}/files/workspace"
        shown = await call.result("agent_read_file", uri=f"{root}/plot.png")
        assert isinstance(shown.content[1], ImageContent)
        assert base64.b64decode(shown.content[1].data) == PNG
        assert (await call.result("agent_read_file", uri=f"{root}/sound.mp3")).content[1].type == "audio"
        assert "2 bytes" in await call.refused("agent_read_file", uri=f"{root}/data.bin")
        (content,) = (await call.client.read_resource(f"{root}/data.bin")).contents
        assert base64.b64decode(content.blob) == b"\0\xff"  # type: ignore[union-attr]


@pytest.mark.covers("mcp:files:none")
async def test_a_run_without_an_environment_has_no_files(backend: LocalBackend, serving: Callable[..., Any]) -> None:
    """Said in words, as is which of two arguments is too much."""
    async with calling(serving(backend)) as call:
        run = await call("agent_run", input="Hello")
        assert "no environment" in await call.refused("agent_files", run_id=run["run_id"])
        assert "one of the two" in await call.refused("agent_files")
        assert "unknown resource" in await call.refused("agent_read_file", uri="file:///etc/passwd")
        assert "unknown resource" in await call.refused("agent_read_file", uri="agent://runs/x/y")
    async with calling(serving(backend, {"m": {"model": "m"}})) as call:
        files = await call.refused("agent_files", environment_id="x~y")
        assert "there is no environment 'x~y'" in files


@pytest.mark.covers("mcp:files:given")
async def test_a_run_is_given_files_and_the_environment_of_another(
    backend: LocalBackend, serving: Callable[..., Any]
) -> None:
    """Mounted in its environment, a new one or an earlier run's; content, or the URI of a file or of an output."""
    async with calling(serving(backend)) as call:
        files = [{"path": "data/prices.csv", "content": "a,b\n1,2\n"}]
        first = await call("agent_run", agent="antigravity", input="List the files.", files=json.dumps(files))
        (uri,) = [uri for uri in first["files"] if uri.endswith("prices.csv")]
        assert uri.endswith("/files/workspace/data/prices.csv")
        assert (await call("agent_read_file", uri=uri))["text"] == "a,b\n1,2\n"
        output_uri = f"agent://runs/{first['run_id']}/output"
        second = await call(
            "agent_run", agent="antigravity", input="List the files.", files=[{"uri": uri}, {"uri": output_uri}]
        )
        assert second["environment_id"] != first["environment_id"]
        paths = sorted(uri.partition("/files/")[2] for uri in second["files"])
        assert paths == ["workspace/data/prices.csv", "workspace/output.md"]
        for more in ({"previous_run_id": first["run_id"]}, {"environment_id": first["environment_id"]}):
            third = await call(
                "agent_run", agent="antigravity", input="List.", files=[{"path": "new.txt", "content": "n"}], **more
            )
            assert third["environment_id"] == first["environment_id"]
            assert any(uri.endswith("/workspace/new.txt") for uri in third["files"])
            assert any(uri.endswith("/workspace/data/prices.csv") for uri in third["files"])


@pytest.mark.covers("mcp:files:given")
async def test_a_model_is_given_files_beside_the_words(
    scripted: Callable[..., LocalBackend], backend: LocalBackend, serving: Callable[..., Any]
) -> None:
    """Texts and pictures; what it cannot be given is refused, and so is an environment."""
    seen: list[Any] = []

    def answer(turn: Any) -> Any:
        seen.extend(turn.input[0].content)
        return [output("Seen.")]

    agents = {"plain": {"model": "m"}, "worker": {"agent": "antigravity-preview-09-2026", "environment": "remote"}}
    made = scripted([output("Made.")], answer)
    async with calling(serving(made, agents)) as call:
        worker = await call("agent_run", agent="worker", input="Go.")
        await left(made, worker, plot__png=PNG, data__bin=b"\0")
        root = f"agent://environments/{worker['environment_id']}/files/workspace"
        files = [{"path": "a.txt", "content": "A"}, {"uri": f"{root}/plot.png"}]
        await call("agent_run", agent="plain", input="Look.", files=files)
        assert [part.type for part in seen] == ["text", "text", "image"]
        assert seen[1].text == "File a.txt:\n\nA"
        refusals: list[tuple[dict[str, Any], str]] = [
            ({"files": [{"uri": f"{root}/data.bin"}]}, "is neither"),
            ({"files": [{"uri": f"{root}/none.txt"}]}, "unknown resource"),
            ({"files": [{"uri": f"{root}/plot.png", "content": "x"}]}, "not both"),
            ({"files": [{"path": "../a", "content": "x"}]}, "files[0].path"),
            ({"files": [{"path": "/", "content": "x"}]}, "files[0].path"),
            ({"files": [{"path": "a"}]}, "give a path and its content, or a uri"),
            ({"files": "no list"}, "not of type 'array'"),
            ({"environment_id": worker["environment_id"]}, "works in no environment"),
        ]
        for given, fact in refusals:
            assert fact in await call.refused("agent_run", agent="plain", input="Look.", **given)
        large = [{"path": f"{number}.txt", "content": "x" * 700_000} for number in range(4)]
        assert "bytes of 2800000 in all" in await call.refused("agent_run", agent="worker", input="x", files=large)


@pytest.mark.covers("mcp:output")
async def test_a_long_answer_is_cut_and_the_rest_is_read(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """What `next` says is what reads on."""
    text = "".join(f"{number:09}\n" for number in range(6_000))
    async with calling(serving(scripted([output(text)]), ASKING)) as call:
        run = await call("agent_run", input="Write.")
        assert run["truncated"]
        uri = f"agent://runs/{run['run_id']}/output"
        assert run["next"].startswith(f"agent_read_file(uri='{uri}', offset=24000) reads the rest")
        rest = await call("agent_read_file", uri=uri, offset=24_000, max_chars=50_000)
        assert run["output_text"] + rest["text"] == text
        assert (await call.client.read_resource(uri)).contents[0].text == text  # type: ignore[union-attr]


@pytest.mark.covers("mcp:resources")
async def test_runs_are_resources(backend: LocalBackend, serving: Callable[..., Any]) -> None:
    """Four templates; what is no resource is not found, by one error."""
    async with calling(serving(backend)) as call:
        templates = (await call.client.list_resource_templates()).resource_templates
        assert [template.uri_template for template in templates] == [
            "agent://runs/{run_id}",
            "agent://runs/{run_id}/output",
            "agent://runs/{run_id}/steps{?after}",
            "agent://environments/{environment_id}/files/{+path}",
        ]
        assert all(template.description for template in templates)
        run = await call("agent_run", input="Hello")
        (content,) = (await call.client.read_resource(f"agent://runs/{run['run_id']}")).contents
        assert isinstance(content, Text)
        assert json.loads(content.text) == run
        assert content.mime_type == "application/json"
        for uri in ("agent://runs/x~y", "agent://runs/x~y/steps", "agent://runs/x~y/output", "agent://nothing"):
            with pytest.raises(MCPError, match=f"Unknown resource: {uri}"):
                await call.client.read_resource(uri)


@pytest.mark.covers("mcp:resources:updates")
async def test_who_listens_hears_that_a_run_changed(
    scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """By its URI; a URI that is no resource of the caller's is refused."""
    held = Held()
    async with calling(serving(scripted(held), ASKING)) as call:
        run = await call("agent_run", input="Think.", wait_s=0)
        uri = f"agent://runs/{run['run_id']}"
        with pytest.raises(MCPError, match="Unknown resource"):
            async with call.client.listen(resource_subscriptions=[uri + "x"]):
                pass
        async with call.client.listen(resource_subscriptions=[uri]) as events:
            held.let.set()
            await call("agent_wait", run_id=run["run_id"])
            async with asyncio.timeout(20):
                event = await anext(aiter(events))
            assert getattr(event, "uri", None) == uri


@pytest.mark.covers("mcp:resources:updates")
@pytest.mark.filterwarnings("ignore:resources/:mcp.shared.exceptions.MCPDeprecationWarning")
@pytest.mark.parametrize("way", ["memory", "http"])
async def test_who_subscribed_hears_that_a_run_changed(
    way: str, scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """In the older protocols, until they unsubscribe."""
    first, second = Held(), Held()
    told: asyncio.Queue[str] = asyncio.Queue()

    async def hear(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            await told.put(str(message.params.uri))

    async with AsyncExitStack() as stack:
        server = serving(scripted(first, second), ASKING)
        target = server if way == "memory" else await stack.enter_async_context(over_http(server))
        client = await stack.enter_async_context(Client(target, mode="legacy", message_handler=hear))
        call = Caller(client)
        assert client.server_capabilities.resources.subscribe  # type: ignore[union-attr]
        runs = [(await call("agent_run", input="Think.", wait_s=0))["run_id"] for _ in range(2)]
        with pytest.raises(MCPError, match="Unknown resource"):
            await client.subscribe_resource(f"agent://runs/{runs[0]}x")
        for run in runs:
            await client.subscribe_resource(f"agent://runs/{run}/output")
        await client.unsubscribe_resource(f"agent://runs/{runs[0]}/output")
        first.let.set()
        second.let.set()
        for run in runs:
            await call("agent_wait", run_id=run)
        async with asyncio.timeout(20):
            assert await told.get() == f"agent://runs/{runs[1]}/output"
    assert not any(runs[0] in uri for uri in list(told._queue))  # type: ignore[attr-defined]


@pytest.mark.covers("mcp:agents:several", "mcp:files")
async def test_an_environment_is_found_on_the_service_that_has_it(
    backend: LocalBackend, scripted: Callable[..., LocalBackend], serving: Callable[..., Any]
) -> None:
    """Whichever agent's; a listing that fails costs the list, and not the answer."""

    class Closed(LocalBackend):
        @property
        def files(self) -> Any:
            raise ConnectionFailed("the service is away", sent=False)

        @files.setter
        def files(self, value: Any) -> None:
            pass

    worker = {"agent": "antigravity-preview-09-2026", "environment": "remote"}
    async with Closed() as closed:
        agents = {
            "one": worker,
            "two": {**worker, "backend": scripted([output("Made.")])},
            "three": {**worker, "backend": closed},
        }
        async with calling(serving(backend, agents)) as call:
            for name in ("one", "two"):
                run = await call("agent_run", agent=name, input="Write 'a' to a.txt")
                listed = await call("agent_files", run_id=run["run_id"])
                assert listed["environment_id"] == run["environment_id"]
        async with calling(serving(closed, {"three": worker})) as call:
            run = await call("agent_run", input="Write 'a' to a.txt")
            assert (run["status"], run["files"]) == ("completed", [])
            assert "the service is away" in await call.refused("agent_files", run_id=run["run_id"])
            steps = await call("agent_read_file", uri=f"agent://runs/{run['run_id']}/steps")
            assert json.loads(steps["text"])["steps"][-1]["type"] == "model_output"
