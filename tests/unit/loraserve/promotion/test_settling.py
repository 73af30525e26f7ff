"""Waiting for operations of a stage that another run has left under way."""

from datetime import UTC, datetime

import pytest

from loraserve.promotion import settling
from loraserve.promotion.settling import StillBusy, operations, settle
from stacks.config.stage_target import StageTarget
from tests.unit.loraserve.stubbed_cloud import ENDPOINT, Cloud

DEV = StageTarget(name="dev", account=None, region="us-east-1")


def stacks(cloud: Cloud, **statuses: str) -> None:
    """Answer with these stacks of dev, and one of another stage."""
    found = {DEV.stack_name(name): status for name, status in statuses.items()}
    found["LoraServing-Devil-Serving"] = "UPDATE_IN_PROGRESS"
    described = [
        {"StackName": name, "StackStatus": status, "CreationTime": datetime.now(UTC)}
        for name, status in found.items()
    ]
    cloud.answers("cloudformation", "describe_stacks", {"Stacks": described})


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "LOOK_SECONDS", 0.0)


def test_a_stage_at_rest_is_not_waited_for() -> None:
    cloud = Cloud()
    stacks(cloud, Serving="UPDATE_COMPLETE", Scaling="REVIEW_IN_PROGRESS")
    cloud.endpoint()
    with cloud.stubbed():
        assert not settle(cloud.console, DEV, cloud, 0)
    assert cloud.output.getvalue() == ""


def test_stacks_and_endpoint_are_waited_for() -> None:
    cloud = Cloud()
    stacks(cloud, Serving="UPDATE_ROLLBACK_IN_PROGRESS")
    cloud.endpoint("Updating")
    stacks(cloud, Serving="UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    cloud.endpoint()
    stacks(cloud, Serving="UPDATE_ROLLBACK_FAILED")
    cloud.lost("describe_endpoint")
    with cloud.stubbed():
        assert settle(cloud.console, DEV, cloud, 60)
    printed = cloud.output.getvalue()
    assert f"{ENDPOINT} is UPDATE_ROLLBACK_IN_PROGRESS, {ENDPOINT} is Updating" in printed
    assert printed.count("\n") == 1  # a line a minute


def test_the_wait_has_a_limit() -> None:
    cloud = Cloud()
    for _ in range(2):
        stacks(cloud, Serving="UPDATE_IN_PROGRESS")
        cloud.endpoint("Updating")
    with cloud.stubbed():
        assert operations(DEV, cloud) == [f"{ENDPOINT} is UPDATE_IN_PROGRESS", f"{ENDPOINT} is Updating"]
        with pytest.raises(StillBusy, match=r"still being changed.*run this again"):
            settle(cloud.console, DEV, cloud, -1)
