"""Metrics of the fleet that serves, and of the gateway."""

from __future__ import annotations

import pytest

from loraserve.finding import State
from loraserve.verify import traffic
from loraserve.verify.traffic import check_metrics
from tests.unit.loraserve.stubbed_cloud import CONFIG, ENDPOINT, THEN, Cloud
from tests.unit.loraserve.verify.made import PROD


def metrics(cloud: Cloud, **values: list[float]) -> None:
    found = [{"Id": name, "Timestamps": [THEN] * len(some), "Values": some} for name, some in values.items()]
    cloud.answers("cloudwatch", "get_metric_data", {"MetricDataResults": found})


def checked(cloud: Cloud, *, invoked: bool = True) -> list[tuple[State, str]]:
    cloud.endpoint()
    found = check_metrics(PROD, cloud, THEN, invoked, lambda _: None)
    return [(finding.state, finding.check) for finding in found]


def test_both_metrics_end_the_wait(cloud: Cloud) -> None:
    metrics(cloud, gateway=[], requests=[])
    metrics(cloud, gateway=[2.0], requests=[3.0, 4.0])
    assert checked(cloud) == [(State.OK, "traffic"), (State.OK, "metrics")]


def test_late_metrics_are_warnings(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "METRIC_SECONDS", 0)
    metrics(cloud, gateway=[], requests=[])
    assert checked(cloud) == [(State.WARNING, "traffic"), (State.WARNING, "metrics")]


def test_without_requests_only_the_gateways_metric_is_looked_up(cloud: Cloud) -> None:
    metrics(cloud, gateway=[2.0])
    assert checked(cloud, invoked=False) == [(State.OK, "metrics")]


def test_requests_are_those_of_the_config_that_serves() -> None:
    query = traffic._query(
        "requests", "AWS/SageMaker", "Invocations", {"EndpointName": ENDPOINT, "EndpointConfigName": CONFIG}
    )
    names = [each["Name"] for each in query["MetricStat"]["Metric"]["Dimensions"]]
    assert names == ["EndpointName", "EndpointConfigName"]
