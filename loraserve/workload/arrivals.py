"""Arrival times of an open loop: constant, Poisson, gamma, or those of a trace."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from loraserve.workload.errors import WorkloadError
from loraserve.workload.numbers import positive
from loraserve.workload.traces.read import read_trace
from loraserve.workload.workload import Workload

#: Values of `parse_arrivals`, for help and errors.
ARRIVALS = "poisson, constant, gamma:CV or trace:FILE"
#: Requests that are drawn at a time until the duration is reached.
_CHUNK = 4096


@dataclass(frozen=True, kw_only=True)
class Extent:
    """Rate and end of a workload: after a duration, or after a number of requests."""

    rate: float | None = None
    """Mean requests per second; None keeps a trace's rate."""
    duration_s: float | None = None
    requests: int | None = None


class Arrivals(Protocol):
    """A source of arrival times."""

    def due_s(self, random: np.random.Generator, extent: Extent) -> NDArray[np.float64]:
        """Return the arrival times in seconds, ascending."""


@dataclass(frozen=True)
class RenewalArrivals:
    """Independent gaps with a gamma distribution of mean 1/rate and a coefficient of variation (CV).

    CV 0 is constant, CV 1 is a Poisson process; a CV above 1 makes bursts. Shape 1/CV², scale CV²/rate, as in
    S-LoRA's generator and in `vllm bench serve --burstiness`, whose burstiness is the shape.
    """

    cv: float

    def due_s(self, random: np.random.Generator, extent: Extent) -> NDArray[np.float64]:
        """Return the arrival times; the first request of constant arrivals is due at 0.

        Raises:
            WorkloadError: without a rate, a duration or a number of requests.
        """
        rate, end_s = extent.rate, extent.duration_s
        if rate is None:
            raise WorkloadError("arrivals without a trace: give a rate in requests per second")
        if extent.requests is not None:
            due = self._times(random, extent.requests) / rate
            return due if end_s is None else due[due < end_s]
        if end_s is None:
            raise WorkloadError("arrivals without an end: give a duration or a number of requests")
        if self.cv == 0:
            return np.arange(math.ceil(end_s * rate - 1e-9)) / rate
        chunks = [np.zeros(1)]
        while chunks[-1][-1] < end_s:
            chunks.append(chunks[-1][-1] + self._times(random, _CHUNK) / rate)
        due = np.concatenate(chunks)[1:]
        return due[due < end_s]

    def _times(self, random: np.random.Generator, count: int) -> NDArray[np.float64]:
        if self.cv == 0:
            return np.arange(count, dtype=np.float64)
        return np.cumsum(random.gamma(1 / self.cv**2, self.cv**2, count))


@dataclass(frozen=True)
class TraceArrivals:
    """The arrival times of a trace, at its rate or stretched evenly to another mean rate."""

    trace: Workload

    def due_s(self, random: np.random.Generator, extent: Extent) -> NDArray[np.float64]:
        """Return the arrival times until the end of the trace or of the extent.

        Raises:
            WorkloadError: the trace has fewer requests than the extent asks for.
        """
        trace = self.trace if extent.rate is None else self.trace.at_rate(extent.rate)
        due = trace.due_s
        if extent.requests is not None:
            if extent.requests > len(due):
                raise WorkloadError(
                    f"the trace has {len(due)} requests, not {extent.requests}: "
                    "use fewer requests or a longer trace"
                )
            due = due[: extent.requests]
        return due if extent.duration_s is None else due[due < extent.duration_s]


@dataclass(frozen=True)
class ClosedLoopArrivals:
    """No arrival times: each client sends its next request when it has the answer to the previous one."""

    def due_s(self, random: np.random.Generator, extent: Extent) -> NDArray[np.float64]:
        """Return 0 for each request of the extent.

        Raises:
            WorkloadError: without a number of requests.
        """
        if extent.requests is None:
            raise WorkloadError("a closed loop has no arrival times: give a number of requests")
        return np.zeros(extent.requests)


def parse_arrivals(text: str) -> RenewalArrivals | TraceArrivals:
    """Return the arrivals that a text describes: `poisson`, `constant`, `gamma:CV` or `trace:FILE`.

    Raises:
        WorkloadError: for any other text, or a trace that cannot be read.
    """
    kind, colon, value = text.partition(":")
    match kind, colon:
        case "poisson", "":
            return RenewalArrivals(1)
        case "constant", "":
            return RenewalArrivals(0)
        case "gamma", ":":
            return RenewalArrivals(positive(value, text))
        case "trace", ":":
            return TraceArrivals(read_trace(Path(value)))
    raise WorkloadError(f"arrivals {text!r}: use {ARRIVALS}")
