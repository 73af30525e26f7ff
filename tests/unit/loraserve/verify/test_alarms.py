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
    history(cloud, "errors", now + timedelta(seconds=5))
    history(cloud, "latency", now - timedelta(minutes=5))
    found = watched(cloud, since=now - timedelta(hours=1))
    assert [state for state, _ in found] == [State.PROBLEM, State.WARNING, State.OK]


def test_the_reason_of_a_rollback_has_time_to_end(cloud: Cloud) -> None:
    began = datetime.now(UTC)
    old = {
        "AlarmName": "errors",
        "StateValue": "ALARM",
        "StateTransitionedTimestamp": began - timedelta(minutes=3),
    }
    ended = {"AlarmName": "errors", "StateValue": "OK"}
    for errors in (old, old, ended):
        found = [errors, {"AlarmName": "latency", "StateValue": "OK"}]
        cloud.answers("cloudwatch", "describe_alarms", {"MetricAlarms": found})
    for name in ("errors", "latency"):
        history(cloud, name)
    assert watched(cloud, since=began) == [(State.OK, "none of 2 is in ALARM")]


def test_an_alarm_that_does_not_end_is_a_problem(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "OLD_ALARM_SECONDS", 0.0)
    began = datetime.now(UTC)
    old = {"StateValue": "ALARM", "StateTransitionedTimestamp": began - timedelta(minutes=3)}
    found = [{"AlarmName": "errors", **old}, {"AlarmName": "latency", "StateValue": "OK"}]
    cloud.answers("cloudwatch", "describe_alarms", {"MetricAlarms": found})
    history(cloud, "latency")
    assert watched(cloud, since=began) == [(State.PROBLEM, "errors is in ALARM")]


def test_a_missing_alarm_is_a_problem(cloud: Cloud) -> None:
    states(cloud, errors="OK")
    assert watched(cloud)[0] == (State.PROBLEM, "missing: latency")
