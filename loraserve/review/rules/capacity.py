"""Rules about the limits of the number of instances, those of schedules included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loraserve.review.capacity_limits import (
    DECLARED,
    LIMIT_FACTS,
    TARGET,
    InstanceRange,
    Properties,
    in_words,
    instance_count,
    limits_of,
    on_both_sides,
    targets_of,
)
from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.difference import Difference
from loraserve.review.finding import Level, ReviewFinding

_LIMITS = ("MinCapacity", "MaxCapacity", "ScheduledActions")
_FEWER = "Under the same load requests wait longer, or are answered 429."
_AT_ONCE = "The deployment applies the declared limits at once, until the next schedule is due."


def capacity(change: StageComparison) -> Iterator[ReviewFinding]:
    """Compare the limits of a stage that both sides have; `capacity_switch` is for autoscaling on or off."""
    if change.before is None or change.after is None:
        return
    for target, before, after in on_both_sides(change, TARGET):
        yield from _of_target(change, target, before, after)
    old, new = targets_of(change.before), targets_of(change.after)
    if not old and not new:
        yield from _of_count(change, instance_count(change.before), instance_count(change.after))
    elif old and new and (initial := change.facts("fleet.initial")):
        count: int = initial[0].after
        yield ReviewFinding(
            rule="capacity.initial",
            level=Level.ROUTINE,
            stage=change.id,
            title=f"a new endpoint starts with {InstanceRange(count, count)} instead of {initial[0].before}",
            consequence="A running endpoint keeps the number that autoscaling has chosen.",
            differences=tuple(initial),
            before=initial[0].before,
            after=initial[0].after,
        )


def _of_target(
    change: StageComparison, target: ResourceChange, before: Properties, after: Properties
) -> Iterator[ReviewFinding]:
    changed = [found for name in _LIMITS if (found := target.changed(name)) is not None]
    old, new = limits_of(before), limits_of(after)
    if not changed or old is None or new is None:
        return
    # Where one side lacks a schedule, its declared limits hold instead.
    pairs = {name: (old.get(name, old[DECLARED]), new.get(name, new[DECLARED])) for name in {**new, **old}}
    differences = (*changed, *change.facts(*LIMIT_FACTS))
    if any(one != other for one, other in pairs.values()):
        yield from fewer_or_more(change, pairs, differences)
        return
    # Only times differ.
    yield ReviewFinding(
        rule="capacity.policy",
        level=Level.ROUTINE,
        stage=change.id,
        title="the schedules of autoscaling change, their limits stay",
        consequence=_AT_ONCE,
        details=(*_schedules("before", before), *_schedules("after", after)),
        differences=differences,
    )


def _of_count(change: StageComparison, old: int | None, new: int | None) -> Iterator[ReviewFinding]:
    """Compare the constant number of instances of an endpoint without autoscaling."""
    if old is not None and new is not None and old != new:
        pairs = {DECLARED: (InstanceRange(old, old), InstanceRange(new, new))}
        yield from fewer_or_more(change, pairs, tuple(change.facts(*LIMIT_FACTS, "fleet.initial")))


def fewer_or_more(
    change: StageComparison,
    pairs: Mapping[str, tuple[InstanceRange, InstanceRange]],
    differences: tuple[Difference, ...],
) -> Iterator[ReviewFinding]:
    """Compare limits, before and after by the name of their schedule; a bound that falls is for a review."""
    fewer = {
        name: pair
        for name, pair in pairs.items()
        if pair[1].minimum < pair[0].minimum or pair[1].maximum < pair[0].maximum
    }
    more = {
        name: pair
        for name, pair in pairs.items()
        if pair[1].minimum > pair[0].minimum or pair[1].maximum > pair[0].maximum
    }
    at_once = _AT_ONCE if len(pairs) > 1 else ""
    for rule, level, found, meaning, action in (
        ("fewer", Level.REVIEW, fewer, _FEWER, "Compare with the number of instances on the dashboard."),
        ("more", Level.ROUTINE, more, "", ""),
    ):
        lines = [f"{in_words(name)}{new} instead of {old.numbers}" for name, (old, new) in found.items()]
        if lines:
            yield ReviewFinding(
                rule=f"capacity.{rule}",
                level=level,
                stage=change.id,
                title=lines[0] + (f", and {len(lines) - 1} more" if len(lines) > 1 else ""),
                consequence=f"{meaning} {at_once}".strip(),
                action=action,
                details=tuple(lines) if len(lines) > 1 else (),
                differences=differences,
                before={name: str(old) for name, (old, _) in found.items()},
                after={name: str(new) for name, (_, new) in found.items()},
            )


def _schedules(side: str, target: Properties) -> Iterator[str]:
    for action in target.get("ScheduledActions", []):
        when = f"{action.get('Schedule')} {action.get('Timezone', 'UTC')}"
        yield f"{side}: {action.get('ScheduledActionName')}: {when}"
