"""How many run and how many wait, and the most of each."""

import asyncio

import pytest

from container.gateway.concurrency import Level, Turns

#: A wait that has no end fails its test after 10 s.
pytestmark = pytest.mark.timeout(10, func_only=True)


class Waiting:
    """Tasks that take a turn and keep it until they are told to go."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.go = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def add(self, count: int) -> None:
        self.tasks += [asyncio.create_task(self._one()) for _ in range(count)]
        await asyncio.sleep(0)

    async def end(self) -> None:
        self.go.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _one(self) -> None:
        async with self.turns:
            await self.go.wait()


def test_the_highest_is_told_once_and_what_has_not_fallen_is_told_again() -> None:
    level = Level()
    for _ in range(3):
        level.rise()
    level.fall()
    assert (level.now, level.take_highest()) == (2, 3)
    assert level.take_highest() == 2, "two are still there"
    level.fall()
    level.fall()
    assert level.take_highest() == 2
    assert level.take_highest() == 0


async def test_who_finds_a_turn_free_has_not_waited() -> None:
    turns = Turns(2)
    for _ in range(10):
        async with turns, turns:
            assert turns.taken.now == 2
    assert (turns.taken.take_highest(), turns.waiting.take_highest()) == (2, 0)


async def test_those_who_wait_and_those_who_have_a_turn_are_told_apart() -> None:
    waiting = Waiting(Turns(2))
    await waiting.add(5)
    turns = waiting.turns
    assert (turns.taken.now, turns.waiting.now) == (2, 3)
    await waiting.end()
    assert (turns.taken.now, turns.waiting.now) == (0, 0)
    assert (turns.taken.take_highest(), turns.waiting.take_highest()) == (2, 3)


async def test_one_who_stops_waiting_is_not_counted_any_more() -> None:
    waiting = Waiting(Turns(1))
    await waiting.add(3)
    waiting.tasks[1].cancel()
    await asyncio.sleep(0)
    assert (waiting.turns.taken.now, waiting.turns.waiting.now) == (1, 1)
    waiting.tasks[0].cancel()
    await waiting.end()
    assert (waiting.turns.taken.now, waiting.turns.waiting.now) == (0, 0)
    await waiting.add(1)
    assert (waiting.turns.taken.now, waiting.turns.waiting.now) == (0, 0), "no turn is lost"


async def test_an_error_gives_the_turn_back() -> None:
    turns = Turns(1)
    with pytest.raises(ValueError, match="broken"):
        async with turns:
            raise ValueError("broken")
    assert turns.taken.now == 0
    async with turns:
        pass
