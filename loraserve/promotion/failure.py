"""A failed deployment: its alarms, stacks that were not rolled back, and whether the old release serves."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from loraserve.aws import Client
from loraserve.check_report import TableLine
from loraserve.doctor.diagnosis import answered
from loraserve.release.ledger import Ledger
from loraserve.release.opened import open_stored_release
from loraserve.release.record import DeploymentRecord
from loraserve.release.release import ReleaseError
from loraserve.stacks_deployed import stage_stacks
from loraserve.verify.capacity import check_capacity
from loraserve.verify.expected import Expected, expected_of_release, expected_of_stacks
from loraserve.verify.serving import check_config
from loraserve.verify.stacks import check_stacks
from stacks.config.stage_target import StageTarget


def raised_alarms(cloudwatch: Any, names: Collection[str], since: datetime) -> list[str]:
    """Return those of the alarms that are in ALARM or were since then; raises boto3's errors."""
    if not names:
        return []
    found = cloudwatch.describe_alarms(AlarmNames=sorted(names))["MetricAlarms"]
    raised = {alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"}
    for name in sorted(set(names) - raised):
        pages = cloudwatch.get_paginator("describe_alarm_history").paginate(
            AlarmName=name, HistoryItemType="StateUpdate", StartDate=since
        )
        items = [item for page in pages for item in page["AlarmHistoryItems"]]
        if any(item["Timestamp"] >= since and _new_state(item) == "ALARM" for item in items):
            raised.add(name)
    return sorted(raised)


def _new_state(item: dict[str, Any]) -> str:
    """Return the state that an alarm changed to (`HistoryData`, whose form CloudWatch's guide shows)."""
    state: str = json.loads(item.get("HistoryData", "{}")).get("newState", {}).get("stateValue", "")
    return state


def stuck_stacks(target: StageTarget, client: Client) -> list[str]:
    """List the stacks that CloudFormation could not roll back: nothing can be deployed before."""
    return [
        stack["StackName"]
        for stack in stage_stacks(client("cloudformation"), target)
        if stack["StackStatus"] == "UPDATE_ROLLBACK_FAILED"
    ]


def rollback_command(target: StageTarget, stack_name: str) -> str:
    """Return the command that ends a failed rollback of CloudFormation."""
    path = f"{target.id}/{stack_name.removeprefix(target.stack_name(''))}"
    return f"node_modules/.bin/cdk rollback {path} -c stage={target.name}"


def old_release_lines(target: StageTarget, client: Client, ledger: Ledger | None) -> Iterator[TableLine]:
    """Verify that what served before the deployment serves: stacks, config, capacity."""
    current = None if ledger is None else ledger.current()
    expected = _expected(target, client, ledger, current)
    for group, title, check in (
        ("Stacks", "stacks", lambda: check_stacks(target, client, expected, just_failed=True)),
        ("Endpoint", "config", lambda: check_config(target, client)),
        ("Endpoint", "capacity", lambda: check_capacity(target, client, expected)),
    ):
        for finding in answered(title, check):
            yield TableLine(group, finding)


def _expected(
    target: StageTarget,
    client: Client,
    ledger: Ledger | None,
    current: DeploymentRecord | None,
) -> Expected:
    """Expect the release of the current record; by hand, or if it is not stored any more, the stacks."""
    if ledger is not None and current is not None and current.release is not None:
        with suppress(ReleaseError), open_stored_release(ledger, current.release) as opened:
            return expected_of_release(opened, target.name)
    return expected_of_stacks(target, client)
