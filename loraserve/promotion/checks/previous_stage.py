"""The stage before: it has the same release, verified, for long enough."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from loraserve.finding import Finding, ok, problem, warning
from loraserve.promotion.giving import GivingStage
from loraserve.release.record import DeploymentRecord, Outcome
from loraserve.release.release import Release

_CHECK = "stage before"
#: Seconds for which a release serves in a stage that is not the first one, before it goes on.
SOAK_SECONDS = 3600


def default_soak(release: Release, giving: str) -> int:
    """Return the seconds for which a release serves in the stage before: none in the first of a chain."""
    return 0 if release.stage(giving).promote_from is None else SOAK_SECONDS


def soak_ends(record: DeploymentRecord, soak: int) -> datetime:
    """Return the time from which the record is old enough."""
    return datetime.fromisoformat(record.ended) + timedelta(seconds=soak)


def check_previous(release: Release, giving: GivingStage, soak: int, now: datetime) -> Iterator[Finding]:
    """Compare the record of what serves in the stage before with the release."""
    name, record = giving.target.name, giving.record
    promote = f"`make promote STAGE={name} RELEASE=…` with release {release.release}, which verifies it"
    if giving.refusal:
        yield problem(
            _CHECK,
            f"the record of {name} cannot be read: {giving.refusal}",
            f"deploy {name} first; of another account: list this stage's account or deploy role in "
            f"`store_readers` of stages/{name}.yaml, and deploy the roles there: `make roles STAGE={name}`",
        )
        return
    if record is None:
        yield problem(_CHECK, f"{name} has no record of a deployment", f"first {promote}")
        return
    what = f"{record.kind.value} of {record.commit[:7]}" if record.release is None else record.release
    found = f"{name} has {what}, {record.outcome.value}, since {record.ended}"
    # The commit is in the description only: the archive's hash does not cover it, and the order goes by it.
    recorded = (record.release, record.commit, record.tar_sha256)
    if recorded != (release.release, release.commit, release.tar_sha256):
        yield problem(
            _CHECK,
            f"{found}: not release {release.release} with the same archive and commit",
            f"first {promote}",
        )
    elif record.outcome is not Outcome.VERIFIED:
        yield problem(
            _CHECK, found, f"correct what its verification found (`make verify STAGE={name}`), then {promote}"
        )
    elif (ends := soak_ends(record, soak)) > now:
        yield warning(
            _CHECK,
            f"{found}: for less than {soak} s",
            f"`promote` waits until {ends.astimezone(UTC):%H:%M:%S} UTC; --soak has the seconds",
        )
    else:
        yield ok(_CHECK, found)
