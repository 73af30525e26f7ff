"""The table of regions against botocore's and the CDK's."""

import json
from pathlib import Path
from typing import Any

import botocore
import pytest
from aws_cdk.region_info import RegionInfo
from hypothesis import given
from hypothesis import strategies as st

from stacks.config.regions import PARTITIONS, check_region, partition_of

REGIONS = [region for partition in PARTITIONS for region in partition.regions]
UPDATE = "update stacks/config/regions.py, see docs/extending.md, A region"


def data(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((Path(botocore.__file__).parent / "data" / name).read_text())[
        "partitions"
    ]
    return found


def test_the_table_has_each_region_where_botocore_has_sagemakers_endpoints() -> None:
    expected = {}
    for partition in data("endpoints.json"):
        both = [
            partition["services"].get(service, {"endpoints": {}})["endpoints"]
            for service in ("api.sagemaker", "runtime.sagemaker")
        ]
        # Other keys are of FIPS endpoints.
        found = {region for region in partition["regions"] if all(region in ends for ends in both)}
        if found:
            expected[partition["partition"]] = found
    assert {partition.name: set(partition.regions) for partition in PARTITIONS} == expected, UPDATE


def test_a_partition_has_botocores_domain_and_regions() -> None:
    known = {partition["id"]: partition for partition in data("partitions.json")}
    for partition in PARTITIONS:
        assert partition.domain == known[partition.name]["outputs"]["dnsSuffix"]
        assert set(partition.regions) <= known[partition.name]["regions"].keys()


def test_the_cdk_knows_each_region_in_the_same_partition() -> None:
    known = {info.name for info in RegionInfo.regions}
    assert set(REGIONS) <= known
    for region in ("us-east-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1"):
        assert RegionInfo.get(region).partition == partition_of(region).name
        assert RegionInfo.get(region).domain_suffix == partition_of(region).domain


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_of_the_table_is_accepted(region: str) -> None:
    assert check_region(region) == region


#: A letter left out, doubled, or swapped with the next one.
SLIPS = st.sampled_from(REGIONS).flatmap(
    lambda name: st.integers(0, len(name) - 2).flatmap(
        lambda at: st.sampled_from(
            [
                name[:at] + name[at + 1 :],
                name[: at + 1] + name[at:],
                name[:at] + name[at + 1] + name[at] + name[at + 2 :],
            ]
        )
    )
)


@given(SLIPS)
def test_a_typo_is_answered_with_a_region_of_the_table(typo: str) -> None:
    if typo in REGIONS:
        return
    with pytest.raises(ValueError, match="did you mean '") as caught:
        check_region(typo)
    assert str(caught.value).split("did you mean '")[1].split("'")[0] in REGIONS


@pytest.mark.parametrize("name", ["", "US-EAST-1", "us-east-1 ", "us-east-1a", "aws-global", "us-iso-west-1", "eu-isoe-west-1", "moon"])  # fmt: skip
def test_what_is_no_region_with_hosting_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no region with SageMaker hosting is known by this name"):
        check_region(name)
