"""Percentiles and medians of measured values."""

import math

import pytest

from benchmarks.summary import medians, percentile


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (25, 2), (50, 3), (62.5, 3.5), (99, 4.96), (100, 5)])
def test_a_percentile_is_between_its_neighbours(percent: float, value: float) -> None:
    assert percentile([5, 3, 1, 4, 2], percent) == pytest.approx(value)


def test_the_percentile_of_one_value_is_the_value() -> None:
    assert percentile([7.0], 99) == 7.0


def test_there_is_no_percentile_of_nothing() -> None:
    assert math.isnan(percentile([], 50))


def test_medians_are_taken_figure_by_figure() -> None:
    rounds = [{"a": 1.0, "b": 9.0}, {"a": 3.0, "b": 7.0}, {"a": 2.0, "b": 8.0}]

    assert medians(rounds) == {"a": 2.0, "b": 8.0}
