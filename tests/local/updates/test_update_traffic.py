"""Each deployment strategy shifts the traffic as documented, and loses no request."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import psutil
import pytest

from tests.local.updates.served import (
    Endpoints,
    Load,
    blue_green,
    instances,
    percent,
    rolling,
)

STRATEGIES = {
    "none": None,
    "all-at-once": blue_green("ALL_AT_ONCE", termination_s=1),
    "canary": blue_green("CANARY", wait_s=1, CanarySize=percent(50)),
    "linear": blue_green("LINEAR", wait_s=1, LinearStepSize=percent(50)),
    "rolling": rolling(),
}


@pytest.fixture(scope="module")
def pair(endpoints: Endpoints) -> str:
    """An endpoint of two instances, which the tests of a module update one after the other."""
    return endpoints.serving("first", count=2)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_update_under_load_loses_no_request(endpoints: Endpoints, pair: str, strategy: str) -> None:
    with Load(endpoints, pair) as load:
        endpoints.update(pair, endpoints.config(strategy, count=2), STRATEGIES[strategy])
        description = endpoints.settled(pair)
    assert load.failures == []
    assert load.versions[-1] == strategy
    assert description["EndpointStatus"] == "InService"
    assert "FailureReason" not in description
    assert "PendingDeploymentSummary" not in description
    assert endpoints.counts(pair) == (2, 2)


def test_a_canary_gets_its_part_of_the_traffic_and_no_more(endpoints: Endpoints) -> None:
    endpoint = endpoints.serving("old")
    deployment = blue_green("CANARY", wait_s=2, CanarySize=percent(25))
    endpoints.update(endpoint, endpoints.config("new"), deployment)
    endpoints.wait_baking(endpoint)
    answers = Counter(endpoints.ask(endpoint)["version"] for _ in range(40))
    assert answers == {"old": 30, "new": 10}
    endpoints.settled(endpoint)
    assert {endpoints.ask(endpoint)["version"] for _ in range(4)} == {"new"}


def test_old_fleet_waits_without_traffic_until_its_termination(endpoints: Endpoints) -> None:
    endpoint = endpoints.serving("old")
    before = endpoints.ask(endpoint)["pid"]
    endpoints.update(endpoint, endpoints.config("new"), blue_green("ALL_AT_ONCE", termination_s=2))
    endpoints.wait_baking(endpoint)
    assert {endpoints.ask(endpoint)["version"] for _ in range(10)} == {"new"}
    assert psutil.pid_exists(before)
    endpoints.settled(endpoint)
    assert not psutil.pid_exists(before)


def test_an_instance_is_stopped_after_its_last_answer(endpoints: Endpoints) -> None:
    endpoint = endpoints.serving("old")
    answers: list[Any] = []
    slow = threading.Thread(target=lambda: answers.append(endpoints.ask(endpoint, sleep=2)))
    slow.start()
    endpoints.update(endpoint, endpoints.config("new"))
    endpoints.settled(endpoint)
    slow.join()
    assert answers[0]["version"] == "old"


def test_a_rolling_update_has_never_more_than_a_batch_too_many(endpoints: Endpoints, pair: str) -> None:
    endpoints.update(pair, endpoints.config("rolled", count=2), rolling(wait_s=1))
    seen = set()
    while (description := endpoints.described(pair))["EndpointStatus"] == "Updating":
        [old] = description["ProductionVariants"]
        [new] = description.get("PendingDeploymentSummary", {}).get("ProductionVariants", [{}])
        seen.add((old["CurrentInstanceCount"], new.get("CurrentInstanceCount", 0)))
    # (0, 2) is there while the last of the old instances stop.
    assert {(2, 0), (2, 1), (1, 1), (1, 2)} <= seen <= {(2, 0), (2, 1), (1, 1), (1, 2), (0, 2)}


def test_a_deployment_config_is_kept_for_the_next_update_if_asked(endpoints: Endpoints) -> None:
    deployment = blue_green("CANARY", wait_s=2, CanarySize=percent(10))
    endpoint = endpoints.serving("first", deployment=deployment)
    endpoints.update(endpoint, endpoints.config("second"), RetainDeploymentConfig=True)
    endpoints.wait_baking(endpoint)
    assert Counter(endpoints.ask(endpoint)["version"] for _ in range(10)) == {"first": 9, "second": 1}
    assert endpoints.settled(endpoint)["LastDeploymentConfig"] == deployment


@pytest.mark.parametrize(
    ("deployment", "message"),
    [
        (rolling(), "RollingUpdatePolicy needs a fleet of at least 2 instances, and this one has 1"),
        ({**rolling(), **blue_green("ALL_AT_ONCE")}, "give one of them"),
        (blue_green("CANARY", CanarySize=instances(1)), "CanarySize must be at most 50%"),
    ],
)
def test_a_deployment_that_does_not_fit_the_fleet_is_refused(
    endpoints: Endpoints, single: str, deployment: Any, message: str
) -> None:
    with pytest.raises(endpoints.api.exceptions.ClientError, match=message):
        endpoints.update(single, endpoints.config("new"), deployment)
    assert endpoints.described(single)["EndpointStatus"] == "InService"


@pytest.fixture(scope="module")
def single(endpoints: Endpoints) -> str:
    return endpoints.serving("only")
