"""The traffic of a plan: from options, or from a trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from loraserve.plan.errors import PlanError
from loraserve.workload.popularity import parse_popularity
from loraserve.workload.traces.read import read_trace
from loraserve.workload.workload import BASE
from stacks.sizing.popularity import Shares, proportional
from stacks.sizing.throughput import Traffic


def traffic_of_trace(path: Path, adapters: int, popularity: str) -> Traffic:
    """Return a trace's mean lengths and shares of adapters; of a trace without adapters, those of the law.

    Raises `WorkloadError` for a damaged trace, `PlanError` for one without output tokens.
    """
    trace = read_trace(path)
    output_tokens = float(trace.output_tokens.mean())
    if not output_tokens > 0:
        raise PlanError(f"{path}: no request has output tokens: give a trace with their numbers")
    return Traffic(
        input_tokens=float(trace.input_tokens.mean()),
        output_tokens=output_tokens,
        shares=request_shares(trace.adapter.tolist()) or shares_of(adapters, popularity),
    )


def request_shares(adapters: Iterable[int]) -> Shares:
    """Return the shares of the adapters of requests, given by their index; `BASE` is the base model."""
    return proportional(list(Counter(adapter for adapter in adapters if adapter != BASE).values()))


def shares_of(adapters: int, popularity: str) -> Shares:
    """Return the shares of so many adapters, without those that nothing asks for."""
    names = [str(number) for number in range(adapters)]
    return tuple(share for share in parse_popularity(popularity, names) if share > 0)
