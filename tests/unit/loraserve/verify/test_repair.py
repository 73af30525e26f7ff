"""The update that is sent again after a silent rollback."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loraserve.verify.repair import RepairRefused, repair
from loraserve.verify.serving import SilentRollback
from stacks.config.stage_target import StageTarget
from tests.unit.loraserve.stubbed_cloud import CONFIG, ENDPOINT, Cloud
from tests.unit.loraserve.verify.made import template

DEV = StageTarget(name="dev", account=None, region="us-east-1")
ROLLOUT: dict[str, Any] = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    }
}
SERVING = template(
    Endpoint=(
        "AWS::SageMaker::Endpoint",
        {"EndpointName": ENDPOINT, "DeploymentConfig": ROLLOUT, "RetainAllVariantProperties": True},
    )
)


def rolled_back(cloud: Cloud) -> None:
    cloud.physical()
    cloud.endpoint(config="older")
    cloud.config()
    cloud.answers("cloudformation", "get_template", {"TemplateBody": json.dumps(SERVING)})


def updates(cloud: Cloud) -> None:
    sent = {
        "EndpointName": ENDPOINT,
        "EndpointConfigName": CONFIG,
        "DeploymentConfig": ROLLOUT,
        "RetainAllVariantProperties": True,
    }
    answer = {"EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e"}
    cloud.stubs["sagemaker"].add_response("update_endpoint", answer, sent)


def test_the_endpoint_is_updated_to_the_stacks_config_by_the_stacks_rollout(cloud: Cloud) -> None:
    rolled_back(cloud)
    updates(cloud)
    cloud.physical()
    cloud.endpoint("Updating", "older")
    cloud.endpoint()
    cloud.config()
    cloud.model()
    repair(cloud.console, DEV, cloud)
    assert f"older becomes {CONFIG}" in cloud.output.getvalue()


def test_an_update_that_is_rolled_back_again_is_an_error(cloud: Cloud) -> None:
    rolled_back(cloud)
    updates(cloud)
    cloud.physical()
    cloud.endpoint(config="older")
    cloud.config()
    with pytest.raises(SilentRollback):
        repair(cloud.console, DEV, cloud)


def test_an_endpoint_on_the_stacks_config_needs_nothing(cloud: Cloud) -> None:
    for _ in range(2):
        cloud.physical()
        cloud.endpoint()
    cloud.config()
    cloud.model()
    repair(cloud.console, DEV, cloud)
    assert "nothing to repair" in cloud.output.getvalue()


def test_a_refused_update_names_the_stack_that_registers_the_fleet(cloud: Cloud) -> None:
    rolled_back(cloud)
    cloud.stubs["sagemaker"].add_client_error("update_endpoint", "ValidationException", "deregister it.")
    with pytest.raises(RepairRefused, match=r"deregister it\. .*delete the stack LoraServing-Dev-Scaling"):
        repair(cloud.console, DEV, cloud)


@pytest.mark.parametrize("lost", ["endpoint", "config"])
def test_an_endpoint_or_a_config_that_is_deleted_cannot_be_repaired(cloud: Cloud, lost: str) -> None:
    cloud.physical()
    if lost == "endpoint":
        cloud.lost("describe_endpoint")
    else:
        cloud.endpoint(config="older")
        cloud.lost("describe_endpoint_config")
    with pytest.raises(RepairRefused, match="make deploy STAGE=dev"):
        repair(cloud.console, DEV, cloud)
