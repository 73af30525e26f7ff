"""Fixed names of the templates."""

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from loraserve.doctor.checks.names import TYPES, check, fixed_names
from loraserve.doctor.deployment import Deployment, PlannedStack
from loraserve.finding import State
from stacks.config.loading import load_stages
from stacks.project import ROOT


@pytest.mark.parametrize("stage", ["Dev", "Staging", "Prod", "Local"])
def test_every_type_with_a_fixed_name_is_looked_for(deployments: dict[str, Deployment], stage: str) -> None:
    names = fixed_names(deployments[stage])
    assert names.keys() <= TYPES.keys(), "add the type to TYPES"
    assert names["AWS::Logs::LogGroup"] == {
        f"/aws/sagemaker/Endpoints/LoraServing-{stage}-Serving": f"LoraServing-{stage}-Observability"
    }
    assert len(names["AWS::CloudWatch::Alarm"]) > 10


def test_a_name_is_fixed_if_it_is_the_type_s_own_and_literal() -> None:
    resources: dict[str, dict[str, Any]] = {
        "A": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "alarms"}},
        "B": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Ref": "X"}}},
        "C": {"Type": "AWS::Logs::MetricFilter", "Properties": {"LogGroupName": "other"}},
        "D": {"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": "inline"}},
        "E": {"Type": "AWS::KMS::Key"},
    }
    stack = PlannedStack("Dev/S", "S", resources)
    deployment = Deployment((stack,), "", 0, (), (), (), ())
    assert fixed_names(deployment) == {"AWS::SNS::Topic": {"alarms": "S"}}


ENDPOINT = "LoraServing-Dev-Serving"
ARN = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{ENDPOINT}"


@pytest.mark.parametrize(
    ("physical", "state"), [(ARN, State.OK), (ARN.lower(), State.OK), (f"{ARN}2", State.PROBLEM)]
)
def test_an_endpoint_is_of_its_stack_whatever_the_case_of_its_arn(physical: str, state: State) -> None:
    session = boto3.Session("key", "secret", region_name="us-east-1")
    clients = {name: session.client(name) for name in ("cloudformation", "sagemaker")}
    now = datetime.now(UTC)
    resource = {
        "LogicalResourceId": "Endpoint",
        "ResourceType": "AWS::SageMaker::Endpoint",
        "PhysicalResourceId": physical,
        "LastUpdatedTimestamp": now,
        "ResourceStatus": "CREATE_COMPLETE",
    }
    described = {
        "EndpointName": ENDPOINT,
        "EndpointArn": ARN,
        "EndpointConfigName": "config",
        "EndpointStatus": "InService",
        "CreationTime": now,
        "LastModifiedTime": now,
    }
    planned = {"Endpoint": {"Type": "AWS::SageMaker::Endpoint", "Properties": {"EndpointName": ENDPOINT}}}
    deployment = Deployment((PlannedStack("Dev/Serving", ENDPOINT, planned),), "", 0, (), (), (), ())
    [dev] = load_stages(ROOT / "stages", "dev")
    with Stubber(clients["cloudformation"]) as stacks, Stubber(clients["sagemaker"]) as sagemaker:
        stacks.add_response("list_stack_resources", {"StackResourceSummaries": [resource]})
        sagemaker.add_response("describe_endpoint", described)
        [finding] = check(deployment, dev.target, clients.__getitem__)
    assert finding.state is state
