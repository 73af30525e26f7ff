"""Popularity of adapters, against draws."""

from collections import OrderedDict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks.sizing.popularity import (
    Shares,
    expected_different,
    miss_rate,
    power,
    uniform,
    zipf,
)
from stacks.sizing.slot_queue import queued_batch

#: Draws of a simulation; the acceptance figure of docs/plan.md has 10^6.
DRAWS = 200_000
CASES = [(count, exponent) for count in (50, 500) for exponent in (0.0, 1.0, 1.37)]


def draws(shares: Shares) -> list[int]:
    found: list[int] = np.random.default_rng(1).choice(len(shares), size=DRAWS, p=shares).tolist()
    return found


@pytest.mark.parametrize(("count", "exponent"), CASES)
@pytest.mark.parametrize("batch", [20, 64])
def test_the_expected_number_of_different_adapters_is_that_of_draws(
    count: int, exponent: float, batch: int
) -> None:
    shares = zipf(count, exponent)
    rows = np.sort(np.array(draws(shares)[: DRAWS // batch * batch]).reshape(-1, batch), axis=1)
    different = 1 + np.count_nonzero(np.diff(rows, axis=1), axis=1).mean()
    assert expected_different(shares, batch) == pytest.approx(different, rel=0.02)


@pytest.mark.parametrize(("count", "exponent"), CASES)
@pytest.mark.parametrize("share", [0.16, 0.64])
def test_the_miss_rate_is_that_of_a_simulated_lru_cache(count: int, exponent: float, share: float) -> None:
    shares, resident = zipf(count, exponent), round(share * count)
    cache: OrderedDict[int, None] = OrderedDict()
    misses = 0
    drawn = draws(shares)
    for number, adapter in enumerate(drawn):
        if adapter in cache:
            cache.move_to_end(adapter)
            continue
        misses += number >= DRAWS // 10
        cache[adapter] = None
        if len(cache) > resident:
            cache.popitem(last=False)
    assert miss_rate(shares, resident) == pytest.approx(misses / (DRAWS - DRAWS // 10), rel=0.02)


def test_published_numbers_of_different_adapters() -> None:
    for shares, few, many in (
        (uniform(50), 16.6, 36.3),
        (zipf(50, 1), 12.5, 25.5),
        (zipf(500, 1), 15.9, 41.1),
    ):
        assert expected_different(shares, 20) == pytest.approx(few, abs=0.05)
        assert expected_different(shares, 64) == pytest.approx(many, abs=0.05)


def test_all_adapters_resident_never_miss_and_none_always() -> None:
    assert miss_rate(uniform(50), 50) == 0
    assert miss_rate(uniform(50), 0) == 1


def test_power_is_uniform_at_one_and_skewed_below() -> None:
    assert power(10, 1) == pytest.approx(uniform(10))
    assert max(power(100, 0.1)) > 0.5


SHARES = st.builds(zipf, st.integers(2, 60), st.sampled_from((0.0, 1.0, 1.37)))


@given(SHARES, st.integers(1, 59), st.integers(1, 64))
def test_waiting_requests_never_make_the_batch_smaller_than_the_slots(
    shares: Shares, slots: int, in_flight: int
) -> None:
    batch = queued_batch(shares, slots, in_flight)
    assert batch <= in_flight
    # An open slot is taken at once, unless nothing waits.
    assert batch >= 0.9 * min(slots, in_flight, len(shares), expected_different(shares, in_flight))


def test_batches_grow_with_the_requests_that_wait() -> None:
    for shares in (uniform(50), zipf(50, 1.37)):
        found = [queued_batch(shares, 8, in_flight) for in_flight in (8, 16, 32, 64, 128, 256)]
        assert found[0] == 8
        assert all(more > fewer for fewer, more in pairwise(found))
        # More run than have 8 different adapters, on average, where none waits.
        assert expected_different(shares, found[3]) > 8


def test_the_simulation_of_a_queue_is_the_same_each_time() -> None:
    first = queued_batch(uniform(50), 8, 128)
    queued_batch.cache_clear()
    assert queued_batch(uniform(50), 8, 128) == first
    # Simulated step by step by another program, with three times as many requests: 28.8 of 128.
    assert first == pytest.approx(28.8, rel=0.05)
