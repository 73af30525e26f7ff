"""Limits of the number of instances, read from an endpoint's templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loraserve.review.assembly import Stage
from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.values import mapping, mappings, properties_of

TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
#: Facts that say the same as a scalable target, or as the endpoint config without one.
LIMIT_FACTS = ("fleet.minimum", "fleet.maximum", "fleet.autoscaled")
#: Key of the declared limits beside those of schedules.
DECLARED = ""

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class InstanceRange:
    """Bounds of the number of instances."""

    minimum: int
    maximum: int

    def __str__(self) -> str:
        """E.g. `2 to 4 instances`."""
        return f"{self.numbers} instance{'' if self.maximum == 1 else 's'}"

    @property
    def numbers(self) -> str:
        """E.g. `2 to 4`."""
        if self.minimum == self.maximum:
            return f"{self.minimum}"
        return f"{self.minimum} to {self.maximum}"


def limits_of(target: Properties) -> dict[str, InstanceRange] | None:
    """Return the limits of a scalable target, by the name of their schedule; None if they are no numbers.

    A bound that a schedule leaves out is not changed by it: the declared one is the best guess.
    """
    bounds = _limits(target.get("MinCapacity"), target.get("MaxCapacity"))
    actions = target.get("ScheduledActions", [])
    if bounds is None or not isinstance(actions, list):
        return None
    found = {DECLARED: bounds}
    for action in actions:
        limits = mapping(mapping(action).get("ScalableTargetAction"))
        scheduled = _limits(
            limits.get("MinCapacity", bounds.minimum), limits.get("MaxCapacity", bounds.maximum)
        )
        name = mapping(action).get("ScheduledActionName")
        if scheduled is None or not isinstance(name, str):
            return None
        found[name] = scheduled
    return found


def lines_of(targets: list[Properties], side: str) -> tuple[str, ...]:
    """Make a line of each limit of the targets."""
    return tuple(
        f"{side}: {in_words(name)}{limits}"
        for target in targets
        for name, limits in (limits_of(target) or {}).items()
    )


def in_words(schedule: str) -> str:
    """Return the beginning of a sentence about the limits of a schedule, or about the declared ones."""
    return f"schedule `{schedule}`: " if schedule else ""


def targets_of(stage: Stage) -> list[Properties]:
    """Return the properties of the stage's scalable targets."""
    return list(properties_of(stage, TARGET))


def instance_count(stage: Stage) -> int | None:
    """Return the number of instances that the endpoint config starts; None if it is no number."""
    counts = [
        variant.get("InitialInstanceCount")
        for config in properties_of(stage, "AWS::SageMaker::EndpointConfig")
        for variant in mappings(config.get("ProductionVariants"))
    ]
    known = [count for count in counts if type(count) is int]
    return sum(known) if counts and len(known) == len(counts) else None


def on_both_sides(
    change: StageComparison, resource_type: str
) -> Iterator[tuple[ResourceChange, Properties, Properties]]:
    """Yield each changed resource that both sides have, with its properties on the base and on the head."""
    for each in change.of_type(resource_type):
        if each.before is not None and each.after is not None:
            yield each, each.before.get("Properties", {}), each.after.get("Properties", {})


def _limits(minimum: Any, maximum: Any) -> InstanceRange | None:
    return InstanceRange(minimum, maximum) if type(minimum) is int and type(maximum) is int else None
