"""Thresholds that are shares of something: an alarm that follows it is as strict as before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loraserve.review.assembly import Stage
from loraserve.review.comparison import StageComparison
from loraserve.review.rules.alarm_direction import WHEN
from loraserve.review.values import properties, resources_of
from stacks.sizing.instances import INSTANCE_TYPES

_POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
_CONFIG = "AWS::SageMaker::EndpointConfig"
#: Metrics of SageMaker that are sums over an instance's GPUs (developer guide, "Instance metrics").
_GPU_METRICS = ("GPUMemoryUtilization", "GPUUtilization")


def follows(change: StageComparison, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return True if an alarm's threshold alone changes, by the ratio of what its metric is measured in."""
    old, new = before.get("Threshold"), after.get("Threshold")
    if old == new or any(before.get(name) != after.get(name) for name in WHEN if name != "Threshold"):
        return False
    if not isinstance(old, int | float) or not isinstance(new, int | float):
        return False
    metric = str(after.get("MetricName"))
    if metric != before.get("MetricName"):
        return False
    scales = [_scale(side, metric) for side in (change.before, change.after)]
    first, second = scales
    return first is not None and second is not None and old * second == new * first


def _scale(stage: Stage | None, metric: str) -> float | None:
    """Return the unit of an alarm's threshold: GPUs of an instance, or the target of autoscaling."""
    found = set(_gpus(stage) if metric in _GPU_METRICS else _targets(stage, metric))
    return found.pop() if len(found) == 1 else None


def _gpus(stage: Stage | None) -> Iterator[float]:
    for _, _, config in resources_of(stage, _CONFIG):
        for variant in properties(config).get("ProductionVariants", ()):
            instance = INSTANCE_TYPES.get(str(variant.get("InstanceType")))
            if instance is not None and instance.gpus:
                yield instance.gpus


def _targets(stage: Stage | None, metric: str) -> Iterator[float]:
    for _, _, policy in resources_of(stage, _POLICY):
        tracking = properties(policy).get("TargetTrackingScalingPolicyConfiguration", {})
        predefined = tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType", "")
        target = tracking.get("TargetValue")
        if metric in predefined and isinstance(target, int | float):
            yield target
