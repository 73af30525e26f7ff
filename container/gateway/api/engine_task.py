"""A request's work at the engine, which may have to go on when the one who asked has left."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, ClassVar

from container.gateway.engine.backend import Json
from container.gateway.request_context import Exchange, Phase
from container.gateway.tasks import look_at_error

#: Events that may wait for a slow caller before the engine has to wait, too. On the way from the engine to
#: the caller each buffer has a bound, and a full one stops what fills it: aiohttp's response (at 64 KiB
#: `write` waits), this queue, the connection's body (`engine_connection`) and the sockets.
_WAITING_EVENTS = 64


class Work:
    """A task of its own: it ends with its caller, unless an engine that must be read to the end has it.

    Until then it keeps what it holds: its turn, and its adapter.
    """

    #: asyncio itself keeps only weak references to tasks.
    _left_behind: ClassVar[set[asyncio.Task[Any]]] = set()

    def __init__(self, work: Coroutine[Any, Any, Any], exchange: Exchange, *, reads_to_end: bool) -> None:
        """Starts at once; `reads_to_end` is the engine's."""
        self._task = asyncio.create_task(work)
        self._exchange = exchange
        self._reads_to_end = reads_to_end

    async def result(self) -> Any:
        """What the work gives; whoever leaves while waiting for it ends it."""
        try:
            return await asyncio.shield(self._task)
        finally:
            await self.leave()

    async def leave(self) -> None:
        """Nobody waits any more."""
        if self._task.done():
            return
        if self._reads_to_end and self._exchange.phase is Phase.ENGINE:
            self._left_behind.add(self._task)
            self._task.add_done_callback(self._left_behind.discard)
            self._task.add_done_callback(look_at_error)
        else:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait((self._task,))

    @classmethod
    async def events(
        cls, source: AsyncGenerator[Json], exchange: Exchange, *, reads_to_end: bool
    ) -> AsyncGenerator[Json]:
        """The same events, read by a work of its own; what went wrong is raised after them."""
        queue: asyncio.Queue[Json | None] = asyncio.Queue(_WAITING_EVENTS)
        left = False

        async def pump() -> None:
            try:
                async with contextlib.aclosing(source) as found:
                    async for event in found:
                        if not left:
                            await queue.put(event)
            finally:
                if not left:
                    await queue.put(None)

        work = cls(pump(), exchange, reads_to_end=reads_to_end)
        try:
            while (event := await queue.get()) is not None:
                yield event
            await work._task
        finally:
            left = True
            # A pump that waits for room goes on.
            while not queue.empty():
                queue.get_nowait()
            await work.leave()
