"""Admission control: bounds requests in flight and at the engine, fairly; beyond: 429 with Retry-After."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator

from container.gateway.adapters.registry import Adapter
from container.gateway.concurrency import Gauge
from container.gateway.errors import ADAPTER_LIMIT, TENANT_LIMIT, GatewayError
from container.gateway.request_context import Phase, RequestContext
from container.gateway.scheduling.fair_queue import FairQueue
from container.gateway.scheduling.flow import FlowKey, Ticket, TicketState, flow_key
from container.gateway.scheduling.token_bucket import TokenBucket

#: Upper bound of Retry-After, however long the queue is.
MAX_RETRY_AFTER_SECONDS = 30
#: Age of a waiting request, in seconds, at which another adapter drains for it (`FairQueue`). A slot that
#: changes hands costs a load, 10 to 300 ms: at this age it takes less than a sixth of the slot's time, and a
#: client is far from its time limit.
AGEING_SECONDS = 2.0
#: Weight of the newest sample in the moving average of the time at the engine.
_NEWEST = 0.1


class Admission:
    """Bounded, fair queue in front of the engine. Each block below is one state of a request.

    State      block                counted in                            bound
    arriving   `admit`              `_admitted`                           running + queued, else 429
    limited    `within_limits`      the token buckets                     `tokens_per_minute`, else 429
    loading    `waiting_for_load`   `_loading` instead of `_admitted`     running + queued, else 429
    queued     `engine_slot`        `_admitted` and `waiting`             queued, else 429
    at engine  `engine_slot`        `_admitted` and `in_use`              running, and those of `FairQueue`

    A request arrives, then it is queued, then at the engine. One for an adapter is checked against the limits
    on its tokens before, and one whose adapter is not loaded goes through loading (`AdapterCache.keep`): it
    does not count in `_admitted` meanwhile, so that slow loads do not keep out requests for loaded adapters.
    It is queued without a check, so `waiting` may exceed its bound, by as many as `_loading` allows: a 429 at
    that point would waste the load that the request waited for.

    No flow (`scheduling.flow`) keeps the others out. In a full queue the newest request of the flow that has
    most of it is refused, so one that has less than its share never is. Of the loading requests a flow may
    have as many as are free after it.

    Leaving a block, by an error or a cancellation too, undoes what entering it counted. Cancelling a request
    that is loading leaves the load running; one that is queued never takes a slot. One at the engine holds
    its slot until the block ends. `EngineTask` may delay that past the end of `admit`: then only `in_use`
    counts it.
    """

    def __init__(self, *, running: int, queued: int, adapters: int) -> None:
        """Allow `running` requests of `adapters` different adapters at the engine, and `queued` that wait."""
        self._running = running
        self._max_waiting = queued
        self._max_arriving = self._max_loading = running + queued
        self._queue = FairQueue(
            places=running, slots=adapters, ageing_seconds=AGEING_SECONDS, clock=time.monotonic
        )
        self._waiters: dict[Ticket, asyncio.Future[None]] = {}
        #: Requests at the engine, and those that found no free place there.
        self.in_use, self.waiting = Gauge(), Gauge()
        self._admitted = 0
        self._loading = 0
        self._loading_of: Counter[FlowKey] = Counter()
        self._buckets: dict[FlowKey, TokenBucket] = {}
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
        """Admit a request; raise `GatewayError` 429 if too many are neither queued nor at the engine."""
        arriving = self._admitted - self.waiting.value - self.in_use.value
        if arriving >= self._max_arriving:
            raise self._overloaded(arriving)
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1
            if self.in_flight == 0:
                self._emptied.set()

    @contextlib.contextmanager
    def within_limits(self, context: RequestContext, adapter: Adapter) -> Iterator[None]:
        """Take the request's tokens from the limits of adapter and tenant; raise `GatewayError` 429.

        At the end `context.used_tokens` replace the estimate.
        """
        owners = (
            (("adapter", adapter.name), adapter.limits),
            (("tenant", adapter.tenant or ""), adapter.tenant_limits),
        )
        buckets = [
            self._bucket(of, limits.tokens_per_minute, context.tokens)
            for of, limits in owners
            if limits.tokens_per_minute is not None
        ]
        for bucket in buckets:
            bucket.take(context.tokens)
        try:
            yield
        finally:
            for bucket in buckets:
                bucket.take(context.used_tokens - context.tokens)

    @contextlib.contextmanager
    def waiting_for_load(self, context: RequestContext) -> Iterator[None]:
        """Move an admitted request to loading and back; raise `GatewayError` 429 at the bound."""
        context.enter(Phase.LOADING)
        key = flow_key(context.tenant, context.adapter)
        if self._loading_of[key] >= self._max_loading - self._loading:
            raise self._overloaded(self._loading)
        self._loading_of[key] += 1
        self._loading += 1
        self._admitted -= 1
        try:
            yield
        finally:
            self._loading -= 1
            self._admitted += 1
            self._loading_of[key] -= 1
            if not self._loading_of[key]:
                del self._loading_of[key]

    @contextlib.asynccontextmanager
    async def engine_slot(self, context: RequestContext, adapter: Adapter | None) -> AsyncIterator[None]:
        """Wait in the queue for an engine slot, in turns (`FairQueue`), and hold it during the block.

        `adapter` is loaded; None for the base model. Sets `context.used_tokens`. Raises `GatewayError` 429.
        """
        context.enter(Phase.QUEUE)
        context.used_tokens = 0
        ticket = self._queue.add(adapter, context.tokens)
        self._start()
        try:
            if ticket.state is not TicketState.STARTED:
                await self._wait(ticket, check=Phase.LOADING not in context.waited)
            context.enter(Phase.ENGINE)
            began = time.monotonic()
            self.in_use.increment()
            try:
                # One that is cancelled has used what it asked for: the engine's count comes with the end.
                context.used_tokens = context.tokens
                yield
            except GatewayError:
                context.used_tokens = context.usage.total
                raise
            else:
                context.used_tokens = context.usage.total or context.tokens
            finally:
                self.in_use.decrement()
                seconds = time.monotonic() - began
                self._mean_slot_seconds += _NEWEST * (seconds - self._mean_slot_seconds)
        finally:
            self._queue.leave(ticket, context.used_tokens)
            self._start()

    async def _wait(self, ticket: Ticket, *, check: bool) -> None:
        """Wait until the ticket is started; with `check` some request is refused if the queue is full."""
        waiter = self._waiters[ticket] = asyncio.get_running_loop().create_future()
        self.waiting.increment()
        try:
            if check and self._queue.waiting > self._max_waiting:
                self._refuse(self._queue.newest_of_longest(ticket))
            await waiter
        finally:
            self.waiting.decrement()
            self._waiters.pop(ticket, None)

    def _refuse(self, ticket: Ticket) -> None:
        """Refuse a waiting request."""
        waiter = self._waiters[ticket]
        # One that is done was cancelled, and its task has not run yet.
        if not waiter.done():
            waiter.set_exception(self._refusal(ticket))
            # Its task may be cancelled before it sees the error, which asyncio would log.
            waiter.exception()
        self._queue.leave(ticket)

    def _start(self) -> None:
        """Start all requests that may start."""
        while (ticket := self._queue.start_next()) is not None:
            waiter = self._waiters.get(ticket)
            # One without a waiter has just been added.
            if waiter is not None and waiter.done():
                # It was cancelled, and its task has not run yet.
                self._queue.leave(ticket)
            elif waiter is not None:
                waiter.set_result(None)

    def _bucket(self, of: FlowKey, limit: int, tokens: int) -> TokenBucket:
        """Return the bucket of an adapter or tenant; raise `GatewayError` 429 if it has too few tokens."""
        now = time.monotonic()
        bucket = self._buckets.get(of)
        if bucket is None:
            bucket = self._buckets[of] = TokenBucket(limit, now)
        bucket.set_limit(limit, now)
        seconds = bucket.wait(tokens, now)
        if seconds:
            raise _limit_error(of, f"{limit} tokens per minute", seconds)
        return bucket

    def _refusal(self, ticket: Ticket) -> GatewayError:
        """Return the error of a request for which the queue has no room, with the limit that made it wait."""
        line, flow = ticket.line, ticket.line.flow
        for of, limits, in_flight in (
            (("adapter", line.name), line.limits, line.in_flight),
            (flow.key, flow.limits, flow.in_flight),
        ):
            limit = limits.max_concurrent
            if limit is not None and in_flight >= limit:
                seconds = self._mean_slot_seconds * flow.waiting / limit
                return _limit_error(of, f"{limit} requests at once", seconds)
        # Without the request itself, which still waits.
        return self._overloaded(self._queue.in_flight + self._queue.waiting - 1)

    def _overloaded(self, ahead: int) -> GatewayError:
        # The time in which the engine completes what is ahead of a new request.
        seconds = self._mean_slot_seconds * ahead / self._running
        return GatewayError(
            429,
            "overloaded",
            "Model is overloaded: try again later",
            retry_after_seconds=min(max(1, math.ceil(seconds)), MAX_RETRY_AFTER_SECONDS),
        )


def _limit_error(of: FlowKey, limit: str, seconds: float) -> GatewayError:
    """Return the error of a request that is over its adapter's or tenant's limit."""
    kind, name = of
    return GatewayError(
        429,
        TENANT_LIMIT if kind == "tenant" else ADAPTER_LIMIT,
        f"{kind.capitalize()} {name!r} is at its limit of {limit} on this instance: try again later, or have "
        "the limit raised in the manifest",
        retry_after_seconds=max(1, math.ceil(seconds)),
    )
