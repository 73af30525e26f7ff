"""Direction of an alarm's change, held against an alarm that is computed from data."""

from itertools import product
from typing import Any

import pytest

from loraserve.review.rules.alarm_direction import Direction, direction

ALARM: dict[str, Any] = {
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "Threshold": 10,
    "EvaluationPeriods": 3,
    "DatapointsToAlarm": 2,
    "Period": 60,
    "TreatMissingData": "missing",
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, None),
        ({"AlarmDescription": "x"}, None),
        ({"Threshold": 10.0}, None),
        ({"ActionsEnabled": True}, Direction.SAME),
        ({"Threshold": 11}, Direction.LOOSER),
        ({"Threshold": 9}, Direction.TIGHTER),
        ({"Threshold": None}, Direction.UNCLEAR),
        ({"ComparisonOperator": "GreaterThanThreshold"}, Direction.LOOSER),
        ({"ComparisonOperator": "LessThanThreshold"}, Direction.UNCLEAR),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, Direction.UNCLEAR),
        ({"Period": 300}, Direction.UNCLEAR),
        ({"Statistic": "Sum"}, Direction.UNCLEAR),
        ({"DatapointsToAlarm": 3}, Direction.LOOSER),
        ({"DatapointsToAlarm": 1}, Direction.TIGHTER),
        ({"EvaluationPeriods": 5}, Direction.TIGHTER),
        ({"EvaluationPeriods": 2}, Direction.LOOSER),
        ({"EvaluationPeriods": {"Ref": "N"}}, Direction.UNCLEAR),
        ({"TreatMissingData": "notBreaching"}, Direction.LOOSER),
        ({"TreatMissingData": "ignore"}, Direction.LOOSER),
        ({"TreatMissingData": "breaching"}, Direction.TIGHTER),
        ({"ActionsEnabled": False}, Direction.LOOSER),
        ({"ActionsEnabled": False, "Threshold": 1}, Direction.LOOSER),
        ({"Threshold": 1, "Period": 300}, Direction.UNCLEAR),
    ],
)
def test_a_change_has_a_direction(change: dict[str, Any], expected: Direction | None) -> None:
    assert direction(ALARM, ALARM | change) is expected


def test_a_lower_limit_is_looser_when_it_falls() -> None:
    alarm = ALARM | {"ComparisonOperator": "LessThanThreshold"}
    assert direction(alarm, alarm | {"Threshold": 9}) is Direction.LOOSER
    assert direction(alarm, alarm | {"Threshold": 11}) is Direction.TIGHTER
    assert direction(alarm, alarm | {"ComparisonOperator": "LessThanOrEqualToThreshold"}) is Direction.TIGHTER


def raised(periods: tuple[bool, ...], bad: int, window: int) -> bool:
    """Evaluate "bad of window" over the periods, of which those before the first were good."""
    padded = (False,) * window + periods + (False,) * window
    return any(sum(padded[start : start + window]) >= bad for start in range(len(padded) - window + 1))


@pytest.mark.parametrize("before", [(1, 1), (1, 3), (2, 3), (3, 3), (3, 5)])
@pytest.mark.parametrize("after", [(1, 1), (1, 2), (2, 2), (2, 4), (3, 5), (5, 5)])
def test_tighter_means_raised_wherever_it_was_raised(before: tuple[int, int], after: tuple[int, int]) -> None:
    sides = [{"DatapointsToAlarm": bad, "EvaluationPeriods": window} for bad, window in (before, after)]
    found = direction(ALARM | sides[0], ALARM | sides[1])
    data = list(product([False, True], repeat=7))
    if found is Direction.TIGHTER:
        assert all(raised(each, *after) for each in data if raised(each, *before))
    if found is Direction.LOOSER:
        assert all(raised(each, *before) for each in data if raised(each, *after))
