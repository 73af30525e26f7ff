"""Simulation in steps of a second, with requests as a fluid: fast enough for weeks of traffic.

All policies are simulated at once, as arrays of one number per policy. The model is that of `events.py` with
requests of equal work: the requests that run at a time are all as far from their end as the work since their
beginning says, and leave in the order of their arrival. Those in flight spread evenly over the instances that
serve, however: a queue is shared with instances that are added. A second is short against the latency: of
instances that answer faster, those in a queue leave later than in `events.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from loraserve.simulation.outcome import LATENCY_PERCENTS, WAIT_PERCENTS, PolicyOutcome
from loraserve.simulation.scaled_fleet import instance_hours
from loraserve.simulation.scaling_candidate import ScalingCandidate
from loraserve.simulation.scenario import ScalingScenario
from stacks.sizing.throughput import LatencyModel

Floats = NDArray[np.float64]

#: Seconds whose departures are kept until they are counted.
_BLOCK_S: Final = 3600
#: Bins of times: 1 % wide, from 10 ms to 28 hours.
_BINS: Final = np.geomspace(0.01, 1e5, 1621)
#: Values of a metric below it are rounding.
_NOTHING: Final = 1e-9
#: Waits below it are rounding.
_NO_WAIT_S: Final = 0.01


class _Flow:
    """Requests that arrived, began and left, of each policy, as totals since the start."""

    def __init__(self, latency: LatencyModel, serving: Floats) -> None:
        policies = len(serving)
        self._latency = latency
        # A request that began when the work was w leaves when it is w + 1: rows of work and requests begun.
        self._rows = math.ceil(latency.seconds(latency.max_in_flight)) + 3
        # The newest rows overwrite the oldest; `_first` is the index of each policy's row 0 among all.
        self._work_of = np.zeros((policies, self._rows))
        self._begun_of = np.zeros((policies, self._rows))
        self._first = np.arange(policies) * self._rows
        self._leaving = np.zeros(policies, dtype=np.int64)
        """The row of the requests that leave."""
        self._last = 0
        self._work = np.zeros(policies)
        self._serving, self._most = serving, serving * latency.max_in_flight
        self._is_fast = latency.seconds(1) < 1
        self.arrived = 0.0
        self.begun, self.left = np.zeros(policies), np.zeros(policies)
        self._leaves = np.zeros(policies)
        """Requests that left in the last second."""

    def resize(self, serving: Floats) -> None:
        """Change the instances that serve."""
        self._serving, self._most = serving, serving * self._latency.max_in_flight

    def pass_second(self, arrivals: float) -> None:
        """Let a second pass."""
        # In the middle of the second, if as many leave as in the one before. A lone request has its instance
        # to itself.
        running = self.begun - self.left
        running += (arrivals - self._leaves) / 2
        running /= self._serving
        np.maximum(running, 1.0, out=running)
        # More than may run at once run for a while after an instance was removed.
        np.minimum(running, self._latency.max_in_flight, out=running)
        running *= self._latency.per_request_s
        running += self._latency.base_s
        work = self._work + 1.0 / running
        left = np.maximum(self._begun_at(work, arrivals), self.left)
        self._leaves = left - self.left
        self.left = left
        self.arrived += arrivals
        self.begun = np.maximum(np.minimum(self.left + self._most, self.arrived), self.begun)
        self._work = work
        self._last = (self._last + 1) % self._rows
        self._work_of[:, self._last], self._begun_of[:, self._last] = work, self.begun

    def _begun_at(self, work: Floats, arrivals: float) -> Floats:
        """Return the requests that had begun when the work was 1 less, and so have left."""
        done = work - 1.0
        within = None
        if self._is_fast and (done > self._work).any():
            # Latencies below a second: a part of the second's arrivals leaves in it.
            within = self.begun + np.maximum(done - self._work, 0.0) / (work - self._work) * arrivals
            done = np.minimum(done, self._work)
        # No row is passed but those before the last: its work is `self._work`.
        while True:
            after = (self._leaving + 1) % self._rows + self._first
            later = self._work_of.take(after)
            passed = later < done
            if not passed.any():
                break
            self._leaving = (self._leaving + passed) % self._rows
        row = self._leaving + self._first
        work_before, begun = self._work_of.take(row), self._begun_of.take(row)
        share = (done - work_before) / np.maximum(later - work_before, _NOTHING)
        left: Floats = begun + share * (self._begun_of.take(after) - begun)
        return left if within is None else np.where(work - 1.0 > self._work, within, left)


class _Times:
    """Seconds from the arrival of requests to something that happens to them in the order of their arrival.

    For each policy the weights of the bins, and the share above a bound, without a warm-up.
    """

    def __init__(self, arrivals: Floats, policies: int, bound_s: float, warm_up_s: float) -> None:
        self._arrivals = arrivals
        # The requests of a second are counted as one in its middle.
        self._totals = np.cumsum(arrivals) - arrivals / 2
        self._bound_s = bound_s
        self._first = math.ceil(warm_up_s)
        self._next = [0] * policies
        self._above = np.zeros(policies)
        self._bins = np.zeros((policies, len(_BINS) + 1))

    def add(self, begin_s: int, totals: Floats) -> None:
        """Count what happened in a block of seconds.

        Args:
            begin_s: begin of the block.
            totals: number of requests to which it had happened, at the begin and at the end of each second
                (rows), of each policy (columns).
        """
        times = begin_s + np.arange(len(totals))
        for policy, begin in enumerate(self._next):
            end = int(np.searchsorted(self._totals, totals[-1, policy], side="right"))
            seconds = slice(begin, end)
            passed_s = np.interp(self._totals[seconds], totals[:, policy], times)
            self._count(policy, begin, passed_s - np.arange(begin, end) - 0.5)
            self._next[policy] = end

    def add_rest(self, end_s: int) -> None:
        """Count the requests to which it has not happened, as if it did at the end."""
        for policy, begin in enumerate(self._next):
            self._count(policy, begin, end_s - np.arange(begin, len(self._arrivals)) - 0.5)

    def _count(self, policy: int, begin: int, times_s: NDArray[np.floating[Any]]) -> None:
        skipped = max(0, self._first - begin)
        times_s, weights = times_s[skipped:], self._arrivals[begin + skipped : begin + len(times_s)]
        self._above[policy] += weights @ (times_s > self._bound_s)
        self._bins[policy] += np.bincount(np.searchsorted(_BINS, times_s), weights, len(_BINS) + 1)

    def above(self, policy: int) -> float:
        """Return the share of the requests above the bound."""
        total = self._bins[policy].sum()
        return float(self._above[policy] / total) if total else 0.0

    def percentiles(self, policy: int, percents: Sequence[int]) -> dict[int, float]:
        """Return percentiles, to 1 %; 0 for less than 10 ms."""
        sums = np.cumsum(self._bins[policy])
        found = {percent: int(np.searchsorted(sums, percent / 100 * sums[-1])) for percent in percents}
        return {
            percent: float(_BINS[min(row, len(_BINS) - 1)]) if row else 0.0 for percent, row in found.items()
        }


def simulate_fluid(
    arrivals: Floats,
    policies: Sequence[ScalingCandidate],
    scenario: ScalingScenario,
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
    count = len(policies)
    fleets = [scenario.fleet(policy) for policy in policies]
    periods = [round(policy.tracking.period_s) for policy in policies]
    step = math.gcd(*periods)
    tracks_flight = [policy.metric == "concurrent_requests" for policy in policies]
    serving = np.array([float(fleet.serving) for fleet in fleets])
    flow = _Flow(scenario.latency, serving)
    # Requests that arrived since `invocations` was brought up to date, and in flight before the block's row.
    invocations, uncounted = np.zeros(count), 0.0
    latencies = _Times(arrivals, count, scenario.slo_s, scenario.warm_up_s)
    waits = _Times(arrivals, count, _NO_WAIT_S, scenario.warm_up_s)
    left, begun = np.zeros((_BLOCK_S + 1, count)), np.zeros((_BLOCK_S + 1, count))
    totals = np.concatenate([[0.0], np.cumsum(arrivals)])
    next_s = min(fleet.next_s for fleet in fleets)
    for second, arrived in enumerate(arrivals.tolist()):
        if second >= next_s:
            for fleet in fleets:
                if fleet.next_s <= second:
                    fleet.advance(second)
            next_s = min(fleet.next_s for fleet in fleets)
            invocations += uncounted / serving
            uncounted = 0.0
            serving = np.array([float(fleet.serving) for fleet in fleets])
            flow.resize(serving)
        flow.pass_second(arrived)
        uncounted += arrived
        end = second + 1
        row = second % _BLOCK_S + 1
        left[row], begun[row] = flow.left, flow.begun
        if end % step == 0:
            invocations += uncounted / serving
            uncounted = 0.0
            for index, period in enumerate(periods):
                if end % period == 0:
                    if tracks_flight[index]:
                        in_flight = totals[end - period : end + 1] - left[row - period : row + 1, index]
                        mean = (in_flight.sum() - (in_flight[0] + in_flight[-1]) / 2) / period
                        value = float(mean / serving[index])
                    else:
                        value = float(invocations[index])
                    fleets[index].observe(end, value if value > _NOTHING else None)
                    invocations[index] = 0.0
            next_s = min(next_s, *(fleet.next_s for fleet in fleets))
        if row == _BLOCK_S or end == len(arrivals):
            latencies.add(end - row, left[: row + 1])
            waits.add(end - row, begun[: row + 1])
            left[0], begun[0] = flow.left, flow.begun
            advance(row)
    latencies.add_rest(len(arrivals))
    waits.add_rest(len(arrivals))
    return [
        PolicyOutcome(
            policy=policy,
            misses=latencies.above(index),
            latency_s=latencies.percentiles(index, LATENCY_PERCENTS),
            waited=waits.above(index),
            wait_s=waits.percentiles(index, WAIT_PERCENTS),
            instance_hours=instance_hours(fleet.sizes, scenario.warm_up_s, scenario.duration_s),
            hours=(scenario.duration_s - scenario.warm_up_s) / 3600,
            sizes=tuple(fleet.sizes),
            arrived=flow.arrived,
            served=float(flow.left[index]),
            in_flight=float(flow.arrived - flow.left[index]),
        )
        for index, (policy, fleet) in enumerate(zip(policies, fleets, strict=True))
    ]
