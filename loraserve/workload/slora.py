"""S-LoRA's generator of traffic (S-LoRA/S-LoRA, benchmarks/paper)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loraserve.workload.arrivals import Extent, RenewalArrivals
from loraserve.workload.draw import draw_workload, numbered
from loraserve.workload.lengths import UniformLengths
from loraserve.workload.workload import Workload
from stacks.sizing.popularity import power

#: Tokens of prompts and of answers.
_LENGTHS = UniformLengths(8, 512)


@dataclass(frozen=True, kw_only=True)
class SloraTraffic:
    """Gamma gaps at a constant rate; the adapter is adapters·U^(1/alpha), with U uniform in 0 to 1.

    The defaults are the setting S1 on an A10G, with 20 adapters. Equal values draw equal requests.
    """

    rate: float = 2.0
    """Mean requests per second."""
    seconds: float = 300.0
    """Length."""
    cv: float = 1.0
    """Coefficient of variation of the gaps; the paper has 1 to 8."""
    adapters: int = 20
    """Number of adapters, named `adapter-1` and so on."""
    alpha: float = 1.0
    """Skew of their popularity; the paper has 0.1, most skewed, to 1, uniform."""
    seed: int = 0

    @property
    def duration_s(self) -> float:
        """Seconds of traffic."""
        return self.seconds

    def rates(self) -> NDArray[np.float64]:
        """Return the expected requests of each second."""
        return np.full(int(np.ceil(self.seconds)), self.rate)

    def draw(self) -> Workload:
        """Return the requests."""
        return draw_workload(
            arrivals=RenewalArrivals(self.cv),
            extent=Extent(rate=self.rate, duration_s=self.seconds),
            adapters=numbered(self.adapters),
            shares=power(self.adapters, self.alpha),
            input_tokens=_LENGTHS,
            output_tokens=_LENGTHS,
            seed=self.seed,
        )
