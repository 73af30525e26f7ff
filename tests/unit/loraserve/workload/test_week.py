"""Generated days of traffic have the figures of the trace that they are modelled on."""

from dataclasses import replace

import numpy as np
import pytest

from loraserve.workload.week import WINDOW_S, SyntheticWeek

WEEK = SyntheticWeek(rate=2.0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_windows_rates_are_distributed_as_measured(seed: int) -> None:
    rates = replace(WEEK, seed=seed).rates()
    assert len(rates) == 7 * 86400
    assert rates.mean() == pytest.approx(2)
    # ServeGen's m-large: largest and 5th percentile of the windows, in units of the mean.
    assert rates.max() / 2 == pytest.approx(2.98, rel=0.02)
    assert np.quantile(rates, 0.05) / 2 == pytest.approx(0.43, rel=0.02)


def test_the_requests_follow_the_rates() -> None:
    week = replace(WEEK, days=2)
    drawn = week.draw()
    windows = np.bincount((drawn.due_s // WINDOW_S).astype(int), minlength=288)
    expected = week.rates()[::WINDOW_S] * WINDOW_S
    # Gaps of CV 1.12: the variance of a count is 1.25 times its mean.
    deviation = (windows - expected) / np.sqrt(1.25 * expected)
    assert np.abs(deviation).max() < 4.5
    assert np.std(deviation) == pytest.approx(1, abs=0.15)


def test_night_is_quieter_than_evening_on_average() -> None:
    rates = replace(WEEK, days=70).rates().reshape(70, 24, 3600)
    assert rates[:, 7:9].mean() < 0.85 * rates[:, 19:22].mean()


def test_equal_values_draw_equal_requests() -> None:
    day = replace(WEEK, days=1)
    assert day.draw().digest() == replace(day).draw().digest()
    assert day.draw().digest() != replace(day, seed=1).draw().digest()
    assert not np.array_equal(day.rates(), replace(day, seed=1).rates())


def test_lengths_and_adapters_are_as_measured() -> None:
    day = replace(WEEK, days=1).draw()
    assert np.quantile(day.input_tokens, [0.5, 0.9]) == pytest.approx([1020, 2734], rel=0.02)
    assert np.quantile(day.output_tokens, [0.5, 0.9]) == pytest.approx([129, 424], rel=0.02)
    assert len(day.adapters) == 162
    # Zipf with 1.37: 1/Σ n^-1.37.
    assert np.mean(day.adapter == 0) == pytest.approx(1 / sum(n**-1.37 for n in range(1, 163)), rel=0.02)
