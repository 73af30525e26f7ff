"""HTTP/1.1 connections to the engine, on loopback, with flow control.

A client on httptools instead of aiohttp's saves processor time on the gateway's one core. The whole gateway
took 217 µs of it for a request with this client and 300 µs with aiohttp's: own ÷ aiohttp 0.73
(0.59 to 0.83). Of that the client alone took 21 and 98 µs. For an event of a stream the ratio was 0.90 (0.85
to 0.97). Measured on 2026-11-27 with aiohttp 3.14.5, httptools 0.9.0 and uvloop, medians of 12 alternating
rounds; `python -m benchmarks.engine_client` measures it again (docs/benchmarks.md).
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
#: vLLM's web server closes connections that were idle for 5 s. A request sent on one at that moment would
#: fail, so a connection that has been idle for longer than this is closed rather than used.
IDLE_SECONDS = 4.0
#: Bytes of a body that may wait for the reader before the socket is no longer read. One read may exceed it by
#: uvloop's receive buffer (256,000 bytes) or asyncio's (262,144), so a connection keeps 320 KiB at most.
HIGH_WATER_BYTES = 64 * 1024
#: Bytes without any of a body: status line and headers, of which both engines send under 1 KiB, or trailers.
MAX_HEAD_BYTES = 64 * 1024
#: Bytes of an answer that is not streamed. The largest regular one is vLLM's chat completion with 8 choices
#: of 4,096 tokens (the default of MAX_TOTAL_TOKENS), each with 21 log probabilities of about 95 bytes: 65 MB.
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class EngineResponse:
    """A response whose body may not have arrived yet."""

    def __init__(self, status: int, headers: Mapping[str, str], connection: _Connection) -> None:
        """The names of `headers` are in lower case."""
        self.status = status
        self.headers = headers
        self._connection = connection

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises `GatewayError` if the connection ends before it does.

        The engine's socket is read only as fast as the chunks are.
        """
        while True:
            if chunk := self._connection.take():
                yield chunk
            elif self._connection.complete:
                return
            else:
                await self._connection.wait()

    async def read(self) -> bytes:
        """Return the whole body.

        Raises `GatewayError` if the connection ends before it does, or if it exceeds `MAX_ANSWER_BYTES`.
        """
        body = bytearray(self._connection.take())
        while not self._connection.complete:
            await self._connection.wait()
            body += self._connection.take()
            if len(body) > MAX_ANSWER_BYTES:
                raise GatewayError.oversized("answer", MAX_ANSWER_BYTES)
        return bytes(body)


class EnginePool:
    """A pool of connections to one address, opened on demand and reused.

    As many are open as requests are under way; the gateway's admission control bounds that.
    """

    def __init__(self, host: str, port: int) -> None:
        """Does not connect yet."""
        self._host = host
        self._port = port
        self._idle: list[_Connection] = []

    @contextlib.asynccontextmanager
    async def request(self, method: str, path: str, body: bytes = b"") -> AsyncIterator[EngineResponse]:
        """Send a request and yield the response once its headers have arrived.

        The block reads the body. Leaving it before the end of the body closes the connection, by which the
        engine notices that the answer is no longer wanted.

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
                connection.release()
                self._idle.append(connection)
            else:
                connection.abort()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().abort()

    async def _connection(self) -> _Connection:
        # The most recently used one first: the others then reach IDLE_SECONDS and are closed.
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
    """One connection with one request at a time; the pool owns it, one task reads it.

    States, and what leads to the next one:

    idle      the pool keeps it, or has just opened it; `complete` is True. `send` begins a request. What
              arrives before that answers nothing, and leads to lost.
    waiting   `response` is None, `complete` is False. `wait` returns after each arrival.
    reading   `response` is set: the headers are here. `take` returns what has arrived of the body, `wait`
              returns when there is more. Only `send` leaves this response behind.
    complete  `complete` is True: the body has arrived, though some of it may not have been taken.
              `keeps_alive` is valid from here on: the pool calls `release` (-> idle) if it is True,
              else `abort`.
    lost      `_lost` is True, from any state and finally: the peer closed, its bytes are no HTTP or exceed
              a bound, or `abort` was called. `take` and a `complete` body stay valid, `wait` raises.

    `_waiter` is set while a task is in `wait`; asyncio's callbacks resolve it. At most one task may be there.
    `_paused` is True while more than `HIGH_WATER_BYTES` of the body have not been taken: the socket is not
    read, so that TCP makes the engine wait. `take` empties the buffer, so it is also what resumes reading.
    """

    def __init__(self) -> None:
        self.response: EngineResponse | None = None
        self.complete = True
        self.keeps_alive = False
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._bodiless_bytes = 0
        self._body = bytearray()
        self._paused = False
        self._lost = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_open(self) -> bool:
        return not self._lost

    def send(self, data: bytes) -> None:
        """Begin a request; only in state idle. Its size has the bound of the gateway's own requests."""
        assert self._transport is not None  # noqa: S101 — connected
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._bodiless_bytes = {}, 0
        self.response, self.complete = None, False
        self._transport.write(data)

    def take(self) -> bytes:
        """Return what has arrived of the body since the last call, and read on."""
        taken = bytes(self._body)
        self._body.clear()
        if self._paused:
            self._resume()
        return taken

    async def wait(self) -> None:
        """Wait until more has arrived; raises `GatewayError` if the connection has ended.

        Call it only when `take` has just returned everything, else a paused connection would never resume.
        """
        if self._lost:
            raise GatewayError.unreachable()
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def release(self) -> None:
        """Become idle; only in state complete. Drop what was not taken: only a socket that is read shows
        that the peer has closed it."""
        self.take()
        self.idle_since = time.monotonic()

    def abort(self) -> None:
        """Close at once, in any state."""
        self._lost = True
        if self._transport is not None:
            self._transport.abort()

    # asyncio's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        body_bytes = len(self._body)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()
        # The parser keeps a header until its end.
        self._bodiless_bytes = self._bodiless_bytes + len(data) if len(self._body) == body_bytes else 0
        if self._bodiless_bytes > MAX_HEAD_BYTES:
            self.abort()
        if len(self._body) > HIGH_WATER_BYTES and not self._lost:
            self._pause()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._wake()

    # The parser's callbacks. An exception in one of them ends the parsing, and with it the connection.

    def on_message_begin(self) -> None:
        if self.complete:
            raise ValueError("a response without a request: the next request must not get it")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.response = EngineResponse(self._parser.get_status_code(), self._headers, self)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.complete = True
        self.keeps_alive = bool(self._parser.should_keep_alive())

    def _pause(self) -> None:
        assert self._transport is not None  # noqa: S101 — data has arrived on it
        if not self._paused:
            self._transport.pause_reading()
            self._paused = True

    def _resume(self) -> None:
        self._paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._waiter = None
