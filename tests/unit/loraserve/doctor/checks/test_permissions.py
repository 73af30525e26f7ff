"""Steps of a deployment, and IAM's answers."""

import ast
import inspect
from typing import Any

import pytest
from botocore import xform_name

from laptop_cloud.api.service_model import service_model
from loraserve import deploy, stacks_deployed
from loraserve.doctor.caller import Caller
from loraserve.doctor.checks.permissions import _denied, principal, steps
from loraserve.doctor.deployment import Deployment
from loraserve.verify import endpoint
from stacks.config.stage_config import LoadedStage
from tests.unit.loraserve.doctor.aws_answers import answering

ACCOUNT = "123456789012"


def caller(resource: str, service: str = "sts") -> Caller:
    return Caller(ACCOUNT, f"arn:aws:{service}::{ACCOUNT}:{resource}")


def test_every_call_of_the_deployment_is_simulated(
    dev: LoadedStage, deployments: dict[str, Deployment]
) -> None:
    simulated = {
        action
        for actions in steps(deployments["Dev"], dev, caller("user/a", "iam")).values()
        for action in actions
    }
    operations = {
        xform_name(operation): f"{service}:{operation}"
        for service in ("sagemaker", "cloudformation")
        for operation in service_model(service).operation_names
    }
    used = {
        operations[name]
        for module in (deploy, endpoint, stacks_deployed)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        # A call, or the name of one that a paginator makes.
        for name in [getattr(node, "attr", None) or getattr(node, "value", None)]
        if isinstance(name, str) and name in operations
    }
    # A deployment asks for no template: that is of the review and of a verification.
    used.remove("cloudformation:GetTemplate")
    assert len(used) >= 7
    assert used <= simulated


def test_the_roles_of_the_bootstrap_are_assumed(dev: LoadedStage, deployments: dict[str, Deployment]) -> None:
    found = steps(deployments["Dev"], dev, caller("user/a", "iam"))
    roles = [resource for resource, actions in found.items() if actions == ("sts:AssumeRole",)]
    assert f"arn:aws:iam::{ACCOUNT}:role/cdk-hnb659fds-deploy-role-{ACCOUNT}-us-east-1" in roles
    assert len(roles) == 3


def role(path: str) -> dict[str, Any]:
    return {
        "Role": {
            "Path": path,
            "RoleName": "Admin-Role",
            "RoleId": "AROAEXAMPLEEXAMPLE",
            "Arn": f"arn:aws:iam::{ACCOUNT}:role{path}Admin-Role",
            "CreateDate": "2026-11-27T00:00:00Z",
        }
    }


def test_a_session_s_role_has_the_path_that_its_arn_lacks() -> None:
    path = "/aws-reserved/sso.amazonaws.com/eu-west-1/"
    with answering("iam", ("get_role", role(path))) as client:
        found = principal(client, caller("assumed-role/Admin-Role/alice@example.com"))
    assert found == f"arn:aws:iam::{ACCOUNT}:role{path}Admin-Role"


def test_a_session_whose_role_may_not_be_read() -> None:
    with answering("iam", ("get_role", "AccessDenied")) as client:
        assert (
            principal(client, caller("assumed-role/Admin-Role/s"))
            == f"arn:aws:iam::{ACCOUNT}:role/Admin-Role"
        )


@pytest.mark.parametrize("resource", ["federated-user/bob", "root"])
def test_other_principals_are_not_simulated(resource: str) -> None:
    with answering("iam") as client:
        assert principal(client, caller(resource)) is None


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ({"EvalDecision": "implicitDeny"}, ""),
        ({"EvalDecision": "explicitDeny"}, " (an explicit Deny)"),
        (
            {
                "EvalDecision": "explicitDeny",
                "OrganizationsDecisionDetail": {"AllowedByOrganizations": False},
            },
            " (a service control policy)",
        ),
        (
            {
                "EvalDecision": "implicitDeny",
                "OrganizationsDecisionDetail": {"AllowedByOrganizations": True},
                "PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False},
            },
            " (its permissions boundary)",
        ),
    ],
)
def test_a_denied_action_names_the_policy(result: dict[str, Any], why: str) -> None:
    first = {"EvalActionName": "sts:AssumeRole", "EvalResourceName": "r", **result}
    second = {"EvalActionName": "sts:TagSession", "EvalResourceName": "r", "EvalDecision": "allowed"}
    pages = (
        ("simulate_principal_policy", {"EvaluationResults": [second], "IsTruncated": True, "Marker": "m"}),
        ("simulate_principal_policy", {"EvaluationResults": [first], "IsTruncated": False}),
    )
    with answering("iam", *pages) as client:
        denied = list(_denied(client("iam"), f"arn:aws:iam::{ACCOUNT}:user/a", ["sts:AssumeRole"], "r"))
    assert denied == [f"sts:AssumeRole on r{why}"]
