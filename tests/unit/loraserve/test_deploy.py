"""Deployment of a ready assembly: its order around the instance type, and stacks that are looked at first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loraserve.cdk import CdkError
from loraserve.cdk_arguments import CdkArguments
from loraserve.deploy import _never_made, deploy
from stacks.config.stage_target import StageTarget
from tests.unit.loraserve.stubbed_cloud import ENDPOINT, THEN, Cloud

DEV = StageTarget(name="dev", account=None, region="us-east-1")
SERVING = {
    "Config": {
        "Type": "AWS::SageMaker::EndpointConfig",
        "Properties": {
            "ProductionVariants": [
                {"VariantName": "AllTraffic", "InstanceType": "ml.g5.xlarge", "InitialInstanceCount": 1}
            ]
        },
    },
    "Endpoint": {
        "Type": "AWS::SageMaker::Endpoint",
        "Properties": {"EndpointName": ENDPOINT, "DeploymentConfig": {}},
    },
}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    made = Cloud()
    with made.stubbed():
        yield made


@pytest.fixture
def assembly(tmp_path: Path) -> Path:
    """An assembly with the stack of the endpoint alone."""
    stack = {
        "type": "aws:cloudformation:stack",
        "displayName": "Dev/Serving (LoraServing-Dev-Serving)",
        "properties": {"templateFile": "serving.json"},
    }
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": {"Serving": stack}}))
    (tmp_path / "serving.json").write_text(json.dumps({"Resources": SERVING}))
    return tmp_path


def stacks(cloud: Cloud, *targets: StageTarget) -> None:
    described = [
        {"StackName": target.stack_name(name), "CreationTime": THEN, "StackStatus": status}
        for target in targets
        for name, status in (("AdapterStore", "CREATE_COMPLETE"), ("Serving", "ROLLBACK_COMPLETE"))
    ]
    cloud.answers("cloudformation", "describe_stacks", {"Stacks": described})


def test_the_stacks_of_a_stage_whose_name_begins_alike_are_left_alone(cloud: Cloud) -> None:
    stacks(cloud, DEV, StageTarget(name="dev2", account=None, region="us-east-1"))
    assert _never_made(cloud("cloudformation"), DEV) == ["LoraServing-Dev-Serving"]


class Cdk:
    """The CDK CLI, which fails at the deployment of the whole stage, so that nothing follows it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def __call__(self, *arguments: str) -> None:
        self.calls.append((arguments[0], arguments[1]))
        if arguments[:2] == ("deploy", "Dev/*"):
            raise CdkError("alarm x is in state ALARM")


UNSCALED = [("destroy", "Dev/Scaling"), ("deploy", "Dev/*"), ("deploy", "Dev/Scaling")]
PLAIN = [("deploy", "Dev/*")]


@pytest.mark.parametrize(
    ("live", "known", "calls"),
    [
        ("ml.g5.xlarge", None, PLAIN),
        ("ml.g5.2xlarge", None, UNSCALED),
        # The config that serves is deleted.
        (None, "ml.g5.xlarge", PLAIN),
        (None, "ml.g5.2xlarge", UNSCALED),
        (None, None, UNSCALED),
    ],
    ids=["same type", "other type", "recorded same type", "recorded other type", "unknown type"],
)
def test_autoscaling_is_removed_for_another_or_an_unknown_type_and_put_back_after_a_failure(
    cloud: Cloud, assembly: Path, live: str | None, known: str | None, calls: list[tuple[str, str]]
) -> None:
    fleet: dict[str, Any] = {"VariantName": "AllTraffic", "DesiredInstanceCount": 1}
    cloud.endpoint(config="older", ProductionVariants=[fleet])
    if live is None:
        cloud.lost("describe_endpoint_config")
    else:
        cloud.config(ProductionVariants=[{"VariantName": "AllTraffic", "InstanceType": live}])
    if calls == UNSCALED:
        cloud.answers("cloudformation", "update_termination_protection", {})
    stacks(cloud)
    cdk = Cdk()
    with pytest.raises(CdkError, match="alarm x"):
        deploy(cloud.console, DEV, cloud, cdk, assembly, CdkArguments(), known_instance_type=known)
    assert cdk.calls == calls
