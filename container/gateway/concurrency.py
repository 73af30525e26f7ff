"""A limit on concurrent blocks with gauges of its use, and a callback for tasks without an owner."""

from __future__ import annotations

import asyncio
from typing import Any


class Gauge:
    """A number that goes up and down, and its recent peak."""

    def __init__(self) -> None:
        """Start at 0."""
        self.value = 0
        self._peak = 0

    def increment(self) -> None:
        """Add 1."""
        self.value += 1
        self._peak = max(self._peak, self.value)

    def decrement(self) -> None:
        """Subtract 1."""
        self.value -= 1

    def take_peak(self) -> int:
        """Return the highest value since the last call; the next interval starts at the current value."""
        peak, self._peak = self._peak, self.value
        return peak


class Limiter:
    """A FIFO semaphore with gauges: `async with limiter:` runs at most `slots` blocks at once."""

    def __init__(self, slots: int) -> None:
        """`in_use` counts the blocks that run, `waiting` those that found no free slot."""
        self._free = asyncio.Semaphore(slots)
        self.in_use = Gauge()
        self.waiting = Gauge()

    async def __aenter__(self) -> None:
        """Acquire a slot, in order of arrival."""
        if self._free.locked():
            self.waiting.increment()
            try:
                await self._free.acquire()
            finally:
                self.waiting.decrement()
        else:
            await self._free.acquire()
        self.in_use.increment()

    async def __aexit__(self, *_: object) -> None:
        """Release the slot."""
        self.in_use.decrement()
        self._free.release()


def consume_exception(task: asyncio.Task[Any]) -> None:
    """Done-callback that retrieves the task's exception: asyncio logs one that nothing has retrieved."""
    if not task.cancelled():
        task.exception()
