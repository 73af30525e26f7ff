"""Policies to compare, the Pareto front, and the recommended policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from loraserve.simulation.comparison import choose_mode, front, recommend
from loraserve.simulation.errors import SimulationError
from loraserve.simulation.outcome import PolicyOutcome
from loraserve.simulation.policies import derived_targets, grid, read_policy
from loraserve.simulation.scaled_fleet import SizeChange
from loraserve.simulation.simulated_traffic import parse_traffic
from stacks.typed_yaml import ConfigError
from tests.unit.loraserve.simulation.building import ARTICLE, policy


def _outcome(target: float, misses: float, hours: float) -> PolicyOutcome:
    return PolicyOutcome(
        policy=policy(target),
        misses=misses,
        latency_s={50: 1.0, 95: 1.0, 99: 1.0},
        waited=0.0,
        wait_s={95: 0.0, 99: 0.0},
        instance_hours=hours,
        hours=10,
        sizes=(SizeChange(0.0, 1, 1),),
        arrived=1,
        served=1,
        in_flight=0,
    )


CHEAP, MIDDLE, DEAR, WORSE = (
    _outcome(40, 0.05, 10),
    _outcome(20, 0.0005, 20),
    _outcome(5, 0.0, 60),
    _outcome(30, 0.06, 15),
)
ALL = [DEAR, WORSE, MIDDLE, CHEAP]


def test_the_front_has_those_that_no_other_beats() -> None:
    assert front(ALL) == [CHEAP, MIDDLE, DEAR]


@pytest.mark.parametrize(
    ("goal", "budget", "taken"),
    [
        (0.001, None, MIDDLE),
        (0.1, None, CHEAP),
        # No policy within the goal: no more than 0.02 points above the fewest.
        (-1.0, None, DEAR),
        # 2 instances at $1 for 730 hours.
        (0.001, 1460, MIDDLE),
        (0.1, 1459, CHEAP),
    ],
)
def test_the_recommended_policy(goal: float, budget: float | None, taken: PolicyOutcome) -> None:
    assert recommend(ALL, goal=goal, hour_usd=1.0, budget_usd=budget).outcome is taken


def test_a_budget_that_no_policy_keeps_names_the_least() -> None:
    with pytest.raises(SimulationError, match=r"give at least \$730"):
        recommend(ALL, goal=0, hour_usd=1.0, budget_usd=700)
    with pytest.raises(SimulationError, match="--instance"):
        recommend(ALL, goal=0, hour_usd=None, budget_usd=700)


def test_targets_are_derived_from_the_slo() -> None:
    # 52 in flight take 2.06 s + 52 · 0.037 s = 3.98 s.
    assert derived_targets("concurrent_requests", ARTICLE, 4.0) == [10, 16, 21, 26, 31, 36, 42]
    # The same on an instance that is as full: 60 · 10 / 2.43 s.
    assert derived_targets("invocations_per_instance", ARTICLE, 4.0)[0] == 247
    with pytest.raises(SimulationError, match="give a larger --slo"):
        derived_targets("concurrent_requests", ARTICLE, 2.0)


def test_a_grid_has_every_combination() -> None:
    found = grid(
        ["concurrent_requests", "invocations_per_instance"],
        [5, 10],
        limits=(1, 4),
        out_cooldowns_s=[300],
        in_cooldowns_s=[600, 1800],
        latency=ARTICLE,
        slo_s=4,
    )
    assert len({each.name for each in found}) == 8
    assert {each.tracking.period_s for each in found} == {10, 60}


def test_a_policy_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "busy.yaml"
    file.write_text("metric: invocations_per_instance\ntarget: 300\nmax_instances: 7\n")
    found = read_policy(file)
    assert (found.name, found.metric) == ("busy", "invocations_per_instance")
    assert (found.tracking.target, found.tracking.max_instances) == (300, 7)
    file.write_text("target: 5\nenabled: false\n")
    with pytest.raises(SimulationError, match="another policy"):
        read_policy(file)
    file.write_text("max_instances: 3\n")
    with pytest.raises(SimulationError, match="target: 20"):
        read_policy(file)
    file.write_text("targt: 5\n")
    with pytest.raises(ConfigError, match="targt"):
        read_policy(file)
    with pytest.raises(SimulationError, match="default, stage, or a file"):
        read_policy(tmp_path / "none.yaml")


def test_many_requests_are_simulated_as_a_fluid() -> None:
    traffic = parse_traffic("synthetic:slora,rate=100,seconds=1000", 1, 0)
    assert (choose_mode(traffic, 20), choose_mode(traffic, 21)) == ("events", "fluid")


def test_a_scale_multiplies_the_rate_and_keeps_the_duration() -> None:
    single = parse_traffic("synthetic:slora,rate=20,seconds=500", 1, 0)
    for scale in (0.5, 2.5):
        scaled = parse_traffic("synthetic:slora,rate=20,seconds=500", scale, 0)
        assert scaled.duration_s == single.duration_s
        assert len(scaled.workload) == pytest.approx(scale * len(single.workload), rel=0.03)
        assert scaled.arrivals().sum() == len(scaled.workload)
    with pytest.raises(SimulationError, match="above 0"):
        parse_traffic("synthetic:slora", 0, 0)
