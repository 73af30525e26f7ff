"""Alarms over a time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from loraserve.finding import State
from loraserve.verify import alarms
from loraserve.verify.alarms import Watch, check_alarms
from tests.unit.loraserve.stubbed_cloud import Cloud
from tests.unit.loraserve.verify.made import PROD, expected, template

OBSERVABILITY = template(
    First=("AWS::CloudWatch::Alarm", {"AlarmName": "errors"}),
    Second=("AWS::CloudWatch::Alarm", {"AlarmName": "latency"}),
)

FIVE_MINUTES = {
    "Id": "errors",
    "MetricStat": {"Metric": {"MetricName": "Errors"}, "Period": 300, "Stat": "Sum"},
}


def states(cloud: Cloud, **states: str) -> None:
    alarms = [{"AlarmName": name, "StateValue": state} for name, state in states.items()]
    cloud.answers("cloudwatch", "describe_alarms", {"MetricAlarms": alarms})


def history(cloud: Cloud, name: str, *times: datetime) -> None:
    data = json.dumps({"version": "1.0", "newState": {"stateValue": "ALARM"}})
    items = [
        {"AlarmName": name, "Timestamp": time, "HistoryItemType": "StateUpdate", "HistoryData": data}
        for time in times
    ]
    cloud.answers("cloudwatch", "describe_alarm_history", {"AlarmHistoryItems": items})


def watched(cloud: Cloud, seconds: float = 0, since: datetime | None = None) -> list[tuple[State, str]]:
    watch = Watch(bake_seconds=seconds, since=since)
    found = check_alarms(PROD, cloud, expected(Observability=OBSERVABILITY), watch, lambda _: None)
    return [(finding.state, finding.found) for finding in found]


def test_states_without_data_are_reported_and_pass(cloud: Cloud) -> None:
    states(cloud, errors="OK", latency="INSUFFICIENT_DATA")
    assert watched(cloud) == [(State.OK, "none of 2 is in ALARM; without data yet: latency")]


def test_an_alarm_ends_the_watch(cloud: Cloud) -> None:
    states(cloud, errors="OK", latency="OK")
    states(cloud, errors="ALARM", latency="OK")
    history(cloud, "latency")
    assert watched(cloud, seconds=600) == [(State.PROBLEM, "errors is in ALARM")]


def test_an_alarm_that_was_raised_between_two_looks_is_a_problem(cloud: Cloud) -> None:
    now = datetime.now(UTC)
    states(cloud, errors="OK", latency="OK")
    history(cloud, "errors", now + timedelta(seconds=alarms.LATE_SECONDS + 5))
    history(cloud, "latency", now - timedelta(minutes=5))
    found = watched(cloud, since=now - timedelta(hours=1))
    assert [state for state, _ in found] == [State.PROBLEM, State.WARNING, State.OK]


def raised(at: datetime) -> dict[str, object]:
    window = {"Period": 60, "EvaluationPeriods": 5}
    return {"AlarmName": "errors", "StateValue": "ALARM", "StateTransitionedTimestamp": at, **window}


def described(cloud: Cloud, *errors: dict[str, object]) -> None:
    for each in errors:
        found = [each, {"AlarmName": "latency", "StateValue": "OK"}]
        cloud.answers("cloudwatch", "describe_alarms", {"MetricAlarms": found})


@pytest.mark.parametrize(
    "minutes", [-0.5, 3, 30], ids=["evaluated late", "raised by the start", "the reason of a rollback"]
)
def test_an_alarm_from_before_the_verification_has_time_to_end(cloud: Cloud, minutes: float) -> None:
    now = datetime.now(UTC)
    old = raised(now - timedelta(minutes=minutes))
    described(cloud, old, old, {"AlarmName": "errors", "StateValue": "OK"})
    history(cloud, "errors", *([now - timedelta(minutes=minutes)] if minutes < 10 else []))
    history(cloud, "latency")
    found = watched(cloud, since=now - timedelta(minutes=10))
    during = [State.WARNING] if minutes < 10 else []
    assert [state for state, _ in found] == [*during, State.OK]


def test_without_a_deployment_an_alarm_has_no_time_to_end(cloud: Cloud) -> None:
    described(cloud, raised(datetime.now(UTC) - timedelta(hours=1)))
    assert watched(cloud) == [(State.PROBLEM, "errors is in ALARM")]


@pytest.mark.parametrize(
    ("more", "seconds"),
    [
        ({}, 300),
        ({"Period": None, "Metrics": [{"Id": "percent", "Expression": "100 * errors"}, FIVE_MINUTES]}, 1500),
        ({"Period": None, "EvaluationPeriods": None}, 0),
    ],
    ids=["of a metric", "of an expression", "composite"],
)
def test_an_alarm_has_its_own_window_to_end(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, more: dict[str, object], seconds: int
) -> None:
    now = datetime.now(UTC)
    old = raised(now - timedelta(hours=1))
    old = {name: value for name, value in (old | more).items() if value is not None}
    monkeypatch.setattr(alarms, "LATE_SECONDS", -float(seconds))
    described(cloud, old)
    history(cloud, "latency")
    assert watched(cloud, since=now - timedelta(hours=1)) == [(State.PROBLEM, "errors is in ALARM")]
    monkeypatch.setattr(alarms, "LATE_SECONDS", 60.0 - seconds)
    described(cloud, old, {"AlarmName": "errors", "StateValue": "OK"})
    for name in ("errors", "latency"):
        history(cloud, name)
    assert watched(cloud, since=now - timedelta(hours=1)) == [(State.OK, "none of 2 is in ALARM")]


def test_a_missing_alarm_is_a_problem(cloud: Cloud) -> None:
    states(cloud, errors="OK")
    assert watched(cloud)[0] == (State.PROBLEM, "missing: latency")
