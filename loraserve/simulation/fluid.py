"""Simulation in steps of a second, with requests as a fluid: fast enough for weeks of traffic.

All policies are simulated at once, as arrays of one number per policy. The requests in flight spread evenly
over the instances that serve, those that waited for an older instance included: a fleet that has a queue
empties it sooner than in `events.py`, once instances were added.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from loraserve.simulation.outcome import LATENCY_PERCENTS, WAIT_PERCENTS, PolicyOutcome
from loraserve.simulation.scaled_fleet import ScaledFleet, instance_hours
from loraserve.simulation.scaling_candidate import ScalingCandidate
from loraserve.simulation.scenario import Scenario

Floats = NDArray[np.float64]

#: Seconds whose latencies are kept until they are counted.
_BLOCK_S = 3600
#: Bins of the latencies: 1 % wide, from 10 ms to 28 hours.
_BINS = np.geomspace(0.01, 1e5, 1621)
#: Mean requests in flight below which a period without arrivals has no value: the fluid never reaches 0.
_IDLE = 0.05


class _Latencies:
    """Latencies and waits of each policy, weighted with the arrivals."""

    def __init__(self, policies: int, slo_s: float) -> None:
        self._slo_s = slo_s
        self._arrivals = 0.0
        self._missed = np.zeros(policies)
        self._waited = np.zeros(policies)
        self._latencies = np.zeros((policies, len(_BINS) + 1))
        self._waits = np.zeros((policies, len(_BINS) + 1))

    def add(self, arrivals: Floats, latency_s: Floats, service_s: Floats) -> None:
        """Count the latencies of seconds (rows) by policies (columns)."""
        wait_s = latency_s - service_s
        self._arrivals += float(arrivals.sum())
        self._missed += arrivals @ (latency_s > self._slo_s)
        self._waited += arrivals @ (wait_s > 1e-9)
        for policy in range(latency_s.shape[1]):
            for bins, values in ((self._latencies, latency_s), (self._waits, wait_s)):
                found = np.searchsorted(_BINS, values[:, policy])
                bins[policy] += np.bincount(found, arrivals, len(_BINS) + 1)

    def misses(self, policy: int) -> float:
        return float(self._missed[policy] / self._arrivals) if self._arrivals else 0.0

    def waited(self, policy: int) -> float:
        return float(self._waited[policy] / self._arrivals) if self._arrivals else 0.0

    def latency_s(self, policy: int, percent: float) -> float:
        return self._percentile(self._latencies[policy], percent)

    def wait_s(self, policy: int, percent: float) -> float:
        return self._percentile(self._waits[policy], percent)

    def _percentile(self, counts: Floats, percent: float) -> float:
        if not self._arrivals:
            return 0.0
        found = int(np.searchsorted(np.cumsum(counts), percent / 100 * self._arrivals))
        return 0.0 if found == 0 else float(_BINS[min(found, len(_BINS) - 1)])


def simulate_fluid(
    arrivals: Floats,
    policies: Sequence[ScalingCandidate],
    scenario: Scenario,
    *,
    advance: Callable[[int], None] = lambda seconds: None,
) -> list[PolicyOutcome]:
    """Simulate policies on the number of arrivals in each second.

    Args:
        arrivals: requests of each second; as many as `scenario.duration_s` has.
        policies: the policies. Their periods are whole seconds.
        scenario: instances, SLO and time.
        advance: called with a number of seconds that were simulated since the last call.
    """
    count, latency = len(policies), scenario.latency
    fleets = [scenario.fleet(policy) for policy in policies]
    periods = [round(policy.tracking.period_s) for policy in policies]
    step = math.gcd(*periods)
    tracks_flight = [policy.metric == "concurrent_requests" for policy in policies]
    serving = np.array([float(fleet.serving) for fleet in fleets])
    in_flight, each, running = np.zeros(count), np.empty(count), np.empty(count)
    in_flight_s, invocations, requests = np.zeros(count), np.zeros(count), np.zeros(count)
    latencies = _Latencies(count, scenario.slo_s)
    block, services = np.empty((_BLOCK_S, count)), np.empty((_BLOCK_S, count))
    served = np.zeros(count)
    next_s = min(fleet.next_s for fleet in fleets)
    for second, arrived in enumerate(arrivals.tolist()):
        if second >= next_s:
            _advance(fleets, second, serving)
            next_s = min(fleet.next_s for fleet in fleets)
        row, service = block[second % _BLOCK_S], services[second % _BLOCK_S]
        # A lone request has its instance to itself.
        np.maximum(np.divide(in_flight, serving, out=each), 1.0, out=each)
        np.minimum(each, latency.max_in_flight, out=running)
        np.add(np.multiply(running, latency.per_request_s, out=service), latency.base_s, out=service)
        np.divide(np.multiply(service, each, out=row), running, out=row)
        # Each request in flight leaves at the rate 1/latency, and the second's arrivals spread over it: an
        # exponential approach to the number at which as many leave as arrive.
        steady = arrived * row
        leaving = (in_flight - steady) * -np.expm1(-1.0 / row)
        in_flight -= leaving
        served += leaving + arrived
        in_flight_s += steady + leaving * row
        if arrived:
            invocations += arrived / serving
            requests += arrived
        end = second + 1
        if end % step == 0:
            for index in range(count):
                if end % periods[index]:
                    continue
                flight = in_flight_s[index] / periods[index]
                idle = requests[index] == 0 and flight < _IDLE
                value = flight / serving[index] if tracks_flight[index] else invocations[index]
                fleets[index].observe(end, None if idle or not value else float(value))
                in_flight_s[index] = invocations[index] = requests[index] = 0.0
            next_s = min(next_s, *(fleet.next_s for fleet in fleets))
        if end % _BLOCK_S == 0 or end == len(arrivals):
            _count_block(latencies, arrivals, end, scenario.warm_up_s, block, services)
            advance((end - 1) % _BLOCK_S + 1)
    return [
        PolicyOutcome(
            policy=policy,
            misses=latencies.misses(index),
            latency_s={percent: latencies.latency_s(index, percent) for percent in LATENCY_PERCENTS},
            waited=latencies.waited(index),
            wait_s={percent: latencies.wait_s(index, percent) for percent in WAIT_PERCENTS},
            instance_hours=instance_hours(fleet.sizes, scenario.warm_up_s, scenario.duration_s),
            hours=(scenario.duration_s - scenario.warm_up_s) / 3600,
            sizes=tuple(fleet.sizes),
            arrived=float(arrivals.sum()),
            served=float(served[index]),
            in_flight=float(in_flight[index]),
        )
        for index, (policy, fleet) in enumerate(zip(policies, fleets, strict=True))
    ]


def _advance(fleets: Sequence[ScaledFleet], now_s: float, serving: Floats) -> None:
    for index, fleet in enumerate(fleets):
        if fleet.next_s <= now_s:
            fleet.advance(now_s)
            serving[index] = fleet.serving


def _count_block(
    latencies: _Latencies, arrivals: Floats, end: int, warm_up_s: float, block: Floats, services: Floats
) -> None:
    """Count the seconds of the block that ends at `end`, without those of the warm-up."""
    begin = (end - 1) // _BLOCK_S * _BLOCK_S
    first = max(begin, min(end, math.ceil(warm_up_s)))
    rows = slice(first - begin, end - begin)
    latencies.add(arrivals[first:end], block[rows], services[rows])
