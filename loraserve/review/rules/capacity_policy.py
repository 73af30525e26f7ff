"""Rules about the policy of autoscaling: its metric, its target and its pauses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loraserve.review.capacity_limits import POLICY, on_both_sides
from loraserve.review.comparison import ResourceChange, StageComparison, equal
from loraserve.review.difference import Difference
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.values import is_object, mapping

_CONFIGURATION = "TargetTrackingScalingPolicyConfiguration"
#: Settings of a target-tracking policy, in the words of the stage file's section `autoscaling`.
_KEYS = {
    "PredefinedMetricSpecification": "metric",
    "TargetValue": "target",
    "ScaleOutCooldown": "scale_out_cooldown_seconds",
    "ScaleInCooldown": "scale_in_cooldown_seconds",
}


def capacity_policy(change: StageComparison) -> Iterator[ReviewFinding]:
    """Report changed settings of a policy that both sides have; other settings have no rule."""
    for policy, _, _ in on_both_sides(change, POLICY):
        changes, renamed = _changes(policy), policy.changed("PolicyName")
        settings = None if changes is None else policy.changed(_CONFIGURATION)
        found = tuple(each for each in (settings, renamed) if each is not None)
        if found:
            yield ReviewFinding(
                rule="capacity.policy",
                level=Level.ROUTINE,
                stage=change.id,
                title=_title(changes or []),
                consequence="The policy is replaced, and the number of instances stays until it acts."
                if renamed is not None
                else "",
                details=tuple(f"autoscaling.{key}: {old} → {new}" for key, old, new in changes or ()),
                differences=found,
            )


def _title(changes: list[tuple[str, Any, Any]]) -> str:
    if not changes:
        return "the policy of autoscaling gets another name"
    if len(changes) == 1 and changes[0][0] != "metric":
        key, old, new = changes[0]
        return f"autoscaling.{key} is {new} instead of {old}"
    return f"autoscaling: {', '.join(key for key, _, _ in changes)} change"


def _changes(policy: ResourceChange) -> list[tuple[str, Any, Any]] | None:
    """Return key, old and new value of the changed settings; None if one of them is not known."""
    found: Difference | None = policy.changed(_CONFIGURATION)
    if found is None:
        return None
    if not (is_object(found.before) and is_object(found.after)):
        return None
    old, new = mapping(found.before), mapping(found.after)
    changed = [name for name in {**old, **new} if not equal(old.get(name), new.get(name))]
    if any(name not in _KEYS for name in changed):
        return None
    return [
        (key, _value(old.get(name)), _value(new.get(name))) for name, key in _KEYS.items() if name in changed
    ]


def _value(value: Any) -> Any:
    return value.get("PredefinedMetricType") if isinstance(value, dict) else value
