"""Workloads: the adapter of each request, its due time, and the order of the sides in each round."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def zipf_draw(rng: random.Random, items: Sequence[T], exponent: float, count: int) -> list[T]:
    """Draw `count` items; the probability of the n-th one is proportional to 1/n^exponent."""
    weights = [rank**-exponent for rank in range(1, len(items) + 1)]
    return rng.choices(items, weights, k=count)


def even_draw(rng: random.Random, items: Sequence[T], count: int) -> list[T]:
    """Draw `count` items in random order. The counts of any two items differ by at most one."""
    drawn = [items[index % len(items)] for index in range(count)]
    rng.shuffle(drawn)
    return drawn


def arrivals(rate: float, count: int) -> list[int]:
    """Return the due times of `count` requests at `rate` per second: nanoseconds after the first request."""
    return [round(index * 1e9 / rate) for index in range(count)]


def alternating(names: Sequence[str], number: int) -> list[str]:
    """Return the names in the order of round `number`: forwards in even rounds, backwards in odd ones.

    So no name always runs directly after the same other one.
    """
    return list(names) if number % 2 == 0 else list(reversed(names))
