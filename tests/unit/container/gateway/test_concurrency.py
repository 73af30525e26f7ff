"""The limiter, and its gauges of running and waiting blocks."""

import asyncio

import pytest

from container.gateway.concurrency import Gauge, Limiter

#: A wait that has no end fails its test after 10 s.
pytestmark = pytest.mark.timeout(10, func_only=True)


class Waiting:
    """Tasks that take a slot and hold it until `go` is set."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self.go = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def add(self, count: int) -> None:
        self.tasks += [asyncio.create_task(self._one()) for _ in range(count)]
        await asyncio.sleep(0)

    async def end(self) -> None:
        self.go.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _one(self) -> None:
        async with self.limiter:
            await self.go.wait()


def test_the_peak_is_taken_once_and_the_next_interval_starts_at_the_current_value() -> None:
    gauge = Gauge()
    for _ in range(3):
        gauge.increment()
    gauge.decrement()
    assert (gauge.value, gauge.take_peak()) == (2, 3)
    assert gauge.take_peak() == 2, "two are still there"
    gauge.decrement()
    gauge.decrement()
    assert gauge.take_peak() == 2
    assert gauge.take_peak() == 0


async def test_a_free_slot_counts_no_wait() -> None:
    limiter = Limiter(2)
    for _ in range(10):
        async with limiter, limiter:
            assert limiter.in_use.value == 2
    assert (limiter.in_use.take_peak(), limiter.waiting.take_peak()) == (2, 0)


async def test_waiting_and_running_blocks_are_counted_separately() -> None:
    waiting = Waiting(Limiter(2))
    await waiting.add(5)
    limiter = waiting.limiter
    assert (limiter.in_use.value, limiter.waiting.value) == (2, 3)
    await waiting.end()
    assert (limiter.in_use.value, limiter.waiting.value) == (0, 0)
    assert (limiter.in_use.take_peak(), limiter.waiting.take_peak()) == (2, 3)


async def test_a_cancelled_wait_is_no_longer_counted() -> None:
    waiting = Waiting(Limiter(1))
    await waiting.add(3)
    waiting.tasks[1].cancel()
    await asyncio.sleep(0)
    assert (waiting.limiter.in_use.value, waiting.limiter.waiting.value) == (1, 1)
    waiting.tasks[0].cancel()
    await waiting.end()
    assert (waiting.limiter.in_use.value, waiting.limiter.waiting.value) == (0, 0)
    await waiting.add(1)
    assert (waiting.limiter.in_use.value, waiting.limiter.waiting.value) == (0, 0), "no slot is lost"


async def test_an_error_releases_the_slot() -> None:
    limiter = Limiter(1)
    with pytest.raises(ValueError, match="broken"):
        async with limiter:
            raise ValueError("broken")
    assert limiter.in_use.value == 0
    async with limiter:
        pass
