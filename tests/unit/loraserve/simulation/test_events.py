"""Simulation by events."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loraserve.simulation.events import ColdAdapters, simulate_events
from loraserve.simulation.scaled_fleet import SizeChange
from stacks.sizing.throughput import LatencyModel
from tests.unit.loraserve.simulation.building import fixed, policy, scenario


def _erlang_c(servers: int, load: float) -> float:
    """Return the probability of waiting in M/M/c."""
    idle = sum(load**k / math.factorial(k) for k in range(servers))
    full = load**servers / math.factorial(servers) * servers / (servers - load)
    return full / (idle + full)


@pytest.mark.parametrize("servers", [1, 2, 5])
@pytest.mark.parametrize("used", [0.5, 0.8])
def test_as_many_requests_wait_as_erlang_c_says(servers: int, used: float) -> None:
    random, count = np.random.default_rng(1), 40_000
    due_s = np.cumsum(random.exponential(1 / (used * servers), count))
    outcome = simulate_events(
        due_s,
        fixed(1),
        scenario(due_s[-1] + 1, LatencyModel(1, 0, servers)),
        work=random.exponential(1, count),
    )
    assert outcome.waited == pytest.approx(_erlang_c(servers, used * servers), rel=0.03)


def test_running_requests_share_their_instance() -> None:
    # Alone 2 s. With two in flight each takes 3 s: the second begins when the first has half of its work done.
    outcome = simulate_events(np.array([0.0, 1.0]), fixed(1), scenario(60, LatencyModel(1, 1, 8)))
    # At 1 s: half of the first is left, for 1.5 s together. Then half of the second's is left, for 1 s alone.
    assert outcome.latency_s[50] == pytest.approx((2.5 + 2.5) / 2)


def test_requests_beyond_those_that_run_at_once_wait_in_their_order() -> None:
    outcome = simulate_events(np.zeros(4), fixed(1), scenario(60, LatencyModel(1, 0, 2)))
    assert outcome.waited == 0.5
    assert (outcome.wait_s[99], outcome.latency_s[99]) == (1.0, 2.0)
    assert outcome.misses == 0


def test_the_instance_with_the_fewest_requests_takes_the_next_one() -> None:
    outcome = simulate_events(np.zeros(6), fixed(3), scenario(60, LatencyModel(1, 1, 2)))
    assert outcome.waited == 0
    assert outcome.latency_s[99] == 3.0


def test_a_request_waits_for_an_adapter_that_its_instance_does_not_have() -> None:
    cold = ColdAdapters(adapter=np.array([0, 0, 1, 2, 0, -1], dtype=np.int32), load_s=0.5, slots=2)
    outcome = simulate_events(
        np.arange(6) * 10.0, fixed(1), scenario(60, LatencyModel(1, 0, 8), slo_s=1.4), cold=cold
    )
    # The first three adapters are loaded, and the first again: two others were used since.
    assert outcome.misses == pytest.approx(4 / 6)


def test_every_request_is_served_or_in_flight_and_hours_are_the_integral_of_instances() -> None:
    due_s = np.sort(np.random.default_rng(0).uniform(0, 3600, 36_000))
    outcome = simulate_events(due_s, policy(10), scenario(3600))
    assert outcome.arrived == 36_000 == outcome.served + outcome.in_flight
    assert outcome.in_flight > 0
    ends = [size.at_s for size in outcome.sizes[1:]] + [3600]
    seconds = sum((end - size.at_s) * size.capacity for size, end in zip(outcome.sizes, ends, strict=True))
    assert outcome.instance_hours == pytest.approx(seconds / 3600)
    assert outcome.mean_instances == pytest.approx(seconds / 3600)


def test_a_fleet_scales_out_after_three_periods_and_the_metrics_delay() -> None:
    # 10 requests per second of 2.43 s each are 24.3 in flight, and 3 instances keep 10.
    due_s = np.arange(0, 600, 0.1)
    outcome = simulate_events(due_s, policy(10), scenario(600))
    first, added, ready = outcome.sizes[:3]
    assert first == SizeChange(0.0, 1, 1)
    assert (added.at_s, added.serving) == (50.0, 1)
    assert added.capacity >= 3
    assert ready == SizeChange(380.0, added.capacity, added.capacity)


def test_invocations_are_seen_after_three_minutes_and_two_of_delay() -> None:
    due_s = np.arange(0, 600, 0.1)
    outcome = simulate_events(due_s, policy(200, "invocations_per_instance"), scenario(600))
    assert outcome.sizes[1] == SizeChange(300.0, 1, 3)


def test_the_warm_up_counts_neither_as_misses_nor_as_cost() -> None:
    due_s = np.concatenate([np.zeros(500), np.arange(100.0, 200.0)])
    outcome = simulate_events(due_s, fixed(1), scenario(200, warm_up_s=100))
    assert outcome.misses == 0
    assert outcome.instance_hours == pytest.approx(100 / 3600)
