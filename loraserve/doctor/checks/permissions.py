"""Permissions of the caller for the steps of a deployment, and the stage's permissions boundary.

The CDK CLI assumes the bootstrap's roles and does everything else with these; loraserve's own calls are made
with the caller's credentials. `iam:SimulatePrincipalPolicy` evaluates the policies of a user or a role and
the boundary of it, and service control policies unless they have conditions. It knows neither session
policies nor what a role's trust policy says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from adapters.store.s3 import error_code
from loraserve.aws import Client
from loraserve.doctor.caller import Caller, caller
from loraserve.doctor.deployment import Deployment, resolved
from loraserve.finding import Finding, ok, problem, unknown
from stacks.config.stage_config import LoadedStage

#: Calls of loraserve/deploy.py and of the functions that it asks the endpoint and the stacks with; a test
#: compares them with the source.
ENDPOINT_ACTIONS = ("sagemaker:DescribeEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities")
CONFIG_ACTIONS = ("sagemaker:DescribeEndpointConfig",)
MODEL_ACTIONS = ("sagemaker:DescribeModel",)
STACK_ACTIONS = ("cloudformation:DescribeStackResource", "cloudformation:UpdateTerminationProtection")
#: DescribeStacks of all stacks is not limited to a resource.
ACCOUNT_ACTIONS = ("cloudformation:DescribeStacks",)


def check(deployment: Deployment, stage: LoadedStage, client: Client) -> Iterator[Finding]:
    """Simulate each step of `make deploy` for the caller."""
    who = caller(client)
    title = "permissions"
    if who.resource == "root":
        yield unknown(
            title,
            "IAM simulates no root user, and a root user cannot assume the bootstrap's roles",
            "deploy as a user or a role: AWS advises so, and the CDK CLI only warns and uses the root user",
        )
        return
    source = principal(client, who)
    if source is None:
        yield unknown(title, f"IAM simulates users and roles only, not {who.arn}")
        return
    denied = [
        text
        for resource, actions in steps(deployment, stage, who).items()
        for text in _denied(client("iam"), source, actions, resource)
    ]
    if denied:
        yield problem(
            title,
            f"{source} may not: {'; '.join(denied)}",
            "let an administrator allow it; docs/doctor.md has a policy",
        )
    else:
        yield ok(title, f"{source} may do every step, by simulation: session policies are not in it")


def steps(deployment: Deployment, stage: LoadedStage, who: Caller) -> Mapping[str, Sequence[str]]:
    """Return the actions of `make deploy` with the caller's credentials, by resource."""
    region = stage.config.region
    [endpoint] = [found["EndpointName"] for found in deployment.resources("AWS::SageMaker::Endpoint")]
    sagemaker = f"arn:{who.partition}:sagemaker:{region}:{who.account}"
    stacks = f"arn:{who.partition}:cloudformation:{region}:{who.account}:stack"
    return {
        **{resolved(role, who): ("sts:AssumeRole",) for role in deployment.roles if ":role/" in role},
        f"{sagemaker}:endpoint/{endpoint.lower()}": ENDPOINT_ACTIONS,
        f"{sagemaker}:endpoint-config/endpointconfig-example": CONFIG_ACTIONS,
        f"{sagemaker}:model/model-example": MODEL_ACTIONS,
        **{f"{stacks}/{stack.name}/example": STACK_ACTIONS for stack in deployment.stacks},
        "*": ACCOUNT_ACTIONS,
    }


def principal(client: Client, who: Caller) -> str | None:
    """Return the ARN of the user or role whose policies apply; None for other principals.

    The ARN of a role's session lacks the role's path, which IAM knows; roles of IAM Identity Center have one.
    """
    kind, _, rest = who.resource.partition("/")
    if kind == "user":
        return who.arn
    if kind != "assumed-role":
        return None
    role = rest.split("/")[0]
    try:
        arn: str = client("iam").get_role(RoleName=role)["Role"]["Arn"]
    except ClientError:
        return f"arn:{who.partition}:iam::{who.account}:role/{role}"
    return arn


def _denied(iam: Any, source: str, actions: Sequence[str], resource: str) -> Iterator[str]:
    """Simulate the actions; yield each that is not allowed, with the policy that forbids it."""
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=source, ActionNames=list(actions), ResourceArns=[resource]
    )
    for result in (result for page in pages for result in page["EvaluationResults"]):
        if result["EvalDecision"] == "allowed":
            continue
        why = ""
        if result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations") is False:
            why = " (a service control policy)"
        elif result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary") is False:
            why = " (its permissions boundary)"
        elif result["EvalDecision"] == "explicitDeny":
            why = " (an explicit Deny)"
        yield f"{result['EvalActionName']} on {resource}{why}"


def has_boundary(stage: LoadedStage, client: Client) -> Iterator[Finding]:
    """Look for the managed policy that `security.permissions_boundary` names."""
    name = stage.config.security.permissions_boundary
    if name is None:
        return
    who = caller(client)
    arn = f"arn:{who.partition}:iam::{who.account}:policy/{name}"
    try:
        client("iam").get_policy(PolicyArn=arn)
    except ClientError as error:
        if error_code(error) != "NoSuchEntity":
            raise
        yield problem(
            "permissions boundary",
            f"{arn} does not exist",
            f"correct security.permissions_boundary in stages/{stage.name}.yaml, or create the policy",
        )
    else:
        yield ok("permissions boundary", arn)
