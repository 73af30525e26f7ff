"""Simulation in steps of a second, against that by events."""

from __future__ import annotations

import numpy as np
import pytest

from loraserve.simulation.events import simulate_events
from loraserve.simulation.fluid import simulate_fluid
from loraserve.simulation.simulated_traffic import parse_traffic
from stacks.sizing.throughput import LatencyModel
from tests.unit.loraserve.simulation.building import fixed, policy, scenario


@pytest.mark.parametrize("cv", [1, 2])
def test_both_simulations_of_an_hour_agree(cv: float) -> None:
    traffic = parse_traffic(f"synthetic:slora,rate=15,seconds=3600,cv={cv}", 1, 0)
    policies = [policy(10), policy(25), policy(300, "invocations_per_instance")]
    fluid = simulate_fluid(traffic.arrivals(), policies, scenario(3600))
    for each, outcome in zip(policies, fluid, strict=True):
        events = simulate_events(traffic.workload.due_s, each, scenario(3600))
        assert outcome.misses == pytest.approx(events.misses, abs=0.02), each.name
        assert outcome.instance_hours == pytest.approx(events.instance_hours, rel=0.02), each.name


def test_a_queue_is_emptied_as_fast_as_by_events() -> None:
    # An instance serves 128 requests in 6.8 s: for a minute more arrive.
    due_s = np.concatenate([np.arange(0, 60, 1 / 30), np.arange(60, 300, 1 / 5)])
    exact = simulate_events(due_s, fixed(1), scenario(400))
    [fluid] = simulate_fluid(
        np.bincount(due_s.astype(int), minlength=400).astype(float), [fixed(1)], scenario(400)
    )
    for percent in (50, 95, 99):
        assert fluid.latency_s[percent] == pytest.approx(exact.latency_s[percent], rel=0.03)
    assert fluid.waited == pytest.approx(exact.waited, abs=0.02)


@pytest.mark.parametrize(("instances", "points"), [(1, 0.05), (2, 0.04)])
def test_bursts_of_seconds_overload_an_instance_as_by_events(instances: int, points: float) -> None:
    traffic = parse_traffic("synthetic:slora,rate=10,seconds=1800,cv=8", 1, 0)
    exact = simulate_events(traffic.workload.due_s, fixed(instances), scenario(1800))
    [fluid] = simulate_fluid(traffic.arrivals(), [fixed(instances)], scenario(1800))
    assert exact.misses > 0.3
    assert fluid.misses == pytest.approx(exact.misses, abs=points)


def test_answers_faster_than_a_second_are_in_flight_for_as_long() -> None:
    latency = LatencyModel(0.2, 0.01, 64)
    exact = simulate_events(np.arange(0, 900, 1 / 60), policy(8), scenario(900, latency))
    [fluid] = simulate_fluid(np.full(900, 60.0), [policy(8)], scenario(900, latency))
    assert [size.capacity for size in fluid.sizes] == [size.capacity for size in exact.sizes]
    assert fluid.latency_s[99] == pytest.approx(exact.latency_s[99], rel=0.1)


def test_every_request_is_served_or_in_flight() -> None:
    traffic = parse_traffic("synthetic:slora,rate=15,seconds=1800", 1, 0)
    [outcome] = simulate_fluid(traffic.arrivals(), [policy(20)], scenario(1800))
    assert outcome.arrived == len(traffic.workload)
    assert outcome.served + outcome.in_flight == pytest.approx(outcome.arrived)


def test_policies_do_not_change_each_other() -> None:
    arrivals = parse_traffic("synthetic:slora,rate=15,seconds=1800", 1, 0).arrivals()
    policies = [policy(5), policy(20), policy(200, "invocations_per_instance")]
    together = simulate_fluid(arrivals, policies, scenario(1800))
    for each, outcome in zip(policies, together, strict=True):
        assert simulate_fluid(arrivals, [each], scenario(1800)) == [outcome]
