"""A request's engine call as a task that can outlive its client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, ClassVar

from container.gateway.concurrency import consume_exception
from container.gateway.request_context import Phase, RequestContext

#: Batches of events, each of one read of the engine's connection, that are buffered for a slow client before
#: the engine has to wait, too. Every buffer between engine and client has a bound, and a full one stops what
#: fills it: aiohttp's response (`write` waits at 64 KiB), this queue, the connection's body
#: (`engine.connection`, at most 320 KiB a read) and the sockets.
_BUFFERED_BATCHES = 8


class EngineTask:
    """A call in a separate task, for an engine whose backend has `reads_to_end` (LoRAX).

    It runs until the call returns or raises. If the client disconnects or its time is up first (`leave`),
    the request's phase decides:

    before the engine   Resolving, loading or queued: the task is cancelled. A load continues without it.
    at the engine       The task runs on, detached, and drops the answer. LoRAX 0.12.1's router aborts, with
                        every other request in it, if a client closes its connection while that request's
                        adapter fails to load.

    A task keeps its engine slot and its use of the adapter until it ends, detached or not: the engine is
    still generating, and the adapter's files must not be removed. `Admission.admit` counts the request only
    until the client leaves. `leave` returns once a cancelled task has ended, at once for a detached one.

    For other engines (vLLM) the request's handler makes the call itself: cancelling the handler, which a
    disconnect or the time limit does, closes the connection, and the engine aborts the request. A second task
    and a queue would take processor time for each event.
    """

    #: asyncio itself keeps only weak references to tasks.
    _detached: ClassVar[set[asyncio.Task[Any]]] = set()

    def __init__(self, call: Coroutine[Any, Any, Any], context: RequestContext) -> None:
        """Start `call`."""
        self._task = asyncio.create_task(call)
        self._context = context

    async def result(self) -> Any:
        """Wait for the call and return its result; a cancellation while waiting calls `leave`."""
        try:
            return await asyncio.shield(self._task)
        finally:
            await self.leave()

    async def leave(self) -> None:
        """Stop waiting for the call: cancel the task or detach it. Does nothing once the task is done."""
        if self._task.done():
            return
        if self._context.phase is Phase.ENGINE:
            self._detached.add(self._task)
            self._task.add_done_callback(self._detached.discard)
            self._task.add_done_callback(consume_exception)
        else:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait((self._task,))

    @classmethod
    async def events(cls, source: AsyncGenerator[bytes], context: RequestContext) -> AsyncGenerator[bytes]:
        """Yield the events of `source`, read by an engine task; its error is raised after the last event.

        Closing this generator is the client's `leave`.
        """
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_BUFFERED_BATCHES)
        left = False

        async def pump() -> None:
            try:
                async with contextlib.aclosing(source) as found:
                    async for events in found:
                        if not left:
                            await queue.put(events)
            finally:
                if not left:
                    await queue.put(None)

        task = cls(pump(), context)
        try:
            while (events := await queue.get()) is not None:
                yield events
            await task._task
        finally:
            left = True
            # Unblock a pump that waits for room in the queue.
            while not queue.empty():
                queue.get_nowait()
            await task.leave()
