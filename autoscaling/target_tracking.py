"""Target tracking: the two alarms of a policy, and the number of instances that they ask for.

A policy has an alarm above its target and one below nine tenths of it. Both judge one value per period, in
order: `decide` takes the next value and returns the state to pass with the one after. The caller has the
clock, the delay of the metric, and the instances.

Sources, as published by AWS; what none of them says is marked *assumed*:

- Application Auto Scaling's user guide, "How target tracking scaling for Application Auto Scaling works":
  instances are added in proportion to the metric; none is removed if that "would likely bring the metric back
  above the target value"; a metric without data changes nothing; the cooldowns.
- Application Auto Scaling's API reference, `TargetTrackingScalingPolicyConfiguration` and `NotScaledReason`.
- Amazon ECS's developer guide, "Use a target metric to scale Amazon ECS services": the number of instances to
  add is rounded up, the number to remove is rounded down.
- Amazon CloudWatch's user guide, "Configuring how CloudWatch alarms treat missing data": periods without data
  are left out, as long as one of the evaluated periods has data. CloudWatch also raises an alarm early if no
  period of its evaluation range, whose length is not documented, was in order; `decide` does not.
- SageMaker AI's developer guide, "Define a scaling policy", and "Amazon SageMaker inference launches faster
  auto scaling for generative AI models" (AWS's machine learning blog, July 2024): metrics of high resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

#: The low alarm's threshold, as a share of the target.
LOW_SHARE: Final = 0.9
#: Application Auto Scaling's default of both cooldowns for a variant, in seconds.
DEFAULT_COOLDOWN_S: Final = 300.0


@dataclass(frozen=True, kw_only=True)
class MetricTiming:
    """Periods of a predefined metric and of the two alarms on it."""

    predefined: str
    """Its `PredefinedMetricType`."""
    period_s: float
    """Seconds of one value."""
    high_periods: int
    """Periods above the target before instances are added."""
    low_periods: int
    """Periods below nine tenths of the target before instances are removed."""
    delay_s: float
    """Seconds from the end of a period until an alarm sees its value."""


#: Metrics by their name in a stage file. A period without requests has no value: SageMaker emits no metric of
#: value zero, so that an endpoint without any traffic does not scale in (SageMaker AI's developer guide,
#: "Instructions for editing a scaling policy").
METRICS: Final = {
    # ConcurrentRequestsPerModel: a value each 10 s. The low alarm has 90 periods, as measured on an endpoint
    # with `describe-alarms`. 3 periods for the high alarm are assumed: not documented. The delay is the rest
    # of the documented "up to six times faster" than 5 minutes.
    "concurrent_requests": MetricTiming(
        predefined="SageMakerVariantConcurrentRequestsPerModelHighResolution",
        period_s=10,
        high_periods=3,
        low_periods=90,
        delay_s=20,
    ),
    # InvocationsPerInstance: the sum of a minute. 5 minutes from the load to the alarm: 3 periods, and 2
    # minutes of delay.
    "invocations_per_instance": MetricTiming(
        predefined="SageMakerVariantInvocationsPerInstance",
        period_s=60,
        high_periods=3,
        low_periods=15,
        delay_s=120,
    ),
}


@dataclass(frozen=True, kw_only=True)
class TargetTrackingPolicy:
    """A policy, its bounds and its alarms."""

    target: float
    """Value of the metric, per instance, that the policy keeps."""
    min_instances: int
    max_instances: int
    out_cooldown_s: float = DEFAULT_COOLDOWN_S
    in_cooldown_s: float = DEFAULT_COOLDOWN_S
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
    missing: int = 0
    """Periods in a row without data."""
    out_until_s: float = -math.inf
    """End of the running cooldown of a scale-out."""
    in_until_s: float = -math.inf
    """End of the running cooldown of a scale-in."""
    added: int = 0
    """Instances that the scale-out of the running cooldown added."""


def tracking_policy(
    metric: str,
    *,
    target: float,
    min_instances: int,
    max_instances: int,
    out_cooldown_s: float = DEFAULT_COOLDOWN_S,
    in_cooldown_s: float = DEFAULT_COOLDOWN_S,
) -> TargetTrackingPolicy:
    """Return the policy on a metric of `METRICS`."""
    timing = METRICS[metric]
    return TargetTrackingPolicy(
        target=target,
        min_instances=min_instances,
        max_instances=max_instances,
        out_cooldown_s=out_cooldown_s,
        in_cooldown_s=in_cooldown_s,
        period_s=timing.period_s,
        high_periods=timing.high_periods,
        low_periods=timing.low_periods,
    )


def decide(
    policy: TargetTrackingPolicy,
    state: AlarmState,
    now_s: float,
    value: float | None,
    capacity: int,
    *,
    updating: bool = False,
) -> tuple[AlarmState, int]:
    """Judge the value of the period that ended at `now_s`; return the next state and the desired capacity.

    Out: the instances at which the metric would be at its target, rounded up, and at most `max_instances`. In
    the cooldown after a scale-out, the instances that it added count as part of the next one, so that only a
    larger one adds any. In: the same number, rounded up, at least `min_instances`, and not in the cooldown
    after a scale-in, which a scale-out ends. A cooldown begins when its change is complete.

    Args:
        policy: the policy.
        state: the state that the call for the period before returned, `AlarmState()` at the start.
        now_s: seconds of the caller's clock.
        value: the metric per instance in service; None without data, which neither breaches nor clears an
            alarm, and never changes the capacity.
        capacity: instances that serve or are starting.
        updating: whether an earlier change is under way. SageMaker refuses another one until the endpoint is
            in service again, and Application Auto Scaling tries again then (`NotScaledReason`:
            `TargetServicePutResourceAsUnscalable`).
    """
    state = _judged(policy, state, value)
    if updating:
        return _with_cooldowns_from(policy, state, now_s), capacity
    state = _without_ended_cooldowns(state, now_s)
    if value is None:
        return state, bounded(policy, capacity)
    if state.high >= policy.high_periods:
        wanted = bounded(policy, _at_target(policy, value, capacity - state.added))
        if wanted > capacity:
            return replace(
                state,
                out_until_s=now_s + policy.out_cooldown_s,
                in_until_s=-math.inf,
                added=state.added + wanted - capacity,
            ), wanted
    elif state.low >= policy.low_periods and state.in_until_s == -math.inf:
        wanted = bounded(policy, _at_target(policy, value, capacity))
        if wanted < capacity:
            return replace(
                state, out_until_s=-math.inf, in_until_s=now_s + policy.in_cooldown_s, added=0
            ), wanted
    return state, bounded(policy, capacity)


def bounded(policy: TargetTrackingPolicy, capacity: int) -> int:
    """Return the capacity within the policy's bounds."""
    return min(max(capacity, policy.min_instances), policy.max_instances)


def _judged(policy: TargetTrackingPolicy, state: AlarmState, value: float | None) -> AlarmState:
    """Return the state with the alarms' counts after `value`."""
    if value is None:
        # An alarm whose evaluated periods are all without data has insufficient data: its count begins again.
        missing = state.missing + 1
        high = state.high if missing < policy.high_periods else 0
        low = state.low if missing < policy.low_periods else 0
    else:
        missing = 0
        high = state.high + 1 if value > policy.target else 0
        low = state.low + 1 if value < LOW_SHARE * policy.target else 0
    return AlarmState(high, low, missing, state.out_until_s, state.in_until_s, state.added)


def _with_cooldowns_from(policy: TargetTrackingPolicy, state: AlarmState, now_s: float) -> AlarmState:
    """Return the state with the running cooldown begun anew: the change that it follows is not complete."""
    if state.out_until_s > -math.inf:
        return replace(state, out_until_s=now_s + policy.out_cooldown_s)
    if state.in_until_s > -math.inf:
        return replace(state, in_until_s=now_s + policy.in_cooldown_s)
    return state


def _without_ended_cooldowns(state: AlarmState, now_s: float) -> AlarmState:
    if now_s >= state.out_until_s > -math.inf:
        state = replace(state, out_until_s=-math.inf, added=0)
    if now_s >= state.in_until_s > -math.inf:
        state = replace(state, in_until_s=-math.inf)
    return state


def _at_target(policy: TargetTrackingPolicy, value: float, capacity: int) -> int:
    """Return the instances among which the metric's total gives each the target."""
    # A hair below the quotient: 3 instances at 2/3 of the target are 2, whatever the last bit of the product.
    return math.ceil(capacity * value / policy.target - 1e-9)
