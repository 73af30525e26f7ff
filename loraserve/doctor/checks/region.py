"""The region: it exists, has SageMaker, is enabled for the account, and EC2 has the instance type there."""

from __future__ import annotations

from collections.abc import Iterator

import botocore.session

from adapters.closest import closest
from loraserve.aws import Client
from loraserve.finding import Finding, ok, problem
from stacks.config.stage_config import LoadedStage

#: `RegionOptStatus` of the Account Management API, for regions that can be used.
_ENABLED = ("ENABLED", "ENABLED_BY_DEFAULT")


def has_sagemaker(stage: LoadedStage, _client: Client) -> Iterator[Finding]:
    """Look the region up in botocore's table of SageMaker's endpoints; it needs no request."""
    # Without the profile of the environment, which may not exist: the table needs none.
    session = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    regions = [
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("sagemaker", partition)
    ]
    region = stage.config.region
    if region in regions:
        yield ok("SageMaker", f"{region} has it")
    else:
        yield problem(
            "SageMaker",
            f"the AWS SDK knows no SageMaker in {region}{closest(region, regions)}",
            f"write another region into stages/{stage.name}.yaml; for a new one, update boto3",
        )


def is_enabled(stage: LoadedStage, client: Client) -> Iterator[Finding]:
    """Ask Account Management: regions since 2019 must be enabled for an account."""
    region = stage.config.region
    status = client("account").get_region_opt_status(RegionName=region)["RegionOptStatus"]
    if status in _ENABLED:
        yield ok("region", f"{region} is {status}")
    else:
        yield problem(
            "region",
            f"{region} is {status} for this account",
            f"`aws account enable-region --region-name {region}`, and wait until it is ENABLED",
        )


def offers_instance(stage: LoadedStage, client: Client) -> Iterator[Finding]:
    """Ask EC2, on whose instances SageMaker runs: without the type there, SageMaker has none either.

    SageMaker itself has no operation for this. That EC2 has the type does not prove that SageMaker has; the
    check of the quota asks whether SageMaker has a quota for it.
    """
    region, wanted = stage.config.region, stage.config.endpoint.instance_type
    ec2_type = wanted.removeprefix("ml.")
    offered = client("ec2").describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [ec2_type]}]
    )["InstanceTypeOfferings"]
    zones = sorted(offer["Location"] for offer in offered)
    if zones:
        yield ok("instance type", f"EC2 has {ec2_type} in {', '.join(zones)}")
    else:
        yield problem(
            "instance type",
            f"EC2 has no {ec2_type} in {region}",
            f"write another endpoint.instance_type or region into stages/{stage.name}.yaml",
        )
