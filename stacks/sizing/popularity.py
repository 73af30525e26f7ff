"""Popularity of adapters: shares of the requests, and what they do to batches and to adapters in memory.

Shares are in descending order, of the most popular adapter first, and their sum is 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

Shares = tuple[float, ...]


def uniform(count: int) -> Shares:
    """Return equal shares of `count` adapters."""
    return zipf(count, 0)


def zipf(count: int, exponent: float) -> Shares:
    """Return shares proportional to 1/rank^exponent. 1.37 is what ServeGen's m-large trace fits."""
    return proportional([rank**-exponent for rank in range(1, count + 1)])


def power(count: int, alpha: float) -> Shares:
    """Return the shares of S-LoRA's generator, which draws the adapter count·U^(1/alpha), U uniform in 0…1.

    The smaller `alpha`, the more requests go to few adapters; 1 is uniform.
    """
    return proportional(
        [(rank / count) ** alpha - ((rank - 1) / count) ** alpha for rank in range(1, count + 1)]
    )


@lru_cache(maxsize=4096)
def expected_different(shares: Shares, batch: float) -> float:
    """Return the expected number of different adapters among `batch` independent requests."""
    return math.fsum(1 - math.pow(1 - share, batch) for share in shares)


@lru_cache(maxsize=4096)
def miss_rate(shares: Shares, resident: int) -> float:
    """Return the share of requests whose adapter is not among the `resident` most recently used ones.

    Che's approximation of an LRU cache: an adapter is resident if it was used in the last T requests, with T
    such that the expected number of those is `resident`.
    """
    if resident >= len(shares):
        return 0.0
    if resident < 1:
        return 1.0

    def used(window: float) -> float:
        return sum(-math.expm1(-share * window) for share in shares)

    low, high = 0.0, 1.0
    while used(high) < resident:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if used(middle) < resident else (low, middle)
    return sum(share * math.exp(-share * high) for share in shares)


def proportional(weights: Sequence[float]) -> Shares:
    """Return shares proportional to weights, e.g. to numbers of requests; empty without weights."""
    total = math.fsum(weights)
    ordered = sorted((weight / total for weight in weights), reverse=True)
    return tuple(ordered)
