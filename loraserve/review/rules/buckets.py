"""Buckets: data that are deleted, left behind or unreadable, and what the public can reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.difference import REPLACING, Difference, Impact, Kind
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.bucket_protection import JUDGES, OPENING, Judgement
from loraserve.review.rules.lifecycle import compare_lifecycles
from loraserve.review.rules.resources import changed, days, is_whole, label
from loraserve.review.values import SEEDING, properties, text, title

BUCKET = "AWS::S3::Bucket"


def buckets(change: StageComparison) -> Iterator[ReviewFinding]:
    """Find what happens to buckets, their data and their protection."""
    yield from _gone(change)
    for resource in changed(change, BUCKET):
        if resource.is_added:
            yield from _public_from_the_start(change, resource)
        elif not is_whole(resource):
            yield from _properties(change, resource)


def _gone(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield buckets that leave the app, with those that come instead."""
    if change.before is None or change.after is None:
        return
    removed = [each for each in change.of_type(BUCKET) if each.is_removed]
    added = [each for each in change.of_type(BUCKET) if each.is_added]
    replaced = [
        (each, found)
        for each in changed(change, BUCKET)
        if (
            found := [
                one for one in each.differences if one.impact in REPLACING and one.kind is Kind.PROPERTY
            ]
        )
    ]
    other_store = [
        each.differences[index]
        for each in changed(change, SEEDING)
        for index, one in enumerate(each.differences)
        if one.kind is Kind.PROPERTY and one.name == "Bucket"
    ]
    stays = [
        each for each in removed if each.impact is Impact.ORPHAN or each.stack not in change.after.stacks
    ]
    deleted = [each for each in removed if each not in stays]
    for each, causes in replaced:
        policy = (each.before or {}).get("UpdateReplacePolicy")
        (stays if policy in ("Retain", "RetainExceptOnCreate") else deleted).append(each)
        other_store += causes
    if deleted:
        yield ReviewFinding(
            rule="loss.data",
            level=Level.BLOCK,
            stage=change.id,
            title=title(f"bucket {_labels(deleted)} is deleted with its data"),
            consequence="Adapters, registry and base model are lost; a bucket that is not empty fails the "
            "deployment.",
            action="Keep the bucket and its logical id.",
            differences=(*_claimed(deleted), *_claimed(added if not stays else []), *other_store),
        )
    if stays or (other_store and not deleted):
        names = _labels(stays) or text(other_store[0].before)
        instead = f"; {_labels(added)} is new and empty" if added else ""
        yield ReviewFinding(
            rule="loss.left-behind",
            level=Level.BLOCK,
            stage=change.id,
            title=title(f"bucket {names} is left behind with its data{instead}"),
            consequence="It stays in the account and is billed, but the stage no longer reads it: published "
            "adapters, their history and captured requests are not moved.",
            action="Keep the bucket and its logical id, or copy its objects before the endpoint is updated.",
            differences=(*_claimed(stays), *_claimed(added), *(other_store if not deleted else [])),
        )


def _labels(resources: Sequence[ResourceChange]) -> str:
    return ", ".join(f"`{label(each)}`" for each in resources)


def _claimed(resources: Sequence[ResourceChange]) -> list[Difference]:
    return [one for each in resources for one in each.differences if one.kind is Kind.RESOURCE]


def _public_from_the_start(change: StageComparison, resource: ResourceChange) -> Iterator[ReviewFinding]:
    """Yield what a new bucket opens; without that, a new bucket is left to another rule."""
    for name, judge in JUDGES.items():
        if name in OPENING:
            found = judge(None, properties(resource.after).get(name), resource)
            if found is not None and found[1] is Level.BLOCK:
                yield _finding(change, resource, found, resource.differences)


def _properties(change: StageComparison, resource: ResourceChange) -> Iterator[ReviewFinding]:
    for difference in resource.differences:
        if difference.kind is not Kind.PROPERTY or difference.impact in REPLACING:
            continue
        if difference.name == "LifecycleConfiguration":
            yield _lifecycle(change, resource, difference)
        elif difference.name in JUDGES:
            found = JUDGES[difference.name](difference.before, difference.after, resource)
            if found is not None:
                yield _finding(change, resource, found, (difference,))


def _finding(
    change: StageComparison,
    resource: ResourceChange,
    judgement: Judgement,
    differences: Sequence[Difference],
) -> ReviewFinding:
    rule, level, what, consequence = judgement
    return ReviewFinding(
        rule=rule,
        level=level,
        stage=change.id,
        title=title(f"bucket `{label(resource)}`: {what}"),
        consequence=consequence,
        action="" if level < Level.REVIEW else "Keep it as it was.",
        differences=tuple(differences),
        before=differences[0].before if len(differences) == 1 else None,
        after=differences[0].after if len(differences) == 1 else None,
    )


def _lifecycle(change: StageComparison, resource: ResourceChange, difference: Difference) -> ReviewFinding:
    found = compare_lifecycles(difference.before, difference.after)
    name = f"bucket `{label(resource)}`"
    lines = tuple(
        f"{key}: {days(new)} instead of {days(old)}"
        for key, (old, new) in ({**found.shorter, **found.longer}).items()
    )
    facts = change.facts("retention.retired_days", "retention.captured_days")
    revisions = [
        new
        for key, (_, new) in found.shorter.items()
        if key.prefix in ("", "adapters/") and "upload" not in key.action
    ]
    if found.shorter:
        what = f"{name} deletes objects earlier"
        if revisions:
            what += f": a rollback reaches back {days(min(revisions))}"
        level, consequence = (
            Level.REVIEW,
            "Objects that are older are deleted within a day or two of the deployment.",
        )
    elif not found.is_comparable:
        what, level = f"{name} has other lifecycle rules", Level.REVIEW
        consequence = "Objects may be deleted or moved earlier."
    else:
        what = (
            f"{name} deletes objects later"
            if found.longer
            else f"{name} has its lifecycle rules in another form"
        )
        level = Level.ROUTINE if found.longer else Level.NOISE
        consequence = "They are billed longer." if found.longer else ""
    return ReviewFinding(
        rule="form.lifecycle" if level is Level.NOISE else "loss.guard",
        level=level,
        stage=change.id,
        title=title(what),
        consequence=consequence,
        action="Keep the longer period, or save what is needed before." if level is Level.REVIEW else "",
        details=lines,
        differences=(difference, *facts),
        before=difference.before,
        after=difference.after,
    )
