"""Summaries of measured values: percentiles, and medians over rounds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which `percent` of the values are, interpolated linearly; NaN without values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    lower = int(position)
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] + (ordered[upper] - ordered[lower]) * (position - lower)


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median over all rounds of each figure."""
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}
