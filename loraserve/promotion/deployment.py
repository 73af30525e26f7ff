"""The deployment of an opened release to a stage: deployed, verified, recorded."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from loraserve.aws import Client
from loraserve.cdk import CdkError, interactive
from loraserve.cdk_arguments import CdkArguments
from loraserve.check_report import Ending, TableLine, counts, report
from loraserve.deploy import deploy
from loraserve.errors import NotDeployed, UserError
from loraserve.finding import State
from loraserve.promotion.deployed_assembly import deployed_stacks, has_templates_of, templates_sha256
from loraserve.promotion.failure import old_release_lines, raised_alarms, rollback_command, stuck_stacks
from loraserve.promotion.serving_facts import serving_facts
from loraserve.promotion.settling import SEEDING_SECONDS, settle
from loraserve.release.ledger import Ledger, open_ledger, timestamp
from loraserve.release.lock import HeldLock
from loraserve.release.opened import OpenedRelease, open_stored_release
from loraserve.release.record import (
    CheckRecord,
    DeploymentKind,
    DeploymentRecord,
    Outcome,
    PreviousRecord,
)
from loraserve.release.release import StageRelease, to_json
from loraserve.verify.endpoint import live_endpoint
from loraserve.verify.expected import expected_of_release
from loraserve.verify.serving import NotAsDeployed, SilentRollback
from loraserve.verify.verification import ENDING, VerificationOptions, verify

#: The copy of the record.
RECORD_FILE = "record.json"
#: Seconds for which a failed deployment is given time to be rolled back: SageMaker's limit of an update.
_ROLLED_BACK_SECONDS = 28_800 + SEEDING_SECONDS
_BEFORE = Ending("what served before does not serve as it did", "what served before, serves")


class DeploymentFailed(UserError):
    """A release that was not deployed; the message says what serves."""


class NotVerified(UserError):
    """A release that was deployed, and whose verification found a problem."""


@dataclass(frozen=True, kw_only=True)
class ReleaseDeployment:
    """A deployment of a release, by a promotion or a rollback."""

    console: Console
    opened: OpenedRelease
    stage: StageRelease
    client: Client
    arguments: CdkArguments
    """Of the CDK CLI."""
    options: VerificationOptions
    """Extent of the verification."""
    image_digest: str | None
    """Of the image as it was tested, or as it served; None if it is not known."""
    folder: Path | None = None
    """Folder that gets a copy of the record, `record.json`."""


@dataclass(frozen=True, kw_only=True)
class DeploymentOrigin:
    """The part of a record beside release and stage; the fields are those of `DeploymentRecord`."""

    kind: DeploymentKind
    run: str
    approved_by: str = ""
    reason: str = ""
    accepted: tuple[str, ...] = ()
    promoted_from: PreviousRecord | None = None
    checks: tuple[CheckRecord, ...] = ()


def deploy_release(
    deployment: ReleaseDeployment, origin: DeploymentOrigin, ledger: Ledger | None, held: HeldLock | None
) -> DeploymentRecord:
    """Deploy, verify and record; `held` is the stage's lock, None before its first deployment.

    Raises `DeploymentFailed` after a deployment that was rolled back, with its record written, and
    `NotVerified` after one whose verification found a problem, likewise.
    """
    opened, stage, client = deployment.opened, deployment.stage, deployment.client
    started, began = datetime.now(UTC) if held is None else held.started, time.monotonic()
    before = None if ledger is None else ledger.current()
    if ledger is not None and held is not None:
        held.confirm()
        ledger.upload(opened.release, opened.archive)
        held.confirm()
    try:
        deploy(
            deployment.console,
            stage.target,
            client,
            functools.partial(interactive, output=opened.assembly),
            opened.assembly,
            deployment.arguments,
            known_instance_type=None if before is None else before.instance_type,
        )
    except (CdkError, NotAsDeployed) as error:
        raise _failed(deployment, origin, held, began, error) from error
    lines = verify_release(deployment, started)
    problems = counts(lines)[State.PROBLEM]
    is_verified = deployment.options.invoke and not problems
    outcome = Outcome.VERIFIED if is_verified else Outcome.UNVERIFIED
    # The first deployment makes the bucket, after which the release is stored as well.
    now = ledger or _opened_ledger(deployment)
    record = _record(deployment, origin, now, held, began).model_copy(
        update={
            "outcome": outcome,
            "verification": checks_of(lines),
            "templates": {each.name: each.template_sha256 for each in stage.stacks},
        }
    )
    if ledger is None:
        now.upload(opened.release, opened.archive)
    _write(deployment, now, held, record)
    if problems:
        raise NotVerified(
            f"release {opened.release.release} serves in {stage.name}, and its verification found a problem, "
            f"see above: correct it and run this again, or go {_back(origin.kind, stage.name)}"
        )
    return record


def _back(kind: DeploymentKind, stage: str) -> str:
    """Return the way back: after a rollback, `previous` means the same release again."""
    command = f"python -m loraserve rollback {stage}"
    if kind is DeploymentKind.ROLLBACK:
        return f"further back: `{command} --to RELEASE --reason …`"
    return f"back: `{command} --reason …`"


def verify_release(deployment: ReleaseDeployment, since: datetime) -> list[TableLine]:
    """Verify the stage against the release and print the table; `since` is the start of its deployment."""
    expected = expected_of_release(deployment.opened, deployment.stage.name)
    lines = list(
        verify(
            deployment.stage.target,
            deployment.client,
            replace(expected, image_digest=deployment.image_digest or expected.image_digest),
            options=replace(deployment.options, since=since, must_answer=True),
            say=lambda line: deployment.console.print(line, highlight=False),
        )
    )
    report(deployment.console, lines, ending=ENDING)
    return lines


def checks_of(lines: Iterable[TableLine]) -> tuple[CheckRecord, ...]:
    """Return the lines of a table as a record has them."""
    return tuple(CheckRecord.model_validate(asdict(line.finding)) for line in lines)


def _put_back(deployment: ReleaseDeployment, ledger: Ledger, held: HeldLock | None) -> None:
    """Deploy the current release again, if stacks of it were updated before another one failed.

    CloudFormation rolls back the stack that fails, and none of those that the run has updated before, e.g.
    the one with the adapters. If this fails, too, the table of what served before shows it.
    """
    console, target, current = deployment.console, deployment.stage.target, ledger.current()
    if current is None or current.release is None or stuck_stacks(target, deployment.client):
        return
    if has_templates_of(current, templates_sha256(deployed_stacks(target, deployment.client))):
        return
    if held is not None:
        held.confirm()
    console.print(f"{target.name}: release {current.release} is deployed again", highlight=False)
    try:
        with open_stored_release(ledger, current.release) as before:
            deploy(
                console,
                target,
                deployment.client,
                functools.partial(interactive, output=before.assembly),
                before.assembly,
                deployment.arguments,
                known_instance_type=current.instance_type,
            )
    except (UserError, BotoCoreError, ClientError) as error:
        console.print(
            f"release {current.release} was not deployed again: {error}", markup=False, highlight=False
        )


def _opened_ledger(deployment: ReleaseDeployment) -> Ledger:
    """Open the ledger of a stage that is deployed."""
    target = deployment.stage.target
    ledger = open_ledger(target, deployment.client)
    if ledger is None:
        raise NotDeployed(
            f"stage {target.name!r} has no adapter store after its deployment: see the events of its stacks"
        )
    return ledger


def _record(
    deployment: ReleaseDeployment,
    origin: DeploymentOrigin,
    ledger: Ledger,
    held: HeldLock | None,
    began: float,
) -> DeploymentRecord:
    """Make the record of a failed deployment; its times are those of S3's clock."""
    release, stage, ended = deployment.opened.release, deployment.stage, ledger.now()
    facts = serving_facts(stage.target, deployment.client, ledger.current())
    started = ended - timedelta(seconds=time.monotonic() - began) if held is None else held.started
    return DeploymentRecord(
        stage=stage.name,
        account=stage.account,
        region=stage.region,
        outcome=Outcome.FAILED,
        release=release.release,
        commit=release.commit,
        tar_sha256=release.tar_sha256,
        started=timestamp(started),
        ended=timestamp(ended),
        adapters_sha256=stage.adapters_sha256,
        **vars(facts),
        **vars(origin),
    )


def _write(
    deployment: ReleaseDeployment, ledger: Ledger, held: HeldLock | None, record: DeploymentRecord
) -> None:
    if deployment.folder is not None:
        deployment.folder.mkdir(parents=True, exist_ok=True)
        (deployment.folder / RECORD_FILE).write_bytes(to_json(record))
    if held is not None:
        held.confirm()
    ledger.write(record)


def _failed(
    deployment: ReleaseDeployment,
    origin: DeploymentOrigin,
    held: HeldLock | None,
    began: float,
    error: UserError,
) -> DeploymentFailed:
    """Verify that what served before serves, and record the failed deployment; return the error."""
    console, stage, client = deployment.console, deployment.stage, deployment.client
    target = stage.target
    settle(console, target, client, _ROLLED_BACK_SECONDS)
    since = datetime.now(UTC) - timedelta(seconds=time.monotonic() - began)
    names = deployment.opened.facts(stage.name).rollout.rollback_alarms
    alarms = list[str]()
    with suppress(BotoCoreError, ClientError):  # the record and the deployment's own error matter more
        alarms = raised_alarms(client("cloudwatch"), names, since)
    cause = f"in ALARM: {', '.join(alarms)}. {error}" if alarms else str(error)
    ledger, lines = open_ledger(target, client), list[TableLine]()
    # A silent rollback and a rollback that failed are for a person to decide.
    if ledger is not None and origin.kind is DeploymentKind.PROMOTION and isinstance(error, CdkError):
        _put_back(deployment, ledger, held)
    serves = "there was no endpoint before"
    if live_endpoint(client("sagemaker"), target.endpoint_name) is not None:
        lines = list(old_release_lines(target, client, ledger))
        serves = _BEFORE.problems if report(console, lines, ending=_BEFORE) else _BEFORE.none
    if ledger is not None:
        reasoned = replace(origin, reason=origin.reason or cause)
        record = _record(deployment, reasoned, ledger, held, began)
        _write(deployment, ledger, held, record.model_copy(update={"verification": checks_of(lines)}))
    text = f"release {deployment.opened.release.release} was not deployed to {stage.name}: {cause}\n{serves}"
    if stuck := stuck_stacks(target, client):
        commands = "`, `".join(rollback_command(target, stack) for stack in stuck)
        return DeploymentFailed(
            f"{text}. CloudFormation could not roll back {', '.join(stuck)}: correct the cause in its "
            f"events, then run `{commands}`"
        )
    if isinstance(error, SilentRollback):
        return DeploymentFailed(f"{text}; see above")
    return DeploymentFailed(f"{text}; correct the cause, then run this again or promote a new release")
