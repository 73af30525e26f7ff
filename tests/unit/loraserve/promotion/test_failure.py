"""The causes of a failed deployment, and what is left of it."""

import json
from datetime import UTC, datetime, timedelta

from loraserve.promotion.failure import raised_alarms, rollback_command, stuck_stacks
from tests.unit.loraserve.promotion.test_settling import DEV, stacks
from tests.unit.loraserve.stubbed_cloud import Cloud

SINCE = datetime(2026, 11, 27, 12, tzinfo=UTC)


def history(cloud: Cloud, *states: tuple[int, str]) -> None:
    """Answer with changes of an alarm: seconds after `SINCE`, and the new state."""
    items = [
        {
            "AlarmName": "errors",
            "Timestamp": SINCE + timedelta(seconds=seconds),
            "HistoryItemType": "StateUpdate",
            "HistoryData": json.dumps({"version": "1.0", "newState": {"stateValue": state}}),
        }
        for seconds, state in states
    ]
    cloud.answers("cloudwatch", "describe_alarm_history", {"AlarmHistoryItems": items})


def test_alarms_of_now_and_of_the_rollout() -> None:
    cloud = Cloud()
    described = [{"AlarmName": "latency", "StateValue": "ALARM"}, {"AlarmName": "errors", "StateValue": "OK"}]
    cloud.answers("cloudwatch", "describe_alarms", {"MetricAlarms": described})
    history(cloud, (60, "ALARM"), (90, "OK"))  # of `errors`
    history(cloud, (-60, "ALARM"), (30, "OK"))  # of `old`: before the rollout
    with cloud.stubbed():
        assert raised_alarms(cloud("cloudwatch"), {"latency", "errors", "old"}, SINCE) == [
            "errors",
            "latency",
        ]
    assert raised_alarms(cloud("cloudwatch"), (), SINCE) == []


def test_stacks_that_cloudformation_could_not_roll_back() -> None:
    cloud = Cloud()
    stacks(cloud, Serving="UPDATE_ROLLBACK_FAILED", Scaling="UPDATE_ROLLBACK_COMPLETE")
    with cloud.stubbed():
        [stuck] = stuck_stacks(DEV, cloud)
    assert rollback_command(DEV, stuck) == "node_modules/.bin/cdk rollback Dev/Serving -c stage=dev"
