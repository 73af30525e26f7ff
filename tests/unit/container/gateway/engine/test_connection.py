"""Connections to the engine against a real socket: flow control, bounds, reuse."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
import uvloop

from container.gateway.engine import connection as engine_connection
from container.gateway.engine.connection import HIGH_WATER_BYTES, MAX_HEAD_BYTES, EnginePool
from container.gateway.errors import GatewayError

#: What the system keeps between the two ends of a loopback connection, each limited by `SOCKET_BYTES`; Linux
#: doubles the number that is asked for. The rest is what the server's stream writer keeps.
SOCKET_BYTES = 256 * 1024
MOST_UNREAD = 4 * 1024 * 1024
#: The larger one of uvloop's and asyncio's receive buffers.
RECEIVE_BYTES = 256 * 1024
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
PIECE = b"x" * 16_384

LOOPS = pytest.mark.parametrize(
    "loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"]
)
Loop = Callable[[], asyncio.AbstractEventLoop]
Answer = Callable[["Engine", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Engine:
    """A server that gives the same answer to every request, and counts."""

    answer: Answer
    connections: int = 0
    sent: int = 0

    @contextlib.asynccontextmanager
    async def pool(self) -> AsyncIterator[EnginePool]:
        with socket.socket() as listening:
            # Accepted sockets inherit both.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
            listening.bind(("127.0.0.1", 0))
            server = await asyncio.start_server(self._serve, sock=listening)
            pool = EnginePool("127.0.0.1", listening.getsockname()[1])
            async with server:
                yield pool
                pool.close()

    async def chunk(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await writer.drain()
        self.sent += len(data)

    async def until_stalled(self) -> None:
        """Wait until the server can send no more."""
        before = -1
        while self.sent != before:
            before = self.sent
            await asyncio.sleep(0.2)
            assert self.sent < 200_000_000, "the server is never made to wait"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                await self.answer(self, writer)
        writer.close()


async def endless(engine: Engine, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM)
    while True:
        await engine.chunk(writer, PIECE)


def whole(body: bytes, headers: bytes = b"") -> Answer:
    async def answer(engine: Engine, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%s\r\n%s" % (len(body), headers, body))
        await writer.drain()

    return answer


def numbers(count: int, rest: bytes = b"") -> Answer:
    """Chunks of numbered lines."""

    async def answer(engine: Engine, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM)
        for batch in range(0, count, 1000):
            await engine.chunk(writer, b"".join(b"%d\n" % each for each in range(batch, batch + 1000)))
        await engine.chunk(writer, rest)

    return answer


def run(scenario: Coroutine[Any, Any, None], loop: Loop = asyncio.new_event_loop) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(scenario, 30))


@LOOPS
def test_a_reader_that_stops_makes_the_server_wait_and_buffers_little(loop: Loop) -> None:
    async def scenario() -> None:
        engine = Engine(endless)
        async with engine.pool() as pool, pool.request("GET", "/") as response:
            chunks = response.chunks()
            await anext(chunks)
            await engine.until_stalled()
            assert engine.sent < MOST_UNREAD
            stalled = engine.sent
            # All that the connection has kept.
            assert HIGH_WATER_BYTES < len(await anext(chunks)) <= HIGH_WATER_BYTES + RECEIVE_BYTES
            for _ in range(20):
                await anext(chunks)
            assert engine.sent > stalled, "a reader that continues is served again"

    run(scenario(), loop)


@LOOPS
def test_a_slow_reader_gets_everything_in_order(loop: Loop) -> None:
    async def scenario() -> None:
        count = 1_000_000
        engine = Engine(numbers(count))
        body = bytearray()
        async with engine.pool() as pool, pool.request("GET", "/") as response:
            stalls = 0
            async for chunk in response.chunks():
                body += chunk
                if len(body) > 2_000_000 * stalls:
                    stalls += 1
                    await engine.until_stalled()
        assert stalls > 2
        assert body.split() == [b"%d" % each for each in range(count)]

    run(scenario(), loop)


@LOOPS
def test_a_whole_body_may_be_larger_than_what_is_buffered(loop: Loop) -> None:
    async def scenario() -> None:
        body = b"%d" % 7 * (5 * HIGH_WATER_BYTES + RECEIVE_BYTES)
        engine = Engine(whole(body))
        async with engine.pool() as pool:
            for _ in range(3):
                async with pool.request("GET", "/") as response:
                    assert await response.read() == body
        assert engine.connections == 1

    run(scenario(), loop)


def test_a_whole_body_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_connection, "MAX_ANSWER_BYTES", 1_000_000)

    async def scenario() -> None:
        engine = Engine(endless)
        async with engine.pool() as pool, pool.request("GET", "/") as response:
            with pytest.raises(GatewayError) as caught:
                await response.read()
        assert caught.value.error_type == "answer_too_large"
        assert "1000000 bytes" in caught.value.message
        await engine.until_stalled()

    run(scenario())


@pytest.mark.parametrize(
    "begins", [b"HTTP/1.1 200 OK\r\n", STREAM + b"1\r\nx\r\n0\r\n"], ids=["head", "trailer"]
)
@pytest.mark.parametrize("piece", [b"x" * 1000, b"x: %s\r\n" % (b"y" * 100)], ids=["one", "many"])
def test_headers_have_a_limit(begins: bytes, piece: bytes) -> None:
    async def scenario() -> None:
        async def answer(engine: Engine, writer: asyncio.StreamWriter) -> None:
            writer.write(begins + b"x: ")
            for _ in itertools.count():
                writer.write(piece)
                await writer.drain()
                engine.sent += len(piece)

        engine = Engine(answer)
        async with engine.pool() as pool:
            with pytest.raises(GatewayError) as caught:
                async with pool.request("GET", "/") as response:
                    await response.read()
        assert caught.value.error_type == "engine_unavailable"
        assert engine.sent > MAX_HEAD_BYTES
        await engine.until_stalled()

    run(scenario())


@LOOPS
def test_a_body_that_was_not_taken_leaves_nothing_behind(loop: Loop) -> None:
    async def scenario() -> None:
        body = b"x" * (HIGH_WATER_BYTES + 1)
        engine = Engine(whole(body))
        async with engine.pool() as pool:
            for _ in range(3):
                async with pool.request("GET", "/"):
                    # The body arrives, and reading is paused.
                    await asyncio.sleep(0.1)
            async with pool.request("GET", "/") as response:
                assert await response.read() == body
        assert engine.connections == 1

    run(scenario(), loop)


@LOOPS
def test_a_connection_that_the_server_closes_while_it_is_idle_is_not_used(loop: Loop) -> None:
    async def scenario() -> None:
        body = b"x" * (HIGH_WATER_BYTES + 1)

        async def answer(engine: Engine, writer: asyncio.StreamWriter) -> None:
            await whole(body)(engine, writer)
            writer.write_eof()

        engine = Engine(answer)
        async with engine.pool() as pool:
            for _ in range(3):
                async with pool.request("GET", "/") as response:
                    await asyncio.sleep(0.1)
                    assert response.status == 200
                await asyncio.sleep(0.1)
        assert engine.connections == 3

    run(scenario(), loop)


@pytest.mark.parametrize("seconds", [0.0, 0.05], ids=["together", "later"])
def test_a_response_without_a_request_is_not_given_to_the_next_one(seconds: float) -> None:
    async def scenario() -> None:
        async def answer(engine: Engine, writer: asyncio.StreamWriter) -> None:
            await whole(b"%d" % engine.connections)(engine, writer)
            await asyncio.sleep(seconds)
            await whole(b"nobody's")(engine, writer)

        engine = Engine(answer)
        async with engine.pool() as pool:
            for number in range(1, 4):
                async with pool.request("GET", "/") as response:
                    assert await response.read() == b"%d" % number
                await asyncio.sleep(0.1)
        assert engine.connections == 3

    run(scenario())


@LOOPS
def test_a_reader_that_leaves_closes_a_connection_whose_reading_is_paused(loop: Loop) -> None:
    async def scenario() -> None:
        ended = asyncio.Event()

        async def answer(engine: Engine, writer: asyncio.StreamWriter) -> None:
            try:
                await endless(engine, writer)
            finally:
                ended.set()

        engine = Engine(answer)
        async with engine.pool() as pool:
            async with pool.request("GET", "/"):
                await engine.until_stalled()
            await asyncio.wait_for(ended.wait(), 5)

    run(scenario(), loop)


def test_a_connection_that_ends_in_the_middle_gives_what_came_and_then_the_error() -> None:
    async def scenario() -> None:
        async def answer(engine: Engine, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM)
            await engine.chunk(writer, b"some")
            writer.close()

        async with Engine(answer).pool() as pool, pool.request("GET", "/") as response:
            chunks = response.chunks()
            assert await anext(chunks) == b"some"
            with pytest.raises(GatewayError) as caught:
                await anext(chunks)
        assert caught.value.error_type == "engine_unavailable"

    run(scenario())
