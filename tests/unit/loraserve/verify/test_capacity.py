"""Instances and autoscaling, against the template."""

from __future__ import annotations

from typing import Any

import pytest

from loraserve.finding import Finding, State
from loraserve.verify.capacity import check_capacity
from tests.unit.loraserve.stubbed_cloud import THEN, Cloud
from tests.unit.loraserve.verify.made import (
    NIGHT,
    POLICY,
    PROD,
    RESOURCE,
    SCALING,
    SERVING,
    expected,
)

SAGEMAKER = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
OWN = {**SAGEMAKER, "ResourceId": RESOURCE, "CreationTime": THEN}
ARN = "arn:aws:application-autoscaling:us-east-1:333333333333:x"


def fleet(cloud: Cloud, current: int, desired: int) -> None:
    variant = {
        "VariantName": "AllTraffic",
        "CurrentInstanceCount": current,
        "DesiredInstanceCount": desired,
    }
    cloud.endpoint(ProductionVariants=[variant])


def registered(cloud: Cloud, low: int = 2, high: int = 4, **suspended: bool) -> None:
    target = {**OWN, "MinCapacity": low, "MaxCapacity": high, "RoleARN": ARN, "SuspendedState": suspended}
    cloud.answers("application-autoscaling", "describe_scalable_targets", {"ScalableTargets": [target]})


def policy(cloud: Cloud, value: float | None = 5.0) -> None:
    made = {
        **OWN,
        "PolicyName": POLICY["PolicyName"],
        "PolicyARN": ARN,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {"TargetValue": value},
    }
    answer = {"ScalingPolicies": [] if value is None else [made]}
    cloud.answers("application-autoscaling", "describe_scaling_policies", answer)


def schedule(cloud: Cloud, **changed: Any) -> None:
    action = {**OWN, "ScheduledActionARN": ARN, **NIGHT, **changed}
    cloud.answers("application-autoscaling", "describe_scheduled_actions", {"ScheduledActions": [action]})


def found(cloud: Cloud, *, scaled: bool = True) -> list[Finding]:
    stacks = {"Serving": SERVING, "Scaling": SCALING} if scaled else {"Serving": SERVING}
    return list(check_capacity(PROD, cloud, expected(**stacks)))


def problems(cloud: Cloud, *, scaled: bool = True) -> list[str]:
    return [finding.check for finding in found(cloud, scaled=scaled) if finding.state is State.PROBLEM]


@pytest.mark.parametrize(("low", "high"), [(2, 4), (1, 2)], ids=["by day", "by night"])
def test_the_template_or_one_of_its_schedules_is_right(cloud: Cloud, low: int, high: int) -> None:
    fleet(cloud, 2, 2)
    registered(cloud, low, high, DynamicScalingInSuspended=False)
    policy(cloud)
    schedule(cloud)
    assert {finding.state for finding in found(cloud)} == {State.OK}


def test_a_scalable_target_that_a_change_of_the_type_lost_is_a_problem(cloud: Cloud) -> None:
    fleet(cloud, 2, 2)
    cloud.answers("application-autoscaling", "describe_scalable_targets", {"ScalableTargets": []})
    assert problems(cloud) == ["autoscaling"]


def test_suspended_autoscaling_a_policy_and_a_schedule_of_another_kind_are_problems(cloud: Cloud) -> None:
    fleet(cloud, 2, 2)
    registered(cloud, DynamicScalingOutSuspended=True)
    policy(cloud, 7)
    schedule(cloud, Schedule="cron(0 21 * * ? *)")
    assert problems(cloud) == ["autoscaling", "scaling policy", "scheduled actions"]


def test_other_limits_and_a_missing_policy_are_problems(cloud: Cloud) -> None:
    fleet(cloud, 0, 5)
    registered(cloud, 2, 5)
    policy(cloud, None)
    schedule(cloud)
    assert problems(cloud) == ["instances", "autoscaling", "scaling policy"]


@pytest.mark.parametrize(("current", "count"), [(2, 0), (1, 1)])
def test_a_fleet_without_autoscaling_has_the_templates_count(cloud: Cloud, current: int, count: int) -> None:
    fleet(cloud, current, 2)
    cloud.answers("application-autoscaling", "describe_scalable_targets", {"ScalableTargets": []})
    assert problems(cloud, scaled=False) == ["instances"] * count


def test_a_registration_that_the_template_lacks_is_a_problem(cloud: Cloud) -> None:
    fleet(cloud, 2, 2)
    registered(cloud)
    assert problems(cloud, scaled=False) == ["autoscaling"]
