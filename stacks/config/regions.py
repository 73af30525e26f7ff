"""AWS's regions with SageMaker hosting, by partition.

Source: `endpoints.json` and `partitions.json` of botocore 1.43.106, regions with an endpoint of both
`api.sagemaker` and `runtime.sagemaker`. A test compares the table with the installed botocore and CDK;
docs/extending.md has the steps for a newer region.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.closest import closest


@dataclass(frozen=True)
class Partition:
    """A partition: regions with one set of accounts."""

    name: str
    """As in an ARN."""
    domain: str
    """Domain of the partition's services."""
    regions: tuple[str, ...]


PARTITIONS = (
    Partition(
        "aws",
        "amazonaws.com",
        (
            *("af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3"),
            *("ap-south-1", "ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3"),
            *("ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7"),
            *("ca-central-1", "ca-west-1", "eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1"),
            *("eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "il-central-1", "me-central-1"),
            *("me-south-1", "mx-central-1", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2"),
        ),
    ),
    Partition("aws-cn", "amazonaws.com.cn", ("cn-north-1", "cn-northwest-1")),
    Partition("aws-us-gov", "amazonaws.com", ("us-gov-east-1", "us-gov-west-1")),
    Partition("aws-iso", "c2s.ic.gov", ("us-iso-east-1",)),
    Partition("aws-iso-b", "sc2s.sgov.gov", ("us-isob-east-1",)),
    Partition("aws-iso-f", "csp.hci.ic.gov", ("us-isof-east-1", "us-isof-south-1")),
    Partition("aws-eusc", "amazonaws.eu", ("eusc-de-east-1",)),
)
_BY_REGION = {region: partition for partition in PARTITIONS for region in partition.regions}


def check_region(region: str) -> str:
    """Return `region` if it has SageMaker hosting; raise `ValueError` with the closest one otherwise."""
    if region not in _BY_REGION:
        raise ValueError(
            f"no region with SageMaker hosting is known by this name{closest(region, _BY_REGION)}; to add a "
            "new one: docs/extending.md, A region"
        )
    return region


def partition_of(region: str) -> Partition:
    """Return the partition of a region in the table."""
    return _BY_REGION[region]
