"""The result of simulating one policy."""

from __future__ import annotations

from dataclasses import dataclass

from loraserve.simulation.candidate import Candidate
from loraserve.simulation.scaled_fleet import FleetSize


@dataclass(frozen=True, kw_only=True)
class PolicyOutcome:
    """What a policy did with the requests; all but `sizes` and the counts without the warm-up."""

    policy: Candidate
    misses: float
    """Share of the requests whose latency is above the SLO."""
    latency_s: tuple[float, float, float]
    """p50, p95 and p99."""
    waited: float
    """Share of the requests that waited in a queue, before an instance began with them."""
    wait_s: tuple[float, float]
    """p95 and p99 of that time."""
    instance_hours: float
    """From the decision to add an instance to its removal."""
    sizes: tuple[FleetSize, ...]
    """Sizes of the fleet over time."""
    arrived: float
    served: float
    in_flight: float
    """Requests at the end that are not served yet: `arrived` - `served`."""
