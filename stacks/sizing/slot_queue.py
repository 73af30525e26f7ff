"""Batch of an engine with fewer slots than adapters, while other requests wait.

An engine runs at most as many different adapters as it has slots. It passes over a waiting request whose
adapter has none, and takes a later one whose adapter has (vLLM 0.32.0, v1/core/sched/scheduler.py), so the
batch grows with the requests that wait. There is no formula for it: it is simulated.
"""

from __future__ import annotations

from bisect import bisect
from functools import lru_cache
from heapq import heappop, heappush
from itertools import accumulate
from random import Random
from typing import Final

from stacks.sizing.popularity import Shares

#: Requests of a simulation for each one in flight, of which the first quarter is left out.
_ROUNDS: Final = 32
#: Shortest and longest request, of the mean one: assumed.
_SHORTEST, _LONGEST = 0.5, 1.5


@lru_cache(maxsize=4096)
def queued_batch(shares: Shares, slots: int, in_flight: int) -> float:
    """Return the mean number of running requests, of `in_flight` at the engine.

    The next request arrives when one ends. A slot goes to the adapter whose request waits longest, with all
    of its waiting requests, and is free when none of its requests runs. The same arguments give the same
    result.

    Args:
        shares: shares of the requests, by adapter.
        slots: different adapters that run at once, at least 1.
        in_flight: requests at the engine, running or waiting.
    """
    if slots >= min(len(shares), in_flight):
        return in_flight
    random = Random(0)
    bounds = list(accumulate(shares))
    running: list[tuple[float, int]] = []
    counts: dict[int, int] = {}
    #: By adapter without a slot, in the order of their first waiting request.
    waiting: dict[int, int] = {}

    def start(adapter: int, now: float) -> None:
        counts[adapter] = counts.get(adapter, 0) + 1
        heappush(running, (now + random.uniform(_SHORTEST, _LONGEST), adapter))

    def arrive(now: float) -> None:
        adapter = min(bisect(bounds, random.random()), len(bounds) - 1)
        if adapter in counts or len(counts) < slots:
            start(adapter, now)
        else:
            waiting[adapter] = waiting.get(adapter, 0) + 1

    for _ in range(in_flight):
        arrive(0.0)
    total = _ROUNDS * in_flight
    area = begin = before = 0.0
    for number in range(total):
        batch = len(running)
        now, adapter = heappop(running)
        if number == total // 4:
            area, begin = 0.0, now
        else:
            area += batch * (now - before)
        before = now
        counts[adapter] -= 1
        if not counts[adapter]:
            del counts[adapter]
            if waiting:
                first = next(iter(waiting))
                for _ in range(waiting.pop(first)):
                    start(first, now)
        arrive(now)
    return area / (before - begin)
