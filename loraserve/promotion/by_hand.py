"""The lock and the record of a deployment by hand, `make deploy`.

They keep the promotion's checks true: no release is promoted at the same time, the next one knows what it
replaces, and the stage after this one knows that it was not a release that was tested here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from botocore.exceptions import ClientError
from rich.console import Console
from rich.markup import escape

from loraserve.aws import Client
from loraserve.diff import stack_templates
from loraserve.doctor.answers import is_refusal
from loraserve.doctor.caller import caller
from loraserve.errors import NotDeployable, UserError
from loraserve.promotion.serving_facts import serving_facts
from loraserve.release.ledger import Ledger, open_ledger, timestamp
from loraserve.release.lock import HeldLock, user_and_host
from loraserve.release.record import DeploymentKind, DeploymentRecord, Outcome
from loraserve.release.release import template_sha256
from loraserve.review.revisions import RevisionError, head_revision
from stacks.config.stage_target import StageTarget


@dataclass(kw_only=True)
class DeploymentByHand:
    """A deployment of the working tree, under way."""

    target: StageTarget
    client: Client
    assembly: Path
    """Folder of the cloud assembly that is deployed; it may be written after this object is made."""
    takes_releases: bool
    """The stage has `promote_from`."""
    reason: str | None
    """Reason for which it does not take a release."""
    known_instance_type: str | None = None
    """Instance type of the current record, see `loraserve.deploy.deploy`; `recorded` reads it."""
    outcome: Outcome = Outcome.FAILED
    """Set by the code that deploys."""
    began: float = field(default_factory=time.monotonic)

    @property
    def kind(self) -> DeploymentKind:
        """The kind of the record."""
        return DeploymentKind.BREAK_GLASS if self.takes_releases else DeploymentKind.BY_HAND

    def record(self, ledger: Ledger) -> DeploymentRecord:
        """Make the record, at the end of the deployment."""
        ended = ledger.now()
        facts = serving_facts(self.target, self.client, ledger.current())
        return DeploymentRecord(
            stage=self.target.name,
            account=caller(self.client).account,
            region=self.target.region,
            kind=self.kind,
            outcome=self.outcome,
            release=None,
            commit=_commit(),
            tar_sha256=None,
            reason=self.reason or "",
            run=user_and_host(),
            started=timestamp(ended - timedelta(seconds=time.monotonic() - self.began)),
            ended=timestamp(ended),
            templates=_templates(self.assembly, self.target),
            endpoint_config=facts.endpoint_config,
            instance_type=facts.instance_type,
            image_digest=facts.image_digest,
        )


def refuse_without_reason(stage: str, promote_from: str | None, reason: str | None) -> None:
    """Raise `NotDeployable` for a stage that takes releases, unless there is a reason not to take one."""
    if promote_from is not None and not reason:
        raise NotDeployable(
            f"stage {stage!r} takes releases that were verified in {promote_from!r}: deploy one with "
            f"'make promote STAGE={stage} RELEASE=out/release', or, in an emergency, this working tree with "
            f"""`make deploy STAGE={stage} ARGS="--break-glass 'REASON'"`, which is recorded"""
        )


@contextmanager
def recorded(console: Console, deployment: DeploymentByHand) -> Iterator[DeploymentByHand]:
    """Hold the stage's lock for the length of the block, and record the deployment at its end.

    A block that an error ends is recorded with the outcome that it had set. It is not recorded if that is
    `FAILED` and it was interrupted: CloudFormation goes on. Nor is a first deployment that failed: the stage
    may have no bucket.

    Credentials that may not write the ledger get a warning, unless the stage takes releases: then its records
    must be complete. Raises `StageLocked` and `LockLost`.
    """
    ledger = open_ledger(deployment.target, deployment.client)
    held: HeldLock | None = None

    def record() -> None:
        with _tolerated(console, deployment):
            if held is not None:
                held.confirm()
            now = ledger or open_ledger(deployment.target, deployment.client)
            if now is not None:
                now.write(deployment.record(now))

    with ExitStack() as stack:
        if ledger is not None:
            with _tolerated(console, deployment):
                held = stack.enter_context(ledger.lock(deployment.kind, release=None))
                current = ledger.current()
                deployment.known_instance_type = None if current is None else current.instance_type
        try:
            yield deployment
        except BaseException as error:
            if deployment.outcome is not Outcome.FAILED or isinstance(error, UserError):
                try:
                    record()
                except (UserError, ClientError) as unrecorded:
                    # The command's error is the deployment's.
                    _warn(console, str(unrecorded))
            raise
        record()


def _templates(assembly: Path, target: StageTarget) -> dict[str, str]:
    return {
        path.partition("/")[2]: template_sha256(json.loads(template.read_text()))
        for path, template in stack_templates(assembly)
        if path.startswith(f"{target.id}/")
    }


def _commit() -> str:
    """Return the commit that the working tree changes; empty outside of a repository."""
    try:
        return head_revision().commit
    except RevisionError:
        return ""


@contextmanager
def _tolerated(console: Console, deployment: DeploymentByHand) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if deployment.takes_releases or not is_refusal(error):
            raise
        _warn(console, f"this deployment is not locked or not recorded: {error}")


def _warn(console: Console, text: str) -> None:
    console.print(f"[yellow]![/] {escape(text)}", highlight=False, soft_wrap=True)
