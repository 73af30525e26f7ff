"""All checks of a promotion, in the order of the table. They read only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from botocore.config import Config

from loraserve.adapters.locked_revisions import check_locked_adapters
from loraserve.aws import Client
from loraserve.check_report import TableLine, counts
from loraserve.doctor.checks import bootstrap, credentials, endpoint, names, quota, stacks
from loraserve.doctor.deployment import Deployment, read
from loraserve.doctor.diagnosis import answered
from loraserve.finding import Finding, State, ok, unknown
from loraserve.promotion.checks.change import check_review, check_way_back, reviewed
from loraserve.promotion.checks.hold import check_hold
from loraserve.promotion.checks.image import check_image
from loraserve.promotion.checks.order import check_order
from loraserve.promotion.checks.previous_stage import check_previous
from loraserve.promotion.checks.serving import check_serving
from loraserve.promotion.checks.session import check_session, rollout_seconds
from loraserve.promotion.checks.tested import check_tested
from loraserve.promotion.deployed_assembly import deployed_side, deployed_stacks
from loraserve.promotion.giving import GivingStage
from loraserve.release.cdk_cli import check_cdk_cli
from loraserve.release.ledger import Ledger
from loraserve.release.opened import OpenedRelease
from loraserve.release.release import StageRelease
from loraserve.review.assembly import read_assembly
from loraserve.review.document import ReviewDocument
from loraserve.review.finding import Category
from loraserve.review.sides import Side
from stacks.facts import StageFacts
from stacks.project import ROOT

#: Checks that need not be answered: AWS refuses what they look for by itself, before anything is changed.
#: Without its document the review stops the promotion, see `Examination.exit_code`.
_OPTIONAL = ("session", "instance quota", "bootstrap", "fixed names", "review")
#: Part of the table with the review of the change.
CHANGE = "Change"


@dataclass(frozen=True, kw_only=True)
class PlannedPromotion:
    """A release on its way to a stage."""

    opened: OpenedRelease
    stage: StageRelease
    client: Client
    """Of the stage's account and region."""
    ledger: Ledger | None
    """None before the stage's first deployment."""
    giving: GivingStage | None
    """The stage before; None for the first one."""
    soak: int
    """Seconds for which the release must have served in the stage before."""
    accepted: Collection[Category]
    """Categories of review findings that are accepted."""
    clock_offset: timedelta = timedelta()
    """S3's clock, by which records are dated, minus this machine's."""

    def now(self) -> datetime:
        """Return the time by S3's clock."""
        return datetime.now(UTC) + self.clock_offset

    @property
    def deployment(self) -> Deployment:
        """Resources, roles and images that the CDK CLI will use."""
        return read(self.opened.stage_assembly(self.stage.name))


@dataclass(kw_only=True)
class Examination:
    """The result of the checks."""

    lines: list[TableLine] = field(default_factory=list)
    review: ReviewDocument | None = None
    """None if what is deployed could not be read."""

    @property
    def exit_code(self) -> int:
        """0; 1 if a check failed; 3 if findings of the review alone are not accepted."""
        if counts(line for line in self.lines if line.group != CHANGE)[State.PROBLEM]:
            return 1
        if self.review is None:
            return 1
        return self.review.exit_code


def examine(plan: PlannedPromotion, examination: Examination) -> Iterator[TableLine]:
    """Run all checks; collect the lines and the review in `examination`."""
    for group, title, check in (*_checks(plan), (CHANGE, "review", lambda: _change(plan, examination))):
        for finding in answered(title, check, required=title not in _OPTIONAL):
            line = TableLine(group, finding)
            examination.lines.append(line)
            yield line


def _checks(plan: PlannedPromotion) -> Iterator[tuple[str, str, Callable[[], Iterable[Finding]]]]:
    target, client, opened = plan.stage.target, plan.client, plan.opened
    facts, deployment, now = opened.facts(plan.stage.name), plan.deployment, plan.now()
    current = None if plan.ledger is None else plan.ledger.current()
    serving = opened.templates(plan.stage.name)["Serving"]
    yield "Account", "credentials", lambda: credentials.check(target, client)
    yield "Account", "session", lambda: check_session(client, rollout_seconds(serving), now)
    yield "Account", "instance quota", lambda: quota.check(target, facts.fleet, facts.rollout, client)
    yield "Account", "bootstrap", lambda: bootstrap.check(deployment, target, client)
    yield "Release", "release", lambda: _release(opened)
    yield "Release", "CDK CLI", lambda: check_cdk_cli(opened)
    yield "Release", "order", lambda: check_order(opened.release, current, ROOT)
    giving = plan.giving
    if giving is not None:
        name = giving.target.name
        yield "Release", "stage before", lambda: check_previous(opened.release, giving, plan.soak, now)
        yield "Release", "tested", lambda: check_tested(opened, name, plan.stage.name)
        yield "Release", "locked adapters", lambda: _adapters(plan, giving, facts)
        yield "Release", "image", lambda: check_image(opened, plan.stage, giving, client)
    yield "Stage", "hold", lambda: check_hold(plan.ledger)
    yield "Stage", "stacks", lambda: stacks.check(deployment, target, client)
    yield "Stage", "fixed names", lambda: names.check(deployment, target, client)
    yield "Stage", "endpoint", lambda: endpoint.has_status(deployment, target, client)
    yield "Stage", "config", lambda: check_serving(target, client)
    yield "Stage", "rollback alarms", lambda: endpoint.has_no_alarm(deployment, target, client)


def _release(opened: OpenedRelease) -> Iterator[Finding]:
    """Report the release: `open_release` has checked every hash of it."""
    release = opened.release
    yield ok("release", f"{release.release}, commit {release.commit[:7]}, SHA-256 {release.tar_sha256}")


def _adapters(plan: PlannedPromotion, giving: GivingStage, facts: StageFacts) -> Iterator[Finding]:
    """Check the locked revisions in the store of the stage before, from which the seeder copies them."""
    if giving.bucket is None:
        yield unknown("locked adapters", f"not checked: the store of {giving.target.name} is not known")
        return
    yield from check_locked_adapters(
        plan.client("s3", Config(region_name=giving.target.region)),
        facts.adapters,
        giving=giving.target.name,
        giving_bucket=giving.bucket,
        own_bucket=None if plan.ledger is None else plan.ledger.bucket,
    )


def _change(plan: PlannedPromotion, examination: Examination) -> Iterator[Finding]:
    """Review what the release changes, and the way back."""
    target = plan.stage.target
    after = Side(
        name=f"release {plan.opened.release.release}",
        commit=plan.opened.release.commit,
        assembly=plan.opened.assembly,
        only=target.id,
    )
    head = read_assembly(plan.opened.assembly).stages[target.id]
    found = deployed_stacks(target, plan.client)
    with deployed_side(target, found, plan.ledger, release=head) as before:
        examination.review = reviewed(before, after, plan.accepted)
        yield from check_review(examination.review)
        if found:
            current = None if plan.ledger is None else plan.ledger.current()
            yield from check_way_back(before, after, None if current is None else current.release)
