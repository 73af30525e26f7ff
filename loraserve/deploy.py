"""`cdk deploy` of a synthesized stage, in the order that SageMaker accepts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from botocore.exceptions import ClientError
from rich.console import Console

from adapters.store.s3 import error_code
from loraserve.aws import Client
from loraserve.cdk import CdkError
from loraserve.cdk_arguments import CdkArguments
from loraserve.diff import stack_templates
from loraserve.stacks_deployed import stage_stacks
from loraserve.verify.endpoint import endpoint_config, live_endpoint
from loraserve.verify.serving import require_config
from stacks.config.stage_target import StageTarget

#: Runs `cdk ARGUMENTS`; raises `CdkError`.
Cdk = Callable[..., object]

#: Minimum number of instances: SageMaker's rolling update replaces at most half of a fleet at a time.
_FEWEST_OF_ROLLING = 2
#: Polling of an endpoint that is scaled out: every 5 seconds, for up to an hour.
_LOOKS = {"Delay": 5, "MaxAttempts": 720}


class _Fleet(NamedTuple):
    """The instances of an endpoint, current or wanted."""

    variant: str
    instance_type: str | None
    """None if the config that serves is deleted: SageMaker does not say it then."""
    instances: int


def deploy(
    console: Console,
    target: StageTarget,
    client: Client,
    cdk: Cdk,
    assembly: Path,
    arguments: CdkArguments,
    *,
    known_instance_type: str | None = None,
) -> None:
    """Deploy the stage's stacks from the ready cloud `assembly`, which is not synthesized again.

    `arguments.common` are passed to every call of the CLI, `arguments.own` to `cdk deploy`. `client` must
    have the credentials that they give to the CLI.

    SageMaker accepts two changes in one order only, and CloudFormation uses another order:

    - SageMaker refuses to change the instance type of a variant that Application Auto Scaling manages.
      CloudFormation would remove the registration only after the update. So the stack with the registration
      is deleted first and created again by the deployment. Meanwhile the endpoint keeps its number of
      instances.
    - SageMaker refuses a rolling update of a single instance. Autoscaling's new minimum would take effect
      only after the update. So the endpoint is scaled out first.

    The config that the endpoint serves may be deleted, after a rollback that CloudFormation took for an
    update. Its instance type is then `known_instance_type`, that of the deployment's record; without one the
    type is taken for another one than the new config's, which is right for both.

    Raises `CdkError`; `NotAsDeployed` if the endpoint has another config afterwards, because SageMaker has
    rolled it back (`SilentRollback` if CloudFormation reports the update complete); and boto3's errors if the
    endpoint cannot be described or scaled out.
    """
    synthesized = ("--app", str(assembly), *arguments.common)
    wanted, rolling = _wanted(dict(stack_templates(assembly))[f"{target.id}/Serving"])
    endpoint = target.endpoint_name
    sagemaker, cloudformation = client("sagemaker"), client("cloudformation")
    deployed = _deployed(sagemaker, endpoint)
    if deployed is not None and rolling and deployed.instances < _FEWEST_OF_ROLLING:
        console.print(
            f"{endpoint}: it gets {wanted.instances} instances before the update, which replaces a part of "
            f"them at a time and which SageMaker would refuse with {deployed.instances}."
        )
        _grow(sagemaker, endpoint, deployed.variant, wanted.instances)
    before = wanted.instance_type if deployed is None else deployed.instance_type or known_instance_type
    unscaled = before != wanted.instance_type
    if unscaled:
        console.print(
            f"{endpoint}: {before or 'the unknown type of a deleted config'} becomes {wanted.instance_type}. "
            "Autoscaling is removed for the update, which SageMaker would refuse otherwise, and restored by "
            "it."
        )
        _unprotect(cloudformation, target.stack_name("Scaling"))
        cdk("destroy", f"{target.id}/Scaling", "--force", "--exclusively", *synthesized)
    for stack in _never_made(cloudformation, target):
        # The CLI deletes a stack whose first deployment failed, but not with termination protection.
        _unprotect(cloudformation, stack)
    try:
        cdk("deploy", f"{target.id}/*", *synthesized, *arguments.own)
    except CdkError:
        if unscaled:
            console.print(f"{endpoint}: the update failed; autoscaling is restored.")
            cdk("deploy", f"{target.id}/Scaling", "--exclusively", *synthesized, *arguments.own)
        raise
    require_config(console, target, client)


def _never_made(cloudformation: Any, target: StageTarget) -> list[str]:
    """List the stacks of the stage whose first deployment failed."""
    failed = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED")
    stacks = stage_stacks(cloudformation, target)
    return [stack["StackName"] for stack in stacks if stack["StackStatus"] in failed]


def _wanted(template: Path) -> tuple[_Fleet, bool]:
    """Read the endpoint's new fleet and whether its update is rolling from the template."""
    resources = json.loads(template.read_text())["Resources"].values()
    by_type = {resource["Type"]: resource["Properties"] for resource in resources}
    [variant] = by_type["AWS::SageMaker::EndpointConfig"]["ProductionVariants"]
    endpoint = by_type["AWS::SageMaker::Endpoint"]
    fleet = _Fleet(variant["VariantName"], variant["InstanceType"], variant["InitialInstanceCount"])
    return fleet, "RollingUpdatePolicy" in endpoint["DeploymentConfig"]


def _deployed(sagemaker: Any, endpoint: str) -> _Fleet | None:
    """Describe the current fleet; None if the endpoint does not exist."""
    described = live_endpoint(sagemaker, endpoint)
    if described is None:
        return None
    if "ProductionVariants" not in described:
        why = described.get("FailureReason", "wait until it is not")
        raise CdkError(f"{endpoint} is {described['EndpointStatus']}: {why}")
    [variant] = described["ProductionVariants"]
    config = endpoint_config(sagemaker, described["EndpointConfigName"])
    instance_type = None if config is None else config["ProductionVariants"][0]["InstanceType"]
    return _Fleet(variant["VariantName"], instance_type, variant["DesiredInstanceCount"])


def _grow(sagemaker: Any, endpoint: str, variant: str, instances: int) -> None:
    """Scale the endpoint out and wait until it is in service."""
    wanted = [{"VariantName": variant, "DesiredInstanceCount": instances}]
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=endpoint, DesiredWeightsAndCapacities=wanted
    )
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=endpoint, WaiterConfig=_LOOKS)


def _unprotect(cloudformation: Any, stack: str) -> None:
    """Remove a stack's termination protection; the deployment sets it again."""
    try:
        cloudformation.update_termination_protection(StackName=stack, EnableTerminationProtection=False)
    except ClientError as error:
        if error_code(error) != "ValidationError":  # the stack does not exist
            raise
