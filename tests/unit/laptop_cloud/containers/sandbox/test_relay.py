"""The relay is transparent: what one end does, the other end sees."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator

import pytest

from laptop_cloud.containers.sandbox.relay import Relay

RESET = b"\1\0\0\0\0\0\0\0"


class Ends:
    """A client and a server with a relay between them. `connect` makes one connection's two sockets."""

    def __init__(self, port: int, server: socket.socket) -> None:
        self._port, self._server = port, server
        self._loop = asyncio.get_running_loop()

    async def connect(self) -> tuple[socket.socket, socket.socket]:
        client = socket.socket()
        client.setblocking(False)
        await self._loop.sock_connect(client, ("127.0.0.1", self._port))
        accepted, _ = await self._loop.sock_accept(self._server)
        return client, accepted

    async def receive(self, end: socket.socket) -> bytes:
        return await asyncio.wait_for(self._loop.sock_recv(end, 1000), 5)


@contextlib.asynccontextmanager
async def relayed() -> AsyncIterator[Ends]:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as listener:
        server.setblocking(False)
        running = asyncio.create_task(Relay(listener, socket.socket, server.getsockname()).run())
        yield Ends(listener.getsockname()[1], server)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_bytes_pass_both_ways() -> None:
    async with relayed() as ends:
        client, server = await ends.connect()
        client.send(b"question")
        assert await ends.receive(server) == b"question"
        server.send(b"answer")
        assert await ends.receive(client) == b"answer"


async def test_a_half_close_passes_and_the_other_direction_goes_on() -> None:
    async with relayed() as ends:
        client, server = await ends.connect()
        client.send(b"last")
        client.shutdown(socket.SHUT_WR)
        assert [await ends.receive(server), await ends.receive(server)] == [b"last", b""]
        server.send(b"answer")
        server.close()
        assert [await ends.receive(client), await ends.receive(client)] == [b"answer", b""]


@pytest.mark.parametrize("side", [0, 1], ids=["client", "server"])
async def test_a_reset_passes_as_a_reset(side: int) -> None:
    async with relayed() as ends:
        pair = await ends.connect()
        pair[side].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        pair[side].close()
        with pytest.raises(ConnectionResetError):
            await ends.receive(pair[1 - side])


async def test_a_server_that_writes_to_a_client_that_is_gone_is_reset() -> None:
    async with relayed() as ends:
        client, server = await ends.connect()
        client.close()
        assert await ends.receive(server) == b""
        with pytest.raises(ConnectionError):
            for _ in range(100):
                server.send(b"more")
                await asyncio.sleep(0.01)


async def test_without_a_socket_for_a_connection_the_next_one_is_tried() -> None:
    sockets = iter([OSError(errno.EMFILE, "Too many open files"), None])

    def connection() -> socket.socket:
        if (error := next(sockets)) is not None:
            raise error
        return socket.socket()

    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(Relay(listener, connection, server.getsockname()).run())
        refused, _ = await asyncio.open_connection(*listener.getsockname())
        assert await refused.read(1) == b""
        _, writer = await asyncio.open_connection(*listener.getsockname())
        server.setblocking(False)
        accepted, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(server), 5)
        accepted.close()
        writer.close()
        running.cancel()


async def test_a_refused_connection_is_reset_and_the_next_one_is_tried() -> None:
    free = socket.create_server(("127.0.0.1", 0))
    address = free.getsockname()
    free.close()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(Relay(listener, socket.socket, address).run())
        for _ in range(2):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
            writer.close()
        with socket.create_server(address):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.2)
            writer.close()
        running.cancel()
