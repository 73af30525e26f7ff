"""The requests of a simulation: by arrival, or as a number in each second."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from loraserve.simulation.errors import SimulationError
from loraserve.workload.synthetic import SYNTHETIC, SyntheticTraffic, parse_synthetic, parse_trace
from loraserve.workload.workload import Workload

#: Requests, over all policies, up to which each is simulated by itself.
MOST_EVENTS = 2_000_000
#: Requests of generated traffic whose lengths are averaged.
_SAMPLE = 10_000


@dataclass(frozen=True)
class SimulatedTraffic:
    """A trace, or generated traffic whose requests are not drawn yet, at `scale` times its rate."""

    source: Workload | SyntheticTraffic
    scale: float = 1.0
    seed: int = 0

    @property
    def duration_s(self) -> int:
        """Whole seconds from the start to after the last arrival."""
        return math.floor(self.source.duration_s) + 1 if self._is_trace else math.ceil(self.source.duration_s)

    @property
    def requests(self) -> float:
        """Number of requests, for generated traffic the expected one."""
        if isinstance(self.source, Workload):
            return len(self.source) * self.scale
        return float(self.source.rates().sum()) * self.scale

    @property
    def mean_tokens(self) -> tuple[float, float] | None:
        """Mean length of prompts and of answers; None for a trace without lengths."""
        if isinstance(self.source, Workload):
            drawn = self.source
        else:
            rate = min(self.source.rate, _SAMPLE / self.source.duration_s)
            drawn = replace(self.source, rate=rate).draw()
        if not drawn.output_tokens.any():
            return None
        return float(drawn.input_tokens.mean()), float(drawn.output_tokens.mean())

    @cached_property
    def workload(self) -> Workload:
        """The requests, each at its time.

        With `scale` a request is there as often as the scale says, and a fraction at random; its copies are
        spread over the second after it, so that bursts keep their shape.
        """
        drawn = self.source if isinstance(self.source, Workload) else self.source.draw()
        if self.scale == 1:
            return drawn
        random = np.random.default_rng(self.seed)
        whole = math.floor(self.scale)
        copies = whole + (random.random(len(drawn)) < self.scale - whole)
        index = np.repeat(np.arange(len(drawn)), copies)
        due_s = drawn.due_s[index]
        if self.scale > 1:
            due_s = np.minimum(due_s + random.random(len(index)), np.nextafter(self.duration_s, 0))
        order = np.argsort(due_s, kind="stable")
        index = index[order]
        return Workload(
            due_s=due_s[order],
            adapter=drawn.adapter[index],
            input_tokens=drawn.input_tokens[index],
            output_tokens=drawn.output_tokens[index],
            adapters=drawn.adapters,
        )

    def arrivals(self) -> NDArray[np.float64]:
        """Return the number of requests of each second.

        Of generated traffic with more than `MOST_EVENTS` requests they are drawn from a Poisson distribution
        of the second's rate, without the requests themselves.
        """
        if not self._is_trace and self.requests > MOST_EVENTS:
            rates = self.source.rates() * self.scale  # type: ignore[union-attr]
            return np.random.default_rng(self.seed).poisson(rates).astype(np.float64)
        seconds = self.workload.due_s.astype(np.int64)
        return np.bincount(seconds, minlength=self.duration_s).astype(np.float64)

    @property
    def _is_trace(self) -> bool:
        return isinstance(self.source, Workload)


def parse_traffic(text: str, scale: float, seed: int) -> SimulatedTraffic:
    """Return the traffic of a trace: a file, or `synthetic:…`.

    Raises:
        SimulationError: a scale that is not above 0.
        WorkloadError: the trace cannot be used.
    """
    if not 0 < scale < math.inf:
        raise SimulationError(f"scale {scale:g}: give a number above 0, e.g. 4")
    source = parse_synthetic(text) if text.startswith(SYNTHETIC) else parse_trace(text)
    return SimulatedTraffic(source, scale, seed)
