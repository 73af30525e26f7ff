"""Application Auto Scaling's control plane, through boto3."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

VARIANT = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
TRACKING = {
    "TargetValue": 5.0,
    "PredefinedMetricSpecification": {
        "PredefinedMetricType": "SageMakerVariantConcurrentRequestsPerModelHighResolution"
    },
    "ScaleOutCooldown": 300,
}


@pytest.fixture(scope="module")
def scaling(cloud: Any) -> Any:
    return cloud.client("application-autoscaling")


@pytest.fixture(scope="module")
def endpoint(sagemaker: Any) -> Any:
    return sagemaker.endpoint()


@pytest.fixture
def target(scaling: Any, endpoint: str) -> Any:
    """A registered variant."""
    named = {**VARIANT, "ResourceId": f"endpoint/{endpoint}/variant/Main"}
    scaling.register_scalable_target(**named, MinCapacity=1, MaxCapacity=4)
    yield named
    scaling.deregister_scalable_target(**named)


def test_a_target_is_described_as_it_was_registered(scaling: Any, target: Any) -> None:
    [found] = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (found["ResourceId"], found["MinCapacity"], found["MaxCapacity"]) == (target["ResourceId"], 1, 4)


def test_a_target_that_is_registered_again_keeps_what_is_not_said_again(scaling: Any, target: Any) -> None:
    scaling.register_scalable_target(**target, MaxCapacity=6)
    [found] = scaling.describe_scalable_targets(**{**VARIANT, "ResourceIds": [target["ResourceId"]]})[
        "ScalableTargets"
    ]
    assert (found["MinCapacity"], found["MaxCapacity"]) == (1, 6)


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        ("endpoint/nobody/variant/Main", "Could not find endpoint"),
        ("endpoint/{endpoint}/variant/Other", "Could not find variant Other of endpoint"),
        ("{endpoint}", "must be endpoint/<endpoint>/variant/<variant>"),
    ],
)
def test_what_does_not_exist_cannot_be_registered(
    scaling: Any, endpoint: str, resource: str, message: str
) -> None:
    named = {**VARIANT, "ResourceId": resource.format(endpoint=endpoint)}
    with pytest.raises(ClientError, match=message):
        scaling.register_scalable_target(**named, MinCapacity=1, MaxCapacity=2)


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [(0, 2, "MinCapacity 0 is too low"), (3, 2, "must not be greater than MaxCapacity 2")],
)
def test_capacities_that_make_no_sense_are_refused(
    scaling: Any, endpoint: str, low: int, high: int, message: str
) -> None:
    named = {**VARIANT, "ResourceId": f"endpoint/{endpoint}/variant/Main"}
    with pytest.raises(ClientError, match=message):
        scaling.register_scalable_target(**named, MinCapacity=low, MaxCapacity=high)


def test_a_policy_is_kept_until_it_is_deleted(scaling: Any, target: Any) -> None:
    named = {**target, "PolicyName": "concurrency"}
    arn = scaling.put_scaling_policy(
        **named, PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=TRACKING
    )["PolicyARN"]
    [policy] = scaling.describe_scaling_policies(**target)["ScalingPolicies"]
    assert policy["PolicyARN"] == arn
    assert policy["TargetTrackingScalingPolicyConfiguration"] == TRACKING
    scaling.delete_scaling_policy(**named)
    assert scaling.describe_scaling_policies(**target)["ScalingPolicies"] == []


@pytest.mark.parametrize(
    ("operation", "parameters", "named"),
    [
        ("describe_scalable_targets", {"MaxResults": 5}, "MaxResults of DescribeScalableTargets"),
        ("describe_scaling_policies", {"PolicyNames": ["x"]}, "PolicyNames of DescribeScalingPolicies"),
        ("describe_scheduled_actions", {"NextToken": "5"}, "NextToken of DescribeScheduledActions"),
    ],
)
def test_pages_and_names_are_refused_by_name(
    scaling: Any, operation: str, parameters: dict[str, Any], named: str
) -> None:
    with pytest.raises(ClientError, match=f"the laptop cloud does not emulate {named}"):
        getattr(scaling, operation)(ServiceNamespace="sagemaker", **parameters)


def test_a_policy_needs_its_target(scaling: Any, endpoint: str) -> None:
    with pytest.raises(ClientError, match="ObjectNotFoundException.*No scalable target"):
        scaling.put_scaling_policy(
            **VARIANT,
            ResourceId=f"endpoint/{endpoint}/variant/Main",
            PolicyName="early",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=TRACKING,
        )


def test_a_policys_metric_goes_with_a_variant(scaling: Any, target: Any) -> None:
    metric = {"PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}
    with pytest.raises(ClientError, match="ECSServiceAverageCPUUtilization does not go with"):
        scaling.put_scaling_policy(
            **target,
            PolicyName="wrong",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={**TRACKING, **metric},
        )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no policies of PolicyType StepScaling"),
        ({"PolicyType": "TargetTrackingScaling"}, "needs TargetTrackingScalingPolicyConfiguration"),
        (
            {
                "PolicyType": "TargetTrackingScaling",
                "TargetTrackingScalingPolicyConfiguration": {
                    "TargetValue": 1.0,
                    "CustomizedMetricSpecification": {"MetricName": "x"},
                },
            },
            "does not emulate CustomizedMetricSpecification",
        ),
    ],
)
def test_a_policy_that_is_not_carried_out_is_refused(
    scaling: Any, target: Any, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        scaling.put_scaling_policy(**target, PolicyName="other", **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"Schedule": "rate(5 minutes)"}, "whose Schedule is cron"),
        ({"Schedule": "cron(0 25 * * ? *)"}, "mornings: '25' is no hour"),
        ({"Schedule": "cron(0 7 * * ? *)", "Timezone": "Europe/Berln"}, "mornings: .*Europe/Berln"),
        ({"Schedule": "cron(0 7 * * ? *)", "StartTime": 0}, "does not emulate StartTime"),
    ],
)
def test_a_schedule_that_is_not_carried_out_is_refused(
    scaling: Any, target: Any, given: dict[str, Any], message: str
) -> None:
    action = {"MinCapacity": 1, "MaxCapacity": 2}
    with pytest.raises(ClientError, match=message):
        scaling.put_scheduled_action(
            **target, ScheduledActionName="mornings", ScalableTargetAction=action, **given
        )


def test_a_policy_names_its_two_alarms(scaling: Any, target: Any) -> None:
    named = {**target, "PolicyName": "alarms"}
    answer = scaling.put_scaling_policy(
        **named, PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=TRACKING
    )
    prefix = f"TargetTracking-{target['ResourceId']}-Alarm"
    high, low = (alarm["AlarmName"] for alarm in answer["Alarms"])
    assert high.startswith(f"{prefix}High-")
    assert low.startswith(f"{prefix}Low-")
    [policy] = scaling.describe_scaling_policies(**target)["ScalingPolicies"]
    assert policy["Alarms"] == answer["Alarms"]


def test_policies_and_schedules_go_with_their_target(scaling: Any, endpoint: str) -> None:
    named = {**VARIANT, "ResourceId": f"endpoint/{endpoint}/variant/Main"}
    scaling.register_scalable_target(**named, MinCapacity=1, MaxCapacity=4)
    scaling.put_scheduled_action(
        **named,
        ScheduledActionName="mornings",
        Schedule="cron(0 7 * * ? *)",
        ScalableTargetAction={"MinCapacity": 2, "MaxCapacity": 4},
    )
    assert len(scaling.describe_scheduled_actions(**named)["ScheduledActions"]) == 1
    scaling.deregister_scalable_target(**named)
    assert scaling.describe_scheduled_actions(**named)["ScheduledActions"] == []


def test_a_scaled_variant_keeps_its_instance_type(sagemaker: Any, endpoint: str, target: Any) -> None:
    other = sagemaker.config(sagemaker.model(), InstanceType="ml.g6.xlarge")
    with pytest.raises(
        ClientError, match="registered with Application Auto Scaling.*ml.g5.xlarge to ml.g6.xlarge"
    ):
        sagemaker.api.update_endpoint(EndpointName=endpoint, EndpointConfigName=other)
