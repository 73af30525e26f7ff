"""The numbers behind the load: percentiles, draws of adapters, arrival times."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of the values lie, interpolated between neighbours."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    lower = int(place)
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] + (ordered[upper] - ordered[lower]) * (place - lower)


def zipf_draw(rng: random.Random, items: Sequence[T], exponent: float, count: int) -> list[T]:
    """`count` items, the n-th of `items` with a probability proportional to 1/n^exponent."""
    weights = [rank**-exponent for rank in range(1, len(items) + 1)]
    return rng.choices(items, weights, k=count)


def even_draw(rng: random.Random, items: Sequence[T], count: int) -> list[T]:
    """`count` items in random order, each equally often as far as the numbers allow."""
    drawn = [items[index % len(items)] for index in range(count)]
    rng.shuffle(drawn)
    return drawn


def arrivals(rate: float, count: int) -> list[int]:
    """When each of `count` requests is due, `rate` of them a second: nanoseconds from the first."""
    return [round(index * 1e9 / rate) for index in range(count)]


def in_turn(names: Sequence[str], number: int) -> list[str]:
    """The order of round `number`: back and forth, so that none always runs after the same one."""
    return list(names) if number % 2 == 0 else list(reversed(names))


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Figure by figure, the median of the rounds."""
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}
