"""The way forward after a rollback that CloudFormation did not report: the update, sent again by hand.

For CloudFormation the update is done, so that a deployment of the same template sends nothing.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from rich.console import Console

from adapters.store.s3 import error_code
from loraserve.aws import Client
from loraserve.errors import UserError
from loraserve.stacks_deployed import deployed_template
from loraserve.verify.endpoint import endpoint_config, settled_endpoint, stack_config
from loraserve.verify.serving import require_config
from stacks.config.stage_target import StageTarget

#: Properties of `AWS::SageMaker::Endpoint` that are parameters of UpdateEndpoint.
_PASSED = ("DeploymentConfig", "RetainAllVariantProperties", "ExcludeRetainedVariantProperties")


class RepairRefused(UserError):
    """An endpoint that cannot be updated to its stack's config."""


def repair(console: Console, target: StageTarget, client: Client) -> None:
    """Update the endpoint to the stack's config, as the stack would; returns when it serves it.

    Raises `RepairRefused`, `NotAsDeployed` if SageMaker rolls it back again, and boto3's errors.
    """
    sagemaker, cloudformation = client("sagemaker"), client("cloudformation")
    name = target.endpoint_name
    wanted = stack_config(cloudformation, name)
    live = settled_endpoint(sagemaker, name)
    if live is None:
        raise RepairRefused(
            f"{name} does not exist: delete its stack, then run `make deploy STAGE={target.name}`"
        )
    if live["EndpointConfigName"].lower() == wanted.lower():
        console.print(f"{name} serves {live['EndpointConfigName']}, which is its stack's: nothing to repair")
    else:
        found = endpoint_config(sagemaker, wanted)
        if found is None:
            raise RepairRefused(
                f"the stack's config {wanted} is deleted: deploy the stage with a changed setting, which "
                f"makes a new one (`make deploy STAGE={target.name}`)"
            )
        console.print(f"{name}: {live['EndpointConfigName']} becomes {found['EndpointConfigName']}")
        _update(sagemaker, cloudformation, target, found["EndpointConfigName"])
    require_config(console, target, client)


def _update(sagemaker: Any, cloudformation: Any, target: StageTarget, config: str) -> None:
    template = deployed_template(cloudformation, target.endpoint_name)
    [properties] = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::SageMaker::Endpoint"
    ]
    given = {name: properties[name] for name in _PASSED if name in properties}
    try:
        sagemaker.update_endpoint(EndpointName=target.endpoint_name, EndpointConfigName=config, **given)
    except ClientError as error:
        if error_code(error) != "ValidationException":
            raise
        raise RepairRefused(
            f"SageMaker refuses the update: {error.response['Error'].get('Message', '')} If the instance "
            f"type changes, delete the stack {target.stack_name('Scaling')} first, which registers the fleet "
            "for autoscaling, then run this again, and deploy the stage, which creates that stack again"
        ) from error
