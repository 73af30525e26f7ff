"""Relay of TCP connections between two networks: bytes, half-closes and disconnects, in both directions."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Final

#: Bytes in flight in a direction, beside the buffers of the two connections.
_CHUNK_BYTES: Final = 65536
#: Seconds until the next connection is accepted, after there was no descriptor for one.
_RETRY_S: Final = 0.1
#: `struct linger` with which the close of a socket is a reset.
_RESET: Final = struct.pack("ii", 1, 0)


class Relay:
    """Connects each connection that it accepts in one network to one address in the other."""

    def __init__(
        self, listener: socket.socket, connection: Callable[[], socket.socket], address: tuple[str, int]
    ) -> None:
        """`listener` listens in the one network, `connection` makes sockets in the other."""
        listener.setblocking(False)
        self._listener = listener
        self._connection = connection
        self._address = address
        self._answers: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Accept connections until cancelled. One that `address` refuses is reset.

        Without a descriptor for the next connection, it waits for one: the container's process goes on.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as connections:
            while True:
                try:
                    accepted, _ = await loop.sock_accept(self._listener)
                except OSError:
                    await asyncio.sleep(_RETRY_S)
                    continue
                try:
                    opened = self._connection()
                except OSError:
                    accepted.close()
                    continue
                connections.create_task(self._serve(accepted, opened))

    async def drain(self, limit_s: float) -> None:
        """Wait until the clients have what the process at `address` sent before its end.

        Without it, the end of an answer would be lost, which the kernel delivers on a direct connection.
        """
        if self._answers:
            await asyncio.wait(self._answers, timeout=limit_s)

    async def _serve(self, accepted: socket.socket, opened: socket.socket) -> None:
        with accepted, opened:
            try:
                for end in (accepted, opened):
                    end.setblocking(False)
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await asyncio.get_running_loop().sock_connect(opened, self._address)
                async with asyncio.TaskGroup() as directions:
                    directions.create_task(_copy(accepted, opened))
                    answer = directions.create_task(_copy(opened, accepted))
                    self._answers.add(answer)
                    answer.add_done_callback(self._answers.discard)
            except* OSError:
                # One end is gone. The other one is reset, even if it sends and receives nothing just now.
                for end in (accepted, opened):
                    with contextlib.suppress(OSError):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


async def _copy(source: socket.socket, target: socket.socket) -> None:
    """Send what `source` receives, each part before the next is read, and then the end of input."""
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, _CHUNK_BYTES):
        await loop.sock_sendall(target, data)
    target.shutdown(socket.SHUT_WR)
