"""The config that serves, against that of the stack."""

from __future__ import annotations

from typing import Any

import pytest

from loraserve.finding import Finding, State
from loraserve.verify.serving import NotAsDeployed, SilentRollback, check_config, require_config
from stacks.config.stage_target import StageTarget
from tests.unit.loraserve.stubbed_cloud import ARN, CONFIG, ENDPOINT, Cloud

DEV = StageTarget(name="dev", account=None, region="us-east-1")


def problems(cloud: Cloud) -> list[Finding]:
    return [finding for finding in check_config(DEV, cloud) if finding.state is State.PROBLEM]


@pytest.mark.parametrize("physical", [ARN, ARN.lower(), CONFIG, CONFIG.lower()])
def test_the_deployed_config_is_found_whatever_the_case_of_its_arn(cloud: Cloud, physical: str) -> None:
    cloud.physical(physical)
    cloud.endpoint()
    cloud.config()
    cloud.model()
    assert {finding.state for finding in check_config(DEV, cloud)} == {State.OK}


def test_an_update_under_way_is_waited_for(cloud: Cloud) -> None:
    cloud.physical()
    cloud.endpoint("Updating", "older")
    cloud.endpoint("RollingBack", "older")
    cloud.endpoint()
    cloud.config()
    cloud.model()
    require_config(cloud.console, DEV, cloud)
    assert cloud.output.getvalue() == ""


def test_an_endpoint_in_another_status_is_a_problem(cloud: Cloud) -> None:
    cloud.physical()
    cloud.endpoint("UpdateRollbackFailed", FailureReason="an alarm")
    with pytest.raises(NotAsDeployed, match=f"{ENDPOINT} is UpdateRollbackFailed on {CONFIG}: an alarm"):
        require_config(cloud.console, DEV, cloud)


@pytest.mark.parametrize("exists", [True, False])
def test_a_silent_rollback_names_the_config_that_serves_and_whether_it_exists(
    cloud: Cloud, exists: bool
) -> None:
    cloud.physical()
    cloud.endpoint("InService", "older")
    cloud.config() if exists else cloud.lost("describe_endpoint_config")
    state = "which still exists" if exists else "which is deleted"
    with pytest.raises(SilentRollback, match=f"serves the config older, {state}.*its stack has {CONFIG}"):
        require_config(cloud.console, DEV, cloud)


def test_a_deleted_config_or_model_in_use_is_a_problem(cloud: Cloud) -> None:
    cloud.physical()
    cloud.endpoint()
    cloud.lost("describe_endpoint_config")
    assert [finding.check for finding in problems(cloud)] == ["config exists"]
    cloud.physical()
    cloud.endpoint()
    cloud.config()
    cloud.lost("describe_model")
    assert [finding.check for finding in problems(cloud)] == ["model exists"]


def test_an_endpoint_that_was_deleted_is_a_problem(cloud: Cloud) -> None:
    cloud.physical()
    cloud.lost("describe_endpoint")
    assert "does not exist" in problems(cloud)[0].found


def test_a_reason_that_stays_is_no_problem(cloud: Cloud) -> None:
    cloud.physical()
    cloud.endpoint(FailureReason="an alarm")
    cloud.config()
    cloud.model()
    found = list(check_config(DEV, cloud))
    assert [finding.state for finding in found] == [State.WARNING, State.OK, State.OK]


def live(percent: int, enabled: bool = True) -> dict[str, Any]:
    return {
        "DataCaptureConfig": {
            "EnableCapture": enabled,
            "CaptureStatus": "Started" if enabled else "Stopped",
            "CurrentSamplingPercentage": percent,
            "DestinationS3Uri": "s3://bucket/captured",
            "KmsKeyId": "",
        }
    }


def wanted(percent: int) -> dict[str, Any]:
    return {
        "DataCaptureConfig": {
            "EnableCapture": True,
            "InitialSamplingPercentage": percent,
            "DestinationS3Uri": "s3://bucket/captured",
            "CaptureOptions": [{"CaptureMode": "Input"}],
        }
    }


@pytest.mark.parametrize(
    ("live", "wanted", "warning"),
    [
        (live(20), wanted(20), None),
        (live(20, enabled=False), {}, None),
        (live(20), wanted(5), "records 20 % of its requests, and the stage file says 5 %"),
        (live(20), {}, "records 20 % of its requests, and the stage file says 0 %"),
        ({}, wanted(5), "records 0 % of its requests, and the stage file says 5 %"),
    ],
    ids=["same", "off", "other", "still on", "not on"],
)
def test_a_retained_share_of_captured_requests_is_a_warning(
    cloud: Cloud, live: dict[str, Any], wanted: dict[str, Any], warning: str | None
) -> None:
    cloud.physical()
    cloud.endpoint(**live)
    cloud.config(**wanted)
    cloud.model()
    require_config(cloud.console, DEV, cloud)
    assert (warning or "") in cloud.output.getvalue()
    assert bool(cloud.output.getvalue()) == (warning is not None)
