"""The way back: an earlier release, from the stage's own bucket, is deployed; then the stage is held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from rich.console import Console

from loraserve.aws import Client
from loraserve.check_report import TableLine, report, watched
from loraserve.doctor.checks import credentials, endpoint, stacks
from loraserve.doctor.deployment import Deployment, read
from loraserve.doctor.diagnosis import answered
from loraserve.errors import UserError
from loraserve.finding import Finding, State, ok, warning
from loraserve.images.promoted_image import asset_image, taking_repository
from loraserve.promotion.checks.kept import check_kept_adapters, check_kept_image, check_kept_release
from loraserve.promotion.checks.session import rollout_seconds
from loraserve.promotion.deployed_assembly import has_templates_of
from loraserve.promotion.deployment import DeploymentOrigin, ReleaseDeployment, checks_of, deploy_release
from loraserve.promotion.settling import SEEDING_SECONDS, settle
from loraserve.release.ledger import Ledger
from loraserve.release.lock import user_and_host
from loraserve.release.opened import OpenedRelease
from loraserve.release.record import DeploymentKind, DeploymentRecord, Outcome
from loraserve.release.release import StageRelease

#: The release before, as `--to` has it.
PREVIOUS = "previous"
#: Records among which the release before is looked for.
_RECORDS = 100


class NoWayBack(UserError):
    """A stage without a release to go back to."""


def release_before(ledger: Ledger, deployed: Mapping[str, str]) -> str:
    """Return the release that `previous` means; raises `NoWayBack`.

    `deployed` has the hash of each stack's template, by name, as CloudFormation has it now.

    It is the current release if that is to be deployed again: after a deployment that failed, or that ended
    without a record because its run was killed, and after a rollback that was not verified. Deployed again
    after a rollback that CloudFormation did not notice, it makes a new config. Otherwise it is the last one
    before the current one that was verified. A release that was rolled back is not gone back to.
    """
    current, records = ledger.current(), ledger.records(_RECORDS)
    if current is not None and current.release and _is_unfinished(current, records, deployed):
        return current.release
    verified = {record.release for record in records if record.outcome is Outcome.VERIFIED}
    for release in reversed(_releases(records)):
        if release in verified and (current is None or release != current.release):
            return release
    now = None if current is None else current.release
    stored = ", ".join(each for each in ledger.stored_releases() if each != now) or "no other one"
    raise NoWayBack(
        f"stage {ledger.stage!r} has no record of an earlier release that was verified; its bucket has "
        f"{stored}: name one with --to, or check an earlier commit out and deploy it with "
        f"""`make deploy STAGE={ledger.stage} ARGS="--break-glass 'REASON'"`"""
    )


def _is_unfinished(
    current: DeploymentRecord, records: Sequence[DeploymentRecord], deployed: Mapping[str, str]
) -> bool:
    is_unverified_rollback = current.kind is DeploymentKind.ROLLBACK and current.outcome is Outcome.UNVERIFIED
    has_failed = bool(records) and records[0].outcome is Outcome.FAILED
    return is_unverified_rollback or has_failed or not has_templates_of(current, deployed)


def _releases(records: Sequence[DeploymentRecord]) -> list[str]:
    """List the releases that served and were not rolled back, the last one last; `records` newest first."""
    found: list[str] = []
    for record in reversed(records):
        if record.release is None or record.outcome is Outcome.FAILED:
            continue
        if record.release in found:
            # Deployed again, or what came after it was rolled back.
            is_rollback = record.kind is DeploymentKind.ROLLBACK
            position = found.index(record.release)
            del found[position : None if is_rollback else position + 1]
        found.append(record.release)
    return found


def record_of(ledger: Ledger, release: str) -> DeploymentRecord | None:
    """Return the last record of a release that served; None if there is none."""
    return next(
        (
            record
            for record in ledger.records(_RECORDS)
            if record.release == release and record.outcome is not Outcome.FAILED
        ),
        None,
    )


def roll_back(
    deployment: ReleaseDeployment,
    progress: Console,
    ledger: Ledger,
    *,
    reason: str,
    run: str,
    approved_by: str,
) -> DeploymentRecord:
    """Check, hold the stage, deploy the release, verify and record it.

    The hold comes before the deployment: the next run of the pipeline must not promote what is wrong again,
    even if this run is killed. Raises `NoWayBack`, `StageLocked`, `DeploymentFailed` and `NotVerified`.
    """
    console, opened, stage = deployment.console, deployment.opened, deployment.stage
    release = opened.release.release
    with ledger.lock(DeploymentKind.ROLLBACK, release=release, run=run) as held:
        limit = rollout_seconds(opened.templates(stage.name)["Serving"]) + SEEDING_SECONDS
        settle(console, stage.target, deployment.client, limit)
        lines = list(watched(progress, rollback_lines(opened, stage, deployment.client, ledger)))
        if report(console, lines):
            raise NoWayBack(
                f"stage {stage.name!r} is not rolled back to release {release}: correct the lines with ✗ "
                "above, then run this again"
            )
        held.confirm()
        ledger.set_hold(f"rolled back to release {release}: {reason}", run or user_and_host())
        origin = DeploymentOrigin(
            kind=DeploymentKind.ROLLBACK,
            run=run or user_and_host(),
            approved_by=approved_by,
            reason=reason,
            checks=checks_of(lines),
        )
        return deploy_release(deployment, origin, ledger, held)


def rollback_lines(
    opened: OpenedRelease, stage: StageRelease, client: Client, ledger: Ledger
) -> Iterator[TableLine]:
    """Check that the stage can be changed, and that it still has all that the release needs."""
    target = stage.target
    deployment = read(opened.stage_assembly(stage.name))
    served = record_of(ledger, opened.release.release)
    digests = opened.facts(stage.name).adapter_digests
    checks: tuple[tuple[str, str, Callable[[], Iterable[Finding]]], ...] = (
        ("Account", "credentials", lambda: credentials.check(target, client)),
        ("Stage", "stacks", lambda: stacks.check(deployment, target, client)),
        ("Stage", "endpoint", lambda: endpoint.has_status(deployment, target, client)),
        ("Stage", "rollback alarms", lambda: _alarms(deployment, stage, client)),
        ("Release", "release", lambda: check_kept_release(opened.release, served)),
        ("Release", "image", lambda: _image(opened, stage, client, served)),
        ("Release", "adapters", lambda: check_kept_adapters(ledger, digests)),
    )
    for group, title, check in checks:
        # An alarm stops no rollback.
        for finding in answered(title, check, required=title != "rollback alarms"):
            yield TableLine(group, finding)


def _alarms(deployment: Deployment, stage: StageRelease, client: Client) -> Iterator[Finding]:
    """Look for rollback alarms in ALARM: a warning, because the rollback may end their cause."""
    for finding in endpoint.has_no_alarm(deployment, stage.target, client):
        if finding.state is not State.PROBLEM:
            yield finding
            continue
        yield warning(
            finding.check,
            finding.found,
            "if that happens: take the requests away until the alarm ends, and run this again; or deploy the "
            f"release's commit with `rollout.rollback_on_alarms: false`: `make deploy STAGE={stage.name} "
            "ARGS='--break-glass …'`",
        )


def _image(
    opened: OpenedRelease, stage: StageRelease, client: Client, record: DeploymentRecord | None
) -> Iterator[Finding]:
    if stage.image.asset is None:
        yield ok("image", f"{stage.image.uri}, not copied")
        return
    place = asset_image(opened.stage_assembly(stage.name), stage.target, stage.account, stage.image.asset)
    repository = taking_repository(client, stage.target, stage.account, place.repository)
    yield from check_kept_image(repository, place.tag, None if record is None else record.image_digest)
