"""How many requests are in the house, and how many of them are at the engine."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Iterator

from container.gateway.concurrency import Turns
from container.gateway.errors import GatewayError
from container.gateway.request_context import Exchange, Phase

#: The most that a caller is told to wait, however long the queue is.
MAX_RETRY_AFTER_SECONDS = 30
#: Weight of the newest turn in the mean time of a turn.
_NEWEST = 0.1


class Admission:
    """A bounded queue in front of the engine: who finds it full is told so at once, and when to come back.

    Requests that wait for an adapter are counted apart, so that they take nobody's place.
    """

    def __init__(self, *, running: int, queued: int) -> None:
        """`running` requests at the engine at most, `queued` more that wait for a turn."""
        self._running = running
        self._places = running + queued
        self._load_places = running + queued
        #: Requests at the engine, and those that wait to be.
        self.turns = Turns(running)
        self._inside = 0
        self._loading = 0
        self._mean_turn_seconds = 1.0
        self._emptied = asyncio.Event()

    @property
    def inside(self) -> int:
        """Requests that have been taken in and not answered yet."""
        return self._inside + self._loading

    async def wait_until_empty(self) -> None:
        """Wait until no request is under way."""
        while self.inside:
            self._emptied.clear()
            await self._emptied.wait()

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place in the house; raises `GatewayError` 429 if there is none."""
        self._check(self._inside, self._places)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            if self.inside == 0:
                self._emptied.set()

    @contextlib.contextmanager
    def waiting_for_load(self) -> Iterator[None]:
        """Give the place to others while an adapter is being loaded; raises `GatewayError` 429."""
        self._check(self._loading, self._load_places)
        self._loading += 1
        self._inside -= 1
        try:
            yield
        finally:
            self._loading -= 1
            self._inside += 1

    @contextlib.asynccontextmanager
    async def turn(self, exchange: Exchange) -> AsyncIterator[None]:
        """A turn at the engine, first come first served."""
        exchange.enter(Phase.QUEUE)
        async with self.turns:
            exchange.enter(Phase.ENGINE)
            began = time.monotonic()
            try:
                yield
            finally:
                seconds = time.monotonic() - began
                self._mean_turn_seconds += _NEWEST * (seconds - self._mean_turn_seconds)

    def _check(self, taken: int, places: int) -> None:
        if taken < places:
            return
        # The time in which the engine works off what is in front of a newcomer.
        seconds = math.ceil(self._mean_turn_seconds * taken / self._running)
        raise GatewayError(
            429,
            "overloaded",
            "Model is overloaded",
            retry_after_seconds=min(max(1, seconds), MAX_RETRY_AFTER_SECONDS),
        )
