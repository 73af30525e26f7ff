"""A fleet under a policy: schedules, starts, and changes one after the other."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from loraserve.simulation.errors import SimulationError
from loraserve.simulation.scaled_fleet import ScaledFleet, SizeChange
from loraserve.simulation.scaling_candidate import LimitsChange, limits_changes
from loraserve.simulation.start_times import StartTimes, parse_start_times
from stacks.config.sections.autoscaling import Schedule
from tests.unit.loraserve.simulation.building import policy


def _fleet(*changes: LimitsChange, instances: int = 1, starts: StartTimes | None = None) -> ScaledFleet:
    return ScaledFleet(
        policy(10),
        instances=instances,
        starts=starts or StartTimes(100),
        changes=changes,
        random=np.random.default_rng(0),
    )


def _run(fleet: ScaledFleet, values: dict[float, float], end_s: float) -> list[SizeChange]:
    for at_s, value in values.items():
        fleet.observe(at_s, value)
    while fleet.next_s <= end_s:
        fleet.advance(fleet.next_s)
    return fleet.sizes


def test_new_limits_count_from_their_time_on() -> None:
    sizes = _run(_fleet(LimitsChange(60, 3, 5), LimitsChange(600, 1, 2)), {}, 1000)
    assert sizes == [SizeChange(0, 1, 1), SizeChange(60, 1, 3), SizeChange(160, 3, 3), SizeChange(600, 2, 2)]


def test_limits_that_change_while_instances_start_are_kept_afterwards() -> None:
    fleet = _fleet(LimitsChange(60, 3, 5), LimitsChange(90, 1, 1))
    assert _run(fleet, {150: 10.0}, 1000)[-1] == SizeChange(170, 1, 1)


def test_a_value_above_the_target_adds_nothing_while_instances_start() -> None:
    values = {10.0 * n: 30.0 for n in range(1, 12)}
    sizes = _run(_fleet(), values, 1000)
    # Seen 20 s late: at 30 + 20 s the third value asks for 3; ready at 150 s, the last value is seen at 130 s.
    assert sizes == [SizeChange(0, 1, 1), SizeChange(50, 1, 3), SizeChange(150, 3, 3)]


def test_schedules_are_due_in_their_time_zone() -> None:
    schedules = [
        Schedule(
            name="day",
            cron="cron(0 7 ? * MON-FRI *)",
            timezone="Europe/Berlin",
            min_instances=2,
            max_instances=4,
        ),
        Schedule(name="night", cron="cron(0 20 * * ? *)", min_instances=1, max_instances=2),
    ]
    changes = limits_changes(schedules, datetime(2026, 1, 5, tzinfo=UTC), 86400)
    assert changes == (LimitsChange(6 * 3600, 2, 4), LimitsChange(20 * 3600, 1, 2))


def test_lognormal_starts_have_their_median() -> None:
    starts, random = parse_start_times("lognormal:330,0.3"), np.random.default_rng(0)
    drawn = [starts.draw(random) for _ in range(2000)]
    assert np.median(drawn) == pytest.approx(330, rel=0.03)
    assert np.std(np.log(drawn)) == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize("text", ["0", "-5", "five", "lognormal:330", "lognormal:0,1", "normal:330,1"])
def test_start_times_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(SimulationError, match="give seconds, or lognormal:MEDIAN,SIGMA"):
        parse_start_times(text)
