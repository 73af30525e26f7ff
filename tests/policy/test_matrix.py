"""Rules for every valid stage file: the matrix, synthesized once, under every rule and scanner."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from loraserve.diff import stack_templates
from tests.policy.conftest import Matrix
from tests.policy.matrix import OVERLAYS, keys, varied

Templates = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def templates(matrix: Matrix) -> Templates:
    """All templates of all overlays, by `Name/Stack`."""
    return {path: json.loads(file.read_text()) for path, file in stack_templates(matrix.assembly)}


def resources(template: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    return (r["Properties"] for r in template["Resources"].values() if r["Type"] == kind)


def test_every_overlay_says_what_it_guards() -> None:
    assert len(OVERLAYS) >= 40
    assert len({overlay.name for overlay in OVERLAYS}) == len(OVERLAYS)
    assert all(len(overlay.guards) > 10 for overlay in OVERLAYS)


def test_every_key_of_a_stage_file_is_varied() -> None:
    assert keys() - set.union(*(varied(overlay.overlay) for overlay in OVERLAYS)) == set()


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda overlay: overlay.name)
def test_an_overlay_synthesizes_to_the_stacks_it_should(overlay: Any, templates: Templates) -> None:
    stage = overlay.name.capitalize()
    found = {path.split("/")[1] for path in templates if path.startswith(f"{stage}/")}
    network = overlay.content().get("network", {})
    made = {"Network"} if "mode" in network and "security_group_ids" not in network else set()
    assert found == {"AdapterStore", "Observability", "Serving", "Scaling"} | made


def of(stage: str, templates: Templates) -> dict[str, Any]:
    """All resources of an overlay's stacks."""
    return {
        f"{path}.{logical_id}": resource
        for path, template in templates.items()
        if path.startswith(f"{stage}/")
        for logical_id, resource in template["Resources"].items()
    }


def kinds(stage: str, templates: Templates) -> set[str]:
    return {resource["Type"] for resource in of(stage, templates).values()}


def one(stage: str, kind: str, templates: Templates) -> dict[str, Any]:
    (found,) = (r["Properties"] for r in of(stage, templates).values() if r["Type"] == kind)
    return dict(found)


@pytest.mark.parametrize(("stage", "partition"), [("China", "aws-cn"), ("Govcloud", "aws-us-gov")])
def test_no_arn_is_of_another_partition(stage: str, partition: str, templates: Templates) -> None:
    text = json.dumps(of(stage, templates))
    assert f"arn:{partition}:" in text
    assert "arn:aws:" not in text


def test_no_stack_refers_to_another_one_by_a_reference_that_can_become_stale(templates: Templates) -> None:
    """See docs/decisions/0008-strong-references.md."""
    assert "Fn::ImportValue" in json.dumps(templates["Dev/Serving"])
    assert [
        path for path, template in templates.items() if "Fn::GetStackOutput" in json.dumps(template)
    ] == []


def test_detailed_metrics_may_be_written_to_any_namespace_and_others_to_one(templates: Templates) -> None:
    def conditions(stage: str) -> list[Any]:
        return [
            statement.get("Condition")
            for policy in resources(templates[f"{stage}/Serving"], "AWS::IAM::Policy")
            for statement in policy["PolicyDocument"]["Statement"]
            if statement["Action"] == "cloudwatch:PutMetricData"
        ]

    assert conditions("Moremetrics") == [None]
    assert conditions("Dev") == [{"StringEquals": {"cloudwatch:namespace": "/aws/sagemaker/Endpoints"}}]


def test_a_network_of_the_stage_is_used_with_the_rights_that_sagemaker_documents(
    templates: Templates,
) -> None:
    # Developer guide, "Give SageMaker AI Hosted Endpoints Access to Resources in Your Amazon VPC".
    documented = {
        "ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface",
        "ec2:DeleteNetworkInterfacePermission", "ec2:DescribeNetworkInterfaces", "ec2:DescribeVpcs",
        "ec2:DescribeDhcpOptions", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups", "ec2:DescribeVpcEndpoints",
    }  # fmt: skip
    allowed = set()
    for policy in resources(templates["Private/Serving"], "AWS::IAM::Policy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            actions = statement["Action"]
            allowed |= {actions} if isinstance(actions, str) else set(actions)
    assert {action for action in allowed if action.startswith("ec2:")} == documented


def test_every_role_has_the_boundary(templates: Templates) -> None:
    roles = [r["Properties"] for r in of("Boundary", templates).values() if r["Type"] == "AWS::IAM::Role"]
    assert len(roles) > 5
    assert all("policy/developers" in json.dumps(role["PermissionsBoundary"]) for role in roles)


def test_a_bucket_without_a_key_needs_no_right_on_one(templates: Templates) -> None:
    for stack in ("AdapterStore", "Serving"):
        text = json.dumps(templates[f"Plainbucket/{stack}"])
        assert "kms:" not in text.replace("aws:kms", "")
        assert "AWS::KMS::Key" not in text


def test_a_fixed_fleet_is_not_scaled(templates: Templates) -> None:
    assert "AWS::ApplicationAutoScaling::ScalableTarget" not in kinds("Fixedfleet", templates)
    config = one("Fixedfleet", "AWS::SageMaker::EndpointConfig", templates)
    assert config["ProductionVariants"][0]["InitialInstanceCount"] == 3


def test_schedules_are_on_the_target(templates: Templates) -> None:
    target = one("Businesshours", "AWS::ApplicationAutoScaling::ScalableTarget", templates)
    morning, weekend = target["ScheduledActions"]
    assert morning["Timezone"] == "Europe/Berlin"
    assert weekend["ScalableTargetAction"] == {"MinCapacity": 1, "MaxCapacity": 1}


@pytest.mark.parametrize("stage", ["Private", "Privategiven", "Privatecapture"])
def test_a_private_network_leads_nowhere_and_nothing_needs_it_to(stage: str, templates: Templates) -> None:
    assert not {"AWS::EC2::NatGateway", "AWS::EC2::InternetGateway"} & kinds(stage, templates)
    model = one(stage, "AWS::SageMaker::Model", templates)
    assert len(model["VpcConfig"]["Subnets"]) >= 2
    assert model["PrimaryContainer"]["Environment"]["HF_HUB_OFFLINE"] == "1"
    assert "ModelDataSource" in model["PrimaryContainer"]


@pytest.mark.parametrize(
    ("stage", "policy"),
    [("Dev", "BlueGreenUpdatePolicy"), ("Twoinstances", "RollingUpdatePolicy"), ("Canary", "BlueGreenUpdatePolicy")],
)  # fmt: skip
def test_an_update_is_watched_by_alarms_of_a_stack_before_it(
    stage: str, policy: str, templates: Templates
) -> None:
    deployment = one(stage, "AWS::SageMaker::Endpoint", templates)["DeploymentConfig"]
    assert policy in deployment
    watched = {alarm["AlarmName"] for alarm in deployment["AutoRollbackConfiguration"]["Alarms"]}
    there = {
        r["Properties"]["AlarmName"]
        for path, r in of(stage, templates).items()
        if r["Type"] == "AWS::CloudWatch::Alarm" and path.startswith(f"{stage}/Observability")
    }
    assert watched and watched <= there
    assert len(watched) <= 10


def test_an_unwatched_update_needs_no_look_at_alarms(templates: Templates) -> None:
    endpoint = one("Unwatched", "AWS::SageMaker::Endpoint", templates)
    assert "AutoRollbackConfiguration" not in endpoint["DeploymentConfig"]
    assert "cloudwatch:DescribeAlarms" not in json.dumps(templates["Unwatched/Serving"])


def test_what_is_captured_may_be_written_and_ends(templates: Templates) -> None:
    capture = one("Capture", "AWS::SageMaker::EndpointConfig", templates)["DataCaptureConfig"]
    assert capture["CaptureOptions"] == [{"CaptureMode": "Input"}]
    assert capture["InitialSamplingPercentage"] == 10
    assert "/captured/*" in json.dumps(templates["Capture/Serving"])
    rules = one("Capture", "AWS::S3::Bucket", templates)["LifecycleConfiguration"]["Rules"]
    (captured,) = (rule for rule in rules if rule.get("Prefix") == "captured/")
    assert captured["ExpirationInDays"] == 7
    assert "/captured/*" not in json.dumps(templates["Dev/Serving"])


def test_every_resource_with_tags_has_those_that_split_the_bill(templates: Templates) -> None:
    tagged = [
        r["Properties"]["Tags"] for r in of("Budget", templates).values() if "Tags" in r.get("Properties", {})
    ]
    assert len(tagged) > 15
    for tags in tagged:
        given = tags.items() if isinstance(tags, dict) else ((tag["Key"], tag["Value"]) for tag in tags)
        assert {("team", "search"), ("cost-center", "4711"), ("lora-serving:stage", "budget")} <= set(given)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda overlay: overlay.name)
def test_the_cost_is_reported_or_that_it_is_not_known(overlay: Any, templates: Templates) -> None:
    outputs = templates[f"{overlay.name.capitalize()}/Serving"]["Outputs"]
    assert re.match(
        r"about USD per month: [\d,]+ at |stacks/sizing/prices.yaml has no price",
        outputs["MonthlyCost"]["Value"],
    )
    assert "needs a quota of" in outputs["InstanceQuota"]["Value"]
