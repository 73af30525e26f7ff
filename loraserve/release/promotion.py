"""The promotion of a release to a stage: checks, image, deployment, verification, record.

Nothing is changed before all checks pass. The stage's lock is held from the checks to the record. A run that
was killed is run again: it takes its lock over, waits for what CloudFormation and SageMaker have under way,
and goes on; each step finds what is done.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from rich.console import Console

from loraserve.images.ecr_copy import copy_image, image_digest
from loraserve.release.checks.catalog import PlannedPromotion
from loraserve.release.checks.previous_stage import soak_ends
from loraserve.release.checks.session import rollout_seconds
from loraserve.release.image_places import image_places
from loraserve.release.record import DeploymentRecord, Outcome, PreviousRecord
from loraserve.release.settling import REPORT_SECONDS, SEEDING_SECONDS, settle

_MEGABYTE = 1_000_000


def is_current(plan: PlannedPromotion) -> bool:
    """Return whether the stage has this release already, verified."""
    current = None if plan.ledger is None else plan.ledger.current()
    return (
        current is not None
        and current.outcome is Outcome.VERIFIED
        and current.tar_sha256 == plan.opened.release.tar_sha256
    )


def wait_for_soak(console: Console, plan: PlannedPromotion) -> None:
    """Wait until the release has served for long enough in the stage before, without the lock.

    Returns at once if that stage has another record: the checks report it.
    """
    giving = plan.giving
    if giving is None or giving.record is None:
        return
    record, release = giving.record, plan.opened.release
    if record.tar_sha256 != release.tar_sha256 or record.outcome is not Outcome.VERIFIED:
        return
    ends = soak_ends(record, plan.soak)
    while (left := ends - datetime.now(UTC)) > timedelta():
        console.print(
            f"release {release.release} serves in {giving.target.name} since {record.ended}; waiting until "
            f"{ends:%H:%M:%S} UTC, see --soak",
            highlight=False,
        )
        time.sleep(min(left.total_seconds(), REPORT_SECONDS))


def wait_for_operations(console: Console, plan: PlannedPromotion) -> None:
    """Wait for what a run that was killed has left under way; raises `StillBusy`."""
    serving = plan.opened.templates(plan.stage.name)["Serving"]
    limit = rollout_seconds(serving) + SEEDING_SECONDS
    settle(console, plan.stage.target, plan.client, limit)


def copy_images(console: Console, plan: PlannedPromotion) -> None:
    """Copy the image from the stage before by its digest; the CDK CLI then finds it by its tag."""
    if plan.giving is None or plan.stage.image.asset is None:
        return
    places = image_places(plan.opened, plan.stage, plan.giving.target, plan.client)
    recorded = None if plan.giving.record is None else plan.giving.record.image_digest
    digest = recorded or image_digest(places.giving, places.tag)
    if digest is None or digest == image_digest(places.taking, places.tag):
        return
    console.print(f"image {digest} is copied from {places.giving} to {places.taking}", highlight=False)
    copy_image(places.giving, places.taking, digest=digest, tag=places.tag, on_bytes=_Progress(console).show)


def previous_record(plan: PlannedPromotion) -> PreviousRecord | None:
    """Return what the record of the promotion says about the stage before."""
    if plan.giving is None or plan.giving.record is None:
        return None
    record: DeploymentRecord = plan.giving.record
    return PreviousRecord(stage=record.stage, ended=record.ended, image_digest=record.image_digest)


class _Progress:
    """A line each minute about a copy of gigabytes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = time.monotonic()

    def show(self, done: int, total: int) -> None:
        """Print the bytes that were copied."""
        if time.monotonic() - self._shown >= REPORT_SECONDS:
            self._shown = time.monotonic()
            self._console.print(f"{done // _MEGABYTE} of {total // _MEGABYTE} MB", highlight=False)
