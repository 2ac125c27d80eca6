"""What stands beside interactions on the API: agents, environments with their files, and webhooks.

Requests are built in `calls`; sending, retries and errors are the client's.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from bridge import interactions as model  # its resources are loaded when one is used
from bridge._portal import Runner, SyncFiles
from bridge.errors import InvalidResponse
from bridge.interactions import Model

from .answers import parsed
from .calls import agent_body, bare_environment, file_path, resource_call, upload_start, upload_step
from .sending import Wire

__all__ = ["GeminiAgents", "GeminiEnvironments", "GeminiFiles", "GeminiWebhooks", "SyncGeminiFiles"]

P = TypeVar("P", bound=Model)

CHUNK = 8 * 1024 * 1024  # bytes of a file sent in one request, as the official SDK does


class _Resource:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def _pages(
        self, kind: type[P], collection: str, suffix: str = "", id: str | None = None, **query: Any
    ) -> AsyncGenerator[P, None]:
        token: str | None = None
        while True:
            ordered = {"page_size": query.get("page_size"), "page_token": token, "recursive": query.get("recursive")}
            call = resource_call("GET", collection, id, suffix, query=ordered)
            page = parsed(kind, await self._wire.send(call))
            yield page
            following: str | None = getattr(page, "next_page_token", None)
            if not following:
                return
            if following == token:
                raise InvalidResponse(f"the service names the same page of {collection} again and again")
            token = following


class GeminiAgents(_Resource):
    """Managed agents of the caller's own."""

    async def create(self, agent: model.Agent | None = None, /, **fields: Any) -> model.Agent:
        """Creates an agent. Raises `Conflict` where the id exists."""
        given = {name: value for name, value in fields.items() if value is not None}
        wanted = model.Agent.parse({**(agent.to_wire() if agent is not None else {}), **given})
        call = resource_call("POST", "agents", body=agent_body(wanted))
        return parsed(model.Agent, await self._wire.send(call))

    async def get(self, id: str) -> model.Agent:
        """An agent by id. Raises `NotFound`."""
        return parsed(model.Agent, await self._wire.send(resource_call("GET", "agents", id)))

    async def list(self, *, page_size: int | None = None) -> AsyncGenerator[model.Agent, None]:
        """All agents, page by page."""
        async for page in self._pages(model.AgentList, "agents", page_size=page_size):
            for agent in page.agents:
                yield agent

    async def delete(self, id: str) -> None:
        """Deletes an agent. Raises `NotFound`."""
        await self._wire.send(resource_call("DELETE", "agents", id))


class GeminiEnvironments(_Resource):
    """Sandboxes that outlive a turn."""

    async def create(self, **fields: Any) -> model.Environment:
        """A new environment from `sources` and `network`, or a copy of `from_environment`."""
        body = {name: _wire(value) for name, value in fields.items() if value is not None}
        return parsed(model.Environment, await self._wire.send(resource_call("POST", "environments", body=body)))

    async def get(self, id: str) -> model.Environment:
        """An environment by id. Raises `NotFound`."""
        call = resource_call("GET", "environments", bare_environment(id))
        return parsed(model.Environment, await self._wire.send(call))

    async def list(self, *, page_size: int | None = None) -> AsyncGenerator[model.Environment, None]:
        """All environments, page by page."""
        async for page in self._pages(model.EnvironmentList, "environments", page_size=page_size):
            for environment in page.environments:
                yield environment

    async def delete(self, id: str) -> None:
        """Deletes an environment and its files. Raises `NotFound`."""
        await self._wire.send(resource_call("DELETE", "environments", bare_environment(id)))


class GeminiFiles(_Resource):
    """The files of an environment. Paths are below its root, "/"-separated; none leads out of it."""

    async def list(
        self, environment_id: str, path: str = "", *, recursive: bool = False
    ) -> AsyncGenerator[model.EnvironmentFile, None]:
        """The files below a directory, page by page. Raises `NotFound`."""
        pages = self._pages(
            model.EnvironmentFileList,
            "environments",
            f"/files/{file_path(path)}",
            bare_environment(environment_id),
            recursive=recursive or None,
        )
        async for page in pages:
            for file in page.files:
                yield file

    async def read(self, environment_id: str, path: str) -> bytes:
        """A file's bytes. Raises `NotFound`."""
        call = resource_call(
            "GET", "environments", bare_environment(environment_id), f"/files/{file_path(path)}", query={"alt": "media"}
        )
        _, data = await self._wire.exchange(call._replace(accept="*/*"))
        return data

    async def write(
        self, environment_id: str, path: str, data: bytes, *, overwrite: bool = True
    ) -> model.EnvironmentFile:
        """Writes a file. Raises `Conflict` where it exists and `overwrite` is False."""
        settings = self._wire.settings
        start = upload_start(settings.root, settings.version, environment_id, path, len(data), overwrite=overwrite)
        headers, body = await self._wire.exchange(start)
        url = headers.get("x-goog-upload-url")
        if not url:
            raise InvalidResponse("the service did not say where to upload to (no x-goog-upload-url in its answer)")
        for offset in range(0, len(data) or 1, CHUNK):
            last = offset + CHUNK >= len(data)
            step = upload_step(settings.root, url, data[offset : offset + CHUNK], offset, last=last)
            headers, body = await self._wire.exchange(step)
            status = headers.get("x-goog-upload-status")
            if status != ("final" if last else "active"):
                raise InvalidResponse(
                    f"the upload of {path!r} was not taken: its status is {status!r} at byte {offset}"
                )
        return _uploaded(body)

    async def download(self, environment_id: str, path: str, to: str | os.PathLike[str]) -> Path:
        """Reads a file into the folder `to`, which is made where it is missing, under its own name. Returns where it is."""
        name = PurePosixPath(path).name
        call = self._wire.transport.call
        target = await call(_target, Path(to), name)
        await call(_write, target, await self.read(environment_id, path))
        return target

    async def download_all(self, environment_id: str, to: str | os.PathLike[str]) -> tuple[Path, ...]:
        """Reads every file of an environment into the folder `to`, in the folders they are in. Returns where they are.

        Names come from the service: one that would lead out of the folder is refused with `InvalidResponse`, before anything is
        written.
        """
        call = self._wire.transport.call
        targets: dict[str, Path] = {}
        async for file in self.list(environment_id, recursive=True):
            if file.type != "directory" and file.path:
                targets[file.path] = await call(_target, Path(to), file.path.lstrip("/"))
        for path, target in targets.items():
            await call(_write, target, await self.read(environment_id, path))
        return tuple(targets.values())


class GeminiWebhooks(_Resource):
    """Addresses that are told of every end they asked for. `bridge.jobs.WebhookVerifier` says whether what they get is genuine."""

    async def create(self, /, **fields: Any) -> model.Webhook:
        """Registers `uri` for `subscribed_events`, with a `name`. The answer, and no later one, has `new_signing_secret`."""
        body = {name: value for name, value in fields.items() if value is not None}
        return parsed(model.Webhook, await self._wire.send(resource_call("POST", "webhooks", body=body)))

    async def get(self, id: str) -> model.Webhook:
        """A webhook by id. Raises `NotFound`."""
        return parsed(model.Webhook, await self._wire.send(resource_call("GET", "webhooks", id)))

    async def list(self, *, page_size: int | None = None) -> AsyncGenerator[model.Webhook, None]:
        """All webhooks, page by page."""
        async for page in self._pages(model.WebhookList, "webhooks", page_size=page_size):
            for webhook in page.webhooks:
                yield webhook

    async def update(self, id: str, *, update_mask: str | None = None, **fields: Any) -> model.Webhook:
        """Changes `name`, `uri`, `subscribed_events` or `state`: those given, or those that `update_mask` names, by commas.

        Raises `NotFound`.
        """
        body = {name: value for name, value in fields.items() if value is not None}
        call = resource_call("PATCH", "webhooks", id, body=body, query={"update_mask": update_mask})
        return parsed(model.Webhook, await self._wire.send(call._replace(repeatable=True)))

    async def delete(self, id: str) -> None:
        """Forgets a webhook. Raises `NotFound`."""
        await self._wire.send(resource_call("DELETE", "webhooks", id))

    async def ping(self, id: str) -> None:
        """Has a delivery sent that tells nothing. Raises `NotFound`."""
        await self._wire.send(resource_call("POST", "webhooks", id, ":ping"))

    async def rotate_signing_secret(self, id: str, *, revocation_behavior: str | None = None) -> str:
        """A new secret, in force at once. The ones before it end as `revocation_behavior` says.

        That is "revoke_previous_secrets_after_h24" or "revoke_previous_secrets_immediately". Raises `NotFound`.
        """
        body = {} if revocation_behavior is None else {"revocation_behavior": revocation_behavior}
        given = await self._wire.send(resource_call("POST", "webhooks", id, ":rotateSigningSecret", body=body))
        secret = given.get("secret") if isinstance(given, dict) else None
        if not isinstance(secret, str):
            raise InvalidResponse(f"the service named no new secret for the webhook {id!r}; rotate once more")
        return secret


class SyncGeminiFiles(SyncFiles):
    """`GeminiFiles` without `await`."""

    def __init__(self, files: GeminiFiles, runner: Runner) -> None:
        super().__init__(files, runner)
        self._gemini = files

    def download(self, environment_id: str, path: str, to: str | os.PathLike[str]) -> Path:
        """Reads a file into the folder `to`, which is made where it is missing, under its own name. Returns where it is."""
        return self._runner.run(self._gemini.download(environment_id, path, to))

    def download_all(self, environment_id: str, to: str | os.PathLike[str]) -> tuple[Path, ...]:
        """Reads every file of an environment into the folder `to`. Returns where they are."""
        return self._runner.run(self._gemini.download_all(environment_id, to))


def _wire(value: Any) -> Any:
    if isinstance(value, Model):
        return value.to_wire()
    return [_wire(item) for item in value] if isinstance(value, list) else value


def _uploaded(body: bytes) -> model.EnvironmentFile:
    """The file in an upload's answer: in a list, under a name, or itself. The upload was taken, so what it is not told stays empty."""
    try:
        value = json.loads(body)
    except ValueError:
        value = {}
    if isinstance(value, dict):
        files = value.get("files")
        value = files[0] if isinstance(files, list) and files else value.get("file", value)
    return model.EnvironmentFile.parse(value if isinstance(value, dict) else {})


def _target(folder: Path, name: str) -> Path:
    """Where a file of the service's naming goes below a folder. Raises `InvalidResponse` where that is not below it."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or set(part) & {"\\", ":", "\0"} for part in parts):
        raise InvalidResponse(f"the file name {name!r} is none that can be written below {folder}")
    root = folder.resolve()
    target = root.joinpath(*parts)
    if not target.parent.resolve().is_relative_to(root):  # through a link that is there already
        raise InvalidResponse(f"the file name {name!r} leads out of {folder}")
    return target


def _write(target: Path, data: bytes) -> None:
    """Writes a file whole or not at all. A link in its place is replaced, not followed."""
    from tempfile import NamedTemporaryFile

    target.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=target.parent, delete=False) as file:
        try:
            file.write(data)
            file.close()
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise
