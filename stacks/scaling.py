"""Autoscaling of the endpoint's variant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as appscaling
from constructs import Construct

_METRICS = {
    "concurrent_requests": "SageMakerVariantConcurrentRequestsPerModelHighResolution",
    "invocations_per_instance": "SageMakerVariantInvocationsPerInstance",
}
_Target = appscaling.CfnScalableTarget
_Policy = appscaling.CfnScalingPolicy


@dataclass(frozen=True, kw_only=True)
class ScheduledLimits:
    """New limits at a time."""

    name: str
    cron: str
    timezone: str
    min_instances: int
    max_instances: int


class Scaling(cdk.Stack):
    """Registers the endpoint's variant with Application Auto Scaling.

    A stack of its own because SageMaker refuses to change the instance type of a variant that is registered:
    `make deploy` takes this stack away, lets the change through, and puts it back.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        enabled: bool,
        endpoint_name: str,
        variant: str,
        metric: str,
        target: float,
        min_instances: int,
        max_instances: int,
        scale_out_cooldown_seconds: int,
        scale_in_cooldown_seconds: int,
        schedules: Sequence[ScheduledLimits],
        env: cdk.Environment,
    ) -> None:
        """`metric` is `concurrent_requests` or `invocations_per_instance`; `target` is per instance."""
        super().__init__(scope, construct_id, env=env, description="Autoscaling of a multi-LoRA endpoint")
        if not enabled:
            # A stack needs a resource, and one that left the app would stay deployed, with its target.
            cdk.CfnWaitConditionHandle(self, "Off")
            return
        scaled = _Target(
            self,
            "Target",
            service_namespace="sagemaker",
            resource_id=f"endpoint/{endpoint_name}/variant/{variant}",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            min_capacity=min_instances,
            max_capacity=max_instances,
            scheduled_actions=[
                _Target.ScheduledActionProperty(
                    scheduled_action_name=each.name,
                    schedule=each.cron,
                    timezone=each.timezone,
                    scalable_target_action=_Target.ScalableTargetActionProperty(
                        min_capacity=each.min_instances, max_capacity=each.max_instances
                    ),
                )
                for each in schedules
            ]
            or None,
        )
        _Policy(
            self,
            "Policy",
            policy_name=f"{endpoint_name}-{metric.replace('_', '-')}",
            policy_type="TargetTrackingScaling",
            scaling_target_id=scaled.ref,
            target_tracking_scaling_policy_configuration=_Policy.TargetTrackingScalingPolicyConfigurationProperty(
                predefined_metric_specification=_Policy.PredefinedMetricSpecificationProperty(
                    predefined_metric_type=_METRICS[metric]
                ),
                target_value=target,
                scale_out_cooldown=scale_out_cooldown_seconds,
                scale_in_cooldown=scale_in_cooldown_seconds,
            ),
        )
