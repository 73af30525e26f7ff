"""The network stack: connections that instances may open and accept."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from stacks.network.network_stack import AllowedResources, ExistingVpc, NetworkStack, NewVpc
from tests.unit.stacks.synthesis import ENV, Template, cfn_lint, of_type, synthesize

ENDPOINT = "LoraServing-Dev-Serving"
ALLOWED = AllowedResources(bucket_name="the-adapters", endpoint_name=ENDPOINT, writable=["probes/"])
NETWORK: dict[str, Any] = {
    "mode": "private",
    "vpc": NewVpc(cidr="10.20.0.0/16", zones=[], log_retention_days=30),
    "allowed": ALLOWED,
    "env": ENV,
}
GIVEN = ExistingVpc(vpc_id="vpc-0123456789abcdef0", subnet_ids=["subnet-0a", "subnet-0b"])
ZONES = ["eu-west-1b", "eu-west-1c"]


@pytest.fixture(scope="module")
def stacks() -> dict[str, NetworkStack]:
    return {}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, stacks: dict[str, NetworkStack]) -> dict[str, Path]:
    def make(app: cdk.App) -> list[cdk.Stack]:
        variants: dict[str, dict[str, Any]] = {
            "Private": {},
            "Vpc": {"mode": "vpc"},
            "Capture": {"allowed": replace(ALLOWED, writable=["captured/"])},
            "Given": {"vpc": GIVEN},
            "Zones": {"mode": "vpc", "vpc": replace(NETWORK["vpc"], zones=ZONES)},
        }
        for name, changed in variants.items():
            stacks[name] = NetworkStack(app, name, **(NETWORK | changed))
        return list(stacks.values())

    return synthesize(tmp_path_factory.mktemp("network"), make)


@pytest.fixture(scope="module")
def templates(files: dict[str, Path]) -> dict[str, Template]:
    return {name: json.loads(file.read_text()) for name, file in files.items()}


def endpoint(template: Template, kind: str) -> dict[str, Any]:
    (found,) = (e for e in of_type(template, "AWS::EC2::VPCEndpoint") if e["VpcEndpointType"] == kind)
    return found


def statements(vpc_endpoint: dict[str, Any]) -> dict[str, Any]:
    return {s["Action"]: s["Resource"] for s in vpc_endpoint["PolicyDocument"]["Statement"]}


def test_nothing_leads_from_a_private_network_to_the_internet(templates: dict[str, Template]) -> None:
    kinds = {resource["Type"] for resource in templates["Private"]["Resources"].values()}
    assert kinds.isdisjoint(
        {"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::EIP", "AWS::EC2::Route"}
    )


def test_only_adapter_bucket_can_be_reached_from_a_private_network(
    templates: dict[str, Template],
) -> None:
    bucket = "arn:aws:s3:::the-adapters"
    assert statements(endpoint(templates["Private"], "Gateway")) == {
        "s3:GetObject": [f"{bucket}/*"],
        "s3:ListBucket": [bucket],
        "s3:PutObject": [f"{bucket}/probes/*"],
    }
    written = statements(endpoint(templates["Capture"], "Gateway"))["s3:PutObject"]
    assert written == [f"{bucket}/captured/*"]


def test_every_subnet_of_the_instances_has_the_way_to_s3(templates: dict[str, Template]) -> None:
    for name in ("Private", "Vpc"):
        template = templates[name]
        (table,) = endpoint(template, "Gateway")["RouteTableIds"]
        associated = [
            association["SubnetId"]["Fn::GetAtt"][0]
            for association in of_type(template, "AWS::EC2::SubnetRouteTableAssociation")
            if association["RouteTableId"] == table
        ]
        assert len(associated) == 2


def test_callers_in_a_private_network_can_invoke_this_endpoint_and_no_other(
    templates: dict[str, Template],
) -> None:
    runtime = endpoint(templates["Private"], "Interface")
    assert runtime["ServiceName"] == "com.amazonaws.eu-west-1.sagemaker.runtime"
    assert runtime["PrivateDnsEnabled"] is True
    arns = {f"arn:aws:sagemaker:eu-west-1:123456789012:endpoint/{n}" for n in (ENDPOINT, ENDPOINT.lower())}
    allowed = statements(runtime)
    assert set(allowed.pop("sagemaker:CallWithBearerToken")) == {"*"}
    assert {action: set(resources) for action, resources in allowed.items()} == {
        "sagemaker:InvokeEndpoint": arns,
        "sagemaker:InvokeEndpointWithResponseStream": arns,
    }


def test_instances_accept_no_connections_and_use_https_only(templates: dict[str, Template]) -> None:
    for template in templates.values():
        (group,) = (
            g for g in of_type(template, "AWS::EC2::SecurityGroup") if "Instances" in g["GroupDescription"]
        )
        assert "SecurityGroupIngress" not in group
        assert [(r["FromPort"], r["ToPort"]) for r in group["SecurityGroupEgress"]] == [(443, 443)]


def test_the_interface_endpoint_takes_https_from_the_vpc_only(templates: dict[str, Template]) -> None:
    (group,) = (
        g for g in of_type(templates["Private"], "AWS::EC2::SecurityGroup") if "SecurityGroupIngress" in g
    )
    (rule,) = group["SecurityGroupIngress"]
    assert (rule["CidrIp"], rule["FromPort"], rule["ToPort"]) == ("10.20.0.0/16", 443, 443)


def test_in_mode_vpc_instances_have_one_way_out_by_nat_gateway(
    templates: dict[str, Template],
) -> None:
    template = templates["Vpc"]
    assert len(of_type(template, "AWS::EC2::NatGateway")) == 1
    (table,) = endpoint(template, "Gateway")["RouteTableIds"]
    (route,) = (r for r in of_type(template, "AWS::EC2::Route") if r["RouteTableId"] == table)
    assert "NatGatewayId" in route
    # The Hub's files may be stored in S3: only the role confines here.
    assert "PolicyDocument" not in endpoint(template, "Gateway")


def test_no_subnet_gives_public_addresses_and_the_two_are_in_different_zones(
    templates: dict[str, Template],
) -> None:
    for name, number in (("Private", 2), ("Vpc", 3)):
        subnets = of_type(templates[name], "AWS::EC2::Subnet")
        assert len(subnets) == number
        assert not any(subnet["MapPublicIpOnLaunch"] for subnet in subnets)
        zones = {json.dumps(subnet["AvailabilityZone"]) for subnet in subnets}
        assert len(zones) == 2
        blocks = {json.dumps(subnet["CidrBlock"]) for subnet in subnets}
        assert len(blocks) == number


def test_the_named_zones_are_used_for_instances_callers_and_nat_gateway(
    templates: dict[str, Template],
) -> None:
    zones = [subnet["AvailabilityZone"] for subnet in of_type(templates["Zones"], "AWS::EC2::Subnet")]
    assert zones == [*ZONES, ZONES[0]]


def test_connections_are_logged_and_the_log_goes_with_the_stack(templates: dict[str, Template]) -> None:
    (flows,) = of_type(templates["Private"], "AWS::EC2::FlowLog")
    assert (flows["ResourceType"], flows["TrafficType"]) == ("VPC", "ALL")
    group = templates["Private"]["Resources"][flows["LogGroupName"]["Ref"]]
    assert group["DeletionPolicy"] == "Delete"
    assert group["Properties"]["RetentionInDays"] == 30


def test_in_a_given_vpc_only_a_security_group_is_made(
    templates: dict[str, Template], stacks: dict[str, NetworkStack]
) -> None:
    kinds = [resource["Type"] for resource in templates["Given"]["Resources"].values()]
    assert [kind for kind in kinds if kind != "AWS::CDK::Metadata"] == ["AWS::EC2::SecurityGroup"]
    assert stacks["Given"].subnet_ids == GIVEN.subnet_ids
    assert len(stacks["Given"].security_group_ids) == 1


def test_endpoints_that_a_given_vpc_needs_are_reported(
    stacks: dict[str, NetworkStack], files: dict[str, Path]
) -> None:
    (said,) = (entry.data for entry in stacks["Given"].node.metadata if entry.type == "aws:cdk:info")
    assert "S3 gateway endpoint" in str(said)
    assert "sagemaker.runtime" in str(said)


def test_cfn_lint_finds_nothing(files: dict[str, Path]) -> None:
    # W3010: the zones are those that the stage file names.
    assert cfn_lint(file for name, file in files.items() if name != "Zones") == ""
