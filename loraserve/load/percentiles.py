"""Percentiles of times, of many more than fit into memory twice."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_PERCENTS: Final = (50, 90, 95, 99)
#: Values that are counted at a time.
_CHUNK: Final = 1 << 18
#: Bits of a 32-bit float that are counted: exponent and 11 bits of the fraction, so a bin is 0.05 % wide.
_SHIFT, _BINS = 12, 1 << 19


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

    `arrays` is called twice. The bits of floats from 0 are ordered as the floats are: the first reading
    counts them by their upper bits, the second one keeps the values in the bins that the percentiles are in.
    """
    counts = np.zeros(_BINS, dtype=np.int64)
    total, largest = 0.0, 0.0
    for chunk in _chunks(arrays()):
        counts += np.bincount(_bins(chunk), minlength=_BINS)
        total, largest = total + float(chunk.sum(dtype=np.float64)), max(largest, float(chunk.max()))
    count = int(counts.sum())
    if not count:
        return None
    ends = np.cumsum(counts)
    ranks = (count - 1) * np.array(_PERCENTS) / 100
    below, above = np.floor(ranks).astype(int), np.ceil(ranks).astype(int)
    wanted = np.unique(np.searchsorted(ends, np.concatenate([below, above]), side="right"))
    kept = np.sort(
        np.concatenate([chunk[np.isin(_bins(chunk), wanted)] for chunk in _chunks(arrays())]).astype(float)
    )
    # Where the values of each wanted bin begin: in all values, and in those kept.
    begins, kept_begins = (ends - counts)[wanted], np.cumsum(counts[wanted]) - counts[wanted]

    def at(rank: NDArray[np.int64]) -> NDArray[np.float64]:
        place = np.searchsorted(begins, rank, side="right") - 1
        found: NDArray[np.float64] = kept[kept_begins[place] + rank - begins[place]]
        return found

    p50, p90, p95, p99 = (at(below) + (at(above) - at(below)) * (ranks - below)).tolist()
    return TimeFigures(count=count, mean=total / count, p50=p50, p90=p90, p95=p95, p99=p99, max=largest)


def _bins(chunk: NDArray[np.float32]) -> NDArray[np.unsignedinteger[Any]]:
    return chunk.view(np.uint32) >> np.uint32(_SHIFT)


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
