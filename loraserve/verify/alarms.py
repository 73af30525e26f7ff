"""The stage's alarms, over a time: none may be in ALARM."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from loraserve.aws import Client
from loraserve.finding import Finding, ok, problem, warning
from loraserve.verify.adapters import shown
from loraserve.verify.expected import Expected
from stacks.config.stage_target import StageTarget

#: Seconds between two looks, and between two lines about the progress.
LOOK_SECONDS, SAY_SECONDS = 15.0, 60.0
#: The most names that DescribeAlarms takes.
_MOST = 100
_KINDS = ["MetricAlarm", "CompositeAlarm"]


@dataclass(frozen=True, kw_only=True)
class Watch:
    """The time in which no alarm may be raised."""

    bake_seconds: float
    """From now on; 0 for the states now."""
    since: datetime | None
    """Begin of the deployment: what was raised since, and is over, is a warning."""


def check_alarms(
    target: StageTarget, client: Client, expected: Expected, watch: Watch, say: Callable[[str], None]
) -> Iterator[Finding]:
    """Watch the alarms of the templates; ends early at the first that is in ALARM."""
    cloudwatch = client("cloudwatch")
    names = sorted(
        alarm["AlarmName"]
        for kind in ("Alarm", "CompositeAlarm")
        for alarm in expected.resources(f"AWS::CloudWatch::{kind}")
    )
    began = datetime.now(UTC)
    states = _watched(cloudwatch, names, watch.bake_seconds, say)
    remedy = f"docs/alarms.md has the cause of each alarm; `make rollback STAGE={target.name}` goes back"
    if missing := sorted(set(names) - set(states)):
        yield problem("alarms", f"missing: {shown(missing)}", "deploy the stage again, which creates them")
    raised = sorted(name for name, state in states.items() if state == "ALARM")
    for name in raised:
        yield problem("alarm", f"{name} is in ALARM", remedy)
    for name in sorted(set(states) - set(raised)):
        yield from _past(cloudwatch, name, began, watch, remedy)
    silent = sorted(name for name, state in states.items() if state == "INSUFFICIENT_DATA")
    if not raised:
        found = f"none of {len(states)} is in ALARM"
        if watch.bake_seconds:
            found += f" for {watch.bake_seconds / 60:g} minutes"
        yield ok("alarms", found + (f"; without data yet: {shown(silent)}" if silent else ""))


def _watched(
    cloudwatch: Any, names: Sequence[str], seconds: float, say: Callable[[str], None]
) -> dict[str, str]:
    """Return the states at the end of the time, or when the first is ALARM."""
    end = time.monotonic() + seconds
    said = float("-inf")
    while True:
        states = _states(cloudwatch, names)
        left = end - time.monotonic()
        if "ALARM" in states.values() or left <= 0:
            return states
        if time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            say(f"{len(names)} alarms are watched for {left / 60:.0f} more minutes")
        time.sleep(min(LOOK_SECONDS, left))


def _states(cloudwatch: Any, names: Sequence[str]) -> dict[str, str]:
    states: dict[str, str] = {}
    for start in range(0, len(names), _MOST):
        part = list(names[start : start + _MOST])
        found = cloudwatch.describe_alarms(AlarmNames=part, AlarmTypes=_KINDS, MaxRecords=_MOST)
        for alarm in (*found.get("MetricAlarms", []), *found.get("CompositeAlarms", [])):
            states[alarm["AlarmName"]] = alarm["StateValue"]
    return states


def _past(cloudwatch: Any, name: str, began: datetime, watch: Watch, remedy: str) -> Iterator[Finding]:
    """Look for the times at which an alarm that is not in ALARM was."""
    if not watch.bake_seconds and watch.since is None:
        return
    pages = cloudwatch.get_paginator("describe_alarm_history").paginate(
        AlarmName=name,
        AlarmTypes=_KINDS,
        HistoryItemType="StateUpdate",
        StartDate=watch.since or began,
        EndDate=datetime.now(UTC),
    )
    times = [item["Timestamp"] for page in pages for item in page["AlarmHistoryItems"] if _is_alarm(item)]
    if not times:
        return
    last = max(times)
    if last >= began:
        yield problem("alarm", f"{name} was in ALARM at {last:%H:%M:%S}", remedy)
    else:
        yield warning("alarm", f"{name} was in ALARM at {last:%H:%M:%S}, during the deployment")


def _is_alarm(item: dict[str, Any]) -> bool:
    data = json.loads(item.get("HistoryData", "{}"))
    return bool(data.get("newState", {}).get("stateValue") == "ALARM")
