"""A failed update is rolled back, without an effect on clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.local.updates.served import (
    Endpoints,
    Load,
    blue_green,
    percent,
    rolling,
    watched,
)

CANARY = blue_green("CANARY", wait_s=20, CanarySize=percent(50))


@pytest.fixture(scope="module")
def pair(endpoints: Endpoints) -> str:
    """An endpoint of two instances; every test leaves it as it was."""
    return endpoints.serving("old", count=2)


def kept(endpoints: Endpoints, endpoint: str, config: str) -> Any:
    """Return the failure reason of an endpoint whose update has failed, and left `config` in force."""
    description = endpoints.settled(endpoint)
    assert description["EndpointStatus"] == "InService"
    assert description["EndpointConfigName"] == config
    assert "PendingDeploymentSummary" not in description
    assert endpoints.counts(endpoint) == (2, 2)
    assert {endpoints.ask(endpoint)["version"] for _ in range(8)} == {"old"}
    return description["FailureReason"]


def test_an_alarm_brings_the_traffic_back(endpoints: Endpoints, pair: str) -> None:
    alarm, before = endpoints.alarm(), endpoints.described(pair)["EndpointConfigName"]
    with Load(endpoints, pair) as load:
        endpoints.update(pair, endpoints.config("new", count=2), watched(CANARY, alarm))
        endpoints.wait_baking(pair, count=2)
        endpoints.sound(alarm)
        endpoints.settled(pair)
    assert load.failures == []
    assert "new" in load.versions
    assert f"alarm {alarm} is in state ALARM" in kept(endpoints, pair, before)


def test_an_alarm_in_a_rolling_update_brings_old_instances_back(endpoints: Endpoints, pair: str) -> None:
    alarm, before = endpoints.alarm(), endpoints.described(pair)["EndpointConfigName"]
    with Load(endpoints, pair) as load:
        endpoints.update(pair, endpoints.config("new", count=2), watched(rolling(wait_s=2), alarm))
        endpoints.wait_baking(pair, count=2)
        endpoints.sound(alarm)
        endpoints.settled(pair)
    assert load.failures == []
    assert f"alarm {alarm}" in kept(endpoints, pair, before)


def test_the_errors_of_a_new_model_sound_the_alarm_themselves(endpoints: Endpoints, pair: str) -> None:
    before = endpoints.described(pair)["EndpointConfigName"]
    dimensions = [{"Name": "EndpointName", "Value": pair}, {"Name": "VariantName", "Value": "Main"}]
    # The emulator counts the errors of all endpoints together: other tests' are fewer than this.
    alarm = endpoints.alarm(
        Namespace="AWS/SageMaker", MetricName="Invocation5XXErrors", Dimensions=dimensions, Threshold=20
    )
    with Load(endpoints, pair) as load:
        endpoints.update(pair, endpoints.config("broken", count=2, STATUS="500"), watched(CANARY, alarm))
        endpoints.settled(pair)
    assert load.failures != []
    assert load.of_the_platform() == []
    assert f"alarm {alarm}" in kept(endpoints, pair, before)


@pytest.mark.parametrize("deployment", [CANARY, rolling()], ids=["canary", "rolling"])
def test_a_container_that_does_not_come_up_leaves_the_old_one(
    endpoints: Endpoints, pair: str, deployment: Any
) -> None:
    before = endpoints.described(pair)["EndpointConfigName"]
    with Load(endpoints, pair) as load:
        endpoints.update(pair, endpoints.config("new", count=2, FAIL="yes"), deployment)
        endpoints.settled(pair)
    assert load.failures == []
    assert "this version does not come up" in kept(endpoints, pair, before)


def test_an_update_fails_at_once_if_its_alarm_is_on_already(endpoints: Endpoints, pair: str) -> None:
    alarm, before = endpoints.alarm(), endpoints.described(pair)["EndpointConfigName"]
    endpoints.sound(alarm)
    endpoints.update(pair, endpoints.config("new", count=2), watched(CANARY, alarm))
    assert f"alarm {alarm} is in state ALARM" in kept(endpoints, pair, before)


def test_an_update_fails_at_once_if_its_alarm_does_not_exist(endpoints: Endpoints, pair: str) -> None:
    before = endpoints.described(pair)["EndpointConfigName"]
    endpoints.update(pair, endpoints.config("new", count=2), watched(CANARY, "nobody"))
    assert "alarm nobody of AutoRollbackConfiguration does not exist" in kept(endpoints, pair, before)


def test_a_rollback_that_fails_leaves_both_versions_serving_until_the_next_update(
    endpoints: Endpoints, tmp_path: Path
) -> None:
    missing, alarm = tmp_path / "withdrawn", endpoints.alarm()
    endpoint = endpoints.serving("old", count=2, FAIL_IF=str(missing))
    endpoints.update(endpoint, endpoints.config("new", count=2), watched(rolling(wait_s=2), alarm))
    endpoints.wait_baking(endpoint, count=2)
    missing.touch()
    endpoints.sound(alarm)
    description = endpoints.settled(endpoint)
    assert description["EndpointStatus"] == "UpdateRollbackFailed"
    assert "instances of both configurations serve" in description["FailureReason"]
    assert {endpoints.ask(endpoint)["version"] for _ in range(6)} == {"old", "new"}
    endpoints.update(endpoint, endpoints.config("repaired", count=2))
    assert endpoints.settled(endpoint)["EndpointStatus"] == "InService"
    assert {endpoints.ask(endpoint)["version"] for _ in range(6)} == {"repaired"}
