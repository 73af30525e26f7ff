"""Workloads drawn from a seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loraserve.workload.arrivals import Arrivals, Extent, TraceArrivals
from loraserve.workload.errors import WorkloadError
from loraserve.workload.lengths import Lengths, UniformLengths
from loraserve.workload.workload import BASE, Workload


def draw_workload(
    *,
    arrivals: Arrivals,
    extent: Extent,
    adapters: Sequence[str],
    shares: Sequence[float],
    input_tokens: Lengths,
    output_tokens: Lengths,
    base_share: float = 0.0,
    seed: int = 0,
) -> Workload:
    """Draw the requests of a load test. The same arguments return the same arrays, byte for byte.

    Arrival times, adapters and both lengths have separate random streams: another popularity, for example,
    leaves the arrival times as they are.

    Args:
        arrivals: source of the arrival times.
        extent: rate, and duration or number of requests.
        adapters: names.
        shares: share of each adapter, of `parse_popularity`.
        input_tokens: lengths of the prompts.
        output_tokens: lengths of the answers.
        base_share: share of the requests without adapter, 0 to 1; without adapters, all requests are.
        seed: number from 0.

    Raises:
        WorkloadError: an argument is out of range, or lengths of a trace without a trace.
    """
    if seed < 0:
        raise WorkloadError(f"seed {seed}: give a whole number from 0")
    if not 0 <= base_share <= 1:
        raise WorkloadError(f"share {base_share} of the base model: give a number from 0 to 1")
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4)]
    due_s = arrivals.due_s(streams[0], extent)
    trace = arrivals.trace if isinstance(arrivals, TraceArrivals) else None
    return Workload(
        due_s=due_s,
        adapter=draw_adapters(streams[1], shares, base_share, len(due_s)),
        input_tokens=_lengths(streams[2], input_tokens, len(due_s), trace.input_tokens if trace else None),
        output_tokens=_lengths(streams[3], output_tokens, len(due_s), trace.output_tokens if trace else None),
        adapters=tuple(adapters),
    )


def numbered(count: int) -> tuple[str, ...]:
    """Return names for the adapters of generated traffic: `adapter-1` and so on."""
    return tuple(f"adapter-{number}" for number in range(1, count + 1))


def draw_adapters(
    random: np.random.Generator, shares: Sequence[float], base_share: float, count: int
) -> NDArray[np.int32]:
    """Return the index of each request's adapter, `BASE` for the share of the base model."""
    if not shares:
        return np.full(count, BASE, dtype=np.int32)
    edges = np.cumsum(shares)
    # Division by the sum: rounding must not leave draws above the last edge.
    drawn = np.searchsorted(edges / edges[-1], random.random(count), side="right").astype(np.int32)
    if base_share:
        drawn[random.random(count) < base_share] = BASE
    return drawn


def _lengths(
    random: np.random.Generator, lengths: Lengths, count: int, of_trace: NDArray[np.int32] | None
) -> NDArray[np.int32]:
    if isinstance(lengths, UniformLengths):
        return lengths.draw(random, count)
    if of_trace is None:
        raise WorkloadError("lengths of a trace need its arrival times: use the arrivals trace:FILE")
    return of_trace[:count]
