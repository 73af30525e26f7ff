"""A rollout as SageMaker's deployment configuration.

Separate from the plan (`stacks.config.rollout_plan`), which every command reads: aws_cdk takes a second to
import.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_sagemaker as sagemaker

from stacks.config.rollout_plan import RolloutPlan

_Endpoint = sagemaker.CfnEndpoint


def deployment_config(
    plan: RolloutPlan, alarms: Sequence[str]
) -> sagemaker.CfnEndpoint.DeploymentConfigProperty:
    """Make the endpoint's property; each of the `alarms` (names) rolls back an update."""
    rollback = _Endpoint.AutoRollbackConfigProperty(
        alarms=[_Endpoint.AlarmProperty(alarm_name=name) for name in alarms]
    )
    if plan.strategy == "rolling":
        batch = _Endpoint.CapacitySizeProperty(type="CAPACITY_PERCENT", value=plan.batch_percent)
        rolling = _Endpoint.RollingUpdatePolicyProperty(
            maximum_batch_size=batch,
            # By default a rollback starts the whole old fleet at once, beyond the instance quota.
            rollback_maximum_batch_size=batch,
            wait_interval_in_seconds=plan.step_seconds,
            maximum_execution_timeout_in_seconds=plan.timeout,
        )
        return _Endpoint.DeploymentConfigProperty(
            rolling_update_policy=rolling, auto_rollback_configuration=rollback if alarms else None
        )
    step = _Endpoint.CapacitySizeProperty(type="CAPACITY_PERCENT", value=plan.step_percent)
    routing = _Endpoint.TrafficRoutingConfigProperty(
        type=plan.strategy.upper(),
        canary_size=step if plan.strategy == "canary" else None,
        linear_step_size=step if plan.strategy == "linear" else None,
        wait_interval_in_seconds=0 if plan.strategy == "all_at_once" else plan.step_seconds,
    )
    blue_green = _Endpoint.BlueGreenUpdatePolicyProperty(
        traffic_routing_configuration=routing,
        termination_wait_in_seconds=plan.bake_seconds,
        maximum_execution_timeout_in_seconds=plan.timeout,
    )
    return _Endpoint.DeploymentConfigProperty(
        blue_green_update_policy=blue_green, auto_rollback_configuration=rollback if alarms else None
    )
