"""Percentiles of many times, held against numpy's."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import numpy as np
import pytest

from loraserve.load.percentiles import times, times_of_arrays


@pytest.mark.parametrize("count", [1, 2, 7, 1000, 300_000])
def test_times_of_arrays_are_those_of_one_array(count: int) -> None:
    drawn = np.random.default_rng(count).lognormal(-4, 1, count).astype(np.float32)

    def arrays() -> Iterator[array[float]]:
        for part in np.array_split(drawn, max(1, count // 60)):
            yield array("f", part.tobytes())

    found, expected = times_of_arrays(arrays), times(drawn.tolist())

    assert found is not None and expected is not None
    assert found.count == count
    for name in ("mean", "p50", "p90", "p95", "p99", "max"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-6)


def test_equal_and_zero_times() -> None:
    found = times_of_arrays(lambda: [array("f", [0.0] * 60), array("f", [0.02] * 40)])

    assert found is not None
    assert found.p50 == 0
    assert found.p90 == found.p99 == found.max == pytest.approx(0.02)


def test_no_time() -> None:
    assert times_of_arrays(lambda: [array("f")]) is None
    assert times([]) is None
