"""The load of endpoints, in the two metrics that a policy of a variant tracks.

`ConcurrentRequestsPerModel` counts requests from the client's request to the last byte of the response, so
those that a container queues count. `InvocationsPerInstance` adds 1/number of instances at each request (the
API reference's `ScalingPolicyMetric`).
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class LoadReading:
    """Sums since the start of the laptop cloud; a period's load is the difference of two readings."""

    at_s: float
    """Time of the reading, by the clock of Application Auto Scaling."""
    request_seconds: float
    """Integral of the requests in flight."""
    invocations: float
    """Requests, each divided by the number of instances at its time."""


class VariantLoad:
    """The load of each endpoint, which has one variant. Used on the event loop only."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` returns the time by the clock of Application Auto Scaling."""
        self._now = now
        self._counters: defaultdict[str, _Counter] = defaultdict(lambda: _Counter(now()))

    @contextlib.contextmanager
    def request(self, endpoint: str, instances: int) -> Iterator[None]:
        """Count one request as in flight during the block; `instances` are in service."""
        counter = self._counters[endpoint]
        counter.invocations += 1 / instances
        counter.change(self._now(), 1)
        try:
            yield
        finally:
            counter.change(self._now(), -1)

    def read(self, endpoint: str) -> LoadReading:
        """Return the sums up to now."""
        counter, at = self._counters[endpoint], self._now()
        counter.change(at, 0)
        return LoadReading(at, counter.request_seconds, counter.invocations)


class _Counter:
    def __init__(self, at: float) -> None:
        self.invocations = 0.0
        self.request_seconds = 0.0
        self._in_flight = 0
        self._since = at

    def change(self, at: float, by: int) -> None:
        self.request_seconds += self._in_flight * (at - self._since)
        self._since = at
        self._in_flight += by


def concurrent_requests(before: LoadReading, after: LoadReading, instances: int) -> float:
    """Return the mean number of requests in flight per instance between two readings."""
    return (after.request_seconds - before.request_seconds) / (after.at_s - before.at_s) / instances


def invocations_per_instance(before: LoadReading, after: LoadReading, instances: int) -> float:
    """Return the requests per minute and instance between two readings; `instances` are in the readings."""
    return (after.invocations - before.invocations) * 60 / (after.at_s - before.at_s)
