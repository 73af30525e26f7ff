"""Medians of measured figures over rounds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median over all rounds of each figure."""
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}
