"""Rules about autoscaling that is switched on, switched off, suspended or given another variant."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.review.assembly import Stage
from loraserve.review.capacity_limits import (
    LIMIT_FACTS,
    POLICY,
    TARGET,
    InstanceRange,
    instance_count,
    limits_of,
    lines_of,
    on_both_sides,
    targets_of,
)
from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.difference import Difference
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.capacity import fewer_or_more
from loraserve.review.values import is_object, mapping

_UNSCALED = "The number of instances no longer follows the load."


def capacity_switch(change: StageComparison) -> Iterator[ReviewFinding]:
    """Report targets and policies that only one side has, and targets that no longer scale the variant."""
    if change.before is None or change.after is None:
        return
    both = change.before.stacks.keys() & change.after.stacks.keys()
    switched = [each for each in change.of_type(TARGET, POLICY) if each.stack in both]
    facts: list[Difference] = []
    if bool(targets_of(change.before)) != bool(targets_of(change.after)):
        facts = change.facts(*LIMIT_FACTS, "fleet.initial")
    if removed := [each for each in switched if each.is_removed]:
        yield _off(change, change.before, change.after, [*_whole(removed), *facts])
    if added := [each for each in switched if each.is_added]:
        yield from _on(change, change.before, change.after, [*_whole(added), *facts])
    for target, _, _ in on_both_sides(change, TARGET):
        yield from _suspended(change, target)
        yield from _other_variant(change, target)


def _off(
    change: StageComparison, before: Stage, after: Stage, differences: list[Difference]
) -> ReviewFinding:
    """Report a removed target or policy.

    Also where another one is added: a target of a new logical id is registered first, and the removal of the
    old one deregisters the variant that both name.
    """
    left, count = targets_of(after), instance_count(after)
    title = "autoscaling loses a target or a policy" if left else "autoscaling ends"
    return ReviewFinding(
        rule="capacity.unscaled",
        level=Level.REVIEW,
        stage=change.id,
        title=title if left or count is None else f"{title}: always {InstanceRange(count, count)}",
        consequence=_UNSCALED,
        action="" if left else "Set `endpoint.instance_count` to what the peak load needs.",
        details=lines_of(targets_of(before), "before"),
        differences=tuple(differences),
    )


def _on(
    change: StageComparison, before: Stage, after: Stage, differences: list[Difference]
) -> Iterator[ReviewFinding]:
    """Report an added target or policy, and a minimum below the number that was constant."""
    earlier, now, count = targets_of(before), targets_of(after), instance_count(before)
    yield ReviewFinding(
        rule="capacity.scaled",
        level=Level.ROUTINE,
        stage=change.id,
        title="autoscaling gets another target or policy" if earlier else "autoscaling begins",
        details=lines_of(now, "after"),
        differences=tuple(differences),
    )
    if not earlier and count is not None:
        for target in now:
            pairs = {
                name: (InstanceRange(count, count), new) for name, new in (limits_of(target) or {}).items()
            }
            yield from fewer_or_more(change, pairs, tuple(differences))


def _suspended(change: StageComparison, target: ResourceChange) -> Iterator[ReviewFinding]:
    found = target.changed("SuspendedState")
    if found is not None and is_object(found.after):
        state = mapping(found.after)
        stopped = sorted(name for name, value in state.items() if value is not False)
        yield ReviewFinding(
            rule="capacity.unscaled" if stopped else "capacity.scaled",
            level=Level.REVIEW if stopped else Level.ROUTINE,
            stage=change.id,
            title=f"autoscaling is suspended: {', '.join(stopped)}" if stopped else "autoscaling resumes",
            consequence=_UNSCALED if stopped else "",
            differences=(found,),
            before=found.before,
            after=found.after,
        )


def _other_variant(change: StageComparison, target: ResourceChange) -> Iterator[ReviewFinding]:
    """Report a target of another variant; a changed endpoint name has a rule besides."""
    found = target.changed("ResourceId")
    if found is not None:
        yield ReviewFinding(
            rule="capacity.unscaled",
            level=Level.REVIEW,
            stage=change.id,
            title="autoscaling leaves the variant that it scales, for another one",
            consequence=f"{found.before} is no longer scaled, {found.after} is.",
            differences=(found,),
            before=found.before,
            after=found.after,
        )


def _whole(resources: list[ResourceChange]) -> list[Difference]:
    return [difference for each in resources for difference in each.differences]
