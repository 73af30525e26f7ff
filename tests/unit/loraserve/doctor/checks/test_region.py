"""Regions and instance types, with answers in the form of the services' models."""

import pytest

from loraserve.doctor.checks.region import has_sagemaker, is_enabled, offers_instance
from loraserve.finding import State
from stacks.config.stage_config import LoadedStage
from tests.unit.loraserve.doctor.aws_answers import answering


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("ENABLED", State.OK),
        ("ENABLED_BY_DEFAULT", State.OK),
        ("DISABLED", State.PROBLEM),
        ("ENABLING", State.PROBLEM),
        ("DISABLING", State.PROBLEM),
    ],
)
def test_a_region_that_must_be_enabled(dev: LoadedStage, status: str, state: State) -> None:
    with answering("account", ("get_region_opt_status", {"RegionOptStatus": status})) as client:
        [line] = is_enabled(dev, client)
    assert line.state is state
    assert ("enable-region" in line.remedy) == (state is State.PROBLEM)


def test_an_instance_type_that_ec2_has(dev: LoadedStage) -> None:
    offers = [{"InstanceType": "g5.xlarge", "Location": zone} for zone in ("us-east-1b", "us-east-1a")]
    with answering("ec2", ("describe_instance_type_offerings", {"InstanceTypeOfferings": offers})) as client:
        [line] = offers_instance(dev, client)
    assert line.state is State.OK and line.found.endswith("us-east-1a, us-east-1b")


def test_an_instance_type_that_ec2_does_not_have(dev: LoadedStage) -> None:
    with answering("ec2", ("describe_instance_type_offerings", {"InstanceTypeOfferings": []})) as client:
        [line] = offers_instance(dev, client)
    assert line.state is State.PROBLEM and "endpoint.instance_type" in line.remedy


def test_the_table_of_regions_needs_no_profile(dev: LoadedStage, monkeypatch: pytest.MonkeyPatch) -> None:
    def client(service: str) -> None:
        raise AssertionError(f"the table needs no {service}")

    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    assert [line.state for line in has_sagemaker(dev, client)] == [State.OK]
