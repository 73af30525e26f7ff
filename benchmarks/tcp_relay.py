"""A relay of bytes between TCP connections: the least that any process between client and engine does.

    python -m benchmarks.tcp_relay PORT ENGINE_PORT

It reads no HTTP and has no tasks: one read and one write for each event. Nearly all of its processor time is
the operating system's, so it is the floor for a gateway on the same machine.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop


class _Half(asyncio.Protocol):
    """One of two connections; what it reads is written to the other one."""

    def __init__(self) -> None:
        self.other: _Half | None = None
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        else:
            self.other.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None and self.other._transport is not None:
            self.other._transport.close()

    def join(self, other: _Half) -> None:
        self.other, other.other = other, self
        for data in self._early:
            other.write(data)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def relay(port: int, engine_port: int) -> None:
    """Relay each connection at `port` to the engine, for good."""
    loop = asyncio.get_running_loop()
    joining: set[asyncio.Task[None]] = set()

    async def join(client: _Half) -> None:
        _, engine = await loop.create_connection(_Half, "127.0.0.1", engine_port)
        client.join(engine)

    def accept() -> _Half:
        client = _Half()
        task = loop.create_task(join(client))
        joining.add(task)
        task.add_done_callback(joining.discard)
        return client

    await loop.create_server(accept, "127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(relay(int(sys.argv[1]), int(sys.argv[2])))
