"""The facts file: its content, and that nothing deployed depends on it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, cast

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from loraserve.review.assembly import Stage, read_assembly
from stacks.config.derived import billed_usage
from stacks.config.loading import load_stage
from stacks.config.sections.network import Network
from stacks.facts import FACTS_FILE, StageFacts
from stacks.project import ROOT
from stacks.stage import ServingStage
from tests.harness.assembly import empty_app

pytestmark = pytest.mark.usefixtures("templates")


@pytest.fixture
def stages(assembly: Path) -> dict[str, Stage]:
    return dict(read_assembly(assembly).stages)


def facts_of(stage: Stage) -> StageFacts:
    assert stage.facts is not None
    return stage.facts


def resources(stage: Stage, resource_type: str) -> list[dict[str, Any]]:
    found = [each for stack in stage.stacks.values() for each in stack.resources.values()]
    return [each["Properties"] for each in found if each["Type"] == resource_type]


def test_the_file_enters_no_template_and_no_asset(assembly: Path, tmp_path: Path) -> None:
    app = empty_app(tmp_path)
    ServingStage(app, "Dev", stage=load_stage(ROOT / "stages" / "dev.yaml"))
    app.synth()
    assert not (tmp_path / FACTS_FILE).exists()
    (nested,) = tmp_path.glob("assembly-*")
    for path in nested.iterdir():  # the templates, and the hashes of their assets
        assert path.read_bytes() == (assembly / nested.name / path.name).read_bytes(), path.name
    for path in tmp_path.glob("asset.*"):
        assert (assembly / path.name).exists()


def test_the_facts_are_those_of_the_templates(stages: dict[str, Stage]) -> None:
    assert list(stages) == ["Dev", "Local", "Prod", "Staging"]
    for stage in stages.values():
        facts = facts_of(stage)
        (config,) = resources(stage, "AWS::SageMaker::EndpointConfig")
        (variant,) = config["ProductionVariants"]
        (endpoint,) = resources(stage, "AWS::SageMaker::Endpoint")
        (target,) = resources(stage, "AWS::ApplicationAutoScaling::ScalableTarget")
        rollback = endpoint["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
        assert facts.endpoint_name == endpoint["EndpointName"]
        assert facts.fleet.instance_type == variant["InstanceType"]
        assert facts.fleet.initial == variant["InitialInstanceCount"]
        assert (facts.fleet.minimum, facts.fleet.maximum) == (target["MinCapacity"], target["MaxCapacity"])
        assert list(facts.rollout.rollback_alarms) == [alarm["AlarmName"] for alarm in rollback]
        assert facts.billed.alarms == len(resources(stage, "AWS::CloudWatch::Alarm"))
        assert facts.billed.dashboards == len(resources(stage, "AWS::CloudWatch::Dashboard"))
        assert facts.billed.kms_keys == len(resources(stage, "AWS::KMS::Key"))
        (model,) = resources(stage, "AWS::SageMaker::Model")
        environment = model["PrimaryContainer"]["Environment"]
        assert str(facts.limits.max_total_tokens) == environment["MAX_TOTAL_TOKENS"]
        assert str(facts.limits.max_adapter_rank) == environment["MAX_ADAPTER_RANK"]


def test_the_adapters_are_the_packed_ones(stages: dict[str, Stage]) -> None:
    for stage in stages.values():
        (seeding,) = resources(stage, "Custom::AdapterSeeding")
        asset = stage.asset(seeding["ManifestKey"])
        assert asset is not None
        packed = json.loads((asset.path / "manifest.json").read_text())
        facts = facts_of(stage)
        assert [adapter.model_dump(mode="json") for adapter in facts.adapters] == packed["adapters"]
        assert facts.removable_share == packed["removals"]


def test_the_image_is_an_asset_with_its_base_or_a_uri(stages: dict[str, Stage]) -> None:
    built, given = facts_of(stages["Prod"]).image, facts_of(stages["Local"]).image
    asset = stages["Prod"].asset(built.asset)
    assert asset is not None
    assert asset.is_image
    assert (built.uri, built.base) == (None, "ghcr.io/predibase/lorax:0.12.1")
    assert (given.uri, given.asset, given.base, given.base_digest) == (
        "localhost/vllm:laptop",
        None,
        None,
        None,
    )


def test_the_model_has_its_revision_and_where_it_comes_from(stages: dict[str, Stage]) -> None:
    mirrored, local = facts_of(stages["Prod"]).model, facts_of(stages["Local"]).model
    assert (mirrored.source, mirrored.revision) == ("mirror", "9ab9e76e2b09f9f29ea2d56aa5bd139e4445c59e")
    (model,) = resources(stages["Local"], "AWS::SageMaker::Model")
    mounted = json.dumps(model["PrimaryContainer"]["ModelDataSource"])
    assert local.source == "directory"
    assert f"models/{local.name}/{local.revision}/" in mounted


GIVEN = {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-01234567", "subnet-89abcdef"]}
#: By mode, then NAT gateways, public addresses, interface endpoints × zones.
NETWORKS: list[tuple[dict[str, Any], tuple[int, int, int]]] = [
    ({"mode": "vpc"}, (1, 1, 0)),
    ({"mode": "private"}, (0, 0, 2)),
    ({"mode": "private", "availability_zones": ["us-east-1b", "us-east-1c"]}, (0, 0, 2)),
    ({"mode": "vpc", **GIVEN}, (0, 0, 0)),
]


@pytest.mark.parametrize(("network", "expected"), NETWORKS)
def test_the_network_is_billed_as_it_is_created(
    network: dict[str, Any], expected: tuple[int, int, int], tmp_path: Path
) -> None:
    stage = load_stage(ROOT / "stages" / "dev.yaml")
    config = stage.config.model_copy(update={"network": Network.model_validate(network)})
    made = ServingStage(empty_app(tmp_path), "Dev", stage=stage.model_copy(update={"config": config}))
    template = Template.from_stack(cast(cdk.Stack, made.node.find_child("Network"))).to_json()
    kinds = Counter(resource["Type"] for resource in template["Resources"].values())
    interfaces = [
        resource["Properties"]["SubnetIds"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::EC2::VPCEndpoint"
        and resource["Properties"]["VpcEndpointType"] == "Interface"
    ]
    billed = billed_usage(stage.model_copy(update={"config": config}))
    assert (billed.nat_gateways, billed.public_addresses, billed.interface_endpoints) == expected
    assert billed.nat_gateways == kinds["AWS::EC2::NatGateway"]
    assert billed.public_addresses == kinds["AWS::EC2::EIP"]
    assert billed.interface_endpoints == sum(map(len, interfaces))


def test_the_warnings_of_the_synth_are_in_it(stages: dict[str, Stage]) -> None:
    unpinned, image = facts_of(stages["Dev"]).warnings
    assert unpinned.startswith("not pinned to a commit: hf://")
    assert image.endswith("run make pin-images")
