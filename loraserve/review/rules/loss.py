"""Data that are lost, left behind or unreadable, now or with the next deletion, and the guards of data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.difference import Difference, Kind
from loraserve.review.finding import Finding, Level
from loraserve.review.rules.buckets import buckets
from loraserve.review.rules.keys import keys
from loraserve.review.rules.logs import log_groups
from loraserve.review.rules.resources import changed, label, several, text, title, verb

_SEEDING = "Custom::AdapterSeeding"
_POLICIES = ("DeletionPolicy", "UpdateReplacePolicy")
#: How much of a deleted resource's data each value keeps (CloudFormation, "DeletionPolicy attribute").
#: Without the attribute CloudFormation deletes; some types of databases take a snapshot then, which is more.
_KEPT = {None: 0, "Delete": 0, "Snapshot": 1, "RetainExceptOnCreate": 2, "Retain": 2}


def loss(change: StageComparison) -> Iterator[Finding]:
    """Find lost data and guards of data."""
    yield from _protection(change)
    yield from _policies(change)
    yield from _one_of_unreadable([*buckets(change), *keys(change)])
    yield from log_groups(change)


def _one_of_unreadable(found: list[Finding]) -> Iterator[Finding]:
    """Join a bucket's other key and the loss of its old one to a finding."""
    unreadable = [each for each in found if each.rule == "loss.unreadable"]
    yield from (each for each in found if each.rule != "loss.unreadable")
    if unreadable:
        first, *others = unreadable
        yield replace(
            first,
            details=(*first.details, *(each.title for each in others)),
            differences=tuple(difference for each in unreadable for difference in each.differences),
        )


def _protection(change: StageComparison) -> Iterator[Finding]:
    """Yield a change of the stacks' termination protection."""
    differences = change.deployment("terminationProtection")
    lifted = [each for each in differences if each.before]
    added = [each for each in differences if not each.before]
    if lifted:
        yield Finding(
            rule="loss.guard",
            level=Level.REVIEW,
            stage=change.id,
            title=title(f"termination protection of {several('stack', _stacks(lifted))} is off"),
            consequence="`cdk destroy` and a deletion in the console are refused no more.",
            action="Keep `termination_protection: true`, unless the stage is about to be deleted.",
            details=_stacks(lifted),
            differences=tuple(lifted),
        )
    if added:
        yield Finding(
            rule="loss.guard",
            level=Level.ROUTINE,
            stage=change.id,
            title=title(f"termination protection of {several('stack', _stacks(added))} is on"),
            consequence="CloudFormation refuses to delete them.",
            differences=tuple(added),
        )


def _stacks(differences: list[Difference]) -> tuple[str, ...]:
    return tuple(each.stack for each in differences)


def _policies(change: StageComparison) -> Iterator[Finding]:
    """Yield changed policies on deletion, of all types, with the seeder's own and `retain_data` itself."""
    facts = change.facts("retention.retain_data")
    next_destroy: list[tuple[ResourceChange | None, Difference]] = []
    kept: list[Difference] = []
    doubtful: list[tuple[ResourceChange, Difference]] = []
    harmless: list[Difference] = []
    for resource in changed(change, *{each.type for each in change.resources}):
        for name in _POLICIES:
            difference = resource.changed(name, Kind.ATTRIBUTE)
            if difference is None:
                continue
            before, after = (_KEPT.get(value) for value in (difference.before, difference.after))
            if before is None or after is None:
                continue  # an intrinsic function or a new value: not known
            if after >= before:
                kept.append(difference)
            elif resource.stateful:
                next_destroy.append((resource, difference))
            elif resource.stateful is None:
                doubtful.append((resource, difference))
            else:
                harmless.append(difference)
        retained = resource.changed("RetainData") if resource.type == _SEEDING else None
        if retained is not None and retained.after == "true":
            kept.append(retained)
        elif retained is not None:
            next_destroy.append((resource, retained))
    for each in facts:
        if each.after:
            kept.append(each)
        else:
            next_destroy.append((None, each))
    if next_destroy:
        labels = list(dict.fromkeys(label(each) for each, _ in next_destroy if each is not None))
        things = ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")
        yield Finding(
            rule="loss.next-destroy",
            level=Level.BLOCK,
            stage=change.id,
            title=title(f"the next deletion or replacement deletes data: {things or 'retain_data is off'}"),
            consequence="Until now they would stay in the account when the stack is deleted.",
            action="Keep `retain_data: true`, unless these data can be lost.",
            details=tuple(
                f"{'the stage' if each is None else label(each)}: {difference.name or difference.subject} "
                f"{text(difference.after)} instead of {text(difference.before)}"
                for each, difference in next_destroy
            ),
            differences=tuple(difference for _, difference in next_destroy),
        )
    if doubtful:
        labels = [label(each) for each, _ in doubtful]
        yield Finding(
            rule="loss.next-destroy",
            level=Level.REVIEW,
            stage=change.id,
            title=title(f"{several('resource', labels)} {verb(labels, 'is', 'are')} deleted with the stack"),
            consequence="No specification says if this type holds data.",
            action="Check what its deletion does.",
            differences=tuple(difference for _, difference in doubtful),
        )
    if kept:
        yield Finding(
            rule="loss.kept",
            level=Level.ROUTINE,
            stage=change.id,
            title="more is kept when a stack is deleted, or as much",
            consequence="Data that are kept are billed until they are deleted by hand.",
            differences=tuple(kept),
        )
    if harmless:
        yield Finding(
            rule="loss.deleted-with-stack",
            level=Level.ROUTINE,
            stage=change.id,
            title=title(f"{several('resource', [each.subject for each in harmless])} deleted with the stack"),
            consequence="The type holds no data, by AWS's resource specification.",
            differences=tuple(harmless),
        )
