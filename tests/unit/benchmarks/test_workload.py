"""Draws of adapters, arrival times and the order of rounds."""

import itertools
import random
from collections import Counter

import pytest

from benchmarks.workload import alternating, arrivals, even_draw, zipf_draw


def test_zipf_draws_the_nth_one_nth_as_often_as_the_first() -> None:
    drawn = Counter(zipf_draw(random.Random(1), "abcde", 1.0, 60_000))

    total = sum(1 / rank for rank in range(1, 6))
    assert [drawn[item] / 60_000 for item in "abcde"] == pytest.approx(
        [1 / rank / total for rank in range(1, 6)], abs=0.01
    )


def test_zipf_with_exponent_0_is_even() -> None:
    drawn = Counter(zipf_draw(random.Random(1), range(10), 0.0, 50_000))

    assert all(count == pytest.approx(5000, rel=0.1) for count in drawn.values())


def test_a_draw_depends_on_the_seed_alone() -> None:
    assert zipf_draw(random.Random(3), range(500), 1.0, 50) == zipf_draw(
        random.Random(3), range(500), 1.0, 50
    )
    assert even_draw(random.Random(3), range(50), 300) == even_draw(random.Random(3), range(50), 300)


def test_an_even_draw_takes_each_as_often_as_the_others() -> None:
    drawn = even_draw(random.Random(1), range(50), 120)

    counts = Counter(drawn)
    assert sum(counts.values()) == 120
    assert set(counts) == set(range(50))
    assert set(counts.values()) == {2, 3}
    assert drawn != sorted(drawn)


def test_arrivals_are_evenly_spaced_and_do_not_drift() -> None:
    due = arrivals(300.0, 601)

    assert due[0] == 0
    assert due[300] == 1_000_000_000
    assert due[600] == 2_000_000_000
    assert {after - before for before, after in itertools.pairwise(due)} <= {3_333_333, 3_333_334}


def test_rounds_go_back_and_forth() -> None:
    assert [alternating(("a", "b", "c"), number) for number in range(3)] == [
        ["a", "b", "c"],
        ["c", "b", "a"],
        ["a", "b", "c"],
    ]
