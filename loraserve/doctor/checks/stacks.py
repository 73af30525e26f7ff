"""The stage's stacks: each in a state from which it can be deployed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loraserve.aws import Client
from loraserve.doctor.deployed import described
from loraserve.doctor.deployment import Deployment, PlannedStack
from loraserve.finding import Finding, ok, problem
from stacks.config.stage_target import StageTarget

#: States from which CloudFormation updates a stack. REVIEW_IN_PROGRESS is a stack that has a change set and
#: no resources, which the CDK CLI takes for a new one.
_READY = (
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
    "REVIEW_IN_PROGRESS",
    "DELETE_COMPLETE",
)
#: First deployments that failed. The CDK CLI deletes such a stack (`isCreationFailure` in its sources) and
#: `make deploy` removes its termination protection before.
_DELETED_FIRST = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
#: Failures that `cdk rollback` ends (`rollbackChoice` in its sources).
_ROLLED_BACK_FIRST = ("CREATE_FAILED", "UPDATE_FAILED", "UPDATE_ROLLBACK_FAILED")


def check(deployment: Deployment, target: StageTarget, client: Client) -> Iterator[Finding]:
    """Describe each stack; CloudFormation's states are those of its API reference (`StackStatus`)."""
    cloudformation = client("cloudformation")
    for stack in deployment.stacks:
        found = described(cloudformation, stack.name)
        title = f"stack {stack.path.rpartition('/')[2]}"
        yield ok(title, "not there yet") if found is None else judged(title, stack, found, target)


def judged(title: str, stack: PlannedStack, description: dict[str, Any], target: StageTarget) -> Finding:
    """Judge a stack by its state, in DescribeStacks' description."""
    status, region = description["StackStatus"], target.region
    found = f"{stack.name} is {status}"
    if reason := description.get("StackStatusReason"):
        found += f": {reason}"
    named = f"--stack-name {stack.name} --region {region}"
    if status in _READY:
        return ok(title, found)
    if status in _DELETED_FIRST:
        return ok(
            title, f"{found}; its first deployment failed, so the deployment deletes it and starts again"
        )
    if status.endswith("_IN_PROGRESS"):
        return problem(title, found, f"wait until it ends: `aws cloudformation describe-stacks {named}`")
    if status in _ROLLED_BACK_FIRST:
        return problem(
            title,
            found,
            f"correct the cause in its events (`aws cloudformation describe-stack-events {named}`), then "
            f"`node_modules/.bin/cdk rollback {stack.path} -c stage={target.name}`; for a resource that "
            "cannot be rolled back: `--orphan LOGICAL_ID`",
        )
    if status == "DELETE_FAILED":
        return problem(
            title,
            found,
            f"`aws cloudformation delete-stack {named} --retain-resources LOGICAL_IDS`, with the resources "
            "in DELETE_FAILED, and delete these by hand",
        )
    return problem(
        title,
        found,
        f"see its events (`aws cloudformation describe-stack-events {named}`) and AWS's page on "
        "troubleshooting CloudFormation",
    )
