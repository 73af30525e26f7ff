"""Alarms of CloudWatch have the times that a verification judges them by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from laptop_cloud.cloud import LaptopCloud
from loraserve.finding import State
from loraserve.verify import alarms
from tests.unit.loraserve.verify.made import PROD, expected, template

ALARM = "start-of-a-fleet"
OBSERVABILITY = template(Alarm=("AWS::CloudWatch::Alarm", {"AlarmName": ALARM}))


class Metric:
    """A metric, and the alarm on it."""

    def __init__(self, cloudwatch: Any) -> None:
        self._cloudwatch = cloudwatch

    def put_alarm(self) -> None:
        self._cloudwatch.put_metric_alarm(
            AlarmName=ALARM, Namespace="Fleet", MetricName="Ready", Statistic="Maximum",
            Period=60, EvaluationPeriods=5, Threshold=1, ComparisonOperator="LessThanThreshold",
        )  # fmt: skip

    def put(self, value: float) -> None:
        self._cloudwatch.put_metric_data(
            Namespace="Fleet", MetricData=[{"MetricName": "Ready", "Value": value}]
        )


def test_an_alarm_that_the_start_of_a_fleet_raised_has_time_to_end(
    cloud: LaptopCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "LOOK_SECONDS", 0.1)
    cloudwatch = cloud.client("cloudwatch")
    metric = Metric(cloudwatch)
    metric.put_alarm()
    metric.put(0)
    # An update of the stack keeps the state and its time.
    metric.put_alarm()
    (raised,) = cloudwatch.describe_alarms(AlarmNames=[ALARM])["MetricAlarms"]
    assert raised["StateValue"] == "ALARM"
    began = datetime.now(UTC)
    assert timedelta() <= began - raised["StateTransitionedTimestamp"] < timedelta(minutes=5)

    watch = alarms.Watch(bake_seconds=0, since=began - timedelta(minutes=10))
    found = list(
        alarms.check_alarms(
            PROD, cloud.client, expected(Observability=OBSERVABILITY), watch, lambda _: metric.put(1)
        )
    )
    assert [finding.state for finding in found] == [State.WARNING, State.OK], found
