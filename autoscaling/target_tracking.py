"""Target tracking: the two alarms of a policy, and the number of instances that they ask for.

A policy has an alarm above its target and one below nine tenths of it. Both judge one value per period, in
order: `decide` takes the next value and returns the state to pass with the one after. The caller has the
clock, the delay of the metric, and the instances.

Sources: "How target tracking scaling for Application Auto Scaling works" (Application Auto Scaling's user
guide); for periods of 10 s "Amazon SageMaker AI inference launches faster auto scaling" (AWS's machine
learning blog, July 2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

#: The low alarm's threshold, as a share of the target.
LOW_SHARE: Final = 0.9


@dataclass(frozen=True, kw_only=True)
class TargetTrackingPolicy:
    """A policy, its bounds and its alarms."""

    target: float
    """Value of the metric, per instance, that the policy keeps."""
    min_instances: int
    max_instances: int
    out_cooldown_s: float = 300
    in_cooldown_s: float = 300
    period_s: float = 60
    """Seconds of one value: 60, or 10 with a metric of high resolution."""
    high_periods: int = 3
    """Periods in a row above the target before instances are added. For periods of 10 s AWS does not document
    it; 3 is assumed."""
    low_periods: int = 15
    """Periods in a row below nine tenths of the target before instances are removed: 15 minutes."""


@dataclass(frozen=True)
class AlarmState:
    """State of the alarms and cooldowns between two periods."""

    high: int = 0
    """Periods in a row above the target."""
    low: int = 0
    """Periods in a row below nine tenths of it."""
    out_until_s: float = -math.inf
    """End of the cooldown after the last scale-out."""
    in_until_s: float = -math.inf
    """End of the cooldown after the last scale-in."""
    added: int = 0
    """Instances that the scale-out of the running cooldown added."""


def decide(
    policy: TargetTrackingPolicy, state: AlarmState, now_s: float, value: float | None, capacity: int
) -> tuple[AlarmState, int]:
    """Judge the value of the period that ended at `now_s`; return the next state and the desired capacity.

    Args:
        policy: the policy.
        state: the state that the call for the period before returned, `AlarmState()` at the start.
        now_s: seconds of the caller's clock.
        value: the metric per instance; None without data, which neither breaches nor clears an alarm.
        capacity: instances that serve or are starting.
    """
    raise NotImplementedError


def bounded(policy: TargetTrackingPolicy, capacity: int) -> int:
    """Return the capacity within the policy's bounds."""
    return min(max(capacity, policy.min_instances), policy.max_instances)
