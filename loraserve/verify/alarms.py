"""The stage's alarms, over a time: none may be in ALARM."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from loraserve.aws import Client
from loraserve.finding import Finding, ok, problem, warning
from loraserve.verify.adapters import shown
from loraserve.verify.expected import Expected
from stacks.config.stage_target import StageTarget

#: Seconds between two looks, and between two lines about the progress.
LOOK_SECONDS, SAY_SECONDS = 15.0, 60.0
#: Seconds from a metric's minute to the alarm that has judged it: an interval of the gateway (60 s by
#: default) and an evaluation, which CloudWatch does each minute.
LATE_SECONDS = 120.0
#: The most names that DescribeAlarms takes.
_MOST = 100
_KINDS = ["MetricAlarm", "CompositeAlarm"]


@dataclass(frozen=True, kw_only=True)
class Watch:
    """The time in which no alarm may be raised."""

    bake_seconds: float
    """From now on; 0 for the states now."""
    since: datetime | None
    """Begin of the deployment: what it raised, and is over, is a warning; None without a deployment."""


def check_alarms(
    target: StageTarget, client: Client, expected: Expected, watch: Watch, say: Callable[[str], None]
) -> Iterator[Finding]:
    """Watch the alarms of the templates; ends early at the first that is raised.

    After a deployment, an alarm that is raised before new metrics can have raised it judges those of the old
    fleet or of the start: the reason of a rollback, an engine that was not ready yet. It has the time to end
    after which it judges newer ones only.
    """
    cloudwatch = client("cloudwatch")
    names = sorted(
        alarm["AlarmName"]
        for kind in ("Alarm", "CompositeAlarm")
        for alarm in expected.resources(f"AWS::CloudWatch::{kind}")
    )
    began = datetime.now(UTC)
    if watch.since is not None:
        began += timedelta(seconds=LATE_SECONDS)
    states = _watched(cloudwatch, names, watch, began, say)
    remedy = f"docs/alarms.md has the causes; `make rollback STAGE={target.name} REASON='…'` goes back"
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
    cloudwatch: Any, names: Sequence[str], watch: Watch, began: datetime, say: Callable[[str], None]
) -> dict[str, str]:
    """Return the states at the end of the time, or when the first alarm is raised that new metrics may raise.

    Those may raise an alarm from `began` on.
    """
    start, said = time.monotonic(), float("-inf")
    while True:
        alarms = _described(cloudwatch, names)
        states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in alarms}
        raised = [alarm for alarm in alarms if alarm["StateValue"] == "ALARM"]
        if raised and (watch.since is None or not all(_is_older(alarm, began) for alarm in raised)):
            return states
        seconds = max(map(_window_seconds, raised)) + LATE_SECONDS if raised else watch.bake_seconds
        left = start + seconds - time.monotonic()
        if left <= 0:
            return states
        if time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            old = shown([alarm["AlarmName"] for alarm in raised])
            what = f"{old}: in ALARM since the deployment or before; " if raised else ""
            say(f"{what}{len(names)} alarms are watched for {left / 60:.0f} more minutes")
        time.sleep(min(LOOK_SECONDS, left))


def _described(cloudwatch: Any, names: Sequence[str]) -> list[dict[str, Any]]:
    alarms: list[dict[str, Any]] = []
    for start in range(0, len(names), _MOST):
        part = list(names[start : start + _MOST])
        found = cloudwatch.describe_alarms(AlarmNames=part, AlarmTypes=_KINDS, MaxRecords=_MOST)
        alarms += [*found.get("MetricAlarms", []), *found.get("CompositeAlarms", [])]
    return alarms


def _is_older(alarm: dict[str, Any], began: datetime) -> bool:
    """Return whether an alarm got its state before a time."""
    # StateUpdatedTimestamp also moves with a new reason of the same state.
    changed = alarm.get("StateTransitionedTimestamp")
    return changed is not None and changed < began


def _window_seconds(alarm: dict[str, Any]) -> float:
    """Return the seconds of metrics that an alarm judges; 0 for a composite one, which judges alarms."""
    metrics = [query["MetricStat"]["Period"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
    period = alarm.get("Period") or max(metrics, default=0)
    return float(period * alarm.get("EvaluationPeriods", 0))


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
