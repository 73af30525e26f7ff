"""The result of simulating one policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from loraserve.simulation.scaled_fleet import SizeChange
from loraserve.simulation.scaling_candidate import ScalingCandidate

LATENCY_PERCENTS: Final = (50, 95, 99)
WAIT_PERCENTS: Final = (95, 99)


@dataclass(frozen=True, kw_only=True)
class PolicyOutcome:
    """Misses, latencies and cost of a policy; all but `sizes` and the counts without the warm-up."""

    policy: ScalingCandidate
    misses: float
    """Share of the requests whose latency is above the SLO."""
    latency_s: Mapping[int, float]
    """Percentiles, by `LATENCY_PERCENTS`."""
    waited: float
    """Share of the requests that waited in a queue, before an instance began with them."""
    wait_s: Mapping[int, float]
    """Percentiles of that time over all requests, by `WAIT_PERCENTS`."""
    instance_hours: float
    """From the decision to add an instance to its removal."""
    hours: float
    """Length of the simulated time, without the warm-up."""
    sizes: tuple[SizeChange, ...]
    """Sizes of the fleet over time."""
    arrived: float
    served: float
    in_flight: float
    """Requests at the end that are not served yet: `arrived` - `served`."""

    @property
    def mean_instances(self) -> float:
        """Mean number of instances."""
        return self.instance_hours / self.hours

    @property
    def most_instances(self) -> int:
        """Largest number of instances at any time."""
        return max(size.capacity for size in self.sizes)
