"""Addition to `ministack`'s CloudWatch. `cloudformation.install` checks the private names."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def install() -> None:
    """Let DescribeAlarms return the time at which a metric alarm got its state, as CloudWatch does.

    `ministack` has it for composite alarms only; `verify` takes an alarm without it for a new one.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricAlarm.html
    (StateTransitionedTimestamp)
    """
    cloudwatch: Any = import_module("ministack.services.cloudwatch")
    others: Callable[..., Any] = cloudwatch._describe_alarms

    def describe(*request: Any) -> Any:
        transitions = {
            entry["AlarmName"]: cloudwatch._parse_ts(entry["Timestamp"])
            for entry in cloudwatch._history_entries()
            if entry["HistoryItemType"] == "StateUpdate"
        }
        for name, alarm in cloudwatch._alarms.items():
            if name in transitions:
                alarm["StateTransitionedTimestamp"] = transitions[name]
        return others(*request)

    cloudwatch._describe_alarms = describe
