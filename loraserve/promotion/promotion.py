"""The promotion of a release to a stage: checks, image, deployment, verification, record.

Nothing is changed before all checks pass. The stage's lock is held from the checks to the record. A run that
was killed is run again: it takes its lock over, waits for what CloudFormation and SageMaker have under way,
and goes on; each step finds what is done.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from loraserve.aws import Client
from loraserve.cdk_arguments import CdkArguments
from loraserve.check_report import counts, report
from loraserve.doctor.checks import credentials
from loraserve.errors import UserError
from loraserve.finding import State
from loraserve.images.ecr_copy import copy_image, image_digest
from loraserve.promotion.checks.catalog import Examination, PlannedPromotion, examine
from loraserve.promotion.checks.change import accepted_rules
from loraserve.promotion.checks.previous_stage import default_soak, soak_ends
from loraserve.promotion.checks.session import rollout_seconds
from loraserve.promotion.deployed_assembly import deployed_stacks, has_templates_of, templates_sha256
from loraserve.promotion.deployment import (
    DeploymentOrigin,
    NotVerified,
    ReleaseDeployment,
    checks_of,
    deploy_release,
    verify_release,
)
from loraserve.promotion.giving import giving_stage
from loraserve.promotion.image_places import image_places
from loraserve.promotion.plan_page import PLAN_FILE, plan_page
from loraserve.promotion.settling import REPORT_SECONDS, SEEDING_SECONDS, settle
from loraserve.release.ledger import open_ledger
from loraserve.release.lock import HeldLock, user_and_host
from loraserve.release.opened import OpenedRelease
from loraserve.release.record import DeploymentKind, DeploymentRecord, Outcome, PreviousRecord
from loraserve.release.release import StageRelease
from loraserve.review.finding import Category
from loraserve.verify.verification import VerificationOptions

#: Seconds after a deployment in which no alarm of a protected stage may be raised.
BAKE_SECONDS = 600
#: Exit code of findings of the review that are not accepted.
REVIEW = 3
_MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class PromotionOptions:
    """The options of `promote`."""

    accepted: tuple[Category, ...] = ()
    """Categories of review findings that are accepted."""
    soak: int | None = None
    """Seconds for which the release must have served in the stage before; None for `default_soak`."""
    bake: int | None = None
    """Seconds in which no alarm may be raised afterwards; None for `BAKE_SECONDS` of a protected stage."""
    invoke: bool = True
    """Ask the endpoint in the verification."""
    run: str = ""
    """URL of the pipeline's run; empty by hand."""
    approved_by: str = ""
    """As the pipeline says it."""
    folder: Path | None = None
    """Folder for `plan.md` and `record.json`."""


class ChecksFailed(UserError):
    """A release that is not promoted: a check failed, or findings of the review are not accepted."""

    def __init__(self, message: str, exit_code: int) -> None:
        """Take the exit code of the checks, see `Examination.exit_code`."""
        super().__init__(message)
        self.exit_code = exit_code


def require_account(stage: StageRelease, client: Client) -> None:
    """Raise `ChecksFailed` unless the credentials are of the stage's account: nothing else is asked then."""
    for finding in credentials.check(stage.target, client):
        if finding.state is not State.OK:
            raise ChecksFailed(f"{finding.check}: {finding.found}: {finding.remedy}", 1)


def planned(
    opened: OpenedRelease, stage: StageRelease, client: Client, options: PromotionOptions
) -> PlannedPromotion:
    """Read the records of the stage and of the stage before; raises boto3's errors and `LedgerError`."""
    giving, soak = None, 0
    if stage.promote_from is not None:
        giving = giving_stage(client, opened.stage(stage.promote_from).target, stage.target)
        soak = default_soak(opened.release, stage.promote_from) if options.soak is None else options.soak
    ledger = open_ledger(stage.target, client)
    return PlannedPromotion(
        opened=opened,
        stage=stage,
        client=client,
        ledger=ledger,
        giving=giving,
        soak=soak,
        accepted=options.accepted,
        clock_offset=timedelta() if ledger is None else ledger.now() - datetime.now(UTC),
    )


def check(
    console: Console, progress: Console, plan: PlannedPromotion, options: PromotionOptions
) -> Examination:
    """Run the checks and print their table; write `plan.md`."""
    examination = Examination()
    report(console, examine(plan, examination), progress=progress)
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        (options.folder / PLAN_FILE).write_text(plan_page(plan, examination))
    return examination


def promote(
    console: Console,
    progress: Console,
    plan: PlannedPromotion,
    options: PromotionOptions,
    arguments: CdkArguments,
) -> DeploymentRecord:
    """Promote the release; raises `ChecksFailed`, `StageLocked`, `DeploymentFailed` and `NotVerified`."""
    opened, stage = plan.opened, plan.stage
    wait_for_soak(console, plan)
    if plan.ledger is None:
        # The stage's first deployment may be under way, of a run that was killed; the bucket is made by it.
        wait_for_operations(console, plan)
        plan = planned(opened, stage, plan.client, options)
    with _locked(plan, options) as held:
        wait_for_operations(console, plan)
        # Again: much may have changed meanwhile.
        plan = planned(opened, stage, plan.client, options)
        if held is None and plan.ledger is not None:
            raise ChecksFailed(
                f"stage {stage.name!r} was deployed by another run meanwhile, its first: run this again",
                1,
            )
        if soak_left(plan) > timedelta():
            raise ChecksFailed(
                f"stage {stage.promote_from!r} was verified again while this run waited: run this again", 1
            )
        examination = check(console, progress, plan, options)
        if examination.exit_code:
            raise _refused(plan, examination)
        if held is not None:
            held.confirm()
        copy_images(console, plan)
        origin = DeploymentOrigin(
            kind=DeploymentKind.PROMOTION,
            run=options.run or user_and_host(),
            approved_by=options.approved_by,
            accepted=() if examination.review is None else accepted_rules(examination.review),
            promoted_from=previous_record(plan),
            checks=checks_of(examination.lines),
        )
        return deploy_release(deployment_of(console, plan, options, arguments), origin, plan.ledger, held)


def verify_current(
    console: Console, plan: PlannedPromotion, options: PromotionOptions, arguments: CdkArguments
) -> None:
    """Verify a stage that has the release already; raises `NotVerified`."""
    console.print(
        f"{plan.stage.name} has release {plan.opened.release.release} already; it is verified again."
    )
    deployment = deployment_of(console, plan, options, arguments)
    current = None if plan.ledger is None else plan.ledger.current()
    if current is not None and current.image_digest is not None:
        # The first stage's image is built by its deployment; the record has its digest.
        deployment = replace(deployment, image_digest=current.image_digest)
    lines = verify_release(deployment, datetime.now(UTC))
    if counts(lines)[State.PROBLEM]:
        raise NotVerified(
            f"release {plan.opened.release.release} is the current one of {plan.stage.name}, and its "
            "verification found a problem, see above: correct it and run this again"
        )


def deployment_of(
    console: Console, plan: PlannedPromotion, options: PromotionOptions, arguments: CdkArguments
) -> ReleaseDeployment:
    """Return what the deployment of a plan needs."""
    previous = previous_record(plan)
    bake = (BAKE_SECONDS if plan.stage.is_protected else 0) if options.bake is None else options.bake
    return ReleaseDeployment(
        console=console,
        opened=plan.opened,
        stage=plan.stage,
        client=plan.client,
        # The review replaces the CLI's own question.
        arguments=arguments._replace(own=("--require-approval", "never", *arguments.own)),
        options=VerificationOptions(invoke=options.invoke, bake_seconds=bake),
        image_digest=None if previous is None else previous.image_digest,
        folder=options.folder,
    )


def _locked(plan: PlannedPromotion, options: PromotionOptions) -> AbstractContextManager[HeldLock | None]:
    """Hold the stage's lock; the first deployment has none: CloudFormation refuses a second one."""
    if plan.ledger is None:
        return nullcontext()
    return plan.ledger.lock(DeploymentKind.PROMOTION, release=plan.opened.release.release, run=options.run)


def _refused(plan: PlannedPromotion, examination: Examination) -> ChecksFailed:
    release, stage = plan.opened.release.release, plan.stage.name
    if examination.exit_code == REVIEW:
        return ChecksFailed(
            f"release {release} is not promoted to {stage}: accept the findings of the review that are "
            "meant, with --accept, or change the release",
            REVIEW,
        )
    return ChecksFailed(
        f"release {release} is not promoted to {stage}: correct the lines with ✗ above, then run this again",
        examination.exit_code,
    )


def is_current(plan: PlannedPromotion) -> bool:
    """Return whether the stage has this release already, verified.

    Not if another deployment has changed its stacks since, and failed: then it is deployed again.
    """
    current = None if plan.ledger is None else plan.ledger.current()
    return (
        current is not None
        and current.outcome is Outcome.VERIFIED
        and current.tar_sha256 == plan.opened.release.tar_sha256
        and has_templates_of(current, templates_sha256(deployed_stacks(plan.stage.target, plan.client)))
    )


def soak_left(plan: PlannedPromotion) -> timedelta:
    """Return the time for which the release has to serve in the stage before; negative after its end.

    Zero if that stage has another record: the checks report it.
    """
    record = None if plan.giving is None else plan.giving.record
    if record is None or record.outcome is not Outcome.VERIFIED:
        return timedelta()
    if record.tar_sha256 != plan.opened.release.tar_sha256:
        return timedelta()
    return soak_ends(record, plan.soak) - plan.now()


def wait_for_soak(console: Console, plan: PlannedPromotion) -> None:
    """Wait until the release has served for long enough in the stage before, without the lock."""
    while (left := soak_left(plan)) > timedelta():
        console.print(
            f"release {plan.opened.release.release} has to serve in {plan.stage.promote_from} for "
            f"{left.total_seconds():.0f} s more, see --soak",
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
