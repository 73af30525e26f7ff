"""Log groups: how long logs are kept, and if they are."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.difference import REPLACING, Difference
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.resources import changed, days, is_whole, label, several, verb
from loraserve.review.values import title

LOG_GROUP = "AWS::Logs::LogGroup"
_FOREVER = float("inf")


def log_groups(change: StageComparison) -> Iterator[ReviewFinding]:
    """Find log groups that come or go, and other retentions; equal changes of several are one finding."""
    gone: list[tuple[ResourceChange, Difference]] = []
    new: list[Difference] = []
    retentions: dict[tuple[float, float], list[tuple[ResourceChange, Difference]]] = {}
    for resource in changed(change, LOG_GROUP):
        if resource.is_added:
            new += resource.differences
        elif resource.is_removed:
            gone.append((resource, resource.differences[0]))
        elif not is_whole(resource):
            gone += [(resource, each) for each in resource.differences if each.impact in REPLACING]
            retention = resource.changed("RetentionInDays")
            if retention is not None and all(
                isinstance(value, int | None) for value in (retention.before, retention.after)
            ):
                pair = (retention.before or _FOREVER, retention.after or _FOREVER)
                retentions.setdefault(pair, []).append((resource, retention))
    yield from _retentions(change, retentions)
    if gone:
        labels = list(dict.fromkeys(label(each) for each, _ in gone))
        yield ReviewFinding(
            rule="loss.logs",
            level=Level.REVIEW,
            stage=change.id,
            title=title(f"{several('log group', labels)} {verb(labels, 'goes, its', 'go, their')} logs too"),
            consequence="Logs until now are deleted or left behind; two groups of one name cannot be.",
            action="Export the logs that are needed before the deployment.",
            details=tuple(labels),
            differences=tuple(each for _, each in gone),
        )
    if new:
        yield ReviewFinding(
            rule="loss.logs",
            level=Level.ROUTINE,
            stage=change.id,
            title=title(
                f"{several('log group', [each.subject for each in new])} {verb(new, 'is', 'are')} new"
            ),
            consequence="A log group is billed by its lines.",
            differences=tuple(new),
        )


def _retentions(
    change: StageComparison, retentions: dict[tuple[float, float], list[tuple[ResourceChange, Difference]]]
) -> Iterator[ReviewFinding]:
    facts = change.facts("retention.log_days")
    for (before, after), found in retentions.items():
        labels = [label(each) for each, _ in found]
        shorter = after < before
        yield ReviewFinding(
            rule="loss.guard",
            level=Level.REVIEW if shorter else Level.ROUTINE,
            stage=change.id,
            title=title(
                f"{several('log group', labels)}: logs are kept {days(after)} instead of {days(before)}"
            ),
            consequence=f"Logs older than {days(after)} are deleted at once."
            if shorter
            else "Logs are billed longer.",
            action="Export older logs that are needed before the deployment." if shorter else "",
            details=tuple(labels),
            differences=(*(each for _, each in found), *facts),
            before=before if before != _FOREVER else None,
            after=after if after != _FOREVER else None,
        )
        facts = []
    for each in facts:
        shorter = each.after < each.before
        yield ReviewFinding(
            rule="loss.guard",
            level=Level.REVIEW if shorter else Level.ROUTINE,
            stage=change.id,
            title=title(f"log retention: {days(each.after)} instead of {days(each.before)}"),
            consequence="No log group of the stage changes with it.",
            differences=(each,),
        )
