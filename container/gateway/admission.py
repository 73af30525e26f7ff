"""Admission control: bounds requests in flight and requests at the engine; full: 429 with Retry-After."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Iterator

from container.gateway.adapters.registry import Adapter
from container.gateway.concurrency import Limiter
from container.gateway.errors import GatewayError
from container.gateway.request_context import Phase, RequestContext

#: Upper bound of Retry-After, however long the queue is.
MAX_RETRY_AFTER_SECONDS = 30
#: Weight of the newest sample in the moving average of the time at the engine.
_NEWEST = 0.1


class Admission:
    """Bounded queue in front of the engine. Each block below is one state of a request.

    State      block                counted in                               bound
    admitted   `admit`              `_admitted`                              running + queued, else 429
    loading    `waiting_for_load`   `_loading` instead of `_admitted`        running + queued, else 429
    queued     `engine_slot`        `_admitted` and `engine_slots.waiting`   that of `_admitted`
    at engine  `engine_slot`        `_admitted` and `engine_slots.in_use`    running

    A request is admitted, then queued, then at the engine. One whose adapter is not loaded goes through
    loading first (`AdapterCache.keep`): it does not count in `_admitted` meanwhile, so that slow loads do not
    keep out requests for loaded adapters. It returns without a check, so `_admitted` may exceed its bound, by
    as many as `_loading` allows: a 429 at that point would waste the load that the request waited for.

    Leaving a block, by an error or a cancellation too, undoes what entering it counted. Cancelling a request
    that is loading leaves the load running; one that is queued never takes a slot. One at the engine holds
    its slot until the block ends. `EngineTask` may delay that past the end of `admit`: then only `in_use`
    counts it.
    """

    def __init__(self, *, running: int, queued: int) -> None:
        """Allow `running` requests at the engine and `queued` more that wait for an engine slot."""
        self._running = running
        self._max_admitted = self._max_loading = running + queued
        self.engine_slots = Limiter(running)
        self._admitted = 0
        self._loading = 0
        self._mean_slot_seconds = 1.0
        self._emptied = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """Requests that are admitted or loading, so not answered yet."""
        return self._admitted + self._loading

    async def wait_until_empty(self) -> None:
        """Wait until no request is in flight."""
        while self.in_flight:
            self._emptied.clear()
            await self._emptied.wait()

    @contextlib.contextmanager
    def admit(self) -> Iterator[None]:
        """Admit a request; raise `GatewayError` 429 at the bound."""
        self._check(self._admitted, self._max_admitted)
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1
            if self.in_flight == 0:
                self._emptied.set()

    @contextlib.contextmanager
    def waiting_for_load(self, context: RequestContext) -> Iterator[None]:
        """Move an admitted request to loading and back; raise `GatewayError` 429 at the bound."""
        context.enter(Phase.LOADING)
        self._check(self._loading, self._max_loading)
        self._loading += 1
        self._admitted -= 1
        try:
            yield
        finally:
            self._loading -= 1
            self._admitted += 1

    @contextlib.asynccontextmanager
    async def engine_slot(self, context: RequestContext, adapter: Adapter | None) -> AsyncIterator[None]:
        """Wait in the queue for an engine slot, first come first served, and hold it during the block.

        `adapter` is loaded; None for the base model.
        """
        context.enter(Phase.QUEUE)
        async with self.engine_slots:
            context.enter(Phase.ENGINE)
            began = time.monotonic()
            try:
                yield
            finally:
                seconds = time.monotonic() - began
                self._mean_slot_seconds += _NEWEST * (seconds - self._mean_slot_seconds)

    def _check(self, count: int, bound: int) -> None:
        if count < bound:
            return
        # The time in which the engine completes what is ahead of a new request.
        seconds = math.ceil(self._mean_slot_seconds * count / self._running)
        raise GatewayError(
            429,
            "overloaded",
            "Model is overloaded: try again later",
            retry_after_seconds=min(max(1, seconds), MAX_RETRY_AFTER_SECONDS),
        )
