"""Environments and their files: real folders, kept apart from each other and from the machine."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.backends.local import LocalBackend, Switches
from bridge.backends.local.responders import Turn
from bridge.errors import BadRequest, Conflict, InvalidRequest, NotFound

from .service import Clock, text

Service = Callable[..., Any]
PNG = base64.b64encode(bytes(range(256))).decode()


def inline(target: str, content: str = "x", **fields: Any) -> dict[str, Any]:
    return {"type": "inline", "target": target, "content": content, **fields}


async def names(backend: LocalBackend, id: str, path: str = "", **options: Any) -> list[str]:
    return [str(file.path) async for file in backend.files.list(id, path, **options)]


async def works(turn: Turn) -> AsyncIterator[Any]:
    """A turn that runs a program over its workspace."""
    assert turn.run_python is not None
    ran = await turn.run_python("print(open('/workspace/a.txt').read())\nopen('b.txt', 'w').write('made here')")
    yield text(ran.stdout + (ran.error or ""))


@pytest.mark.covers("local:environment")
async def test_a_turn_gets_an_environment_with_its_sources_and_leaves_its_files(service: Service) -> None:
    """Provisioned for the call, programs run in it, what they leave is there to be listed and read."""
    backend = service(works)
    turn = await backend.create(
        model="m", input="x", environment={"type": "remote", "sources": [inline("/workspace/a.txt", "mounted ü")]}
    )
    assert turn.output_text == "mounted ü\n"
    assert turn.environment_id
    assert await names(backend, turn.environment_id) == ["workspace/a.txt", "workspace/b.txt"]
    assert await backend.files.read(turn.environment_id, "b.txt") == b"made here"
    facts = (await backend.environments.get(turn.environment_id)).to_wire()
    assert (facts["file_count"], facts["size_bytes"], facts["status"]) == ("2", str(10 + 9), "active")
    assert facts["sources"] == [{"type": "inline", "target": "/workspace/a.txt"}]


@pytest.mark.covers("local:environment:events")
async def test_the_environment_is_named_in_the_first_event_and_in_the_last(service: Service) -> None:
    """A client that loses the stream can still find the files."""
    backend = service([text("a")])
    events = [event async for event in backend.stream(model="m", input="x", environment="remote")]
    assert events[0].interaction.environment_id == events[-1].interaction.environment_id != None  # noqa: E711


@pytest.mark.covers("local:environment:reuse")
async def test_an_environment_is_reused_by_its_id_and_can_be_updated(service: Service) -> None:
    """The same files; sources go on top, a new network takes the place of the old one."""
    backend = service(works, works, [text("c")])
    first = await backend.create(
        model="m", input="x", environment={"sources": [inline("a.txt", "one")], "network": "disabled"}
    )
    kept = first.environment_id
    assert kept is not None
    again = await backend.create(model="m", input="x", environment=kept)
    assert (again.environment_id, again.output_text) == (kept, "one\n")
    allow = {"allowlist": [{"domain": "*", "transform": {"Authorization": "secret-token"}}]}
    await backend.create(
        model="m", input="x", environment={"environment_id": kept, "network": allow, "sources": [inline("c/d.txt")]}
    )
    assert await names(backend, kept, recursive=True) == [
        "workspace/a.txt",
        "workspace/b.txt",
        "workspace/c",
        "workspace/c/d.txt",
    ]
    shown = (await backend.environments.get(f"environments/{kept}")).to_wire()
    assert shown["network"] == {"allowlist": [{"domain": "*", "transform": {"Authorization": "***"}}]}
    assert "secret-token" not in str(shown)


@pytest.mark.covers("local:environment:fork")
async def test_an_environment_can_be_copied(service: Service) -> None:
    """By `from_environment`, and at every reuse where the switch says that reuse forks."""
    backend = service(works, works, switches=Switches(environment_reuse="fork"))
    made = await backend.environments.create(sources=[inline("a.txt", "one")], network="disabled")
    copy = await backend.environments.create(from_environment=f"environments/{made.id}")
    await backend.files.write(copy.id, "only-here.txt", b"")
    turn = await backend.create(model="m", input="x", environment=made.id)
    other = await backend.create(
        model="m", input="x", environment={"environment_id": made.id, "sources": [inline("z")]}
    )
    assert await names(backend, made.id) == ["workspace/a.txt"]
    assert await names(backend, copy.id) == ["workspace/a.txt", "workspace/only-here.txt"]
    assert await names(backend, str(turn.environment_id)) == ["workspace/a.txt", "workspace/b.txt"]
    assert await names(backend, str(other.environment_id)) == ["workspace/a.txt", "workspace/b.txt", "workspace/z"]
    assert copy.network == made.network == "disabled"


@pytest.mark.covers("local:environment:gone")
async def test_an_environment_that_is_unknown_or_deleted_is_404(service: Service) -> None:
    """For a turn, as a template, and for its files; its folder is removed."""
    backend = service([text("a")])
    made = await backend.environments.create(sources=[inline("a.txt")])
    folder = await backend.environments.root(made.id)
    assert [each.id async for each in backend.environments.list()] == [made.id]
    await backend.environments.delete(made.id)
    assert not folder.exists()
    for gone in (made.id, "nothing", "../..", "env_" + made.id):
        for attempt in (
            backend.environments.get(gone),
            backend.environments.delete(gone),
            backend.environments.create(from_environment=gone),
            backend.files.read(gone, "a.txt"),
            backend.files.write(gone, "a.txt", b""),
            names(backend, gone),
            backend.create(model="m", input="x", environment=gone),
            backend.create(model="m", input="x", environment={"environment_id": gone}),
        ):
            with pytest.raises(NotFound):
                await attempt


@pytest.mark.covers("local:environment:sources")
@pytest.mark.parametrize(
    ("source", "fact"),
    [
        ({"type": "repository", "source": "https://x", "target": "/workspace"}, "'repository'"),
        ({"type": "gcs", "source": "gs://x", "target": "/workspace"}, "'gcs'"),
        ({"type": "skill_registry", "target": "/x"}, "'skill_registry'"),
        ({"type": "inline", "target": "/a.txt"}, "content"),
        (inline("/"), "target"),
        (inline("/workspace"), "target"),
        (inline("/workspace/"), "target"),
        (inline("../../etc/passwd"), "target"),
        (inline("/workspace/../../x"), "target"),
        (inline("a\0b"), "target"),
        (inline("a.txt", "no base64!", encoding="base64"), "base64"),
        (inline("a.txt", "x", encoding="utf-7"), "'utf-7'"),
        (inline("a.txt", "\ud800"), "not valid text"),
        (inline("a.txt", "x" * (1024**2 + 1)), "too large"),
        (inline("n" * 300), "cannot be mounted"),
    ],
)
async def test_a_source_that_cannot_be_mounted_is_400(service: Service, source: dict[str, Any], fact: str) -> None:
    """Named by its place, and nothing is left behind."""
    backend = service([text("a")])
    for attempt in (
        backend.environments.create(sources=[inline("fine.txt"), source]),
        backend.create(model="m", input="x", environment={"sources": [inline("fine.txt"), source]}),
    ):
        with pytest.raises(BadRequest, match=fact) as refused:
            await attempt
        assert "/tmp" not in str(refused.value)
    assert [each async for each in backend.environments.list()] == []
    folder = await backend.engine._store.root() / "environments"
    assert not folder.exists() or not list(folder.iterdir())


@pytest.mark.covers("local:environment:sources")
async def test_inline_sources_have_their_limits_and_may_be_base64(service: Service) -> None:
    """1 MiB each and 2 MiB in all; a target may be anywhere below the root."""
    backend = service()
    large = "x" * 1024**2
    made = await backend.environments.create(
        sources=[inline("/.agents/AGENTS.md", "rules"), inline("b.png", PNG, encoding="base64"), inline("c", large)]
    )
    assert await names(backend, made.id) == ["workspace/b.png", "workspace/c", ".agents"]
    assert await names(backend, made.id, "/.agents") == [".agents/AGENTS.md"]
    assert await backend.files.read(made.id, "b.png") == bytes(range(256))
    with pytest.raises(BadRequest, match=r"sources\[2\]"):
        await backend.environments.create(sources=[inline(name, large) for name in "abc"])
    with pytest.raises(BadRequest, match="cannot be mounted"):
        await backend.environments.create(sources=[inline("a"), inline("a/b")])


@pytest.mark.covers("local:environment:requests")
@pytest.mark.parametrize(
    ("fields", "fact"),
    [
        ({"from_environment": "x", "sources": []}, "does not go with"),
        ({"sources": "none"}, "sources"),
        ({"sources": [{"type": "inline"}]}, "target"),
        ({"size": "large"}, "'size'"),
    ],
)
async def test_a_wrong_request_for_an_environment_is_400(service: Service, fields: dict[str, Any], fact: str) -> None:
    """As strict as a request for a turn."""
    with pytest.raises((BadRequest, InvalidRequest), match=fact):
        await service().environments.create(**fields)


@pytest.mark.covers("local:environment:secrets")
async def test_values_of_variables_are_never_shown_or_kept(service: Service, tmp_path: Path) -> None:
    """Names stay; a reference to a credential is no secret."""
    backend = service([text("a")], data=tmp_path)
    turn = await backend.create(
        model="m",
        input="x",
        environment={
            "env": {"PLAIN": "secret-one", "OBJECT": {"value": "secret-two"}, "REF": {"credential": "cred-1"}}
        },
    )
    shown = (await backend.environments.get(str(turn.environment_id))).to_wire()
    assert shown["env"] == {"PLAIN": {"value": "***"}, "OBJECT": {"value": "***"}, "REF": {"credential": "cred-1"}}
    await backend.aclose()
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"secret-" not in kept


@pytest.mark.covers("local:files")
async def test_files_are_written_read_and_listed_with_their_facts(service: Service, clock: Clock) -> None:
    """Folders are made as needed; a relative path is below the workspace, unless it names a folder of the root."""
    backend = service(clock=clock)
    made = await backend.environments.create()
    clock.advance(60)
    written = (await backend.files.write(made.id, "deep/er/data.csv", b"a,b\n")).to_wire()
    assert {name: written[name] for name in ("name", "path", "type", "size_bytes", "mime_type")} == {
        "name": "data.csv",
        "path": "workspace/deep/er/data.csv",
        "type": "file",
        "size_bytes": "4",
        "mime_type": "text/csv",
    }
    await backend.files.write(made.id, "/other/x.bin", b"1")
    await backend.files.write(made.id, "other/y.bin", b"2")
    await backend.files.write(made.id, "workspace/z.bin", b"3")
    assert await names(backend, made.id) == ["workspace/deep", "workspace/z.bin", "other"]
    assert await names(backend, made.id, "/") == ["other", "workspace"]
    assert await names(backend, made.id, "other") == ["other/x.bin", "other/y.bin"]
    assert await names(backend, made.id, "deep/er/data.csv") == ["workspace/deep/er/data.csv"]
    assert await names(backend, made.id, "/workspace/./deep", recursive=True) == [
        "workspace/deep/er",
        "workspace/deep/er/data.csv",
    ]
    for path in ("deep/er/data.csv", "/workspace/deep/er/data.csv", "workspace/deep/er/data.csv"):
        assert await backend.files.read(made.id, path) == b"a,b\n"
    after = await backend.environments.get(made.id)
    assert after.last_accessed != made.last_accessed


@pytest.mark.covers("local:files:overwrite")
async def test_a_file_is_overwritten_unless_that_is_refused(service: Service) -> None:
    """409 with the API's code, and the old bytes stay."""
    backend = service()
    made = await backend.environments.create(sources=[inline("a.txt", "old")])
    with pytest.raises(Conflict) as refused:
        await backend.files.write(made.id, "a.txt", b"new", overwrite=False)
    assert refused.value.code == "already_exists"
    assert await backend.files.read(made.id, "a.txt") == b"old"
    await backend.files.write(made.id, "a.txt", b"new")
    assert await backend.files.read(made.id, "a.txt") == b"new"
    assert await names(backend, made.id) == ["workspace/a.txt"]


@pytest.mark.covers("local:files:safe")
async def test_no_path_leads_out_of_an_environment(service: Service, tmp_path: Path) -> None:
    """Neither by its text nor over a link that somebody put there; links are not listed, counted or copied over."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    backend = service(data=tmp_path / "data")
    made = await backend.environments.create(sources=[inline("a.txt")])
    workspace = await backend.environments.workspace(made.id)
    os.symlink(outside, workspace / "folder")
    os.symlink(outside / "secret.txt", workspace / "file.txt")
    for path in (
        "../../x",
        "/../x",
        "a/../../../x",
        "..",
        "workspace/../../x",
        "a\0b",
        "folder/secret.txt",
        "file.txt",
        "folder",
    ):
        for attempt in (
            backend.files.read(made.id, path),
            backend.files.write(made.id, path, b"mine"),
            names(backend, made.id, path),
        ):
            with pytest.raises((BadRequest, NotFound)) as refused:
                await attempt
            assert str(tmp_path) not in str(refused.value)
    assert await names(backend, made.id, recursive=True) == ["workspace/a.txt"]
    assert (await backend.environments.get(made.id)).file_count == 1
    with pytest.raises(BadRequest, match="link"):
        await backend.create(
            model="m", input="x", environment={"environment_id": made.id, "sources": [inline("folder/x")]}
        )
    copy = await backend.environments.create(from_environment=made.id)
    assert await names(backend, copy.id, recursive=True) == ["workspace/a.txt"]
    assert sorted(path.name for path in outside.iterdir()) == ["secret.txt"]


@pytest.mark.covers("local:files:missing")
async def test_a_path_that_is_none_is_404_and_a_folder_is_no_file(service: Service) -> None:
    """And a name that the file system does not take is 400, without the machine's own path."""
    backend = service()
    made = await backend.environments.create(sources=[inline("dir/a.txt")])
    for path in ("b.txt", "dir/b.txt", "dir/a.txt/x"):
        with pytest.raises(NotFound):
            await backend.files.read(made.id, path)
        with pytest.raises(NotFound):
            await names(backend, made.id, path)
    for attempt in (
        backend.files.read(made.id, "dir"),
        backend.files.write(made.id, "dir", b""),
        backend.files.write(made.id, "", b""),
        backend.files.write(made.id, "/", b""),
        backend.files.write(made.id, "workspace", b""),
        backend.files.read(made.id, "n" * 300),
        backend.files.write(made.id, "n" * 300, b""),
    ):
        with pytest.raises(BadRequest) as refused:
            await attempt
        assert "/tmp" not in str(refused.value)
    with pytest.raises((BadRequest, NotFound)):
        await backend.files.write(made.id, "dir/a.txt/x", b"")


@pytest.mark.covers("local:sandbox:scratch")
async def test_programs_of_a_model_turn_run_in_a_folder_that_goes_with_them(service: Service) -> None:
    """With `code_execution` and no environment: nothing is left and nothing is named."""
    folders: list[Path] = []

    class Sandbox:
        async def run(self, code: str, *, workspace: Path, timeout: float = 20.0, on_print: Any = None) -> Any:
            from bridge.backends.local.sandbox import RunResult

            assert timeout == 3.0
            folders.append(workspace)
            return RunResult(stdout="ran\n", error=None, duration=0.0, timed_out=False)

        async def aclose(self) -> None: ...

    async def runs(turn: Turn) -> AsyncIterator[Any]:
        assert turn.run_python is not None
        assert turn.workspace is None
        yield text((await turn.run_python("print('ran')")).stdout)

    backend = service(runs, sandbox=Sandbox(), run_timeout=3.0)
    turn = await backend.create(model="m", input="x", tools=[{"type": "code_execution"}])
    assert (turn.output_text, turn.environment_id) == ("ran\n", None)
    assert not folders[0].exists()
