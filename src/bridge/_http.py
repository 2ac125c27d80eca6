"""HTTP as the backends need it: send a request, get an answer whose body is read whole or piece by piece.

The one module that imports the HTTP library. It knows httpx2 and, by duck typing, an `httpx` client that a caller brings, and
turns both libraries' exceptions into `ConnectionFailed`. What is sent, what an answer means and whether to try again is left to
the backends. Two transports, one for event loops and one for plain threads, share one interface of coroutines: those of
`BlockingTransport` never suspend, so that the code above is written once (see `_portal.run_inline`).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, closing, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import httpx2

from .errors import ConnectionFailed, NotConfigured

if TYPE_CHECKING:
    import ssl

__all__ = ["AsyncTransport", "BlockingTransport", "Reply", "Transport", "recording_client"]

T = TypeVar("T")

CONNECT_TIMEOUT = 30.0  # seconds
DRAIN = 0.05  # seconds
# Exceptions (of either library) after which the request surely did not reach the service.
_UNSENT = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "InvalidURL",
        "LocalProtocolError",
        "PoolTimeout",
        "ProxyError",
        "UnsupportedProtocol",
    }
)
_CLOSED = "this backend is closed; make a new one"
_CLIENT_CLOSED = "the HTTP client given to this backend is closed"
_block = time.sleep


def recording_client(record: Callable[[str, str, bytes], None]) -> httpx2.AsyncClient:
    """A client for `GeminiBackend(http=...)` that tells each request (method, path, body) as it leaves. The caller closes it."""

    async def tell(request: httpx2.Request) -> None:
        record(request.method, request.url.path, request.content)

    return httpx2.AsyncClient(event_hooks={"request": [tell]}, limits=_limits())


class Reply(Protocol):
    """An answer whose body is still to be read. `headers` are looked up without regard to case."""

    status: int
    headers: Mapping[str, str]

    async def read(self) -> bytes:
        """The whole body. Raises `ConnectionFailed` where it breaks off."""
        ...

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises `ConnectionFailed` where it breaks off."""
        ...

    async def aclose(self) -> None:
        """Lets go of the connection, whether the body was read or not."""
        ...


class Transport(Protocol):
    """How requests leave, and how time passes."""

    async def open(
        self, method: str, url: str, headers: dict[str, str], content: bytes | None, patience: float
    ) -> Reply:
        """Sends a request and waits for the answer's head; `patience` is the seconds of silence after which to give up.

        Raises `ConnectionFailed`. Redirects are not followed.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        ...

    async def drain(self, chunks: AsyncGenerator[bytes, None]) -> None:
        """Reads an answer's end, if it comes at once: the connection can then serve again. Never raises."""
        ...

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function that blocks (a file, say) where it may."""
        ...

    async def aclose(self) -> None:
        """Closes the client, unless it was brought by the caller. Idempotent."""
        ...


class AsyncTransport:
    """Requests over an `httpx2.AsyncClient` of our own, or a client of either library that the caller brings and closes."""

    def __init__(self, client: Any = None, sleep: Callable[[float], Awaitable[None]] | None = None) -> None:
        self._client = client
        self._own = client is None
        self._loop: object = None
        self._closed = False
        self._sleep = sleep

    async def open(
        self, method: str, url: str, headers: dict[str, str], content: bytes | None, patience: float
    ) -> Reply:
        client = await self._ready()

        async def send() -> Any:
            request = client.build_request(method, url, headers=headers, content=content, timeout=_timeouts(patience))
            return await client.send(request, stream=True, follow_redirects=False)

        return _AsyncReply(await _ours(send()))

    async def _ready(self) -> Any:
        if self._closed:
            raise NotConfigured(_CLOSED)
        if not self._own:
            if self._client.is_closed:
                raise NotConfigured(_CLIENT_CLOSED)
            return self._client
        loop = _current_loop()
        if self._client is None or self._loop is not loop:
            # Reading the certificates takes some 100 ms. Connections belong to a loop: a second one gets its own client.
            context = await self.call(_tls_context)
            if self._client is None or self._loop is not loop:  # others may have waited for the same
                self._client = httpx2.AsyncClient(verify=context, limits=_limits())
                self._loop = loop
        return self._client

    async def sleep(self, seconds: float) -> None:
        if self._sleep is not None:
            await self._sleep(seconds)
        else:
            import anyio

            await anyio.sleep(seconds)

    async def drain(self, chunks: AsyncGenerator[bytes, None]) -> None:
        import anyio

        with anyio.move_on_after(DRAIN), suppress(ConnectionFailed):
            async for _ in chunks:
                pass

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        import asyncio  # not anyio, whose import costs more than the call

        return await asyncio.to_thread(function, *arguments)

    async def aclose(self) -> None:
        self._closed = True
        client, self._client = self._client, None
        if self._own and client is not None and self._loop is _current_loop():
            await client.aclose()


class BlockingTransport:
    """The same over an `httpx2.Client`. Its coroutines never suspend."""

    def __init__(self, client: Any = None, sleep: Callable[[float], Awaitable[None]] | None = None) -> None:
        self._client = client
        self._own = client is None
        self._closed = False
        self._sleep = sleep

    async def open(
        self, method: str, url: str, headers: dict[str, str], content: bytes | None, patience: float
    ) -> Reply:
        if self._closed:
            raise NotConfigured(_CLOSED)
        if self._client is None:
            self._client = httpx2.Client(verify=_tls_context(), limits=_limits())
        client = self._client
        if client.is_closed:
            raise NotConfigured(_CLIENT_CLOSED)

        async def send() -> Any:
            request = client.build_request(method, url, headers=headers, content=content, timeout=_timeouts(patience))
            return client.send(request, stream=True, follow_redirects=False)

        return _BlockingReply(await _ours(send()))

    async def sleep(self, seconds: float) -> None:
        if self._sleep is not None:
            await self._sleep(seconds)
        else:
            _block(seconds)

    async def drain(self, chunks: AsyncGenerator[bytes, None]) -> None:
        """Nothing: reading could block, and a thread cannot take that back."""

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        return function(*arguments)

    async def aclose(self) -> None:
        self._closed = True
        client, self._client = self._client, None
        if self._own and client is not None:
            client.close()


class _Reply(ABC):
    """What both replies share. `response` is the library's."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers

    async def read(self) -> bytes:
        return await _ours(self._read())

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        failure = None
        try:
            async with aclosing(self._chunks()) as chunks:
                async for chunk in chunks:
                    yield chunk
        except Exception as error:  # noqa: BLE001 - see _ours
            failure = _failure(error)
        if failure is not None:
            raise failure

    @abstractmethod
    async def _read(self) -> bytes: ...

    @abstractmethod
    def _chunks(self) -> AsyncGenerator[bytes, None]: ...


class _AsyncReply(_Reply):
    async def _read(self) -> bytes:
        body: bytes = await self._response.aread()
        return body

    def _chunks(self) -> AsyncGenerator[bytes, None]:
        chunks: AsyncGenerator[bytes, None] = self._response.aiter_bytes()
        return chunks

    async def aclose(self) -> None:
        await self._response.aclose()


class _BlockingReply(_Reply):
    async def _read(self) -> bytes:
        body: bytes = self._response.read()
        return body

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        with closing(self._response.iter_bytes()) as chunks:
            for chunk in chunks:
                yield chunk

    async def aclose(self) -> None:
        self._response.close()


async def _ours(work: Awaitable[T]) -> T:
    """The border to a foreign library: whatever it raises, our callers see one kind of error."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - any other kind would leak a vendor's exception
        failure = _failure(error)
    raise failure  # not in the handler, where the vendor's exception, and its request with the key, would hang on ours


def _failure(error: Exception) -> ConnectionFailed:
    names = {kind.__name__ for kind in type(error).__mro__}
    what = type(error).__name__
    text = f"{what}: {error}" if str(error) else what
    if names & _UNSENT:
        return ConnectionFailed(f"the service could not be reached ({text})", sent=False)
    if "TimeoutException" in names:
        return ConnectionFailed(f"no answer in time ({text})", sent=True)
    return ConnectionFailed(f"the connection broke before the answer was whole ({text})", sent=True)


def _timeouts(patience: float) -> tuple[float, float, float, None]:
    """Connect, read, write, pool. The pool has no bound, so waiting for it needs none."""
    return min(CONNECT_TIMEOUT, patience), patience, patience, None


def _limits() -> httpx2.Limits:
    # One connection for each stream that is open: a pool that runs full would make streams wait for one another.
    return httpx2.Limits(max_connections=None, max_keepalive_connections=100)


@cache
def _tls_context() -> ssl.SSLContext:
    return httpx2.create_ssl_context()


def _current_loop() -> object:
    import asyncio

    return asyncio.get_running_loop()
