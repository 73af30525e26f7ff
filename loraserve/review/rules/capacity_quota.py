"""Rules about the quota of instances that an update of the fleet needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from loraserve.review.assembly import Stage
from loraserve.review.comparison import StageComparison
from loraserve.review.difference import Difference, Kind
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.values import output_texts

OUTPUT = "InstanceQuota"
#: End of the line of `stacks.config.derived.quota_line`.
_LINE = re.compile(r"of \d+ × (?P<type>\S+) needs a quota of (?P<quota>\d+)$")


@dataclass(frozen=True)
class InstanceQuota:
    """A number of instances of one type."""

    instance_type: str
    number: int

    def __str__(self) -> str:
        """E.g. `12 ml.g5.xlarge`."""
        return f"{self.number} {self.instance_type}"


def capacity_quota(change: StageComparison) -> Iterator[ReviewFinding]:
    """Compare the quotas by the facts, without them by the outputs."""
    if change.before is None or change.after is None:
        return
    outputs = _outputs(change)
    differences = (*change.facts("fleet.quota", "fleet.instance_type"), *outputs)
    if not differences:
        return
    old, new = _quota(change.before), _quota(change.after)
    if old is None or new is None:
        yield ReviewFinding(
            rule="capacity.quota",
            level=Level.REVIEW,
            stage=change.id,
            title="the quota of instances for an update may change",
            consequence="One side does not say which quota it needs.",
            details=tuple(f"{each.before} → {each.after}" for each in outputs),
            differences=differences,
        )
    elif old == new:
        yield ReviewFinding(
            rule="form.quota",
            level=Level.NOISE,
            stage=change.id,
            title=f"the output {OUTPUT} is worded in another way: the quota of {new} stays",
            differences=differences,
        )
    else:
        yield _compared(change, old, new, differences)


def _compared(
    change: StageComparison, old: InstanceQuota, new: InstanceQuota, differences: tuple[Difference, ...]
) -> ReviewFinding:
    # Each instance type has a quota, which a new account often has at 0.
    more = new.instance_type != old.instance_type or new.number > old.number
    return ReviewFinding(
        rule="capacity.quota",
        level=Level.REVIEW if more else Level.ROUTINE,
        stage=change.id,
        title=f"an update needs a quota of {new} instead of "
        f"{old.number if old.instance_type == new.instance_type else old}",
        consequence="With less, the update ends in an error and is rolled back." if more else "",
        action=f"Look the quota `{new.instance_type} for endpoint usage` up: "
        f"`make doctor STAGE={change.name}`"
        if more
        else "",
        differences=differences,
        before=str(old),
        after=str(new),
    )


def _quota(stage: Stage) -> InstanceQuota | None:
    if stage.facts is not None:
        return InstanceQuota(stage.facts.fleet.instance_type, stage.facts.fleet.quota)
    for value in output_texts(stage, OUTPUT):
        if (found := _LINE.search(value)) is not None:
            return InstanceQuota(found["type"], int(found["quota"]))
    return None


def _outputs(change: StageComparison) -> list[Difference]:
    """Return the changed output; an added or removed one is no statement about the quota."""
    return [
        each
        for each in change.differences
        if each.kind is Kind.SECTION
        and each.subject == f"Outputs/{OUTPUT}"
        and each.before is not None
        and each.after is not None
    ]
