"""Waiting for the operations of a stage that are under way, e.g. of a run that was killed."""

from __future__ import annotations

import time

from rich.console import Console

from loraserve.aws import Client
from loraserve.errors import UserError
from loraserve.stacks_deployed import stage_stacks
from loraserve.verify.endpoint import BUSY, live_endpoint
from stacks.config.stage_target import StageTarget

#: Seconds between two looks, and between two lines about them.
LOOK_SECONDS, REPORT_SECONDS = 10.0, 60.0
#: CloudFormation's limit of the seeder, beside that of the rollout.
SEEDING_SECONDS = 3600


class StillBusy(UserError):
    """A stage whose operations did not end in time."""


def settle(console: Console, target: StageTarget, client: Client, limit_seconds: float) -> bool:
    """Wait until no stack and no endpoint of the stage is being changed; return whether any was.

    Raises `StillBusy` after `limit_seconds`.
    """
    started = time.monotonic()
    reported: float | None = None
    while busy := operations(target, client):
        waited = time.monotonic() - started
        if waited > limit_seconds:
            raise StillBusy(
                f"stage {target.name!r} is still being changed after {waited / 60:.0f} minutes: "
                f"{', '.join(busy)}; see the events of its stacks, and run this again when they have ended"
            )
        if reported is None or waited - reported >= REPORT_SECONDS:
            console.print(f"{target.name}: waiting for what is under way: {', '.join(busy)}", highlight=False)
            reported = waited
        time.sleep(LOOK_SECONDS)
    return reported is not None


def operations(target: StageTarget, client: Client) -> list[str]:
    """List the stacks and the endpoint that are being changed, each with its status."""
    found = [
        f"{stack['StackName']} is {stack['StackStatus']}"
        for stack in stage_stacks(client("cloudformation"), target)
        # REVIEW_IN_PROGRESS is a stack that only has a change set: nothing goes on there.
        if stack["StackStatus"].endswith("_IN_PROGRESS") and stack["StackStatus"] != "REVIEW_IN_PROGRESS"
    ]
    live = live_endpoint(client("sagemaker"), target.endpoint_name)
    if live is not None and live["EndpointStatus"] in BUSY:
        found.append(f"{target.endpoint_name} is {live['EndpointStatus']}")
    return found
