"""A target tracking policy at work: its metric's values, as they arrive, and what they ask for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from autoscaling.target_tracking import DEFAULT_COOLDOWN_S, METRICS, AlarmState, decide, tracking_policy
from laptop_cloud.api.service import Params, invalid, refuse_others
from laptop_cloud.autoscaling.load import (
    LoadReading,
    VariantLoad,
    concurrent_requests,
    invocations_per_instance,
)
from laptop_cloud.autoscaling.records import endpoint_of


@dataclass(frozen=True, kw_only=True)
class VariantSize:
    """The number of instances of a variant, and its bounds."""

    desired: int
    """Those that are starting included."""
    low: int
    high: int
    updating: bool
    """An operation on the endpoint is in progress."""


_CONFIGURATION: Final = "TargetTrackingScalingPolicyConfiguration"
_METRIC: Final = "PredefinedMetricSpecification"


#: Value of each metric of `METRICS`, from two readings and the instances in service.
_VALUES: Final[dict[str, Callable[[LoadReading, LoadReading, int], float]]] = {
    "concurrent_requests": concurrent_requests,
    "invocations_per_instance": invocations_per_instance,
}
#: Names in `METRICS` of the predefined metrics of a variant.
_NAMES: Final = {timing.predefined: name for name, timing in METRICS.items()}


def check_policy(policy: Params) -> None:
    """Raise `ServiceError` for a policy that the laptop cloud does not carry out."""
    kind = policy.get("PolicyType", "StepScaling")
    if kind != "TargetTrackingScaling":
        raise invalid(
            f"the laptop cloud carries out no policies of PolicyType {kind}: TargetTrackingScaling only"
        )
    if _CONFIGURATION not in policy:
        raise invalid(f"a policy of PolicyType {kind} needs {_CONFIGURATION}")
    emulated = ("TargetValue", _METRIC, "ScaleOutCooldown", "ScaleInCooldown", "DisableScaleIn")
    refuse_others(_CONFIGURATION, policy[_CONFIGURATION], emulated)
    metric = policy[_CONFIGURATION].get(_METRIC, {}).get("PredefinedMetricType")
    if metric not in _NAMES:
        raise invalid(
            f"PredefinedMetricType {metric} does not go with a variant on the laptop cloud, which has "
            f"{' and '.join(_NAMES)}"
        )


class TrackedPolicy:
    """One policy between PutScalingPolicy and its deletion or next change."""

    def __init__(self, record: Params, load: VariantLoad) -> None:
        """`record` has passed `check_policy`; its first period begins now."""
        self.record = record
        #: True if the last value asked for fewer instances.
        self.wants_less = False
        self._load = load
        self._endpoint = endpoint_of(record)
        self._given: Params = record[_CONFIGURATION]
        self._metric = _NAMES[self._given[_METRIC]["PredefinedMetricType"]]
        self._state = AlarmState()
        self._reading = load.read(self._endpoint)
        #: The values that have not arrived: time of arrival, value.
        self._late: deque[tuple[float, float | None]] = deque()

    @property
    def scales_in(self) -> bool:
        """False if the policy only adds instances."""
        return not self._given.get("DisableScaleIn", False)

    def observe(self, tick_s: float, instances: int) -> None:
        """Measure the periods that have ended by `tick_s`, with `instances` in service.

        SageMaker emits no metric with the value 0: a period without load has no value. Several at once, on a
        machine that is late, have their mean.
        """
        before, timing = self._reading, METRICS[self._metric]
        ended = int(tick_s // timing.period_s - before.at_s // timing.period_s)
        if ended > 0:
            self._reading = self._load.read(self._endpoint)
            value = _VALUES[self._metric](before, self._reading, instances) if instances else None
            self._late += [(tick_s + timing.delay_s, value or None)] * ended

    def arrived(self, tick_s: float) -> list[float | None]:
        """Return the values that have arrived by `tick_s`, and not been returned before."""
        found = []
        while self._late and self._late[0][0] <= tick_s:
            found.append(self._late.popleft()[1])
        return found

    def judged(self, tick_s: float, value: float | None, fleet: VariantSize) -> tuple[AlarmState, int]:
        """Return the state after a value, to pass to `accept`, and the desired capacity."""
        policy = tracking_policy(
            self._metric,
            target=self._given["TargetValue"],
            min_instances=fleet.low,
            max_instances=fleet.high,
            out_cooldown_s=self._given.get("ScaleOutCooldown", DEFAULT_COOLDOWN_S),
            in_cooldown_s=self._given.get("ScaleInCooldown", DEFAULT_COOLDOWN_S),
        )
        state, desired = decide(policy, self._state, tick_s, value, fleet.desired, updating=fleet.updating)
        if not self.scales_in:
            desired = max(desired, fleet.desired)
        self.wants_less = desired < fleet.desired
        return state, desired

    def accept(self, state: AlarmState) -> None:
        """Take over the state of `judged`.

        Without it, the alarm keeps its count, no cooldown begins, and the next value asks again.
        """
        self._state = state
