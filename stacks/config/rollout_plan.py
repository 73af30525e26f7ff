"""Plan of an endpoint update: replacement of the instances, and time limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Strategy = Literal["all_at_once", "canary", "linear", "rolling"]
#: SageMaker's limits of MaximumExecutionTimeoutInSeconds.
MIN_TIMEOUT, MAX_TIMEOUT = 600, 28_800
#: Before download and start: an instance, and an image of several GB on it. No time-out of a variant covers
#: that; half an hour is a judgement.
PROVISION_SECONDS = 1800


@dataclass(frozen=True, kw_only=True)
class RolloutPlan:
    """A way to replace a fleet, and its time limit."""

    strategy: Strategy
    step_percent: int
    """Share of the traffic of the canary, or of one linear step."""
    step_seconds: int
    batch_percent: int
    """Share of the fleet in one rolling batch."""
    bake_seconds: int
    instance_seconds: int
    """Time limit of one instance's download and start."""
    fewest_instances: int
    """Smallest size of the fleet during an update."""
    most_instances: int
    timeout_seconds: int | None = None
    """None: the limit of all steps."""

    @property
    def rounds(self) -> int:
        """Number of waits for new instances: one, or one per batch of the fleet with most batches."""
        if self.strategy != "rolling":
            return 1
        fleets = range(max(2, self.fewest_instances), max(2, self.most_instances) + 1)
        return max(math.ceil(n / max(1, n * self.batch_percent // 100)) for n in fleets)

    @property
    def pauses_seconds(self) -> int:
        """Sum of the pauses."""
        # A canary pauses once; the last linear step is followed by the bake alone.
        steps = {"all_at_once": 0, "canary": 1, "linear": math.ceil(100 / self.step_percent) - 1}
        if self.strategy == "rolling":
            return self.rounds * self.step_seconds
        return steps[self.strategy] * self.step_seconds + self.bake_seconds

    @property
    def timeout(self) -> int:
        """Seconds after which SageMaker rolls the update back; by default the limit of all steps."""
        slowest = self.pauses_seconds + self.rounds * (PROVISION_SECONDS + self.instance_seconds)
        return self.timeout_seconds or min(MAX_TIMEOUT, max(MIN_TIMEOUT, slowest))

    def problem(self) -> str | None:
        """Return why the plan cannot work, in a sentence; None if it can."""
        if self.strategy == "rolling" and self.fewest_instances < 2:
            return (
                f"strategy: rolling replaces half of a fleet at most, and this one may have "
                f"{self.fewest_instances} instance: write strategy: all_at_once, or at least 2 for "
                "endpoint.instance_count and every min_instances"
            )
        least = self.pauses_seconds + self.instance_seconds
        if least > MAX_TIMEOUT:
            return (
                f"pauses and one instance's start may take {least} s and SageMaker gives an update "
                f"{MAX_TIMEOUT}: make pauses shorter or steps larger"
            )
        if self.timeout < least:
            return (
                f"timeout_seconds: {self.timeout} is too short, pauses and one instance's start may take "
                f"{least} s: raise it, or leave it out"
            )
        return None

    def quota(self, instances: int) -> int:
        """Return the quota of instances that an update of a fleet of this size needs."""
        return quota_of_update(self.strategy, self.batch_percent, instances)


def quota_of_update(strategy: Strategy, batch_percent: int, instances: int) -> int:
    """Return the quota of instances that an update of a fleet of this size needs."""
    if strategy == "rolling":
        return instances + math.ceil(instances * batch_percent / 100)
    return 2 * instances


def resolved(strategy: Literal["auto"] | Strategy, fewest_instances: int) -> Strategy:
    """Resolve `auto`: SageMaker's rolling update needs two instances."""
    if strategy != "auto":
        return strategy
    return "rolling" if fewest_instances >= 2 else "all_at_once"
