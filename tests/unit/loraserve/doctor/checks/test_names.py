"""Fixed names of the templates."""

from typing import Any

import pytest

from loraserve.doctor.checks.names import TYPES, fixed_names
from loraserve.doctor.deployment import Deployment, PlannedStack


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
