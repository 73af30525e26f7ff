"""Resources of a comparison as the rules by type read them, and words for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.difference import Json, Kind
from loraserve.review.finding import ReviewFinding
from loraserve.review.values import counted


def changed(change: StageComparison, *types: str) -> list[ResourceChange]:
    """Return the changed resources of these types in a stage that both sides have.

    Those of a stack that the head lacks are left out: CloudFormation does nothing to them, because nothing
    deploys the stack any more.
    """
    if change.before is None or change.after is None:
        return []
    return [each for each in change.of_type(*types) if each.stack in change.after.stacks]


def is_whole(resource: ResourceChange) -> bool:
    """Return True if only one side has the resource, or if it has another type afterwards."""
    return any(each.kind is Kind.RESOURCE for each in resource.differences)


def one_of(rule: str, found: Iterable[ReviewFinding]) -> Iterator[ReviewFinding]:
    """Join the findings of a rule that say the same of several things to the gravest of them."""
    same: list[ReviewFinding] = []
    for each in found:
        if each.rule == rule:
            same.append(each)
        else:
            yield each
    if same:
        first, *others = sorted(same, key=lambda each: (-each.level, -len(each.differences)))
        yield replace(
            first,
            details=(*first.details, *(each.title for each in others)),
            differences=tuple(difference for each in (first, *others) for difference in each.differences),
        )


def below(value: Json, *names: str) -> Json:
    """Return the value below nested objects; None where one of them is absent or has another form."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def label(resource: ResourceChange) -> str:
    """Return the path of the resource's construct below its stack, e.g. `AlarmTopic/Key`."""
    _, found, below = resource.path.partition(f"/{resource.stack}/")
    return below if found else resource.path


def several(noun: str, labels: Sequence[str]) -> str:
    """Return "alarm `x`" for one, "17 alarms" for several."""
    if len(labels) == 1:
        return f"{noun} `{labels[0]}`"
    return counted(len(labels), noun)


def verb(labels: Sequence[object], one: str, many: str) -> str:
    """Return the verb's form for one or for several."""
    return one if len(labels) == 1 else many


def days(number: float) -> str:
    """Return "1 day", "30 days", or "no limit"."""
    if number == float("inf"):
        return "no limit"
    return f"{number:g} day" if number == 1 else f"{number:g} days"
