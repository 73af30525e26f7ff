"""The review of what a release changes in a stage, and of the way back."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from loraserve.finding import Finding, ok, problem, warning
from loraserve.review.assembly import read_assembly
from loraserve.review.document import ReportedFinding, ReviewDocument
from loraserve.review.finding import Category
from loraserve.review.review import review
from loraserve.review.sides import Side
from stacks.facts import StageFacts

_CHECK = "review"


def reviewed(deployed: Side, release: Side, accepted: Collection[Category]) -> ReviewDocument:
    """Review the release against what is deployed; with `exit_code` 3 a person has to accept something."""
    return review(deployed, release, fail_on="block", accepted=accepted)


def check_review(document: ReviewDocument) -> Iterator[Finding]:
    """Yield a line for each finding that has to be accepted, and one for all that a person decides."""
    blocks = [each for each in document.findings if each.level == "BLOCK"]
    for each in blocks:
        if each.accepted:
            yield warning(_CHECK, f"{each.rule}, accepted: {each.title}", each.consequence)
        else:
            yield problem(
                _CHECK,
                f"{each.rule}: {each.title}. {each.consequence}".rstrip(),
                f"{each.action or 'Change the release.'} If it is meant: --accept {each.category}",
            )
    decisions = [each for each in document.findings if each.level == "REVIEW"]
    if decisions:
        yield warning(_CHECK, f"{len(decisions)} for a person to decide: {_titles(decisions)}")
    if not blocks and not decisions:
        yield ok(_CHECK, "nothing that a person has to decide")


def accepted_rules(document: ReviewDocument) -> tuple[str, ...]:
    """List the rules whose findings were accepted, for the record."""
    return tuple(sorted({each.rule for each in document.findings if each.accepted}))


def check_way_back(deployed: Side, release: Side, name: str | None) -> Iterator[Finding]:
    """Review the way back, from the release to what is deployed now: what blocks it cannot be undone.

    `name` is the deployed release; without one there is nothing to roll back to. The revisions that the
    release does not have any more expire, and with them the way back.
    """
    check = "way back"
    if name is None:
        yield warning(check, "what is deployed is no release: `rollback` cannot deploy it again")
        return
    document = review(release, deployed, fail_on="block")
    lost = [each for each in document.findings if each.level == "BLOCK"]
    if lost:
        yield warning(
            check,
            f"after this there is no way back to release {name}: {_titles(lost)}",
            "approve it only if the release can be corrected by a newer one alone",
        )
    elif expiring := _expiring(_facts(deployed), new := _facts(release)):
        days = "" if new is None else f" for {new.retention.retired_days} days (retention_days)"
        yield warning(
            check,
            f"to release {name}{days}: then its revisions of {', '.join(expiring)} expire",
        )
    else:
        yield ok(check, f"`rollback` deploys release {name} again")


def _facts(side: Side) -> StageFacts | None:
    [stage] = [each for each in read_assembly(side.assembly).stages.values() if each.id == side.only]
    return stage.facts


def _expiring(deployed: StageFacts | None, release: StageFacts | None) -> list[str]:
    """List the adapters whose deployed revision the release does not have."""
    if deployed is None or release is None:
        return []
    kept = release.adapter_digests
    return sorted(name for name, digest in deployed.adapter_digests.items() if kept.get(name, "") != digest)


def _titles(findings: Collection[ReportedFinding]) -> str:
    return "; ".join(dict.fromkeys(f"{each.rule}: {each.title}" for each in findings))
