"""Direction of an alarm's change: looser, tighter, or not comparable."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from math import ceil
from typing import Any


class Direction(IntEnum):
    """Direction of a change; of several, the greatest counts."""

    SAME = -1
    """A default that is written out, or a number in another form."""
    TIGHTER = 0
    """The alarm is raised in each case in which it was raised before, and in others."""
    UNCLEAR = 1
    LOOSER = 2
    """It is raised in fewer cases."""


#: 1 if a higher threshold is looser, -1 if a lower one is. The operators with a band have no threshold.
_SIGN = {
    "GreaterThanThreshold": 1,
    "GreaterThanOrEqualToThreshold": 1,
    "LessThanThreshold": -1,
    "LessThanOrEqualToThreshold": -1,
}
#: Treatments of missing data, the most careful last: good, the state is kept, INSUFFICIENT_DATA, bad
#: (CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data").
_MISSING = ("notBreaching", "ignore", "missing", "breaching")
#: Properties that say when the alarm is raised.
WHEN = (
    "Threshold",
    "ComparisonOperator",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "TreatMissingData",
    "ActionsEnabled",
    "Period",
    "Statistic",
    "ExtendedStatistic",
)


def direction(before: Mapping[str, Any], after: Mapping[str, Any]) -> Direction | None:
    """Return the direction of a change of an alarm's properties; None if none of `WHEN` differs."""
    found: list[Direction] = []
    if any(before.get(name) != after.get(name) for name in ("Period", "Statistic", "ExtendedStatistic")):
        found.append(Direction.UNCLEAR)
    found += _operator(before, after)
    found += _periods(before, after)
    if (missing := before.get("TreatMissingData", "missing")) != (
        other := after.get("TreatMissingData", "missing")
    ):
        found.append(
            Direction.UNCLEAR
            if missing not in _MISSING or other not in _MISSING
            else _turn(_MISSING.index(other) < _MISSING.index(missing))
        )
    if (on := before.get("ActionsEnabled", True)) != (still := after.get("ActionsEnabled", True)):
        found.append(
            _turn(on is True) if isinstance(on, bool) and isinstance(still, bool) else Direction.UNCLEAR
        )
    if not found and any(before.get(name) != after.get(name) for name in WHEN):
        return Direction.SAME
    return max(found, default=None)


def _operator(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Direction]:
    """Compare operator and threshold."""
    old, new = before.get("ComparisonOperator"), after.get("ComparisonOperator")
    low, high = before.get("Threshold"), after.get("Threshold")
    if old == new and low == high:
        return []
    sign = _SIGN.get(str(old))
    if sign is None or sign != _SIGN.get(str(new)):
        return [Direction.UNCLEAR]
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return [Direction.UNCLEAR]
    found = []
    if low != high:
        found.append(_turn((high - low) * sign > 0))
    elif old != new:
        # The threshold itself raises the alarm, or no more.
        found.append(_turn("OrEqual" in str(old)))
    return found


def _periods(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Direction]:
    """Compare "M bad ones of N periods": tighter if M of N old ones always hold the new number."""
    values: list[tuple[Any, Any]] = [
        (side.get("DatapointsToAlarm", side.get("EvaluationPeriods")), side.get("EvaluationPeriods"))
        for side in (before, after)
    ]
    if values[0] == values[1]:
        return []
    if not all(isinstance(number, int) and number > 0 for pair in values for number in pair):
        return [Direction.UNCLEAR]
    (old_bad, old_all), (new_bad, new_all) = values
    if _implies(old_bad, old_all, new_bad, new_all):
        return [Direction.TIGHTER]
    return [Direction.LOOSER if _implies(new_bad, new_all, old_bad, old_all) else Direction.UNCLEAR]


def _implies(bad: int, periods: int, other_bad: int, other_periods: int) -> bool:
    """Return True if `bad` of `periods` always hold `other_bad` of some `other_periods` in sequence.

    Cut into windows of `other_periods`, one of them has its share of the bad ones at least.
    """
    return ceil(bad / ceil(periods / other_periods)) >= other_bad


def _turn(looser: bool) -> Direction:
    return Direction.LOOSER if looser else Direction.TIGHTER
