"""Changes of form that follow from the number of instances: a placeholder, and alarm texts with a limit."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loraserve.review.capacity_limits import DECLARED, TARGET, limits_of, on_both_sides
from loraserve.review.comparison import StageComparison
from loraserve.review.difference import Difference, Kind
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.values import counted

#: Resource of a scaling stack without autoscaling: a stack needs one.
PLACEHOLDER = "AWS::CloudFormation::WaitConditionHandle"


def capacity_form(change: StageComparison) -> Iterator[ReviewFinding]:
    """Report the placeholder, and descriptions that only repeat a changed limit."""
    placeholders = tuple(
        each
        for resource in change.of_type(PLACEHOLDER)
        for each in resource.differences
        if each.kind in {Kind.RESOURCE, Kind.PROPERTY}
    )
    if placeholders:
        yield ReviewFinding(
            rule="form.placeholder",
            level=Level.NOISE,
            stage=change.id,
            title="the placeholder of a stack without autoscaling",
            differences=placeholders,
        )
    limits = set(_changed_limits(change))
    texts = tuple(
        found
        for alarm in change.of_type("AWS::CloudWatch::Alarm")
        if (found := alarm.changed("AlarmDescription")) is not None and _repeats(found, limits)
    )
    if texts:
        yield ReviewFinding(
            rule="form.limit",
            level=Level.NOISE,
            stage=change.id,
            title=f"descriptions of {counted(len(texts), 'alarm')} repeat the new limit",
            differences=texts,
        )


def _changed_limits(change: StageComparison) -> Iterator[tuple[str, str]]:
    """Yield the changed declared maximums, old and new."""
    for _, before, after in on_both_sides(change, TARGET):
        old, new = limits_of(before), limits_of(after)
        if old is not None and new is not None:
            yield str(old[DECLARED].maximum), str(new[DECLARED].maximum)


def _repeats(text: Difference, limits: set[tuple[str, str]]) -> bool:
    """Check that two texts differ in nothing but a limit."""
    if not (isinstance(text.before, str) and isinstance(text.after, str)):
        return False
    old, new = (re.split(r"(\d+)", side) for side in (text.before, text.after))
    return len(old) == len(new) and all(
        one == other or (one, other) in limits for one, other in zip(old, new, strict=True)
    )
