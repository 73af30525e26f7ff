"""The decayed count of requests, and the merging of several instances' lists."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.names import MAX_NAME_LENGTH
from container.gateway.warm_up.demand import (
    HALF_LIFE_SECONDS,
    LEAST_WEIGHT,
    MAX_NAMES,
    AdapterDemand,
    decayed,
)
from container.gateway.warm_up.demand_list import (
    MAX_BYTES,
    UnreadableDemand,
    demand_list,
    demand_prefix,
    merged,
    parse_demand,
)

#: Seconds between requests, and the adapter of each.
REQUESTS = st.lists(
    st.tuples(st.floats(0, 3 * HALF_LIFE_SECONDS), st.sampled_from("abcdefgh")), min_size=1, max_size=60
)
WEIGHTS = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 1e6))


class Clock:
    def __init__(self) -> None:
        self.now = 1e6

    def __call__(self) -> float:
        return self.now


def replay(requests: list[tuple[float, str]], max_names: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return the counted weights and the true ones."""
    clock = Clock()
    demand = AdapterDemand(max_names=max_names, clock=clock)
    at: list[tuple[float, str]] = []
    for wait, name in requests:
        clock.now += wait
        demand.add(name)
        at.append((clock.now, name))
    true: dict[str, float] = {}
    for when, name in at:
        true[name] = true.get(name, 0.0) + decayed(1.0, clock.now - when)
    return dict(demand.weights()), true


def test_a_request_loses_half_its_weight_in_a_half_life() -> None:
    clock = Clock()
    demand = AdapterDemand(clock=clock)
    demand.add("old")
    demand.add("old")
    clock.now += HALF_LIFE_SECONDS
    demand.add("new")
    assert demand.weights() == {"new": 1.0, "old": 1.0}
    demand.add("new")
    assert list(demand.weights()) == ["new", "old"]


def test_weights_stay_finite_and_old_names_go() -> None:
    clock = Clock()
    demand = AdapterDemand(clock=clock)
    for _ in range(100):
        demand.add("steady")
        clock.now += 20 * HALF_LIFE_SECONDS
    demand.add("now")
    assert demand.weights() == {"now": 1.0}
    assert demand.count == 101


@given(REQUESTS)
def test_with_room_for_all_names_the_weights_are_the_true_ones(requests: list[tuple[float, str]]) -> None:
    found, true = replay(requests, max_names=8)
    assert found == pytest.approx({name: weight for name, weight in true.items() if name in found})
    assert all(weight < LEAST_WEIGHT * 1.001 for name, weight in true.items() if name not in found)


@given(REQUESTS, st.integers(1, 8))
def test_an_adapter_with_more_than_its_share_is_always_counted(
    requests: list[tuple[float, str]], max_names: int
) -> None:
    found, true = replay(requests, max_names)
    total = sum(true.values())
    assert len(found) <= max_names
    for name, weight in true.items():
        if weight > total / max_names * 1.001:
            assert name in found
    for name, weight in found.items():
        assert true[name] <= weight * 1.001 <= (true[name] + total / max_names) * 1.01


@given(st.lists(st.tuples(st.floats(0, 1e5), WEIGHTS), max_size=5))
def test_a_merge_adds_what_is_left_of_each_list(lists: list[tuple[float, dict[str, float]]]) -> None:
    names = merged(lists)
    left = {
        name: math.fsum(decayed(weights.get(name, 0.0), age) for age, weights in lists)
        for _, weights in lists
        for name in weights
    }
    assert sorted(names) == sorted(left)
    assert all(left[one] >= left[other] * (1 - 1e-9) for one, other in itertools.pairwise(names))


@given(WEIGHTS)
def test_a_list_is_read_as_it_was_written(weights: dict[str, float]) -> None:
    assert parse_demand(demand_list(weights)) == pytest.approx(weights, abs=0.001)


def test_the_longest_list_can_be_read() -> None:
    longest = {f"{number:03}{'n' * (MAX_NAME_LENGTH - 3)}": 123456.789 for number in range(MAX_NAMES)}
    body = demand_list(longest)
    assert len(body) < MAX_BYTES
    assert parse_demand(body) == longest


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"adapters": []}',
        b'{"adapters": {"otter": 1}, "adapters": {}}',
        b'{"adapters": {"otter": "1"}}',
        b'{"adapters": {"otter": true}}',
        b'{"adapters": {"otter": NaN}}',
        b'{"adapters": {"otter": Infinity}}',
        b'{"adapters": {"otter": -1}}',
        b'{"adapters": {"otter": 1e300}}',
        b'{"adapters": {"../registry/otter": 1}}',
        b'{"adapters": {"otter@0123456789abcdef": 1}}',
        b'{"adapters": {"": 1}}',
        b'{"adapters": {"otter": 1}',
        b"[" * 100_000,
        b'{"adapters": {"otter": ' + b"1" * 5000 + b"}}",
        b'{"adapters": {' + b" " * MAX_BYTES + b"}}",
        demand_list({f"name-{number}": 1.0 for number in range(MAX_NAMES + 1)}),
    ],
    ids=lambda body: repr(body[:40]),
)
def test_a_list_that_no_instance_writes_is_refused(body: bytes) -> None:
    with pytest.raises(UnreadableDemand):
        parse_demand(body)


def test_an_endpoint_reads_no_other_ones_lists() -> None:
    assert not demand_prefix("endpoint-2").startswith(demand_prefix("endpoint"))
