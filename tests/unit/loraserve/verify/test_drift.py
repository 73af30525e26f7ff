"""Drift, by CloudFormation's operations."""

from __future__ import annotations

from typing import Any

import pytest

from loraserve.finding import Finding, State
from loraserve.verify.drift import check_drift
from tests.unit.loraserve.stubbed_cloud import THEN, Cloud
from tests.unit.loraserve.verify.made import PROD

STACK = PROD.stack_name("Serving")
STACK_ID = f"arn:aws:cloudformation:us-east-1:333333333333:stack/{STACK}/1"


def detection(cloud: Cloud, status: str, **more: Any) -> None:
    answer = {
        "StackId": STACK_ID,
        "StackDriftDetectionId": "1",
        "DetectionStatus": status,
        "Timestamp": THEN,
    }
    cloud.answers("cloudformation", "describe_stack_drift_detection_status", answer | more)


def begun(cloud: Cloud) -> None:
    stack = {"StackName": STACK, "CreationTime": THEN, "StackStatus": "UPDATE_COMPLETE"}
    cloud.answers("cloudformation", "describe_stacks", {"Stacks": [stack]})
    cloud.answers("cloudformation", "detect_stack_drift", {"StackDriftDetectionId": "1"})


def found(cloud: Cloud, *, is_problem: bool = False) -> list[Finding]:
    return list(check_drift(PROD, cloud, is_problem=is_problem))


@pytest.mark.parametrize("is_problem", [False, True])
def test_a_drifted_resource_is_a_warning_after_a_deployment_and_a_problem_in_the_daily_run(
    cloud: Cloud, is_problem: bool
) -> None:
    begun(cloud)
    detection(cloud, "DETECTION_IN_PROGRESS")
    detection(cloud, "DETECTION_COMPLETE", StackDriftStatus="DRIFTED")
    resource = {
        "StackId": STACK_ID,
        "LogicalResourceId": "Endpoint",
        "ResourceType": "AWS::SageMaker::Endpoint",
        "StackResourceDriftStatus": "MODIFIED",
        "Timestamp": THEN,
        "PropertyDifferences": [
            {
                "PropertyPath": "/EndpointConfigName",
                "ExpectedValue": "new",
                "ActualValue": "old",
                "DifferenceType": "NOT_EQUAL",
            }
        ],
    }
    cloud.answers("cloudformation", "describe_stack_resource_drifts", {"StackResourceDrifts": [resource]})
    [drifted] = found(cloud, is_problem=is_problem)
    assert drifted.state is (State.PROBLEM if is_problem else State.WARNING)
    assert drifted.found == (f"{STACK}: Endpoint (AWS::SageMaker::Endpoint) is modified: /EndpointConfigName")


def test_a_stack_in_sync_passes_and_a_failed_detection_is_not_checked(cloud: Cloud) -> None:
    begun(cloud)
    detection(cloud, "DETECTION_COMPLETE", StackDriftStatus="IN_SYNC")
    assert [finding.state for finding in found(cloud)] == [State.OK]
    begun(cloud)
    detection(cloud, "DETECTION_FAILED", DetectionStatusReason="no permission")
    assert found(cloud)[0].state is State.UNKNOWN
