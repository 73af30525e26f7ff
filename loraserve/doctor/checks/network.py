"""The network that the stage names, or the zones of the one that it will create."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from loraserve.aws import Client
from loraserve.doctor.answers import unanswered
from loraserve.doctor.routes import Routes
from loraserve.finding import Finding, ok, problem
from stacks.config.derived import has_mounted_model, most_instances, rollout_plan
from stacks.config.sections.network import Network
from stacks.config.stage_config import LoadedStage

#: SageMaker requires subnets in two zones at least; `stacks.network.subnets` creates as many.
_ZONES = 2
_HTTPS = 443


def check(stage: LoadedStage, client: Client) -> Iterator[Finding]:
    """Yield the findings about the stage's network; none in mode `public`."""
    network = stage.config.network
    if network.mode == "public":
        return
    ec2 = client("ec2")
    if network.vpc_id is None:
        yield from _new_vpc(stage, ec2)
        return
    yield from _vpc(network, ec2, stage.config.region)
    subnets = _found(ec2, "describe_subnets", "Subnets", "subnet-id", "SubnetId", network.subnet_ids)
    yield from _subnets(stage, ec2, subnets)
    yield from _groups(network, ec2)


def _found(
    ec2: Any, operation: str, members: str, filter_name: str, id_name: str, ids: list[str]
) -> list[dict[str, Any]] | ClientError:
    """Return those of `ids` that exist. The filter does not fail for a missing one, as the argument would."""
    try:
        answer = getattr(ec2, operation)(Filters=[{"Name": filter_name, "Values": ids}])
    except ClientError as error:
        return error
    # An emulator may ignore the filter.
    return [item for item in answer[members] if item[id_name] in ids]


def _vpc(network: Network, ec2: Any, region: str) -> Iterator[Finding]:
    check = "VPC"
    found = _found(ec2, "describe_vpcs", "Vpcs", "vpc-id", "VpcId", [str(network.vpc_id)])
    if isinstance(found, ClientError):
        yield unanswered(check, "ec2:DescribeVpcs", found, str(network.vpc_id))
    elif not found:
        yield problem(
            check,
            f"{network.vpc_id} does not exist in {region} of this account",
            f"list the VPCs (aws ec2 describe-vpcs --region {region}), and correct network.vpc_id",
        )
    else:
        yield ok(check, f"{network.vpc_id}, {found[0]['CidrBlock']}")


def _subnets(stage: LoadedStage, ec2: Any, found: list[dict[str, Any]] | ClientError) -> Iterator[Finding]:
    check, network, region = "subnets", stage.config.network, stage.config.region
    if isinstance(found, ClientError):
        yield unanswered(check, "ec2:DescribeSubnets", found, ", ".join(network.subnet_ids))
        return
    listing = (
        f"list the VPC's subnets (aws ec2 describe-subnets --region {region} "
        f"--filters Name=vpc-id,Values={network.vpc_id}), and correct network.subnet_ids"
    )
    if missing := sorted(set(network.subnet_ids) - {subnet["SubnetId"] for subnet in found}):
        yield problem(check, f"{', '.join(missing)} do not exist in {region} of this account", listing)
        return
    if strange := [subnet["SubnetId"] for subnet in found if subnet["VpcId"] != network.vpc_id]:
        yield problem(check, f"{', '.join(strange)} are not in {network.vpc_id}", listing)
        return
    zones = sorted({subnet["AvailabilityZone"] for subnet in found})
    if len(zones) < _ZONES:
        yield problem(check, f"all are in {zones[0]}", f"{listing}: name one in another zone, too")
        return
    yield ok(check, f"{len(found)} in {', '.join(zones)}")
    yield _addresses(stage, found)
    yield from _routes(stage, ec2, found)


def _addresses(stage: LoadedStage, subnets: list[dict[str, Any]]) -> Finding:
    """Compare free addresses with the instances of the largest update, two for each.

    Two is AWS's figure for an instance of a job (train-vpc, inference-recommender-vpc-access); host-vpc, the
    page about endpoints, gives none.
    """
    needed = 2 * rollout_plan(stage.config).quota(most_instances(stage.config))
    free = sum(subnet["AvailableIpAddressCount"] for subnet in subnets)
    found = f"{free} free, an update needs {needed}"
    if free >= needed:
        return ok("subnet addresses", found)
    return problem("subnet addresses", found, "name more or larger subnets in network.subnet_ids")


def _routes(stage: LoadedStage, ec2: Any, subnets: list[dict[str, Any]]) -> Iterator[Finding]:
    check = "subnet routes"
    try:
        routes = Routes.read(ec2, str(stage.config.network.vpc_id), stage.config.region)
    except ClientError as error:
        yield unanswered(check, f"ec2:{error.operation_name}", error)
        return
    region, ids = stage.config.region, [subnet["SubnetId"] for subnet in subnets]
    to_s3 = (
        f"create an S3 gateway endpoint for their route tables (aws ec2 create-vpc-endpoint --region {region}"
        f" --vpc-id {stage.config.network.vpc_id} --service-name com.amazonaws.{region}.s3 --route-table-ids "
        f"{' '.join(sorted({routes.table_id(subnet) for subnet in ids}))})"
    )
    if without := [subnet for subnet in ids if not routes.reach_s3(subnet)]:
        yield problem(check, f"{', '.join(without)} have no route to S3, with model and adapters", to_s3)
    elif not has_mounted_model(stage.config) and (
        without := [subnet for subnet in ids if not routes.reach_internet(subnet)]
    ):
        yield problem(
            check,
            f"{', '.join(without)} have no route to the Hub: an internet gateway alone does not serve "
            "instances, which have no public address",
            "write base_model.mirror: true, or give the subnets a route to a NAT gateway",
        )
    else:
        yield ok(check, "S3 is in reach" + ("" if has_mounted_model(stage.config) else ", and the internet"))


def _groups(network: Network, ec2: Any) -> Iterator[Finding]:
    check, ids = "security groups", network.security_group_ids
    if not ids:
        return
    found = _found(ec2, "describe_security_groups", "SecurityGroups", "group-id", "GroupId", ids)
    listing = (
        "list the VPC's groups (aws ec2 describe-security-groups "
        f"--filters Name=vpc-id,Values={network.vpc_id}), and correct network.security_group_ids, "
        "or leave it out: the stage then creates one"
    )
    if isinstance(found, ClientError):
        yield unanswered(check, "ec2:DescribeSecurityGroups", found, ", ".join(ids))
    elif missing := sorted(set(ids) - {group["GroupId"] for group in found}):
        yield problem(check, f"{', '.join(missing)} do not exist", listing)
    elif strange := [group["GroupId"] for group in found if group.get("VpcId") != network.vpc_id]:
        yield problem(check, f"{', '.join(strange)} are not in {network.vpc_id}", listing)
    elif not any(_lets_https_out(rule) for group in found for rule in group["IpPermissionsEgress"]):
        yield problem(
            check,
            f"{', '.join(ids)} let no HTTPS out, which S3 needs",
            f"aws ec2 authorize-security-group-egress --group-id {ids[0]} --protocol tcp --port 443 "
            "--cidr 0.0.0.0/0",
        )
    else:
        yield ok(check, ", ".join(ids))


def _lets_https_out(rule: dict[str, Any]) -> bool:
    """Return whether an outbound rule covers port 443; protocol -1 is every protocol and port."""
    if rule["IpProtocol"] == "-1":
        return True
    return rule["IpProtocol"] in {"tcp", "6"} and rule["FromPort"] <= _HTTPS <= rule["ToPort"]


def _new_vpc(stage: LoadedStage, ec2: Any) -> Iterator[Finding]:
    """Check the zones in which the stage will create subnets."""
    check, network, region = "zones", stage.config.network, stage.config.region
    try:
        answer = ec2.describe_availability_zones(
            Filters=[{"Name": "zone-type", "Values": ["availability-zone"]}]
        )
    except ClientError as error:
        yield unanswered(check, "ec2:DescribeAvailabilityZones", error)
        return
    available = sorted(z["ZoneName"] for z in answer["AvailabilityZones"] if z["State"] == "available")
    remedy = f"name two of {', '.join(available)} in network.availability_zones"
    # Without names the template takes the first two of Fn::GetAZs.
    zones = network.availability_zones or available[:_ZONES]
    if missing := [zone for zone in zones if zone not in available]:
        yield problem(check, f"{', '.join(missing)} are not available in {region} for this account", remedy)
        return
    if len(zones) < _ZONES:
        yield problem(check, f"{region} has {len(zones)} zone for this account", "choose another region")
        return
    yield ok(check, ", ".join(zones))
    if network.mode == "private":
        yield from _runtime_service(ec2, region, zones)


def _runtime_service(ec2: Any, region: str, zones: list[str]) -> Iterator[Finding]:
    """Check that SageMaker's runtime can have an interface endpoint in the zones."""
    check, name = "VPC endpoint service", f"com.amazonaws.{region}.sagemaker.runtime"
    try:
        answer = ec2.describe_vpc_endpoint_services(Filters=[{"Name": "service-name", "Values": [name]}])
    except ClientError as error:
        yield unanswered(check, "ec2:DescribeVpcEndpointServices", error, name)
        return
    offered = {
        zone
        for service in answer["ServiceDetails"]
        if service["ServiceName"] == name
        for zone in service["AvailabilityZones"]
    }
    if missing := [zone for zone in zones if zone not in offered]:
        yield problem(
            check,
            f"{name} is not offered in {', '.join(missing)}",
            f"name two of {', '.join(sorted(offered)) or 'no zone of this region'} in "
            "network.availability_zones",
        )
    else:
        yield ok(check, f"{name} is offered in {', '.join(zones)}")
