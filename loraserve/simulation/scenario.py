"""Instances, SLO and time that all policies of a comparison have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np

from autoscaling.target_tracking import bounded
from loraserve.simulation.scaled_fleet import ScaledFleet
from loraserve.simulation.scaling_candidate import ScalingCandidate, limits_changes
from loraserve.simulation.start_times import StartTimes
from stacks.sizing.throughput import LatencyModel

#: A Monday: schedules by the day of the week have their own days.
DEFAULT_BEGIN: Final = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class ScalingScenario:
    """Instances, the SLO, and the time of a simulation."""

    latency: LatencyModel
    """Latency of a request on an instance by the requests in flight there."""
    slo_s: float
    """A request whose latency is above it is a miss."""
    duration_s: float
    warm_up_s: float = 0.0
    """Seconds at the beginning that count neither as misses nor as cost."""
    instances: int | None = None
    """Instances at the beginning; None: the policy's fewest."""
    starts: StartTimes = field(default_factory=StartTimes)
    begin: datetime = DEFAULT_BEGIN
    """Time at second 0, for schedules."""
    seed: int = 0

    def fleet(self, policy: ScalingCandidate) -> ScaledFleet:
        """Return the fleet of a policy; all policies draw their start times from the same seed."""
        tracking = policy.tracking
        wanted = tracking.min_instances if self.instances is None else self.instances
        return ScaledFleet(
            policy,
            instances=bounded(tracking, wanted),
            starts=self.starts,
            changes=limits_changes(policy.schedules, self.begin, self.duration_s),
            random=np.random.default_rng(self.seed),
        )
