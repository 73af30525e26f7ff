"""`cdk destroy` of a stage, refused before anything is deleted if it cannot succeed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError
from rich.console import Console

from adapters.store.s3 import error_code
from loraserve.aws import Client
from loraserve.deploy import Cdk
from loraserve.errors import NotDeployed, UserError
from loraserve.stacks_deployed import stage_stacks
from stacks.config.stage_config import LoadedStage

#: Values of a resource's `DeletionPolicy` with which CloudFormation keeps it.
_KEPT = {"Retain", "RetainExceptOnCreate"}
_POLICY = "AWS::IAM::ManagedPolicy"


class DestroyRefused(UserError):
    """A stack that CloudFormation could not delete; nothing is deleted yet."""


def destroy(
    console: Console, stage: LoadedStage, client: Client, cdk: Cdk, arguments: Sequence[str] = ()
) -> None:
    """Delete the stacks of a stage and list the resources that are kept.

    `arguments` are passed to `cdk destroy`, which asks for confirmation without `--force`. Raises
    `NotDeployed` if the stage has no stack, `DestroyRefused` if one is protected or its policy in use, and
    `CdkError`.
    """
    cloudformation = client("cloudformation")
    stacks = stage_stacks(cloudformation, stage.target)
    if not stacks:
        raise NotDeployed(f"stage {stage.name!r} has no stack in {stage.config.region}: nothing to delete")
    _refuse_protected(stage, stacks)
    resources = [found for stack in stacks for found in _resources(cloudformation, stack["StackName"])]
    _refuse_attached(client("iam"), resources)
    kept = [name for stack in stacks for name in _kept(cloudformation, stack["StackName"])]
    cdk("destroy", f"{stage.id}/*", "--context", f"stage={stage.name}", *arguments)
    left = {stack["StackName"] for stack in stage_stacks(cloudformation, stage.target)}
    if left == {stack["StackName"] for stack in stacks}:
        return  # not confirmed
    for name in kept:
        console.print(f"kept: {name}", soft_wrap=True, highlight=False)
    console.print(
        "kept: the images and files that deployments published, in the repository and bucket of the "
        "account's bootstrap stack CDKToolkit, which other stages may use ('cdk gc' deletes unused ones)",
        soft_wrap=True,
    )


def _resources(cloudformation: Any, stack: str) -> list[dict[str, Any]]:
    found = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    return [resource for page in found for resource in page["StackResourceSummaries"]]


def _kept(cloudformation: Any, stack: str) -> Iterator[str]:
    """Yield type and physical name of each resource that the deployed template retains."""
    resources = cloudformation.get_template(StackName=stack)["TemplateBody"]["Resources"]
    for found in _resources(cloudformation, stack):
        if resources.get(found["LogicalResourceId"], {}).get("DeletionPolicy") in _KEPT:
            yield f"{found['ResourceType']} {found['PhysicalResourceId']}"


def _refuse_protected(stage: LoadedStage, stacks: Sequence[dict[str, Any]]) -> None:
    protected = [stack["StackName"] for stack in stacks if stack.get("EnableTerminationProtection")]
    if protected:
        raise DestroyRefused(
            f"{', '.join(protected)}: termination protection is on. Set termination_protection: false in "
            f"stages/{stage.name}.yaml, run 'make deploy STAGE={stage.name}', and then this command again"
        )


def _refuse_attached(iam: Any, resources: Sequence[dict[str, Any]]) -> None:
    """Refuse while a principal uses a policy of the stage: IAM would not delete it."""
    for policy in (found["PhysicalResourceId"] for found in resources if found["ResourceType"] == _POLICY):
        try:
            users = iam.list_entities_for_policy(PolicyArn=policy)
        except ClientError as error:
            if error_code(error) in {"AccessDenied", "NoSuchEntity"}:
                continue  # CloudFormation may still find it in use, and says so then
            raise
        attached = [
            f"{kind} {found[f'{kind.capitalize()}Name']}"
            for kind in ("role", "user", "group")
            for found in users[f"Policy{kind.capitalize()}s"]
        ]
        if attached:
            raise DestroyRefused(
                f"{policy} is attached to {', '.join(attached)}: detach it, then run this command again"
            )
