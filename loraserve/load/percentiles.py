"""Percentiles of times, exact and without a second copy of them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_PERCENTS: Final = (50, 90, 95, 99)
#: Values that are counted at a time.
_CHUNK: Final = 1 << 18
#: A 32-bit float from 0 is ordered as its bits are: it is counted by its upper and by its lower 16 bits.
_HALF, _HALVES = 16, 1 << 16


@dataclass(frozen=True, kw_only=True)
class TimeFigures:
    """Percentiles of times, in seconds, interpolated linearly."""

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


def times(values: Iterable[float]) -> TimeFigures | None:
    """Return the percentiles of times in seconds; None without any."""
    found = np.fromiter(values, dtype=np.float64)
    if not len(found):
        return None
    p50, p90, p95, p99 = np.percentile(found, _PERCENTS).tolist()
    return TimeFigures(
        count=len(found), mean=float(found.mean()), p50=p50, p90=p90, p95=p95, p99=p99, max=float(found.max())
    )


def times_of_arrays(arrays: Callable[[], Iterable[array[float]]]) -> TimeFigures | None:
    """Return the percentiles of all times in several arrays of single precision; None without any.

    `arrays` is called twice. The first reading counts the times by their upper bits, the second one those
    whose upper bits are those of a percentile by their lower bits.
    """
    uppers = np.zeros(_HALVES, dtype=np.int64)
    total, largest = 0.0, 0.0
    for chunk in _chunks(arrays()):
        uppers += np.bincount(chunk.view(np.uint32) >> _HALF, minlength=_HALVES)
        total, largest = total + float(chunk.sum(dtype=np.float64)), max(largest, float(chunk.max()))
    count = int(uppers.sum())
    if not count:
        return None
    places = [(count - 1) * percent / 100 for percent in _PERCENTS]
    ranks = {rank for place in places for rank in (math.floor(place), math.ceil(place))}
    ends = np.cumsum(uppers)
    upper_of = {rank: int(np.searchsorted(ends, rank, side="right")) for rank in ranks}
    lowers = {upper: np.zeros(_HALVES, dtype=np.int64) for upper in upper_of.values()}
    for chunk in _chunks(arrays()):
        bits = chunk.view(np.uint32)
        for upper in lowers:
            lowers[upper] += np.bincount(bits[bits >> _HALF == upper] & (_HALVES - 1), minlength=_HALVES)
    values = {rank: _value(rank, upper, ends, lowers[upper]) for rank, upper in upper_of.items()}

    def at(place: float) -> float:
        low, high = values[math.floor(place)], values[math.ceil(place)]
        return low + (high - low) * (place - math.floor(place))

    p50, p90, p95, p99 = map(at, places)
    return TimeFigures(count=count, mean=total / count, p50=p50, p90=p90, p95=p95, p99=p99, max=largest)


def _value(rank: int, upper: int, ends: NDArray[np.int64], lowers: NDArray[np.int64]) -> float:
    """Return the time of a rank, from the counts of the times with its upper bits by their lower bits."""
    before = ends[upper] - lowers.sum()
    lower = int(np.searchsorted(np.cumsum(lowers), rank - before, side="right"))
    return float(np.uint32(upper << _HALF | lower).view(np.float32))


def _chunks(arrays: Iterable[array[float]]) -> Iterator[NDArray[np.float32]]:
    """Yield the values in larger arrays; a time below 0, of a clock that was set, is 0."""
    chunk = array("f")
    for values in arrays:
        chunk.extend(values)
        if len(chunk) >= _CHUNK:
            yield np.maximum(np.array(chunk), np.float32(0))
            chunk = array("f")
    if chunk:
        yield np.maximum(np.array(chunk), np.float32(0))
