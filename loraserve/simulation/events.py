"""Simulation by events: each request arrives, waits, is served and leaves at its own time.

The instance with the fewest requests takes the next one (SageMaker's `LEAST_OUTSTANDING_REQUESTS`). An
instance works on all its running requests at the same speed, which depends on their number: with `c` of
them, a request of work 1 takes `LatencyModel.seconds(c)`. Requests beyond its `max_in_flight` wait in their
order. No request is refused, and none times out.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from loraserve.simulation.outcome import LATENCY_PERCENTS, WAIT_PERCENTS, PolicyOutcome
from loraserve.simulation.scaled_fleet import ScaledFleet, instance_hours
from loraserve.simulation.scaling_candidate import ScalingCandidate
from loraserve.simulation.scenario import ScalingScenario
from stacks.sizing.throughput import LatencyModel

#: Requests between two calls of `advance`.
_STEP = 10_000


@dataclass(frozen=True, kw_only=True)
class ColdAdapters:
    """Loading of adapters into an instance that does not have them, e.g. after it was added."""

    adapter: NDArray[np.int32]
    """Adapter of each request; negative for the base model."""
    load_s: float
    slots: int
    """Adapters that an instance keeps, the most recently used ones."""


class _Instance:
    """An instance as a server that its running requests share."""

    __slots__ = (
        "_each_s",
        "_last_s",
        "_most",
        "_resident",
        "_running",
        "_work_done",
        "count",
        "version",
        "waiting",
    )

    def __init__(self, each_s: list[float], now_s: float) -> None:
        """`each_s`: seconds of a request of work 1, by the number of running requests."""
        self._each_s = each_s
        self._most = len(each_s) - 1
        self._last_s = now_s
        self._work_done = 0.0
        """Work that each request would have got that has been running since the beginning."""
        self._running: list[tuple[float, int]] = []
        self._resident: OrderedDict[int, None] = OrderedDict()
        self.waiting: deque[int] = deque()
        self.count = 0
        """Requests that run or wait."""
        self.version = 0
        """Grows when the time of the next departure changes."""

    def has_room(self) -> bool:
        """Return whether the next request runs at once."""
        return len(self._running) < self._most

    def begin(self, now_s: float, request: int, work: float, cold: ColdAdapters | None) -> None:
        """Let a request run."""
        self._move_to(now_s)
        if cold is not None and (adapter := int(cold.adapter[request])) >= 0:
            if adapter not in self._resident:
                work += cold.load_s / self._each_s[len(self._running) + 1]
            self._resident[adapter] = None
            self._resident.move_to_end(adapter)
            if len(self._resident) > cold.slots:
                self._resident.popitem(last=False)
        heappush(self._running, (self._work_done + work, request))

    def finish(self, now_s: float) -> int:
        """End the request that is due at `now_s`, and return it."""
        self._last_s = now_s
        self._work_done, request = heappop(self._running)
        return request

    def next_departure_s(self) -> float:
        """Return the time of the next departure if no request arrives before it; infinite without one."""
        self.version += 1
        if not self._running:
            return math.inf
        work = self._running[0][0] - self._work_done
        return self._last_s + work * self._each_s[len(self._running)]

    def _move_to(self, now_s: float) -> None:
        self._work_done += (now_s - self._last_s) / self._each_s[len(self._running)]
        self._last_s = now_s


class _Run:
    """The state of one simulation."""

    def __init__(
        self,
        due_s: NDArray[np.float64],
        work: NDArray[np.float64] | None,
        cold: ColdAdapters | None,
        latency: LatencyModel,
        fleet: ScaledFleet,
    ) -> None:
        self._due_s: list[float] = due_s.tolist()
        self._work = [1.0] * len(due_s) if work is None else work.tolist()
        self._cold = cold
        # No request runs on an idle instance: any number but 0.
        self._each_s = [1.0] + [latency.seconds(count) for count in range(1, latency.max_in_flight + 1)]
        self._fleet = fleet
        self._instances = [_Instance(self._each_s, 0.0) for _ in range(fleet.serving)]
        self._departures: list[tuple[float, int, int, _Instance]] = []
        self._order = 0
        self.latency_s = [math.nan] * len(due_s)
        self.wait_s = [0.0] * len(due_s)
        self.in_flight = 0

    @property
    def next_departure_s(self) -> float:
        while self._departures and self._departures[0][1] != self._departures[0][3].version:
            heappop(self._departures)
        return self._departures[0][0] if self._departures else math.inf

    def follow_fleet(self, now_s: float) -> None:
        """Add the instances that became ready, remove those that the fleet no longer has."""
        while len(self._instances) < self._fleet.serving:
            self._instances.append(_Instance(self._each_s, now_s))
        # The newest are removed: assumed. Their requests are served to the end.
        del self._instances[self._fleet.serving :]

    def arrive(self, request: int) -> None:
        now_s = self._due_s[request]
        instance = min(self._instances, key=_count)
        instance.count += 1
        self.in_flight += 1
        if instance.has_room():
            instance.begin(now_s, request, self._work[request], self._cold)
            self._follow(instance)
        else:
            instance.waiting.append(request)

    def depart(self) -> None:
        """End the request whose departure is next."""
        now_s, _, _, instance = heappop(self._departures)
        request = instance.finish(now_s)
        self.latency_s[request] = now_s - self._due_s[request]
        instance.count -= 1
        self.in_flight -= 1
        if instance.waiting:
            waiting = instance.waiting.popleft()
            self.wait_s[waiting] = now_s - self._due_s[waiting]
            instance.begin(now_s, waiting, self._work[waiting], self._cold)
        self._follow(instance)

    def _follow(self, instance: _Instance) -> None:
        departure_s = instance.next_departure_s()
        if departure_s < math.inf:
            self._order += 1
            heappush(self._departures, (departure_s, instance.version, self._order, instance))


def simulate_events(
    due_s: NDArray[np.float64],
    policy: ScalingCandidate,
    scenario: ScalingScenario,
    *,
    work: NDArray[np.float64] | None = None,
    cold: ColdAdapters | None = None,
    advance: Callable[[int], None] = lambda requests: None,
) -> PolicyOutcome:
    """Simulate a policy on requests, each by itself.

    Args:
        due_s: arrival times, ascending, below `scenario.duration_s`.
        policy: the policy.
        scenario: instances, SLO and time.
        work: work of each request, in units of the request that `scenario.latency` is of; None: 1 each.
        cold: loading of adapters; None: without.
        advance: called with a number of requests that have arrived since the last call.
    """
    fleet = scenario.fleet(policy)
    run = _Run(due_s, work, cold, scenario.latency, fleet)
    end_s, period_s = scenario.duration_s, policy.tracking.period_s
    arrivals, next_arrival, period_end = due_s.tolist(), 0, period_s
    last_s = in_flight_s = invocations = 0.0
    tracks_flight = policy.metric == "concurrent_requests"
    while True:
        arrival_s = arrivals[next_arrival] if next_arrival < len(arrivals) else math.inf
        departure_s = run.next_departure_s
        now_s = min(arrival_s, departure_s, period_end, fleet.next_s)
        if now_s >= end_s:
            break
        in_flight_s += run.in_flight * (now_s - last_s)
        last_s = now_s
        if now_s == departure_s:
            run.depart()
        elif now_s == period_end:
            value = in_flight_s / period_s / fleet.serving if tracks_flight else invocations
            fleet.observe(now_s, value or None)
            in_flight_s = invocations = 0.0
            period_end += period_s
        elif now_s == fleet.next_s:
            fleet.advance(now_s)
            run.follow_fleet(now_s)
        else:
            invocations += 1 / fleet.serving
            run.arrive(next_arrival)
            next_arrival += 1
            if next_arrival % _STEP == 0:
                advance(_STEP)
    advance(next_arrival % _STEP)
    in_flight = run.in_flight
    while run.next_departure_s < math.inf:
        run.depart()
    latency_s, wait_s = np.array(run.latency_s[:next_arrival]), np.array(run.wait_s[:next_arrival])
    counted = due_s[:next_arrival] >= scenario.warm_up_s
    latencies, waits = latency_s[counted], wait_s[counted]
    return PolicyOutcome(
        policy=policy,
        misses=_share(latencies > scenario.slo_s),
        latency_s=_percentiles(latencies, LATENCY_PERCENTS),
        waited=_share(waits > 0),
        wait_s=_percentiles(waits, WAIT_PERCENTS),
        instance_hours=instance_hours(fleet.sizes, scenario.warm_up_s, scenario.duration_s),
        hours=(scenario.duration_s - scenario.warm_up_s) / 3600,
        sizes=tuple(fleet.sizes),
        arrived=next_arrival,
        served=next_arrival - in_flight,
        in_flight=in_flight,
    )


def _share(requests: NDArray[np.bool_]) -> float:
    return float(requests.mean()) if len(requests) else 0.0


def _percentiles(values: NDArray[np.float64], percents: tuple[int, ...]) -> dict[int, float]:
    if not len(values):
        return dict.fromkeys(percents, 0.0)
    return dict(zip(percents, np.percentile(values, percents).tolist(), strict=True))


def _count(instance: _Instance) -> int:
    return instance.count
