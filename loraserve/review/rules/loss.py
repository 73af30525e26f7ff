"""Data that are lost, left behind or unreadable, now or with the next deletion, and the guards of data."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.difference import Difference, Json, Kind
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.buckets import buckets
from loraserve.review.rules.keys import keys
from loraserve.review.rules.logs import log_groups
from loraserve.review.rules.resources import changed, label, one_of, several
from loraserve.review.values import SEEDING, text, title

_ENDPOINT = "AWS::SageMaker::Endpoint"
_POLICIES = ("DeletionPolicy", "UpdateReplacePolicy")
#: Types of access, whose rules judge the cases of a condition.
_ACCESS = ("Policy", "::Permission")
#: How much of a deleted resource's data each value keeps (CloudFormation, "DeletionPolicy attribute").
#: Without the attribute CloudFormation deletes; some types of databases take a snapshot then, which is more.
_KEPT = {None: 0, "Delete": 0, "Snapshot": 1, "RetainExceptOnCreate": 2, "Retain": 2}


def loss(change: StageComparison) -> Iterator[ReviewFinding]:
    """Find lost data and guards of data."""
    yield from _protection(change)
    yield from _policies(change)
    yield from _conditional(change)
    # A bucket's other key and the loss of its old one are one thing.
    yield from one_of("loss.unreadable", [*buckets(change), *keys(change)])
    yield from log_groups(change)


def _protection(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield a change of the stacks' termination protection."""
    differences = change.deployment("terminationProtection")
    lifted = [each for each in differences if each.before]
    added = [each for each in differences if not each.before]
    if lifted:
        yield ReviewFinding(
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
        yield ReviewFinding(
            rule="loss.guard",
            level=Level.ROUTINE,
            stage=change.id,
            title=title(f"termination protection of {several('stack', _stacks(added))} is on"),
            consequence="CloudFormation refuses to delete them.",
            differences=tuple(added),
        )


def _stacks(differences: list[Difference]) -> tuple[str, ...]:
    return tuple(each.stack for each in differences)


def _conditional(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield resources that exist by a condition: where it is false, CloudFormation removes them."""
    for resource in changed(change, *{each.type for each in change.resources}):
        found = resource.changed("Condition", Kind.ATTRIBUTE)
        if found is None or resource.type.startswith("AWS::IAM::") or resource.type.endswith(_ACCESS):
            continue
        always = found.after is None
        serves = resource.type == _ENDPOINT
        gravest = Level.BLOCK if serves or resource.stateful else Level.REVIEW
        yield ReviewFinding(
            rule="identity.endpoint" if serves else "loss.conditional",
            level=Level.ROUTINE if always else gravest,
            stage=change.id,
            title=title(
                f"`{label(resource)}` exists in each deployment"
                if always
                else f"`{label(resource)}` exists only where condition `{text(found.after)}` holds"
            ),
            consequence="No condition removes it."
            if always
            else "Where the condition does not hold, CloudFormation removes it from the stack.",
            action="" if always else "Keep it without a condition.",
            differences=(found,),
            before=found.before,
            after=found.after,
        )


class _Fate(Enum):
    """Meaning of another policy on deletion."""

    KEPT = "kept"
    """More is kept than before, or as much."""
    LOST = "lost"
    """Data are deleted with the stack or a replaced resource, unlike before."""
    UNKNOWN = "unknown"
    """The same of a type that no specification knows."""
    NO_DATA = "no data"
    """The same of a type that holds no data."""


def _fates(change: StageComparison) -> Iterator[tuple[_Fate, str, Difference]]:
    """Yield each changed policy, the seeder's own, and `retain_data`: meaning, label, difference."""
    for resource in changed(change, *{each.type for each in change.resources}):
        for each in resource.differences:
            if each.kind is Kind.ATTRIBUTE and each.name in _POLICIES:
                before, after = _kept(each.before), _kept(each.after)
                if before is None or after is None:
                    continue
                yield _fate(resource, kept=after >= before), label(resource), each
            elif resource.type == SEEDING and each.name == "RetainData":
                yield _Fate.KEPT if each.after in ("true", True) else _Fate.LOST, label(resource), each
    for each in change.facts("retention.retain_data"):
        yield _Fate.KEPT if each.after else _Fate.LOST, "the stage", each


def _kept(policy: Json) -> int | None:
    """Return how much a policy keeps; None for an intrinsic function or a new value."""
    return _KEPT.get(policy) if isinstance(policy, str | None) else None


def _fate(resource: ResourceChange, *, kept: bool) -> _Fate:
    if kept:
        return _Fate.KEPT
    if resource.stateful is None:
        return _Fate.UNKNOWN
    return _Fate.LOST if resource.stateful else _Fate.NO_DATA


def _policies(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield changed policies on deletion, of all types: a finding for each meaning."""
    found: dict[_Fate, list[tuple[str, Difference]]] = {}
    for fate, name, difference in _fates(change):
        found.setdefault(fate, []).append((name, difference))
    for fate, items in found.items():
        labels = list(dict.fromkeys(name for name, each in items if each.kind is not Kind.FACT))
        things = ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")
        rule, level, what, consequence, action = _WORDS[fate]
        yield ReviewFinding(
            rule=rule,
            level=level,
            stage=change.id,
            title=title(f"{what}: {things or 'retain_data'}"),
            consequence=consequence,
            action=action,
            details=tuple(
                f"{name}: {each.name or each.subject} {text(each.after)} instead of {text(each.before)}"
                for name, each in items
            ),
            differences=tuple(each for _, each in items),
        )


_WORDS = {
    _Fate.LOST: (
        "loss.next-destroy",
        Level.BLOCK,
        "the next deletion or replacement deletes data",
        "Until now they would stay in the account when the stack is deleted.",
        "Keep `retain_data: true`, unless these data can be lost.",
    ),
    _Fate.UNKNOWN: (
        "loss.next-destroy",
        Level.REVIEW,
        "deleted with the stack",
        "No specification says if the type holds data.",
        "Check what its deletion does.",
    ),
    _Fate.KEPT: (
        "loss.kept",
        Level.ROUTINE,
        "kept when the stack is deleted, or as much as before",
        "Data that are kept are billed until they are deleted by hand.",
        "",
    ),
    _Fate.NO_DATA: (
        "loss.deleted-with-stack",
        Level.ROUTINE,
        "deleted with the stack",
        "The type holds no data, by AWS's resource specification.",
        "",
    ),
}
