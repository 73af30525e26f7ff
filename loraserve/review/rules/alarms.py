"""Alarms: removed, silent, redirected, looser or tighter."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from loraserve.review.assembly import Stage
from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.difference import Difference, Kind
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.alarm_direction import WHEN, Direction, direction
from loraserve.review.rules.alarm_ratios import follows
from loraserve.review.rules.dashboards import dashboards
from loraserve.review.rules.metric_filters import metric_filters
from loraserve.review.rules.notification import notification
from loraserve.review.rules.resources import below, changed, is_whole, label, one_of, several
from loraserve.review.values import is_inside, properties, resources_of, text, title

ALARM = "AWS::CloudWatch::Alarm"
_ACTIONS = ("AlarmActions", "OKActions", "InsufficientDataActions")
_METRIC = ("MetricName", "Namespace", "Dimensions", "Metrics", "Unit", "ThresholdMetricId")
_NUMBER = re.compile(r"\d[\d.,]*")


@dataclass(frozen=True)
class _Statement:
    """A statement about alarms; those with an equal one share a finding."""

    rule: str
    level: Level
    says: str
    """Title behind the alarms' names."""
    consequence: str


def alarms(change: StageComparison) -> Iterator[ReviewFinding]:
    """Find changes of alarms, their recipients, their metrics and the dashboard."""
    found: dict[_Statement, list[tuple[ResourceChange, tuple[Difference, ...]]]] = defaultdict(list)
    guards = _rollback_alarms(change.before) | _rollback_alarms(change.after)
    named = _rollback_alarms(change.after)
    for resource in changed(change, ALARM):
        statements = (
            _following(resource)
            if follows(change, properties(resource.before), properties(resource.after))
            else _statements(change, resource, is_guard=_name(resource) in guards, named=named)
        )
        for statement, differences in statements:
            if differences:
                found[statement].append((resource, tuple(differences)))
    said = [_finding(change, statement, items) for statement, items in found.items()]
    # Alarms that go to another topic, and the deletion of the old one, are one thing.
    yield from one_of("alarms.redirected", [*said, *notification(change)])
    yield from metric_filters(change)
    yield from dashboards(change)


def _finding(
    change: StageComparison,
    statement: _Statement,
    items: Sequence[tuple[ResourceChange, tuple[Difference, ...]]],
) -> ReviewFinding:
    labels = [_short(change, resource) for resource, _ in items]
    differences = tuple(each for _, some in items for each in some)
    values = ""
    if len(differences) == 1 and differences[0].name in WHEN:
        values = (
            f": {differences[0].name} {text(differences[0].after)} instead of {text(differences[0].before)}"
        )
    return ReviewFinding(
        rule=statement.rule,
        level=statement.level,
        stage=change.id,
        title=title(f"{several('alarm', labels)} {statement.says}{values}"),
        consequence=statement.consequence,
        action="" if statement.level < Level.REVIEW else "Keep the guard, or say why it is not needed.",
        details=tuple(
            f"{_name(resource)}: {each.name} {text(each.after)} instead of {text(each.before)}"
            if each.kind is Kind.PROPERTY
            else _name(resource)
            for resource, some in items
            for each in some
        )
        if statement.level > Level.NOISE
        else (),
        differences=differences,
    )


def _statements(
    change: StageComparison, resource: ResourceChange, *, is_guard: bool, named: set[str]
) -> Iterator[tuple[_Statement, Sequence[Difference]]]:
    """Yield what can be said about an alarm, with the differences that say it."""
    if is_whole(resource):
        if resource.is_removed:
            rolls_back = " It rolled updates back." if is_guard else ""
            yield (
                _Statement(
                    "alarms.removed", Level.REVIEW, "removed", f"What it watched is not noticed.{rolls_back}"
                ),
                resource.differences,
            )
        elif resource.is_added:
            yield (
                _Statement("alarms.added", Level.ROUTINE, "new", "It notifies the stage's topic."),
                resource.differences,
            )
        return
    yield from _actions(change, resource)
    yield from _when(resource, is_guard)
    some = _changes(resource, _METRIC)
    if some and all(_is_same_set(each) for each in some):
        yield _Statement("form.alarm", Level.NOISE, "written otherwise", ""), some
    elif some:
        yield (
            _Statement(
                "alarms.metric", Level.REVIEW, "on another metric", "What it watched is not noticed any more."
            ),
            some,
        )
    if some := _changes(resource, ("AlarmName",)):
        consequence = "CloudWatch makes a new alarm: its history is lost."
        if text(some[0].before) in named:
            still = "renamed, but the endpoint names the old one"
            yield _Statement("alarms.renamed", Level.REVIEW, still, "It rolls no update back any more."), some
        else:
            yield _Statement("alarms.renamed", Level.ROUTINE, "renamed", consequence), some
    yield from _description(resource)


def _is_same_set(difference: Difference) -> bool:
    """Return True for dimensions in another order, which CloudWatch does not know."""
    sides = (difference.before, difference.after)
    before, after = (
        sorted(json.dumps(each, sort_keys=True) for each in side) if isinstance(side, list) else None
        for side in sides
    )
    return difference.name == "Dimensions" and before is not None and before == after


def _following(resource: ResourceChange) -> Iterator[tuple[_Statement, Sequence[Difference]]]:
    """Yield a threshold that moves with what it is a share of."""
    yield (
        _Statement(
            "alarms.follows",
            Level.ROUTINE,
            "adapted to the new capacity",
            "Its threshold is the same share as before.",
        ),
        _changes(resource, ("Threshold",)),
    )
    yield from _description(resource)


def _description(resource: ResourceChange) -> Iterator[tuple[_Statement, Sequence[Difference]]]:
    description = resource.changed("AlarmDescription")
    if description is None:
        return
    numbers_only = all(
        isinstance(each, str) for each in (description.before, description.after)
    ) and _NUMBER.sub("", description.before) == _NUMBER.sub("", description.after)
    if numbers_only or len(resource.differences) > 1:
        yield _Statement("form.description", Level.NOISE, "described with other numbers", ""), [description]
    else:
        yield (
            _Statement(
                "alarms.text", Level.ROUTINE, "described otherwise", "The on-call reads another text."
            ),
            [description],
        )


def _actions(
    change: StageComparison, resource: ResourceChange
) -> Iterator[tuple[_Statement, Sequence[Difference]]]:
    """Yield what happens to the recipients of an alarm's three states."""
    silent: list[Difference] = []
    redirected: list[Difference] = []
    more: list[Difference] = []
    others: list[Difference] = []
    for each in _changes(resource, _ACTIONS):
        before, after = (_texts(value) for value in (each.before, each.after))
        if not after:
            silent.append(each)
        elif before <= after:
            (more if _are_own(change, resource, each) else others).append(each)
        else:
            redirected.append(each)
    if silent:
        states = ", ".join(each.name.removesuffix("Actions") for each in silent)
        yield (
            _Statement(
                "alarms.silent", Level.REVIEW, f"silent ({states})", "Its state changes without notification."
            ),
            silent,
        )
    if redirected:
        to = ", ".join(sorted(set().union(*(_texts(each.after) for each in redirected))))
        yield (
            _Statement(
                "alarms.redirected",
                Level.REVIEW,
                f"redirected to {to}",
                "The recipients until now get nothing.",
            ),
            redirected,
        )
    if others:
        to = ", ".join(sorted(set().union(*(_texts(each.after) - _texts(each.before) for each in others))))
        yield (
            _Statement(
                "alarms.recipient",
                Level.REVIEW,
                f"also notifies {to}",
                "An action outside of the stage reads the alarm, or acts on it.",
            ),
            others,
        )
    if more:
        yield _Statement("alarms.more", Level.ROUTINE, "with more recipients", "Nothing is lost."), more


def _are_own(change: StageComparison, resource: ResourceChange, found: Difference) -> bool:
    """Return True if all new actions are, for certain, topics of the stage."""
    after = change.after
    stack = None if after is None else after.stacks.get(resource.stack)
    if after is None or stack is None or not isinstance(found.after, list):
        return False
    known = found.before if isinstance(found.before, list) else []
    return all(is_inside(after, stack, each) for each in found.after if each not in known)


def _texts(actions: Any) -> set[str]:
    """Return the actions of a state; none for an absent value."""
    found = {text(each) for each in (actions if isinstance(actions, list) else [actions])}
    return found - {"none", "AWS::NoValue"}


def _when(resource: ResourceChange, is_guard: bool) -> Iterator[tuple[_Statement, Sequence[Difference]]]:
    """Yield a change of when the alarm is raised."""
    some = _changes(resource, WHEN)
    found = direction(properties(resource.before), properties(resource.after))
    if not some or found is None:
        return
    if found is Direction.LOOSER:
        guards = ", and lets worse updates pass" if is_guard else ""
        yield (
            _Statement("alarms.looser", Level.REVIEW, "looser", f"It is raised later or not at all{guards}."),
            some,
        )
    elif found is Direction.UNCLEAR:
        yield (
            _Statement(
                "alarms.looser",
                Level.REVIEW,
                "raised by other rules",
                "It may be raised later or not at all.",
            ),
            some,
        )
    elif found is Direction.SAME:
        yield _Statement("form.alarm", Level.NOISE, "written otherwise", ""), some
    elif is_guard:
        yield (
            _Statement(
                "alarms.tighter",
                Level.REVIEW,
                "tighter, and rolls updates back",
                "It may roll back good updates.",
            ),
            some,
        )
    else:
        yield _Statement("alarms.tighter", Level.ROUTINE, "tighter", "It is raised earlier."), some


def _changes(resource: ResourceChange, names: Sequence[str]) -> list[Difference]:
    return [each for each in resource.differences if each.kind is Kind.PROPERTY and each.name in names]


def _short(change: StageComparison, resource: ResourceChange) -> str:
    """Return an alarm's name without the endpoint's, which all of the stage begin with."""
    name = _name(resource)
    for _, _, endpoint in resources_of(change.before, "AWS::SageMaker::Endpoint"):
        name = name.removeprefix(f"{text(properties(endpoint).get('EndpointName'))}-")
    return name


def _name(resource: ResourceChange) -> str:
    found = properties(resource.after or resource.before).get("AlarmName")
    return found if isinstance(found, str) else label(resource)


def _rollback_alarms(stage: Stage | None) -> set[str]:
    """Return the names of the alarms that roll an update back."""
    found = set()
    for _, _, endpoint in resources_of(stage, "AWS::SageMaker::Endpoint"):
        guards = below(endpoint, "Properties", "DeploymentConfig", "AutoRollbackConfiguration", "Alarms")
        found |= {text(below(each, "AlarmName")) for each in (guards if isinstance(guards, list) else [])}
    return found
