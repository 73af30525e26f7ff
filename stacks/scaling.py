"""Autoscaling of the endpoint's variant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as appscaling
from constructs import Construct

from autoscaling.target_tracking import METRICS

_Target = appscaling.CfnScalableTarget
_Policy = appscaling.CfnScalingPolicy


@dataclass(frozen=True, kw_only=True)
class CapacityLimits:
    """Bounds of the number of instances."""

    min_instances: int
    """1 at least: a variant cannot go below it."""
    max_instances: int
    """`min_instances` at least."""


@dataclass(frozen=True, kw_only=True)
class ScheduledLimits:
    """CapacityLimits that replace the current ones at a time."""

    name: str
    """Name of the scheduled action."""
    cron: str
    """`cron(…)` with Application Auto Scaling's six fields."""
    timezone: str
    """Time zone of `cron`, a name of the IANA database."""
    limits: CapacityLimits
    """The new limits."""


@dataclass(frozen=True, kw_only=True)
class TargetTracking:
    """The scaling policy."""

    metric: str
    """`concurrent_requests` or `invocations_per_instance`."""
    target: float
    """Value of the metric per instance that the policy keeps."""
    scale_out_cooldown_seconds: int
    """Pause after adding instances."""
    scale_in_cooldown_seconds: int
    """Pause after removing instances."""


class ScalingStack(cdk.Stack):
    """The registration of the endpoint's variant with Application Auto Scaling.

    A separate stack because SageMaker refuses to change the instance type of a registered variant: `make
    deploy` destroys this stack, deploys the change, and deploys this stack again.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint_name: str,
        variant: str,
        tracking: TargetTracking | None,
        limits: CapacityLimits,
        schedules: Sequence[ScheduledLimits],
        env: cdk.Environment,
    ) -> None:
        """Without `tracking` the variant is not scaled, and the stack removes an earlier registration."""
        super().__init__(scope, construct_id, env=env, description="Autoscaling of a multi-LoRA endpoint")
        if tracking is None:
            # A stack needs a resource. A stack that is no longer in the app would stay deployed, with its
            # scalable target.
            cdk.CfnWaitConditionHandle(self, "Off")
            return
        scaled = _Target(
            self,
            "Target",
            service_namespace="sagemaker",
            resource_id=f"endpoint/{endpoint_name}/variant/{variant}",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            min_capacity=limits.min_instances,
            max_capacity=limits.max_instances,
            scheduled_actions=[
                _Target.ScheduledActionProperty(
                    scheduled_action_name=each.name,
                    schedule=each.cron,
                    timezone=each.timezone,
                    scalable_target_action=_Target.ScalableTargetActionProperty(
                        min_capacity=each.limits.min_instances, max_capacity=each.limits.max_instances
                    ),
                )
                for each in schedules
            ]
            or None,
        )
        _Policy(
            self,
            "Policy",
            policy_name=f"{endpoint_name}-{tracking.metric.replace('_', '-')}",
            policy_type="TargetTrackingScaling",
            scaling_target_id=scaled.ref,
            target_tracking_scaling_policy_configuration=_Policy.TargetTrackingScalingPolicyConfigurationProperty(
                predefined_metric_specification=_Policy.PredefinedMetricSpecificationProperty(
                    predefined_metric_type=METRICS[tracking.metric].predefined
                ),
                target_value=tracking.target,
                scale_out_cooldown=tracking.scale_out_cooldown_seconds,
                scale_in_cooldown=tracking.scale_in_cooldown_seconds,
            ),
        )
