"""HTTP connections to the engine, on loopback.

httptools parses, and nothing else is done: aiohttp's client took a third of all that the gateway does for a
request.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import cast

import httptools

from container.gateway.errors import GatewayError

CONNECT_SECONDS = 5.0
#: vLLM's web server closes connections that were idle for 5 s. To use one just then would fail a request, so
#: the gateway does not use one that has been idle for longer than this.
IDLE_SECONDS = 4.0


class EngineResponse:
    """An answer whose body may still be on its way."""

    def __init__(self, status: int, headers: Mapping[str, str], connection: _Connection) -> None:
        """The names of `headers` are in lower case."""
        self.status = status
        self.headers = headers
        self._connection = connection

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives; raises `GatewayError` if it breaks off."""
        while True:
            if chunk := self._connection.take():
                yield chunk
            elif self._connection.complete:
                return
            else:
                await self._connection.wait()

    async def read(self) -> bytes:
        """The whole body; raises `GatewayError` if it breaks off."""
        while not self._connection.complete:
            await self._connection.wait()
        return self._connection.take()


class EnginePool:
    """Opens connections to one address as they are needed and uses them again."""

    def __init__(self, host: str, port: int) -> None:
        """Nothing is connected yet."""
        self._host = host
        self._port = port
        self._idle: list[_Connection] = []

    @contextlib.asynccontextmanager
    async def request(self, method: str, path: str, body: bytes = b"") -> AsyncIterator[EngineResponse]:
        """Send a request; the block reads the answer. Who leaves before the end of it closes the connection.

        Raises `GatewayError` if the engine cannot be reached or closes the connection.
        """
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection = await self._connection()
        try:
            connection.send(head.encode() + body)
            while connection.response is None:
                await connection.wait()
            yield connection.response
        finally:
            if connection.complete and connection.keeps_alive:
                connection.idle_since = time.monotonic()
                self._idle.append(connection)
            else:
                connection.abort()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().abort()

    async def _connection(self) -> _Connection:
        # The one that was used last: the others may become old, and be closed.
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and time.monotonic() - connection.idle_since < IDLE_SECONDS:
                return connection
            connection.abort()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await asyncio.get_running_loop().create_connection(
                    _Connection, self._host, self._port
                )
        except (OSError, TimeoutError) as error:
            raise GatewayError.unreachable() from error
        return connection


class _Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self) -> None:
        self.response: EngineResponse | None = None
        self.complete = False
        self.keeps_alive = False
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._lost = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_open(self) -> bool:
        return not self._lost

    def send(self, data: bytes) -> None:
        assert self._transport is not None  # noqa: S101 — connected
        self._parser = httptools.HttpResponseParser(self)
        self._headers = {}
        self._body.clear()
        self.response, self.complete = None, False
        self._transport.write(data)

    def take(self) -> bytes:
        """What has arrived of the body since the last call."""
        taken = bytes(self._body)
        self._body.clear()
        return taken

    async def wait(self) -> None:
        """Wait until more has arrived; raises `GatewayError` if the connection has ended."""
        if self._lost:
            raise GatewayError.unreachable()
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._lost = True
            self.abort()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._wake()

    # The parser calls these.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.response = EngineResponse(self._parser.get_status_code(), self._headers, self)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.complete = True
        self.keeps_alive = bool(self._parser.should_keep_alive())

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._waiter = None
