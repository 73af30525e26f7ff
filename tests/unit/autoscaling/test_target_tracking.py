"""Target tracking: when the alarms act, and what they ask for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from autoscaling.target_tracking import AlarmState, TargetTrackingPolicy, decide, tracking_policy

POLICY = tracking_policy("invocations_per_instance", target=100, min_instances=1, max_instances=10)
FAST = tracking_policy(
    "concurrent_requests",
    target=10,
    min_instances=1,
    max_instances=10,
    out_cooldown_s=300,
    in_cooldown_s=600,
)


def _capacities(
    policy: TargetTrackingPolicy, values: Iterable[float | None], capacity: int = 2, updating_s: float = 0
) -> list[int]:
    """Return the desired capacity after each period. A scale-out takes `updating_s`."""
    state, found, updating_until = AlarmState(), [], -1.0
    for position, value in enumerate(values, 1):
        now = position * policy.period_s
        state, wanted = decide(policy, state, now, value, capacity, updating=now < updating_until)
        if wanted > capacity:
            updating_until = now + updating_s
        capacity = wanted
        found.append(capacity)
    return found


@pytest.mark.parametrize(
    ("values", "capacities"),
    [
        pytest.param([150] * 3, [2, 2, 3], id="the third period above the target, not the second"),
        pytest.param([150, 150, 100, 150, 150], [2] * 5, id="a value at the target resets the count"),
        pytest.param([100.1] * 3, [2, 2, 3], id="the number of instances is rounded up"),
        pytest.param([100] * 4, [2] * 4, id="a value at the target is no breach"),
        pytest.param([500] * 3, [2, 2, 10], id="in proportion to the metric"),
        pytest.param([5000] * 4, [2, 2, 10, 10], id="at most the maximum"),
        pytest.param([150, None, 150, 150], [2, 2, 2, 3], id="a period without data is left out"),
        pytest.param([150, 150, None], [2, 2, 2], id="no data, no change"),
        pytest.param(
            [150, 150, None, None, None, 150, 150, 150], [2] * 7 + [3], id="no data for all periods"
        ),
    ],
)
def test_the_high_alarm(values: list[float | None], capacities: list[int]) -> None:
    assert _capacities(POLICY, values) == capacities


@pytest.mark.parametrize(
    ("values", "capacity", "changes"),
    [
        pytest.param([40] * 15, 4, {15: 2}, id="the fifteenth minute, not the fourteenth"),
        pytest.param([40] * 14 + [90] + [40] * 14, 4, {}, id="a value at nine tenths resets the count"),
        pytest.param([89.9] * 15, 10, {15: 9}, id="89.9 % of the target"),
        pytest.param([90.1] * 20, 10, {}, id="90.1 % of the target"),
        pytest.param([89] * 15, 4, {}, id="one instance less would be above the target"),
        pytest.param([0] * 15, 4, {15: 1}, id="at least the minimum"),
        pytest.param([None] * 40, 4, {}, id="no data is no low load"),
        pytest.param([40] * 7 + [None] + [40] * 8, 4, {16: 2}, id="a period without data is left out"),
        pytest.param([40] * 15 + [70] * 5, 4, {15: 2}, id="the cooldown blocks the next removal"),
        pytest.param([40] * 15 + [40] * 5, 4, {15: 2, 20: 1}, id="until it has ended"),
        pytest.param([40] * 15 + [500] * 3, 4, {15: 2, 18: 10}, id="an addition does not wait for it"),
    ],
)
def test_the_low_alarm(values: list[float | None], capacity: int, changes: dict[int, int]) -> None:
    found = _capacities(POLICY, values, capacity)
    before = [capacity, *found]
    assert {n: new for n, new in enumerate(found, 1) if new != before[n - 1]} == changes


def test_high_resolution_acts_after_30_seconds_and_after_15_minutes() -> None:
    assert _capacities(FAST, [15, 15, 15]) == [2, 2, 3]
    assert _capacities(FAST, [4] * 90)[-2:] == [2, 1]
    assert _capacities(FAST, [4] * 89 + [9] + [4] * 89)[-1] == 2


def test_an_addition_in_a_cooldown_counts_the_one_before() -> None:
    """AWS's example: 2 were added; a step of 3 in the cooldown adds 1."""
    state, capacity = decide(POLICY, AlarmState(high=2), 0, 150, 4)
    assert capacity == 6
    state, capacity = decide(POLICY, state, 60, 150, 6)
    assert capacity == 6
    state, capacity = decide(POLICY, state, 120, 175, 6)
    assert capacity == 7
    # Its cooldown begins anew, and all 3 count.
    state, capacity = decide(POLICY, state, 400, 175, 7)
    assert capacity == 7
    state, capacity = decide(POLICY, state, 420, 125, 7)
    assert capacity == 9


def test_nothing_changes_while_instances_start_and_the_cooldown_begins_after_them() -> None:
    # 2 instances are added after 30 s and start for 330 s. In the 300 s after that, 1.5 times the target of
    # the first 2 instances are no larger addition.
    capacities = _capacities(FAST, [20] * 33 + [40] * 2 + [15] * 30, updating_s=330)
    assert capacities == [2, 2] + [4] * 62 + [6]


def test_an_addition_ends_the_cooldown_of_a_removal() -> None:
    state, capacity = decide(POLICY, AlarmState(low=14), 0, 40, 4)
    state, capacity = decide(POLICY, replace(state, high=2), 60, 300, capacity)
    assert capacity == 6
    state, capacity = decide(POLICY, replace(state, low=14), 120, 10, capacity)
    assert capacity == 1


def test_a_capacity_outside_the_bounds_comes_into_them() -> None:
    assert decide(POLICY, AlarmState(), 0, 100, 12)[1] == 10
    assert decide(replace(POLICY, min_instances=3), AlarmState(), 0, None, 1)[1] == 3
