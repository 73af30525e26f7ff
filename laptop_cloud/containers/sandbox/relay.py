"""Relay of TCP connections between two networks: bytes, half-closes and disconnects pass in both directions."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Final

#: Bytes in flight in a direction, beside the buffers of the two connections.
_CHUNK_BYTES: Final = 65536
_ABORT: Final = struct.pack("ii", 1, 0)


async def relay(
    listener: socket.socket, connection: Callable[[], socket.socket], address: tuple[str, int]
) -> None:
    """Accept connections, and connect each to `address` with a new socket of `connection`. Runs until cancelled.

    A connection that is refused there is reset here.
    """
    loop = asyncio.get_running_loop()
    listener.setblocking(False)
    async with asyncio.TaskGroup() as connections:
        while True:
            accepted, _ = await loop.sock_accept(listener)
            connections.create_task(_serve(accepted, connection(), address))


async def _serve(accepted: socket.socket, opened: socket.socket, address: tuple[str, int]) -> None:
    loop = asyncio.get_running_loop()
    with accepted, opened:
        try:
            for end in (accepted, opened):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(opened, address)
            async with asyncio.TaskGroup() as directions:
                directions.create_task(_copy(accepted, opened))
                directions.create_task(_copy(opened, accepted))
        except* OSError:
            # One end was reset or has gone: the other end must see the same, whatever it is doing.
            for end in (accepted, opened):
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)


async def _copy(source: socket.socket, target: socket.socket) -> None:
    """Send what `source` receives, each part before the next is read, and then the end of input."""
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, _CHUNK_BYTES):
        await loop.sock_sendall(target, data)
    target.shutdown(socket.SHUT_WR)
