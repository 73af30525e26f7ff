"""A bound on how much happens at once, with a count of what happens and of what waits."""

from __future__ import annotations

import asyncio


class Level:
    """A number that rises and falls, and the highest that it has been lately."""

    def __init__(self) -> None:
        """Begins at 0."""
        self.now = 0
        self._highest = 0

    def rise(self) -> None:
        """One more."""
        self.now += 1
        self._highest = max(self._highest, self.now)

    def fall(self) -> None:
        """One less."""
        self.now -= 1

    def take_highest(self) -> int:
        """The highest since the last call; what has not fallen yet counts for the next one, too."""
        highest, self._highest = self._highest, self.now
        return highest


class Turns:
    """`async with turns:` runs at most so many blocks at once, first come first served."""

    def __init__(self, most: int) -> None:
        """`taken` counts the blocks that run, `waiting` those that found no turn free."""
        self._free = asyncio.Semaphore(most)
        self.taken = Level()
        self.waiting = Level()

    async def __aenter__(self) -> None:
        """Wait for a turn."""
        if self._free.locked():
            self.waiting.rise()
            try:
                await self._free.acquire()
            finally:
                self.waiting.fall()
        else:
            await self._free.acquire()
        self.taken.rise()

    async def __aexit__(self, *_: object) -> None:
        """Give the turn back."""
        self.taken.fall()
        self._free.release()
