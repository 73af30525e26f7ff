"""Snapshot of the pipeline's template, and the order of its actions."""

import json
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from tests.harness.pipeline import ACCOUNTS, pipeline_app
from tests.snapshot.test_templates import ACCEPT, normalised

Template = dict[str, Any]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Template:
    folder = tmp_path_factory.mktemp("pipeline")
    pipeline_app(folder).synth()
    found: Template = json.loads((folder / "LoraServing-Pipeline.template.json").read_text())
    return found


def resources(template: Template, kind: str) -> list[dict[str, Any]]:
    return [each["Properties"] for each in template["Resources"].values() if each["Type"] == kind]


def test_the_template_is_as_reviewed(pipeline: Template, snapshot: SnapshotAssertion) -> None:
    assert normalised(pipeline) == snapshot(extension_class=JSONSnapshotExtension), ACCEPT


def test_each_stage_is_planned_then_promoted_and_prod_waits_for_an_approval(pipeline: Template) -> None:
    [found] = resources(pipeline, "AWS::CodePipeline::Pipeline")
    order = {
        stage["Name"]: [
            action["Name"] for action in sorted(stage["Actions"], key=lambda each: each["RunOrder"])
        ]
        for stage in found["Stages"]
    }
    assert list(order)[1:3] == ["Build", "UpdatePipeline"]
    assert {name: order[name] for name in list(order)[3:]} == {
        "Release": ["Release"],
        "Dev": ["Plan-dev", "Promote-dev"],
        "Staging": ["Plan-staging", "Promote-staging"],
        "Prod": ["Plan-prod", "Approve-prod", "Promote-prod"],
    }
    actions = [action for stage in found["Stages"] for action in stage["Actions"]]
    # No action of CloudFormation: it would deploy without the order of updates that SageMaker needs.
    assert {action["ActionTypeId"]["Provider"] for action in actions} == {
        "CodeStarSourceConnection",
        "CodeBuild",
        "Manual",
    }
    [approval] = [action for action in actions if action["Name"] == "Approve-prod"]
    plans = [
        project["Name"] for project in resources(pipeline, "AWS::CodeBuild::Project") if "Name" in project
    ]
    assert "LoraServing-Prod-PlanProject" in plans
    assert "/LoraServing-Prod-PlanProject/history" in approval["Configuration"]["ExternalEntityLink"]


def test_a_step_may_assume_the_role_of_its_stage_and_no_other(pipeline: Template) -> None:
    statements = [
        statement
        for policy in resources(pipeline, "AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "sts:AssumeRole"
        and isinstance(statement["Resource"], str)
        and "Condition" not in statement
    ]
    assert sorted(statement["Resource"] for statement in statements) == sorted(
        f"arn:aws:iam::{account}:role/LoraServing-{stage.capitalize()}-{kind}"
        for stage, account in ACCOUNTS.items()
        for kind in ("Plan", "Deploy")
    )


def test_the_build_of_an_image_alone_has_docker(pipeline: Template) -> None:
    privileged = [
        project["Source"]["BuildSpec"]
        for project in resources(pipeline, "AWS::CodeBuild::Project")
        if project["Environment"]["PrivilegedMode"]
    ]
    [specification] = privileged
    assert "promote dev --release" in specification
    assert "--check" not in specification
